//! The coordinator, as its commands show it: what it tells the shards is durable, or was said by every shard
//! of the Indexer, and a stop is called clean only when nothing of ours is out.

use std::collections::{BTreeMap, BTreeSet};

use inventory_sync_core::coordinator::{Command, Event, Record, WriteOutcome, WriterOutcome};
use inventory_sync_core::id::{IndexId, RequestId};
use inventory_sync_core::manager::{self, ListingOutcome};
use inventory_sync_core::time::Tick;

use super::Oracles;
use crate::world::World;

/// What the coordinator of the present process has asked and heard.
#[derive(Debug, Default)]
pub(super) struct Coordination {
    /// The indices that a refresh reached whole since they were listed last.
    refreshed: BTreeSet<IndexId>,
    /// Whether the last listing had an answer of every shard.
    listed_whole: bool,
    /// Checks of a template that are not answered.
    checks: BTreeMap<RequestId, IndexId>,
    /// Another writer's document that was read last: which state of it, and since when it is seen so.
    foreign: Option<(u64, Tick)>,
    /// The index whose template was checked last.
    pub(super) checked: Option<IndexId>,
}

impl Oracles {
    /// Indices were refreshed: `whole` when every shard of them was.
    pub(crate) fn refreshed(&mut self, indices: &[IndexId], whole: bool) {
        for index in indices {
            if whole {
                self.coordination.refreshed.insert(*index);
            } else {
                self.coordination.refreshed.remove(index);
            }
        }
    }

    /// Documents were listed: `whole` when every shard answered.
    pub(crate) fn listed(&mut self, whole: bool) {
        self.coordination.listed_whole = whole;
    }

    /// The coordinator of this writer is told something.
    pub(crate) fn coordinator_hears(&mut self, event: &Event, writer: &str) {
        match event {
            Event::TemplateChecked { request, .. } => {
                self.coordination.checked = self.coordination.checks.remove(request);
            }
            Event::WriterRead { outcome, .. } => {
                let seen = self.coordination.foreign;
                self.coordination.foreign = match outcome {
                    WriterOutcome::Found {
                        document, seq_no, ..
                    } if document.writer != writer => seen
                        .filter(|(known, _)| known == seq_no)
                        .or(Some((*seq_no, self.now))),
                    WriterOutcome::Unknown => seen,
                    _ => None,
                };
            }
            Event::WriterWritten {
                outcome: WriteOutcome::Written { .. },
                ..
            } => self.coordination.foreign = None,
            _ => {}
        }
        self.credentials_heard(event);
        self.clocks_heard(event);
        self.listings_heard(event);
    }

    /// The process is gone.
    pub(super) fn coordinator_gone(&mut self) {
        self.coordination = Coordination::default();
        self.indices = super::indices::Indices::default();
        self.clocks = super::clocks::Clocks::default();
        self.listings = super::listings::Listings::default();
    }
}

impl World {
    /// The coordinator asks for something, or tells the shards.
    pub(crate) fn judge_coordinator(&mut self, command: &Command) {
        match command {
            Command::Tell { event, .. } => self.judge_told(event),
            Command::List { indices, .. } => {
                let reached = &mut self.oracles.coordination.refreshed;
                let whole = indices.iter().all(|index| reached.contains(index));
                let reached = std::mem::take(reached);
                if !whole {
                    let expected =
                        format!("a refresh of every shard of {indices:?} before a listing");
                    let seen = format!("only {reached:?} were refreshed whole");
                    self.oracles.fail("P-6 listing", expected, seen);
                }
            }
            Command::WriteWriter { .. } => {
                let lease_ms = self.options.lease_ms;
                if let Some((_, since)) = self.oracles.coordination.foreign
                    && self.now().since(since) < lease_ms
                {
                    let expected = format!(
                        "another writer's document stands still for a lease of {lease_ms} ms before it is replaced"
                    );
                    let seen = format!("it is seen so since {since}");
                    self.oracles.fail("O-4 takeover", expected, seen);
                }
            }
            Command::CheckTemplate { request, index } => {
                let checks = &mut self.oracles.coordination.checks;
                let is_asked = checks.values().any(|asked| asked == index);
                checks.insert(*request, *index);
                if is_asked {
                    let expected = format!("one check of index {index} at a time");
                    self.oracles.fail("O-9 questions", expected, "another one");
                }
            }
            Command::Record {
                what: Record::CleanStop,
                ..
            } => {
                let out = self
                    .indexer
                    .requests
                    .values()
                    .find(|request| !request.settled);
                if let Some(request) = out {
                    let seen = format!("{:?} of {:?} is out", request.fate, request.bulk);
                    let expected = "a stop is clean when no request may still be applied";
                    self.oracles.fail("O-3 said after sync", expected, seen);
                }
            }
            _ => {}
        }
    }

    fn judge_told(&mut self, event: &manager::Event<std::convert::Infallible>) {
        match event {
            manager::Event::LeaseUntil { until } => {
                let lease = self.process.as_ref().map(|process| process.lease_until);
                if lease.is_some_and(|lease| *until > lease) {
                    let expected = format!("a lease up to {lease:?}, as it was last renewed");
                    let seen = format!("the shards are told {until}");
                    self.oracles.fail("O-4 lease", expected, seen);
                }
            }
            manager::Event::BoundRaised { bound } => {
                let meta = self.store.meta.bound;
                let writer = self.writer_bound;
                if meta < Some(*bound) || writer < Some(*bound) {
                    let expected = format!("a bound that is durable: {meta:?} and {writer:?}");
                    let seen = format!("the shards are told {bound}");
                    self.oracles.fail("O-3 said after sync", expected, seen);
                }
            }
            manager::Event::Listed {
                session,
                outcome: ListingOutcome::Complete { .. },
            } if !self.oracles.coordination.listed_whole => {
                let expected = format!("an answer of every shard for session {session}");
                let seen = "a listing that misses a shard is called complete";
                self.oracles.fail("P-6 listing", expected, seen);
            }
            _ => {}
        }
    }
}
