//! The order of things: a queue by virtual time, in which what falls on the same millisecond is ordered
//! by a draw from the seed, so that no code can rely on an order that the world does not promise.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use inventory_sync_core::time::Tick;

use crate::choices::Draws;
use crate::streams::Stream;

/// When something happens, and where it is kept. Small: the heap moves entries, never what happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Tick,
    tie: u64,
    number: u64,
    slot: usize,
}

/// What is going to happen. The clock is the tick of what was taken last; it never goes back.
#[derive(Debug)]
pub(crate) struct Schedule<T> {
    /// The earliest on top.
    heap: BinaryHeap<Reverse<Entry>>,
    slots: Vec<Option<T>>,
    free: Vec<usize>,
    ties: Stream,
    now: Tick,
    /// What takes a while ends at a multiple of so many milliseconds.
    grain_ms: u64,
    pushed: u64,
}

impl<T> Schedule<T> {
    /// Nothing is planned; time begins at `start`. What takes a while ends at a multiple of `grain_ms`: where that is
    /// long, much happens at the same moment, and just when a time is up.
    pub(crate) fn new(draws: &Draws, start: Tick, grain_ms: u64) -> Self {
        Self {
            heap: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            ties: Stream::new(draws, "ties"),
            now: start,
            grain_ms: grain_ms.max(1),
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
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(what);
        self.heap.push(Reverse(Entry {
            at: at.max(self.now),
            tie,
            number: self.pushed,
            slot,
        }));
    }

    /// Plans something after a while; what takes no time happens now.
    pub(crate) fn after(&mut self, delay_ms: u64, what: T) {
        if delay_ms == 0 {
            return self.at(self.now, what);
        }
        self.at_end(self.now.after(delay_ms), what);
    }

    /// Plans the end of something that takes a while.
    pub(crate) fn at_end(&mut self, Tick(at): Tick, what: T) {
        self.at(Tick(at.next_multiple_of(self.grain_ms)), what);
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
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// Takes what happens next and moves the clock there.
    pub(crate) fn take(&mut self) -> Option<T> {
        let Reverse(entry) = self.heap.pop()?;
        self.now = entry.at;
        self.free.push(entry.slot);
        self.slots[entry.slot].take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_a_while_ends_on_the_grain() {
        let mut schedule = Schedule::new(&Draws::seeded(1), Tick(10), 50);
        schedule.after(0, "now");
        schedule.after(41, "later");
        schedule.at(Tick(77), "a deadline");
        let mut times = Vec::new();
        while schedule.take().is_some() {
            times.push(schedule.now().0);
        }
        assert_eq!(times, [10, 77, 100]);
    }

    #[test]
    fn time_orders_and_the_seed_breaks_ties() {
        let drain = |seed| {
            let mut schedule = Schedule::new(&Draws::seeded(seed), Tick(10), 1);
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
