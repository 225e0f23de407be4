//! Tests of the agent machine: transcripts to be read, rules to be kept, any events at all, and a world
//! that loses, repeats and forgets.

mod desk;
mod flow;
mod lossy;
mod properties;
mod rules;
mod transcripts;

use crate::agent::{Config, Job, JobId};
use crate::id::AgentId;
use crate::wire::{EndAck, FailedItem, Mode, Pair, Reason, ReqRet, StartAck, Status};

/// Defaults with round backoffs and small loads.
fn config() -> Config {
    Config {
        load_items_max: 4,
        loads_max: 2,
        ..Config::new(AgentId(7), "syscollector")
    }
}

fn job(id: u64, size: u32) -> Job {
    Job {
        id: JobId(id),
        mode: Mode::Delta,
        indices: vec!["wazuh-states-inventory-packages".to_owned()],
        size,
        id_from: None,
        id_to: None,
        give_up_after_ms: None,
    }
}

/// A StartAck that opens a session; the nonce is filled in by the desk.
fn opened(session: u64) -> StartAck {
    StartAck {
        session,
        module: "syscollector".to_owned(),
        idle_timeout_ms: 10_000,
        ..StartAck::default()
    }
}

fn refused(status: Status, reason: Reason, retry_after_ms: u32) -> StartAck {
    StartAck {
        status,
        reason,
        retry_after_ms,
        session: u64::MAX,
        module: "syscollector".to_owned(),
        ..StartAck::default()
    }
}

fn verdict(session: u64, status: Status, reason: Reason) -> EndAck {
    EndAck {
        status,
        session,
        reason,
        module: "syscollector".to_owned(),
        ..EndAck::default()
    }
}

fn partial(session: u64, failed: &[(u64, bool)], failed_more: bool) -> EndAck {
    let failed = failed.iter().map(|(seq, retryable)| FailedItem {
        seq: *seq,
        status: if *retryable { 429 } else { 400 },
        kind: "an_exception".to_owned(),
        reason: if *retryable {
            Reason::Overloaded
        } else {
            Reason::IndexerRejected
        },
        retryable: *retryable,
        detail: String::new(),
    });
    EndAck {
        failed: failed.collect(),
        failed_more,
        ..verdict(session, Status::Error, Reason::PartiallyRejected)
    }
}

fn missing(session: u64, ranges: &[(u64, u64)]) -> ReqRet {
    ReqRet {
        seq: ranges
            .iter()
            .map(|(begin, end)| Pair {
                begin: *begin,
                end: *end,
            })
            .collect(),
        session,
        module: "syscollector".to_owned(),
    }
}
