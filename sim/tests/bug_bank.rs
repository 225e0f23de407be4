//! The bug bank: each bug that can be planted is found by the simulator, most of them by random seeds, a few by
//! a script; `cargo xtask bug-bank` prints what found each.
//!
//! Only a build with `--cfg inventory_bug_bank` can plant one; in others there is nothing to run here but the
//! check that each bug has its row in the list of incidents.

mod incidents;

use inventory_sync_core::bug::Bug;

#[cfg(inventory_bug_bank)]
/// Most seeds until a bug that random worlds find must be found.
const SEEDS_MAX: u64 = 1_500;

/// How a bug is looked for.
enum Search {
    /// In the random worlds of the seeds from 1 on.
    Seeds,
    /// In this script.
    Script(Box<incidents::Scenario>),
}

fn search(bug: Bug) -> Search {
    match bug {
        Bug::ConflictTakenAsStored => Search::Script(Box::new(incidents::foreign_write(5_000, 2))),
        Bug::FloorIgnored => Search::Script(Box::new(incidents::foreign_write(3 * 3_600_000, 2))),
        Bug::OverlayNotCompared => Search::Script(Box::new(incidents::foreign_overlay())),
        Bug::HeldIndexNeverResumes => Search::Script(Box::new(incidents::index_at_fault())),
        _ => Search::Seeds,
    }
}

#[test]
fn scripts_end_well_without_a_bug() {
    for bug in Bug::ALL {
        if let Search::Script(scenario) = search(*bug) {
            scenario.check_sound(&format!("{bug:?}"));
        }
    }
}

#[test]
fn every_bug_has_its_place_among_the_incidents() {
    let list = incidents::List::read();
    for bug in Bug::ALL {
        assert!(
            !list.of_bug(*bug).is_empty(),
            "no row of sim/INCIDENTS.md cites Bug::{bug:?}"
        );
    }
    assert!(Bug::ALL.len() >= 40, "{} bugs", Bug::ALL.len());
}

#[cfg(inventory_bug_bank)]
mod planted {
    use std::panic::catch_unwind;
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    use inventory_sim::{Conduct, Ending, Options, run};
    use inventory_sync_core::bug::{Bug, CANARY, plant};

    use super::{SEEDS_MAX, Search, incidents, search};

    /// What found a bug.
    struct Found {
        bug: Bug,
        /// The oracle, the assertion or the wait; nothing when it was not found.
        by: Option<String>,
        seeds: u64,
        took: Duration,
    }

    /// What an ending says of a bug: nothing when the run was sound.
    fn finder(ending: std::thread::Result<Ending>) -> Option<String> {
        match ending {
            Ok(Ending::Sound | Ending::Stopped) => None,
            Ok(Ending::Unsafe(violation)) => Some(violation.oracle.to_owned()),
            Ok(Ending::Stuck { reason }) => Some(format!("liveness: {reason}")),
            Ok(Ending::SimulatorFault(reason)) => panic!("a fault of the simulator: {reason}"),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
                let text = text.unwrap_or_default();
                let line = text.lines().next().unwrap_or_default().to_owned();
                Some(format!("assertion: {line}"))
            }
        }
    }

    fn hunt(bug: Bug) -> Found {
        let began = Instant::now();
        let found = |by, seeds| Found {
            bug,
            by,
            seeds,
            took: began.elapsed(),
        };
        match search(bug) {
            Search::Script(scenario) => {
                let by = finder(catch_unwind(|| {
                    let _planted = plant(bug);
                    scenario.run().ending
                }));
                found(by, 0)
            }
            Search::Seeds => {
                for seed in 1..=SEEDS_MAX {
                    let by = finder(catch_unwind(|| {
                        let _planted = plant(bug);
                        run(&Options::drawn(seed), Conduct::default()).ending
                    }));
                    if by.is_some() {
                        return found(by, seed);
                    }
                }
                found(None, SEEDS_MAX)
            }
        }
    }

    fn print(found: &[Found], took: Duration) {
        let list = incidents::List::read();
        println!(
            "{:<28} {:<12} {:<24} {:>6} {:>7}  found by",
            "bug", "machine", "incidents", "seeds", "ms"
        );
        for each in found {
            let by: String = each
                .by
                .as_deref()
                .unwrap_or("NOTHING")
                .chars()
                .take(60)
                .collect();
            println!(
                "{:<28} {:<12} {:<24} {:>6} {:>7}  {by}",
                format!("{:?}", each.bug),
                format!("{:?}", each.bug.machine()),
                list.of_bug(each.bug).join(" "),
                if each.seeds == 0 {
                    "script".to_owned()
                } else {
                    each.seeds.to_string()
                },
                each.took.as_millis(),
            );
        }
        let missed = found.iter().filter(|each| each.by.is_none()).count();
        println!(
            "{} bugs, {} found, in {:.1} s",
            found.len(),
            found.len() - missed,
            took.as_secs_f64()
        );
    }

    /// Its own threads: a bug is planted in a thread, and so are the panics that it causes.
    #[test]
    fn every_bug_is_found() {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let began = Instant::now();
        let waiting = Mutex::new(Bug::ALL.iter().copied());
        let found = Mutex::new(Vec::new());
        let next = || waiting.lock().ok()?.next();
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(bug) = next() {
                        let one = hunt(bug);
                        if let Ok(mut found) = found.lock() {
                            found.push(one);
                        }
                    }
                });
            }
        });
        std::panic::set_hook(hook);
        let mut found = found.into_inner().unwrap_or_default();
        found.sort_by_key(|each| each.bug);
        print(&found, began.elapsed());
        assert_eq!(found.len(), Bug::ALL.len(), "a thread that hunts has died");
        let missed: Vec<Bug> = found
            .iter()
            .filter(|each| each.by.is_none())
            .map(|each| each.bug)
            .collect();
        assert!(missed.is_empty(), "not found: {missed:?}");
    }

    #[test]
    fn the_canary_sings_in_one_of_the_first_worlds() {
        let found = hunt(CANARY);
        assert!(
            found.by.is_some() && found.seeds <= 10,
            "seed {}",
            found.seeds
        );
    }
}
