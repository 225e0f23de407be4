//! Explores the small worlds with any number of faults, and prints what was reached.
//!
//! ```text
//!  cargo run --release -p inventory-sim --example small_worlds -- --faults 2
//!  RUSTFLAGS="--cfg inventory_bug_bank" cargo run … -- --bugs      which planted bugs are found
//! ```

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use inventory_sim::small::{SCENARIOS, Sometimes, explore};

/// Explores every order in which few things can happen.
#[derive(Debug, Parser)]
struct Arguments {
    /// Faults in all
    #[arg(long, default_value_t = 1)]
    faults: u8,
    /// Only this scenario
    #[arg(long)]
    scenario: Option<String>,
    /// Plants each bug of the machines, one after the other, and says what finds it
    #[cfg(inventory_bug_bank)]
    #[arg(long)]
    bugs: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    #[cfg(inventory_bug_bank)]
    if arguments.bugs {
        planted::search_all(arguments.faults);
        return ExitCode::SUCCESS;
    }
    let mut seen: BTreeMap<Sometimes, u64> = BTreeMap::new();
    for scenario in &SCENARIOS {
        let is_wanted = |name: &String| name == scenario.name;
        if !arguments.scenario.as_ref().is_none_or(is_wanted) {
            continue;
        }
        let began = Instant::now();
        let report = explore(scenario, arguments.faults, u64::MAX);
        let seconds = began.elapsed().as_secs_f64();
        println!("{:<24} {report}, {seconds:.1} s", scenario.name);
        if let Some(found) = report.found {
            println!("{found}");
            return ExitCode::FAILURE;
        }
        for (what, count) in report.seen {
            *seen.entry(what).or_default() += count;
        }
    }
    for (what, count) in seen {
        println!("{count:>12}  {what:?}");
    }
    ExitCode::SUCCESS
}

#[cfg(inventory_bug_bank)]
mod planted {
    use std::panic::catch_unwind;
    use std::time::Instant;

    use inventory_sim::small::{SCENARIOS, explore};
    use inventory_sync_core::bug::{Bug, Machine, plant};

    pub fn search_all(faults: u8) {
        for bug in Bug::ALL {
            if !matches!(bug.machine(), Machine::Manager | Machine::Agent) {
                continue;
            }
            let began = Instant::now();
            let _planted = plant(*bug);
            let found = SCENARIOS.iter().find_map(|scenario| {
                match catch_unwind(|| explore(scenario, faults, u64::MAX)) {
                    Ok(report) => report
                        .found
                        .map(|found| format!("{} ({} steps)", found.broken, found.path.len())),
                    Err(_) => Some("an assertion of a machine".to_owned()),
                }
            });
            let found = found.unwrap_or_else(|| "not found".to_owned());
            println!("{bug:?}: {found}, {:.1} s", began.elapsed().as_secs_f64());
        }
    }
}
