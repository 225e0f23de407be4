//! The kill −9 campaign: the daemon dies under load, again and again, and nothing may be lost, left over or
//! answered wrongly.
//!
//! ```text
//!  seed ──plan──▶ strikes ─────────────┐ at the line of a phase, a little later
//!                                      ▼
//!  load clients ══▶ front ══▶ daemon ✝ daemon ✝ … ══▶ Indexer        [leg]: a cluster, load, kills, the truth
//!       ✝ sometimes              │                       paused, failing for a moment
//!                                └──log──▶ what was under way
//!
//!  leg ✔ leg ✔ leg ✔ … ──▶ results file ──▶ table; the same command goes on behind the legs that stand there
//! ```
//!
//! # Invariants
//!
//! * Which kills a leg makes, and what troubles its Indexer, is a function of the seed and the leg's number. What
//!   the kernel makes of it is not: a violation is told with its kills, and its folder is kept.
//! * A leg counts when everything about it was right, and only then is it written down.

mod agents;
mod campaign;
mod front;
mod ground;
mod leg;
mod load;
mod plan;
mod results;
mod scenario;
mod stand_in;
mod victim;
mod watch;

use std::path::Path;
use std::time::{Duration, Instant};

pub use campaign::{Options, run};
pub use plan::Phase;
pub use results::LegReport;

/// A phase that does not come within this time, a process that does not start or end: a violation.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks at a process.
const PAUSE: Duration = Duration::from_millis(2);

/// Something that must not be.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Violation {
    what: String,
}

impl Violation {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }

    /// With what is needed to look into it.
    fn at(self, plan: &leg::LegPlan, folder: &Path, history: &[String]) -> Self {
        let kills: String = history
            .iter()
            .enumerate()
            .map(|(number, strike)| format!("\n  {number:>3}  {strike}"))
            .collect();
        Self::new(format!(
            "{}\n  seed {}, leg {}, {} kills a leg\n  logs and store: {}\n  kills:{kills}",
            self.what,
            plan.seed,
            plan.number,
            plan.kills,
            folder.display()
        ))
    }
}

impl From<std::io::Error> for Violation {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<nix::errno::Errno> for Violation {
    fn from(error: nix::errno::Errno) -> Self {
        Self::new(error.to_string())
    }
}

/// Looks until there is something to see.
async fn patiently<T>(
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>, Violation>,
) -> Result<T, Violation> {
    let began = Instant::now();
    loop {
        if let Some(seen) = look()? {
            return Ok(seen);
        }
        if began.elapsed() > PATIENCE {
            let seconds = PATIENCE.as_secs();
            return Err(Violation::new(format!(
                "waited {seconds} s in vain for this: {what}"
            )));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
