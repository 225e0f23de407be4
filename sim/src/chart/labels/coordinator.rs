//! What the coordinator is told and what it asks.

use inventory_sync_core::coordinator::{
    Command, CountOutcome, Event, HealthOutcome, ListingReport, Observation, Record,
    RefreshOutcome, TemplateOutcome, WriteOutcome, WriterOutcome,
};
use inventory_sync_core::id::RequestId;

use super::frames::message_line;
use super::manager::{
    created_text, event as shard_event, listing_text, state_text, tallies_text, trouble_text,
    unready,
};
use super::{Describe, Line, index_text, indices_text, many};
use crate::chart::recorder::Names;
use crate::chart::recording::Class;

fn news(label: impl Into<String>) -> Line {
    Line::new(Class::News, label.into())
}

fn decision(label: impl Into<String>) -> Line {
    Line::new(Class::Decision, label.into())
}

fn routine(label: impl Into<String>) -> Line {
    Line::new(Class::Routine, label.into())
}

/// The number of a request to the Indexer.
pub(crate) fn asked(command: &Command) -> Option<RequestId> {
    match command {
        Command::Health { request }
        | Command::CreateWriterIndex { request }
        | Command::ReadWriter { request }
        | Command::WriteWriter { request, .. }
        | Command::CheckTemplate { request, .. }
        | Command::CreateIndex { request, .. }
        | Command::CountDocuments { request }
        | Command::Refresh { request, .. }
        | Command::List { request, .. } => Some(*request),
        Command::Record { .. }
        | Command::Tell { .. }
        | Command::Observe(_)
        | Command::Abort { .. }
        | Command::Stopped { .. } => None,
    }
}

/// The number of the request that the Indexer answers.
pub(crate) fn told(event: &Event) -> Option<RequestId> {
    match event {
        Event::Health { request, .. }
        | Event::IndexCreated { request, .. }
        | Event::WriterRead { request, .. }
        | Event::WriterWritten { request, .. }
        | Event::TemplateChecked { request, .. }
        | Event::Counted { request, .. }
        | Event::Refreshed { request, .. }
        | Event::Listed { request, .. } => Some(*request),
        _ => None,
    }
}

impl Describe for Command {
    fn describe(&self, names: &Names) -> Option<Line> {
        Some(match self {
            Self::Health { .. } => routine("health"),
            Self::CreateWriterIndex { .. } => message_line("create the writer index".to_owned()),
            Self::ReadWriter { .. } => routine("read the writer document"),
            Self::WriteWriter { .. } => routine("write the writer document"),
            Self::CheckTemplate { index, .. } => {
                message_line(format!("check {}", index_text(*index, names)))
            }
            Self::CreateIndex { index, .. } => {
                message_line(format!("create {}", index_text(*index, names)))
            }
            Self::CountDocuments { .. } => message_line("count documents".to_owned()),
            Self::Refresh { indices, .. } => {
                message_line(format!("refresh {}", indices_text(indices, names)))
            }
            Self::List {
                indices, targets, ..
            } => {
                let line = message_line(format!("list {}", indices_text(indices, names)));
                match targets.as_slice() {
                    [only] => line.of(only.session),
                    _ => line,
                }
            }
            Self::Record { what, .. } => routine(record_text(*what)),
            Self::Tell { shard, event } => {
                let line = shard_event(event, names);
                let whom =
                    shard.map_or_else(|| "all".to_owned(), |shard| format!("shard {}", shard.0));
                Line {
                    label: format!("to {whom}: {}", line.label),
                    ..line
                }
            }
            Self::Observe(observation) => observed(observation, names),
            Self::Abort { reason } => decision(format!("must end: {reason}")),
            Self::Stopped { clean } => decision(if *clean { "stopped, clean" } else { "stopped" }),
        })
    }
}

fn record_text(what: Record) -> &'static str {
    match what {
        Record::Bound(_) => "records the version bound",
        Record::CleanStop => "records a clean stop",
    }
}

fn observed(observation: &Observation, names: &Names) -> Line {
    match observation {
        Observation::Health(_) => routine("sees the Indexer's state change"),
        Observation::Lease { .. } => routine("holds the lease"),
        Observation::Bound(_) => routine("has raised the bound"),
        Observation::Index { index, state, .. } => decision(format!(
            "{} becomes {}",
            index_text(*index, names),
            state_text(*state, names)
        )),
        Observation::ForeignWriter { writer } => decision(format!("sees another writer: {writer}")),
        Observation::ClockAhead { .. } => decision("the clock is far ahead"),
    }
}

impl Describe for Event {
    fn describe(&self, names: &Names) -> Option<Line> {
        Some(match self {
            Self::Tick => Line::new(Class::Timer, "a timer is due".to_owned()),
            Self::WallClock { .. } => Line::new(Class::Timer, "the wall clock".to_owned()),
            Self::Recovered { clean_stop, .. } => news(if *clean_stop {
                "starts after a clean stop"
            } else {
                "starts, and knows of no clean stop"
            }),
            Self::Health { outcome, .. } => routine(match outcome {
                HealthOutcome::Ready => "health: ready".to_owned(),
                HealthOutcome::Unready(why) => format!("health: {}", unready(*why)),
            }),
            Self::IndexCreated { outcome, .. } => {
                message_line(format!("index: {}", created_text(outcome)))
            }
            Self::WriterRead { outcome, .. } => routine(match outcome {
                WriterOutcome::Found { .. } => "writer: found",
                WriterOutcome::Absent => "writer: none",
                WriterOutcome::Malformed(_) => "writer: malformed",
                WriterOutcome::Unknown => "writer: no answer",
            }),
            Self::WriterWritten { outcome, .. } => routine(match outcome {
                WriteOutcome::Written { .. } => "writer: written",
                WriteOutcome::Conflict => "writer: conflict",
                WriteOutcome::Refused => "writer: refused",
                WriteOutcome::Unknown => "writer: no answer",
            }),
            Self::TemplateChecked { outcome, .. } => message_line(
                match outcome {
                    TemplateOutcome::IndexFits => "the index fits",
                    TemplateOutcome::TemplateFits => "the template fits",
                    TemplateOutcome::Different(_) => "the template differs",
                    TemplateOutcome::Unknown => "template: no answer",
                }
                .to_owned(),
            ),
            Self::Counted { outcome, .. } => message_line(match outcome {
                CountOutcome::Documents(count) => many(*count, "document"),
                CountOutcome::Unknown => "count: no answer".to_owned(),
            }),
            Self::Refreshed { outcome, .. } => message_line(match outcome {
                RefreshOutcome::Done => "refreshed".to_owned(),
                RefreshOutcome::Paused { indices } => {
                    format!("cannot be refreshed: {}", indices_text(indices, names))
                }
                RefreshOutcome::Failed => "refresh failed".to_owned(),
            }),
            Self::Listed { report, .. } => message_line(match report {
                ListingReport::Complete { targets } => {
                    let texts: Vec<String> = targets
                        .iter()
                        .map(|target| listing_text(target, names))
                        .collect();
                    format!("listed: {}", texts.join("; "))
                }
                ListingReport::Paused { indices } => {
                    format!("cannot be listed: {}", indices_text(indices, names))
                }
                ListingReport::Failed => "listing failed".to_owned(),
            }),
            Self::Recorded { durable, .. } => routine(if *durable {
                "the record is durable"
            } else {
                "the record failed"
            }),
            _ => return Some(mail(self, names)),
        })
    }
}

/// What shards and operators tell it.
fn mail(event: &Event, names: &Names) -> Line {
    match event {
        Event::ListingWanted {
            session,
            agent,
            indices,
            ..
        } => message_line(format!(
            "wants a listing of {}",
            indices_text(indices, names)
        ))
        .of(*session)
        .by(agent.0),
        Event::ListingCancelled { session, .. } => {
            message_line("wants no listing any more".to_owned()).of(*session)
        }
        Event::Refusals {
            session,
            agent,
            tallies,
            ..
        } => message_line(format!(
            "asks whose fault it is: {}",
            tallies_text(tallies, names)
        ))
        .of(*session)
        .by(agent.0),
        Event::Stored { agent, tallies } => routine(tallies_text(tallies, names)).by(agent.0),
        Event::IndexTrouble { index, trouble } => message_line(format!(
            "{} is {}",
            index_text(*index, names),
            trouble_text(*trouble)
        )),
        Event::BoundWanted { .. } => routine("wants a higher version bound"),
        Event::ResumeIndex { index } => {
            news(format!("an operator resumes {}", index_text(*index, names)))
        }
        Event::ShardStopped { clean, .. } => message_line(
            if *clean {
                "a shard has stopped, clean"
            } else {
                "a shard has stopped"
            }
            .to_owned(),
        ),
        Event::Shutdown => news("is asked to stop"),
        // The rest is told where answers are.
        _ => routine(String::new()),
    }
}
