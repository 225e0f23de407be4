//! `inventory-sync demo`: the whole system on one machine, shown step by step.
//!
//! ```text
//!   DIR (mode 0700)      programs, loopback only                what is shown
//!   certs/  config  ───▶ inventory-indexer (documents in memory) ◀── searches ── questions, a change
//!   logs/   pid files    inventory-sync serve ◀══ TLS ══ inventory-agent sync --once
//!                                └── status, counters ───────────────────────── an outage
//! ```
//!
//! It is an operator's afternoon in a minute: it uses the programs as anybody would, over their command
//! lines, sockets and ports, and nothing of them from the inside.
//!
//! # Invariants
//!
//! * Nothing outside of DIR is written, and DIR is removed only if a demonstration made it.
//! * A process is ended only if it is the one that was started: its number *and* its start time are kept.
//! * What was started is ended when the demonstration fails or is interrupted (unless `--keep`), and goes on
//!   when it ends well, so that one can look around.
//! * Every wait has an end, and every failure names the log to read and its last lines.

mod act;
mod place;
mod program;
mod search;
mod show;
mod sync;

#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use tokio::sync::oneshot;

use crate::signals::Signals;
use place::Place;

/// What is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Where everything is kept: certificates, configuration, logs; made if needed
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The agent [default: inventory-agent beside this program]
    #[arg(long, value_name = "PATH")]
    pub agent_bin: Option<PathBuf>,
    /// The stand-in for an Indexer [default: inventory-indexer beside this program]
    #[arg(long, value_name = "PATH")]
    pub indexer_bin: Option<PathBuf>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Leave what was started running, even if the demonstration fails
    #[arg(long)]
    pub keep: bool,
    /// End what an earlier run left running
    #[arg(long)]
    pub stop: bool,
    /// End it, and remove DIR
    #[arg(long)]
    pub clean: bool,
}

/// Why the demonstration does not go on. A sentence: what failed, on what, what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DemoError(String);

impl DemoError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Runs the demonstration, or ends one. `false` is a demonstration that was interrupted.
///
/// # Errors
///
/// What went wrong, in a sentence with the end of the log that knows more.
pub fn run(options: &Options) -> Result<bool, DemoError> {
    if options.stop || options.clean {
        end(options).map(|()| true)
    } else {
        demonstrate(options)
    }
}

fn end(options: &Options) -> Result<(), DemoError> {
    let Some(place) = Place::existing(&options.dir)? else {
        show::say(&format!("{} holds no demonstration", options.dir.display()));
        return Ok(());
    };
    for line in program::stop_all(&place)? {
        show::say(&line);
    }
    if options.clean {
        place.remove()?;
        show::say(&format!("removed {}", options.dir.display()));
    }
    Ok(())
}

fn demonstrate(options: &Options) -> Result<bool, DemoError> {
    let programs = act::Programs::find(options)?;
    if let Some(place) = Place::existing(&options.dir)? {
        let running = program::running(&place);
        if !running.is_empty() {
            return Err(DemoError::new(format!(
                "a demonstration is running in {} already ({}); look at it, or end it with --stop",
                options.dir.display(),
                running.join(", ")
            )));
        }
    }
    show::say(&show::introduction(&options.dir));
    // Nobody is there to answer: a pipeline has said yes by starting it.
    if !options.yes && io::stdin().is_terminal() && !agreed()? {
        show::say("nothing was done");
        return Ok(true);
    }
    let place = Place::create(&options.dir)?;
    let outcome = watched(&place, programs);
    if !options.keep && !matches!(outcome, Ok(Shown::Whole)) {
        // The first error is the one to tell.
        if let Ok(lines) = program::stop_all(&place) {
            lines.iter().for_each(|line| show::say(line));
        }
    }
    match outcome? {
        Shown::Whole => Ok(true),
        Shown::Interrupted => {
            eprintln!("interrupted; the logs are in {}", place.logs().display());
            Ok(false)
        }
    }
}

fn agreed() -> Result<bool, DemoError> {
    // Where the question cannot be shown, the answer still counts.
    let _ = write!(io::stdout(), "Go on? [Y/n] ").and_then(|()| io::stdout().flush());
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(|error| DemoError::new(format!("the answer cannot be read: {error}")))?;
    let is_yes = matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes");
    Ok(!answer.is_empty() && is_yes)
}

/// How far it came.
enum Shown {
    Whole,
    Interrupted,
}

/// Shows everything in a thread of its own, so that a signal is answered whatever is being waited for.
fn watched(place: &Place, programs: act::Programs) -> Result<Shown, DemoError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| DemoError::new(format!("signals cannot be waited for: {error}")))?;
    let (tell, told) = oneshot::channel();
    let shown = place.clone();
    std::thread::Builder::new()
        .name("demo".to_owned())
        .spawn(move || {
            // Whoever was to hear it has been interrupted.
            let _ = tell.send(act::show_everything(&shown, &programs));
        })
        .map_err(|error| DemoError::new(format!("no thread can be started: {error}")))?;
    runtime.block_on(async {
        let failed = |error| DemoError::new(format!("signals cannot be waited for: {error}"));
        let mut signals = Signals::install().map_err(failed)?;
        tokio::select! {
            ended = told => match ended {
                Ok(ended) => ended.map(|()| Shown::Whole),
                Err(_) => Err(DemoError::new("the demonstration ended without a word; this is an error of ours")),
            },
            () = signals.next() => Ok(Shown::Interrupted),
        }
    })
}
