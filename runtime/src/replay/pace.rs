//! When sessions may begin: a rate, and a number at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The pace that all agents share.
#[derive(Debug)]
pub(super) struct Pace {
    /// Between two sessions, in microseconds; 0 is no limit.
    interval_us: u64,
    /// When the next may begin.
    free_at_us: AtomicU64,
    active: Option<Arc<Semaphore>>,
}

impl Pace {
    /// So many sessions a second and so many at a time; 0 is no limit.
    pub(super) fn new(sessions_per_second: f64, active: u32) -> Self {
        let interval_us = if sessions_per_second > 0.0 {
            std::time::Duration::from_secs_f64(1.0 / sessions_per_second).as_micros()
        } else {
            0
        };
        let active = usize::try_from(active).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            interval_us: u64::try_from(interval_us).unwrap_or(u64::MAX),
            free_at_us: AtomicU64::new(0),
            active: (active > 0).then(|| Arc::new(Semaphore::new(active))),
        }
    }

    /// Takes the next place in time, in microseconds. Places that nobody took are not made up for.
    pub(super) fn reserve(&self, now_us: u64) -> u64 {
        if self.interval_us == 0 {
            return now_us;
        }
        let next = |free: u64| Some(free.max(now_us).saturating_add(self.interval_us));
        match self
            .free_at_us
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
        {
            Ok(free) | Err(free) => free.max(now_us),
        }
    }

    /// A place among those under way: `Ok(None)` when there is no limit, `Err` with whom to ask when all are
    /// taken.
    pub(super) fn enter(&self) -> Result<Option<OwnedSemaphorePermit>, Arc<Semaphore>> {
        match &self.active {
            None => Ok(None),
            Some(active) => match Arc::clone(active).try_acquire_owned() {
                Ok(permit) => Ok(Some(permit)),
                Err(_) => Err(Arc::clone(active)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_apart_and_lost_ones_stay_lost() {
        let pace = Pace::new(100.0, 0);
        let places: Vec<u64> = [0, 0, 5_000, 1_000_000, 1_000_000]
            .into_iter()
            .map(|now| pace.reserve(now))
            .collect();
        assert_eq!(places, [0, 10_000, 20_000, 1_000_000, 1_010_000]);
        assert_eq!(Pace::new(0.0, 0).reserve(7), 7);
    }

    #[test]
    fn only_so_many_are_under_way() {
        assert!(Pace::new(0.0, 0).enter().unwrap().is_none());
        let pace = Pace::new(0.0, 1);
        let first = pace.enter().unwrap();
        assert!(first.is_some() && pace.enter().is_err());
        drop(first);
        assert!(pace.enter().is_ok());
    }
}
