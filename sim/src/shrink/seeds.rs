//! Other seeds: a small world in which the same faults strike often may fail by itself, and a whole new run of
//! it is smaller than what is left of a large one.

use super::{Case, Shrinker};
use crate::choices::{Choices, Tape};
use crate::faults::{Fault, Rate};
use crate::options::{Options, Setting};

/// A list as long as this is worth a search.
const LONG: usize = 300;

/// Seeds that are tried in each world.
const SEEDS: u64 = 60;

/// Small worlds: the settings that make them so.
const WORLDS: [&[(&str, u64)]; 3] = [
    &[
        ("agents", 1),
        ("shards", 1),
        ("modules", 1),
        ("indices_per_module", 1),
        ("documents_max", 2),
        ("chaos_ms", 60_000),
    ],
    &[
        ("agents", 1),
        ("shards", 1),
        ("modules", 1),
        ("chaos_ms", 60_000),
    ],
    &[],
];

impl Shrinker<'_> {
    /// Looks for a smaller run that fails in the same way, when this one is long.
    pub(super) fn search_seeds(&mut self) {
        self.doing = "other seeds";
        for settings in WORLDS {
            for often in [true, false] {
                if self.best.choices.list.len() < LONG {
                    return;
                }
                let mut options = self.best.options.clone();
                for (name, value) in settings {
                    let setting = Setting::named(name);
                    // A setting that does not exist changes nothing.
                    let _ = setting.and_then(|setting| setting.set(&mut options, *value));
                }
                if often {
                    strike_often(&mut options);
                }
                for seed in 0..SEEDS {
                    options.seed = seed;
                    let candidate = Case {
                        options: options.clone(),
                        choices: Choices::default(),
                    };
                    if self.try_tape(&candidate, &Tape::recording(), false) {
                        break;
                    }
                }
            }
        }
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

/// Every fault that is on strikes as often as it may.
fn strike_often(options: &mut Options) {
    for fault in Fault::ALL {
        if options.rates.of(*fault) != Rate::Off {
            options.rates.set(*fault, Rate::most(*fault));
        }
    }
}
