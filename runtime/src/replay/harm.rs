//! What is done to an agent on purpose: frames lost, repeated and out of order, connections cut, crashes.
//!
//! Invariants: everything is drawn from (seed, agent, lane); what was asked for with 0 percent never happens;
//! frames that are held back leave before the End that was sent behind them.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

use super::options::Options;
use super::packing::Payload;
use super::random::{Mix, Stream};

/// Frames that are mixed with each other.
const WINDOW: usize = 8;

/// How much harm is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Measure {
    seed: u64,
    loss: u32,
    duplicates: u32,
    shuffle: bool,
    cut: u32,
    crash: u32,
}

impl Measure {
    /// What was asked for; `None` for none.
    pub(super) fn of(options: &Options) -> Option<Self> {
        let measure = Self {
            seed: options.seed,
            loss: options.loss,
            duplicates: options.duplicates,
            shuffle: options.shuffle,
            cut: options.cut,
            crash: options.crash,
        };
        let is_any = measure.shuffle
            || [measure.loss, measure.duplicates, measure.cut, measure.crash]
                .iter()
                .any(|percent| *percent > 0);
        is_any.then_some(measure)
    }
}

/// What ends a session's connection, or its agent, on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blow {
    /// The connection is cut.
    Cut,
    /// The agent forgets everything but what it keeps durably.
    Crash,
}

/// What happens to one lane's frames and sessions.
#[derive(Debug, Clone)]
pub(super) struct Harm {
    measure: Measure,
    rng: ChaCha8Rng,
    held: Vec<Payload>,
    /// What the session under way meets, and at which row; the row above the last one is behind the End.
    fate: Option<(Blow, u32)>,
}

impl Harm {
    pub(super) fn new(measure: &Measure, agent: u64, lane: u16) -> Self {
        let seed = Mix::new(measure.seed, Stream::Harm)
            .with(agent)
            .with(u64::from(lane))
            .next();
        Self {
            measure: measure.clone(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            held: Vec::new(),
            fate: None,
        }
    }

    fn happens(&mut self, percent: u32) -> bool {
        percent > 0 && self.rng.next_u32() % 100 < percent
    }

    /// A number in `0..bound`.
    fn below(&mut self, bound: usize) -> usize {
        // The remainder is below `bound`.
        usize::try_from(self.rng.next_u64() % (bound.max(1) as u64)).unwrap_or(0)
    }

    /// A session of that many rows was opened.
    pub(super) fn opened(&mut self, size: u32) {
        self.held.clear();
        let (crash, cut) = (self.measure.crash, self.measure.cut);
        let blow = if self.happens(crash) {
            Blow::Crash
        } else if self.happens(cut) {
            Blow::Cut
        } else {
            self.fate = None;
            return;
        };
        let rows = usize::try_from(size).unwrap_or(usize::MAX);
        let row = u32::try_from(self.below(rows.saturating_add(1))).unwrap_or(size);
        self.fate = Some((blow, row));
    }

    /// Rows up to that one have left, or all of them and the End behind them: whether a blow falls now.
    pub(super) fn strikes(&mut self, row: u32) -> Option<Blow> {
        let (blow, at) = self.fate?;
        if row < at {
            return None;
        }
        self.fate = None;
        Some(blow)
    }

    /// The connection is gone, and what was held back for it.
    pub(super) fn lost(&mut self) {
        self.held.clear();
    }

    /// How far into the last so many bytes a connection is cut; at least one byte is lost.
    pub(super) fn within(&mut self, bytes: usize) -> usize {
        self.below(bytes)
    }

    /// A frame with rows: what is sent now.
    pub(super) fn rows(&mut self, frame: Payload, send: &mut dyn FnMut(&[u8])) {
        if !self.measure.shuffle {
            return self.pass(&frame, send);
        }
        self.held.push(frame);
        if self.held.len() >= WINDOW {
            self.release_one(send);
        }
    }

    /// A Start or an End: what is sent now, the frames before it first.
    pub(super) fn control(&mut self, frame: &[u8], send: &mut dyn FnMut(&[u8])) {
        self.release(send);
        self.pass(frame, send);
    }

    /// Sends what was held back.
    pub(super) fn release(&mut self, send: &mut dyn FnMut(&[u8])) {
        while !self.held.is_empty() {
            self.release_one(send);
        }
    }

    fn release_one(&mut self, send: &mut dyn FnMut(&[u8])) {
        let at = self.below(self.held.len());
        let frame = self.held.swap_remove(at);
        self.pass(&frame, send);
    }

    fn pass(&mut self, frame: &[u8], send: &mut dyn FnMut(&[u8])) {
        let (loss, duplicates) = (self.measure.loss, self.measure.duplicates);
        if self.happens(loss) {
            return;
        }
        send(frame);
        if self.happens(duplicates) {
            send(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure() -> Measure {
        Measure {
            seed: 1,
            loss: 0,
            duplicates: 0,
            shuffle: false,
            cut: 0,
            crash: 0,
        }
    }

    /// What becomes of these numbered frames and an End behind them.
    fn sent(harm: &mut Harm, frames: u32) -> Vec<u32> {
        let mut out = Vec::new();
        let mut take = |bytes: &[u8]| {
            out.push(u32::from_le_bytes(bytes.try_into().unwrap()));
        };
        for number in 0..frames {
            harm.rows(number.to_le_bytes().to_vec(), &mut take);
        }
        harm.control(&u32::MAX.to_le_bytes(), &mut take);
        out
    }

    #[test]
    fn shares_are_those_asked_for_and_the_same_again() {
        let some = Measure {
            loss: 10,
            duplicates: 20,
            ..measure()
        };
        let out = sent(&mut Harm::new(&some, 1, 0), 10_000);
        let once: std::collections::BTreeSet<_> = out.iter().collect();
        assert!((8_800..9_200).contains(&once.len()), "{}", once.len());
        let repeated = out.len() - once.len();
        assert!((1_600..2_000).contains(&repeated), "{repeated}");
        assert_eq!(sent(&mut Harm::new(&some, 1, 0), 10_000), out);
        assert_ne!(sent(&mut Harm::new(&some, 2, 0), 10_000), out);
    }

    #[test]
    fn shuffled_frames_are_all_there_and_before_the_end() {
        let some = Measure {
            shuffle: true,
            ..measure()
        };
        let mut out = sent(&mut Harm::new(&some, 1, 0), 100);
        assert_eq!(out.pop(), Some(u32::MAX));
        assert!(!out.is_sorted());
        out.sort_unstable();
        assert_eq!(out, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn what_was_held_back_is_lost_with_its_connection() {
        let some = Measure {
            shuffle: true,
            ..measure()
        };
        let mut harm = Harm::new(&some, 1, 0);
        harm.rows(vec![1, 0, 0, 0], &mut |_| panic!("the window is not full"));
        harm.lost();
        assert_eq!(sent(&mut harm, 0), [u32::MAX]);
    }

    #[test]
    fn blows_fall_as_often_as_asked_for_and_once_in_a_session() {
        let some = Measure {
            cut: 30,
            crash: 10,
            ..measure()
        };
        let mut harm = Harm::new(&some, 1, 0);
        let (mut cuts, mut crashes, mut behind) = (0, 0, 0);
        for _ in 0..10_000 {
            harm.opened(3);
            let struck: Vec<(u32, Blow)> = (0..=3)
                .filter_map(|row| harm.strikes(row).map(|blow| (row, blow)))
                .collect();
            assert!(struck.len() <= 1);
            for (row, blow) in struck {
                behind += u32::from(row == 3);
                match blow {
                    Blow::Cut => cuts += 1,
                    Blow::Crash => crashes += 1,
                }
            }
        }
        assert!((2_550..2_850).contains(&cuts), "{cuts}");
        assert!((900..1_100).contains(&crashes), "{crashes}");
        assert!(behind > 500, "{behind}");
    }

    #[test]
    fn nothing_asked_for_is_nothing_done() {
        let mut harm = Harm::new(&measure(), 1, 0);
        assert_eq!(sent(&mut harm, 5), [0, 1, 2, 3, 4, u32::MAX]);
        harm.opened(5);
        assert_eq!(harm.strikes(5), None);
    }
}
