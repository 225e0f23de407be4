//! Randomness: one generator per concern, so that a new concern does not reshuffle the others.

/// A generator whose whole sequence follows from (seed, label). SplitMix64: small, fast, and good enough
/// to choose among faults; nothing here needs to be unpredictable.
#[derive(Debug, Clone)]
pub struct Stream {
    state: u64,
}

/// A bijective mix of 64 bits.
#[must_use]
pub const fn mix(value: u64) -> u64 {
    let mixed = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Stream {
    /// The stream of a concern in the run of that seed.
    #[must_use]
    pub fn new(seed: u64, label: &str) -> Self {
        let mut state = mix(seed ^ 0x9e37_79b9_7f4a_7c15);
        for byte in label.bytes() {
            state = mix(state.rotate_left(7) ^ u64::from(byte));
        }
        Self { state }
    }

    /// The stream of one of several concerns of a kind, such as one agent's workload.
    #[must_use]
    pub fn numbered(seed: u64, label: &str, number: u64) -> Self {
        let mut stream = Self::new(seed, label);
        stream.state = mix(stream.state ^ mix(number.wrapping_add(1)));
        stream
    }

    /// A stream that depends on this one's state and a label, and leaves this one as it is.
    #[must_use]
    pub fn fork(&self, label: &str) -> Self {
        Self::new(self.state, label)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The high half of the product: no division, and a bias below 2^-32 for the small ends used here.
        let wide = u128::from(self.bits()) * u128::from(end);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number between both, included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// Whether an event of that probability, in parts per million, happens.
    pub fn chance(&mut self, per_million: u32) -> bool {
        self.below(1_000_000) < u64::from(per_million)
    }

    /// One of several.
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
            let mut s = Stream::new(1, "a");
            (0..4).map(|_| s.bits()).collect()
        };
        let again: Vec<u64> = {
            let mut s = Stream::new(1, "a");
            (0..4).map(|_| s.bits()).collect()
        };
        assert_eq!(first, again);
        assert_ne!(first[0], Stream::new(1, "b").bits());
        assert_ne!(first[0], Stream::new(2, "a").bits());
        assert_ne!(
            Stream::numbered(1, "a", 0).bits(),
            Stream::numbered(1, "a", 1).bits()
        );
    }

    #[test]
    fn bounds_hold() {
        let mut stream = Stream::new(7, "bounds");
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
