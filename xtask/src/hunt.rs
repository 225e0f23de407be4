//! `cargo xtask hunt`: the simulator as fast as it can be built, and its `hunt`.
//!
//! ```text
//!  a build that counts ──▶ it runs TRAINING ──▶ llvm-profdata ──▶ a build laid out by the counts ──▶ hunt
//! ```
//!
//! A run is short and touches much code, so that fetching it is a good part of the time; what the counts tell
//! the compiler is what belongs together. Both builds run the same seeds to the same traces. Where the
//! toolchain has no `llvm-profdata`, the build goes without counts, and says what to install.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Failure;
use crate::run::{self, cargo, step};

/// What the build that counts runs: random worlds, none of which tests or documents name.
const TRAINING: &[&str] = &["run", "--seed", "20000", "--seeds", "300"];

/// Builds, and hunts in our place; what follows the command is the hunt's own.
pub fn hunt(options: &[String]) -> Result<(), Failure> {
    let host = run::host()?;
    let folder = run::target_dir().join("hunt");
    let flags = match llvm_profdata(&host)? {
        Some(merge) => {
            let profile = train(&folder, &host, &merge)?;
            format!("-Cprofile-use={}", profile.display())
        }
        None => {
            eprintln!(
                "\n── without counts: this toolchain has no llvm-profdata\n   \
                 rustup component add llvm-tools\n   makes the next hunt faster"
            );
            String::new()
        }
    };
    let program = build("the simulator", &folder.join("build"), &host, &flags)?;
    let mut hunt = Command::new(program);
    hunt.arg("hunt").args(options).current_dir(run::root());
    Err(run::instead(&mut hunt))
}

/// The toolchain's own: profiles of one release of LLVM cannot be read by another.
fn llvm_profdata(host: &str) -> Result<Option<PathBuf>, Failure> {
    let sysroot = run::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let program = Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(host)
        .join("bin/llvm-profdata");
    Ok(program.is_file().then_some(program))
}

/// Builds in a folder of its own; says where the program is.
fn build(what: &str, folder: &Path, host: &str, flags: &str) -> Result<PathBuf, Failure> {
    step(
        what,
        cargo()
            .args(["build", "--locked", "--profile", "campaign"])
            .args(["-p", "inventory-sim"])
            // Named, so that build scripts and macros are built as ever.
            .args(["--target", host])
            .env("CARGO_TARGET_DIR", folder)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", flags),
    )?;
    Ok(folder.join(host).join("campaign/inventory-sim"))
}

/// Counts what runs how often. A program that has been counted is not counted again.
fn train(folder: &Path, host: &str, merge: &Path) -> Result<PathBuf, Failure> {
    let program = build(
        "a build that counts",
        &folder.join("counting"),
        host,
        "-Cprofile-generate",
    )?;
    let fail = |what: &str, path: &Path, error: std::io::Error| {
        Failure::step(format!("cannot {what} {}: {error}", path.display()))
    };
    let code = std::fs::read(&program).map_err(|error| fail("read", &program, error))?;
    // A name of its own for each program: cargo looks at flags, not into the files that they name.
    let mut hash = DefaultHasher::new();
    code.hash(&mut hash);
    let profile = folder.join(format!("{:016x}.profdata", hash.finish()));
    if profile.is_file() {
        return Ok(profile);
    }
    let counts = folder.join("counts");
    // What an earlier, broken attempt left.
    let _ = std::fs::remove_dir_all(&counts);
    step(
        "seeds to count",
        Command::new(&program)
            .args(TRAINING)
            .env("LLVM_PROFILE_FILE", counts.join("%p-%m.profraw"))
            .stdout(Stdio::null()),
    )?;
    let unfinished = folder.join("unfinished.profdata");
    step(
        "counts of all",
        Command::new(merge)
            .arg("merge")
            .arg("-o")
            .arg(&unfinished)
            .arg(&counts),
    )?;
    std::fs::rename(&unfinished, &profile).map_err(|error| fail("keep", &profile, error))?;
    std::fs::remove_dir_all(&counts).map_err(|error| fail("remove", &counts, error))?;
    Ok(profile)
}
