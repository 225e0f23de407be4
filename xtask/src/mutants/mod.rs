//! `cargo xtask mutants`: how many faults of the core its judges notice.
//!
//! ```text
//!  cargo-mutants --list ─▶ all mutants, in a seeded order ─▶ those without a result, some at a time
//!                                                             │ in a copy of the tree, with a warm build
//!  docs/mutants/JUDGE.tsv ◀── results accumulate ◀────────────┘
//!          └─▶ docs/mutants.md: score, confidence interval, survivors and their reasons
//! ```
//!
//! Two judges: the simulator alone, and with it the machines' own tests, which judge what it lets live.
//! The order is a hash of each mutant's name: the first N are a sample, and stay one when mutants come and go.

mod judge;
mod list;
mod report;
mod results;
mod tree;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::{Failure, machine};
use judge::Judge;
use list::{Mutant, Mutants};
use results::Results;

/// Mutants of one call of cargo-mutants: after each call results are kept.
const AT_ONCE: usize = 40;

/// What is asked for.
pub struct Options {
    judges: Vec<Judge>,
    sample: usize,
    minutes: u64,
    is_again: bool,
}

impl Options {
    /// `[--judge simulator|all] [--sample N] [--minutes M] [--again]`.
    pub fn read(args: &[String]) -> Result<Self, Failure> {
        let mut options = Self {
            judges: Judge::BOTH.to_vec(),
            sample: 300,
            minutes: 60,
            is_again: false,
        };
        let mut args = args.iter();
        while let Some(name) = args.next() {
            if name == "--again" {
                options.is_again = true;
                continue;
            }
            let value = args
                .next()
                .ok_or_else(|| Failure::Usage(format!("`{name}` needs a value")))?;
            let number = || {
                value
                    .parse::<usize>()
                    .map_err(|_| Failure::Usage(format!("`{name} {value}` is no number")))
            };
            match name.as_str() {
                "--judge" => {
                    let judge = Judge::BOTH.into_iter().find(|judge| judge.name() == value);
                    let judge = judge.ok_or_else(|| {
                        Failure::Usage(format!("no judge is called `{value}`: simulator, all"))
                    })?;
                    options.judges = vec![judge];
                }
                "--sample" => options.sample = number()?,
                "--minutes" => options.minutes = number()? as u64,
                other => return Err(Failure::Usage(format!("`mutants` takes no `{other}`"))),
            }
        }
        Ok(options)
    }
}

/// Those of the file of the first one: what is deleted there passes every pattern, and is judged with it.
fn of_one_file<'a>(open: &[&'a Mutant]) -> Vec<&'a Mutant> {
    let Some(first) = open.first() else {
        return Vec::new();
    };
    let same = open.iter().filter(|each| each.file() == first.file());
    same.take(AT_ONCE).copied().collect()
}

/// Judges mutants that have no result yet, then writes the report.
pub fn mutants(options: &Options) -> Result<(), Failure> {
    machine::prepare()?;
    let tool = judge::tool()?;
    let tree = tree::copy()?;
    let all = Mutants::list(&tool, &tree)?;
    eprintln!("   {} mutants of core/", all.order.len());
    let sample = &all.order[..options.sample.min(all.order.len())];
    let share = Duration::from_secs(options.minutes * 60)
        / u32::try_from(options.judges.len()).unwrap_or(1);
    for judge in &options.judges {
        let mut results = Results::read(*judge);
        results.take(judge::left_over(*judge, &all));
        let simulator = (*judge == Judge::All).then(|| Results::read(Judge::Simulator));
        if let Some(simulator) = &simulator {
            // The simulator is one of all tests.
            results.take(simulator.caught());
        }
        let mut again = if options.is_again {
            results.missed()
        } else {
            BTreeSet::new()
        };
        // What the simulator has not judged is not for all tests yet.
        let is_asked = |mutant: &Mutant| simulator.as_ref().is_none_or(|known| known.has(mutant));
        let until = Instant::now() + share;
        let mut is_proven = false;
        loop {
            let is_done = |each: &Mutant| results.has(each) && !again.contains(&each.key);
            let open: Vec<&Mutant> = sample
                .iter()
                .filter(|each| !is_done(each) && is_asked(each))
                .collect();
            let left = open.len();
            eprintln!(
                "   {}: {left} of {} to be judged",
                judge.name(),
                sample.len()
            );
            if open.is_empty() || Instant::now() >= until {
                break;
            }
            if !std::mem::replace(&mut is_proven, true) {
                judge::judge_unchanged(&tree, *judge)?;
            }
            let some = of_one_file(&open);
            let found = judge::judge_some(&tool, &tree, *judge, &all, &some)?;
            for (key, _) in &found {
                again.remove(key);
            }
            results.take(found);
            // Deleted fields are judged unasked, also those that the simulator notices.
            if let Some(simulator) = &simulator {
                results.take(simulator.caught());
            }
            results.write(*judge)?;
        }
        results.write(*judge)?;
    }
    report::write(&all, sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let read = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            Options::read(&words)
        };
        let options = read(&["--again", "--judge", "all", "--sample", "20"])
            .ok()
            .unwrap();
        assert!(options.judges == [Judge::All] && options.sample == 20 && options.is_again);
        assert!(read(&["--judge", "nobody"]).is_err());
        assert!(read(&["--sample"]).is_err());
    }
}
