//! The daemon as a process whose log is read as it is written, and which dies at the chosen line.
//!
//! ```text
//!  inventory-sync serve ──stderr──▶ reader thread ──▶ daemon-N.log
//!        ▲                             │  what is under way
//!        └────────── SIGKILL ──────────┘  at the order's line, a little later
//! ```

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::oneshot;

use super::plan::Phase;
use super::watch::{Mark, Underway};
use crate::daemon::Setup;

/// A kill to be made at a line of the log.
pub struct Order {
    /// What is waited for.
    pub phase: Phase,
    /// The so-many-th of them from now on, from 1.
    pub nth: u64,
    /// So much after its line.
    pub delay: Duration,
    /// Makes the kill.
    pub act: Box<dyn FnOnce() + Send>,
    /// Told when it was made.
    pub done: oneshot::Sender<Instant>,
}

#[derive(Default)]
struct State {
    underway: Underway,
    order: Option<Order>,
    address: Option<SocketAddr>,
    is_over: bool,
}

/// The daemon. Killed when this is dropped.
pub struct Victim {
    child: Child,
    state: Arc<Mutex<State>>,
    reader: Option<std::thread::JoinHandle<()>>,
    /// What it wrote.
    pub log: PathBuf,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Victim {
    /// Starts it; its log is the `number`-th.
    ///
    /// # Errors
    /// The program cannot be started, or the log not be made.
    pub fn start(setup: &Setup, number: u64) -> std::io::Result<Self> {
        let log = setup.folder.join(format!("daemon-{number:03}.log"));
        let file = File::create(&log)?;
        let mut child = setup
            .command(&["serve"])
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(Stdio::piped())
            .spawn()?;
        let state = Arc::new(Mutex::new(State::default()));
        let lines = child.stderr.take();
        let shared = Arc::clone(&state);
        let reader = lines.map(|lines| std::thread::spawn(move || read(lines, file, &shared)));
        Ok(Self {
            child,
            state,
            reader,
            log,
        })
    }

    /// Where it listens for agents, once it does.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        lock(&self.state).address
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }

    /// Gives the order for the next kill.
    pub fn order(&self, order: Order) {
        lock(&self.state).order = Some(order);
    }

    /// What is under way.
    #[must_use]
    pub fn underway(&self) -> Underway {
        lock(&self.state).underway.clone()
    }

    /// Whether its log has ended, and so it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        lock(&self.state).is_over
    }

    /// Takes its end after it was killed, and answers what was under way when it was over.
    ///
    /// # Errors
    /// Its end cannot be awaited.
    pub fn bury(mut self) -> std::io::Result<(ExitStatus, Underway)> {
        let status = self.child.wait()?;
        if let Some(reader) = self.reader.take() {
            // What it could not read is not in the log; the campaign goes on.
            let _ = reader.join();
        }
        let underway = lock(&self.state).underway.clone();
        Ok((status, underway))
    }

    /// Asks it to stop.
    ///
    /// # Errors
    /// It is gone.
    pub fn terminate(&self) -> std::io::Result<()> {
        Ok(kill(self.pid(), Signal::SIGTERM)?)
    }

    /// Its end, if it has ended.
    ///
    /// # Errors
    /// Its end cannot be asked for.
    pub fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // One that has ended already is no error here.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Reads until the process is over; kills in between when it is time.
fn read(lines: ChildStderr, mut log: File, state: &Mutex<State>) {
    let mut lines = BufReader::new(lines);
    let mut line = String::new();
    loop {
        line.clear();
        match lines.read_line(&mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        if let Some(mark) = Mark::of(&line) {
            let due = take(&mut lock(state), &mark);
            if let Some(order) = due {
                // Not in step with anything: the spread of the kills around their line.
                std::thread::sleep(order.delay);
                let at = Instant::now();
                (order.act)();
                // Nobody may wait for it any more.
                let _ = order.done.send(at);
            }
        }
        // A log that cannot be kept does not end the campaign.
        let _ = log.write_all(line.as_bytes());
    }
    lock(state).is_over = true;
}

fn take(state: &mut State, mark: &Mark) -> Option<Order> {
    state.underway.take(mark, Instant::now());
    if let Mark::Listening(agents) = mark {
        state.address = agents.parse().ok();
    }
    let order = state.order.as_mut()?;
    if mark.begins() != Some(order.phase) {
        return None;
    }
    order.nth = order.nth.saturating_sub(1);
    if order.nth > 0 {
        return None;
    }
    state.order.take()
}
