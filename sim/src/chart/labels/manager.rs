//! What a shard is told and what it asks.

use inventory_sync_core::coordinator::IndexOutcome;
use inventory_sync_core::manager::{
    Command, Event, FrameFlaw, Health, IndexState, IndexTrouble, ListingOutcome, Observation,
    Reply, Tally, Unready,
};

use super::frames::{end_ack, message_line, outcome_of, req_ret, start, start_ack};
use super::{
    Describe, Line, Says, bulk_sent, index_text, indices_text, many, runs_text, sequences,
};
use crate::chart::recorder::Names;
use crate::chart::recording::Class;
use crate::store::Scanned;

fn news(label: impl Into<String>) -> Line {
    Line::new(Class::News, label.into())
}

fn decision(label: impl Into<String>) -> Line {
    Line::new(Class::Decision, label.into())
}

fn routine(label: impl Into<String>) -> Line {
    Line::new(Class::Routine, label.into())
}

/// Why the Indexer takes nothing.
pub(super) fn unready(why: Unready) -> &'static str {
    match why {
        Unready::Starting => "starting",
        Unready::Unreachable => "unreachable",
        Unready::Red => "red",
        Unready::Unauthorized => "credentials refused",
        Unready::Forbidden => "a right is missing",
        Unready::Initializing => "initializing",
        Unready::NoLease => "no lease",
    }
}

fn health_text(health: Health) -> String {
    match health {
        Health::Ready => "the Indexer is ready".to_owned(),
        Health::Unready(why) => format!("the Indexer is not ready: {}", unready(why)),
    }
}

/// The state of an index.
pub(super) fn state_text(state: IndexState, names: &Names) -> String {
    match state {
        IndexState::Open => "open".to_owned(),
        IndexState::NotReady => "not ready".to_owned(),
        IndexState::Paused { until } => format!("paused for {}", names.until(until)),
        IndexState::Held => "held".to_owned(),
    }
}

/// What was seen of an index.
pub(super) fn trouble_text(trouble: IndexTrouble) -> &'static str {
    match trouble {
        IndexTrouble::Blocked => "blocked",
        IndexTrouble::Missing => "missing",
        IndexTrouble::Forbidden => "forbidden",
    }
}

/// Stored and refused operations.
pub(super) fn tallies_text(tallies: &[Tally], names: &Names) -> String {
    let texts: Vec<String> = tallies
        .iter()
        .map(|tally| {
            let refused = match tally.refused {
                0 => String::new(),
                count => format!(", {count} refused"),
            };
            let name = index_text(tally.index, names);
            format!("{} stored{refused} in {name}", tally.stored)
        })
        .collect();
    texts.join("; ")
}

/// What a listing came to.
pub(super) fn listing_text(outcome: &ListingOutcome, names: &Names) -> String {
    match outcome {
        ListingOutcome::Complete { documents, .. } => many(*documents, "document"),
        ListingOutcome::Paused { indices } => format!("paused: {}", indices_text(indices, names)),
        ListingOutcome::Failed => "failed".to_owned(),
    }
}

/// The answer to the creation of an index.
pub(super) fn created_text(outcome: &IndexOutcome) -> &'static str {
    match outcome {
        IndexOutcome::Exists => "exists",
        IndexOutcome::Refused(_) => "refused",
        IndexOutcome::Unknown => "no answer",
    }
}

impl Describe for Event<Scanned> {
    fn describe(&self, names: &Names) -> Option<Line> {
        Some(event(self, names))
    }
}

/// A shard's event, whatever its payload.
pub(super) fn event<P>(event: &Event<P>, names: &Names) -> Line {
    match event {
        Event::Tick => Line::new(Class::Timer, "a timer is due".to_owned()),
        Event::WallClock { .. } => Line::new(Class::Timer, "the wall clock".to_owned()),
        Event::Opened { connection, .. } => news(format!("connection {connection} opened")),
        Event::Closed { connection } => news(format!("connection {connection} ended")),
        Event::Start {
            peer,
            start: message,
            ..
        } => start(message).by(peer.agent.0),
        Event::Items { peer, frame, .. } => {
            message_line(format!("Data {}", sequences(&frame.sequences)))
                .of(frame.session)
                .by(peer.agent.0)
        }
        Event::End { peer, session } => {
            message_line("End".to_owned()).of(*session).by(peer.agent.0)
        }
        Event::Hello { peer, .. } => message_line("Hello".to_owned()).by(peer.agent.0),
        Event::BadFrame { peer, flaw } => message_line(format!(
            "not a message: {}",
            match flaw {
                FrameFlaw::Unverifiable => "unverifiable",
                FrameFlaw::UnknownMember(_) => "unknown kind",
                FrameFlaw::WrongDirection => "wrong direction",
            }
        ))
        .by(peer.agent.0),
        Event::Staged { upto } => news(format!("staged up to write {upto}")),
        Event::StageFailed { stage } => news(format!("write {stage} failed")),
        Event::Planned { session, plan } => news(match plan {
            None => "planned: staged data cannot be read".to_owned(),
            Some(plan) => {
                let upserts: u64 = plan.chunks.iter().map(|load| u64::from(load.upserts)).sum();
                let deletes: u64 = plan.chunks.iter().map(|load| u64::from(load.deletes)).sum();
                let aside = match plan.failures.total {
                    0 => String::new(),
                    count => format!(", {count} set aside"),
                };
                format!(
                    "planned: {}, {}{aside}",
                    many(upserts, "upsert"),
                    many(deletes, "delete")
                )
            }
        })
        .of(*session),
        Event::Listed { session, outcome } => {
            news(format!("listed: {}", listing_text(outcome, names))).of(*session)
        }
        Event::Diffed { session, diff } => news(match diff {
            None => "compared: staged data cannot be read".to_owned(),
            Some(diff) => format!(
                "compared: {} unchanged, {} to write, {} to remove",
                diff.unchanged,
                diff.chunks
                    .iter()
                    .map(|load| u64::from(load.upserts))
                    .sum::<u64>(),
                diff.removals
            ),
        })
        .of(*session),
        Event::BulkDone { bulk, outcome } => news(format!("bulk #{bulk}: {}", outcome_of(outcome))),
        Event::Recorded { record } => news(format!("record {record} is durable")),
        Event::RecordFailed { record } => news(format!("record {record} failed")),
        Event::RefusalsJudged { session, held } => news(if held.is_empty() {
            "the documents are at fault, not the index".to_owned()
        } else {
            format!("at fault itself: {}", indices_text(held, names))
        })
        .of(*session),
        Event::LeaseUntil { until } => {
            routine(format!("the lease holds for {}", names.until(*until)))
        }
        Event::BoundRaised { .. } => routine("the version bound is raised"),
        Event::ClockFloor { .. } => routine("the version clock has its floor"),
        Event::Health { health } => news(health_text(*health)),
        Event::IndexChanged { index, state } => news(format!(
            "{} is {}",
            index_text(*index, names),
            state_text(*state, names)
        )),
        Event::QuotaSlice { .. } => routine("a share of the quota"),
        Event::TaintAll { until } => {
            news(format!("every lane is tainted for {}", names.until(*until)))
        }
        Event::Floors { floors } => {
            routine(format!("floors of {}", many(floors.len() as u64, "agent")))
        }
        Event::Shutdown => news("is asked to stop"),
    }
}

impl Describe for Command<Scanned> {
    fn describe(&self, names: &Names) -> Option<Line> {
        Some(match self {
            Self::Reply { peer, message } => match message {
                Reply::StartAck(ack) => start_ack(ack, peer.agent.0),
                Reply::EndAck(ack) => end_ack(ack),
                Reply::ReqRet(request) => req_ret(request),
                Reply::Hello(_) => message_line("Hello".to_owned()),
            }
            .by(peer.agent.0),
            Self::Open { session, agent, .. } => {
                let says = Says::Opens {
                    session: *session,
                    agent: agent.0,
                };
                decision("opens the session")
                    .of(*session)
                    .by(agent.0)
                    .saying(says)
            }
            Self::Stage { session, fresh, .. } => {
                decision(format!("stages {}", runs_text(fresh))).of(*session)
            }
            Self::Discard { session } => decision("forgets the session").of(*session),
            Self::Plan { session, .. } => decision("plans what to send").of(*session),
            Self::Listing {
                session, indices, ..
            } => message_line(format!(
                "wants a listing of {}",
                indices_text(indices, names)
            ))
            .of(*session),
            Self::ListingCancelled { session } => {
                message_line("wants no listing any more".to_owned()).of(*session)
            }
            Self::Diff { session, .. } => decision("compares with the listing").of(*session),
            Self::Bulk { bulk, parts, .. } => bulk_sent(*bulk, parts, names),
            Self::Record { record, .. } => decision(format!("records a floor, record {record}")),
            Self::Refusals {
                session, tallies, ..
            } => message_line(format!(
                "asks whose fault it is: {}",
                tallies_text(tallies, names)
            ))
            .of(*session),
            Self::Stored { tallies, .. } => routine(tallies_text(tallies, names)),
            Self::IndexTrouble { index, trouble } => message_line(format!(
                "{} is {}",
                index_text(*index, names),
                trouble_text(*trouble)
            )),
            Self::BoundWanted { .. } => routine("wants a higher version bound"),
            Self::Pause { connection } => {
                decision(format!("stops reading connection {connection}"))
            }
            Self::Resume { connection } => decision(format!("reads connection {connection} again")),
            Self::Close { connection } => decision(format!("closes connection {connection}")),
            Self::Observe(observation) => observed(observation, names),
            Self::Stopped { clean } => decision(if *clean { "stopped, clean" } else { "stopped" }),
        })
    }
}

/// Most of what operators count follows from what is shown anyway; some of it is shown nowhere else.
fn observed(observation: &Observation, names: &Names) -> Line {
    match observation {
        Observation::Tainted { agent, until, .. } => {
            decision(format!("taints the lane for {}", names.until(*until))).by(agent.0)
        }
        Observation::Retried { operations } => {
            decision(format!("will try {} again", many(*operations, "operation")))
        }
        Observation::Split { operations } => decision(format!(
            "splits a request of {}",
            many(*operations, "operation")
        )),
        Observation::Conflict {
            agent, operations, ..
        } => decision(format!("{} in conflict", many(*operations, "operation"))).by(agent.0),
        Observation::UnknownSession { agent } => {
            decision("a session that does not exist").by(agent.0)
        }
        Observation::IdentityMismatch { agent, session } => decision("a session of another agent")
            .by(agent.0)
            .of(*session),
        Observation::BadFrame { agent, .. } => routine("counts a bad frame").by(agent.0),
        Observation::Duplicates { items } => decision(format!("{} twice", many(*items, "item"))),
        Observation::SessionOpened { agent, .. } => routine("counts an open session").by(agent.0),
        Observation::StartRefused { agent, .. } => routine("counts a refused Start").by(agent.0),
        Observation::SessionEnded {
            session,
            agent,
            status,
            reason,
            ..
        } => routine(format!("counts an ended session: {status}/{reason}"))
            .by(agent.0)
            .of(*session),
        Observation::StaleAnswer => decision("an answer that nobody waits for"),
    }
}
