//! What is true of the store and of the writer document, and what follows from it for each command.

use std::collections::{BTreeMap, BTreeSet};

use inventory_sync_core::coordinator::{
    Command, Config, CountOutcome, Event, Record, ShardId, WriteOutcome, WriterCondition,
    WriterDocument, WriterOutcome,
};
use inventory_sync_core::id::{AgentId, RequestId, SessionId, Version};
use inventory_sync_core::manager;
use inventory_sync_core::time::Tick;

use super::Told;

/// The writer document and how many documents there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Indexer {
    pub(super) document: Option<(WriterDocument, u64)>,
    pub(super) documents: u64,
    seq_no: u64,
}

impl Indexer {
    pub(super) fn put(&mut self, document: WriterDocument) {
        self.seq_no += 1;
        self.document = Some((document, self.seq_no));
    }

    pub(super) fn read(&self) -> WriterOutcome {
        match &self.document {
            Some((document, seq_no)) => WriterOutcome::Found {
                document: document.clone(),
                seq_no: *seq_no,
                primary_term: 1,
            },
            None => WriterOutcome::Absent,
        }
    }

    pub(super) fn write(
        &mut self,
        condition: WriterCondition,
        document: &WriterDocument,
    ) -> WriteOutcome {
        let holds = match (condition, &self.document) {
            (WriterCondition::Absent, None) => true,
            (WriterCondition::Unchanged { seq_no, .. }, Some((_, now))) => seq_no == *now,
            _ => false,
        };
        if !holds {
            return WriteOutcome::Conflict;
        }
        self.put(document.clone());
        WriteOutcome::Written {
            seq_no: self.seq_no,
            primary_term: 1,
        }
    }
}

/// What was said, in both directions.
#[derive(Debug)]
pub(super) struct Books {
    config: Config,
    durable: Version,
    written: Version,
    told: Version,
    records: BTreeMap<RequestId, Record>,
    writes: BTreeMap<RequestId, (Version, Tick)>,
    lease_until: Tick,
    is_clean_start: bool,
    is_virgin: bool,
    is_tainted: bool,
    has_floor: bool,
    waiting: BTreeSet<(ShardId, SessionId)>,
    /// The shards that have stopped, and whether each was clean.
    stopped: BTreeMap<ShardId, bool>,
    clean_recorded: bool,
    is_stopping: bool,
    is_aborted: bool,
    has_stopped: bool,
}

impl Books {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            durable: Version(0),
            written: Version(0),
            told: Version(0),
            records: BTreeMap::new(),
            writes: BTreeMap::new(),
            lease_until: Tick(0),
            is_clean_start: false,
            is_virgin: false,
            is_tainted: false,
            has_floor: false,
            waiting: BTreeSet::new(),
            stopped: BTreeMap::new(),
            clean_recorded: false,
            is_stopping: false,
            is_aborted: false,
            has_stopped: false,
        }
    }

    /// How many sessions wait for a listing.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn waits(&self, shard: ShardId, session: SessionId) -> bool {
        self.waiting.contains(&(shard, session))
    }

    /// Whether a shard has said that it stopped; it says so once.
    pub(super) fn has_stopped(&self, shard: ShardId) -> bool {
        self.stopped.contains_key(&shard)
    }

    /// Whether the process has ended, or is about to.
    pub(super) fn is_over(&self) -> bool {
        self.is_aborted || self.is_stopping
    }

    pub(super) fn hear(&mut self, event: &Event) {
        match event {
            Event::Recovered { bound, clean_stop } => {
                self.durable = bound.unwrap_or_default();
                self.is_clean_start = *clean_stop && bound.is_some();
            }
            Event::Counted { outcome, .. } => {
                self.is_virgin |= *outcome == CountOutcome::Documents(0);
            }
            Event::Recorded { request, durable } => {
                match self.records.remove(request).filter(|_| *durable) {
                    Some(Record::Bound(bound)) => self.durable = bound,
                    Some(Record::CleanStop) => self.clean_recorded = true,
                    None => {}
                }
            }
            Event::WriterWritten { request, outcome } => {
                // An answer of the wrong kind is none.
                if let Some((bound, asked_at)) = self.writes.remove(request)
                    && matches!(outcome, WriteOutcome::Written { .. })
                {
                    self.written = bound;
                    self.lease_until = asked_at + self.config.lease_ms;
                }
            }
            Event::ListingWanted { shard, session, .. } => {
                assert!(self.waiting.insert((*shard, *session)));
            }
            Event::ListingCancelled { shard, session } => {
                self.waiting.remove(&(*shard, *session));
            }
            Event::ShardStopped { shard, clean } if shard.0 < self.config.shards => {
                self.stopped.insert(*shard, *clean);
            }
            Event::Shutdown => self.is_stopping = true,
            _ => {}
        }
    }

    pub(super) fn check(&mut self, now: Tick, told: &Event, out: &[Command]) {
        let mut judged = 0;
        for command in out {
            match command {
                Command::Record { request, what } => {
                    if let Record::Bound(bound) = what {
                        assert!(*bound >= self.durable, "a bound in meta is lowered");
                    }
                    self.records.insert(*request, *what);
                }
                Command::WriteWriter {
                    request, document, ..
                } => {
                    assert_eq!(document.bound, self.durable, "meta comes first");
                    assert!(document.bound >= self.written, "a written bound is lowered");
                    self.writes.insert(*request, (document.bound, now));
                }
                Command::List { targets, .. } => {
                    let agents: BTreeSet<AgentId> =
                        targets.iter().map(|target| target.agent).collect();
                    assert_eq!(agents.len(), targets.len(), "a row with two owners");
                    assert!(targets.len() <= self.config.listing_targets_max);
                }
                Command::Tell { shard, event } => {
                    if let Told::RefusalsJudged { session, .. } = &**event {
                        let is_it = matches!(told, Event::Refusals { shard: asks, session: of, .. }
                            if Some(*asks) == *shard && of == session);
                        assert!(is_it, "a judgement nobody asked for");
                        judged += 1;
                    }
                    self.check_tell(now, *shard, event);
                }
                Command::Abort { reason } => {
                    assert!(!reason.is_empty());
                    self.is_aborted = true;
                }
                Command::Stopped { clean } => {
                    assert!(self.is_stopping && !self.has_stopped, "stopped, unasked");
                    let all_clean = self.stopped.values().all(|clean| *clean);
                    assert!(!clean || (self.clean_recorded && all_clean), "not clean");
                    self.has_stopped = true;
                }
                _ => {}
            }
        }
        let is_question = matches!(told, Event::Refusals { .. });
        assert_eq!(judged, usize::from(is_question), "judged at once, and once");
    }

    fn check_tell(&mut self, now: Tick, shard: Option<ShardId>, event: &Told) {
        match event {
            manager::Event::BoundRaised { bound } => {
                assert!(*bound <= self.durable, "a bound that is not in meta");
                assert!(*bound <= self.written, "a bound that is not written");
                assert!(*bound >= self.told, "a bound is lowered");
                assert!(self.has_floor, "a bound before the clock's floor");
                assert!(
                    self.is_tainted || self.is_clean_start || self.is_virgin,
                    "what an earlier process sent may still come"
                );
                self.told = *bound;
            }
            manager::Event::LeaseUntil { until } => {
                assert!(
                    *until <= self.lease_until.max(now),
                    "a lease that nobody gave"
                );
                assert!(!self.is_aborted || *until <= now, "a lease after the end");
            }
            manager::Event::TaintAll { .. } => self.is_tainted = true,
            manager::Event::ClockFloor { .. } => self.has_floor = true,
            manager::Event::Listed { session, .. } => {
                let shard = shard.unwrap_or_else(|| panic!("a listing for all"));
                assert!(self.waiting.remove(&(shard, *session)), "listed unasked");
            }
            _ => {}
        }
    }

    /// After everything is over.
    pub(super) fn check_end(&self) {
        if !self.is_over() {
            assert!(self.waiting.is_empty(), "{:?} wait for ever", self.waiting);
        }
    }
}
