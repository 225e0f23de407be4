//! The reference model: what may be true, written for clarity and sharing no code with the machines.
//!
//! ```text
//!  agents ── offered ──────────▶ sessions ◀── commands and replies of the shards
//!                                   │ finals (last operation on each document)
//!  Indexer ── applied, rendered ─▶ documents (a mirror) ── acknowledged ──▶ nothing older may undo it
//! ```
//!
//! Each method is told a fact and judges it at once; the first violation stays and ends the run.

mod agents;
mod clocks;
mod coordination;
mod credentials;
mod deliveries;
mod documents;
mod exchange;
mod framing;
mod indices;
mod intake;
mod listings;
mod loads;
mod messages;
mod observations;
mod offer;
mod progress;
mod rest;
mod sessions;
mod sources;
mod splits;
mod starts;
mod turns;
mod verdicts;
mod versions;

pub use offer::{Body, Offer, OfferedItem};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

use inventory_sync_core::config::Config;
use inventory_sync_core::id::{AgentId, ModuleId, SessionId};
use inventory_sync_core::time::Tick;

use crate::content::DocKey;
use crate::trace::fold_of;

pub(crate) use agents::Held;
pub(crate) use documents::Rendered;
pub(crate) use listings::Sharing;
pub(crate) use sessions::Told;
pub(crate) use sources::judge_source;
pub(crate) use starts::is_start_ack;
pub(crate) use versions::DurableBounds;

/// What was found to be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which oracle found it: its number and name in `core/INVARIANTS.md`.
    pub oracle: &'static str,
    /// The seed of the run.
    pub seed: u64,
    /// The step of the run.
    pub step: u64,
    /// The simulated time.
    pub now: Tick,
    /// What had to be true.
    pub expected: String,
    /// What was seen instead.
    pub seen: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "oracle    {}", self.oracle)?;
        writeln!(f, "seed      {}", self.seed)?;
        writeln!(f, "step      {}", self.step)?;
        writeln!(f, "tick      {}", self.now)?;
        writeln!(f, "expected  {}", self.expected)?;
        write!(f, "seen      {}", self.seen)
    }
}

/// What it cost, and what is there at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Economy {
    /// Bulk requests.
    pub requests: u64,
    /// Operations in them, each time that one was sent.
    pub operations: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// The longest time from a complete session to its verdict, in milliseconds.
    pub longest_wait_ms: u64,
    /// A hash of the documents in the Indexer: agents by their place, contents, no versions.
    pub documents: u64,
}

/// All oracles of a run.
#[derive(Debug)]
pub(crate) struct Oracles {
    config: Config,
    seed: u64,
    /// From this id on agents are hostile peers: nothing is known of what they ask for.
    hostile_from: AgentId,
    now: Tick,
    step: u64,
    offers: BTreeMap<(AgentId, ModuleId, u64), Rc<Offer>>,
    sessions: BTreeMap<SessionId, sessions::Session>,
    /// Sessions that are open.
    live: BTreeSet<SessionId>,
    writes: sessions::Writes,
    exchange: exchange::Exchange,
    deliveries: deliveries::Deliveries,
    coordination: coordination::Coordination,
    credentials: credentials::Credentials,
    clocks: clocks::Clocks,
    indices: indices::Indices,
    listings: listings::Listings,
    loads: loads::Loads,
    splits: splits::Splits,
    turns: turns::Turns,
    agents: agents::Agents,
    documents: documents::Documents,
    versions: versions::Versions,
    completions: u64,
    counts: Counts,
    economy: Economy,
    violation: Option<Violation>,
}

/// What was judged: a run in which nothing was judged proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Sessions that were opened.
    pub sessions: u64,
    /// Sessions that ended Ok.
    pub ok: u64,
    /// Sessions that ended in part, with a list of what failed.
    pub partial: u64,
    /// Sessions that ended in any other way.
    pub failed: u64,
    /// Operations applied by the Indexer.
    pub applied: u64,
    /// Of them, those that were applied after their request was given up or its manager was gone.
    pub late: u64,
    /// Acknowledged operations that were looked up in the Indexer.
    pub acknowledged: u64,
}

impl Oracles {
    /// Oracles for a manager of that configuration, in the run of that seed.
    pub(crate) fn new(config: Config, seed: u64) -> Self {
        Self {
            config,
            seed,
            hostile_from: AgentId(u64::MAX),
            now: Tick(0),
            step: 0,
            offers: BTreeMap::new(),
            sessions: BTreeMap::new(),
            live: BTreeSet::new(),
            writes: sessions::Writes::default(),
            exchange: exchange::Exchange::default(),
            deliveries: deliveries::Deliveries::default(),
            coordination: coordination::Coordination::default(),
            credentials: credentials::Credentials::default(),
            clocks: clocks::Clocks::default(),
            indices: indices::Indices::default(),
            listings: listings::Listings::default(),
            loads: loads::Loads::default(),
            splits: splits::Splits::default(),
            turns: turns::Turns::default(),
            agents: agents::Agents::default(),
            documents: documents::Documents::default(),
            versions: versions::Versions::default(),
            completions: 0,
            counts: Counts::default(),
            economy: Economy::default(),
            violation: None,
        }
    }

    /// A step begins.
    pub(crate) fn begin_step(&mut self, now: Tick, step: u64) {
        self.now = now;
        self.step = step;
    }

    /// From this id on agents are hostile peers.
    pub(crate) fn set_hostile_from(&mut self, first: AgentId) {
        self.hostile_from = first;
    }

    /// Whether an agent is a hostile peer.
    fn is_hostile(&self, agent: AgentId) -> bool {
        agent >= self.hostile_from
    }

    /// The manager starts with another configuration.
    pub(crate) fn configured(&mut self, config: Config) {
        self.config = config;
    }

    /// What was judged so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// What it cost so far, and what is there; agents count from this one.
    pub(crate) fn economy(&self, first_agent: u64) -> Economy {
        let place = |key: DocKey| (key.agent().0 - first_agent, key.index(), key.number());
        let documents: Vec<_> = self
            .documents
            .stored
            .iter()
            .map(|(key, stored)| (place(*key), stored.content))
            .collect();
        Economy {
            documents: fold_of(&documents),
            ..self.economy
        }
    }

    /// The first violation.
    pub(crate) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Records a violation; only the first one counts, for the others may follow from it.
    pub(crate) fn fail(
        &mut self,
        oracle: &'static str,
        expected: impl Into<String>,
        seen: impl Into<String>,
    ) {
        if self.violation.is_none() {
            self.violation = Some(Violation {
                oracle,
                seed: self.seed,
                step: self.step,
                now: self.now,
                expected: expected.into(),
                seen: seen.into(),
            });
        }
    }

    /// An agent is about to send the Start of a new session.
    pub(crate) fn offered(&mut self, offer: Offer) {
        self.judge_offer(&offer);
        self.offers
            .insert((offer.agent, offer.module, offer.nonce), Rc::new(offer));
    }
}
