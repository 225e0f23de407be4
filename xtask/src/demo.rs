//! `cargo xtask demo`: builds step by step and shows each step before the next long one.
//!
//! ```text
//!  agent ─▶ its scan ─▶ simulator ─▶ one seed, one planted bug ─▶ packages ─▶ daemon ─▶ inventory-sync demo
//!  (about a minute)     (two minutes)                                         (many)     (takes this process's place)
//! ```

use std::io::{IsTerminal, Write};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use crate::Failure;
use crate::machine;
use crate::planted;
use crate::progress;
use crate::run::{self, cargo, step};
use crate::verify::PROGRAMS;

/// The seed that is shown.
const SEED: &str = "2026";

/// About what a first build of everything takes, in minutes of one core.
const CORE_MINUTES: u64 = 34;

/// About what it takes on the disk, in MiB.
const DISK_MIB: u64 = 3_000;

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    yes: bool,
    stop: bool,
    clean: bool,
}

impl Options {
    /// Reads the command line.
    pub fn read(args: &[String]) -> Result<Self, Failure> {
        let mut options = Self::default();
        for arg in args {
            match arg.as_str() {
                "--yes" | "-y" => options.yes = true,
                "--stop" => options.stop = true,
                "--clean" => options.clean = true,
                other => return Err(Failure::Usage(format!("`demo` takes no `{other}`"))),
            }
        }
        Ok(options)
    }
}

/// Runs the demonstration, or ends one.
pub fn demo(options: &Options) -> Result<(), Failure> {
    if options.stop || options.clean {
        return end(options);
    }
    // Nobody is there to answer: a pipeline has said yes by starting it.
    let asks = !options.yes && std::io::stdin().is_terminal();
    introduce();
    if asks && !agreed()? {
        return Err(Failure::step("nothing was done"));
    }

    step(
        "1 of 4: the agent, without its network part",
        cargo()
            .args([
                "build",
                "--locked",
                "-p",
                "inventory-agent",
                "--no-default-features",
            ])
            .args(["--bin", "inventory-agent"]),
    )?;
    step(
        "this machine, as the agent sees it",
        Command::new(program("inventory-agent")).arg("scan"),
    )?;

    step(
        "2 of 4: the simulator",
        cargo().args(["build", "--locked", "-p", "inventory-sim"]),
    )?;
    step(
        "manager and agents in a world that loses, delays and crashes",
        Command::new(program("inventory-sim")).args(["run", "--seed", SEED]),
    )?;
    planted::show(&planted_dir())?;

    let packages = machine::missing_packages();
    eprintln!(
        "\n── 3 of 4: the manager daemon{}",
        if packages.is_empty() {
            ", everything it needs is installed"
        } else {
            ", and what its build needs"
        }
    );
    machine::prepare()?;
    progress::build(&PROGRAMS)?;

    eprintln!("\n── 4 of 4: all of it together");
    let mut command = orchestrator();
    command
        .arg("--agent-bin")
        .arg(program("inventory-agent"))
        .arg("--indexer-bin")
        .arg(program("inventory-indexer"))
        // What it would ask was asked above.
        .arg("--yes");
    // It takes our place: signals and the exit code are its own.
    let error = command.exec();
    Err(Failure::step(format!(
        "cannot run {}: {error}",
        run::shown(&command)
    )))
}

fn introduce() {
    let packages = machine::missing_packages();
    let target = run::target_dir();
    let minutes = (CORE_MINUTES / machine::cores()).max(5);
    eprintln!("inventory-sync: a demonstration on this machine.\n");
    eprintln!("  builds    agent, simulator, daemon, and a stand-in for the Indexer");
    eprintln!(
        "  minutes   about {minutes} the first time, nearly all for RocksDB; what is built is shown meanwhile"
    );
    eprintln!(
        "  disk      about {:.1} GB in {}",
        DISK_MIB as f64 / 1_000.0,
        target.display()
    );
    if packages.is_empty() {
        eprintln!("  installs  nothing: this machine has all that the build needs");
    } else {
        eprintln!(
            "  installs  {} (apt, before the daemon is built)",
            packages.join(" ")
        );
    }
    eprintln!("  ports     19200, 11517 and 19601 on 127.0.0.1, or free ones where they are taken");
    eprintln!(
        "  reads     this machine's packages, processes, ports, users and the like; nothing leaves it"
    );
    eprintln!(
        "  writes    what it shows to {} and {}, and nothing else but the build",
        demo_dir().display(),
        planted_dir().display()
    );
    let above = run::root();
    if machine::free_mib(&above).is_some_and(|free| free < DISK_MIB) {
        eprintln!("\n  There is less than that free on this disk.");
    }
    eprintln!();
}

fn agreed() -> Result<bool, Failure> {
    eprint!("Go on? [Y/n] ");
    // Where the question cannot be shown, the answer still counts.
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Failure::step(format!("cannot read the answer: {error}")))?;
    Ok(is_yes(&answer))
}

/// An end of input is no answer.
fn is_yes(answer: &str) -> bool {
    !answer.is_empty() && matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes")
}

fn end(options: &Options) -> Result<(), Failure> {
    if !program("inventory-sync").is_file() {
        eprintln!("there is no demonstration here: the daemon was never built");
        return Ok(());
    }
    if options.clean {
        // Nothing is lost with it, and it may not be there.
        let _ = std::fs::remove_dir_all(planted_dir());
    }
    let mut command = orchestrator();
    if options.stop {
        command.arg("--stop");
    }
    if options.clean {
        command.arg("--clean");
    }
    let error = command.exec();
    Err(Failure::step(format!(
        "cannot run {}: {error}",
        run::shown(&command)
    )))
}

fn orchestrator() -> Command {
    let mut command = Command::new(program("inventory-sync"));
    command.arg("demo").arg("--dir").arg(demo_dir());
    command
}

/// Where the planted bug's run and chart go: the orchestrator takes no folder that it did not make.
fn planted_dir() -> PathBuf {
    run::target_dir().join("planted-bug")
}

fn demo_dir() -> PathBuf {
    run::target_dir().join("demo")
}

fn program(name: &str) -> PathBuf {
    run::target_dir().join("debug").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let read = |args: &[&str]| {
            Options::read(&args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>())
        };
        let all = Options {
            yes: true,
            stop: true,
            clean: true,
        };
        assert_eq!(read(&["--yes", "--clean", "--stop"]).ok(), Some(all));
        assert_eq!(read(&[]).ok(), Some(Options::default()));
        assert!(read(&["--seed"]).is_err());
    }

    #[test]
    fn only_an_answer_is_an_answer() {
        assert!(is_yes("\n") && is_yes("Y\n") && is_yes("yes\n"));
        assert!(!is_yes("") && !is_yes("n\n") && !is_yes("nope\n"));
    }
}
