//! The program: arguments, what people see, and everything that depends on the machine it runs on.
//!
//! ```text
//!  run ─────┐                        ┌──▶ trace file
//!  hunt ────┤  Source ──seed──▶ Options ──▶ attempt ──▶ Verdict ──▶ exit code, one line that repeats it
//!  replay ──┤  replay file ─────▶ Options, Choices ──┘                   │
//!  shrink ──┘                                              replay file ◀─┘
//! ```

#[cfg(inventory_bug_bank)]
mod bank;
mod failure;
mod hunt;
mod lists;
mod panics;
mod planted;
mod replay;
mod run;
mod shrink;
mod source;
mod totals;
mod trace_file;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};

/// The seeded world around the machines of inventory-sync.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a seed, or several, and prints what they drew and did. Exit codes: 0 sound, 10 an assertion
    /// failed, 11 a safety violation, 12 not at rest in time, 13 not deterministic, 14 simulator fault.
    Run(run::Arguments),
    /// Runs seed after seed in all cores, and keeps what fails as replay files. Exit codes as of `run`, of
    /// the first failure.
    Hunt(hunt::Arguments),
    /// Runs a replay file, or a seed, again: to a step, with a trace. Exit codes as of `run`.
    Replay(replay::Arguments),
    /// Makes the world and the list of choices of a failing run as small as they still fail.
    Shrink(shrink::Arguments),
    /// Lists the presets, or prints one as a file of one's own would be.
    Presets(lists::PresetArguments),
    /// Lists the faults, their labels and how often each happens at most.
    Faults,
}

/// Why a command could not do what it was asked: a sentence for people. Exit code 2, as of wrong arguments.
struct Refusal(String);

impl From<String> for Refusal {
    fn from(sentence: String) -> Self {
        Self(sentence)
    }
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(arguments) => run::main(&arguments),
        Command::Hunt(arguments) => hunt::main(&arguments),
        Command::Replay(arguments) => replay::main(&arguments),
        Command::Shrink(arguments) => shrink::main(&arguments),
        Command::Presets(arguments) => lists::presets(&arguments),
        Command::Faults => {
            lists::faults();
            Ok(0)
        }
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(Refusal(sentence)) => {
            eprintln!("inventory-sim: {sentence}");
            ExitCode::from(2)
        }
    }
}

/// Prints a line. When nobody reads any more the program ends, as others do.
fn say(text: impl std::fmt::Display) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Real time is for people only: nothing in a run depends on it. Never 0, so that it can divide.
fn elapsed_ms(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis())
        .unwrap_or(u64::MAX)
        .max(1)
}

fn read_file(path: &std::path::Path) -> Result<String, Refusal> {
    std::fs::read_to_string(path)
        .map_err(|error| Refusal(format!("{} cannot be read: {error}", path.display())))
}

fn write_file(path: &std::path::Path, text: &str) -> Result<(), Refusal> {
    std::fs::write(path, text)
        .map_err(|error| Refusal(format!("{} cannot be written: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }
}
