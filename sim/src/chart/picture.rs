//! A short run as one image: the chart's language without its controls, for documents.
//!
//! One row is one moment, as in the chart; texts are drawn over a halo of the ground's colour, so that an
//! arrow may pass under them. Colours follow the reader's choice of light or dark.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use super::page::markup;
use super::recording::{Class, LifelineKind, Message, Moment, Passage, Recording};

/// Sizes, in pixels.
const WIDTH: i64 = 920;
const GUTTER: i64 = 84;
const HEAD: i64 = 64;
const ROW: i64 = 22;
const PAUSE: i64 = 34;
/// A wait of this length is cut out and labelled.
const PAUSE_MS: u64 = 400;

const STYLE: &str = "
  svg { font: 13px system-ui, 'Segoe UI', 'Noto Sans', sans-serif;
    --ground: #ffffff; --text: #1c2127; --dim: #66707c; --line: #aab3bf; --frame: #1f5fbf; --request: #0b7a75;
    --bad: #c01b2e; --box: #f5f6f8; }
  @media (prefers-color-scheme: dark) { svg {
    --ground: #14171c; --text: #e4e8ee; --dim: #98a3b1; --line: #525d6b; --frame: #7db1ff; --request: #52cfc6;
    --bad: #ff6b78; --box: #1d2128; } }
  text { fill: var(--text); dominant-baseline: middle; paint-order: stroke; stroke: var(--ground); stroke-width: 5px;
    stroke-linejoin: round; }
  .title { font-size: 15px; font-weight: 600; }
  .name { font-weight: 600; text-anchor: middle; stroke: none; }
  .time { fill: var(--dim); font-size: 12px; text-anchor: end; }
  .left { text-anchor: end; }
  .frame { stroke: var(--frame); fill: var(--frame); } text.frame { stroke: var(--ground); }
  .request { stroke: var(--request); fill: var(--request); } text.request { stroke: var(--ground); }
  .bad { stroke: var(--bad); fill: var(--bad); } text.bad { stroke: var(--ground); font-weight: 600; }
  .lifeline { stroke: var(--line); } .pause { stroke: var(--line); stroke-dasharray: 2 5; }
  line { stroke-width: 1.5; } .box { fill: var(--box); stroke: var(--line); } .ground { fill: var(--ground); }
";

/// Where everything stands.
struct Layout<'a> {
    recording: &'a Recording,
    columns: BTreeMap<usize, i64>,
    rows: BTreeMap<usize, i64>,
    height: i64,
}

/// The part of a run between two ticks (milliseconds, the second one excluded) as an image; what it shows is
/// said by `title`. Of the machines' own doings it shows what
/// shards decide.
#[must_use]
pub fn picture(recording: &Recording, part: Range<u64>, title: &str) -> String {
    let begin_ms = part.start;
    let shown: Vec<usize> = (0..recording.moments.len())
        .filter(|place| part.contains(&recording.moments[*place].at_ms))
        .filter(|place| is_shown(recording, &recording.moments[*place]))
        .collect();
    let mut svg = String::new();
    let mut pauses = Vec::new();
    let layout = lay_out(recording, &shown, &mut pauses);
    let height = layout.height;
    // Writing to a string cannot fail, here and below.
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>\n\
         <text class=\"title\" x=\"16\" y=\"20\">{title}</text>\n",
        title = markup(title)
    );
    for (lifeline, x) in &layout.columns {
        let name = markup(&recording.lifelines[*lifeline].name);
        let (top, bottom) = (HEAD - 12, height - 14);
        let _ = writeln!(
            svg,
            "<line class=\"lifeline\" x1=\"{x}\" y1=\"{top}\" x2=\"{x}\" y2=\"{bottom}\"/>\
             <rect class=\"box\" x=\"{}\" y=\"{}\" width=\"104\" height=\"24\" rx=\"6\"/>\
             <text class=\"name\" x=\"{x}\" y=\"{}\">{name}</text>",
            x - 52,
            HEAD - 26,
            HEAD - 13,
        );
    }
    for (y, idle_ms) in pauses {
        let text = format!("{}.{} s later", idle_ms / 1_000, idle_ms % 1_000 / 100);
        let _ = writeln!(
            svg,
            "<line class=\"pause\" x1=\"{GUTTER}\" y1=\"{y}\" x2=\"{WIDTH}\" y2=\"{y}\"/>\
             <text class=\"time\" x=\"{}\" y=\"{y}\">{text}</text>",
            GUTTER - 8
        );
    }
    for message in &recording.messages {
        draw_arrow(&mut svg, &layout, message);
    }
    let mut before = None;
    for place in &shown {
        let moment = &recording.moments[*place];
        if before.replace(moment.at_ms) != Some(moment.at_ms) {
            let at_ms = moment.at_ms - begin_ms;
            let _ = writeln!(
                svg,
                "<text class=\"time\" x=\"{}\" y=\"{}\">{}.{:03}</text>",
                GUTTER - 8,
                layout.rows[place],
                at_ms / 1_000,
                at_ms % 1_000
            );
        }
        draw_moment(&mut svg, &layout, *place);
    }
    svg.push_str("</svg>\n");
    svg
}

fn is_shown(recording: &Recording, moment: &Moment) -> bool {
    let kind = recording.lifelines[moment.lifeline].kind;
    match moment.class {
        Class::Message | Class::Fault => {
            !matches!(kind, LifelineKind::Coordinator | LifelineKind::World)
        }
        Class::Decision => kind == LifelineKind::Shard,
        Class::News | Class::Routine | Class::Timer | Class::Fact => false,
    }
}

fn lay_out<'a>(
    recording: &'a Recording,
    shown: &[usize],
    pauses: &mut Vec<(i64, u64)>,
) -> Layout<'a> {
    let mut columns = BTreeMap::new();
    for place in shown {
        columns.insert(recording.moments[*place].lifeline, 0);
    }
    let count = i64::try_from(columns.len()).unwrap_or(1).max(1);
    let each = (WIDTH - GUTTER) / count;
    for (number, x) in (0_i64..).zip(columns.values_mut()) {
        *x = GUTTER + each * number + each / 2;
    }
    let mut rows = BTreeMap::new();
    let mut y = HEAD;
    let mut before: Option<u64> = None;
    for place in shown {
        let at_ms = recording.moments[*place].at_ms;
        let idle_ms = before.map_or(0, |before| at_ms - before);
        before = Some(at_ms);
        let extra = match idle_ms {
            0 => 0,
            PAUSE_MS.. => {
                pauses.push((y + (ROW + PAUSE) / 2, idle_ms));
                PAUSE
            }
            _ => 5,
        };
        y += ROW + extra;
        rows.insert(*place, y);
    }
    Layout {
        recording,
        columns,
        rows,
        height: y + ROW + 14,
    }
}

/// The colour of a message: strange, between agent and manager, or between manager and Indexer.
fn colour(recording: &Recording, message: &Message) -> &'static str {
    let is_agent = |place: usize| recording.lifelines[place].kind == LifelineKind::Agent;
    if message.passage == Passage::Lost || !message.faults.is_empty() {
        "bad"
    } else if is_agent(message.from) || is_agent(message.to) {
        "frame"
    } else {
        "request"
    }
}

fn draw_arrow(svg: &mut String, layout: &Layout<'_>, message: &Message) {
    let ends = (
        layout.columns.get(&message.from),
        layout.columns.get(&message.to),
        layout.rows.get(&message.left),
    );
    let (Some(&from_x), Some(&to_x), Some(&from_y)) = ends else {
        return;
    };
    let class = colour(layout.recording, message);
    let arrived = message
        .arrived
        .and_then(|arrived| layout.rows.get(&arrived).copied());
    let toward = (to_x - from_x).signum();
    match arrived {
        Some(to_y) => {
            // A head along the line, in whole pixels: ten long, four to each side.
            let (run, rise) = (to_x - from_x, to_y - from_y);
            let length = (run * run + rise * rise).isqrt().max(1);
            let (back_x, back_y) = (to_x - run * 10 / length, to_y - rise * 10 / length);
            let (side_x, side_y) = (rise * 4 / length, run * 4 / length);
            let _ = writeln!(
                svg,
                "<line class=\"{class}\" x1=\"{from_x}\" y1=\"{from_y}\" x2=\"{back_x}\" y2=\"{back_y}\"/>\
                 <path class=\"{class}\" d=\"M{to_x} {to_y}L{} {}L{} {}Z\"/>",
                back_x - side_x,
                back_y + side_y,
                back_x + side_x,
                back_y - side_y,
            );
        }
        None => {
            let x = from_x + (to_x - from_x) * 6 / 10;
            let y = from_y + 10;
            let _ = writeln!(
                svg,
                "<line class=\"{class}\" x1=\"{from_x}\" y1=\"{from_y}\" x2=\"{}\" y2=\"{y}\"/>\
                 <path class=\"{class}\" stroke-width=\"2.5\" d=\"M{} {}L{} {}M{} {}L{} {}\"/>",
                x - toward * 2,
                x - 5,
                y - 5,
                x + 5,
                y + 5,
                x + 5,
                y - 5,
                x - 5,
                y + 5,
            );
        }
    }
}

fn draw_moment(svg: &mut String, layout: &Layout<'_>, place: usize) {
    let recording = layout.recording;
    let moment = &recording.moments[place];
    let (x, y) = (layout.columns[&moment.lifeline], layout.rows[&place]);
    let leaving: Vec<&Message> = recording
        .messages
        .iter()
        .filter(|message| message.left == place)
        .collect();
    let is_last = layout.columns.last_key_value().map(|(_, x)| *x) == Some(x);
    let (class, text, goes_left, lift) = match leaving.first() {
        Some(message) => {
            let goes_left = layout.columns.get(&message.to).is_some_and(|to| *to < x);
            let lost = if message.passage == Passage::Lost {
                ": lost"
            } else {
                ""
            };
            let text = format!("{}{lost}", message.label);
            (colour(recording, message), text, goes_left, 7)
        }
        None if moment.arriving.is_some() => return,
        None if moment.class == Class::Fault => ("bad", moment.label.clone(), is_last, 0),
        None => ("", moment.label.clone(), is_last, 0),
    };
    if leaving.is_empty() {
        let _ = write!(
            svg,
            "<rect x=\"{}\" y=\"{}\" width=\"7\" height=\"7\" fill=\"var(--text)\"/>",
            x - 3,
            y - 3
        );
    }
    let (at, side) = if goes_left {
        (x - 10, " left")
    } else {
        (x + 10, "")
    };
    let _ = writeln!(
        svg,
        "<text class=\"{class}{side}\" x=\"{at}\" y=\"{}\">{}</text>",
        y - lift,
        markup(&text)
    );
}
