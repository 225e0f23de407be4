//! Legs in a row: what stands already is skipped, progress is shown, the table closes it.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use super::Violation;
use super::ground::Server;
use super::leg::{self, LegPlan};
use super::plan::Phase;
use super::results::{LegReport, Results, table};
use super::scenario::Scenario;
use crate::indexer::Access;

/// Between two lines of progress where no terminal is.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Numbers of the legs with trouble instead of kills.
const SCENARIOS_FROM: u64 = 1_000_000;

/// Kills the daemon under load, again and again, and compares what is left.
#[derive(Clone, Debug, Parser)]
#[command(name = "inventory-chaos", version)]
pub struct Options {
    /// Kills of the daemon
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    pub kills: u64,
    /// Kills of one leg: then all documents are compared and a new cluster begins
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub leg_kills: u64,
    /// Where all choices come from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The legs that stand; the same command goes on behind them [default: chaos/… beside the program]
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Against the real OpenSearch that INVENTORY_TEST_INDEXER_* names, instead of a stand-in per leg
    #[arg(long)]
    pub opensearch: bool,
    /// Kills of that server itself
    #[arg(long, default_value_t = 0, requires = "server_restart")]
    pub server_kills: u64,
    /// Where its process id stands
    #[arg(long, value_name = "FILE", requires = "server_restart")]
    pub server_pid_file: Option<PathBuf>,
    /// Starts it again and returns when it is up; run by `sh -c`
    #[arg(
        long,
        value_name = "COMMAND",
        requires = "server_pid_file",
        requires = "opensearch"
    )]
    pub server_restart: Option<String>,
    /// The same for a server whose queue of writes holds one request (`thread_pool.write.queue_size=1`)
    #[arg(long, value_name = "COMMAND", requires = "server_restart")]
    pub server_small_queue: Option<String>,
    /// Only these troubles of a real OpenSearch, after the kills [default: all that can be made]
    #[arg(long, value_enum, requires = "opensearch")]
    pub scenario: Vec<Scenario>,
}

/// Runs a campaign: 0, or 1 after a violation.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let ending = runtime
        .map_err(Violation::from)
        .and_then(|runtime| runtime.block_on(until_interrupted(options)));
    match ending {
        Ok(()) => ExitCode::SUCCESS,
        Err(violation) => {
            eprintln!("inventory-chaos: {violation}");
            ExitCode::FAILURE
        }
    }
}

/// What was started ends with the campaign, also when that is asked to end.
async fn until_interrupted(options: &Options) -> Result<(), Violation> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let interrupted = || {
        Err(Violation::new(
            "interrupted; the same command goes on behind the legs that stand",
        ))
    };
    tokio::select! {
        ending = campaign(options) => ending,
        _ = terminate.recv() => interrupted(),
        _ = interrupt.recv() => interrupted(),
    }
}

impl Options {
    fn state(&self) -> PathBuf {
        self.state.clone().unwrap_or_else(|| {
            let own = std::env::current_exe().unwrap_or_default();
            let target = own.parent().and_then(std::path::Path::parent);
            let kind = if self.opensearch {
                "opensearch"
            } else {
                "stand-in"
            };
            let name = format!("{kind}-seed-{}-{}.jsonl", self.seed, self.leg_kills);
            target.unwrap_or(&own).join("chaos").join(name)
        })
    }

    fn plans(&self) -> Result<Vec<LegPlan>, Violation> {
        let real = match (self.opensearch, Access::of_environment()) {
            (false, _) => None,
            (true, Some(access)) => Some(access),
            (true, None) => {
                return Err(Violation::new(
                    "--opensearch needs INVENTORY_TEST_INDEXER_URL, _CA and a way to sign in",
                ));
            }
        };
        let server = self
            .server_pid_file
            .clone()
            .zip(self.server_restart.clone());
        let server = server.map(|(pid_file, restart)| Server {
            pid_file,
            restart,
            restart_with_small_queue: self.server_small_queue.clone(),
        });
        let legs = self.kills.div_ceil(self.leg_kills);
        let upto = |number: u64| self.server_kills * number / legs;
        let plan = |number: u64| LegPlan {
            seed: self.seed,
            number,
            kills: 0,
            real: real.clone(),
            server: server.clone(),
            server_kills: 0,
            scenario: None,
        };
        let mut plans: Vec<LegPlan> = (0..legs)
            .map(|number| LegPlan {
                kills: self.leg_kills.min(self.kills - number * self.leg_kills),
                server_kills: upto(number + 1) - upto(number),
                ..plan(number)
            })
            .collect();
        if self.opensearch {
            for (scenario, number) in Scenario::ALL.into_iter().zip(SCENARIOS_FROM..) {
                if let Some(administrator) = self.administrator_of(scenario)? {
                    plans.push(LegPlan {
                        scenario: Some((scenario, administrator)),
                        ..plan(number)
                    });
                }
            }
        }
        Ok(plans)
    }

    /// Who makes that trouble; `None`: it is not asked for.
    fn administrator_of(&self, scenario: Scenario) -> Result<Option<Access>, Violation> {
        let is_wanted = self.scenario.is_empty() || self.scenario.contains(&scenario);
        if !is_wanted {
            return Ok(None);
        }
        if scenario == Scenario::FullQueue && self.server_small_queue.is_none() {
            eprintln!("left out: a full write queue, which needs --server-small-queue");
            return Ok(None);
        }
        match Access::of_administrator() {
            Some(access) => Ok(Some(access)),
            None => Err(Violation::new(
                "trouble is made by INVENTORY_TEST_INDEXER_ADMIN_USER and _ADMIN_PASSWORD",
            )),
        }
    }
}

async fn campaign(options: &Options) -> Result<(), Violation> {
    let path = options.state();
    let mut results = Results::open(&path)
        .map_err(|error| Violation::new(format!("{}: {error}", path.display())))?;
    let plans = options.plans()?;
    let bar = Bar::new(options.kills, results.sum().daemon_kills);
    for plan in plans {
        if results.has(plan.number, plan.kills) {
            continue;
        }
        let before = results.sum();
        let legs = results.legs();
        let report = leg::run(&plan, &|report| bar.show(legs, &before, report)).await?;
        results.add(report)?;
        bar.show(results.legs(), &results.sum(), &LegReport::default());
    }
    bar.bar.finish_and_clear();
    println!("{}", table(results.legs(), &results.sum()));
    for leg in results.scenarios() {
        println!("\n{}", leg.scenario.as_deref().unwrap_or_default());
        for line in &leg.seen {
            println!("  {line}");
        }
    }
    println!("\nseed {}; legs: {}", options.seed, path.display());
    Ok(())
}

/// Progress on standard error.
struct Bar {
    bar: ProgressBar,
    is_terminal: bool,
    began: Instant,
    /// Kills that stood before.
    first: u64,
    next_line: Mutex<Instant>,
}

impl Bar {
    fn new(kills: u64, first: u64) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(
            Some(kills),
            if is_terminal {
                ProgressDrawTarget::stderr()
            } else {
                ProgressDrawTarget::hidden()
            },
        );
        let style = ProgressStyle::with_template(
            "{bar:24} {pos}/{len} kills, {per_sec}, {eta} left; {wide_msg}",
        );
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_position(first);
        bar.reset_eta();
        Self {
            bar,
            is_terminal,
            began: Instant::now(),
            first,
            next_line: Mutex::new(Instant::now() + LINE_INTERVAL),
        }
    }

    fn show(&self, legs: usize, before: &LegReport, report: &LegReport) {
        let mut sum = before.clone();
        sum.add(report);
        let phases: Vec<String> = Phase::ALL
            .iter()
            .map(|phase| {
                let count = sum.under_way.get(phase).copied().unwrap_or(0);
                format!("{phase} {count}")
            })
            .collect();
        let text = format!(
            "{}; {} client kills; {legs} legs verified",
            phases.join(", "),
            sum.client_kills
        );
        self.bar.set_position(sum.daemon_kills);
        self.bar.set_message(text.clone());
        if self.is_terminal {
            return;
        }
        let mut next = self
            .next_line
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        if now >= *next {
            *next = now + LINE_INTERVAL;
            let total = self.bar.length().unwrap_or(0);
            let new = sum.daemon_kills.saturating_sub(self.first);
            #[expect(clippy::cast_precision_loss, reason = "for people")]
            let rate = new as f64 / self.began.elapsed().as_secs_f64();
            eprintln!(
                "{}/{total} kills, {rate:.2} a second; {text}",
                sum.daemon_kills
            );
        }
    }
}
