//! `sync --once`: this machine's inventory in Full sessions over TLS.
//!
//! ```text
//!   inventory::collect ──▶ selection ──▶ parts (indices, documents)
//!                                          │ one job each
//!   certificate, key, CA ──▶ identity      ▼            events ┌──────────────────────┐
//!                               │       driver ───────────────▶│ inventory_sync_core  │
//!                               ▼          │ ▲  ◀─────────────  │ ::agent::Agent       │
//!                            link (TLS) ◀──┘ └── frames        └──────────────────────┘
//!                                          │      commands
//!                                          ▼
//!                             progress (as it goes), report (how it ended)
//! ```
//!
//! # Invariants
//!
//! * No protocol decision is made here: when to send, to wait, to come again and to give up is the core's
//!   agent machine. The one thing decided here is what no later attempt can change: a manager whose
//!   certificate does not verify.
//! * A Full names exactly the indices whose scan completed (`docs/protocol.md` section 6): what could not be
//!   read deletes nothing, and the report says that it was left out.
//! * What is on its way to the connection is at most [`link::UNSENT_BYTES_MAX`] and one load; an answer is
//!   at most [`link::ANSWER_BYTES_MAX`]; the whole takes at most the timeout.
//!
//! Deliberately absent: a local store. Each run sends everything, and the manager writes what differs.

mod describe;
mod driver;
mod explain;
mod floor;
mod identity;
mod link;
mod packing;
mod progress;
mod report;
mod selection;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use inventory_sync_core::agent::{Agent, Config, Outcome};
use inventory_sync_core::id::AgentId;

use crate::inventory::{self, Options};
use crate::provider::{Category, Roots};

pub use identity::SettingsError;
pub use link::Address;
pub use progress::{Plain, Progress, Silent, Step, Terminal};
pub use report::{Ending, LeftOut, RefusedDocument, Report, SessionReport};

use driver::Driver;
use floor::Floor;
use selection::Selection;

/// The module whose indices these are.
const MODULE: &str = "syscollector";

/// Longest wait between two attempts: a person is waiting.
const BACKOFF_MAX_MS: u64 = 15_000;

/// What to bring, to whom, and as whom.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the manager listens.
    pub manager: Address,
    /// The name that the manager's certificate must have; `None`: the address's host.
    pub server_name: Option<String>,
    /// The authority that signed the manager's certificate (PEM).
    pub ca: PathBuf,
    /// This agent's certificate chain (PEM).
    pub certificate: PathBuf,
    /// Its key (PEM).
    pub key: PathBuf,
    /// Which agent this is; must be what the certificate says. `None`: what the certificate says.
    pub agent: Option<u64>,
    /// What to bring; empty brings everything.
    pub categories: Vec<Category>,
    /// Also TCP sockets that do not listen.
    pub all_ports: bool,
    /// The top of the file tree that is read.
    pub roots: Roots,
    /// A directory where the highest version heard of is kept; `None` keeps nothing.
    pub state: Option<PathBuf>,
    /// From here to the last attempt, for everything together.
    pub timeout: Duration,
}

/// Reads the machine and brings it to the manager. Blocks until the verdict, the timeout, or SIGINT or
/// SIGTERM, which give the session up without harm: the next run brings everything again.
///
/// # Errors
///
/// [`SettingsError`], when certificates, key or names cannot be used, before anything is read or sent.
/// Everything after that is in the report.
pub fn once(settings: &Settings, progress: &mut dyn Progress) -> Result<Report, SettingsError> {
    let started = Instant::now();
    let identity = identity::load(settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(SettingsError::Runtime)?;
    let (mut floor, complaint) = Floor::open(settings.state.as_deref(), identity.agent)?;
    if let Some(complaint) = complaint {
        progress.step(&Step::Note(&complaint));
    }

    progress.step(&Step::Scanning);
    let mut options = Options::now();
    options.roots = settings.roots.clone();
    options.all_ports = settings.all_ports;
    if !settings.categories.is_empty() {
        options
            .categories
            .retain(|category| settings.categories.contains(category));
    }
    let inventory = inventory::collect(&options);
    let selection = Selection::of(&inventory);
    progress.step(&Step::Scanned {
        documents: selection.documents(),
        indices: selection.indices.len(),
        took: started.elapsed(),
    });

    let mut config = Config::new(AgentId(identity.agent), MODULE);
    config.info = describe::describe(&settings.roots);
    config.version_floor = floor.version();
    config.backoff_max_ms = BACKOFF_MAX_MS;
    let mut report = Report::new(identity.agent, &settings.manager, &config.info.name);
    report.left_out = selection.left_out();
    if selection.indices.is_empty() {
        report.problem = Some(
            "no category could be read completely, so there is nothing to bring; `inventory-agent scan` \
             shows why"
                .to_owned(),
        );
    } else {
        let agent = Agent::new(config, identity.seed()?);
        let link = link::Target::new(settings.manager.clone(), &identity);
        runtime.block_on(async {
            let mut driver = Driver::new(agent, link, &mut floor, progress);
            let ends_at = started + settings.timeout;
            bring(&selection, &mut driver, ends_at, &mut report).await;
            driver.close().await;
        });
    }
    report.took = started.elapsed();
    Ok(report)
}

/// One job for everything; where the manager accepts less in a session, one for each group of indices
/// that fits.
async fn bring(
    selection: &Selection<'_>,
    driver: &mut Driver<'_>,
    ends_at: Instant,
    report: &mut Report,
) {
    let mut parts = vec![selection.whole()];
    while let Some(part) = (!parts.is_empty()).then(|| parts.remove(0)) {
        let left = ends_at.saturating_duration_since(Instant::now());
        let end = driver.carry(&part, left).await;
        if let Outcome::TooLarge { max_items } = end.outcome {
            // Each part is smaller than the one before, so this ends.
            let (smaller, too_large) = part.split(max_items);
            parts.splice(..0, smaller).for_each(drop);
            let reason = format!(
                "it has more documents than the {max_items} that the manager accepts in a session; raise \
                 its quota"
            );
            report.leave_out(&too_large, &reason);
            continue;
        }
        let goes_on = end.is_stored();
        report.add(&part, end);
        if !goes_on {
            // What failed for this part fails for the next, or has used up the time.
            for part in &parts {
                report.leave_out(&part.names(), "an earlier session of this run failed");
            }
            return;
        }
    }
}
