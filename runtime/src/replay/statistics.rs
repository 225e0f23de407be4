//! What is counted and measured, by all tasks together.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longest time that is told apart from longer ones.
const LONGEST_US: u64 = 24 * 60 * 60 * 1_000_000;

/// Digits that a measured time keeps.
const DIGITS: u8 = 3;

/// Sentences about what went wrong that are kept.
const EXAMPLES_MAX: usize = 10;

/// What became of sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Sessions {
    /// Sessions that the daemon opened.
    pub(super) opened: u64,
    /// Verdicts that acknowledge all.
    pub(super) ok: u64,
    /// Verdicts that acknowledge some.
    pub(super) partially_rejected: u64,
    /// Open sessions that ended and acknowledge nothing, by reason.
    pub(super) rolled_back: BTreeMap<String, u64>,
    /// Starts that opened none, by reason.
    pub(super) refused_starts: BTreeMap<String, u64>,
    /// Questions for rows that did not arrive.
    pub(super) req_rets: u64,
    /// Connections made instead of another one.
    pub(super) reconnects: u64,
    /// Agents that began again.
    pub(super) crashes: u64,
}

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
    pub(super) count: u64,
}

/// Everything together.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) sessions: Sessions,
    /// Operations that are acknowledged.
    pub(super) documents: u64,
    /// Bytes of their documents.
    pub(super) bytes: u64,
    /// From an End that has gone out to its verdict, in microseconds.
    latency_us: Option<Histogram<u64>>,
    /// From a session's first Start to its verdict, in microseconds.
    session_us: Option<Histogram<u64>>,
    /// Why connections were lost or not made, but for those that were cut on purpose.
    pub(super) connection_troubles: BTreeMap<String, u64>,
    /// What is wrong, in sentences: the first few.
    pub(super) complaints: Vec<String>,
    /// When the last verdict came.
    pub(super) last_verdict: Option<Instant>,
    /// Lanes that ended before their last round.
    pub(super) given_up: u64,
    /// Verdicts that must not be.
    pub(super) wrong: u64,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            sessions: Sessions::default(),
            documents: 0,
            bytes: 0,
            latency_us: histogram(),
            session_us: histogram(),
            connection_troubles: BTreeMap::new(),
            complaints: Vec::new(),
            last_verdict: None,
            given_up: 0,
            wrong: 0,
        }
    }
}

/// A verdict, as it is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdict {
    /// Operations of the session.
    pub(super) documents: u64,
    /// Bytes of its documents.
    pub(super) bytes: u64,
    /// Since its End has gone out.
    pub(super) latency: Option<Duration>,
    /// Since its first Start.
    pub(super) session: Option<Duration>,
}

impl Counted {
    /// A verdict that acknowledges everything.
    pub(super) fn acknowledged(&mut self, verdict: Verdict) {
        self.sessions.ok += 1;
        self.last_verdict = Some(Instant::now());
        self.documents += verdict.documents;
        self.bytes += verdict.bytes;
        for (times, time) in [
            (&mut self.latency_us, verdict.latency),
            (&mut self.session_us, verdict.session),
        ] {
            if let Some((times, time)) = times.as_mut().zip(time) {
                let us = u64::try_from(time.as_micros()).unwrap_or(LONGEST_US);
                times.saturating_record(us.max(1));
            }
        }
    }

    /// A sentence about what is wrong; only the first few are kept.
    pub(super) fn complain(&mut self, sentence: impl FnOnce() -> String) {
        if self.complaints.len() < EXAMPLES_MAX {
            self.complaints.push(sentence());
        }
    }

    /// From an End that has gone out to its verdict.
    pub(super) fn latency(&self) -> Percentiles {
        percentiles(self.latency_us.as_ref())
    }

    /// From a session's first Start to its verdict.
    pub(super) fn session(&self) -> Percentiles {
        percentiles(self.session_us.as_ref())
    }
}

/// `None` for bounds that no histogram can have, which these are not: a test measures with them.
fn histogram() -> Option<Histogram<u64>> {
    Histogram::new_with_bounds(1, LONGEST_US, DIGITS).ok()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a day of microseconds is below 2^53"
)]
fn percentiles(times: Option<&Histogram<u64>>) -> Percentiles {
    let Some(times) = times.filter(|times| !times.is_empty()) else {
        return Percentiles::default();
    };
    let at = |quantile| times.value_at_quantile(quantile) as f64 / 1_000.0;
    Percentiles {
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: times.max() as f64 / 1_000.0,
        count: times.len(),
    }
}

/// Counters and times that all tasks add to.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    counted: Mutex<Counted>,
    /// Sessions under way that hold back their last item.
    pub(super) holding: AtomicU64,
    /// Connections that stand.
    pub(super) connections: AtomicU64,
}

impl Statistics {
    /// The counters, for as short a time as possible.
    pub(super) fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many sessions are held.
    pub(super) fn held(&self) -> u64 {
        self.holding.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_percentiles() {
        let mut counted = Counted::default();
        assert_eq!(counted.latency(), Percentiles::default());
        for ms in 1..=1_000 {
            counted.acknowledged(Verdict {
                documents: 2,
                bytes: 10,
                latency: Some(Duration::from_millis(ms)),
                session: None,
            });
        }
        let latency = counted.latency();
        assert_eq!((latency.count, counted.session().count), (1_000, 0));
        for (found, wanted) in [
            (latency.p50, 500.0),
            (latency.p99, 990.0),
            (latency.max, 1_000.0),
        ] {
            assert!(
                (found - wanted).abs() < 1.0,
                "{found} is not about {wanted}"
            );
        }
        assert_eq!(
            (counted.sessions.ok, counted.documents, counted.bytes),
            (1_000, 2_000, 10_000)
        );
    }

    #[test]
    fn only_the_first_complaints_are_kept() {
        let mut counted = Counted::default();
        for number in 0..100 {
            counted.complain(|| number.to_string());
        }
        assert_eq!(counted.complaints.len(), EXAMPLES_MAX);
    }
}
