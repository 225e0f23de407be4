//! The order of things: a queue by virtual time, in which what falls on the same millisecond is ordered
//! by a draw from the seed, so that no code can rely on an order that the world does not promise.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use inventory_sync_core::time::Tick;

use crate::choices::Draws;
use crate::streams::Stream;

/// Something that happens at a tick.
#[derive(Debug)]
struct Entry<T> {
    at: Tick,
    tie: u64,
    number: u64,
    what: T,
}

impl<T> Entry<T> {
    fn rank(&self) -> (Tick, u64, u64) {
        (self.at, self.tie, self.number)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        // Reversed: the heap gives its greatest, and we want the earliest.
        other.rank().cmp(&self.rank())
    }
}

/// What is going to happen. The clock is the tick of what was taken last; it never goes back.
#[derive(Debug)]
pub(crate) struct Schedule<T> {
    heap: BinaryHeap<Entry<T>>,
    ties: Stream,
    now: Tick,
    pushed: u64,
}

impl<T> Schedule<T> {
    /// Nothing is planned; time begins at `start`.
    pub(crate) fn new(draws: &Draws, start: Tick) -> Self {
        Self {
            heap: BinaryHeap::new(),
            ties: Stream::new(draws, "ties"),
            now: start,
            pushed: 0,
        }
    }

    /// The present.
    pub(crate) fn now(&self) -> Tick {
        self.now
    }

    /// Plans something; what lies in the past happens now.
    pub(crate) fn at(&mut self, at: Tick, what: T) {
        let tie = self.ties.bits();
        self.pushed += 1;
        self.heap.push(Entry {
            at: at.max(self.now),
            tie,
            number: self.pushed,
            what,
        });
    }

    /// Plans something after a while.
    pub(crate) fn after(&mut self, delay_ms: u64, what: T) {
        self.at(self.now.after(delay_ms), what);
    }

    /// Nothing happens until then: the clock moves on.
    pub(crate) fn wait_until(&mut self, at: Tick) {
        debug_assert!(
            self.next().is_none_or(|next| next >= at),
            "something happens before"
        );
        self.now = self.now.max(at);
    }

    /// When the next thing happens.
    pub(crate) fn next(&self) -> Option<Tick> {
        self.heap.peek().map(|entry| entry.at)
    }

    /// Takes what happens next and moves the clock there.
    pub(crate) fn take(&mut self) -> Option<T> {
        let entry = self.heap.pop()?;
        self.now = entry.at;
        Some(entry.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_orders_and_the_seed_breaks_ties() {
        let drain = |seed| {
            let mut schedule = Schedule::new(&Draws::seeded(seed), Tick(10));
            for name in 0..20 {
                schedule.at(Tick(30), name);
            }
            schedule.at(Tick(20), 100);
            schedule.at(Tick(5), 101);
            let mut order = Vec::new();
            while let Some(what) = schedule.take() {
                order.push(what);
            }
            assert_eq!(schedule.now(), Tick(30));
            order
        };
        let order = drain(1);
        assert_eq!(&order[..2], &[101, 100]);
        assert_eq!(order, drain(1));
        assert_ne!(order, drain(2));
    }
}
