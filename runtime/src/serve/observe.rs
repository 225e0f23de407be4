//! What operators count and read: the machines' observations as metrics and logs. No label names an
//! agent.

use std::fmt;
use std::time::Duration;

use inventory_sync_core::config::Catalogue;
use inventory_sync_core::coordinator::{self, ListingReport};
use inventory_sync_core::document::Listing;
use inventory_sync_core::id::{AgentId, BulkId, RequestId, SessionId};
use inventory_sync_core::manager::{Health, IndexState, Observation, Tally};
use inventory_sync_core::wire::{ReqRet, Status};
use metrics::{counter, histogram};

use super::meters::Meters;
use super::status::Shared;
use crate::indexer::HttpOutcome;

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

pub(super) fn refused_connection(why: &'static str) {
    counter!("inventory_sync_connections_refused_total", "why" => why).increment(1);
}

pub(super) fn bulk(meters: &Meters, bulk: BulkId, operations: u64, bytes: u64) {
    meters.bulk_requests.increment(1);
    meters.bulk_operations.increment(operations);
    meters.bulk_bytes.increment(bytes);
    tracing::debug!(%bulk, operations, bytes, "bulk");
}

pub(super) fn bulk_answered(
    meters: &Meters,
    bulk: BulkId,
    duration: Duration,
    outcome: &HttpOutcome,
) {
    let name = match outcome {
        HttpOutcome::Answer {
            status: 200..=299, ..
        } => "answered",
        HttpOutcome::Answer { .. } => "refused",
        HttpOutcome::NotSent { .. } => "not_sent",
        HttpOutcome::Unknown { .. } => "unknown",
    };
    if name == "answered" {
        meters.bulk_answered.record(duration.as_secs_f64());
    } else {
        histogram!("inventory_sync_bulk_duration_seconds", "outcome" => name)
            .record(duration.as_secs_f64());
    }
    tracing::debug!(%bulk, outcome = name, ms = duration.as_millis(), "bulk answered");
}

// The way of a session, at debug: each step one line, written when it is taken. With the lines of bulk
// requests and verdicts they tell of every moment what was under way.

pub(super) fn opened(session: SessionId, agent: AgentId) {
    tracing::debug!(session = %Hex(session), %agent, "session opened");
}

pub(super) fn frame_staged(session: SessionId, key: u32, bytes: usize) {
    tracing::debug!(session = %Hex(session), key, bytes, "frame staged");
}

pub(super) fn gaps_asked_for(request: &ReqRet) {
    let session = Hex(SessionId(request.session));
    tracing::debug!(%session, ranges = request.seq.len(), "gaps are asked for");
}

pub(super) fn complete(session: SessionId, full: bool) {
    tracing::debug!(session = %Hex(session), full, "session complete");
}

pub(super) fn listing(request: RequestId, agents: usize) {
    tracing::debug!(%request, agents, "listing");
}

pub(super) fn listing_answered(
    request: RequestId,
    duration_ms: u64,
    outcome: &Result<Vec<Listing>, ListingReport>,
) {
    match outcome {
        Ok(listings) => {
            let documents: usize = listings.iter().map(Listing::len).sum();
            tracing::debug!(%request, agents = listings.len(), documents, ms = duration_ms, "listed");
        }
        Err(why) => tracing::debug!(%request, ?why, ms = duration_ms, "not listed"),
    }
}

/// A session's id as the store and operators write it.
struct Hex(SessionId);

impl fmt::Display for Hex {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0.0)
    }
}

pub(super) fn stored(meters: &Meters, tallies: &[Tally]) {
    let stored: u64 = tallies.iter().map(|tally| tally.stored).sum();
    meters.operations_stored.add(stored);
}

/// What a shard observed.
pub(super) fn shard(shared: &Shared, observation: &Observation) {
    let meters = &shared.meters;
    match observation {
        Observation::SessionOpened { .. } => meters.sessions_opened.add(1),
        Observation::StartRefused { agent, reason } => {
            counter!("inventory_sync_starts_refused_total", "reason" => reason.name()).increment(1);
            shared.count("starts_refused", 1);
            tracing::info!(%agent, reason = reason.name(), "a Start was refused");
        }
        Observation::SessionEnded {
            session,
            agent,
            module,
            status,
            reason,
            items,
            failed,
            unchanged,
            duration_ms,
            delivery_ms,
        } => {
            meters.items_unchanged.add(*unchanged);
            meters.items_failed.increment(*failed);
            meters.session_duration.record(seconds(*duration_ms));
            meters.delivery_duration.record(seconds(*delivery_ms));
            let session = Hex(*session);
            if *status == Status::Ok {
                meters.sessions_ok.add(1);
                // One line for each of many thousands that went as they should: only for who asks for it.
                tracing::debug!(
                    %session, %agent, module = module.0, items, unchanged, duration_ms, "session stored",
                );
            } else {
                counter!(
                    "inventory_sync_sessions_ended_total",
                    "status" => status.name(), "reason" => reason.name()
                )
                .increment(1);
                shared.count("sessions_not_ok", 1);
                tracing::warn!(
                    %session, %agent, module = module.0, items, failed, duration_ms,
                    status = status.name(), reason = reason.name(), "session not stored",
                );
            }
        }
        Observation::UnknownSession { agent } => {
            counter!("inventory_sync_unknown_sessions_total").increment(1);
            tracing::debug!(%agent, "a message for a session that does not exist");
        }
        Observation::IdentityMismatch { agent, session } => {
            counter!("inventory_sync_identity_mismatches_total").increment(1);
            shared.count("identity_mismatches", 1);
            tracing::warn!(%agent, %session, "an agent named what belongs to another one");
        }
        Observation::BadFrame { agent, flaw } => {
            counter!("inventory_sync_bad_frames_total").increment(1);
            tracing::info!(%agent, ?flaw, "a frame was no message for this manager");
        }
        Observation::Duplicates { items } => {
            counter!("inventory_sync_items_duplicate_total").increment(*items);
        }
        Observation::StaleAnswer => {
            counter!("inventory_sync_stale_answers_total").increment(1);
        }
        Observation::Conflict {
            agent,
            version,
            operations,
        } => {
            counter!("inventory_sync_conflicts_total").increment(*operations);
            shared.count("conflicts", *operations);
            shared.alert(
                "conflicts",
                format!("something else writes our documents: a conflict at version {version}"),
            );
            tracing::error!(%agent, %version, operations, "something else writes our documents");
        }
        Observation::Tainted {
            agent,
            module,
            until,
        } => {
            counter!("inventory_sync_taints_total").increment(1);
            tracing::info!(%agent, module = module.0, until_ms = until.0, "deletes wait: an outcome is unknown");
        }
        Observation::Retried { operations } => {
            counter!("inventory_sync_operations_retried_total").increment(*operations);
            shared.count("operations_retried", *operations);
        }
        Observation::Split { operations } => {
            counter!("inventory_sync_bulk_splits_total").increment(1);
            tracing::info!(operations, "a bulk request is split");
        }
    }
}

/// Refusals that pass by themselves.
const LOAD: [&str; 2] = ["rejected_execution_exception", "circuit_breaking_exception"];

/// A step towards the writer's lease is refused (`docs/protocol.md` section 8). Without the lease nothing is sent:
/// whoever can do something about it is told why, once for each reason.
pub(super) fn lease_refused(shared: &Shared, why: &str) {
    if LOAD.iter().any(|kind| why.contains(kind)) {
        tracing::warn!(why, "the lease was refused for load and is tried again");
        return;
    }
    let text = format!(
        "the lease cannot be taken or renewed, and without it nothing is sent or admitted: {why}; \
         `inventory-sync check` says what is missing"
    );
    if shared.alert(LEASE, text) {
        tracing::error!(why, "the lease cannot be taken or renewed");
    }
}

/// The writer document is written: whatever was in the lease's way is not any more.
pub(super) fn lease_held(shared: &Shared) {
    shared.clear_alert(LEASE);
}

/// The key of its alert.
const LEASE: &str = "writer";

/// What the coordinator observed.
pub(super) fn coordinator(
    shared: &Shared,
    catalogue: &Catalogue,
    observation: &coordinator::Observation,
) {
    match observation {
        coordinator::Observation::Health(Health::Ready) => {
            shared.clear_alert("health");
            tracing::info!("the Indexer is ready");
        }
        coordinator::Observation::Health(Health::Unready(why)) => {
            let why = super::status::unready(*why);
            shared.alert("health", format!("the Indexer takes nothing: {why}"));
            tracing::warn!(why, "the Indexer takes nothing");
        }
        coordinator::Observation::Lease { until } => {
            tracing::debug!(until_ms = until.0, "the lease is renewed");
        }
        coordinator::Observation::Bound(bound) => {
            tracing::trace!(%bound, "the version bound is raised");
        }
        coordinator::Observation::Index {
            index,
            state,
            detail,
        } => {
            let name = catalogue.index_name(*index);
            let key = format!("index {name}");
            match state {
                IndexState::Open => {
                    shared.clear_alert(&key);
                    tracing::debug!(index = name, "the index takes documents");
                }
                IndexState::NotReady => {
                    shared.alert(&key, format!("{name}: {detail}"));
                    tracing::warn!(index = name, detail, "the index is not written to");
                }
                IndexState::Paused { .. } => {
                    shared.alert(&key, format!("{name}: {detail}"));
                    tracing::warn!(index = name, detail, "the index is paused");
                }
                IndexState::Held => {
                    shared.alert(&key, format!("{name}: {detail}"));
                    tracing::error!(index = name, detail, "the index is held for an operator");
                }
            }
        }
        coordinator::Observation::ForeignWriter { writer } => {
            tracing::warn!(
                writer,
                "another writer has written here; waiting to see whether it lives"
            );
        }
        coordinator::Observation::ClockAhead { ahead_ms } => {
            let hours = ahead_ms / 3_600_000;
            shared.alert(
                "clock",
                format!("the clock and the version bound are {hours} h apart"),
            );
            tracing::error!(hours, "the clock and the version bound are far apart");
        }
    }
}
