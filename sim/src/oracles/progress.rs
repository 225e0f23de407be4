//! Deliveries that come nearer to their ends: none is given up for its time (`docs/protocol.md` section 5).
//!
//! ```text
//!  listed ── answer ──── answer ─────────────── verdict: nothing was delivered
//!         └─ decides ─┘└ decides ┘└ the deadline, at least ┘
//! ```

use inventory_sync_core::answer::PartOutcome;
use inventory_sync_core::id::SessionId;
use inventory_sync_core::wire::{EndAck, Reason};

use super::Oracles;

/// How a verdict begins that gives a delivery up because nothing of it was decided any more. The other verdicts
/// of the same reason name indices that take nothing.
const STANDSTILL: &str = "nothing was delivered";

impl Oracles {
    /// A shard hears of a complete listing for a session, or that some of its operations are decided.
    pub(super) fn heard_progress(&mut self, session: SessionId) {
        let (now, deadline_ms) = (self.now, self.config.delivery_deadline_ms);
        if let Some(known) = self.sessions.get_mut(&session) {
            known.stood_still = known.has_stood_still(now, deadline_ms);
            known.progressed = Some(now);
        }
    }

    /// A delivery is given up for its time only after it stood still for as long as that.
    pub(super) fn judge_given_up(&mut self, session: SessionId, ack: &EndAck) {
        if ack.reason != Reason::IndexerUnavailable || !ack.detail.starts_with(STANDSTILL) {
            return;
        }
        let Some(known) = self.sessions.get(&session) else {
            return;
        };
        let deadline_ms = self.config.delivery_deadline_ms;
        if !known.has_stood_still(self.now, deadline_ms) {
            let stands_ms = self.now.since(known.stands_since());
            let expected = format!(
                "session {session} is given up when nothing of it was decided for {deadline_ms} ms"
            );
            let seen = format!("something was, {stands_ms} ms ago: {}", ack.detail);
            self.fail("P-5 progress", expected, seen);
        }
    }
}

/// Whether an answer decides something of a part.
pub(super) fn is_progress(outcome: &PartOutcome) -> bool {
    let stored = outcome.stored.iter().any(|(_, count)| *count > 0);
    stored || !outcome.refused.is_empty() || !outcome.conflicts.is_empty()
}
