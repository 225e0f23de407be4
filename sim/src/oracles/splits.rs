//! A request that was refused whole as malformed is never sent again as it was: its halves are tried, so that one
//! document that cannot be taken is found among thousands (`docs/protocol.md` section 8). Judged at
//! once: a session that has to wait forgets its halves, and begins again with the whole.

use std::collections::VecDeque;

use inventory_sync_core::document::{Class, Part};
use inventory_sync_core::id::SessionId;
use inventory_sync_core::time::Tick;

use super::Oracles;

/// Requests that are remembered: a shard has few in the air.
const REQUESTS_MAX: usize = 64;

/// Requests that were refused, the latest last.
#[derive(Debug, Default)]
pub(super) struct Splits {
    refused: VecDeque<(Tick, u16, Vec<Part>)>,
}

impl Splits {
    /// A request was refused whole.
    pub(super) fn refused(&mut self, now: Tick, shard: u16, parts: &[Part]) {
        let operations: u64 = parts.iter().map(|part| part.ordinals.count()).sum();
        // Deletes may have to wait for their lane's taint, and go back to the others.
        let may_wait = parts.iter().any(|part| part.class != Class::Upsert);
        if operations < 2 || may_wait {
            return;
        }
        if self.refused.len() == REQUESTS_MAX {
            self.refused.pop_front();
        }
        self.refused.push_back((now, shard, parts.to_vec()));
    }

    /// Something else became of operations: what they were sent with says nothing any more.
    pub(super) fn answered(&mut self, parts: &[Part]) {
        self.refused.retain(|(_, _, refused)| {
            !refused
                .iter()
                .any(|one| parts.iter().any(|part| meets(part, one)))
        });
    }

    pub(super) fn forget(&mut self, session: SessionId) {
        self.refused
            .retain(|(_, _, refused)| refused.iter().all(|part| part.session != session));
    }
}

/// Whether both hold an operation.
fn meets(one: &Part, other: &Part) -> bool {
    one.session == other.session
        && one.class == other.class
        && one
            .ordinals
            .as_slice()
            .iter()
            .any(|run| other.ordinals.missing_in(*run).count() < run.count())
}

/// Whether one holds all operations of the other.
fn holds(one: &Part, other: &Part) -> bool {
    let runs = other.ordinals.as_slice();
    one.session == other.session
        && one.class == other.class
        && runs
            .iter()
            .all(|run| one.ordinals.missing_in(*run).is_empty())
}

impl Oracles {
    /// A request is about to be sent.
    pub(super) fn judge_split(&mut self, shard: u16, parts: &[Part]) {
        let again = self.splits.refused.iter().find(|(at, of, refused)| {
            *at == self.now
                && *of == shard
                && refused
                    .iter()
                    .all(|one| parts.iter().any(|part| holds(part, one)))
        });
        if let Some((_, _, refused)) = again {
            let expected = format!("{refused:?}, which was refused whole, in halves");
            self.fail("P-8 split", expected, format!("{parts:?}"));
        }
    }
}
