//! The clocks from which versions are granted: what each part of the manager must read, as far as it was told;
//! that nobody is sent ahead by a single agent, that the bound goes ahead when it is wanted, and that a clock that
//! is far off is an alarm (`docs/protocol.md` section 5).

use std::collections::BTreeMap;

use inventory_sync_core::coordinator::{Command, Event, Observation, Record, WriterOutcome};
use inventory_sync_core::id::Version;
use inventory_sync_core::manager::Health;
use inventory_sync_core::time::Tick;

use super::Oracles;

/// Further off than this is an alarm.
const FAR_MS: u64 = 24 * 3_600_000;

/// A clock that reads at least what it was told, runs on with the ticks and never goes back.
#[derive(Debug, Clone, Copy, Default)]
struct Reading {
    at: Tick,
    unix_ms: u64,
}

impl Reading {
    fn unix_ms(self, now: Tick) -> u64 {
        self.unix_ms.saturating_add(now.since(self.at))
    }

    fn told(&mut self, now: Tick, unix_ms: u64) {
        *self = Self {
            at: now,
            unix_ms: self.unix_ms(now).max(unix_ms),
        };
    }

    /// It is to lie above this version.
    fn above(&mut self, now: Tick, version: Version) {
        if version > Version(0) {
            self.told(now, version.unix_ms().saturating_add(1));
        }
    }
}

/// The clocks of the present process.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    shards: BTreeMap<u16, Reading>,
    /// What the coordinator's reads at most.
    coordinator: Reading,
    is_fed: bool,
    /// The highest bound that it asked to be kept.
    bound: Version,
    /// Whether it has renewed its lease since its last question about the writer document.
    rests: bool,
    /// What the event at hand asks for.
    wanted: Option<Version>,
    /// How far the wall clock lies ahead of all that the coordinator knew, at least.
    ahead_ms: u64,
    /// Whether it lay so far ahead before.
    was_far: bool,
}

impl Oracles {
    /// A shard is told the time, by a wall clock.
    pub(super) fn shard_reads(&mut self, shard: u16, unix_ms: u64) {
        let now = self.now;
        let clock = self.clocks.shards.entry(shard).or_default();
        clock.told(now, unix_ms);
    }

    /// A shard is told above what it must read.
    pub(super) fn shard_starts_above(&mut self, shard: u16, floor: Version) {
        let now = self.now;
        let clock = self.clocks.shards.entry(shard).or_default();
        clock.above(now, floor);
    }

    /// What the clock of a shard reads now, in milliseconds since the Unix epoch, if it was told anything.
    pub(super) fn shard_clock_ms(&self, shard: u16) -> Option<u64> {
        let clock = self.clocks.shards.get(&shard)?;
        Some(clock.unix_ms(self.now))
    }

    /// A shard wants a higher bound: for its own clock, never for one agent.
    pub(super) fn judge_bound_wanted(&mut self, shard: u16, beyond: Version) {
        let reading = Version::from_unix_ms(self.shard_clock_ms(shard).unwrap_or(0));
        if beyond != reading {
            let expected =
                format!("a bound beyond {reading}, which the clock of shard {shard} reads");
            self.fail("O-4 clock", expected, format!("beyond {beyond}"));
        }
    }

    /// The coordinator is about to hear something that concerns its clock.
    pub(super) fn clocks_heard(&mut self, event: &Event) {
        let now = self.now;
        let clocks = &mut self.clocks;
        clocks.wanted = None;
        clocks.ahead_ms = 0;
        match event {
            Event::WallClock { unix_ms } => {
                // Before the first reading nothing is known but a bound, which may be days old.
                if std::mem::replace(&mut clocks.is_fed, true) {
                    let known = clocks.coordinator.unix_ms(now);
                    clocks.ahead_ms = unix_ms.saturating_sub(known);
                }
                clocks.coordinator.told(now, *unix_ms);
            }
            Event::Recovered {
                bound: Some(bound), ..
            } => clocks.coordinator.above(now, *bound),
            Event::WriterRead {
                outcome: WriterOutcome::Found { document, .. },
                ..
            } => clocks.coordinator.above(now, document.bound),
            Event::BoundWanted { beyond } => {
                clocks.wanted = Some(*beyond);
                clocks.coordinator.above(now, *beyond);
            }
            _ => {}
        }
    }

    /// The coordinator has heard it, and says this; with the Indexer's state, the lease, and whether it is stopping.
    pub(crate) fn clocks_judged(
        &mut self,
        commands: &[Command],
        (health, lease_until, stops): (Health, Tick, bool),
        bound_ahead_ms: u64,
    ) {
        let now = self.now;
        let rested = self.clocks.rests;
        let mut keeps = None;
        let mut alarm = None;
        for command in commands {
            match command {
                Command::Record {
                    what: Record::Bound(bound),
                    ..
                } => {
                    self.clocks.rests = false;
                    keeps = Some(*bound);
                    self.judge_bound(*bound, bound_ahead_ms);
                }
                Command::CreateWriterIndex { .. }
                | Command::ReadWriter { .. }
                | Command::CountDocuments { .. }
                | Command::WriteWriter { .. } => self.clocks.rests = false,
                Command::Observe(Observation::Lease { .. }) => self.clocks.rests = true,
                Command::Observe(Observation::ClockAhead { ahead_ms }) => alarm = Some(*ahead_ms),
                _ => {}
            }
        }
        if let Some(ahead_ms) = alarm
            && ahead_ms <= FAR_MS
        {
            let expected = format!("no alarm for a clock that is not {FAR_MS} ms off");
            self.fail("O-4 clock", expected, format!("{ahead_ms} ms"));
        }
        let is_far = self.clocks.ahead_ms > FAR_MS;
        if is_far && !self.clocks.was_far && alarm.is_none() {
            let expected = format!("an alarm: the clock steps {} ms", self.clocks.ahead_ms);
            self.fail("O-4 clock", expected, format!("{commands:?}"));
        }
        self.clocks.was_far = is_far;
        let is_free = rested && health == Health::Ready && now < lease_until && !stops;
        if let Some(beyond) = self.clocks.wanted
            && is_free
            && beyond >= self.clocks.bound
            && keeps.is_none_or(|bound| bound <= beyond)
        {
            let expected = format!("a bound beyond {beyond} is kept: a shard waits for it");
            self.fail("O-4 clock", expected, format!("{keeps:?}"));
        }
    }

    /// A bound lies as far ahead of the clock as it should, or where it lay.
    fn judge_bound(&mut self, bound: Version, bound_ahead_ms: u64) {
        let clock = self.clocks.coordinator.unix_ms(self.now);
        let most = Version::from_unix_ms(clock.saturating_add(bound_ahead_ms));
        if bound > most.max(self.clocks.bound) {
            let expected = format!("a bound {bound_ahead_ms} ms ahead of the clock: {most}");
            self.fail("O-4 clock", expected, format!("{bound}"));
        }
        self.clocks.bound = self.clocks.bound.max(bound);
    }
}
