//! `shrink --bug-bank`: every bug of the bank planted, found by random worlds and shrunk, as a table.
//!
//! ```text
//!  bug ──plant──▶ seed 1, 2, 3 … that fails ──record──▶ shrink, so many seconds at most ──▶ a row, a replay file
//! ```

use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use inventory_sim::{Case, Conduct, Options, Progress, Replay, Shrunk, Tape, attempt, shrink};
use inventory_sync_core::bug::{Bug, plant};

use super::{Refusal, elapsed_ms, panics, say, write_file};

/// Seeds in which a bug is looked for: what random worlds find at all, most of them find in a few.
const SEEDS: u64 = 400;

/// What a person reads without turning the page.
const EVENTS_MAX: u64 = 60;

/// What came of a bug.
struct Row {
    bug: Bug,
    /// The seed that found it, and what is left of its run; nothing when no seed did.
    found: Option<(u64, Shrunk)>,
    shrunk_ms: u64,
}

/// Shrinks all bugs, each for that long at most; replay files go to a folder.
pub(crate) fn main(time: Duration, folder: Option<&Path>) -> Result<u8, Refusal> {
    let waiting = Mutex::new(Bug::ALL.iter().copied());
    let rows = Mutex::new(Vec::new());
    let bar = ProgressBar::new(Bug::ALL.len() as u64);
    let style = ProgressStyle::with_template("{elapsed:>4} {pos} of {len} bugs {wide_bar} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let began = Instant::now();
    let next = || waiting.lock().ok()?.next();
    let work = || {
        while let Some(bug) = next() {
            bar.set_message(format!("{bug:?}"));
            let row = row_of(bug, time);
            if let Ok(mut rows) = rows.lock() {
                rows.push(row);
            }
            bar.inc(1);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    bar.finish_and_clear();
    let mut rows = rows.into_inner().unwrap_or_default();
    rows.sort_by_key(|row| row.bug as usize);
    print(&rows, elapsed_ms(began));
    folder.map_or(Ok(()), |folder| keep(&rows, folder))?;
    Ok(0)
}

/// What remains of one seed may be long where another one's is short: so many are tried, in the time of one.
const SEEDS_SHRUNK: u32 = 3;

fn row_of(bug: Bug, time: Duration) -> Row {
    let _planted = plant(bug);
    let mut best: Option<(u64, Shrunk)> = None;
    let mut spent = Duration::ZERO;
    let failing = (1..=SEEDS).filter_map(|seed| Some((seed, first_case(seed)?)));
    for (seed, case) in failing.take(SEEDS_SHRUNK as usize) {
        let began = Instant::now();
        let share = match best {
            None => time * 2 / SEEDS_SHRUNK,
            Some(_) => time.saturating_sub(spent) / 2,
        };
        let mut go_on = |_: Progress| began.elapsed() < share;
        let shrunk = panics::caught(|| shrink(case, &mut go_on));
        spent += began.elapsed();
        let events = |shrunk: &Shrunk| shrunk.progress.events;
        if let Some(shrunk) = shrunk
            && best
                .as_ref()
                .is_none_or(|(_, best)| events(&shrunk) < events(best))
        {
            best = Some((seed, shrunk));
        }
        if best
            .as_ref()
            .is_some_and(|(_, best)| events(best) <= EVENTS_MAX)
        {
            break;
        }
    }
    Row {
        bug,
        found: best,
        shrunk_ms: u64::try_from(spent.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The run of a seed, if it fails.
fn first_case(seed: u64) -> Option<Case> {
    let options = Options::drawn(seed);
    // Most seeds do not fail: only one that does is worth a recording.
    let fails = |conduct| {
        panics::caught(|| attempt(&options, conduct))
            .finding
            .is_some()
    };
    if !fails(Conduct::default()) {
        return None;
    }
    let tape = Tape::recording();
    let conduct = Conduct {
        tape: Some(tape.clone()),
        ..Conduct::default()
    };
    fails(conduct).then(|| Case {
        choices: tape.recorded(),
        options,
    })
}

fn print(rows: &[Row], took_ms: u64) {
    say(format_args!(
        "{:<28} {:>5} {:>8} {:>7} {:>6} {:>5} {:>6} {:>6}  ends",
        "bug", "seed", "choices", "events", "start", "rest", "runs", "s"
    ));
    for Row {
        bug,
        found,
        shrunk_ms,
    } in rows
    {
        let name = format!("{bug:?}");
        let Some((seed, shrunk)) = found else {
            say(format_args!("{name:<28} not found in {SEEDS} seeds"));
            continue;
        };
        let Progress {
            tries,
            choices,
            events,
            starting,
            ..
        } = shrunk.progress;
        let finding = shrunk.outcome.finding.as_ref();
        say(format_args!(
            "{name:<28} {seed:>5} {choices:>8} {events:>7} {starting:>6} {:>5} {tries:>6} {:>4}.{:01}  {}{}",
            events - starting,
            shrunk_ms / 1_000,
            shrunk_ms % 1_000 / 100,
            if shrunk.is_done { "" } else { "(time was up) " },
            finding.map_or_else(String::new, ToString::to_string),
        ));
    }
    let mut sizes: Vec<(u64, Bug)> = rows
        .iter()
        .filter_map(|row| Some((row.found.as_ref()?.1.progress.events, row.bug)))
        .collect();
    sizes.sort_unstable_by_key(|(events, bug)| (*events, *bug as usize));
    let largest = sizes
        .last()
        .map_or_else(String::new, |(events, bug)| format!("{events} ({bug:?})"));
    say(format_args!(
        "{} of {} bugs shrunk in {} s: half of them to {} events at most, the largest to {largest}; {} to more than {EVENTS_MAX}",
        sizes.len(),
        rows.len(),
        took_ms / 1_000,
        sizes.get(sizes.len() / 2).map_or(0, |(events, _)| *events),
        sizes
            .iter()
            .filter(|(events, _)| *events > EVENTS_MAX)
            .count(),
    ));
}

/// Writes what is left of each run as a replay file.
fn keep(rows: &[Row], folder: &Path) -> Result<(), Refusal> {
    std::fs::create_dir_all(folder)
        .map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
    for row in rows {
        let Some((seed, shrunk)) = &row.found else {
            continue;
        };
        let name = format!("{:?}", row.bug);
        let shows = format!("What is left of seed {seed} with this bug.");
        let Case { options, choices } = &shrunk.case;
        let mut replay = Replay::of(&name, &shows, options, choices, &shrunk.outcome);
        replay.bug = Some(name.clone());
        write_file(&folder.join(format!("{name}.replay")), &replay.to_string())?;
    }
    Ok(())
}
