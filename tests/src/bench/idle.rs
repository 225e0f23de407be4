//! What a session, and a TLS connection, takes that does nothing.

use std::io::{BufRead, BufReader};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::measure::mib;
use super::process::Process;
use super::rows::Over;
use super::stand::{CLUSTER, Running, Stand};
use super::{BenchError, Options, Ran, say};

/// The row's name.
pub const NAME: &str = "idle";

/// Sessions that are opened in a second: how fast is another row's business.
const RATE: &str = "8000";

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// Sessions by relay.
    pub sessions: u32,
    /// What they took.
    pub sessions_mib: f64,
    /// TLS connections with one session each.
    pub connections: u32,
    /// What the connections took, their sessions not counted.
    pub connections_mib: f64,
}

impl Idle {
    /// Bytes of a session.
    #[must_use]
    pub fn session_bytes(&self) -> f64 {
        self.sessions_mib * f64::from(1 << 20) / f64::from(self.sessions)
    }

    /// Bytes of a connection.
    #[must_use]
    pub fn connection_bytes(&self) -> f64 {
        self.connections_mib * f64::from(1 << 20) / f64::from(self.connections)
    }
}

/// Measures both.
///
/// # Errors
/// Not all sessions could be opened.
pub async fn measure(options: &Options) -> Ran<Idle> {
    let (sessions, connections) = if options.quick {
        (2_000, 50)
    } else {
        (100_000, 2_000)
    };
    say(&format!("{NAME}: {sessions} sessions by relay"));
    let sessions_mib = held(options, Over::Unix, sessions).await?;
    say(&format!("{NAME}: {connections} TLS connections"));
    let together_mib = held(options, Over::Tls, connections).await?;
    let own = sessions_mib * f64::from(connections) / f64::from(sessions);
    Ok(Idle {
        sessions,
        sessions_mib,
        connections,
        connections_mib: (together_mib - own).max(0.0),
    })
}

/// By how many MiB the daemon's resident memory is larger while so many sessions are open that sent nothing but their
/// Start.
async fn held(options: &Options, over: Over, agents: u32) -> Ran<f64> {
    let stand = Stand::with_sink(options)?;
    let setup = stand
        .setup("daemon", CLUSTER)
        .with("session.idle_timeout_ms", 600_000)
        .with("session.sessions_max", 1_000_000);
    let daemon = setup.start_ready().await;
    let process = Process::of(daemon.pid())?;
    let before = process.memory()?.0;
    // Of one document all but one is none.
    let content = [
        "--idle",
        "--documents",
        "1",
        "--mode",
        "delta",
        "--rate",
        RATE,
    ];
    let content = content.map(str::to_owned);
    let mut client = Running::start(&mut stand.replay(&daemon, over, agents, &content))?;
    let line = client.0.stdout.take().and_then(|stdout| {
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        lines.find(|line| line.contains("holding"))
    });
    let held: Option<u64> = line
        .as_deref()
        .and_then(|line| serde_json::from_str::<Value>(line).ok()?["holding"].as_u64());
    let after = process.memory();
    if let Ok(pid) = i32::try_from(client.0.id()) {
        // It may have ended by itself: then it did not hold them, which is told below.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    let _ = client.0.wait();
    if held != Some(agents.into()) {
        return Err(BenchError::new(
            format!("hold {agents} sessions"),
            line.unwrap_or_else(|| "the load client ended early".to_owned()),
        ));
    }
    Ok(mib(after?.0.saturating_sub(before)))
}
