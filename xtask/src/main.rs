//! `cargo xtask`: everything that is done with this project, by commands that need nothing before them
//! but Rust and a C linker.
//!
//! ```text
//!  cargo xtask demo ──▶ agent ─▶ simulator ─▶ system packages ─▶ daemon ─▶ `inventory-sync demo`
//!  cargo xtask test ──▶ system packages ─▶ every test ─▶ equal hashes ─▶ bug bank
//!  cargo xtask bench ─▶ release programs ─▶ `inventory-bench`
//!  cargo xtask chaos ─▶ system packages ─▶ programs ─▶ `inventory-chaos`, the kill −9 campaign
//!  cargo xtask hunt ─▶ the simulator laid out by what runs ─▶ `inventory-sim hunt`
//!  cargo xtask mutants ─▶ cargo-mutants on a copy of the tree ─▶ docs/mutants.md
//!  cargo xtask ci   ──▶ lint (format, clippy, generated code) ─▶ the same test
//! ```
//!
//! Invariants: the standard library alone, so that the first command compiles in a moment; what it
//! installs on the machine it names first; what it builds lies in the target directory.

mod bench;
mod chaos;
mod demo;
mod fuzz;
mod hunt;
mod machine;
mod mutants;
mod planted;
mod progress;
mod run;
mod verify;

use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask COMMAND

  demo [--yes] [--stop] [--clean]
                     Build everything step by step and show it on this machine's own inventory.
                     --yes asks nothing; --stop ends what a demonstration left running;
                     --clean also removes what it wrote
  chaos [--kills N] [--seed S] [--state FILE] [--release] [--opensearch] …
                     Kill the daemon −9 under load, again and again, in each phase of a
                     session, and compare every document; goes on where it ended.
                     `chaos --help` shows the rest, after a build
  test               Run every test, as root or as a user: installs what the build needs,
                     then `cargo test`, `hashes` and `bug-bank`
  bench [--quick] [--row NAME] [--save-baseline] [--opensearch]
        [--sessions DIR] [--folder DIR] [--cpu-seconds S]
                     Measure the daemon with release programs: documents and sessions per second
                     of CPU time, latency, memory, and where the time goes; beside each figure the
                     ratio to docs/bench-baseline.json. --quick: a minute, figures mean little;
                     --row: rows whose names begin so (`--row giant`: 16 GB, only when named);
                     --opensearch: also into the one that INVENTORY_TEST_INDEXER_* names;
                     --sessions: also captured ones
  hashes             Run the simulator's seeds in a debug and a release build and compare
                     the hashes of their traces
  hunt …             Build the simulator as fast as it can be and let it hunt; what follows is the
                     hunt's own (--minutes N, --jobs N, …). With `rustup component add llvm-tools`
                     the build is laid out by what ran in a first one
  bug-bank           Plant bugs, one after the other, and see each one found
  mutants [--judge simulator|all] [--sample N] [--minutes M] [--again]
                     Put small faults into core/, one at a time, and count which its judges
                     notice; goes on where it ended, writes docs/mutants.md
  lint               Format, clippy without warnings, generated code current
  ci                 `lint`, then `test`
  codegen [--check]  Write the code generated from schemas/inventory_sync.fbs, or compare it
                     (builds the FlatBuffers compiler: some minutes the first time)
  corpus             Write the fuzz targets' first inputs
  fuzz [--minutes N] [--target T] [--jobs J] [--minimise]
                     Let each fuzz target run for its share of the time (10 minutes in all), on
                     the stable compiler; what it finds of interest stays in target/fuzz, a crash
                     in fuzz/crashes; --minimise renews fuzz/corpus from it (--minutes 0: that alone)
  help               This text
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(what)) => {
            eprintln!("xtask: {what}\n\n{HELP}");
            ExitCode::from(2)
        }
        Err(Failure::Step(what)) => {
            eprintln!("\nxtask: {what}");
            ExitCode::FAILURE
        }
    }
}

/// Why a command did not succeed.
#[derive(Debug)]
enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// A step failed; the sentence says which, and what to do where that is known.
    Step(String),
}

impl Failure {
    fn step(what: impl Into<String>) -> Self {
        Self::Step(what.into())
    }
}

fn dispatch(args: &[String]) -> Result<(), Failure> {
    let Some((command, options)) = args.split_first() else {
        return Err(Failure::Usage("no command was given".to_owned()));
    };
    match command.as_str() {
        "bench" => bench::bench(options),
        "chaos" => chaos::chaos(options),
        "mutants" => mutants::mutants(&mutants::Options::read(options)?),
        "demo" => demo::demo(&demo::Options::read(options)?),
        "fuzz" => fuzz::fuzz(options),
        "hunt" => hunt::hunt(options),
        "codegen" => verify::codegen(options.iter().any(|option| option == "--check"), options),
        plain => {
            if let Some(option) = options.first() {
                return Err(Failure::Usage(format!("`{plain}` takes no `{option}`")));
            }
            match plain {
                "test" => verify::test(),
                "hashes" => verify::hashes(),
                "bug-bank" => verify::bug_bank(),
                "lint" => verify::lint(),
                "ci" => verify::lint().and_then(|()| verify::test()),
                "corpus" => verify::corpus(),
                "help" | "--help" | "-h" => {
                    print!("{HELP}");
                    Ok(())
                }
                other => Err(Failure::Usage(format!("there is no command `{other}`"))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_command_is_refused() {
        for line in [
            &["fly"][..],
            &[],
            &["test", "--fast"],
            &["demo", "--now"],
            &["bench", "--now"],
            &["codegen", "x"],
            &["fuzz", "--hours", "1"],
        ] {
            let args: Vec<String> = line.iter().map(|&word| word.to_owned()).collect();
            assert!(
                matches!(dispatch(&args), Err(Failure::Usage(_))),
                "{line:?}"
            );
        }
    }
}
