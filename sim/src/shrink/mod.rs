//! The shrinker: from a run that fails to the smallest world and list of choices that still fail so.
//!
//! ```text
//!  run that fails ──record──▶ Case ──▶ cut at the failure
//!        ┌─────────────────────────────────────┘
//!        ▼
//!   other seeds ─▶ whole concerns ─▶ options ─▶ episodes (ddmin) ─▶ later ones move up ─▶ values
//!        ▲                                                                              │
//!        └────────────────────────── while something got smaller ◀─────────────────────-┘
//! ```
//!
//! # Invariants
//!
//! * A candidate is taken only if it shows the same finding (kind and name) and is not larger.
//! * What is kept of a candidate's choices is what its run used: the rest is gone at once.
//! * The result is a function of the case and of how many candidates were allowed.

mod list;
mod seeds;
mod shift;
mod world;

use seeds::Search;

use crate::choices::{Choices, Tape};
use crate::finding::{Finding, Outcome, attempt};
use crate::options::Options;
use crate::run::{Conduct, Stop};

/// A run: its options and what its environment chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The options.
    pub options: Options,
    /// The choices.
    pub choices: Choices,
}

/// What a choice weighs in events: a person reads both, and a choice says more.
const EVENTS_PER_CHOICE: u64 = 4;

/// How large a failing run is: what is smaller by an earlier part is smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Size {
    /// Events and choices together.
    weight: u64,
    choices: usize,
    events: u64,
    /// All choices' values together.
    values: u64,
}

/// How far the shrinker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Candidates that were run.
    pub tries: u64,
    /// Choices that are left.
    pub choices: usize,
    /// Events of machines up to the failure, without routine.
    pub events: u64,
    /// Of them, those of the manager's first start.
    pub starting: u64,
    /// What is being tried.
    pub doing: &'static str,
}

/// What the shrinker found.
#[derive(Debug)]
pub struct Shrunk {
    /// The smallest case.
    pub case: Case,
    /// What its run gave.
    pub outcome: Outcome,
    /// What was done.
    pub progress: Progress,
    /// Whether nothing smaller is left to try, or time was up.
    pub is_done: bool,
}

/// Shrinks a run that fails. `go_on` is asked before each candidate; when it says no, the smallest so far is
/// the result. Nothing if the case does not fail.
pub fn shrink(case: Case, go_on: &mut dyn FnMut(Progress) -> bool) -> Option<Shrunk> {
    let conduct = Conduct {
        thorough: true,
        ..Conduct::default()
    };
    let tape = Tape::replaying(&case.choices);
    let outcome = attempt(
        &case.options,
        Conduct {
            tape: Some(tape.clone()),
            ..conduct.clone()
        },
    );
    let finding = outcome.finding.clone()?;
    let best = Case {
        options: case.options,
        choices: tape.recorded(),
    };
    let mut shrinker = Shrinker {
        size: size_of(&best, &outcome),
        finding,
        best,
        outcome,
        conduct,
        tries: 0,
        doing: "",
        is_over: false,
        go_on,
    };
    shrinker.work();
    shrinker.state_bound();
    Some(Shrunk {
        progress: shrinker.progress(),
        is_done: !shrinker.is_over,
        case: shrinker.best,
        outcome: shrinker.outcome,
    })
}

fn size_of(case: &Case, outcome: &Outcome) -> Size {
    let list = &case.choices.list;
    let events = outcome.extent.told();
    Size {
        weight: events + EVENTS_PER_CHOICE * list.len() as u64,
        choices: list.len(),
        events,
        values: list
            .iter()
            .fold(0, |sum, choice| sum.saturating_add(choice.value)),
    }
}

struct Shrinker<'a> {
    finding: Finding,
    best: Case,
    size: Size,
    outcome: Outcome,
    conduct: Conduct,
    tries: u64,
    doing: &'static str,
    is_over: bool,
    go_on: &'a mut dyn FnMut(Progress) -> bool,
}

impl Shrinker<'_> {
    fn progress(&self) -> Progress {
        Progress {
            tries: self.tries,
            choices: self.size.choices,
            events: self.size.events,
            starting: self.outcome.extent.starting,
            doing: self.doing,
        }
    }

    fn work(&mut self) {
        loop {
            // Smaller values alone may go on getting smaller for long, and say nothing more.
            let before = (self.size.weight, self.size.choices);
            let is_same = |size: Size| (size.weight, size.choices) == before;
            self.cut_time();
            self.drop_groups();
            self.search_seeds(Search::Quick);
            self.cut_time();
            self.drop_concerns();
            self.simplify_options();
            self.search_seeds(Search::Thorough);
            self.drop_episodes();
            self.drop_entries();
            self.move_episodes_up();
            self.drop_entries_and_strike_earlier();
            self.strike_earlier();
            self.lower_values();
            self.change_seed();
            if is_same(self.size) {
                self.search_seeds(Search::Last);
            }
            if is_same(self.size) || self.is_over {
                return;
            }
        }
    }

    /// Whether one more candidate may be run.
    fn goes_on(&mut self) -> bool {
        let progress = self.progress();
        self.is_over = !(self.go_on)(progress);
        self.tries += u64::from(!self.is_over);
        !self.is_over
    }

    /// Runs a candidate, and takes it if it fails in the same way and is smaller; with `or_equal` also if
    /// it is as large as the best so far.
    fn try_case(&mut self, candidate: &Case, or_equal: bool) -> bool {
        let tape = Tape::replaying(&candidate.choices);
        self.try_tape(candidate, &tape, or_equal)
    }

    /// The same with the choices that a tape gives.
    fn try_tape(&mut self, candidate: &Case, tape: &Tape, or_equal: bool) -> bool {
        if self.is_over || candidate.options.validate().is_err() {
            return false;
        }
        self.goes_on() && self.run_tape(candidate, tape, or_equal)
    }

    fn run_tape(&mut self, candidate: &Case, tape: &Tape, or_equal: bool) -> bool {
        let outcome = attempt(
            &candidate.options,
            Conduct {
                tape: Some(tape.clone()),
                stop: self.latest(),
                ..self.conduct.clone()
            },
        );
        let same = outcome
            .finding
            .as_ref()
            .is_some_and(|finding| finding.is_like(&self.finding));
        if !same {
            return false;
        }
        let taken = Case {
            options: candidate.options.clone(),
            choices: tape.recorded(),
        };
        let size = size_of(&taken, &outcome);
        if size < self.size || (or_equal && size.weight <= self.size.weight) {
            self.best = taken;
            self.size = size;
            self.outcome = outcome;
            return true;
        }
        false
    }

    fn try_choices(&mut self, choices: Choices) -> bool {
        let candidate = Case {
            options: self.best.options.clone(),
            choices,
        };
        self.try_case(&candidate, false)
    }

    /// A candidate that runs twice as long as the best one is not going to fail in the same way.
    fn latest(&self) -> Option<Stop> {
        Some(Stop::AfterMs(2 * self.outcome.extent.simulated_ms + 5_000))
    }
}
