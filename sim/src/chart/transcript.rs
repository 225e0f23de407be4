//! A run as lines that people read: a line for each message and each decision.
//!
//! ```text
//!     0.010  agent 1 ─▶ shard 0          Start Delta of 2 items, module-0 · 12 ms
//!     0.022  shard 0                 S1  opens the session
//!     0.022  shard 0 ─▶ agent 1      S1  StartAck Ok · 9 ms
//!      time  who, or from whom to whom, session, what, and how long it was on its way
//! ```
//!
//! Left out is what happens all the time whatever the run is about: clocks, leases, bounds, what is counted.

use std::fmt::Write as _;
use std::ops::Range;

use super::recording::{Class, LifelineKind, Message, Moment, Passage, Recording};

/// A wait of this length is an empty line.
const PAUSE_MS: u64 = 1_000;
/// What was on its way for this long is told of again when it arrives.
const LONG_WAY_MS: u64 = 400;

/// The part of a run between two ticks (milliseconds, the second one excluded) as a transcript; times are
/// seconds since the first one.
#[must_use]
pub fn transcript(recording: &Recording, part: Range<u64>) -> String {
    let mut text = String::new();
    let mut before = part.start;
    for (place, moment) in recording.moments.iter().enumerate() {
        if !part.contains(&moment.at_ms) {
            continue;
        }
        let lines = lines(recording, place, moment);
        if !lines.is_empty() && moment.at_ms >= before + PAUSE_MS && !text.is_empty() {
            text.push('\n');
        }
        for line in lines {
            let at_ms = moment.at_ms - part.start;
            let time = format!("{}.{:03}", at_ms / 1_000, at_ms % 1_000);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{time:>9}  {}", line.trim_end());
            before = moment.at_ms;
        }
    }
    if !recording.verdict.sound && part.contains(&recording.verdict.at_ms) {
        let verdict = &recording.verdict;
        let _ = write!(
            text,
            "\n{} (step {})\n  expected  {}\n  seen      {}\n",
            verdict.headline, verdict.step, verdict.expected, verdict.seen
        );
    }
    text
}

/// The whole run as a transcript, with its name above it.
#[must_use]
pub fn whole(recording: &Recording) -> String {
    let all = recording.begin_ms..u64::MAX;
    format!("{}\n\n{}", recording.title, transcript(recording, all))
}

fn lines(recording: &Recording, place: usize, moment: &Moment) -> Vec<String> {
    if matches!(moment.class, Class::Routine | Class::Timer) {
        return Vec::new();
    }
    let name = |lifeline: usize| recording.lifelines[lifeline].name.as_str();
    let who = name(moment.lifeline);
    let of = session_name(moment.session);
    if recording.lifelines[moment.lifeline].kind == LifelineKind::World {
        return vec![format!("── {} ──", moment.label)];
    }
    let leaving: Vec<&Message> = leaving(recording, place).collect();
    if !leaving.is_empty() {
        let line = |message: &&Message| {
            let ends = format!("{} ─▶ {}", name(message.from), name(message.to));
            let of = session_name(message.session.or(moment.session));
            format!("{ends:<24} {of:<4} {}", way(recording, message))
        };
        return leaving.iter().map(line).collect();
    }
    if let Some(message) = arriving(recording, place) {
        let took_ms = moment.at_ms - recording.moments[message.left].at_ms;
        if took_ms < LONG_WAY_MS {
            return Vec::new();
        }
        let (label, took) = (&message.label, seconds(took_ms));
        return vec![format!(
            "{who:<24} {of:<4} {label} arrives, {took} after it left"
        )];
    }
    let what = match moment.class {
        Class::Fault => format!("⚡ {}", moment.label),
        Class::Message => format!("{}, not sent", moment.label),
        _ => moment.label.clone(),
    };
    vec![format!("{who:<24} {of:<4} {what}")]
}

/// What a message says and what becomes of it.
fn way(recording: &Recording, message: &Message) -> String {
    let mut text = message.label.clone();
    let took_ms = message
        .arrived
        .map(|arrived| recording.moments[arrived].at_ms - recording.moments[message.left].at_ms);
    if let Some(took_ms) = took_ms.filter(|took_ms| *took_ms < LONG_WAY_MS) {
        let _ = write!(text, " · {took_ms} ms");
    }
    for fault in &message.faults {
        let _ = write!(text, " · ⚡ {fault}");
    }
    if !message.remark.is_empty() {
        let _ = write!(text, " · {}", message.remark);
    }
    match message.passage {
        Passage::Unheard => text.push_str(" · nobody listens"),
        Passage::Unread => text.push_str(" · left unread"),
        Passage::UnderWay => text.push_str(" · still under way at the end"),
        Passage::Arrived | Passage::Lost => {}
    }
    text
}

/// Messages that leave with a moment. They were recorded in the order in which they left.
fn leaving(recording: &Recording, place: usize) -> impl Iterator<Item = &Message> {
    let first = recording
        .messages
        .partition_point(|message| message.left < place);
    recording.messages[first..]
        .iter()
        .take_while(move |message| message.left == place)
}

fn arriving(recording: &Recording, place: usize) -> Option<&Message> {
    let message = recording.moments[place].arriving?;
    recording.messages.get(message)
}

fn session_name(place: Option<usize>) -> String {
    place.map_or_else(String::new, |place| format!("S{}", place + 1))
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03} s", ms / 1_000, ms % 1_000)
}
