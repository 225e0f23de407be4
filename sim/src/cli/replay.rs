//! `replay`: a replay file, or a seed, once more.

use std::path::PathBuf;

use inventory_sim::{Conduct, Outcome, Replay, Stop, attempt};

use super::planted::Planted;
use super::run::print_options;
use super::{Refusal, failure, panics, read_file, say, source, trace_file, write_file};

/// Arguments of `replay`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The replay file.
    #[arg(
        value_name = "FILE",
        required_unless_present = "seed",
        conflicts_with = "seed"
    )]
    file: Option<PathBuf>,
    /// A seed in place of a file.
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    source: source::SourceArguments,
    /// Stops after this step.
    #[arg(long, value_name = "STEP")]
    until: Option<u64>,
    /// Writes what happened to this file: .html, a chart to look at in a browser, or .txt, a transcript.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Writes the hash of the trace into the replay file anew, when the run ends as expected; also that a
    /// run which failed is sound now.
    #[arg(long, requires = "file", conflicts_with = "until")]
    renew: bool,
}

/// Runs it again.
pub(crate) fn main(arguments: &Arguments) -> Result<u8, Refusal> {
    if let Some(path) = &arguments.trace {
        trace_file::check(path)?;
    }
    let conduct = Conduct {
        record: arguments.trace.is_some(),
        stop: arguments.until.map(Stop::AtStep),
        ..Conduct::default()
    };
    let (mut outcome, again) = match &arguments.file {
        Some(path) => {
            let outcome = replay_file(arguments, path, conduct)?;
            (outcome, format!("inventory-sim replay {}", path.display()))
        }
        None => {
            let seed = arguments.seed.unwrap_or_default();
            let source = arguments.source.read()?;
            let _planted = arguments.source.planted.plant()?;
            let options = source.draw(seed)?;
            print_options(&options);
            let outcome = panics::caught(|| attempt(&options, conduct));
            let again = format!("inventory-sim replay --seed {seed}{}", source.again());
            (outcome, again)
        }
    };
    if let Some(report) = &outcome.report {
        say(report);
    }
    if let Some(path) = &arguments.trace {
        trace_file::write(path, &mut outcome, &again)?;
    }
    let Some(finding) = &outcome.finding else {
        return Ok(0);
    };
    failure::print("the run", &outcome, finding, &again);
    Ok(finding.kind.exit_code())
}

fn replay_file(
    arguments: &Arguments,
    path: &std::path::Path,
    conduct: Conduct,
) -> Result<Outcome, Refusal> {
    let shown = path.display();
    let mut replay =
        Replay::read(&read_file(path)?).map_err(|error| format!("{shown}: {error}"))?;
    let planted = Planted::named(replay.bug.as_deref());
    let _planted = planted.plant()?;
    print_options(&replay.options);
    say(format_args!(
        "replay      {}: {}",
        replay.name, replay.shows
    ));
    let outcome = panics::caught(|| replay.run(conduct));
    if arguments.until.is_some() {
        return Ok(outcome);
    }
    if replay.bug.is_some() && !planted.is_there() {
        say(
            "note        its bug is not planted: this build has no bug bank, and the run must be sound",
        );
        return Ok(outcome);
    }
    match replay.differs(&outcome) {
        None if replay.has_hash_of(&outcome) => {
            say("expected    it ends as expected, by the same trace");
        }
        None => say(
            "expected    it ends as expected, by another trace: the code has changed; --renew writes its hash",
        ),
        Some(how) => say(format_args!("unexpected  {how}")),
    }
    if arguments.renew {
        if outcome.finding.is_some() && replay.differs(&outcome).is_some() {
            return Err(Refusal(format!(
                "{shown} is not renewed: a run that is expected to end {:?} fails otherwise",
                replay.ending
            )));
        }
        replay.renew(&outcome);
        write_file(path, &replay.to_string())?;
        say(format_args!("renewed     {shown}"));
    }
    Ok(outcome)
}
