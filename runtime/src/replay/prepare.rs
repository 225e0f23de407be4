//! From the command line to everything that is known before the first connection.

use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::ServerName;
use tokio::sync::{Barrier, Notify, Semaphore};

use super::carrier::Crew;
use super::harm::Measure;
use super::identity::{self, Fleet};
use super::options::{self, Depth, Options, Target};
use super::pace::Pace;
use super::plan::Plan;
use super::state::{self, Journal, Memory};
use super::statistics::Statistics;
use super::{Shared, captured, limits};
use crate::config::{Config, ConfigErrors, Need, Sources};
use crate::entropy::{self, NoEntropy};

/// Handshakes at a time.
const HANDSHAKES_MAX: usize = 64;

/// Rows are packed while less than this waits for an agent's own connection, in bytes.
const OWN_ROOM_BYTES: usize = 64 << 10;

/// The same for a relay's.
const RELAY_ROOM_BYTES: usize = 1 << 20;

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotStarted {
    #[error(transparent)]
    Options(#[from] options::OptionsError),
    #[error(transparent)]
    Captured(#[from] captured::CapturedError),
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Files(#[from] limits::TooFewFiles),
    #[error(transparent)]
    Identity(#[from] identity::IdentityError),
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    #[error(transparent)]
    State(#[from] state::StateError),
    #[error("{0:?} is neither a DNS name nor an address: give --server-name")]
    ServerName(String),
    #[error("the process cannot wait for the network: {0}")]
    Runtime(std::io::Error),
}

/// Everything that is known before the first connection.
pub(super) struct Prepared {
    pub(super) shared: Arc<Shared>,
    pub(super) memory: Memory,
    pub(super) crews: Vec<Crew>,
    pub(super) verify: Option<(Config, Depth)>,
}

/// Reads all that is to be read, and raises limits.
pub(super) fn prepare(options: &Options, sources: &Sources) -> Result<Prepared, NotStarted> {
    options.validate()?;
    let verify = depth(options, sources)?;
    let plan = Plan::new(options)?;
    let (fleet, connections) = match &options.to {
        Target::Tls { host, .. } => {
            let name = options.server_name.as_ref().unwrap_or(host);
            let server_name = ServerName::try_from(name.clone())
                .map_err(|_| NotStarted::ServerName(name.clone()))?;
            // Its absence was refused above.
            let folder = options.certs.clone().unwrap_or_default();
            (Some((Fleet::load(&folder)?, server_name)), options.agents)
        }
        Target::Unix(_) => (None, options.connections),
    };
    limits::raise(u64::from(connections))?;
    let (journal, memory) = match &options.state {
        Some(path) => Journal::open(path, &plan.fingerprint())?,
        None => (Journal::default(), Memory::new()),
    };
    let crews = crews(options.first_agent, options.agents, connections);
    let shared = Shared {
        pace: Pace::new(options.rate, options.active),
        statistics: Statistics::default(),
        journal,
        measure: Measure::of(options),
        fleet,
        entropy: entropy::bytes()?,
        started: Instant::now(),
        is_idle: options.idle,
        pause_us: options.pause_ms.saturating_mul(1_000),
        give_up_after_ms: (!options.idle).then(|| options.give_up_after_s.saturating_mul(1_000)),
        answer_timeout_ms: options.answer_timeout_ms,
        room_bytes: match options.to {
            Target::Tls { .. } => OWN_ROOM_BYTES,
            Target::Unix(_) => RELAY_ROOM_BYTES,
        },
        ready: Barrier::new(crews.len() + 1),
        handshakes: Semaphore::new(HANDSHAKES_MAX),
        all_held: Notify::new(),
        target: options.to.clone(),
        plan,
    };
    Ok(Prepared {
        shared: Arc::new(shared),
        memory,
        crews,
        verify,
    })
}

/// How closely the Indexer is looked at, and how it is reached.
fn depth(options: &Options, sources: &Sources) -> Result<Option<(Config, Depth)>, NotStarted> {
    let depth = match options.verify {
        Some(Depth::None) => return Ok(None),
        Some(depth) => depth,
        None if options.idle => return Ok(None),
        None => {
            let config = Config::load(sources, Need::Local)?;
            if config.indexer.hosts.is_empty() {
                return Ok(None);
            }
            Depth::Ids
        }
    };
    Ok(Some((Config::load(sources, Need::Indexer)?, depth)))
}

/// The agents of each connection: dealt out one by one.
fn crews(first_agent: u64, agents: u32, connections: u32) -> Vec<Crew> {
    let connections = connections.clamp(1, agents.max(1));
    (0..connections)
        .map(|number| Crew {
            first: first_agent + u64::from(number),
            step: u64::from(connections),
            count: agents / connections + u32::from(number < agents % connections),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_agent_is_carried_once() {
        for (agents, connections) in [(1, 1), (7, 3), (200, 8), (3, 9)] {
            let mut all: Vec<u64> = crews(5, agents, connections)
                .into_iter()
                .flat_map(|crew| {
                    (0..u64::from(crew.count)).map(move |at| crew.first + at * crew.step)
                })
                .collect();
            all.sort_unstable();
            assert_eq!(all, (5..5 + u64::from(agents)).collect::<Vec<_>>());
        }
    }
}
