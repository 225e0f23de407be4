//! What became of a session's operations.

use inventory_sync_core::answer::PartOutcome;
use inventory_sync_core::document::{Class, Part, Runs};
use inventory_sync_core::id::IndexId;

/// What is known of the operations of one class.
#[derive(Debug, Default)]
pub(super) struct Operations {
    pub(super) count: u32,
    pub(super) flying: Runs,
    pub(super) stored: Runs,
    pub(super) refused: Runs,
    pub(super) conflicts: Runs,
    /// Once in a request of unknown outcome.
    pub(super) unknown: Runs,
}

impl Operations {
    pub(super) fn of(count: u32) -> Self {
        Self {
            count,
            ..Self::default()
        }
    }

    pub(super) fn is_decided(&self) -> bool {
        let mut decided = self.stored.clone();
        decided.extend(&self.refused);
        decided.extend(&self.conflicts);
        decided.count() == u64::from(self.count)
    }
}

impl Operations {
    pub(super) fn check_part(&self, part: &Part) {
        assert!(!part.ordinals.is_empty(), "a part without operations");
        assert!(
            part.ordinals.last() < Some(self.count),
            "an operation that was not planned"
        );
        for run in part.ordinals.as_slice() {
            for (runs, what) in [
                (&self.flying, "is out already"),
                (&self.stored, "is stored already"),
                (&self.refused, "was refused"),
                (&self.conflicts, "met a conflict"),
            ] {
                let new = runs.missing_in(*run).count();
                assert_eq!(new, run.count(), "an operation is sent that {what}");
            }
        }
    }

    /// Takes in the answer to a part; returns what it leaves unknown.
    pub(super) fn learn(&mut self, part: &Part, outcome: &PartOutcome) -> Runs {
        let mut stored = part.ordinals.clone();
        let mut take = |runs: &Runs| runs.as_slice().iter().for_each(|run| stored.remove(*run));
        let of_indices = [
            &outcome.overloaded,
            &outcome.blocked,
            &outcome.missing,
            &outcome.forbidden,
            &outcome.refused,
        ];
        for (_, runs) in of_indices.into_iter().flatten() {
            take(runs);
        }
        take(&outcome.unknown);
        take(&outcome.conflicts);
        let is_counted = |(_, count): &(IndexId, u64)| *count;
        debug_assert_eq!(
            outcome.stored.iter().map(is_counted).sum::<u64>(),
            stored.count()
        );
        self.stored.extend(&stored);
        self.conflicts.extend(&outcome.conflicts);
        for (_, runs) in &outcome.refused {
            self.refused.extend(runs);
        }
        outcome.unknown.clone()
    }
}

/// The place of a class in a list of all.
pub(super) const fn place(class: Class) -> usize {
    match class {
        Class::Upsert => 0,
        Class::Delete => 1,
        Class::Removal => 2,
    }
}
