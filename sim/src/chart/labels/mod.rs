//! What machines say, in a few words: one place for the names that charts and transcripts use.

mod agent;
mod coordinator;
mod frames;
mod manager;

use std::fmt::Debug;

use inventory_sync_core::document::{Run, Runs};
use inventory_sync_core::id::{IndexId, SessionId};

use super::recorder::Names;
use super::recording::Class;

pub(crate) use coordinator::{asked, told};
pub(crate) use frames::{bulk_answered, bulk_sent, fate_remark, frame};

/// Something that can be told to people.
pub(crate) trait Describe: Debug {
    /// It in a few words; nothing when it is told elsewhere. Called only for a recording.
    fn describe(&self, names: &Names) -> Option<Line>;

    /// All of it, as the machine has it.
    fn detail(&self) -> String {
        format!("{self:?}")
    }
}

/// Something in a few words.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(super) class: Class,
    pub(super) label: String,
    pub(super) session: Option<SessionId>,
    pub(super) agent: Option<u64>,
    pub(super) module: Option<usize>,
    pub(super) says: Says,
}

/// What a line tells the recorder besides.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    /// Nothing.
    Nothing,
    /// A Start: its session is not known yet.
    Start {
        agent: u64,
        nonce: u64,
        about: String,
    },
    /// The session of a Start.
    Opened {
        agent: u64,
        nonce: u64,
        session: SessionId,
    },
    /// A session comes into being.
    Opens { session: SessionId, agent: u64 },
}

impl Line {
    /// A line about nobody in particular.
    pub(super) fn new(class: Class, label: String) -> Self {
        Self {
            class,
            label,
            session: None,
            agent: None,
            module: None,
            says: Says::Nothing,
        }
    }

    /// It is about this session.
    pub(super) fn of(self, session: SessionId) -> Self {
        Self {
            session: Some(session),
            ..self
        }
    }

    /// It is about this agent.
    pub(super) fn by(self, agent: u64) -> Self {
        Self {
            agent: Some(agent),
            ..self
        }
    }

    /// It tells the recorder something.
    pub(super) fn saying(self, says: Says) -> Self {
        Self { says, ..self }
    }
}

impl Describe for &'static str {
    fn describe(&self, _: &Names) -> Option<Line> {
        Some(Line::new(Class::Fact, (*self).to_owned()))
    }
}

/// `1 item`, `2 items`.
fn many(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// `3` or `0-7`.
fn run_text(run: Run) -> String {
    match run.count() {
        1 => run.first.to_string(),
        _ => format!("{}-{}", run.first, run.last),
    }
}

/// `0-7, 9`, and how many more there are.
fn runs_text(runs: &[Run]) -> String {
    const SHOWN: usize = 4;
    let mut text = String::new();
    for (place, run) in runs.iter().take(SHOWN).enumerate() {
        if place > 0 {
            text.push_str(", ");
        }
        text.push_str(&run_text(*run));
    }
    if runs.len() > SHOWN {
        text.push_str(", …");
    }
    text
}

fn sequences(runs: &Runs) -> String {
    runs_text(runs.as_slice())
}

fn index_text(index: IndexId, names: &Names) -> String {
    if index == IndexId::UNKNOWN {
        return "an unknown index".to_owned();
    }
    names.catalogue.index_name(index).to_owned()
}

fn indices_text(indices: &[IndexId], names: &Names) -> String {
    let texts: Vec<String> = indices
        .iter()
        .map(|index| index_text(*index, names))
        .collect();
    texts.join(", ")
}

/// Seconds with their milliseconds.
pub(super) fn seconds(ms: u64) -> String {
    format!("{}.{:03} s", ms / 1_000, ms % 1_000)
}
