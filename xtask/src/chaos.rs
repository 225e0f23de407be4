//! `cargo xtask chaos`: builds what dies and what kills it, and starts the campaign.

use std::process::Command;

use crate::run::{self, cargo, step};
use crate::verify::PROGRAMS;
use crate::{Failure, machine};

/// Runs the campaign; what follows the command is its own, but `--release` and `--help`.
pub fn chaos(options: &[String]) -> Result<(), Failure> {
    let is_release = options.iter().any(|option| option == "--release");
    machine::prepare()?;
    let mut build = cargo();
    build
        .args(["build", "--locked", "--bins"])
        .args(PROGRAMS.iter().flat_map(|package| ["-p", package]))
        .args(["-p", "inventory-tests"]);
    if is_release {
        build.arg("--release");
    }
    step("programs that are killed, and what kills them", &mut build)?;
    let profile = if is_release { "release" } else { "debug" };
    let folder = run::target_dir().join(profile);
    let mut campaign = Command::new(folder.join("inventory-chaos"));
    campaign
        .args(options.iter().filter(|option| *option != "--release"))
        // Just built: not to be built again by a program that finds them older than something.
        .env("INVENTORY_TEST_PROGRAMS", &folder)
        .current_dir(run::root());
    Err(run::instead(&mut campaign))
}
