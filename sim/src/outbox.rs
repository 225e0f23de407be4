//! What a module of an agent holds, and what of it the manager has not acknowledged yet.

use std::collections::{BTreeMap, BTreeSet};

use inventory_sync_core::agent::{Acknowledgement, Job, JobId, Outcome};
use inventory_sync_core::bug::{Bug, is_planted};
use inventory_sync_core::id::{AgentId, IndexId, ModuleId};
use inventory_sync_core::wire::Mode;

use crate::agent_node::agent_name;
use crate::content::{Content, DocKey};
use crate::options::Options;
use crate::oracles::{Body, Held, Offer, OfferedItem};
use crate::streams::Stream;

/// What a session of the workload is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// What is pending.
    Delta,
    /// Everything in these indices.
    Full(Vec<IndexId>),
}

/// The rows of the job under way.
#[derive(Debug, Clone)]
struct Rows {
    job: JobId,
    wish: Wish,
    items: Vec<OfferedItem>,
    /// Documents of a Full's indices that were pending as deletes when its rows were read.
    covered: Vec<DocKey>,
    /// Nonces of sessions that offered these rows.
    offered: BTreeSet<u64>,
    /// The debt of Fulls when they were read.
    owed: u64,
}

/// The outbox of one module.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    agent: AgentId,
    module: ModuleId,
    indices: Vec<(IndexId, String)>,
    documents_max: u32,
    delta_items_max: usize,
    sloppy: bool,
    patience_ms: Option<u64>,
    bad_next: u32,
    contents_made: u64,
    jobs_made: u64,
    /// What the module holds.
    pub(crate) wanted: BTreeMap<DocKey, Content>,
    /// Changes that are not acknowledged.
    pub(crate) pending: BTreeMap<DocKey, Body>,
    /// Changes that were refused for their own sake: not offered again until they change.
    quarantined: BTreeMap<DocKey, Body>,
    rows: Option<Rows>,
    /// How often a Full of everything became due, for what the Indexer holds may have nothing to do with
    /// what is here; and up to which of these times one was acknowledged.
    owed: u64,
    settled: u64,
    /// What the last verdict took out of `pending`, and what was settled before it.
    last_commit: (Vec<(DocKey, Body)>, u64),
}

impl Outbox {
    pub(crate) fn new(agent: AgentId, options: &Options, module: ModuleId) -> Self {
        let catalogue = &options.config.catalogue;
        let own = &catalogue.modules()[usize::from(module.0)].indices;
        Self {
            agent,
            module,
            indices: own
                .iter()
                .map(|index| (*index, catalogue.index_name(*index).to_owned()))
                .collect(),
            documents_max: options.documents_max,
            delta_items_max: options.delta_items_max as usize,
            sloppy: options.sloppy,
            patience_ms: options.patience_ms(),
            bad_next: 1_000_000,
            contents_made: 0,
            jobs_made: 0,
            wanted: BTreeMap::new(),
            pending: BTreeMap::new(),
            quarantined: BTreeMap::new(),
            rows: None,
            owed: 0,
            settled: 0,
            last_commit: (Vec::new(), 0),
        }
    }

    /// What it holds, for the oracles.
    pub(crate) fn held(&self) -> Held<'_> {
        Held {
            wanted: &self.wanted,
            pending: &self.pending,
            quarantined: &self.quarantined,
        }
    }

    /// A Full of everything is due.
    pub(crate) fn owe_full(&mut self) {
        self.owed += 1;
    }

    /// Whether a Full of everything is due.
    pub(crate) fn owes_full(&self) -> bool {
        self.owed > self.settled
    }

    /// All indices of the module.
    pub(crate) fn all_indices(&self) -> Vec<IndexId> {
        self.indices.iter().map(|(index, _)| *index).collect()
    }

    /// The database is empty, the machine is what it is: everything is due.
    pub(crate) fn wiped(&mut self) {
        self.rows = None;
        self.pending.clear();
        self.quarantined.clear();
        self.owe_full();
    }

    /// The database is an old copy, the machine is what it is: what differs from the copy is found by a
    /// scan, and what was acknowledged since the copy and is gone again only by a Full.
    pub(crate) fn restored(&mut self, old: &Self) {
        self.rows = None;
        let keys: BTreeSet<DocKey> = [
            &old.wanted.keys().copied().collect::<BTreeSet<_>>(),
            &self.wanted.keys().copied().collect(),
            &old.pending.keys().copied().collect(),
            &old.quarantined.keys().copied().collect(),
        ]
        .into_iter()
        .flatten()
        .copied()
        .collect();
        self.pending.clear();
        self.quarantined.clear();
        for key in keys {
            let content = self.wanted.get(&key).copied();
            if content != old.wanted.get(&key).copied() {
                let body = content.map_or(Body::Delete, Body::Upsert);
                self.pending.insert(key, body);
            } else if let Some(body) = old.pending.get(&key) {
                self.pending.insert(key, *body);
            } else if let Some(body) = old.quarantined.get(&key) {
                self.quarantined.insert(key, *body);
            }
        }
        self.owe_full();
    }

    /// The last verdict was not durable after all: what it took is pending, unless it has changed since.
    pub(crate) fn torn(&mut self) {
        let (rows, settled) = std::mem::take(&mut self.last_commit);
        for (key, body) in rows {
            let content = self.wanted.get(&key).copied();
            if body == content.map_or(Body::Delete, Body::Upsert) {
                self.pending.entry(key).or_insert(body);
            }
        }
        self.settled = self.settled.min(settled);
    }

    /// Whether a job is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.rows.is_some()
    }

    /// The index of that place.
    pub(crate) fn index(&self, place: usize) -> IndexId {
        self.indices[place % self.indices.len()].0
    }

    fn change(&mut self, key: DocKey, content: Option<Content>) {
        let body = match content {
            Some(content) => {
                self.wanted.insert(key, content);
                Body::Upsert(content)
            }
            None => {
                self.wanted.remove(&key);
                Body::Delete
            }
        };
        self.quarantined.remove(&key);
        let before = self.pending.insert(key, body);
        if body == Body::Delete
            && matches!(before, Some(Body::Upsert(_)))
            && is_planted(Bug::OfferedRowAnnihilated)
        {
            self.pending.remove(&key);
        }
    }

    /// A document is made, or changed.
    pub(crate) fn put(&mut self, index: IndexId, number: u32, content: Content) {
        self.change(DocKey::new(self.agent, index, number), Some(content));
    }

    /// A document is removed.
    pub(crate) fn remove(&mut self, index: IndexId, number: u32) {
        self.change(DocKey::new(self.agent, index, number), None);
    }

    /// A random change: mostly new content, sometimes a removal, sometimes content that was there before.
    pub(crate) fn churn(&mut self, work: &mut Stream) {
        let index = self.index(usize::try_from(work.below(self.indices.len() as u64)).unwrap_or(0));
        let number = u32::try_from(work.below(u64::from(self.documents_max))).unwrap_or(0);
        let key = DocKey::new(self.agent, index, number);
        if self.wanted.contains_key(&key) && work.chance(350_000) {
            self.remove(index, number);
        } else {
            self.contents_made += 1;
            // Contents of different documents differ, and those of one document come back now and then.
            let round = if work.chance(250_000) {
                work.below(3)
            } else {
                3 + self.contents_made
            };
            let content = Content(round << 20 | u64::from(number) << 4 | u64::from(index.0));
            self.put(index, number, content);
        }
    }

    /// A job for what is wished; nothing when there is nothing to say or one is under way.
    pub(crate) fn job(&mut self, wish: Wish, work: &mut Stream, bad: Option<u64>) -> Option<Job> {
        if self.rows.is_some() || (wish == Wish::Delta && self.pending.is_empty()) {
            return None;
        }
        self.jobs_made += 1;
        let job = JobId(self.jobs_made);
        self.read_rows(job, wish, work, bad);
        self.describe()
    }

    /// The job again, its rows read anew.
    pub(crate) fn renew(&mut self, job: JobId, work: &mut Stream) -> Option<Job> {
        let wish = self
            .rows
            .as_ref()
            .filter(|rows| rows.job == job)?
            .wish
            .clone();
        if wish == Wish::Delta && self.pending.is_empty() {
            return None;
        }
        self.read_rows(job, wish, work, None);
        self.describe()
    }

    fn read_rows(&mut self, job: JobId, wish: Wish, work: &mut Stream, bad: Option<u64>) {
        let mut items: Vec<OfferedItem> = match &wish {
            Wish::Delta => {
                let pending = self.pending.iter().take(self.delta_items_max);
                pending
                    .map(|(key, body)| OfferedItem {
                        key: *key,
                        body: *body,
                    })
                    .collect()
            }
            Wish::Full(indices) => {
                let wanted = self
                    .wanted
                    .iter()
                    .filter(|(key, _)| indices.contains(&key.index()));
                wanted
                    .map(|(key, content)| OfferedItem {
                        key: *key,
                        body: Body::Upsert(*content),
                    })
                    .collect()
            }
        };
        let covered = match &wish {
            Wish::Delta => Vec::new(),
            Wish::Full(indices) => {
                let deletes = self
                    .pending
                    .iter()
                    .filter(|(_, body)| **body == Body::Delete);
                deletes
                    .map(|(key, _)| *key)
                    .filter(|key| indices.contains(&key.index()))
                    .collect()
            }
        };
        if self.sloppy && work.chance(400_000) {
            repeat_some(&mut items, work);
        }
        if let Some(bits) = bad {
            self.spoil(&mut items, bits);
        }
        self.rows = Some(Rows {
            job,
            wish,
            items,
            covered,
            offered: BTreeSet::new(),
            owed: self.owed,
        });
    }

    /// Puts an item among the rows that cannot be stored: a document of its own, or an older word on one
    /// that a later item says right, or the last word on one.
    fn spoil(&mut self, items: &mut Vec<OfferedItem>, bits: u64) {
        let body = if bits & 1 == 0 {
            Body::BadPayload
        } else {
            Body::BadName
        };
        let place = usize::try_from(bits >> 8).unwrap_or(0);
        let there = items.get(place % items.len().max(1)).map(|item| item.key);
        self.bad_next += 1;
        let fresh = DocKey::new(self.agent, self.index(place), self.bad_next);
        match (bits >> 1 & 3, there) {
            (0, Some(key)) => items.insert(0, OfferedItem { key, body }),
            (1, Some(key)) => items.push(OfferedItem { key, body }),
            _ => items.insert(place % (items.len() + 1), OfferedItem { key: fresh, body }),
        }
    }

    fn describe(&self) -> Option<Job> {
        let rows = self.rows.as_ref()?;
        let indices: Vec<IndexId> = match &rows.wish {
            Wish::Delta => Vec::new(),
            Wish::Full(indices) => indices.clone(),
        };
        // A Full of everything may name its indices or none.
        let is_whole = indices.len() == self.indices.len();
        let names_none = is_whole && rows.job.0.is_multiple_of(2);
        let names = self
            .indices
            .iter()
            .filter(|(index, _)| !names_none && indices.contains(index));
        Some(Job {
            id: rows.job,
            mode: if rows.wish == Wish::Delta {
                Mode::Delta
            } else {
                Mode::Full
            },
            indices: names.map(|(_, name)| name.clone()).collect(),
            size: u32::try_from(rows.items.len()).unwrap_or(u32::MAX),
            id_from: None,
            id_to: None,
            give_up_after_ms: self.patience_ms,
        })
    }

    /// What a Start of this nonce offers; nothing when it was said before.
    pub(crate) fn offer(&mut self, nonce: u64) -> Option<Offer> {
        let rows = self.rows.as_mut()?;
        if !rows.offered.insert(nonce) {
            return None;
        }
        let (full, indices) = match &rows.wish {
            Wish::Delta => (false, Vec::new()),
            Wish::Full(indices) => (true, indices.clone()),
        };
        let lane = (self.agent, self.module, nonce);
        Some(Offer::new(
            lane,
            full,
            indices,
            rows.items.clone(),
            agent_name(self.agent),
        ))
    }

    /// A row of the job under way.
    pub(crate) fn row(&self, seq: u32) -> Option<&OfferedItem> {
        self.rows.as_ref()?.items.get(seq as usize)
    }

    /// Makes a verdict durable.
    pub(crate) fn commit(&mut self, acknowledgement: &Acknowledgement) {
        let Some(rows) = &self.rows else { return };
        self.last_commit = (Vec::new(), self.settled);
        let last: BTreeMap<DocKey, u32> = (0_u32..)
            .zip(&rows.items)
            .map(|(seq, item)| (item.key, seq))
            .collect();
        for (seq, item) in (0_u32..).zip(&rows.items) {
            // Only the last word on a document says what became of it.
            if last.get(&item.key) != Some(&seq) {
                continue;
            }
            let failed = acknowledgement.failed.iter().find(|row| row.seq == seq);
            if acknowledgement.covers(seq) {
                let is_same = self.pending.get(&item.key) == Some(&item.body);
                if is_same || is_planted(Bug::ChangedRowAcknowledged) {
                    self.pending.remove(&item.key);
                    self.last_commit.0.push((item.key, item.body));
                }
                if self.quarantined.get(&item.key) == Some(&item.body) {
                    self.quarantined.remove(&item.key);
                }
            } else if failed.is_some_and(|row| !row.retryable)
                && self.pending.get(&item.key) == Some(&item.body)
                && let Some(body) = self.pending.remove(&item.key)
            {
                self.quarantined.insert(item.key, body);
            } else if let (Some(row), Some(Body::Upsert(content))) = (failed, self.holds(item))
                && !row.retryable
            {
                self.quarantined.insert(item.key, Body::Upsert(content));
            }
        }
        let complete =
            acknowledgement.failed.is_empty() && acknowledgement.upto as usize == rows.items.len();
        if complete {
            if matches!(&rows.wish, Wish::Full(indices) if indices.len() == self.indices.len()) {
                self.settled = self.settled.max(rows.owed);
            }
            for key in &rows.covered {
                if self.pending.get(key) == Some(&Body::Delete) {
                    self.pending.remove(key);
                    self.last_commit.0.push((*key, Body::Delete));
                }
                if self.quarantined.get(key) == Some(&Body::Delete) {
                    self.quarantined.remove(key);
                }
            }
        }
    }

    /// The content of the document that an item names, if the module holds one and offered it.
    fn holds(&self, item: &OfferedItem) -> Option<Body> {
        let content = *self.wanted.get(&item.key)?;
        Some(Body::Upsert(content))
    }

    /// A session has failed: its rows are kept.
    pub(crate) fn rolled_back(&mut self) {
        if !is_planted(Bug::RolledBackRowDropped) {
            return;
        }
        for item in self.rows.iter().flat_map(|rows| &rows.items) {
            self.pending.remove(&item.key);
        }
    }

    /// The job has ended.
    pub(crate) fn finished(&mut self, outcome: &Outcome) {
        if *outcome != Outcome::Busy {
            self.rows = None;
        }
    }

    /// The machine was lost, and its job with it.
    pub(crate) fn restarted(&mut self) {
        self.rows = None;
    }

    /// What was refused is offered once more, and nothing unstorable is.
    pub(crate) fn heal(&mut self) {
        for (key, body) in std::mem::take(&mut self.quarantined) {
            self.pending.entry(key).or_insert(body);
        }
    }

    /// Whether nothing is owed.
    pub(crate) fn is_clear(&self) -> bool {
        self.pending.is_empty()
            && self.quarantined.is_empty()
            && self.rows.is_none()
            && !self.owes_full()
    }
}

/// Says of some documents something else first, in the same session.
fn repeat_some(items: &mut Vec<OfferedItem>, work: &mut Stream) {
    for item in items.clone() {
        if work.chance(300_000) {
            let earlier = match item.body {
                Body::Upsert(_) if work.chance(500_000) => Body::Delete,
                Body::Upsert(content) => Body::Upsert(Content(content.0 + (1 << 50))),
                Body::Delete => Body::Upsert(Content(1 << 51 | u64::from(item.key.number()))),
                Body::BadPayload | Body::BadName => continue,
            };
            let place = usize::try_from(work.below(items.len() as u64 / 2 + 1)).unwrap_or(0);
            let first = items
                .iter()
                .position(|each| each.key == item.key)
                .unwrap_or(0);
            items.insert(
                place.min(first),
                OfferedItem {
                    key: item.key,
                    body: earlier,
                },
            );
        }
    }
}
