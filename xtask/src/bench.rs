//! `cargo xtask bench`: builds release programs and runs the benchmark with them.

use std::process::Command;

use crate::run::{self, cargo, step};
use crate::verify::PROGRAMS;
use crate::{Failure, machine};

/// The package with the benchmark, and its program.
const BENCH: (&str, &str) = ("inventory-tests", "inventory-bench");

/// Builds everything and measures; the options are the benchmark's own.
pub fn bench(options: &[String]) -> Result<(), Failure> {
    check(options)?;
    machine::prepare()?;
    // The load client is a command of the daemon's program, the sink one of the Indexer's.
    let measured = PROGRAMS.iter().filter(|name| **name != "inventory-agent");
    let mut build = cargo();
    build.args(["build", "--release", "--locked", "--bins"]);
    for package in measured {
        build.args(["-p", package]);
    }
    step("release programs", build.args(["-p", BENCH.0]))?;
    let programs = run::target_dir().join("release");
    step(
        "measuring",
        Command::new(programs.join(BENCH.1))
            .args(options)
            .env("INVENTORY_TEST_PROGRAMS", &programs)
            .current_dir(run::root()),
    )
}

/// Refuses what the benchmark would refuse, before a build of many minutes.
fn check(options: &[String]) -> Result<(), Failure> {
    let mut words = options.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--quick" | "--save-baseline" | "--opensearch" => {}
            "--row" | "--sessions" | "--folder" | "--cpu-seconds" => {
                if words.next().is_none() {
                    return Err(Failure::Usage(format!("`bench {word}` needs a value")));
                }
            }
            other => return Err(Failure::Usage(format!("`bench` takes no `{other}`"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(line: &str) -> Result<(), Failure> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        check(&words)
    }

    #[test]
    fn options_are_checked_before_anything_is_built() {
        assert!(checked("").is_ok());
        assert!(checked("--quick --row single --folder /tmp").is_ok());
        for line in ["--fast", "--row", "quick"] {
            assert!(matches!(checked(line), Err(Failure::Usage(_))), "{line}");
        }
    }
}
