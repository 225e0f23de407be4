//! How a run ended, for people and for programs.

use std::fmt;
use std::time::Duration;

use serde_json::{Value as Json, json};

use inventory_sync_core::agent::Outcome;

use super::driver::PartEnd;
use super::explain;
use super::link::Address;
use super::selection::Part;

/// Refused documents shown to people; the others are counted, and in the JSON.
const SHOWN_REFUSED: usize = 20;

/// How much is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The Indexer has every document.
    Stored,
    /// It has some, or all of what could be read completely.
    Partially,
    /// No verdict says that anything was stored.
    NotStored,
}

impl Ending {
    const fn name(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Partially => "partially",
            Self::NotStored => "not-stored",
        }
    }
}

/// A document that the Indexer does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedDocument {
    /// Its index.
    pub index: String,
    /// Its id, without cluster and agent.
    pub id: String,
    /// The Indexer's HTTP status for it; 0 when it was never asked.
    pub status: u16,
    /// The Indexer's error type.
    pub kind: String,
    /// The protocol's reason.
    pub reason: &'static str,
    /// Whether the next run may succeed with the same document.
    pub retryable: bool,
    /// What it says, and what to do.
    pub detail: String,
}

/// An index that was not brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub index: String,
    /// Why.
    pub reason: String,
}

/// One session that ended in a verdict, or did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionReport {
    /// Its id, once a manager had opened one.
    pub session: Option<u64>,
    /// The indices that it replaces.
    pub indices: Vec<String>,
    /// Its documents.
    pub documents: usize,
    /// Of these, what the verdict says is stored.
    pub stored: usize,
    /// Sessions before it that ended without a verdict.
    pub attempts_before: u32,
    /// From its beginning to its end.
    pub took: Duration,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The agent.
    pub agent: u64,
    /// What it calls itself.
    pub name: String,
    /// The manager.
    pub manager: String,
    /// The sessions, in order.
    pub sessions: Vec<SessionReport>,
    /// Documents that were refused, as far as the verdicts list them.
    pub refused: Vec<RefusedDocument>,
    /// Documents of which the verdict says nothing.
    pub unlisted: usize,
    /// Indices that were not brought.
    pub left_out: Vec<LeftOut>,
    /// What went wrong.
    pub problem: Option<String>,
    /// All of it.
    pub took: Duration,
}

impl Report {
    pub(super) fn new(agent: u64, manager: &Address, name: &str) -> Self {
        Self {
            agent,
            name: name.to_owned(),
            manager: manager.to_string(),
            sessions: Vec::new(),
            refused: Vec::new(),
            unlisted: 0,
            left_out: Vec::new(),
            problem: None,
            took: Duration::ZERO,
        }
    }

    pub(super) fn add(&mut self, part: &Part<'_>, end: PartEnd) {
        if let Some(problem) = explain::problem(&end, &self.manager) {
            self.problem.get_or_insert(problem);
        }
        let rows = part.rows();
        let (stored, unlisted) = match end.outcome {
            Outcome::Acknowledged => (rows.len(), 0),
            Outcome::PartiallyAcknowledged {
                acknowledged,
                unlisted,
                ..
            } => (acknowledged as usize, unlisted as usize),
            Outcome::Refused { .. }
            | Outcome::TooLarge { .. }
            | Outcome::GaveUp { .. }
            | Outcome::LoadFailed
            | Outcome::CommitFailed
            | Outcome::Stopped
            | Outcome::Reset
            | Outcome::Busy => (0, 0),
        };
        self.unlisted += unlisted;
        self.sessions.push(SessionReport {
            session: end.session.map(|session| session.0),
            indices: part.names(),
            documents: rows.len(),
            stored,
            attempts_before: end.rolled_back,
            took: end.took,
        });
        for failed in end.failed {
            let Some(row) = rows.get(failed.seq as usize) else {
                continue;
            };
            let to_do = explain::to_do(failed.reason);
            let detail = match to_do.filter(|_| !failed.retryable) {
                Some(to_do) if failed.detail.is_empty() => to_do.to_owned(),
                Some(to_do) => format!("{} — {to_do}", failed.detail),
                None => failed.detail,
            };
            self.refused.push(RefusedDocument {
                index: row.index.to_owned(),
                id: row.id.clone(),
                status: failed.status,
                kind: failed.kind,
                reason: failed.reason.name(),
                retryable: failed.retryable,
                detail,
            });
        }
    }

    pub(super) fn leave_out(&mut self, indices: &[impl ToString], reason: &str) {
        self.left_out.extend(indices.iter().map(|index| LeftOut {
            index: index.to_string(),
            reason: reason.to_owned(),
        }));
    }

    /// Documents that were to be brought.
    #[must_use]
    pub fn documents(&self) -> usize {
        self.sessions.iter().map(|session| session.documents).sum()
    }

    /// Documents that a verdict says are stored.
    #[must_use]
    pub fn stored(&self) -> usize {
        self.sessions.iter().map(|session| session.stored).sum()
    }

    /// How much is stored. A session without documents, which empties its indices, counts when it has a
    /// verdict.
    #[must_use]
    pub fn ending(&self) -> Ending {
        let is_whole =
            self.problem.is_none() && self.refused.is_empty() && self.left_out.is_empty();
        if is_whole && self.stored() == self.documents() {
            Ending::Stored
        } else if self.stored() > 0 {
            Ending::Partially
        } else {
            Ending::NotStored
        }
    }

    /// The report as one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Json {
        json!({
            "agent": self.agent,
            "name": self.name,
            "manager": self.manager,
            "ending": self.ending().name(),
            "documents": self.documents(),
            "stored": self.stored(),
            "unlisted": self.unlisted,
            "problem": self.problem,
            "took_ms": milliseconds(self.took),
            "sessions": self.sessions.iter().map(session_json).collect::<Vec<_>>(),
            "refused": self.refused.iter().map(refused_json).collect::<Vec<_>>(),
            "left_out": self.left_out.iter().map(|left_out| json!({
                "index": left_out.index,
                "reason": left_out.reason,
            })).collect::<Vec<_>>(),
        })
    }
}

fn session_json(session: &SessionReport) -> Json {
    json!({
        "session": session.session.map(|id| format!("{id:016x}")),
        "indices": session.indices,
        "documents": session.documents,
        "stored": session.stored,
        "attempts_before": session.attempts_before,
        "took_ms": milliseconds(session.took),
    })
}

fn refused_json(document: &RefusedDocument) -> Json {
    json!({
        "index": document.index,
        "id": document.id,
        "status": document.status,
        "type": document.kind,
        "reason": document.reason,
        "retryable": document.retryable,
        "detail": document.detail,
    })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (documents, stored) = (self.documents(), self.stored());
        match self.ending() {
            Ending::Stored => write!(f, "stored: all {documents} documents")?,
            Ending::Partially => write!(f, "stored in part: {stored} of {documents} documents")?,
            Ending::NotStored => write!(f, "not stored: none of {documents} documents")?,
        }
        let sessions = match self.sessions.len() {
            1 => "1 session".to_owned(),
            n => format!("{n} sessions"),
        };
        writeln!(
            f,
            " of agent {:03} ({}), in {sessions} with {}, {:.1} s",
            self.agent,
            self.name,
            self.manager,
            self.took.as_secs_f64()
        )?;
        if let Some(problem) = &self.problem {
            writeln!(f, "  {problem}")?;
        }
        for left_out in &self.left_out {
            writeln!(f, "  left out: {}: {}", left_out.index, left_out.reason)?;
        }
        for document in self.refused.iter().take(SHOWN_REFUSED) {
            let again = if document.retryable {
                "may succeed at the next run"
            } else {
                "will be refused again"
            };
            writeln!(
                f,
                "  refused: {}/{}: {} {} {}: {} ({again})",
                document.index,
                document.id,
                document.reason,
                document.status,
                document.kind,
                document.detail
            )?;
        }
        if let Some(more) = self
            .refused
            .len()
            .checked_sub(SHOWN_REFUSED)
            .filter(|n| *n > 0)
        {
            writeln!(f, "  refused: {more} more, listed with --json")?;
        }
        if self.unlisted > 0 {
            writeln!(
                f,
                "  of {} documents the verdict says nothing: too many were refused before them",
                self.unlisted
            )?;
        }
        Ok(())
    }
}
