//! The agent, as a program.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::place::Place;
use super::program::{self, AGENT};
use super::{DemoError, show};

/// Longest result that is read, in bytes.
const RESULT_BYTES_MAX: u64 = 1 << 20;

/// When the agent gives up, and how much later it is given up on.
const TIMEOUT: Duration = Duration::from_secs(90);
const GRACE: Duration = Duration::from_secs(10);

/// What a sync says at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Synced {
    /// Documents brought.
    pub(super) documents: u64,
    /// Of these stored.
    pub(super) stored: u64,
    /// All of it.
    pub(super) took: Duration,
    /// Sessions that ended without a verdict before the one that counted.
    pub(super) attempts_before: u64,
    /// Categories that could not be read.
    pub(super) left_out: usize,
}

/// An agent under way.
pub(super) struct Sync {
    child: Child,
    result: mpsc::Receiver<std::io::Result<Vec<u8>>>,
}

impl Sync {
    /// Starts it. Its progress goes where ours goes, or, if it is `told`, line by line with a mark before
    /// it, so that it does not paint over what else is shown.
    pub(super) fn start(place: &Place, words: &[String], told: bool) -> Result<Self, DemoError> {
        let (path, arguments) = words
            .split_first()
            .ok_or_else(|| DemoError::new("the agent's command line is empty"))?;
        let failed = |error| DemoError::new(format!("{path} cannot be started: {error}"));
        let mut child = Command::new(path)
            .args(arguments)
            .args(["--json", "--timeout"])
            .arg(TIMEOUT.as_secs().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(if told {
                Stdio::piped()
            } else {
                Stdio::inherit()
            })
            .spawn()
            .map_err(failed)?;
        // An agent that has ended already needs none: its result is waiting.
        let _ = program::remember(place, AGENT, child.id());
        if let Some(lines) = child.stderr.take() {
            spawn(move || {
                for line in BufReader::new(lines).lines().map_while(Result::ok) {
                    show::say(&format!("  agent │ {line}"));
                }
            })?;
        }
        let (tell, result) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            spawn(move || {
                let mut bytes = Vec::new();
                let read = output.take(RESULT_BYTES_MAX).read_to_end(&mut bytes);
                // Whoever was to hear it has given up.
                let _ = tell.send(read.map(|_| bytes));
            })?;
        }
        Ok(Self { child, result })
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Waits for its end; it is an error if not every document was stored.
    pub(super) fn finish(mut self) -> Result<Synced, DemoError> {
        let begun = Instant::now();
        while !self.has_ended() {
            if begun.elapsed() > TIMEOUT + GRACE {
                // It is ours, and it is waited for below.
                let _ = self.child.kill();
                let _ = self.child.wait();
                return Err(DemoError::new("the agent did not end by itself"));
            }
            sleep(Duration::from_millis(20));
        }
        let bytes = self
            .result
            .recv_timeout(GRACE)
            .map_err(|_| DemoError::new("the agent's result was not received"))?
            .map_err(|error| {
                DemoError::new(format!("the agent's result cannot be read: {error}"))
            })?;
        read(&bytes)
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<(), DemoError> {
    std::thread::Builder::new()
        .spawn(work)
        .map(drop)
        .map_err(|error| DemoError::new(format!("no thread can be started: {error}")))
}

/// The agent's JSON. Not everything that it could not read is an error; a document that was refused is.
pub(super) fn read(bytes: &[u8]) -> Result<Synced, DemoError> {
    let report: Json = serde_json::from_slice(bytes).map_err(|_| {
        DemoError::new("the agent ended without a result; what it said stands above")
    })?;
    let number = |name: &str| report.get(name).and_then(Json::as_u64).unwrap_or(0);
    let text = |name: &str| report.get(name).and_then(Json::as_str);
    let entries = |name: &str| {
        report
            .get(name)
            .and_then(Json::as_array)
            .map_or(&[][..], Vec::as_slice)
    };
    if let Some(problem) = text("problem") {
        return Err(DemoError::new(format!(
            "the agent could not bring everything: {problem}"
        )));
    }
    let refused = entries("refused");
    if let Some(first) = refused.first() {
        return Err(DemoError::new(format!(
            "{} documents were refused, the first: {first}",
            refused.len()
        )));
    }
    let attempts = |session: &Json| session.get("attempts_before").and_then(Json::as_u64);
    Ok(Synced {
        attempts_before: entries("sessions").iter().filter_map(attempts).sum(),
        documents: number("documents"),
        stored: number("stored"),
        took: Duration::from_millis(number("took_ms")),
        left_out: entries("left_out").len(),
    })
}
