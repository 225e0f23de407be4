//! The manager's wall clock: steps, runs at the wrong speed, stands still. Ticks, which all machines reckon
//! with, are never wrong; what the wall clock says enters only versions.

use inventory_sync_core::time::Tick;

/// Two hours: how far a step goes as a rule.
const STEP_MS: u64 = 2 * 60 * 60 * 1_000;

/// Two days: further than the alert of `docs/protocol.md` section 5.
const LEAP_MS: u64 = 48 * 60 * 60 * 1_000;

/// The wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WallClock {
    /// What it said at `since`, in milliseconds since the Unix epoch.
    said_ms: u64,
    since: Tick,
    /// Of a thousand milliseconds, so many pass.
    speed_per_mille: u64,
}

impl WallClock {
    /// A clock that is right: `epoch_ms` is the true time at tick 0.
    pub(crate) fn right(epoch_ms: u64) -> Self {
        Self {
            said_ms: epoch_ms,
            since: Tick(0),
            speed_per_mille: 1_000,
        }
    }

    /// What it says, in milliseconds since the Unix epoch.
    pub(crate) fn unix_ms(&self, now: Tick) -> u64 {
        self.said_ms + now.since(self.since) * self.speed_per_mille / 1_000
    }

    /// It is set to a time.
    pub(crate) fn set(&mut self, now: Tick, unix_ms: u64) {
        self.said_ms = unix_ms;
        self.since = now;
    }

    /// It runs at this speed from now on.
    pub(crate) fn run_at(&mut self, now: Tick, speed_per_mille: u64) {
        self.set(now, self.unix_ms(now));
        self.speed_per_mille = speed_per_mille;
    }

    /// It is put back or forward against the true time; `bits` choose how far.
    pub(crate) fn step(&mut self, now: Tick, true_ms: u64, back: bool, bits: u64) {
        let step_ms = 1 + (bits >> 8) % STEP_MS;
        let unix_ms = match (back, bits & 7) {
            (true, _) => true_ms - step_ms,
            (false, 0) => true_ms + LEAP_MS,
            (false, _) => true_ms + step_ms,
        };
        self.set(now, unix_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_steps_runs_and_stands_still() {
        let mut clock = WallClock::right(1_000_000_000);
        assert_eq!(clock.unix_ms(Tick(5)), 1_000_000_005);
        clock.run_at(Tick(10), 2_000);
        assert_eq!(clock.unix_ms(Tick(20)), 1_000_000_030);
        clock.run_at(Tick(20), 0);
        assert_eq!(clock.unix_ms(Tick(90)), 1_000_000_030);
        clock.run_at(Tick(90), 1_000);
        clock.step(Tick(100), 1_000_000_100, true, 0);
        assert_eq!(clock.unix_ms(Tick(100)), 1_000_000_099);
        clock.step(Tick(100), 1_000_000_100, false, 0);
        assert_eq!(clock.unix_ms(Tick(100)), 1_000_000_100 + LEAP_MS);
    }
}
