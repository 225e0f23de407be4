//! What a session's operations weigh: requests are cut by what planning says, so that it must say enough
//! (`docs/protocol.md` section 8).

use std::collections::BTreeMap;

use inventory_sync_core::document::{ChunkLoad, Class, DiffSummary, Part, PlanSummary, Run};
use inventory_sync_core::id::{IndexId, SessionId};

use super::Oracles;

/// Operations of a class that were weighed together.
#[derive(Debug, Clone, Copy)]
struct Load {
    run: Run,
    bytes: u64,
}

/// What planning and comparing said of each session's operations.
#[derive(Debug, Default)]
pub(super) struct Loads {
    of: BTreeMap<(SessionId, Class), Vec<Load>>,
}

impl Loads {
    fn weigh(&mut self, session: SessionId, chunks: &[ChunkLoad]) {
        let upserts = chunks.iter().map(|load| (load.upserts, load.upsert_bytes));
        self.of.insert((session, Class::Upsert), loads(upserts));
        let deletes = chunks.iter().map(|load| (load.deletes, load.delete_bytes));
        self.of.insert((session, Class::Delete), loads(deletes));
    }

    pub(super) fn forget(&mut self, session: SessionId) {
        for class in [Class::Upsert, Class::Delete, Class::Removal] {
            self.of.remove(&(session, class));
        }
    }

    /// How many operations of a class it has.
    pub(super) fn operations(&self, session: SessionId, class: Class) -> u64 {
        let loads = self.of.get(&(session, class)).into_iter().flatten();
        loads.map(|load| load.run.count()).sum()
    }

    /// The bytes that a part may have, where it is made of whole loads.
    fn most(&self, part: &Part) -> Option<u64> {
        let loads = self.of.get(&(part.session, part.class))?;
        let mut operations = 0;
        let mut bytes = 0;
        for load in loads {
            if part.ordinals.missing_in(load.run).is_empty() {
                operations += load.run.count();
                bytes += load.bytes;
            }
        }
        (operations == part.ordinals.count()).then_some(bytes)
    }
}

/// Numbers the operations.
fn loads(chunks: impl Iterator<Item = (u32, u64)>) -> Vec<Load> {
    let mut first = 0;
    let mut loads = Vec::new();
    for (operations, bytes) in chunks.filter(|(operations, _)| *operations > 0) {
        let run = Run::new(first, first + operations - 1);
        first += operations;
        loads.push(Load { run, bytes });
    }
    loads
}

impl Oracles {
    /// A session was planned.
    pub(super) fn hear_plan(&mut self, session: SessionId, plan: &PlanSummary) {
        self.loads.weigh(session, &plan.chunks);
        self.judge_counts(session, &plan.chunks, 0, &plan.operations);
    }

    /// A session was compared with its listing.
    pub(super) fn hear_diff(&mut self, session: SessionId, diff: &DiffSummary) {
        self.loads.weigh(session, &diff.chunks);
        let removals = loads(std::iter::once((diff.removals, diff.removal_bytes)));
        self.loads.of.insert((session, Class::Removal), removals);
        self.judge_counts(session, &diff.chunks, diff.removals, &diff.operations);
    }

    /// A session waits for the indices that its operations are for: all of them are counted, by index.
    fn judge_counts(
        &mut self,
        session: SessionId,
        chunks: &[ChunkLoad],
        removals: u32,
        operations: &[(IndexId, u64)],
    ) {
        let weighed = chunks
            .iter()
            .map(|load| u64::from(load.upserts) + u64::from(load.deletes));
        let all = weighed.sum::<u64>() + u64::from(removals);
        let counted: u64 = operations.iter().map(|(_, count)| count).sum();
        let is_ordered = operations.is_sorted_by(|one, next| one.0 < next.0);
        if counted != all || !is_ordered || operations.iter().any(|(_, count)| *count == 0) {
            let expected = format!("the {all} operations of session {session}, by index");
            self.fail(
                "P-8 planned operations",
                expected,
                format!("{operations:?}"),
            );
        }
    }

    /// A part was rendered: it has no more bytes than were said to be in it.
    pub(crate) fn judge_load_of_part(&mut self, part: &Part, bytes: usize) {
        if let Some(most) = self.loads.most(part)
            && bytes as u64 > most
        {
            let expected = format!("at most {most} bytes, as was planned, for {part:?}");
            self.fail("P-8 planned bytes", expected, format!("{bytes}"));
        }
    }
}
