//! A bug that is planted, found, shrunk and drawn: what the simulator is for, in a minute.
//!
//! ```text
//!  simulator with the bug bank ─▶ hunt ─▶ finding ─▶ shrink ─▶ small replay file ─▶ chart in one HTML file
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::Failure;
use crate::run::{self, step};
use crate::verify;

/// Deletes do not wait for writes of unknown outcome: a document that was deleted comes back.
const BUG: &str = "DeletesDuringTaint";

/// What the simulator says when an oracle found something: it is what is wanted here.
const SAFETY: i32 = 11;

/// How long the shrinker may take.
const SHRINK_SECONDS: &str = "20";

/// Builds the simulator with the bug bank and shows what it does with one bug. What it writes goes to `folder`.
pub fn show(folder: &Path) -> Result<(), Failure> {
    step(
        "the simulator once more, with bugs that can be planted",
        verify::bug_bank_cargo().args(["build", "--locked", "-p", "inventory-sim"]),
    )?;
    let findings = folder.join("findings");
    // Of the last demonstration.
    let _ = fs::remove_dir_all(&findings);
    fs::create_dir_all(&findings)
        .map_err(|error| Failure::step(format!("cannot make {}: {error}", findings.display())))?;
    shown(
        "a bug is planted: deletes do not wait for writes of unknown outcome. Random seeds find it",
        simulator()
            .args([
                "hunt",
                "--first",
                "--seeds-from",
                "1",
                "--minutes",
                "2",
                "--bug",
                BUG,
                "--out",
            ])
            .arg(&findings),
    )?;
    let (small, chart) = (
        folder.join("planted-bug.replay"),
        folder.join("planted-bug.html"),
    );
    shown(
        "the run is shrunk to what the bug needs",
        simulator()
            .arg("shrink")
            .arg(finding(&findings)?)
            .args(["--seconds", SHRINK_SECONDS, "--output"])
            .arg(&small),
    )?;
    shown(
        "and drawn",
        simulator()
            .arg("replay")
            .arg(&small)
            .arg("--trace")
            .arg(&chart)
            // The summary was shown twice.
            .stdout(Stdio::null()),
    )?;
    eprintln!("   the chart: {}", chart.display());
    Ok(())
}

fn simulator() -> Command {
    let mut command = Command::new(verify::bug_bank_dir().join("debug/inventory-sim"));
    command.current_dir(run::root());
    command
}

/// Runs a step that ends well, or with the finding it is about.
fn shown(what: &str, command: &mut Command) -> Result<(), Failure> {
    eprintln!("\n── {what}\n   {}", run::shown(command));
    let status = command
        .status()
        .map_err(|error| Failure::step(format!("cannot run {}: {error}", run::shown(command))))?;
    if is_fine(status) {
        return Ok(());
    }
    Err(Failure::step(format!(
        "{} ended with {status}",
        run::shown(command)
    )))
}

fn is_fine(status: ExitStatus) -> bool {
    status.success() || status.code() == Some(SAFETY)
}

/// The replay file of what was found.
fn finding(folder: &Path) -> Result<PathBuf, Failure> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = files.map(|file| file.path()).collect();
    // Threads may find it at once: the first name is as good as any, and always the same.
    found.sort();
    found.into_iter().next().ok_or_else(|| {
        Failure::step(format!(
            "no seed found {BUG}: the simulator missed a planted bug"
        ))
    })
}
