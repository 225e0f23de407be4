//! The admin socket: what an operator asks a running daemon.
//!
//! ```text
//!  inventory-sync status ───────────┐                     ┌─▶ Handler::status
//!  inventory-sync index resume NAME ┴─▶ Unix socket 0600 ─┴─▶ Handler::resume_index
//!                                       one JSON line each way
//! ```
//!
//! Invariants: only root and the daemon's own user get in (by mode and by peer credentials); a
//! request is one line of at most [`LINE_MAX_BYTES`]; a client that says nothing is hung up on; the
//! daemon never removes a socket that somebody answers on.

pub mod client;
pub mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Longest request line; a longer one is hung up on.
pub const LINE_MAX_BYTES: u64 = 4_096;

/// How long either side waits for the other's line.
pub const LINE_TIMEOUT: Duration = Duration::from_secs(5);

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How is it going?
    Status,
    /// Go on with an index whose sessions wait.
    IndexResume {
        /// Exact name of the index.
        index: String,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Response {
    /// To `status`.
    Status(Box<Status>),
    /// It was done; a sentence says what.
    Done {
        /// For people.
        message: String,
    },
    /// It was not done; a sentence says why.
    Refused {
        /// For people.
        message: String,
    },
}

/// The state of a daemon, as `status` shows it. Fields are only ever added.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Time since its start.
    pub uptime_ms: u64,
    /// Name of the cluster.
    pub cluster: String,
    /// Whether it may write, as one word and a reason.
    pub writer: WriterStatus,
    /// The Indexer's hosts.
    pub hosts: Vec<HostStatus>,
    /// Sessions and what they hold.
    pub sessions: SessionStatus,
    /// Indices that are not written to at present.
    pub paused: Vec<PausedIndex>,
    /// What an operator should look at, most urgent first.
    pub alerts: Vec<String>,
    /// Counters since the start, by name.
    pub counters: BTreeMap<String, u64>,
}

/// The writer and its lease (`docs/protocol.md` section 8).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WriterStatus {
    /// Name of this writer.
    pub id: String,
    /// What is left of its lease; 0: it sends nothing and admits nothing.
    pub lease_left_ms: u64,
    /// How far the version bound lies ahead of the clock.
    pub bound_ahead_ms: i64,
}

/// One Indexer host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostStatus {
    /// `https://NAME:PORT`.
    pub url: String,
    /// `green`, `yellow`, `red`, or what keeps it from being known.
    pub health: String,
}

/// Sessions and what they hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionStatus {
    /// Receiving.
    pub receiving: u64,
    /// Complete and on their way to a verdict.
    pub delivering: u64,
    /// Items of all of them.
    pub items: u64,
    /// Staged bytes of all of them.
    pub bytes: u64,
    /// Lanes whose deletes and listings wait after an unknown outcome.
    pub tainted_lanes: u64,
    /// Agents with a connection.
    pub connections: u64,
}

/// An index whose sessions wait.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PausedIndex {
    /// Exact name.
    pub index: String,
    /// Why.
    pub reason: String,
    /// Since how long.
    pub for_ms: u64,
    /// Whether it goes on by itself once the Indexer lets it, or only by `index resume`.
    pub needs_operator: bool,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "inventory-sync {} · pid {} · up {} · cluster {}",
            self.version,
            self.pid,
            span(self.uptime_ms),
            self.cluster
        )?;
        if self.writer.lease_left_ms > 0 {
            writeln!(
                f,
                "writer     {} · lease for another {}",
                self.writer.id,
                span(self.writer.lease_left_ms)
            )?;
        } else {
            writeln!(
                f,
                "writer     {} · no lease: nothing is sent or admitted",
                self.writer.id
            )?;
        }
        for host in &self.hosts {
            writeln!(f, "indexer    {} · {}", host.url, host.health)?;
        }
        let sessions = &self.sessions;
        writeln!(
            f,
            "sessions   {} receiving · {} delivering · {} items · {} staged · {} connections",
            sessions.receiving,
            sessions.delivering,
            sessions.items,
            size(sessions.bytes),
            sessions.connections
        )?;
        if sessions.tainted_lanes > 0 {
            writeln!(
                f,
                "           {} lanes wait with deletes after a request of unknown outcome",
                sessions.tainted_lanes
            )?;
        }
        for paused in &self.paused {
            writeln!(
                f,
                "paused     {} · for {} · {}",
                paused.index,
                span(paused.for_ms),
                paused.reason
            )?;
            if paused.needs_operator {
                writeln!(
                    f,
                    "           when the cause is gone: inventory-sync index resume {}",
                    paused.index
                )?;
            }
        }
        for alert in &self.alerts {
            writeln!(f, "ALERT      {alert}")?;
        }
        Ok(())
    }
}

/// A span of time, to the two units that matter.
fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// A size, to one decimal.
fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1 << 10 {
        return format!("{bytes} B");
    }
    let place = (bytes.ilog2() / 10).min(4);
    let tenths = (u128::from(bytes) * 10) >> (10 * place);
    format!(
        "{}.{} {}",
        tenths / 10,
        tenths % 10,
        units[place as usize - 1]
    )
}
