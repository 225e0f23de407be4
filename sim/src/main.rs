//! `inventory-sim`: runs seeds and says what they did, or what went wrong and how to see it again.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use inventory_sim::chart::written;
use inventory_sim::{Conduct, Ending, Fault, Options, Rates, Report, run};
use inventory_sync_core::wire::{Reason, Status};

/// What an exit code tells.
mod exit {
    /// An assertion of a machine failed.
    pub(crate) const ASSERTION: u8 = 10;
    /// An oracle found a violation.
    pub(crate) const SAFETY: u8 = 11;
    /// The world did not come to rest after it was healed.
    pub(crate) const LIVENESS: u8 = 12;
    /// The same seed gave two different runs.
    pub(crate) const NONDETERMINISM: u8 = 13;
    /// The simulator contradicts itself.
    pub(crate) const SIMULATOR: u8 = 14;
}

/// The seeded world around the machines of inventory-sync.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a seed, or several, and prints what they drew and did. Exit codes: 0 sound, 10 an assertion
    /// failed, 11 a safety violation, 12 not at rest in time, 13 not deterministic, 14 simulator fault.
    Run(RunArguments),
}

#[derive(clap::Args)]
struct RunArguments {
    /// The seed, or the first of several.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, one after the other.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Writes what happened in the (first) seed to this file: a chart to look at in a browser if its name ends
    /// in .html, else a transcript.
    #[arg(long, value_name = "FILE")]
    trace: Option<std::path::PathBuf>,
    /// Runs each seed twice and compares the trace hashes.
    #[arg(long)]
    verify_determinism: bool,
    /// Nothing goes wrong but these faults, as often as they may; `none` for none. Default: the seed's own swarm.
    #[arg(long, value_name = "LABEL", value_delimiter = ',')]
    only: Option<Vec<String>>,
}

fn main() -> ExitCode {
    let Cli {
        command: Command::Run(arguments),
    } = Cli::parse();
    let mut totals = Totals::default();
    let began = Instant::now();
    for place in 0..arguments.seeds.max(1) {
        let seed = arguments.seed.wrapping_add(place);
        let options = match drawn(seed, arguments.only.as_deref()) {
            Ok(options) => options,
            Err(sentence) => {
                eprintln!("{sentence}");
                return ExitCode::from(2);
            }
        };
        let text = arguments.trace.as_deref().filter(|_| place == 0);
        let code = run_one(&options, &arguments, text, &mut totals);
        if code != 0 {
            return ExitCode::from(code);
        }
    }
    if arguments.seeds > 1 {
        let spent_ms = elapsed_ms(began);
        println!(
            "{} seeds sound: {} events, {} sessions, {} s simulated, in {} s: {} events/s, {} times real time; all hashes {:016x}",
            totals.seeds,
            totals.events,
            totals.sessions,
            totals.simulated_ms / 1_000,
            spent_ms / 1_000,
            totals.events * 1_000 / spent_ms,
            totals.simulated_ms / spent_ms,
            totals.hashes,
        );
        totals.print_coverage();
    }
    ExitCode::SUCCESS
}

/// Real time is for people only: nothing in a run depends on it. Never 0, so that it can divide.
fn elapsed_ms(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis())
        .unwrap_or(u64::MAX)
        .max(1)
}

#[derive(Default)]
struct Totals {
    faults: BTreeMap<Fault, u64>,
    verdicts: BTreeMap<(Status, Reason), u64>,
    seeds: u64,
    events: u64,
    sessions: u64,
    simulated_ms: u64,
    hashes: u64,
}

impl Totals {
    /// What happened in all runs together, and what never did.
    fn print_coverage(&self) {
        for ((status, reason), count) in &self.verdicts {
            println!("verdict     {count:>8}  {status}/{reason}");
        }
        for fault in Fault::ALL {
            let count = self.faults.get(fault).copied().unwrap_or(0);
            println!("fault       {count:>8}  {}", fault.label());
        }
    }
}

fn drawn(seed: u64, only: Option<&[String]>) -> Result<Options, String> {
    let mut options = Options::drawn(seed);
    if let Some(labels) = only {
        options.rates = Rates::calm();
        for label in labels.iter().filter(|label| *label != "none") {
            let Some(fault) = Fault::ALL.iter().find(|fault| fault.label() == label) else {
                let known: Vec<_> = Fault::ALL.iter().map(|fault| fault.label()).collect();
                return Err(format!(
                    "no fault is called {label:?}; there are: {}",
                    known.join(", ")
                ));
            };
            options.rates.set(*fault, Rates::only(*fault).of(*fault));
        }
    }
    Ok(options)
}

fn run_one(
    options: &Options,
    arguments: &RunArguments,
    text: Option<&std::path::Path>,
    totals: &mut Totals,
) -> u8 {
    let seed = options.seed;
    let only = arguments
        .only
        .as_ref()
        .map_or_else(String::new, |only| format!(" --only {}", only.join(",")));
    let again = format!("inventory-sim run --seed {seed}{only}");
    if arguments.seeds <= 1 {
        print_options(options);
    }
    let conduct = || Conduct {
        record: text.is_some(),
        ..Conduct::default()
    };
    let began = Instant::now();
    // A failed assertion of a machine is a finding like others: the seed must be told.
    let outcome = std::panic::catch_unwind(|| run(options, conduct()));
    let Ok(mut report) = outcome else {
        println!("FAILED      an assertion failed; the message stands above");
        println!("again       {again}");
        return exit::ASSERTION;
    };
    let spent_ms = elapsed_ms(began);
    if let Some(recording) = &mut report.recording {
        recording.title.clone_from(&again);
    }
    if let (Some(path), Some(recording)) = (text, &report.recording)
        && let Err(error) = std::fs::write(path, written(recording, &path.to_string_lossy()))
    {
        eprintln!("the trace cannot be written to {}: {error}", path.display());
    }
    if arguments.seeds <= 1 {
        println!("{report}");
        println!("speed       {} events/s", report.events * 1_000 / spent_ms);
    }
    totals.seeds += 1;
    totals.events += report.events;
    totals.sessions += report.counts.sessions;
    totals.simulated_ms += report.simulated_ms;
    for (fault, count) in &report.faults {
        *totals.faults.entry(*fault).or_insert(0) += count;
    }
    for (verdict, count) in &report.verdicts {
        *totals.verdicts.entry(*verdict).or_insert(0) += count;
    }
    totals.hashes = totals.hashes.rotate_left(1) ^ report.trace_hash;
    let code = judge(&report, seed, &again);
    if code == 0 && arguments.verify_determinism {
        let second = run(options, Conduct::default());
        if second.trace_hash != report.trace_hash || second.steps != report.steps {
            println!("FAILED      seed {seed}: the second run differs");
            println!(
                "expected    trace hash {:016x} after {} steps",
                report.trace_hash, report.steps
            );
            println!(
                "seen        trace hash {:016x} after {} steps",
                second.trace_hash, second.steps
            );
            println!("again       {again} --verify-determinism");
            return exit::NONDETERMINISM;
        }
    }
    code
}

fn judge(report: &Report, seed: u64, again: &str) -> u8 {
    let (code, what) = match &report.ending {
        Ending::Sound => return 0,
        Ending::Unsafe(violation) => (exit::SAFETY, violation.to_string()),
        Ending::Stuck { reason } => (
            exit::LIVENESS,
            format!("expected  rest after healing\nseen      {reason}"),
        ),
        Ending::SimulatorFault(reason) => (
            exit::SIMULATOR,
            format!("the simulator contradicts itself: {reason}"),
        ),
    };
    println!("FAILED      seed {seed} at step {}", report.steps);
    println!("{what}");
    println!("again       {again} --trace trace.html");
    code
}

fn print_options(options: &Options) {
    let config = &options.config;
    println!("seed        {}", options.seed);
    println!(
        "world       {} agents, {} shards, {} indices, up to {} documents in each; a change every {} ms",
        options.agents,
        options.shards,
        config.catalogue.indices().len(),
        options.documents_max,
        options.change_every_ms
    );
    println!(
        "times       request {} ms, late writes {} ms, delivery {} ms, idle {} ms",
        config.request_deadline_ms,
        config.late_write_bound_ms,
        config.delivery_deadline_ms,
        config.idle_timeout_ms
    );
    println!(
        "limits      {} sessions, bulk {} operations and {} bytes, {} at once",
        config.sessions_max, config.bulk_operations_max, config.bulk_bytes_max, config.concurrency
    );
    let on: Vec<String> = Fault::ALL
        .iter()
        .filter(|fault| options.rates.of(**fault) != inventory_sim::Rate::Off)
        .map(|fault| fault.label().to_owned())
        .collect();
    println!(
        "faults      {}",
        if on.is_empty() {
            "none".to_owned()
        } else {
            on.join(", ")
        }
    );
}
