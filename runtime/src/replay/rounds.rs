//! Which documents an agent has after each round, and what a round brings of them.
//!
//! ```text
//!  round 0       slots 0..N, all new
//!  round k > 0   a walk over the slots, drawn from (seed, agent, k):
//!                the first D of them are deleted and new documents take their places, the next C change
//! ```
//!
//! Invariants: a round is a pure function of seed, agent and number; a delta brings one row at least; no two
//! rows of a round are about one document.

use inventory_sync_core::wire::{Mode, Operation};

use super::content::Revision;
use super::random::{Mix, Stream};

/// What rounds are like, for every agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    /// What is drawn is drawn from it.
    pub(super) seed: u64,
    /// Documents of an agent, from 1.
    pub(super) documents: u32,
    /// Mode of round 0.
    pub(super) first: Mode,
    /// Mode of every later round.
    pub(super) later: Mode,
    /// Of 100 documents so many change in a later round.
    pub(super) changed_percent: u32,
    /// Of 100 documents so many are deleted, and as many added, in a later round.
    pub(super) deleted_percent: u32,
}

impl Shape {
    /// Documents that a later round deletes, and that it changes.
    fn counts(&self) -> (u32, u32) {
        let share = |percent: u32| {
            let count = u64::from(self.documents) * u64::from(percent) / 100;
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        let deleted = share(self.deleted_percent).min(self.documents);
        let changed = share(self.changed_percent).min(self.documents - deleted);
        // A delta of nothing is refused.
        if deleted + changed == 0 {
            (0, 1)
        } else {
            (deleted, changed)
        }
    }

    /// Mode of a round.
    pub(super) const fn mode(&self, round: u32) -> Mode {
        if round == 0 { self.first } else { self.later }
    }
}

/// The slots of a round in the order in which it comes to them; each comes once.
#[derive(Debug, Clone, Copy, Default)]
struct Walk {
    first: u64,
    step: u64,
    slots: u64,
}

impl Walk {
    fn new(shape: &Shape, agent: u64, round: u32) -> Self {
        let slots = u64::from(shape.documents.max(1));
        let mut draw = Mix::new(shape.seed, Stream::Rounds)
            .with(agent)
            .with(u64::from(round));
        let next = draw.next() % slots;
        let mut step = 1 + draw.next() % slots;
        // A step without a common divisor comes to every slot.
        while greatest_common_divisor(step, slots) != 1 {
            step += 1;
        }
        Self {
            first: next,
            step,
            slots,
        }
    }

    /// The slot at that place of the walk.
    fn at(self, place: u32) -> u32 {
        // Slots are few millions, so that the product stays far below 2^64.
        let slot = (self.first + u64::from(place) * self.step) % self.slots.max(1);
        u32::try_from(slot).unwrap_or(u32::MAX)
    }
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The documents of one agent, as of one round. Of round 0 it keeps nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    round: u32,
    /// Born, revised, version of each slot; empty while all are as round 0 left them.
    slots: Vec<(u32, u32, u32)>,
    /// What the round deleted: a slot, and when its document was born.
    deleted: Vec<(u32, u32)>,
    changed: u32,
    walk: Walk,
}

/// One row of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    /// A document as it is now.
    Upsert(Revision),
    /// A document is gone.
    Delete {
        /// Where it was.
        slot: u32,
        /// Since when.
        born: u32,
    },
}

impl Row {
    /// What is done.
    pub(super) const fn operation(self) -> Operation {
        match self {
            Self::Upsert(_) => Operation::Upsert,
            Self::Delete { .. } => Operation::Delete,
        }
    }
}

impl Book {
    /// Goes on to that round, over those between. It never goes back.
    pub(super) fn advance(&mut self, shape: &Shape, agent: u64, round: u32) {
        while self.round < round {
            self.round += 1;
            self.step(shape, agent);
        }
    }

    fn step(&mut self, shape: &Shape, agent: u64) {
        if self.slots.is_empty() {
            let documents = usize::try_from(shape.documents).unwrap_or(0);
            self.slots = vec![(0, 0, 1); documents];
        }
        let (deleted, changed) = shape.counts();
        self.walk = Walk::new(shape, agent, self.round);
        self.deleted.clear();
        for place in 0..deleted + changed {
            let slot = self.walk.at(place);
            let Some(state) = usize::try_from(slot)
                .ok()
                .and_then(|slot| self.slots.get_mut(slot))
            else {
                continue;
            };
            if place < deleted {
                self.deleted.push((slot, state.0));
                *state = (self.round, self.round, 1);
            } else {
                *state = (state.0, self.round, state.2 + 1);
            }
        }
        self.changed = changed;
    }

    /// How many rows the round has.
    pub(super) fn size(&self, shape: &Shape) -> u32 {
        if self.round == 0 || shape.later == Mode::Full {
            return shape.documents;
        }
        let deleted = u32::try_from(self.deleted.len()).unwrap_or(u32::MAX);
        2 * deleted + self.changed
    }

    /// A row by its number. A delta's are: what is deleted, what is new, what has changed.
    pub(super) fn row(&self, shape: &Shape, number: u32) -> Row {
        if self.round == 0 || shape.later == Mode::Full {
            return Row::Upsert(self.document(number));
        }
        let deleted = u32::try_from(self.deleted.len()).unwrap_or(u32::MAX);
        let gone = usize::try_from(number)
            .ok()
            .and_then(|at| self.deleted.get(at));
        if let Some(&(slot, born)) = gone {
            return Row::Delete { slot, born };
        }
        Row::Upsert(self.document(self.walk.at(number - deleted)))
    }

    /// A document as it is now.
    pub(super) fn document(&self, slot: u32) -> Revision {
        let state = usize::try_from(slot)
            .ok()
            .and_then(|slot| self.slots.get(slot));
        let (born, revised, version) = state.copied().unwrap_or((0, 0, 1));
        Revision {
            slot,
            born,
            revised,
            version,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn shape(documents: u32, changed_percent: u32, deleted_percent: u32, later: Mode) -> Shape {
        Shape {
            seed: 11,
            documents,
            first: Mode::Full,
            later,
            changed_percent,
            deleted_percent,
        }
    }

    fn rows(book: &Book, shape: &Shape) -> Vec<Row> {
        (0..book.size(shape))
            .map(|number| book.row(shape, number))
            .collect()
    }

    /// Applies the rows as the manager does, and compares with what the book says is left.
    #[test]
    fn the_rows_of_all_rounds_leave_what_the_book_says() {
        for later in [Mode::Delta, Mode::Full] {
            for (documents, changed, deleted) in [
                (1, 0, 0),
                (1, 100, 0),
                (1, 0, 100),
                (97, 10, 5),
                (100, 60, 60),
                (12, 1, 1),
            ] {
                let shape = shape(documents, changed, deleted, later);
                let mut book = Book::default();
                let mut stored: BTreeMap<(u32, u32), Revision> = BTreeMap::new();
                for round in 0..12 {
                    book.advance(&shape, 3, round);
                    let rows = rows(&book, &shape);
                    assert!(!rows.is_empty());
                    if shape.mode(round) == Mode::Full {
                        stored.clear();
                    }
                    let mut named = BTreeSet::new();
                    for row in rows {
                        match row {
                            Row::Upsert(document) => {
                                let id = (document.slot, document.born);
                                assert!(named.insert(id), "{id:?} twice in round {round}");
                                stored.insert(id, document);
                            }
                            Row::Delete { slot, born } => {
                                assert!(named.insert((slot, born)));
                                assert!(stored.remove(&(slot, born)).is_some());
                            }
                        }
                    }
                    let left: Vec<Revision> =
                        (0..documents).map(|slot| book.document(slot)).collect();
                    assert_eq!(stored.values().copied().collect::<Vec<_>>(), left);
                }
            }
        }
    }

    #[test]
    fn a_delta_has_the_share_that_was_asked_for() {
        let shape = shape(1_000, 10, 2, Mode::Delta);
        let mut book = Book::default();
        assert_eq!(book.size(&shape), 1_000);
        book.advance(&shape, 1, 1);
        let rows = rows(&book, &shape);
        let deletes = rows
            .iter()
            .filter(|row| row.operation() == Operation::Delete);
        assert_eq!((rows.len(), deletes.count()), (140, 20));
    }

    #[test]
    fn a_round_is_the_same_whether_those_before_it_were_seen_or_not() {
        let shape = shape(50, 20, 10, Mode::Delta);
        let mut slow = Book::default();
        for round in 0..=9 {
            slow.advance(&shape, 5, round);
        }
        let mut quick = Book::default();
        quick.advance(&shape, 5, 9);
        assert_eq!(rows(&slow, &shape), rows(&quick, &shape));
        let mut other = Book::default();
        other.advance(&shape, 6, 9);
        assert_ne!(rows(&other, &shape), rows(&quick, &shape));
    }
}
