//! The process's clock, as the machines want it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use inventory_sync_core::time::Tick;
use tokio::time::Instant;

/// Milliseconds since the start of the process, on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct MonotonicClock {
    origin: Instant,
}

impl MonotonicClock {
    pub(super) fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    pub(super) fn now(self) -> Tick {
        Tick(u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The instant of a tick; a far one is capped at a year from the start.
    pub(super) fn instant(self, tick: Tick) -> Instant {
        const YEAR_MS: u64 = 366 * 24 * 60 * 60 * 1_000;
        self.origin + Duration::from_millis(tick.0.min(YEAR_MS))
    }
}

/// Milliseconds since the Unix epoch; 0 on a machine whose clock stands before it.
pub(super) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}
