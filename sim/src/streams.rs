//! Randomness: one generator per concern, so that a new concern does not reshuffle the others.
//!
//! Each method says which result is its *default*: what it gives in a replayed run whose list of
//! [choices](crate::choices) has nothing at that place. The default is the calm one.

use crate::choices::{Draws, Link};

/// A generator whose whole sequence follows from (seed, label). SplitMix64: small, fast, and good enough
/// to choose among faults; nothing here needs to be unpredictable.
#[derive(Debug, Clone)]
pub struct Stream {
    state: u64,
    link: Option<Box<Link>>,
}

/// A bijective mix of 64 bits.
#[must_use]
pub const fn mix(value: u64) -> u64 {
    let mixed = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The first state of the generator of (seed, label).
fn state_of(seed: u64, label: &str) -> u64 {
    let first = mix(seed ^ 0x9e37_79b9_7f4a_7c15);
    label.bytes().fold(first, |state, byte| {
        mix(state.rotate_left(7) ^ u64::from(byte))
    })
}

impl Stream {
    /// The stream of a concern. In one run no two have the same label.
    #[must_use]
    pub fn new(draws: &Draws, label: &str) -> Self {
        Self {
            state: state_of(draws.seed(), label),
            link: draws.link(label),
        }
    }

    /// The stream of one of several concerns of a kind, such as one agent's workload.
    #[must_use]
    pub fn numbered(draws: &Draws, label: &str, number: u64) -> Self {
        let state = state_of(draws.seed(), label);
        Self {
            state: mix(state ^ mix(number.wrapping_add(1))),
            link: draws.link(&format!("{label}/{number}")),
        }
    }

    /// A stream that depends on this one's state and a label, and leaves this one as it is. It is not
    /// recorded.
    #[must_use]
    pub fn fork(&self, label: &str) -> Self {
        Self {
            state: state_of(self.state, label),
            link: None,
        }
    }

    /// A new opportunity of this concern begins; what is drawn until the next one are its details. Without
    /// this, one choice less would move all later ones.
    #[inline]
    pub fn episode(&mut self) {
        if let Some(link) = &mut self.link {
            link.episode();
        }
    }

    /// The next 64 bits of the generator.
    #[inline]
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `end` of the generator; 0 if `end` is 0.
    #[inline]
    fn next_below(&mut self, end: u64) -> u64 {
        // The high half of the product: no division, and a bias below 2^-32 for the small ends used here.
        let wide = u128::from(self.next()) * u128::from(end);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// What was drawn, or what stands in its place in a replayed list.
    #[inline]
    fn settle(&mut self, drawn: u64, most: u64) -> u64 {
        match &mut self.link {
            None => drawn,
            Some(link) => link.settle(drawn, most),
        }
    }

    /// 64 bits. Default: none of them.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        let drawn = self.next();
        self.settle(drawn, u64::MAX)
    }

    /// A number below `end`; 0 if `end` is 0. Default: 0.
    #[inline]
    pub fn below(&mut self, end: u64) -> u64 {
        let drawn = self.next_below(end);
        self.settle(drawn, end.saturating_sub(1))
    }

    /// A number between both, included. Default: `low`.
    #[inline]
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// When something happens that comes again and again: after a time between both, included. Default:
    /// never. A replayed list may name a time beyond `high`: what came between was cut from it.
    pub fn sometime(&mut self, low: u64, high: u64) -> Option<u64> {
        /// More than any run lasts.
        const LATEST: u64 = 1 << 40;
        let drawn = 1 + self.next_below(high.saturating_sub(low).saturating_add(1));
        let settled = self.settle(drawn, LATEST);
        settled.checked_sub(1).map(|after| low + after)
    }

    /// Whether an event of that probability, in parts per million, happens. Default: it does not.
    #[inline]
    pub fn chance(&mut self, per_million: u32) -> bool {
        let drawn = self.next_below(1_000_000) < u64::from(per_million);
        self.settle(u64::from(drawn), u64::from(per_million > 0)) == 1
    }

    /// One of several. Default: the first.
    ///
    /// # Panics
    /// When there is nothing to choose from: a fault of the simulator.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        assert!(!choices.is_empty(), "there is nothing to choose from");
        let place = usize::try_from(self.below(choices.len() as u64)).unwrap_or(0);
        &choices[place]
    }

    /// 32 bytes, as a machine's seed.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        for chunk in seed.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.bits().to_le_bytes());
        }
        seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ_by_label_and_number() {
        let first: Vec<u64> = {
            let mut s = Stream::new(&Draws::seeded(1), "a");
            (0..4).map(|_| s.bits()).collect()
        };
        let again: Vec<u64> = {
            let mut s = Stream::new(&Draws::seeded(1), "a");
            (0..4).map(|_| s.bits()).collect()
        };
        assert_eq!(first, again);
        assert_ne!(first[0], Stream::new(&Draws::seeded(1), "b").bits());
        assert_ne!(first[0], Stream::new(&Draws::seeded(2), "a").bits());
        assert_ne!(
            Stream::numbered(&Draws::seeded(1), "a", 0).bits(),
            Stream::numbered(&Draws::seeded(1), "a", 1).bits()
        );
    }

    #[test]
    fn bounds_hold() {
        let mut stream = Stream::new(&Draws::seeded(7), "bounds");
        let mut seen = [false; 5];
        for _ in 0..1_000 {
            let drawn = stream.between(3, 7);
            assert!((3..=7).contains(&drawn));
            seen[usize::try_from(drawn - 3).unwrap()] = true;
        }
        assert!(seen.iter().all(|seen| *seen));
        assert_eq!(stream.below(0), 0);
        assert!(!stream.chance(0));
        assert!(stream.chance(1_000_000));
    }
}
