//! Time as the machines know it: an integer that only grows.

use std::fmt;
use std::ops::Add;

/// Milliseconds on a monotonic clock whose zero is the caller's choice. Never `std::time::Instant`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(pub u64);

impl Tick {
    /// The far end of time: a deadline that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// Milliseconds since an earlier tick; 0 if it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The later tick by so many milliseconds, stopping at [`Tick::NEVER`].
    #[must_use]
    pub const fn after(self, duration_ms: u64) -> Self {
        Self(self.0.saturating_add(duration_ms))
    }
}

impl Add<u64> for Tick {
    type Output = Self;

    fn add(self, duration_ms: u64) -> Self {
        self.after(duration_ms)
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}
