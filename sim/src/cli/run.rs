//! `run`: a seed, or several one after the other.

use std::path::PathBuf;
use std::time::Instant;

use inventory_sim::{Conduct, Fault, Finding, Kind, Options, Outcome, Rate, attempt};

use super::totals::Totals;
use super::{Refusal, elapsed_ms, failure, panics, say, source, trace_file};

/// Arguments of `run`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The seed, or the first of several.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, one after the other.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    #[command(flatten)]
    source: source::SourceArguments,
    /// Writes what happened in the (first) seed to this file: .html, a chart to look at in a browser, or .txt, a
    /// transcript.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Runs each seed twice and compares the trace hashes.
    #[arg(long)]
    verify_determinism: bool,
}

/// Runs the seeds up to the first failure.
pub(crate) fn main(arguments: &Arguments) -> Result<u8, Refusal> {
    let source = arguments.source.read()?;
    let _planted = arguments.source.planted.plant()?;
    if let Some(path) = &arguments.trace {
        trace_file::check(path)?;
    }
    let is_single = arguments.seeds <= 1;
    let mut totals = Totals::default();
    let began = Instant::now();
    for place in 0..arguments.seeds.max(1) {
        let seed = arguments.seed.wrapping_add(place);
        let options = source.draw(seed)?;
        if is_single {
            print_options(&options);
        }
        let trace = arguments.trace.as_ref().filter(|_| place == 0);
        let conduct = Conduct {
            record: trace.is_some(),
            ..Conduct::default()
        };
        let one_began = Instant::now();
        let mut outcome = panics::caught(|| attempt(&options, conduct));
        if let Some(report) = &outcome.report {
            totals.add(seed, report);
            if is_single {
                say(report);
                let speed = report.events * 1_000 / elapsed_ms(one_began);
                say(format_args!("speed       {speed} events/s"));
            }
        }
        if outcome.finding.is_none() && arguments.verify_determinism {
            outcome.finding = repeated(&options, &outcome);
        }
        let plain = format!("inventory-sim run --seed {seed}{}", source.again());
        if let Some(finding) = &outcome.finding {
            let again = match finding.kind {
                Kind::Nondeterminism => format!("{plain} --verify-determinism"),
                _ => plain.clone(),
            };
            failure::print(&format!("seed {seed}"), &outcome, finding, &again);
        }
        if let Some(path) = trace {
            trace_file::write(path, &mut outcome, &plain)?;
        }
        if let Some(finding) = &outcome.finding {
            return Ok(finding.kind.exit_code());
        }
    }
    if !is_single {
        let spent_ms = elapsed_ms(began);
        say(format_args!(
            "{} seeds sound: {} steps, {} events of machines, {} sessions, {} s simulated, in {} s: {} steps/s, {} events/s, \
             {} times real time; all hashes {:016x}",
            totals.seeds,
            totals.steps,
            totals.events,
            totals.sessions,
            totals.simulated_ms / 1_000,
            spent_ms / 1_000,
            totals.steps * 1_000 / spent_ms,
            totals.events * 1_000 / spent_ms,
            totals.simulated_ms / spent_ms,
            totals.hashes,
        ));
        totals.print_coverage();
    }
    Ok(0)
}

/// Runs the same world once more; a finding, when it is another run.
pub(crate) fn repeated(options: &Options, first: &Outcome) -> Option<Finding> {
    let second = panics::caught(|| attempt(options, Conduct::default()));
    let facts = |outcome: &Outcome| {
        outcome.report.as_ref().map_or_else(
            || "a panic".to_owned(),
            |report| {
                let (hash, steps) = (report.trace_hash, report.steps);
                format!("trace hash {hash:016x} after {steps} steps")
            },
        )
    };
    let (expected, seen) = (facts(first), facts(&second));
    (expected != seen).then(|| Finding {
        kind: Kind::Nondeterminism,
        name: "the second run differs".to_owned(),
        detail: format!("expected  {expected}\nseen      {seen}"),
    })
}

/// What decides a run.
pub(crate) fn print_options(options: &Options) {
    let config = &options.config;
    say(format_args!("seed        {}", options.seed));
    say(format_args!(
        "world       {} agents, {} shards, {} indices, up to {} documents in each; a change every {} ms",
        options.agents,
        options.shards,
        config.catalogue.indices().len(),
        options.documents_max,
        options.change_every_ms
    ));
    say(format_args!(
        "times       request {} ms, late writes {} ms, delivery {} ms, idle {} ms",
        config.request_deadline_ms,
        config.late_write_bound_ms,
        config.delivery_deadline_ms,
        config.idle_timeout_ms
    ));
    say(format_args!(
        "limits      {} sessions, bulk {} operations and {} bytes, {} at once",
        config.sessions_max, config.bulk_operations_max, config.bulk_bytes_max, config.concurrency
    ));
    let on: Vec<&str> = Fault::ALL
        .iter()
        .filter(|fault| options.rates.of(**fault) != Rate::Off)
        .map(|fault| fault.label())
        .collect();
    let on = if on.is_empty() {
        "none".to_owned()
    } else {
        on.join(", ")
    };
    say(format_args!("faults      {on}"));
}
