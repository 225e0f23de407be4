//! A request that was refused whole as malformed is never sent again as it was: its halves are tried, so that one
//! document that cannot be taken is found among thousands (`docs/protocol.md` section 8). Judged at the
//! moment of the refusal: later a session may have had to wait, and begins again with the whole.

use inventory_sync_core::document::{Class, Part};
use inventory_sync_core::time::Tick;

use super::Oracles;

/// Requests that were refused at one moment, the latest, with their shards.
#[derive(Debug, Default)]
pub(super) struct Splits {
    at: Tick,
    refused: Vec<(u16, Vec<Part>)>,
}

impl Splits {
    /// A request was refused whole.
    pub(super) fn refused(&mut self, now: Tick, shard: u16, parts: &[Part]) {
        if self.at != now {
            self.at = now;
            self.refused.clear();
        }
        let operations: u64 = parts.iter().map(|part| part.ordinals.count()).sum();
        // Deletes may have to wait for their lane's taint, and go back to the others.
        let may_wait = parts.iter().any(|part| part.class != Class::Upsert);
        if operations > 1 && !may_wait {
            self.refused.push((shard, parts.to_vec()));
        }
    }
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
        if self.splits.at != self.now {
            return;
        }
        let again = self.splits.refused.iter().find(|(of, refused)| {
            *of == shard
                && refused
                    .iter()
                    .all(|one| parts.iter().any(|part| holds(part, one)))
        });
        if let Some((_, refused)) = again {
            let expected = format!("{refused:?}, which was refused whole, in halves");
            self.fail("P-8 split", expected, format!("{parts:?}"));
        }
    }
}
