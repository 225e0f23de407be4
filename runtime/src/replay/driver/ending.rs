//! How sessions and rounds end, and how that is counted.

use std::sync::atomic::Ordering;
use std::time::Instant;

use inventory_sync_core::agent::{Acknowledgement, Cause, Event, JobId, Outcome};
use inventory_sync_core::wire::Reason;

use super::{Course, Driver, Reach, Stage};
use crate::replay::Shared;
use crate::replay::statistics::Verdict;

impl Driver {
    pub(super) fn commit(&mut self, job: JobId, said: &Acknowledgement, reach: &mut Reach<'_>) {
        let now = Instant::now();
        let since = |at: Option<Instant>| at.map(|at| now.duration_since(at));
        let mut event = Event::Committed { job };
        if said.failed.is_empty() && said.upto == self.size {
            let shared = reach.shared;
            let module = shared.plan.module(self.lane.number);
            let kept = shared
                .journal
                .acknowledged(self.lane.agent, module, self.acknowledged);
            let mut counted = shared.statistics.counted();
            match kept {
                Ok(()) => counted.acknowledged(Verdict {
                    documents: u64::from(self.size),
                    bytes: self.course.bytes,
                    latency: since(self.course.ended),
                    session: since(self.course.started),
                }),
                Err(error) => {
                    counted.complain(|| format!("the state cannot be written: {error}"));
                    event = Event::CommitFailed { job };
                }
            }
        } else {
            let mut counted = reach.shared.statistics.counted();
            counted.sessions.partially_rejected += 1;
            counted.wrong += 1;
            counted.complain(|| {
                let failed = said.failed.len();
                let first = said.failed.first().map_or_else(String::new, |row| {
                    format!(
                        "; row {}: {} {} {}",
                        row.seq, row.reason, row.kind, row.detail
                    )
                });
                format!(
                    "agent {}, round {}: {failed} rows of {} were refused{first}",
                    self.lane.agent, self.lane.round, self.size
                )
            });
        }
        reach.events.push_back((reach.place, event));
    }

    pub(super) fn roll_back(&mut self, cause: &Cause, shared: &Shared) {
        self.wanted = None;
        self.release_hold(shared);
        let course = std::mem::take(&mut self.course);
        let mut counted = shared.statistics.counted();
        let sessions = &mut counted.sessions;
        let is_refused_start = !course.is_open && matches!(cause, Cause::Refused { .. });
        let counts = if is_refused_start {
            &mut sessions.refused_starts
        } else {
            &mut sessions.rolled_back
        };
        *counts.entry(reason_of(cause)).or_default() += 1;
    }

    pub(super) fn release_hold(&mut self, shared: &Shared) {
        if std::mem::take(&mut self.course.is_holding) {
            shared.statistics.holding.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(super) fn finish(&mut self, outcome: &Outcome, shared: &Shared) {
        self.permit = None;
        self.course = Course::default();
        match outcome {
            Outcome::Acknowledged => {
                self.acknowledged += 1;
                self.is_between = false;
                if self.acknowledged < self.rounds {
                    let now_us = shared.now_us().saturating_add(shared.pause_us);
                    self.stage = Stage::Resting(shared.reserve(now_us));
                } else {
                    self.stage = Stage::Done;
                }
            }
            // Counted with its verdict.
            Outcome::PartiallyAcknowledged { .. } => self.stage = Stage::Failed,
            other => {
                let what = format!("round {}: {}", self.lane.round, sentence(other));
                self.fail(shared, &what);
            }
        }
    }

    /// The lane ends here.
    pub(in crate::replay) fn fail(&mut self, shared: &Shared, what: &str) {
        self.stage = Stage::Failed;
        self.permit = None;
        let mut counted = shared.statistics.counted();
        counted.given_up += 1;
        counted.complain(|| format!("agent {}: {what}", self.lane.agent));
    }
}

/// The name under which a session's end is counted.
fn reason_of(cause: &Cause) -> String {
    match cause {
        Cause::Refused { status, reason, .. } if *reason == Reason::None => status.to_string(),
        Cause::Refused { reason, .. } => reason.to_string(),
        Cause::NoAnswer => "NoAnswer".to_owned(),
        Cause::SessionMax => "SessionMax".to_owned(),
        Cause::Contradiction(_) => "Contradiction".to_owned(),
        Cause::LoadFailed => "LoadFailed".to_owned(),
        Cause::Abandoned => "GivenUp".to_owned(),
    }
}

fn sentence(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Refused { cause } => cause.to_string(),
        Outcome::TooLarge { max_items } => {
            format!("the manager takes {max_items} items in a session at most")
        }
        Outcome::GaveUp { last: Some(cause) } => format!("no verdict in time; at last: {cause}"),
        Outcome::GaveUp { last: None } => "no verdict in time".to_owned(),
        Outcome::LoadFailed => "a document is too large for a frame".to_owned(),
        Outcome::CommitFailed => "the verdict could not be remembered".to_owned(),
        Outcome::Stopped | Outcome::Reset | Outcome::Busy => "it was stopped".to_owned(),
        Outcome::Acknowledged | Outcome::PartiallyAcknowledged { .. } => String::new(),
    }
}
