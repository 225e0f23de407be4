//! Other seeds: a small world in which the same faults strike often may fail by itself, and a whole new run of
//! it is smaller than what is left of a large one.
//!
//! ```text
//!  small worlds ─┬─ one of the faults that struck, alone, as often as it may ─┐
//!                ├─ all of them, as often as they may                         ├─▶ seeds 0, 1, 2 … ─▶ smaller?
//!                ├─ all of them, as drawn                                     │
//!                └─ each of the others, alone                                 ┘
//! ```

use super::list::{is_order, without};
use super::{Case, Shrinker};
use crate::choices::Tape;
use crate::faults::{Fault, Rate, Rates};
use crate::finding::attempt;
use crate::options::{Options, Setting};
use crate::run::Conduct;

/// A list as long as this is worth a search.
const LONG: usize = 100;

/// A list as long as this is worth a thorough one, before its episodes are removed one after the other.
const VERY_LONG: usize = 300;

/// A run that weighs as much is more than a page to read, and worth a last search.
const HEAVY: u64 = 76;

/// How much is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    /// In the smallest worlds, while the run is so large that other candidates take long.
    Quick,
    /// In all worlds, if the list is very long.
    Thorough,
    /// In all worlds, with all faults, if there is more to read than a page.
    Last,
}

impl Search {
    /// Seeds that are tried in each world: with a fault alone, and with all together.
    const fn seeds(self) -> (u64, u64) {
        match self {
            Self::Quick => (3, 40),
            Self::Thorough | Self::Last => (12, 60),
        }
    }

    const fn worlds(self) -> &'static [&'static [(&'static str, u64)]] {
        match self {
            Self::Quick => WORLDS.split_at(3).0,
            Self::Thorough | Self::Last => &WORLDS,
        }
    }
}

/// By how much less a fault is worth that did not strike.
const OTHERS: u64 = 4;

/// Small worlds: the settings that make them so.
const WORLDS: [&[(&str, u64)]; 5] = [
    &[
        ("agents", 1),
        ("shards", 1),
        ("modules", 1),
        ("indices_per_module", 1),
        ("documents_max", 2),
        ("hostiles", 0),
        ("healing", 0),
        ("warm_up_ms", 0),
        ("chaos_ms", 60_000),
    ],
    &[
        ("agents", 1),
        ("shards", 1),
        ("modules", 1),
        ("warm_up_ms", 0),
        ("chaos_ms", 60_000),
    ],
    // Sessions of many frames.
    &[
        ("agents", 1),
        ("shards", 1),
        ("modules", 1),
        ("indices_per_module", 1),
        ("documents_max", 30),
        ("fulls_per_mille", 700),
        ("frame_bytes_max", 4_096),
        ("hostiles", 0),
        ("healing", 0),
        ("warm_up_ms", 0),
        ("chaos_ms", 60_000),
    ],
    &[("warm_up_ms", 0), ("chaos_ms", 60_000)],
    &[],
];

impl Shrinker<'_> {
    fn is_worth(&self, search: Search) -> bool {
        let length = self.best.choices.list.len();
        match search {
            Search::Quick => length >= LONG,
            Search::Thorough => length >= VERY_LONG,
            Search::Last => self.size.weight > HEAVY,
        }
    }

    /// Looks for a smaller run that fails in the same way, when this one is long.
    pub(super) fn search_seeds(&mut self, search: Search) {
        self.doing = "other seeds";
        for settings in search.worlds() {
            let mut options = self.best.options.clone();
            for (name, value) in *settings {
                let setting = Setting::named(name);
                // A setting that does not exist changes nothing.
                let _ = setting.and_then(|setting| setting.set(&mut options, *value));
            }
            // All worlds of one size are looked at: the next one is seldom smaller than the first that fails.
            for (rates, seeds) in self.rates_to_try(search) {
                if !self.is_worth(search) || self.is_over {
                    return;
                }
                options.rates = rates;
                self.try_seeds(&options, seeds);
            }
        }
    }

    /// The faults that struck, each alone, and all together; and how many seeds each is worth.
    fn rates_to_try(&self, search: Search) -> Vec<(Rates, u64)> {
        let (alone, together) = search.seeds();
        let choices = &self.best.choices;
        let struck = |fault: &&Fault| {
            let label = fault.label();
            let mut list = choices.list.iter();
            list.any(|choice| choices.name_of(choice) == label)
        };
        let (struck, others): (Vec<&Fault>, Vec<&Fault>) = Fault::ALL.iter().partition(struck);
        let only = |faults: Vec<&Fault>, seeds| {
            let rates = faults.into_iter().map(|fault| Rates::only(*fault));
            rates.map(move |rates| (rates, seeds)).collect::<Vec<_>>()
        };
        let mut often = Rates::calm();
        for fault in &struck {
            often.set(**fault, Rate::most(**fault));
        }
        let mut all: Vec<(Rates, u64)> = vec![(Rates::calm(), alone)];
        all.extend(only(struck, alone));
        all.push((often, together));
        all.push((self.best.options.rates.clone(), together));
        // What did not strike may lead to the same failure in fewer steps.
        if search == Search::Last {
            all.extend(only(others, alone / OTHERS));
        }
        all
    }

    /// Seeds of one world, up to the first that is smaller.
    fn try_seeds(&mut self, options: &Options, seeds: u64) {
        let mut options = options.clone();
        for seed in 0..seeds {
            options.seed = seed;
            if self.try_seed(&options) {
                return;
            }
        }
    }

    /// A new run, and, if it fails in the same way, that run in calm order: whether that one is smaller.
    fn try_seed(&mut self, options: &Options) -> bool {
        if self.is_over || options.validate().is_err() || !self.goes_on() {
            return false;
        }
        let tape = Tape::recording();
        let conduct = Conduct {
            tape: Some(tape.clone()),
            stop: self.latest(),
            ..self.conduct.clone()
        };
        let found = attempt(options, conduct).finding;
        if !found.is_some_and(|found| found.is_like(&self.finding)) {
            return false;
        }
        let drawn = tape.recorded();
        let in_order = without(&drawn, |choice| is_order(drawn.name_of(choice)));
        [in_order, drawn].into_iter().any(|choices| {
            let candidate = Case {
                options: options.clone(),
                choices,
            };
            self.try_case(&candidate, false)
        })
    }

    /// Other seeds of the machines, for a shorter run.
    pub(super) fn change_seed(&mut self) {
        self.doing = "seeds of the machines";
        for seed in 0..8 {
            let mut candidate = self.best.clone();
            candidate.options.seed = seed;
            if candidate.options != self.best.options {
                self.try_case(&candidate, false);
            }
        }
    }
}
