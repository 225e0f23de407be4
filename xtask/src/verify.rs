//! Tests and checks.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{self, cargo, step};
use crate::{Failure, machine};

/// Seeds whose trace hashes are compared.
const HASH_SEEDS: [u64; 5] = [1, 2, 3, 5, 8];

/// Packages with the programs that the end-to-end tests start.
pub const PROGRAMS: [&str; 3] = ["inventory-sync", "inventory-indexer", "inventory-agent"];

/// Every test.
pub fn test() -> Result<(), Failure> {
    machine::prepare()?;
    let selection = PROGRAMS.iter().flat_map(|package| ["-p", package]);
    step(
        "programs that the end-to-end tests start",
        cargo()
            .args(["build", "--locked", "--bins"])
            .args(selection),
    )?;
    hashes()?;
    bug_bank()?;
    step("tests", cargo().args(["test", "--workspace", "--locked"]))
}

/// The same seed must give the same trace in debug and in release: no float, no order of a hash map, no
/// assertion with an effect.
pub fn hashes() -> Result<(), Failure> {
    let target = run::target_dir();
    let build = ["build", "--locked", "-p", "inventory-sim"];
    step("simulator, debug", cargo().args(build))?;
    step("simulator, release", cargo().args(build).arg("--release"))?;
    for seed in HASH_SEEDS {
        let debug = trace_hash(&target.join("debug"), seed)?;
        let release = trace_hash(&target.join("release"), seed)?;
        if debug != release {
            return Err(Failure::step(format!(
                "seed {seed} is not the same run in debug and in release:\n  {debug}\n  {release}"
            )));
        }
        eprintln!("   seed {seed}: {debug}, in debug and in release");
    }
    Ok(())
}

/// The line of a run's summary that tells the hash of its trace.
fn trace_hash(folder: &Path, seed: u64) -> Result<String, Failure> {
    let mut command = Command::new(folder.join("inventory-sim"));
    command.args(["run", "--seed", &seed.to_string()]);
    let summary = run::output(&mut command)?;
    find_hash(&summary).ok_or_else(|| {
        Failure::step(format!(
            "{} printed no trace hash:\n{summary}",
            run::shown(&command)
        ))
    })
}

/// `trace hash 1234abcd…`, wherever in a line: the word after `hash`, 16 hexadecimal digits.
fn find_hash(summary: &str) -> Option<String> {
    let is_hash =
        |word: &&str| word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    summary
        .lines()
        .filter_map(|line| line.split_once("hash"))
        .find_map(|(_, rest)| {
            rest.split(|each: char| !each.is_ascii_alphanumeric())
                .find(is_hash)
                .map(str::to_owned)
        })
}

/// The tests of the simulator in a build where rules can be taken out: each must be missed.
pub fn bug_bank() -> Result<(), Failure> {
    step(
        "bug bank",
        bug_bank_cargo().args(["test", "--locked", "-p", "inventory-sim"]),
    )
}

/// A cargo that builds with the bug bank.
pub fn bug_bank_cargo() -> Command {
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    flags.push_str(" --cfg inventory_bug_bank");
    let mut command = cargo();
    command
        .env("CARGO_TARGET_DIR", bug_bank_dir())
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", flags.trim());
    command
}

/// Where it builds: other flags, another folder, so that the programs' own build stays as it is.
pub fn bug_bank_dir() -> PathBuf {
    run::target_dir().join("bug-bank")
}

/// Format, clippy, generated code.
pub fn lint() -> Result<(), Failure> {
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if run::output(cargo().args([subcommand, "--version"])).is_err() {
            return Err(Failure::step(format!(
                "this toolchain has no {component}: `rustup component add {component}`"
            )));
        }
    }
    step("format", cargo().args(["fmt", "--all", "--check"]))?;
    step(
        "generated code",
        cargo().args([
            "test",
            "--locked",
            "--quiet",
            "-p",
            "inventory-sync-schemas",
            "--lib",
        ]),
    )?;
    machine::prepare()?;
    step(
        "clippy",
        cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]),
    )
}

/// Writes or compares the code that is generated from the schema.
pub fn codegen(check: bool, options: &[String]) -> Result<(), Failure> {
    if options.iter().any(|option| option != "--check") {
        return Err(Failure::Usage(
            "`codegen` takes --check or nothing".to_owned(),
        ));
    }
    machine::prepare_codegen()?;
    let manifest: PathBuf = run::root().join("xtask/codegen/Cargo.toml");
    let mut command = cargo();
    command
        .args(["run", "--locked", "--manifest-path"])
        .arg(manifest)
        .arg("--");
    if check {
        command.arg("--check");
    }
    step("code generator", &mut command)
}

/// Writes the fuzz targets' first inputs.
pub fn corpus() -> Result<(), Failure> {
    step(
        "corpora",
        cargo().args([
            "run",
            "--locked",
            "-p",
            "inventory-fuzz",
            "--bin",
            "write-corpus",
        ]),
    )
}

#[cfg(test)]
mod tests {
    use super::find_hash;

    #[test]
    fn the_hash_is_found_and_nothing_else_is() {
        let wanted = Some("0123456789abcdef".to_owned());
        assert_eq!(find_hash("seed 1\ntrace hash 0123456789abcdef\n"), wanted);
        assert_eq!(
            find_hash("seed 1, hash: 0x 0123456789abcdef, 17 events"),
            wanted
        );
        assert_eq!(find_hash("hashes of 3 runs"), None);
        assert_eq!(find_hash("0123456789abcdef"), None);
    }
}
