//! Load clients: `inventory-sync replay`, generation after generation, killed and started again.
//!
//! ```text
//!  generation 0 ──exit 0: verified──▶ generation 1 ──▶ …        each a seed and a state file of its own
//!      │  ▲
//!  kill −9 └── the same command, which goes on where it ended
//! ```

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use serde::Deserialize;

use super::Violation;
use crate::daemon::Setup;

/// A client's exit code when it could not finish, which says nothing against anybody.
const UNFINISHED: i32 = 3;

/// How often in a row it may be so.
const UNFINISHED_MAX: u32 = 10;

/// How a load client is called.
#[derive(Clone, Debug)]
pub struct Load {
    /// For files and sentences.
    pub name: &'static str,
    /// Arguments behind `replay`, without seed and state.
    pub arguments: Vec<String>,
    /// Seed of its first generation.
    pub seed: u64,
}

/// What `replay --json` prints, as far as it is of interest here.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    /// What was found in the Indexer.
    pub verify: Option<Verify>,
    /// `ok`, `wrong` or `unfinished`.
    pub outcome: String,
}

/// A comparison of sets.
#[derive(Clone, Debug, Deserialize)]
pub struct Verify {
    /// Documents that must be in the Indexer, and are.
    pub documents: u64,
    /// Agents of whose last round nothing was known.
    #[serde(default)]
    pub agents_left_out: u64,
}

/// What a client has done.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// Generations that ended with equal sets.
    pub generations: u64,
    /// Documents compared, all generations together.
    pub verified: u64,
    /// Documents that the last generation left.
    pub left: u64,
    /// Processes killed.
    pub kills: u64,
    /// Processes that could not finish, as when the Indexer was away.
    pub again: u64,
}

#[derive(Default)]
struct State {
    /// The running process.
    pid: Option<Pid>,
    /// Killed, not yet noticed.
    is_killed: bool,
    /// No further generation.
    is_last: bool,
    /// No further process.
    is_given_up: bool,
    done: Done,
}

/// A client under way.
pub struct Client {
    name: &'static str,
    state: Arc<Mutex<State>>,
    thread: Option<std::thread::JoinHandle<Result<(), Violation>>>,
}

/// Kills a client once.
#[derive(Clone)]
pub struct Killer(Arc<Mutex<State>>);

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Killer {
    /// Kills the process that runs now, if one does.
    pub fn kill(&self) {
        let mut state = lock(&self.0);
        if let Some(pid) = state.pid
            && kill(pid, Signal::SIGKILL).is_ok()
        {
            state.is_killed = true;
        }
    }
}

impl Client {
    /// Starts the first generation.
    #[must_use]
    pub fn start(setup: Setup, folder: PathBuf, load: Load) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let name = load.name;
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || generations(&setup, &folder, &load, &shared));
        Self {
            name,
            state,
            thread: Some(thread),
        }
    }

    /// What kills it.
    #[must_use]
    pub fn killer(&self) -> Killer {
        Killer(Arc::clone(&self.state))
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Lets the generation that is under way be the last.
    pub fn finish(&self) {
        lock(&self.state).is_last = true;
    }

    /// Whether it has ended, well or not.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.thread
            .as_ref()
            .is_none_or(std::thread::JoinHandle::is_finished)
    }

    /// What it has done so far.
    #[must_use]
    pub fn done(&self) -> Done {
        lock(&self.state).done.clone()
    }

    /// How it ended. To be asked when it is over.
    ///
    /// # Errors
    /// A verdict or a document was wrong, or it could not finish.
    pub fn end(&mut self) -> Result<Done, Violation> {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or_else(|_| {
                Err(Violation::new(format!("load client {} failed", self.name)))
            })?;
        }
        Ok(self.done())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        lock(&self.state).is_given_up = true;
        self.killer().kill();
        if let Some(thread) = self.thread.take() {
            // It was given up: how it ended is of no interest.
            let _ = thread.join();
        }
    }
}

fn generations(
    setup: &Setup,
    folder: &Path,
    load: &Load,
    state: &Mutex<State>,
) -> Result<(), Violation> {
    for generation in 0.. {
        let mut unfinished = 0;
        loop {
            if lock(state).is_given_up {
                return Ok(());
            }
            let stem = format!("client-{}-{generation:03}", load.name);
            let report = folder.join(format!("{stem}.json"));
            let status = run(setup, folder, load, generation, &stem, &report, state)
                .map_err(|error| Violation::new(format!("load client {}: {error}", load.name)))?;
            let was_killed = std::mem::take(&mut lock(state).is_killed);
            if was_killed && status.signal() == Some(9) {
                lock(state).done.kills += 1;
                continue;
            }
            if status.code() == Some(UNFINISHED) && unfinished < UNFINISHED_MAX {
                // The Indexer was away when it was asked for the documents: the same command asks again.
                unfinished += 1;
                lock(state).done.again += 1;
                continue;
            }
            let report = judge(load, status, &report)?;
            let mut state = lock(state);
            state.done.generations += 1;
            state.done.left = report.verify.as_ref().map_or(0, |verify| verify.documents);
            state.done.verified += state.done.left;
            break;
        }
        if lock(state).is_last {
            return Ok(());
        }
    }
    Ok(())
}

fn judge(
    load: &Load,
    status: std::process::ExitStatus,
    report: &Path,
) -> Result<Report, Violation> {
    let printed = std::fs::read_to_string(report).unwrap_or_default();
    let read = serde_json::from_str::<Report>(&printed).ok();
    let sound = read.filter(|report| {
        let verify = report.verify.as_ref();
        report.outcome == "ok" && verify.is_some_and(|verify| verify.agents_left_out == 0)
    });
    match sound {
        Some(report) if status.success() => Ok(report),
        _ => Err(Violation::new(format!(
            "load client {} ended with {status} and says: {}",
            load.name,
            printed.trim()
        ))),
    }
}

/// One process to its end.
fn run(
    setup: &Setup,
    folder: &Path,
    load: &Load,
    generation: u64,
    stem: &str,
    report: &Path,
    state: &Mutex<State>,
) -> std::io::Result<std::process::ExitStatus> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.join(format!("{stem}.log")))?;
    let seed = (load.seed.wrapping_add(generation)).to_string();
    let kept = folder.join(format!("{stem}.state")).display().to_string();
    let mut command = setup.command(&["replay", "--json", "--verify", "documents"]);
    command
        .args(&load.arguments)
        .args(["--seed", &seed, "--state", &kept]);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(File::create(report)?)
        .stderr(log)
        .spawn()?;
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    lock(state).pid = Some(pid);
    // Its end is seen, and its id still its own, until nobody will kill it any more.
    waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
    lock(state).pid = None;
    child.wait()
}
