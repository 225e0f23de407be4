//! Frames between agent and manager, and bulk requests with their answers.

use inventory_sync_core::answer::{BulkOutcome, PartOutcome, Refusal};
use inventory_sync_core::document::{Class as OperationClass, Part, Run, Runs};
use inventory_sync_core::id::{AgentId, BulkId, SessionId};
use inventory_sync_core::wire::{self, EndAck, Message, Reason, ReqRet, Start, StartAck, Status};

use super::{Describe, Line, Says, many, runs_text, sequences};
use crate::chart::recorder::Names;
use crate::chart::recording::Class;
use crate::indexer_node::Fate;
use crate::network::Packet;

/// A frame of an agent or for an agent.
pub(crate) fn frame(packet: &Packet, _: &Names, agent: AgentId) -> Line {
    let garbage = || {
        let label = format!("garbage, {}", many(packet.bytes().len() as u64, "byte"));
        Line::new(Class::Message, label)
    };
    let Ok(message) = wire::decode(packet.bytes()) else {
        return garbage();
    };
    match message {
        Message::Start(message) => start(&message).by(agent.0),
        Message::Data(data) => items(std::iter::once(data.seq())).of(SessionId(data.session())),
        Message::DataBatch(batch) => {
            items(batch.iter().map(|data| data.seq())).of(SessionId(batch.session()))
        }
        Message::End(end) => message_line("End".to_owned()).of(SessionId(end.session)),
        Message::StartAck(ack) => start_ack(&ack, agent.0),
        Message::EndAck(ack) => end_ack(&ack),
        Message::ReqRet(request) => req_ret(&request),
        Message::Hello(_) => message_line("Hello".to_owned()),
        Message::DataClean(_)
        | Message::DataContext(_)
        | Message::ChecksumModule(_)
        | Message::Unknown { .. } => garbage(),
    }
}

pub(super) fn message_line(label: String) -> Line {
    Line::new(Class::Message, label)
}

fn items(all: impl Iterator<Item = u64>) -> Line {
    let mut runs = Runs::new();
    for seq in all {
        let seq = u32::try_from(seq).unwrap_or(u32::MAX);
        runs.insert(Run::one(seq));
    }
    message_line(format!("Data {}", sequences(&runs)))
}

pub(super) fn start(start: &Start) -> Line {
    let mode = start
        .mode
        .map_or_else(|| "unknown mode".to_owned(), |mode| mode.to_string());
    let about = format!("{mode} of {}, {}", many(start.size, "item"), start.module);
    let says = Says::Start {
        agent: start.agent_id,
        nonce: start.nonce,
        about: about.clone(),
    };
    let of = if start.indices.is_empty() {
        String::new()
    } else {
        format!(" in {}", start.indices.join(", "))
    };
    message_line(format!("Start {about}{of}")).saying(says)
}

fn outcome_text(status: Status, reason: Reason) -> String {
    match reason {
        Reason::None => status.to_string(),
        _ => format!("{status}/{reason}"),
    }
}

pub(super) fn start_ack(ack: &StartAck, agent: u64) -> Line {
    let mut label = format!("StartAck {}", outcome_text(ack.status, ack.reason));
    if ack.retry_after_ms > 0 && ack.status != Status::Ok {
        label.push_str(&format!(", again in {} ms", ack.retry_after_ms));
    }
    let line = message_line(label);
    if ack.status == Status::Ok {
        let session = SessionId(ack.session);
        let nonce = ack.nonce;
        line.of(session).saying(Says::Opened {
            agent,
            nonce,
            session,
        })
    } else {
        line
    }
}

pub(super) fn end_ack(ack: &EndAck) -> Line {
    let mut label = outcome_text(ack.status, ack.reason);
    if !ack.failed.is_empty() {
        let mut runs = Runs::new();
        for item in &ack.failed {
            runs.insert(Run::one(u32::try_from(item.seq).unwrap_or(u32::MAX)));
        }
        label.push_str(&format!(": failed {}", sequences(&runs)));
    }
    if ack.retry_after_ms > 0 {
        label.push_str(&format!(", again in {} ms", ack.retry_after_ms));
    }
    if !ack.resync.is_empty() {
        label.push_str(&format!(", resync {}", ack.resync.join(", ")));
    }
    message_line(label).of(SessionId(ack.session))
}

pub(super) fn req_ret(request: &ReqRet) -> Line {
    let runs: Vec<Run> = request
        .seq
        .iter()
        .map(|pair| {
            let first = u32::try_from(pair.begin).unwrap_or(u32::MAX);
            Run::new(
                first,
                u32::try_from(pair.end).unwrap_or(u32::MAX).max(first),
            )
        })
        .collect();
    message_line(format!("ReqRet {}", runs_text(&runs))).of(SessionId(request.session))
}

/// A bulk request.
pub(crate) fn bulk_sent(bulk: BulkId, parts: &[Part], names: &Names) -> Line {
    let operations: u64 = parts.iter().map(|part| part.ordinals.count()).sum();
    let removals: u64 = parts
        .iter()
        .filter(|part| part.class != OperationClass::Upsert)
        .map(|part| part.ordinals.count())
        .sum();
    let what = match (operations, removals) {
        (_, 0) => many(operations, "upsert"),
        (all, some) if all == some => many(operations, "delete"),
        _ => format!(
            "{}, {}",
            many(operations - removals, "upsert"),
            many(removals, "delete")
        ),
    };
    let mut sessions: Vec<String> = parts
        .iter()
        .map(|part| names.session(part.session))
        .collect();
    sessions.dedup();
    // A line names its own session anyway.
    let of = match sessions.len() {
        0 | 1 => String::new(),
        _ => format!(" of {}", sessions.join(", ")),
    };
    let line = message_line(format!("bulk #{bulk}: {what}{of}"));
    match parts {
        [first, ..] => line.of(first.session),
        [] => line,
    }
}

/// The answer to a bulk request.
pub(crate) fn bulk_answered(bulk: BulkId, status: u16, outcome: &BulkOutcome) -> Line {
    let what = match outcome {
        BulkOutcome::Answered { .. } => outcome_of(outcome),
        _ => status.to_string(),
    };
    message_line(format!("bulk #{bulk} answered: {what}"))
}

/// What became of a bulk request.
pub(super) fn outcome_of(outcome: &BulkOutcome) -> String {
    match outcome {
        BulkOutcome::Answered { parts } => answered(parts),
        BulkOutcome::NotSent => "not sent".to_owned(),
        BulkOutcome::Unknown => "outcome unknown".to_owned(),
        BulkOutcome::Refused {
            refusal, status, ..
        } => {
            let why = match refusal {
                Refusal::TooLarge => "too large",
                Refusal::Overloaded => "overloaded",
                Refusal::Unauthorized => "unauthorised",
                Refusal::Forbidden => "forbidden",
                Refusal::Malformed => "malformed",
            };
            format!("refused {status}, {why}")
        }
        BulkOutcome::ReadFailed { .. } => "staged data cannot be read".to_owned(),
    }
}

fn answered(parts: &[PartOutcome]) -> String {
    let of = |count: &dyn Fn(&PartOutcome) -> u64| parts.iter().map(count).sum::<u64>();
    let runs = |list: &[(inventory_sync_core::id::IndexId, Runs)]| {
        list.iter().map(|(_, runs)| runs.count()).sum::<u64>()
    };
    let counts = [
        (
            of(&|part| part.stored.iter().map(|(_, count)| count).sum()),
            "stored",
        ),
        (of(&|part| runs(&part.overloaded)), "overloaded"),
        (of(&|part| runs(&part.blocked)), "blocked"),
        (of(&|part| runs(&part.missing)), "without index"),
        (of(&|part| runs(&part.forbidden)), "forbidden"),
        (of(&|part| part.unknown.count()), "unknown"),
        (of(&|part| runs(&part.refused)), "refused"),
        (of(&|part| part.conflicts.count()), "in conflict"),
    ];
    let texts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if texts.is_empty() {
        "nothing".to_owned()
    } else {
        texts.join(", ")
    }
}

/// What is strange about the way of a bulk request.
pub(crate) fn fate_remark(fate: Fate) -> String {
    let landing = |after_ms: u64| super::seconds(after_ms);
    match fate {
        Fate::Sound | Fate::Refused(_) => String::new(),
        Fate::Garbled | Fate::NotJson | Fate::Empty | Fate::Huge => {
            "its answer cannot be understood".to_owned()
        }
        Fate::NotSent => "not sent".to_owned(),
        Fate::Lost => "lost".to_owned(),
        Fate::AnswerLost => "its answer is lost".to_owned(),
        Fate::Late(ms) => format!("late: lands {} after it is given up", landing(ms)),
        Fate::LateInPart(ms, _) => {
            format!("late: a part lands {} after it is given up", landing(ms))
        }
        Fate::Reset(ms) => format!("its connection breaks; lands {} later", landing(ms)),
    }
}

impl Describe for (BulkId, Fate) {
    fn describe(&self, _: &Names) -> Option<Line> {
        // The request itself carries the remark.
        None
    }
}
