//! cargo-mutants on a few mutants at a time, under one judge.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::list::{Mutant, Mutants, exclude};
use crate::Failure;
use crate::run::{self, cargo, step};

/// The version that is installed where there is none.
const CARGO_MUTANTS: &str = "27.1.0";

/// A mutant that keeps its judge busy for so long is caught: it turns in circles.
const TIMEOUT_SECONDS: &str = "180";

/// Seeds that the simulator runs as a judge, besides those of its scripts; it stops at the first finding.
const JUDGE_SEEDS: &str = "60";

/// Who judges.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// The simulator alone: random seeds, scripts and small worlds under the oracles, and what must sometimes happen.
    Simulator,
    /// The simulator and the tests of the machines themselves, properties and recorded answers among them.
    All,
}

impl Judge {
    pub const BOTH: [Self; 2] = [Self::Simulator, Self::All];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Simulator => "simulator",
            Self::All => "all",
        }
    }

    const fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Simulator => &["inventory-sim"],
            Self::All => &["inventory-sync-core"],
        }
    }

    /// Arguments of `cargo test`.
    const fn tests(self) -> &'static [&'static str] {
        match self {
            Self::Simulator => &["--test", "judge"],
            Self::All => &["--tests"],
        }
    }
}

/// The judge passes what is not changed: else everything would count as caught. A build that was broken off may
/// have left files that cannot be linked, so that everything would count as not viable: it is begun anew.
pub fn judge_unchanged(tree: &Path, judge: Judge) -> Result<(), Failure> {
    let mut build = judge_command(tree, judge);
    build.arg("--no-run");
    if step("the judge is built", &mut build).is_err() {
        let mut clean = cargo();
        clean.args(["clean", "-q", "--profile", "mutants"]);
        clean.args(["-p", "inventory-sync-core", "-p", "inventory-sim"]);
        in_tree(&mut clean, tree);
        step("what was broken off is removed", &mut clean)?;
        step("the judge is built, from the start", &mut build)?;
    }
    step(
        "the judge, without a mutant",
        &mut judge_command(tree, judge),
    )
}

fn judge_command(tree: &Path, judge: Judge) -> Command {
    let mut command = cargo();
    command.args(["test", "-q", "--profile", "mutants"]);
    for package in judge.packages() {
        command.args(["-p", package]);
    }
    command.args(judge.tests());
    in_tree(&mut command, tree);
    command
}

/// Where the copy of the tree is built.
fn build_dir() -> PathBuf {
    run::target_dir().join("mutants/build")
}

/// As each judge runs, with a mutant or without.
fn in_tree(command: &mut Command, tree: &Path) {
    command
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", build_dir())
        // One function of one crate changes each time.
        .env("CARGO_INCREMENTAL", "1")
        .env("INVENTORY_JUDGE_SEEDS", JUDGE_SEEDS)
        .env("INVENTORY_JUDGE_FIRST_FINDING", "1")
        .stdin(Stdio::null());
}

/// Runs cargo-mutants on a few, in place: the copy of the tree keeps its build warm.
pub fn judge_some(
    tool: &Path,
    tree: &Path,
    judge: Judge,
    all: &Mutants,
    mutants: &[&Mutant],
) -> Result<Vec<(String, String)>, Failure> {
    let out = folder(judge);
    let mut command = Command::new(tool);
    in_tree(&mut command, tree);
    command
        .args(["mutants", "--in-place", "--baseline", "skip"])
        .args(["--timeout", TIMEOUT_SECONDS, "--no-shuffle"])
        .args(["--profile", "mutants", "-p", "inventory-sync-core"])
        .arg("--output")
        .arg(&out);
    for package in judge.packages() {
        command.args(["--test-package", package]);
    }
    exclude(&mut command);
    // Deleted fields pass every pattern: without the files those of all of core would be
    // judged each time.
    let files: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.file()).collect();
    for file in files {
        command.args(["--file", file]);
    }
    for mutant in mutants {
        command.args(["--re", &format!("^{}$", escaped(&mutant.name))]);
    }
    // To the build, too: it would make the programs of all tests.
    for each in judge.tests() {
        command.arg(format!("--cargo-arg={each}"));
    }
    // It fails when a mutant is missed: that is a result.
    let status = command
        .status()
        .map_err(|error| Failure::step(format!("cannot run cargo-mutants: {error}")))?;
    let found = left_over(judge, all);
    if found.is_empty() {
        return Err(Failure::step(format!(
            "cargo-mutants gave no result ({status}): see {}",
            out.display()
        )));
    }
    Ok(found)
}

/// Where cargo-mutants writes what it finds.
fn folder(judge: Judge) -> PathBuf {
    run::target_dir().join("mutants").join(judge.name())
}

/// What the last call has found, be it ended or interrupted; each result is given once.
pub fn left_over(judge: Judge, all: &Mutants) -> Vec<(String, String)> {
    let out = folder(judge).join("mutants.out");
    let mut found = Vec::new();
    for outcome in ["caught", "missed", "timeout", "unviable"] {
        let text = fs::read_to_string(out.join(format!("{outcome}.txt")));
        let names: BTreeSet<String> = text
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect();
        // Also of those that passed the patterns unasked.
        for mutant in all.order.iter().filter(|each| names.contains(&each.name)) {
            found.push((mutant.key.clone(), outcome.to_owned()));
        }
    }
    // They are the caller's now.
    let _ = fs::remove_dir_all(out);
    found
}

/// A text as a regular expression that matches it alone.
fn escaped(text: &str) -> String {
    let mut pattern = String::new();
    for each in text.chars() {
        if !each.is_alphanumeric()
            && !matches!(
                each,
                ' ' | '_' | '/' | ':' | '"' | '\'' | ',' | ';' | '<' | '>' | '=' | '!' | '%' | '@'
            )
        {
            pattern.push('\\');
        }
        pattern.push(each);
    }
    pattern
}

/// cargo-mutants: the one that is installed, or one of our own.
pub fn tool() -> Result<PathBuf, Failure> {
    if run::output(cargo().args(["mutants", "--version"]).stderr(Stdio::null())).is_ok() {
        return Ok(PathBuf::from("cargo-mutants"));
    }
    let root = run::target_dir().join("tools");
    let tool = root.join("bin/cargo-mutants");
    if !tool.exists() {
        step(
            "cargo-mutants, once",
            cargo()
                .args([
                    "install",
                    "cargo-mutants",
                    "--locked",
                    "--version",
                    CARGO_MUTANTS,
                ])
                .arg("--root")
                .arg(&root),
        )?;
    }
    Ok(tool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_pattern_of_itself() {
        assert_eq!(escaped("a + b(c)"), r"a \+ b\(c\)");
    }
}
