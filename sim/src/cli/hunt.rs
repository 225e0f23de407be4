//! `hunt`: seed after seed in several threads, for a while.
//!
//! ```text
//!  next seed ◀── thread ── draw, run, every 100th twice ──▶ Found{seed, outcome}
//!            ◀── thread ──                              ──▶    │
//!                                            counts, coverage, each failure once, its replay file
//! ```

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use inventory_sim::{Conduct, Fault, Kind, Options, Outcome, Replay, Tape, attempt};

use super::planted::Planted;
use super::source::Source;
use super::totals::Totals;
use super::{Refusal, elapsed_ms, failure, panics, run, say, source, write_file};

/// One seed of so many is run twice.
const TWICE_EVERY: u64 = 100;

/// Arguments of `hunt`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// For how long; parts of a minute too.
    #[arg(long, default_value_t = 1.0, value_parser = minutes)]
    minutes: f64,
    /// Ends after so many seeds, if that is earlier.
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Threads; default: one for each processor.
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// The first seed; default: from the clock, and printed.
    #[arg(long, value_name = "SEED")]
    seeds_from: Option<u64>,
    /// Where replay files of failures go; it is made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "findings")]
    out: PathBuf,
    /// Stops at the first failure.
    #[arg(long)]
    first: bool,
    #[command(flatten)]
    source: source::SourceArguments,
}

impl Arguments {
    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }
}

/// A number of minutes from the command line.
fn minutes(text: &str) -> Result<f64, String> {
    let number = text.parse().ok();
    number
        .filter(|minutes| (0.0..1e6).contains(minutes))
        .ok_or_else(|| "a number of minutes is wanted, such as 10 or 0.5".to_owned())
}

/// What came of a seed.
struct Found {
    seed: u64,
    options: Options,
    outcome: Outcome,
}

/// What the threads share.
struct Shared {
    source: Source,
    planted: Planted,
    next: AtomicU64,
    end: u64,
    is_over: AtomicBool,
}

/// Hunts until the time is up.
pub(crate) fn main(arguments: &Arguments) -> Result<u8, Refusal> {
    let source = arguments.source.read()?;
    // A world that cannot be drawn is the file's fault: say so before threads do.
    let first = arguments.seeds_from.unwrap_or_else(seed_of_the_clock);
    source.draw(first)?;
    let _ = arguments.source.planted.plant()?;
    let shared = Shared {
        source,
        planted: arguments.source.planted.clone(),
        next: AtomicU64::new(first),
        end: arguments
            .seeds
            .map_or(u64::MAX, |seeds| first.saturating_add(seeds)),
        is_over: AtomicBool::new(false),
    };
    let jobs = arguments
        .jobs
        .or_else(|| thread::available_parallelism().ok())
        .map_or(1, NonZero::get);
    say(format_args!(
        "hunt        seeds from {first}, {jobs} at once, {} min",
        arguments.minutes
    ));
    let (sender, receiver) = channel();
    thread::scope(|scope| {
        for _ in 0..jobs {
            let sender = sender.clone();
            scope.spawn(|| work(&shared, sender));
        }
        drop(sender);
        let mut log = Log::new(arguments, &shared.source);
        let result = log.listen(&receiver);
        shared.is_over.store(true, Ordering::Relaxed);
        result?;
        // What was under way counts as well.
        for found in receiver {
            log.take(found?)?;
        }
        Ok(log.finish())
    })
}

/// Cells are counted once for so many seeds.
const CELLS_EVERY: u64 = 64;

/// Real time decides where a hunt begins, and nothing else.
fn seed_of_the_clock() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(1, |since| since.as_secs() * 1_000_000)
}

fn work(shared: &Shared, sender: Sender<Result<Found, Refusal>>) {
    let Ok(_planted) = shared.planted.plant() else {
        return;
    };
    while !shared.is_over.load(Ordering::Relaxed) {
        let seed = shared.next.fetch_add(1, Ordering::Relaxed);
        if seed >= shared.end {
            return;
        }
        let found = shared.source.draw(seed).map(|options| {
            let mut outcome = panics::caught(|| attempt(&options, Conduct::default()));
            if outcome.finding.is_none() && seed.is_multiple_of(TWICE_EVERY) {
                outcome.finding = run::repeated(&options, &outcome);
            }
            Found {
                seed,
                options,
                outcome,
            }
        });
        if sender.send(found).is_err() {
            return;
        }
    }
}

/// What is known so far.
struct Log<'a> {
    arguments: &'a Arguments,
    source: &'a Source,
    began: Instant,
    bar: ProgressBar,
    totals: Totals,
    /// How many (state × event) cells happened, of how many that can; as of some seeds ago.
    cells: (usize, usize),
    /// Failures by kind and name: the first seed and how many.
    failures: BTreeMap<String, (u64, u64)>,
    code: u8,
}

impl<'a> Log<'a> {
    fn new(arguments: &'a Arguments, source: &'a Source) -> Self {
        let bar = ProgressBar::new(arguments.time().as_secs());
        let style = ProgressStyle::with_template("{elapsed:>4} of {len} s {wide_bar} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            arguments,
            source,
            began: Instant::now(),
            bar,
            totals: Totals::default(),
            cells: (0, 0),
            failures: BTreeMap::new(),
            code: 0,
        }
    }

    /// Takes what the threads find until the time is up.
    fn listen(&mut self, receiver: &Receiver<Result<Found, Refusal>>) -> Result<(), Refusal> {
        let end = self.began + self.arguments.time();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            // Nothing for as long as that is left: time is up, or no seed is left.
            let Ok(found) = receiver.recv_timeout(left) else {
                return Ok(());
            };
            self.take(found?)?;
            if self.arguments.first && self.code != 0 || left.is_zero() {
                return Ok(());
            }
        }
    }

    fn take(&mut self, found: Found) -> Result<(), Refusal> {
        if let Some(report) = &found.outcome.report {
            self.totals.add(found.seed, report);
            // All cells are looked through: not for every seed.
            if self.totals.seeds % CELLS_EVERY == 1 {
                self.cells = self.totals.cells();
            }
        }
        if let Some(finding) = &found.outcome.finding {
            let known = self
                .failures
                .entry(finding.to_string())
                .or_insert((found.seed, 0));
            known.1 += 1;
            if known.1 == 1 {
                if self.code == 0 {
                    self.code = finding.kind.exit_code();
                }
                self.report(&found)?;
            }
        }
        self.bar.set_position(self.began.elapsed().as_secs());
        self.bar.set_message(self.status());
        Ok(())
    }

    fn status(&self) -> String {
        let spent_ms = elapsed_ms(self.began);
        format!(
            "{} seeds, {} events/s, {} times real time, {} of {} faults, {} of {} cells, {} failures",
            self.totals.seeds,
            self.totals.events * 1_000 / spent_ms,
            self.totals.simulated_ms / spent_ms,
            self.totals.fired(),
            Fault::ALL.len(),
            self.cells.0,
            self.cells.1,
            self.failures.len()
        )
    }

    /// A failure of a new name: what it is, how to see it again, and its replay file.
    fn report(&self, found: &Found) -> Result<(), Refusal> {
        let Some(finding) = &found.outcome.finding else {
            return Ok(());
        };
        let mut again = format!(
            "inventory-sim run --seed {}{}",
            found.seed,
            self.source.again()
        );
        if finding.kind == Kind::Nondeterminism {
            again.push_str(" --verify-determinism");
        }
        let mut text = failure::text(
            &format!("seed {}", found.seed),
            &found.outcome,
            finding,
            &again,
        );
        if finding.kind != Kind::Nondeterminism {
            let path = self.write_replay(found)?;
            text.push_str(&format!(
                "\nsmaller     inventory-sim shrink {}",
                path.display()
            ));
        }
        self.bar.suspend(|| say(text));
        Ok(())
    }

    fn write_replay(&self, found: &Found) -> Result<PathBuf, Refusal> {
        let _planted = self.arguments.source.planted.plant()?;
        let tape = Tape::recording();
        let conduct = Conduct {
            tape: Some(tape.clone()),
            ..Conduct::default()
        };
        let outcome = panics::caught(|| attempt(&found.options, conduct));
        let name = format!("seed-{}", found.seed);
        let shows = format!("What a hunt found under seed {}, whole.", found.seed);
        let mut replay = Replay::of(&name, &shows, &found.options, &tape.recorded(), &outcome);
        replay.bug = self.arguments.source.planted.name();
        let folder: &Path = &self.arguments.out;
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
        let path = folder.join(format!("{name}.replay"));
        write_file(&path, &replay.to_string())?;
        Ok(path)
    }

    /// The summary; the exit code.
    fn finish(self) -> u8 {
        self.bar.finish_and_clear();
        say(format_args!(
            "hunted      {}, {} s simulated, {} sessions",
            self.status(),
            self.totals.simulated_ms / 1_000,
            self.totals.sessions
        ));
        self.totals.print_coverage();
        for (name, (seed, count)) in &self.failures {
            say(format_args!(
                "failure     {count:>8}  {name}; first under seed {seed}"
            ));
        }
        self.code
    }
}
