//! `inventory-sync replay`: many agents at once, against a running daemon.
//!
//! ```text
//!  plan (seed, agent, round) ─▶ rows ─▶ frames ─┐
//!                                               ├─▶ driver: core::agent::Agent ◀─▶ carrier ══▶ daemon
//!  state file ◀── offered, acknowledged, floor ─┘        one task per connection: of one agent over TLS,
//!                                                        of a relay's many on the Unix socket
//!  acknowledged rounds ─▶ verify ◀── Indexer
//! ```
//!
//! It is the real agent machine with generated or captured rows, so that what it finds is true of agents; and
//! it is cheap, so that the daemon is what comes to its limit.
//!
//! # Invariants
//!
//! * What an agent brings in a round is a pure function of seed, agent and round. Nothing of it is kept.
//! * Rounds of an agent go in order; the next one begins after an Ok of the one before.
//! * A session that ends otherwise is tried again by the machine, counted by its reason, and never counted as
//!   delivered.
//! * What is held in memory does not grow with documents: frames are made when a connection has room for them.

mod captured;
mod carrier;
mod content;
mod driver;
mod harm;
mod hold;
mod identity;
mod limits;
mod link;
mod listing;
mod options;
mod pace;
mod packing;
mod plan;
mod prepare;
mod progress;
mod random;
mod report;
mod rounds;
mod state;
mod statistics;
mod verify;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inventory_sync_core::time::Tick;
use inventory_sync_core::wire::framing::Framing;
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::sync::{Barrier, Notify, Semaphore, watch};
use tokio::task::JoinSet;

use crate::config::Sources;
use crate::signals::Signals;
use carrier::{Carrier, Crew};
use driver::LaneEnd;
use harm::Measure;
use identity::Fleet;
use link::Peer;
pub use options::{Depth, ModeName, Options, Target};
use pace::Pace;
use plan::Plan;
use prepare::{NotStarted, Prepared};
use report::{Frame, Report};
use state::{Journal, Memory};
use statistics::Statistics;

/// What all tasks share.
struct Shared {
    plan: Plan,
    pace: Pace,
    statistics: Statistics,
    journal: Journal,
    measure: Option<Measure>,
    target: Target,
    /// Over TLS.
    fleet: Option<(Fleet, ServerName<'static>)>,
    entropy: [u8; 32],
    started: Instant,
    is_idle: bool,
    pause_us: u64,
    give_up_after_ms: Option<u64>,
    answer_timeout_ms: u64,
    room_bytes: usize,
    /// All have tried to connect.
    ready: Barrier,
    handshakes: Semaphore,
    all_held: Notify,
}

impl Shared {
    fn now(&self) -> Tick {
        Tick(self.now_us() / 1_000)
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The tick of the next place in time, not before that.
    fn reserve(&self, now_us: u64) -> Tick {
        Tick(self.pace.reserve(now_us).div_ceil(1_000))
    }

    fn answer_timeout(&self) -> Duration {
        Duration::from_millis(self.answer_timeout_ms)
    }

    fn lanes_in_all(&self) -> u64 {
        u64::from(self.plan.agents) * u64::from(self.plan.lanes())
    }

    const fn is_relay(&self) -> bool {
        matches!(self.target, Target::Unix(_))
    }

    const fn framing(&self) -> Framing {
        Peer::framing(&self.target)
    }

    /// From then to the last verdict.
    fn seconds_since(&self, begun: Instant) -> f64 {
        let last = self.statistics.counted().last_verdict;
        let end = last.unwrap_or_else(Instant::now);
        end.saturating_duration_since(begun).as_secs_f64()
    }

    /// How that agent, or the relay that carries it, connects.
    fn peer(&self, agent: u64) -> Result<Peer, String> {
        match (&self.target, &self.fleet) {
            (Target::Tls { host, port }, Some((fleet, server_name))) => Ok(Peer::Tls {
                host: host.clone(),
                port: *port,
                server_name: server_name.clone(),
                config: fleet.client(agent).map_err(|error| error.to_string())?,
            }),
            (Target::Tls { .. }, None) => Err("there is no authority".to_owned()),
            (Target::Unix(path), _) => Ok(Peer::Unix(path.clone())),
        }
    }
}

/// Runs the command: 0 every verdict right and everything verified, 1 a wrong verdict or document, 2 nothing was
/// begun, 3 not finished.
#[must_use]
pub fn run(options: &Options, sources: &Sources) -> ExitCode {
    let prepared = prepare::prepare(options, sources).and_then(|prepared| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(NotStarted::Runtime)?;
        Ok((prepared, runtime))
    });
    let (prepared, runtime) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            eprintln!("inventory-sync: {error}");
            return ExitCode::from(2);
        }
    };
    if options.idle {
        return runtime.block_on(hold::hold(prepared));
    }
    let report = runtime.block_on(replay(prepared));
    let text = if options.json {
        json!(report).to_string()
    } else {
        report.to_string()
    };
    // A reader that has seen enough (`| head`) is no error.
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    ExitCode::from(report.outcome.code())
}

/// The tasks at work.
struct Running {
    shared: Arc<Shared>,
    tasks: JoinSet<Vec<LaneEnd>>,
    stop: watch::Sender<bool>,
    /// When all had tried to connect.
    begun: Instant,
    connect: Duration,
    /// Sessions of an earlier process.
    before: u64,
    all: u64,
}

/// Starts all tasks and waits until each has tried to connect; `None` when a signal came first.
async fn start(shared: &Arc<Shared>, memory: &Memory, crews: &[Crew]) -> Option<Running> {
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let connecting = Instant::now();
    for crew in crews {
        let carrier = Carrier::new(Arc::clone(shared), *crew, memory);
        tasks.spawn(carrier.run(stopped.clone()));
    }
    let plan = &shared.plan;
    let rounds: u64 = (0..plan.lanes())
        .map(|lane| u64::from(plan.rounds_of(lane)))
        .sum();
    let ours = plan.first_agent..plan.first_agent + u64::from(plan.agents);
    let before = memory
        .iter()
        .filter(|((agent, _), _)| ours.contains(agent))
        .map(|(_, kept)| u64::from(kept.acknowledged))
        .sum();
    tokio::select! {
        _ = shared.ready.wait() => {}
        () = interrupted() => {
            let _ = stop.send(true);
            return None;
        }
    }
    Some(Running {
        shared: Arc::clone(shared),
        tasks,
        stop,
        begun: Instant::now(),
        connect: connecting.elapsed(),
        before,
        all: rounds * u64::from(plan.agents),
    })
}

impl Running {
    /// Waits for all lanes, or for a signal; what they left behind, and whether it was a signal.
    async fn end(&mut self) -> (Vec<LaneEnd>, bool) {
        let mut ends = Vec::new();
        let mut is_interrupted = false;
        {
            let watch = progress::watch(&self.shared, self.all, self.before);
            let signal = interrupted();
            tokio::pin!(watch, signal);
            loop {
                tokio::select! {
                    ended = self.tasks.join_next() => match ended {
                        Some(Ok(some)) => ends.extend(some),
                        // A panic has told by itself.
                        Some(Err(_)) => is_interrupted = true,
                        None => break,
                    },
                    () = &mut watch => {}
                    () = &mut signal, if !is_interrupted => {
                        is_interrupted = true;
                        let _ = self.stop.send(true);
                    }
                }
            }
        }
        (ends, is_interrupted)
    }
}

async fn replay(prepared: Prepared) -> Report {
    let Prepared {
        shared,
        memory,
        crews,
        verify,
    } = prepared;
    let mut frame = Frame {
        agents: shared.plan.agents,
        rounds: shared.plan.rounds,
        seconds: 0.0,
        connect_seconds: 0.0,
        is_interrupted: true,
        verify: None,
    };
    let Some(mut running) = start(&shared, &memory, &crews).await else {
        return Report::new(frame, &shared.statistics.counted());
    };
    drop(memory);
    let (mut ends, is_interrupted) = running.end().await;
    frame.seconds = shared.seconds_since(running.begun);
    frame.connect_seconds = running.connect.as_secs_f64();
    frame.is_interrupted = is_interrupted;
    if let Some((config, depth)) = verify.filter(|_| !is_interrupted) {
        ends.sort_unstable_by_key(|end| (end.lane, end.agent));
        let all = ends.len();
        let told = std::cell::Cell::new(Instant::now());
        let tell = |done: usize| {
            if told.get().elapsed() >= Duration::from_secs(5) {
                told.set(Instant::now());
                eprintln!("replay: {done} of {all} agents compared with the Indexer");
            }
        };
        tokio::select! {
            found = verify::verify(&config, &shared.plan, depth, &ends, &tell) => {
                frame.verify = Some(found.map_err(|error| error.to_string()));
            }
            () = interrupted() => frame.is_interrupted = true,
        }
    }
    Report::new(frame, &shared.statistics.counted())
}

/// Waits for SIGTERM or SIGINT; without handlers a signal ends the process at once, which harms nothing.
async fn interrupted() {
    match Signals::install() {
        Ok(mut signals) => signals.next().await,
        Err(_) => std::future::pending().await,
    }
}
