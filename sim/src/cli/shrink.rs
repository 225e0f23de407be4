//! `shrink`: the smallest world and list of choices that still fail.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use inventory_sim::{Case, Conduct, Outcome, Progress, Replay, Shrunk, Tape, attempt, shrink};

use super::planted::Planted;
use super::{Refusal, elapsed_ms, failure, panics, read_file, say, source, write_file};

/// Arguments of `shrink`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The replay file of a run that fails.
    #[arg(
        value_name = "FILE",
        required_unless_present_any = WITHOUT_FILE,
        conflicts_with_all = WITHOUT_FILE
    )]
    file: Option<PathBuf>,
    /// The seed of a run that fails, in place of a file.
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    source: source::SourceArguments,
    /// Where the result goes; default: shrunk.replay.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The replay's name; default: the file's.
    #[arg(long)]
    name: Option<String>,
    /// How long it may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    /// Shrinks, one after the other, what random worlds find of every bug of the bank, and prints a table; the
    /// time is that of each. With --output the replay files go into that folder.
    #[cfg(inventory_bug_bank)]
    #[arg(long, conflicts_with_all = ["seed", "name", "bug"])]
    bug_bank: bool,
}

/// Arguments in place of which a file may stand.
#[cfg(inventory_bug_bank)]
const WITHOUT_FILE: [&str; 2] = ["seed", "bug_bank"];
#[cfg(not(inventory_bug_bank))]
const WITHOUT_FILE: [&str; 1] = ["seed"];

/// Where the result goes when nothing is said.
const OUTPUT: &str = "shrunk.replay";

/// Shrinks a failing run.
pub(crate) fn main(arguments: &Arguments) -> Result<u8, Refusal> {
    let time = Duration::from_secs(arguments.seconds);
    #[cfg(inventory_bug_bank)]
    if arguments.bug_bank {
        return super::bank::main(time, arguments.output.as_deref());
    }
    let output = arguments.output.as_deref().unwrap_or(Path::new(OUTPUT));
    let (case, planted) = match &arguments.file {
        Some(path) => {
            let replay = Replay::read(&read_file(path)?)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            let planted = Planted::named(replay.bug.as_deref());
            let case = Case {
                options: replay.options,
                choices: replay.choices,
            };
            (case, planted)
        }
        None => {
            let seed = arguments.seed.unwrap_or_default();
            let options = arguments.source.read()?.draw(seed)?;
            let planted = arguments.source.planted.clone();
            let _planted = planted.plant()?;
            let tape = Tape::recording();
            let conduct = Conduct {
                tape: Some(tape.clone()),
                ..Conduct::default()
            };
            let outcome = panics::caught(|| attempt(&options, conduct));
            if outcome.finding.is_none() {
                return Err(Refusal(format!(
                    "seed {seed} does not fail: there is nothing to shrink"
                )));
            }
            let case = Case {
                options,
                choices: tape.recorded(),
            };
            (case, planted)
        }
    };
    let _planted = planted.plant()?;
    let began = Instant::now();
    let shrunk = with_progress(case, time)
        .ok_or_else(|| "the run does not fail: there is nothing to shrink".to_owned())?;
    let replay = replay_of(arguments, output, &shrunk, &planted);
    write_file(output, &replay.to_string())?;
    say(summary(&shrunk, elapsed_ms(began)));
    let again = format!("inventory-sim replay {}", output.display());
    match &shrunk.outcome.finding {
        Some(finding) => {
            failure::print("the shrunk run", &shrunk.outcome, finding, &again);
            Ok(0)
        }
        None => Err(Refusal("the shrunk run does not fail".to_owned())),
    }
}

/// How large it is now, in a sentence.
pub(crate) fn summary(shrunk: &Shrunk, spent_ms: u64) -> String {
    let Progress {
        tries,
        choices,
        events,
        starting,
        ..
    } = shrunk.progress;
    let end = if shrunk.is_done {
        "nothing smaller fails"
    } else {
        "time was up"
    };
    format!(
        "shrunk      {choices} choices, {events} events of machines up to the failure (routine not counted), \
         {starting} of them the manager's start; {tries} runs in {}.{:01} s: {end}",
        spent_ms / 1_000,
        spent_ms % 1_000 / 100
    )
}

/// Shrinks for that long, and shows how far it is.
fn with_progress(case: Case, time: Duration) -> Option<Shrunk> {
    let bar = ProgressBar::new(time.as_secs());
    let style = ProgressStyle::with_template("{elapsed:>4} of {len} s  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let began = Instant::now();
    let mut go_on = |progress: Progress| {
        let Progress {
            tries,
            choices,
            events,
            doing,
            ..
        } = progress;
        bar.set_position(began.elapsed().as_secs());
        bar.set_message(format!(
            "{choices} choices, {events} events after {tries} runs: {doing}"
        ));
        began.elapsed() < time
    };
    let shrunk = panics::caught(|| shrink(case, &mut go_on));
    bar.finish_and_clear();
    shrunk
}

fn replay_of(arguments: &Arguments, output: &Path, shrunk: &Shrunk, planted: &Planted) -> Replay {
    let stem = |path: &Path| {
        path.file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
    };
    let name = arguments.name.clone().or_else(|| stem(output));
    let outcome: &Outcome = &shrunk.outcome;
    let shows = outcome
        .finding
        .as_ref()
        .map_or_else(String::new, |finding| {
            format!("{finding}; say here in a sentence what this run shows")
        });
    let mut replay = Replay::of(
        &name.unwrap_or_default(),
        &shows,
        &shrunk.case.options,
        &shrunk.case.choices,
        outcome,
    );
    replay.bug = planted.name();
    replay
}
