//! Events and commands as lines of a transcript. Bounds are shown as milliseconds, indices by name.

use crate::config::Catalogue;
use crate::coordinator::{
    Command, Event, ListingReport, ListingTarget, Observation, Record, WriterCondition,
    WriterDocument, WriterOutcome,
};
use crate::id::{IndexId, VERSION_STEP, Version};
use crate::manager;

fn version(version: Version) -> String {
    match version.0 % VERSION_STEP {
        0 => format!("{} ms", version.unix_ms()),
        rest => format!("{} ms + {rest}", version.unix_ms()),
    }
}

fn names(indices: &[IndexId], catalogue: &Catalogue) -> String {
    let names: Vec<&str> = indices
        .iter()
        .map(|index| catalogue.index_name(*index))
        .collect();
    names.join(",")
}

fn document(document: &WriterDocument) -> String {
    let WriterDocument {
        writer,
        nonce,
        bound,
    } = document;
    format!("{writer}/{nonce}, bound {}", version(*bound))
}

fn targets(targets: &[ListingTarget]) -> String {
    let each = targets.iter().map(|target| {
        let ListingTarget {
            shard,
            session,
            agent,
        } = target;
        format!("{}/{session} (agent {agent})", shard.0)
    });
    each.collect::<Vec<_>>().join(" ")
}

pub(super) fn event_text(event: &Event, catalogue: &Catalogue) -> String {
    match event {
        Event::Tick => "tick".to_owned(),
        Event::WallClock { unix_ms } => format!("wall clock {unix_ms} ms"),
        Event::Recovered { bound, clean_stop } => {
            let bound = bound.map_or_else(|| "none".to_owned(), version);
            let clean = if *clean_stop { "clean" } else { "not clean" };
            format!("recovered: bound {bound}, {clean}")
        }
        Event::Health { request, outcome } => format!("#{request} {outcome:?}"),
        Event::IndexCreated { request, outcome } => format!("#{request} {outcome:?}"),
        Event::WriterRead { request, outcome } => match outcome {
            WriterOutcome::Found {
                document: found,
                seq_no,
                ..
            } => format!("#{request} found {}, at {seq_no}", document(found)),
            WriterOutcome::Absent | WriterOutcome::Malformed(_) | WriterOutcome::Unknown => {
                format!("#{request} {outcome:?}")
            }
        },
        Event::WriterWritten { request, outcome } => format!("#{request} {outcome:?}"),
        Event::TemplateChecked { request, outcome } => format!("#{request} {outcome:?}"),
        Event::Counted { request, outcome } => format!("#{request} {outcome:?}"),
        Event::Refreshed { request, outcome } => format!("#{request} {outcome:?}"),
        Event::Listed { request, report } => match report {
            ListingReport::Complete { targets } => {
                format!("#{request} listed for {}", targets.len())
            }
            ListingReport::Paused { indices } => {
                format!("#{request} paused: {}", names(indices, catalogue))
            }
            ListingReport::Failed => format!("#{request} failed"),
        },
        Event::Recorded { request, durable } => {
            let text = if *durable { "durable" } else { "not durable" };
            format!("#{request} {text}")
        }
        Event::ListingWanted {
            shard,
            session,
            agent,
            indices,
        } => {
            let indices = names(indices, catalogue);
            format!(
                "shard {}: session {session} wants {indices} of agent {agent}",
                shard.0
            )
        }
        Event::ListingCancelled { shard, session } => {
            format!("shard {}: session {session} waits no longer", shard.0)
        }
        Event::Refusals {
            session,
            agent,
            tallies,
            ..
        } => format!(
            "refusals of session {session}, agent {agent}: {}",
            tallied(tallies, catalogue)
        ),
        Event::Stored { agent, tallies } => {
            format!("stored of agent {agent}: {}", tallied(tallies, catalogue))
        }
        Event::IndexTrouble { index, trouble } => {
            format!("trouble with {}: {trouble:?}", catalogue.index_name(*index))
        }
        Event::BoundWanted { beyond } => format!("bound wanted beyond {}", version(*beyond)),
        Event::ResumeIndex { index } => format!("resume {}", catalogue.index_name(*index)),
        Event::ShardStopped { shard, clean } => {
            let clean = if *clean { "clean" } else { "not clean" };
            format!("shard {}: stopped, {clean}", shard.0)
        }
        Event::Shutdown => "shutdown".to_owned(),
    }
}

fn tallied(tallies: &[manager::Tally], catalogue: &Catalogue) -> String {
    let each = tallies.iter().map(|tally| {
        let name = catalogue.index_name(tally.index);
        format!("{name} +{} -{}", tally.stored, tally.refused)
    });
    each.collect::<Vec<_>>().join(", ")
}

pub(super) fn command_text(command: &Command, catalogue: &Catalogue) -> String {
    match command {
        Command::Health { request } => format!("#{request} health"),
        Command::CreateWriterIndex { request } => format!("#{request} create the writer index"),
        Command::ReadWriter { request } => format!("#{request} read the writer document"),
        Command::WriteWriter {
            request,
            condition,
            document: written,
        } => {
            let condition = match condition {
                WriterCondition::Absent => "if absent".to_owned(),
                WriterCondition::Unchanged { seq_no, .. } => format!("if still at {seq_no}"),
            };
            format!("#{request} write {} {condition}", document(written))
        }
        Command::CheckTemplate { request, index } => {
            format!("#{request} check {}", catalogue.index_name(*index))
        }
        Command::CreateIndex { request, index } => {
            format!("#{request} create {}", catalogue.index_name(*index))
        }
        Command::CountDocuments { request } => format!("#{request} count documents"),
        Command::Refresh { request, indices } => {
            format!("#{request} refresh {}", names(indices, catalogue))
        }
        Command::List {
            request,
            indices,
            targets: served,
        } => {
            let indices = names(indices, catalogue);
            format!("#{request} list {indices} for {}", targets(served))
        }
        Command::Record { request, what } => match what {
            Record::Bound(bound) => format!("#{request} record bound {}", version(*bound)),
            Record::CleanStop => format!("#{request} record a clean stop"),
        },
        Command::Tell { shard, event } => {
            let whom = shard.map_or_else(|| "all".to_owned(), |shard| format!("shard {}", shard.0));
            format!("tell {whom}: {}", told(event, catalogue))
        }
        Command::Observe(observation) => format!("observe {}", observed(observation, catalogue)),
        Command::Abort { reason } => format!("abort: {reason}"),
        Command::Stopped { clean } => {
            format!("stopped, {}", if *clean { "clean" } else { "not clean" })
        }
    }
}

fn observed(observation: &Observation, catalogue: &Catalogue) -> String {
    match observation {
        Observation::Index {
            index,
            state,
            detail,
        } => format!("{}: {state:?} {detail}", catalogue.index_name(*index)),
        Observation::Bound(bound) => format!("bound {}", version(*bound)),
        Observation::Lease { until } => format!("lease until {until}"),
        Observation::Health(_)
        | Observation::ForeignWriter { .. }
        | Observation::ClockAhead { .. } => format!("{observation:?}"),
    }
}

fn told(event: &manager::Event<std::convert::Infallible>, catalogue: &Catalogue) -> String {
    match event {
        manager::Event::LeaseUntil { until } => format!("lease until {until}"),
        manager::Event::BoundRaised { bound } => format!("bound {}", version(*bound)),
        manager::Event::ClockFloor { floor } => format!("clock floor {}", version(*floor)),
        manager::Event::TaintAll { until } => format!("tainted until {until}"),
        manager::Event::Health { health } => format!("health {health:?}"),
        manager::Event::IndexChanged { index, state } => {
            format!("{} is {state:?}", catalogue.index_name(*index))
        }
        manager::Event::RefusalsJudged { session, held } if held.is_empty() => {
            format!("session {session}: the documents are to blame")
        }
        manager::Event::RefusalsJudged { session, held } => {
            format!("session {session}: held {}", names(held, catalogue))
        }
        manager::Event::Listed { session, outcome } => match outcome {
            manager::ListingOutcome::Paused { indices } => {
                format!("session {session}: paused {}", names(indices, catalogue))
            }
            manager::ListingOutcome::Complete { documents, .. } => {
                format!("session {session}: {documents} documents")
            }
            manager::ListingOutcome::Failed => format!("session {session}: not listed"),
        },
        other => format!("{other:?}"),
    }
}
