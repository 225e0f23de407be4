//! Jittered exponential backoff.

use rand_core::Rng;

/// Doublings beyond which a delay does not grow, whatever its base.
const DOUBLINGS_MAX: u32 = 32;

/// How often something failed in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure and draws the delay after it: from half to the whole of
    /// `base × 2^failures`, at most `max_ms`, at least 1.
    pub(super) fn fail(&mut self, rng: &mut impl Rng, base_ms: u64, max_ms: u64) -> u64 {
        let doublings = self.failures.min(DOUBLINGS_MAX);
        self.failures = self.failures.saturating_add(1);
        let whole = base_ms.saturating_mul(1 << doublings).min(max_ms).max(1);
        let half = whole / 2;
        // `half + 1` choices of 64 random bits: the bias is far below what jitter is for.
        let jitter = rng.next_u64() % (half + 1);
        (whole - half + jitter).max(1)
    }

    /// It went well.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    #[test]
    fn delays_double_up_to_the_bound_and_lie_in_the_upper_half() {
        let mut rng = ChaCha8Rng::from_seed([1; 32]);
        let mut backoff = Backoff::default();
        for whole in [100, 200, 400, 800, 1_000, 1_000] {
            let delay_ms = backoff.fail(&mut rng, 100, 1_000);
            assert!(
                (whole / 2..=whole).contains(&delay_ms),
                "{delay_ms} of {whole}"
            );
        }
        backoff.reset();
        assert!(backoff.fail(&mut rng, 100, 1_000) <= 100);
    }

    #[test]
    fn any_number_of_failures_and_any_times_are_survived() {
        let mut rng = ChaCha8Rng::from_seed([2; 32]);
        for (base_ms, max_ms) in [(0, 0), (1, 1), (u64::MAX, u64::MAX), (1, u64::MAX)] {
            let mut backoff = Backoff {
                failures: u32::MAX - 1,
            };
            for _ in 0..3 {
                let delay_ms = backoff.fail(&mut rng, base_ms, max_ms);
                assert!(delay_ms >= 1 && delay_ms <= max_ms.max(1));
            }
        }
    }

    #[test]
    fn two_seeds_do_not_come_back_together() {
        let delays = |seed| {
            let mut rng = ChaCha8Rng::from_seed([seed; 32]);
            let mut backoff = Backoff::default();
            (0..8)
                .map(|_| backoff.fail(&mut rng, 1_000, 300_000))
                .collect::<Vec<_>>()
        };
        assert_ne!(delays(1), delays(2));
        assert_eq!(delays(1), delays(1));
    }
}
