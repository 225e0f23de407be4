//! Everything that goes wrong: each kind with its own stream, its own rate and its own counter.
//!
//! What the design survives is in the list of [`Fault`]s, and nothing outside it is injected; `ATLAS.md` has a
//! row for each. Kinds that strike a link or an agent can be confined to some agents, which is how a part of
//! the world stays broken while the rest heals.

use std::collections::BTreeSet;

use inventory_sync_core::id::AgentId;

use crate::choices::Draws;
pub use crate::fault_kinds::{Fault, Often, Part};
use crate::streams::Stream;
use crate::trace::Struck;

use Often::{Chance, Every};

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

    /// A rate drawn for a swarm. How many kinds are on is drawn first, from a half down to one in
    /// twenty-five, so that some runs are cruel and some nearly calm; those that are on have a rate of their
    /// own, from rare to as often as that kind may.
    #[must_use]
    pub fn drawn(seed: u64, fault: Fault) -> Self {
        let off = *Stream::new(&Draws::seeded(seed), "calmness")
            .pick(&[500_000, 750_000, 900_000, 960_000]);
        let mut stream = Stream::new(&Draws::seeded(seed), "rate").fork(fault.label());
        if stream.chance(off) {
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

    /// A swarm: for each kind a [drawn rate](Rate::drawn).
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

/// Where faults strike at present.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reach {
    /// Nowhere.
    Nowhere,
    /// Everywhere.
    Everywhere,
    /// Only on the links and in the processes of these agents.
    Only(BTreeSet<AgentId>),
}

/// The faults of one run.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    sources: Vec<Source>,
    reach: Reach,
    struck: Struck,
}

impl Faults {
    /// The faults of a run, asleep until [`Faults::wake`].
    pub(crate) fn new(draws: &Draws, rates: &Rates) -> Self {
        let source = |fault: &Fault| Source {
            rate: rates.of(*fault),
            stream: Stream::new(draws, fault.label()),
            fired: 0,
        };
        Self {
            sources: Fault::ALL.iter().map(source).collect(),
            reach: Reach::Nowhere,
            struck: Struck::default(),
        }
    }

    /// Where the labels of what strikes are noted, for a recording.
    pub(crate) fn tell(&mut self, struck: Struck) {
        self.struck = struck;
    }

    /// Things begin to go wrong, everywhere.
    pub(crate) fn wake(&mut self) {
        self.reach = Reach::Everywhere;
    }

    /// Nothing new goes wrong from now on.
    pub(crate) fn freeze(&mut self) {
        self.reach = Reach::Nowhere;
    }

    /// From now on only these agents and their links are struck.
    pub(crate) fn confine(&mut self, agents: BTreeSet<AgentId>) {
        self.reach = Reach::Only(agents);
    }

    /// Whether a kind that belongs to no agent may strike now.
    fn is_awake(&self) -> bool {
        self.reach == Reach::Everywhere
    }

    /// Whether an agent may be struck now.
    pub(crate) fn reaches(&self, agent: AgentId) -> bool {
        match &self.reach {
            Reach::Nowhere => false,
            Reach::Everywhere => true,
            Reach::Only(agents) => agents.contains(&agent),
        }
    }

    fn draws(&mut self, fault: Fault) -> bool {
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

    /// Whether this fault happens at this opportunity, which is no agent's.
    pub(crate) fn strikes(&mut self, fault: Fault) -> bool {
        self.is_awake() && self.draws(fault)
    }

    /// Whether this fault happens to this agent, or on its link, at this opportunity.
    pub(crate) fn strikes_agent(&mut self, fault: Fault, agent: AgentId) -> bool {
        debug_assert!(fault.part().is_of_an_agent(), "{fault:?} is no agent's");
        self.reaches(agent) && self.draws(fault)
    }

    /// Whether this fault happens at an opportunity that is rare and deserves it: every second time, if it
    /// is on.
    pub(crate) fn strikes_often(&mut self, fault: Fault) -> bool {
        let is_awake = self.is_awake();
        let source = &mut self.sources[fault as usize];
        if !is_awake || source.rate == Rate::Off {
            return false;
        }
        source.stream.episode();
        let strikes = source.stream.chance(500_000);
        source.fired += u64::from(strikes);
        self.struck.note(fault, strikes);
        strikes
    }

    /// Whether a kind happens at all in this run.
    pub(crate) fn is_on(&self, fault: Fault) -> bool {
        self.sources[fault as usize].rate != Rate::Off
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

    /// Whether a recurring fault that is due may happen: if it is an agent's, some agent must be in reach.
    pub(crate) fn may_recur(&self, fault: Fault) -> bool {
        match self.reach {
            Reach::Nowhere => false,
            Reach::Everywhere => true,
            Reach::Only(_) => fault.part().is_of_an_agent(),
        }
    }

    /// A recurring fault has happened.
    pub(crate) fn count(&mut self, fault: Fault) {
        self.sources[fault as usize].fired += 1;
        self.struck.note(fault, true);
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
    fn some_swarms_are_cruel_and_some_are_nearly_calm() {
        let on = |seed| {
            let rates = Rates::swarm(seed);
            let on = Fault::ALL
                .iter()
                .filter(|fault| rates.of(**fault) != Rate::Off);
            on.count()
        };
        let all = Fault::ALL.len();
        let (mut cruel, mut calm) = (0, 0);
        for seed in 0..100 {
            cruel += u32::from(on(seed) * 10 > all * 4);
            calm += u32::from(on(seed) * 10 < all);
        }
        assert!(
            cruel > 10 && calm > 10,
            "{cruel} cruel and {calm} calm of 100"
        );
    }

    #[test]
    fn kinds_do_not_disturb_each_other() {
        let mut one = Faults::new(&Draws::seeded(3), &Rates::only(Fault::Item429));
        let mut both = Rates::only(Fault::Item429);
        both.set(Fault::FrameLost, Rate::PerMillion(500_000));
        let mut two = Faults::new(&Draws::seeded(3), &both);
        one.wake();
        two.wake();
        for _ in 0..500 {
            two.strikes_agent(Fault::FrameLost, AgentId(1));
            assert_eq!(one.strikes(Fault::Item429), two.strikes(Fault::Item429));
        }
    }
}
