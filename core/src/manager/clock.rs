//! The hybrid logical clock from which versions are granted (`docs/protocol.md` section 5).

use crate::id::Version;
use crate::time::Tick;

/// Reads at least the wall clock, and never goes back.
///
/// It is fed by events: between two of them it goes on with the monotonic tick, so that a wall clock that
/// steps back, or a bound that lies in the future, only ever makes it logical, not wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct HybridClock {
    at: Tick,
    unix_ms: u64,
    fed: bool,
}

impl HybridClock {
    /// Takes in a reading of the wall clock.
    pub(crate) fn feed(&mut self, now: Tick, unix_ms: u64) {
        *self = Self {
            at: now,
            unix_ms: self.unix_ms(now).max(unix_ms),
            fed: true,
        };
    }

    /// Raises the clock to a version that may have been given before.
    pub(crate) fn raise(&mut self, now: Tick, floor: Version) {
        let floor_ms = floor.unix_ms().saturating_add(u64::from(floor.0 > 0));
        self.unix_ms = self.unix_ms(now).max(floor_ms);
        self.at = now;
    }

    /// Whether a wall clock was ever read: before that, no version is granted.
    pub(crate) const fn is_fed(&self) -> bool {
        self.fed
    }

    /// The clock's reading, in milliseconds since the Unix epoch.
    pub(crate) const fn unix_ms(&self, now: Tick) -> u64 {
        self.unix_ms.saturating_add(now.since(self.at))
    }

    /// The clock's reading as a version.
    pub(crate) const fn version(&self, now: Tick) -> Version {
        Version::from_unix_ms(self.unix_ms(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_when_the_wall_clock_steps_back() {
        let mut clock = HybridClock::default();
        clock.feed(Tick(0), 1_000);
        clock.feed(Tick(10), 400);
        assert_eq!(clock.unix_ms(Tick(15)), 1_015);
    }

    #[test]
    fn follows_a_step_forward() {
        let mut clock = HybridClock::default();
        clock.feed(Tick(0), 1_000);
        clock.feed(Tick(10), 5_000);
        assert_eq!(clock.unix_ms(Tick(11)), 5_001);
    }

    #[test]
    fn starts_above_a_bound_in_the_future() {
        let mut clock = HybridClock::default();
        clock.feed(Tick(0), 1_000);
        let bound = Version(9_000 * 1024 + 17);
        clock.raise(Tick(0), bound);
        assert!(clock.version(Tick(0)) >= bound);
        clock.feed(Tick(5), 1_005);
        assert!(clock.version(Tick(5)) >= bound);
    }
}
