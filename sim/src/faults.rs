//! Everything that goes wrong: each kind with its own stream, its own rate and its own counter.
//!
//! What the design survives is in this list, and nothing outside it is injected: late writes land within
//! `late_write_bound_ms` of the moment their request was given up, a store loses only what was not synced.

use crate::choices::Draws;
use crate::streams::Stream;
use crate::trace::Struck;

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $label:literal, $often:expr;)+) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $($(#[$doc])* $variant,)+
        }

        impl Fault {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The kind of that name.
            #[must_use]
            pub fn labelled(label: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|fault| fault.label() == label)
            }

            /// Its name: in summaries, on the command line, and as the label of its stream.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }

            /// How often it happens at most.
            #[must_use]
            pub const fn often(self) -> Often {
                match self {
                    $(Self::$variant => $often,)+
                }
            }
        }
    };
}

/// How often a fault happens at most, once it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Often {
    /// At each opportunity, with at most so many parts per million.
    Chance(u32),
    /// Every so many milliseconds of simulated time, on average, at the least.
    Every(u64),
}

use Often::{Chance, Every};

faults! {
    /// A frame between agent and manager is lost.
    FrameLost = "frame-lost", Chance(100_000);
    /// A frame arrives twice.
    FrameDuplicated = "frame-duplicated", Chance(200_000);
    /// A frame is overtaken by later ones.
    FrameReordered = "frame-reordered", Chance(200_000);
    /// A frame, and all behind it, waits up to two idle timeouts.
    FrameDelayed = "frame-delayed", Chance(20_000);
    /// A connection breaks; both ends learn it, not at once.
    ConnectionReset = "connection-reset", Chance(20_000);
    /// An agent's frame is sent again by another agent, under its own identity; or bytes are sent that are no message.
    HostileFrame = "hostile-frame", Chance(50_000);
    /// An agent's machine is lost; its content and its outbox are kept.
    AgentCrash = "agent-crash", Every(20_000);
    /// An agent offers an item that cannot be stored: no JSON, a foreign index, no id.
    BadItem = "bad-item", Chance(60_000);
    /// The manager is gone from one moment to the next: memory and unsynced store are lost.
    ManagerCrash = "manager-crash", Every(30_000);
    /// The manager is stopped in order and started again.
    ManagerRestart = "manager-restart", Every(60_000);
    /// The manager's wall clock steps, back or forth, by up to two hours.
    ClockStep = "clock-step", Every(40_000);
    /// A write to the staging store fails.
    StoreWriteFails = "store-write-fails", Chance(30_000);
    /// A write to the staging store takes long.
    StoreSlow = "store-slow", Chance(50_000);
    /// A staged frame cannot be read back.
    StoreReadFails = "store-read-fails", Chance(30_000);
    /// A durable record cannot be written.
    RecordFails = "record-fails", Chance(50_000);
    /// No connection to the Indexer: no byte of a request is sent.
    RequestNotSent = "request-not-sent", Chance(150_000);
    /// A request is sent and never arrives whole; nothing of it is applied.
    RequestLost = "request-lost", Chance(100_000);
    /// A request is applied at once, its answer is lost.
    AnswerLost = "answer-lost", Chance(100_000);
    /// A request is given up and applied later.
    WriteLate = "write-late", Chance(100_000);
    /// A request is given up and a part of its operations is applied later.
    WriteLateInPart = "write-late-in-part", Chance(100_000);
    /// A request is applied and its answer cannot be understood.
    AnswerGarbled = "answer-garbled", Chance(50_000);
    /// A request is refused with 429.
    RequestRefused429 = "request-429", Chance(100_000);
    /// A request is refused with 413.
    RequestRefused413 = "request-413", Chance(50_000);
    /// A request is refused with 400, as when one operation makes the whole unreadable.
    RequestRefused400 = "request-400", Chance(20_000);
    /// A request is answered 503; it may have been applied, now or later.
    RequestRefused503 = "request-503", Chance(50_000);
    /// An operation is refused with 429.
    Item429 = "item-429", Chance(100_000);
    /// An operation is answered 503 and never applied.
    Item503 = "item-503", Chance(50_000);
    /// An operation is answered 503 and applied later.
    Item503Late = "item-503-late", Chance(50_000);
    /// An operation is refused for its document's sake.
    Item400 = "item-400", Chance(20_000);
    /// A refresh or a listing takes long.
    SearchSlow = "search-slow", Chance(100_000);
    /// A refresh misses a shard, which answers 200.
    RefreshIncomplete = "refresh-incomplete", Chance(150_000);
    /// A listing misses a shard, which answers 200.
    ListingFailed = "listing-failed", Chance(150_000);
    /// The answer to a request of the coordinator is lost; what it asked for is done.
    ControlAnswerLost = "control-answer-lost", Chance(50_000);
    /// The Indexer restarts after a flush: its tombstones are gone.
    IndexerRestart = "indexer-restart", Every(20_000);
    /// The Indexer's cluster is red for a while: its shards are missing, writes are answered 503.
    IndexerRed = "indexer-red", Every(60_000);
    /// The Indexer cannot be reached for a while.
    IndexerUnreachable = "indexer-unreachable", Every(60_000);
    /// An index is blocked for a while.
    IndexBlocked = "index-blocked", Every(60_000);
    /// The periodic refresh of the Indexer stands still for a while.
    RefreshPaused = "refresh-paused", Every(30_000);
}

/// One kind's state.
#[derive(Debug, Clone)]
struct Source {
    rate: Rate,
    stream: Stream,
    fired: u64,
}

/// How often a kind happens in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rate {
    /// Never.
    Off,
    /// At each opportunity, with so many parts per million.
    PerMillion(u32),
    /// Every so many milliseconds, on average.
    EveryMs(u64),
}

impl Rate {
    /// As often as a kind may.
    #[must_use]
    pub const fn most(fault: Fault) -> Self {
        match fault.often() {
            Chance(most) => Self::PerMillion(most),
            Every(least_ms) => Self::EveryMs(least_ms),
        }
    }

    /// A rate drawn for a swarm: with probability ½ off, else from rare to as often as the kind may.
    #[must_use]
    pub fn drawn(seed: u64, fault: Fault) -> Self {
        let mut stream = Stream::new(&Draws::seeded(seed), "rate").fork(fault.label());
        if stream.chance(500_000) {
            return Self::Off;
        }
        let shift = stream.below(5);
        match fault.often() {
            Chance(most) => Self::PerMillion((most >> shift).max(1)),
            Every(least_ms) => Self::EveryMs(least_ms << shift),
        }
    }

    /// The rate that a file gives as a number: in a million, or milliseconds, as the kind has it; 0 is off.
    #[must_use]
    pub fn of_number(fault: Fault, number: u64) -> Self {
        match fault.often() {
            _ if number == 0 => Self::Off,
            Chance(_) => Self::PerMillion(u32::try_from(number).unwrap_or(u32::MAX)),
            Every(_) => Self::EveryMs(number),
        }
    }

    /// The number that stands for it in a file.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::Off => 0,
            Self::PerMillion(rate) => u64::from(rate),
            Self::EveryMs(every_ms) => every_ms,
        }
    }
}

/// The rates of a run, in the order of [`Fault::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rates(Vec<Rate>);

impl Rates {
    /// Nothing goes wrong.
    #[must_use]
    pub fn calm() -> Self {
        Self(vec![Rate::Off; Fault::ALL.len()])
    }

    /// A swarm: each kind is off with probability ½, the others have a rate of their own, from rare to
    /// as often as that kind allows.
    #[must_use]
    pub fn swarm(seed: u64) -> Self {
        let draw = |fault: &Fault| Rate::drawn(seed, *fault);
        Self(Fault::ALL.iter().map(draw).collect())
    }

    /// Only one kind goes wrong, as often as it may.
    #[must_use]
    pub fn only(fault: Fault) -> Self {
        let mut rates = Self::calm();
        rates.set(fault, Rate::most(fault));
        rates
    }

    /// Sets the rate of one kind.
    pub fn set(&mut self, fault: Fault, rate: Rate) {
        self.0[fault as usize] = rate;
    }

    /// The rate of one kind.
    #[must_use]
    pub fn of(&self, fault: Fault) -> Rate {
        self.0[fault as usize]
    }
}

/// The faults of one run.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    sources: Vec<Source>,
    frozen: bool,
    struck: Struck,
}

impl Faults {
    /// The faults of a run, asleep until [`Faults::set_frozen`] wakes them.
    pub(crate) fn new(draws: &Draws, rates: &Rates) -> Self {
        let source = |fault: &Fault| Source {
            rate: rates.of(*fault),
            stream: Stream::new(draws, fault.label()),
            fired: 0,
        };
        Self {
            sources: Fault::ALL.iter().map(source).collect(),
            frozen: true,
            struck: Struck::default(),
        }
    }

    /// Where the labels of what strikes are noted, for a recording.
    pub(crate) fn tell(&mut self, struck: Struck) {
        self.struck = struck;
    }

    /// Whether nothing new goes wrong from now on.
    pub(crate) fn set_frozen(&mut self, frozen: bool) {
        self.frozen = frozen;
    }

    /// Whether this fault happens at this opportunity.
    pub(crate) fn strikes(&mut self, fault: Fault) -> bool {
        if self.frozen {
            return false;
        }
        let source = &mut self.sources[fault as usize];
        let Rate::PerMillion(rate) = source.rate else {
            return false;
        };
        source.stream.episode();
        let strikes = source.stream.chance(rate);
        source.fired += u64::from(strikes);
        self.struck.note(fault, strikes);
        strikes
    }

    /// Whether this fault happens at an opportunity that is rare and deserves it: every second time, if it
    /// is on.
    pub(crate) fn strikes_often(&mut self, fault: Fault) -> bool {
        let source = &mut self.sources[fault as usize];
        if self.frozen || source.rate == Rate::Off {
            return false;
        }
        source.stream.episode();
        let strikes = source.stream.chance(500_000);
        source.fired += u64::from(strikes);
        self.struck.note(fault, strikes);
        strikes
    }

    /// After how many milliseconds a recurring fault happens next, if it is on.
    pub(crate) fn next_ms(&mut self, fault: Fault) -> Option<u64> {
        let source = &mut self.sources[fault as usize];
        let Rate::EveryMs(mean_ms) = source.rate else {
            return None;
        };
        source.stream.episode();
        source.stream.sometime(1, 2 * mean_ms)
    }

    /// A recurring fault is due: whether it happens.
    pub(crate) fn falls_due(&mut self, fault: Fault) -> bool {
        self.sources[fault as usize].fired += u64::from(!self.frozen);
        self.struck.note(fault, !self.frozen);
        !self.frozen
    }

    /// The stream of a fault, for the choices within it.
    pub(crate) fn stream(&mut self, fault: Fault) -> &mut Stream {
        &mut self.sources[fault as usize].stream
    }

    /// How often each kind happened.
    pub(crate) fn fired(&self) -> impl Iterator<Item = (Fault, u64)> + '_ {
        Fault::ALL
            .iter()
            .map(|fault| (*fault, self.sources[*fault as usize].fired))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unique() {
        let mut labels: Vec<_> = Fault::ALL.iter().map(|fault| fault.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Fault::ALL.len());
    }

    #[test]
    fn a_swarm_switches_about_half_off() {
        let off: usize = (0..100)
            .map(|seed| {
                let rates = Rates::swarm(seed);
                Fault::ALL
                    .iter()
                    .filter(|fault| rates.of(**fault) == Rate::Off)
                    .count()
            })
            .sum();
        let all = 100 * Fault::ALL.len();
        assert!(
            off > all * 4 / 10 && off < all * 6 / 10,
            "{off} of {all} are off"
        );
    }

    #[test]
    fn kinds_do_not_disturb_each_other() {
        let mut one = Faults::new(&Draws::seeded(3), &Rates::only(Fault::Item429));
        let mut both = Rates::only(Fault::Item429);
        both.set(Fault::FrameLost, Rate::PerMillion(500_000));
        let mut two = Faults::new(&Draws::seeded(3), &both);
        one.set_frozen(false);
        two.set_frozen(false);
        for _ in 0..500 {
            two.strikes(Fault::FrameLost);
            assert_eq!(one.strikes(Fault::Item429), two.strikes(Fault::Item429));
        }
    }
}
