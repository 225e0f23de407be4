//! What an EndAck and a refused Start mean (`docs/protocol.md` section 4), as pure functions.

use super::command::{Acknowledgement, Cause, Contradiction, FailedRow, Outcome};
use crate::bug::{Bug, is_planted};
use crate::id::SessionId;
use crate::wire::{EndAck, FailedItem, Reason, Status};

/// What an EndAck for our session says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Verdict {
    /// The manager has everything and is at work.
    Processing,
    /// Rows may be forgotten.
    Acknowledged(Box<Acknowledgement>),
    /// Nothing may be forgotten.
    Nothing(Cause),
}

/// Which message a reason stands in: "unknown module" and a frame damaged on its way share one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// In a StartAck.
    AtStart,
    /// In an EndAck.
    AtEnd,
}

/// Reads an EndAck for a session of `size` rows. Whatever contradicts itself acknowledges nothing.
pub(super) fn judge(ack: &EndAck, session: SessionId, size: u32) -> Verdict {
    let is_partial = match ack.status {
        Status::Processing if is_planted(Bug::ProcessingTakenAsOk) => false,
        Status::Processing => return Verdict::Processing,
        Status::Ok => !ack.failed.is_empty() || ack.failed_more,
        Status::Error => ack.reason == Reason::PartiallyRejected,
        Status::Offline | Status::ChecksumMismatch => false,
    };
    if is_partial {
        return partial(ack, session, size).map_or(
            Verdict::Nothing(Cause::Contradiction(Contradiction::FailedList)),
            |rows| Verdict::Acknowledged(Box::new(rows)),
        );
    }
    let is_taken = ack.status == Status::Processing && is_planted(Bug::ProcessingTakenAsOk);
    if ack.status == Status::Ok || is_taken {
        let all = Acknowledgement {
            session,
            upto: size,
            failed: Vec::new(),
        };
        return Verdict::Acknowledged(Box::new(all));
    }
    Verdict::Nothing(Cause::Refused {
        status: ack.status,
        reason: ack.reason,
        detail: ack.detail.clone(),
    })
}

/// The rows that a partial rejection leaves acknowledged: those not listed; with `failed_more`, of
/// those only the ones below the last listed.
fn partial(ack: &EndAck, session: SessionId, size: u32) -> Option<Acknowledgement> {
    let mut failed = Vec::with_capacity(ack.failed.len());
    for item in &ack.failed {
        failed.push(failed_row(item, size)?);
    }
    failed.sort_by_key(|row| row.seq);
    failed.dedup_by_key(|row| row.seq);
    let last = failed.last()?.seq;
    if is_planted(Bug::FailedListIgnored) {
        failed.clear();
    }
    let upto = if ack.failed_more && !is_planted(Bug::CutListIgnored) {
        last + 1
    } else {
        size
    };
    Some(Acknowledgement {
        session,
        upto,
        failed,
    })
}

/// `None` for a row that the session did not carry.
fn failed_row(item: &FailedItem, size: u32) -> Option<FailedRow> {
    let seq = u32::try_from(item.seq).ok().filter(|seq| *seq < size)?;
    let seq = seq.saturating_sub(u32::from(is_planted(Bug::FailedRowsShifted)));
    Some(FailedRow {
        seq,
        status: item.status,
        kind: item.kind.clone(),
        reason: item.reason,
        retryable: item.retryable,
        detail: item.detail.clone(),
    })
}

/// How a job of `size` rows ends with this acknowledgement.
pub(super) fn outcome(acknowledgement: &Acknowledgement, size: u32) -> Outcome {
    let count = |rows: usize| u32::try_from(rows).unwrap_or(u32::MAX);
    let failed = count(acknowledgement.failed.len());
    if failed == 0 && acknowledgement.upto == size {
        return Outcome::Acknowledged;
    }
    Outcome::PartiallyAcknowledged {
        acknowledged: acknowledgement.upto.saturating_sub(failed),
        retryable: count(acknowledgement.retryable().count()),
        quarantined: count(acknowledgement.quarantined().count()),
        unlisted: size.saturating_sub(acknowledgement.upto),
    }
}

/// Whether the same job can succeed later, in a new session. What cannot fails visibly; its rows are
/// kept all the same.
pub(super) const fn is_permanent(reason: Reason, stands: Stands) -> bool {
    match reason {
        // An unknown module. In an EndAck it may be a frame that was damaged on its way.
        Reason::InvalidMessage => matches!(stands, Stands::AtStart),
        Reason::UnsupportedVersion
        | Reason::IdentityMismatch
        | Reason::SequenceOutOfRange
        | Reason::InvalidOperation
        | Reason::InvalidPayload
        | Reason::IndexNotAllowed
        | Reason::SizeInvalid
        | Reason::ClusterMismatch
        | Reason::AgentRemoved
        // The caller owes a Full first; its `resync` list says of what.
        | Reason::ResyncRequired => true,
        Reason::None
        | Reason::SessionNotFound
        | Reason::SessionExists
        | Reason::SessionReplaced
        | Reason::Overloaded
        | Reason::AgentBusy
        | Reason::IndexerUnavailable
        | Reason::IndexerRejected
        | Reason::SessionTimeout
        | Reason::StorageFailure
        | Reason::ShuttingDown
        | Reason::PartiallyRejected
        | Reason::VersionConflict => false,
    }
}
