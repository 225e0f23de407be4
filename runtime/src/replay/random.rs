//! Numbers that are pure functions of a seed and of what they are for.

/// What numbers are drawn for; each use has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// Ids of documents.
    Ids,
    /// Fields of documents.
    Content,
    /// Which documents a round changes.
    Rounds,
    /// What is done to an agent's frames and sessions.
    Harm,
}

/// A state into which words are mixed and out of which words are drawn (`SplitMix64`). Not for secrets.
#[derive(Debug, Clone)]
pub(super) struct Mix(u64);

impl Mix {
    /// The beginning of a stream.
    pub(super) const fn new(seed: u64, stream: Stream) -> Self {
        Self(scramble(seed ^ ((stream as u64 + 1) << 56)))
    }

    /// The stream of one more word.
    #[must_use]
    pub(super) const fn with(self, word: u64) -> Self {
        Self(scramble(self.0 ^ scramble(word)))
    }

    /// The next number.
    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        scramble(self.0)
    }
}

const fn scramble(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn streams_words_and_steps_differ() {
        let mut seen = BTreeSet::new();
        let mut count = 0;
        for stream in [Stream::Ids, Stream::Content, Stream::Rounds, Stream::Harm] {
            for word in 0..100 {
                let mut mix = Mix::new(5, stream).with(word);
                for _ in 0..10 {
                    seen.insert(mix.next());
                    count += 1;
                }
            }
        }
        assert_eq!(seen.len(), count);
        let draw = || Mix::new(5, Stream::Harm).with(9).next();
        assert_eq!(draw(), draw());
    }
}
