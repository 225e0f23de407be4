//! One self-contained file that shows a recording: style, script and data in one page, nothing from elsewhere.
//!
//! The data stands in the page as JSON by columns: steps and times as differences, texts once each. In JSON
//! `<` and the line separators of JavaScript are written as escapes, so that no text of a run can end the
//! element it stands in.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::recording::{Class, GapKind, LifelineKind, Passage, Recording};

/// The version of the embedded data.
const VERSION: u32 = 1;

const PAGE: &str = include_str!("page/chart.html");

/// Texts, each once, by their numbers.
#[derive(Default)]
struct Texts {
    all: Vec<String>,
    numbers: BTreeMap<String, usize>,
}

impl Texts {
    fn number(&mut self, text: &str) -> usize {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        self.all.push(text.to_owned());
        self.numbers.insert(text.to_owned(), self.all.len() - 1);
        self.all.len() - 1
    }
}

fn kind_name(kind: LifelineKind) -> &'static str {
    match kind {
        LifelineKind::World => "world",
        LifelineKind::Agent => "agent",
        LifelineKind::Shard => "shard",
        LifelineKind::Coordinator => "coordinator",
        LifelineKind::Indexer => "indexer",
    }
}

fn class_number(class: Class) -> usize {
    Class::ALL
        .iter()
        .position(|each| *each == class)
        .unwrap_or(0)
}

fn passage_number(passage: Passage) -> usize {
    Passage::ALL
        .iter()
        .position(|each| *each == passage)
        .unwrap_or(0)
}

/// A place, or -1 for none.
fn or_none(place: Option<usize>) -> i64 {
    place.map_or(-1, |place| i64::try_from(place).unwrap_or(-1))
}

/// An agent's number, or -1 for none.
fn or_nobody(agent: Option<u64>) -> i64 {
    agent.map_or(-1, |agent| i64::try_from(agent).unwrap_or(-1))
}

/// Each value less the one before it.
fn differences(values: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut before = 0;
    values
        .map(|value| value - std::mem::replace(&mut before, value))
        .collect()
}

fn moments(recording: &Recording, texts: &mut Texts) -> Value {
    let all = &recording.moments;
    let labels: Vec<usize> = all.iter().map(|each| texts.number(&each.label)).collect();
    let details: Vec<usize> = all.iter().map(|each| texts.number(&each.detail)).collect();
    json!({
        "step": differences(all.iter().map(|each| each.step)),
        "at": differences(all.iter().map(|each| each.at_ms)),
        "lifeline": all.iter().map(|each| each.lifeline).collect::<Vec<_>>(),
        "class": all.iter().map(|each| class_number(each.class)).collect::<Vec<_>>(),
        "label": labels,
        "detail": details,
        "session": all.iter().map(|each| or_none(each.session)).collect::<Vec<_>>(),
        "agent": all.iter().map(|each| or_nobody(each.agent)).collect::<Vec<_>>(),
        "module": all.iter().map(|each| or_none(each.module)).collect::<Vec<_>>(),
    })
}

fn messages(recording: &Recording, texts: &mut Texts) -> Value {
    let all = &recording.messages;
    let labels: Vec<usize> = all.iter().map(|each| texts.number(&each.label)).collect();
    let remarks: Vec<usize> = all.iter().map(|each| texts.number(&each.remark)).collect();
    let mut numbers = |faults: &[&'static str]| -> Vec<usize> {
        faults.iter().map(|fault| texts.number(fault)).collect()
    };
    let faults: Vec<Vec<usize>> = all.iter().map(|each| numbers(&each.faults)).collect();
    json!({
        "from": all.iter().map(|each| each.from).collect::<Vec<_>>(),
        "to": all.iter().map(|each| each.to).collect::<Vec<_>>(),
        "left": all.iter().map(|each| each.left).collect::<Vec<_>>(),
        "arrived": all.iter().map(|each| or_none(each.arrived)).collect::<Vec<_>>(),
        "passage": all.iter().map(|each| passage_number(each.passage)).collect::<Vec<_>>(),
        "label": labels,
        "remark": remarks,
        "faults": faults,
        "inside": all.iter().map(|each| u8::from(each.inside)).collect::<Vec<_>>(),
        "session": all.iter().map(|each| or_none(each.session)).collect::<Vec<_>>(),
        "agent": all.iter().map(|each| or_nobody(each.agent)).collect::<Vec<_>>(),
    })
}

/// The recording as JSON by columns. What needs 64 bits is text: JavaScript's numbers have fewer.
#[must_use]
pub fn data(recording: &Recording) -> String {
    let mut texts = Texts::default();
    let moments = moments(recording, &mut texts);
    let messages = messages(recording, &mut texts);
    let gap_kind = |kind| match kind {
        GapKind::Down => "down",
        GapKind::Trouble => "trouble",
    };
    let verdict = &recording.verdict;
    let all = json!({
        "version": VERSION,
        "title": recording.title,
        "seed": recording.seed.to_string(),
        "begin": recording.begin_ms,
        "end": recording.end_ms,
        "steps": recording.steps,
        "hash": format!("{:016x}", recording.trace_hash),
        "lifelines": recording.lifelines.iter().map(|each| json!({
            "name": each.name, "kind": kind_name(each.kind), "agent": each.agent,
        })).collect::<Vec<_>>(),
        "texts": texts.all,
        "moments": moments,
        "messages": messages,
        "gaps": recording.gaps.iter().map(|each| json!({
            "lifeline": each.lifeline, "kind": gap_kind(each.kind), "label": each.label,
            "from": each.from_ms, "to": each.to_ms,
        })).collect::<Vec<_>>(),
        "phases": recording.phases.iter().map(|each| json!({
            "name": each.name, "from": each.from_ms,
        })).collect::<Vec<_>>(),
        "sessions": recording.sessions.iter().map(|each| json!({
            "id": each.id.0.to_string(), "agent": each.agent, "about": each.about,
        })).collect::<Vec<_>>(),
        "verdict": {
            "sound": verdict.sound, "headline": verdict.headline, "expected": verdict.expected,
            "seen": verdict.seen, "at": verdict.at_ms, "step": verdict.step,
        },
    });
    all.to_string()
}

/// The recording as a page: one file, to be opened in any browser, without a network.
#[must_use]
pub fn html(recording: &Recording) -> String {
    let title = markup(&format!("{} · inventory-sim", recording.title));
    let data = embedded(&data(recording));
    let parts = [
        ("@title@", title.as_str()),
        ("@style@", include_str!("page/chart.css")),
        ("@recording@", data.as_str()),
        ("@model@", include_str!("page/model.js")),
        ("@drawing@", include_str!("page/drawing.js")),
        ("@reader@", include_str!("page/reader.js")),
    ];
    let mut page =
        String::with_capacity(PAGE.len() + parts.iter().map(|(_, part)| part.len()).sum::<usize>());
    let mut rest = PAGE;
    // The places stand in the page in the order of the parts; what was put in is not looked at again.
    for (place, part) in parts {
        if let Some((before, after)) = rest.split_once(place) {
            page.push_str(before);
            page.push_str(part);
            rest = after;
        }
    }
    page.push_str(rest);
    page
}

/// JSON that can stand in a script element.
fn embedded(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// Text that can stand in an element.
pub(super) fn markup(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
