//! What was told to the shard, what it asked, and what must therefore be true of each of its commands.

use std::collections::BTreeMap;

use inventory_sync_core::answer::BulkOutcome;
use inventory_sync_core::config::Config;
use inventory_sync_core::document::{Class, Part, Run, Runs};
use inventory_sync_core::id::{
    AgentId, BulkId, NO_SESSION, Peer, RecordId, SessionId, StageId, VERSION_STEP, Version,
};
use inventory_sync_core::manager::{AgentFloor, Command, Event, Health, Record};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire::{EndAck, Mode, Start};

use super::operations::{Operations, place};

/// A session that the shard opened.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) peer: Peer,
    pub(super) module: String,
    pub(super) nonce: u64,
    pub(super) size: u32,
    pub(super) is_base: bool,
    full: bool,
    pub(super) stored: Runs,
    pub(super) end_heard: bool,
    /// It waits for a plan, for a diff, for a judgement.
    asked: [bool; 3],
    pub(super) operations: [Operations; 3],
    pub(super) set_aside: u64,
    version: Option<Version>,
    pub(super) verdict: Option<EndAck>,
    discarded: bool,
}

const PLAN: usize = 0;
const DIFF: usize = 1;
const JUDGEMENT: usize = 2;

/// All that was said, in both directions, as far as something follows from it.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) config: Config,
    pub(super) sessions: BTreeMap<SessionId, Known>,
    /// In the order of their opening.
    order: Vec<SessionId>,
    pub(super) stages: BTreeMap<StageId, (SessionId, Runs)>,
    flights: BTreeMap<BulkId, Vec<Part>>,
    records: BTreeMap<RecordId, AgentFloor>,
    lease_until: Tick,
    health: Option<Health>,
    bound: Version,
    bounds: BTreeMap<AgentId, Version>,
    /// The highest version sent for an agent.
    versions: BTreeMap<AgentId, Version>,
    tainted: BTreeMap<(AgentId, String), Tick>,
    all_tainted: Tick,
    pub(super) is_stopping: bool,
    pub(super) has_stopped: bool,
}

impl Books {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            sessions: BTreeMap::new(),
            order: Vec::new(),
            stages: BTreeMap::new(),
            flights: BTreeMap::new(),
            records: BTreeMap::new(),
            lease_until: Tick(0),
            health: None,
            bound: Version(0),
            bounds: BTreeMap::new(),
            versions: BTreeMap::new(),
            tainted: BTreeMap::new(),
            all_tainted: Tick(0),
            is_stopping: false,
            has_stopped: false,
        }
    }

    /// All sessions that were opened, oldest first.
    pub(super) fn opened(&self) -> &[SessionId] {
        &self.order
    }

    pub(super) fn peer_of(&self, session: SessionId) -> Option<Peer> {
        self.sessions.get(&session).map(|known| known.peer)
    }

    /// The index in which all operations of a session are said to be.
    pub(super) fn index_of(&self, session: SessionId) -> u16 {
        let is_sca = |known: &Known| known.module == "sca";
        if self.sessions.get(&session).is_some_and(is_sca) {
            2
        } else {
            0
        }
    }

    /// What has not arrived of a session.
    pub(super) fn missing(&self, session: SessionId) -> Runs {
        match self.sessions.get(&session) {
            Some(known) if known.size > 0 => known.stored.missing_in(Run::new(0, known.size - 1)),
            _ => Runs::new(),
        }
    }

    /// Takes in what the shard is about to be told.
    pub(super) fn hear(&mut self, now: Tick, event: &Event<u8>) {
        match event {
            Event::Staged { upto } => {
                while let Some(entry) = self
                    .stages
                    .first_entry()
                    .filter(|entry| entry.key() <= upto)
                {
                    let (session, fresh) = entry.remove();
                    if let Some(known) = self.sessions.get_mut(&session) {
                        known.stored.extend(&fresh);
                    }
                }
            }
            Event::StageFailed { stage } => {
                self.stages.remove(stage);
            }
            Event::End { peer, session } => {
                if let Some(known) = self.sessions.get_mut(session)
                    && known.peer == *peer
                {
                    known.end_heard = true;
                }
            }
            Event::Planned { session, plan } => {
                if let Some(known) = self.asked(*session, PLAN)
                    && let Some(plan) = plan
                {
                    let upserts = plan.chunks.iter().map(|chunk| chunk.upserts).sum();
                    let deletes = plan.chunks.iter().map(|chunk| chunk.deletes).sum();
                    known.operations = [upserts, deletes, 0].map(Operations::of);
                    known.set_aside = plan.failures.total;
                }
            }
            Event::Diffed { session, diff } => {
                if let Some(known) = self.asked(*session, DIFF)
                    && let Some(diff) = diff
                {
                    let upserts = diff.chunks.iter().map(|chunk| chunk.upserts).sum();
                    known.operations = [upserts, 0, diff.removals].map(Operations::of);
                }
            }
            Event::RefusalsJudged { session, held } => {
                if let Some(known) = self.asked(*session, JUDGEMENT)
                    && !held.is_empty()
                {
                    for operations in &mut known.operations {
                        operations.refused = Runs::new();
                    }
                }
            }
            Event::BulkDone { bulk, outcome } => self.hear_outcome(now, *bulk, outcome),
            Event::Recorded { record } => {
                if let Some(floor) = self.records.remove(record) {
                    self.raise_bound(floor);
                }
            }
            Event::RecordFailed { record } => {
                self.records.remove(record);
            }
            Event::Floors { floors } => floors.iter().for_each(|floor| self.raise_bound(*floor)),
            Event::LeaseUntil { until } => self.lease_until = *until,
            Event::BoundRaised { bound } => self.bound = self.bound.max(*bound),
            Event::Health { health } => self.health = Some(*health),
            Event::TaintAll { until } => self.all_tainted = self.all_tainted.max(*until),
            Event::Shutdown => self.is_stopping = true,
            _ => {}
        }
    }

    fn raise_bound(&mut self, floor: AgentFloor) {
        let bound = self.bounds.entry(floor.agent).or_default();
        *bound = floor.bound.max(*bound);
    }

    /// The session, if it waits for that answer; then it waits no longer.
    fn asked(&mut self, session: SessionId, what: usize) -> Option<&mut Known> {
        let known = self.sessions.get_mut(&session)?;
        std::mem::take(&mut known.asked[what]).then_some(known)
    }

    fn hear_outcome(&mut self, now: Tick, bulk: BulkId, outcome: &BulkOutcome) {
        let Some(parts) = self.flights.remove(&bulk) else {
            return;
        };
        let late_ms = self.config.late_write_bound_ms;
        for (number, part) in parts.iter().enumerate() {
            let Some(known) = self.sessions.get_mut(&part.session) else {
                continue;
            };
            let operations = &mut known.operations[place(part.class)];
            for run in part.ordinals.as_slice() {
                operations.flying.remove(*run);
            }
            let nothing_known = match outcome {
                BulkOutcome::Unknown => true,
                BulkOutcome::Answered { parts: answers } => answers.len() != parts.len(),
                _ => false,
            };
            let unknown = match outcome {
                _ if nothing_known => part.ordinals.clone(),
                BulkOutcome::Answered { parts: answers } => {
                    operations.learn(part, &answers[number])
                }
                _ => Runs::new(),
            };
            if !unknown.is_empty() {
                operations.unknown.extend(&unknown);
                let until = self
                    .tainted
                    .entry((part.agent, known.module.clone()))
                    .or_default();
                *until = now + late_ms;
            }
        }
    }

    /// Checks what the shard said to an event.
    pub(super) fn check(&mut self, now: Tick, told: &Event<u8>, out: &[Command<u8>]) {
        self.check_start(told, out);
        let mut ended = None;
        for command in out {
            match command {
                Command::Open { session, .. } => self.check_open(*session, told),
                Command::Stage {
                    stage,
                    session,
                    key,
                    fresh,
                    ..
                } => self.check_stage(*stage, *session, *key, fresh),
                Command::Discard { session } => {
                    let known = self.live_or_ending(*session);
                    assert!(known.verdict.is_some(), "discarded before its verdict");
                    assert!(!known.discarded, "discarded twice");
                    known.discarded = true;
                }
                Command::Plan { session, full, .. } => {
                    let known = self.live(*session);
                    assert_eq!(known.full, *full);
                    assert_eq!(
                        known.stored.count(),
                        u64::from(known.size),
                        "planned too early"
                    );
                    assert!(known.end_heard, "planned without an End");
                    known.asked[PLAN] = true;
                }
                Command::Listing { session, .. } => {
                    let known = self.live(*session);
                    assert!(known.full, "a Delta is listed");
                    let (lane, all) = (known.lane(), self.all_tainted);
                    let until = self.tainted.get(&lane).copied().unwrap_or_default();
                    assert!(
                        now >= until.max(all),
                        "listed while something may come late"
                    );
                }
                Command::Diff { session, .. } => self.live(*session).asked[DIFF] = true,
                Command::Refusals { session, .. } => self.live(*session).asked[JUDGEMENT] = true,
                Command::Record {
                    record,
                    what: Record::Floor(floor),
                } => {
                    self.records.insert(*record, *floor);
                }
                Command::Bulk {
                    bulk,
                    deadline,
                    not_after,
                    parts,
                    ..
                } => {
                    assert_eq!(*deadline, now + self.config.request_deadline_ms);
                    assert_eq!(*not_after, self.lease_until);
                    self.check_bulk(now, *bulk, parts);
                }
                Command::Reply { peer, message } => {
                    self.check_reply(*peer, message, told, &mut ended)
                }
                Command::Observe(observation) => self.note_end(observation, &mut ended),
                Command::Stopped { .. } => {
                    assert!(self.is_stopping && !self.has_stopped, "stopped, unasked");
                    assert!(self.flights.is_empty() && self.stages.is_empty());
                    self.has_stopped = true;
                }
                _ => {}
            }
        }
        assert_eq!(ended, None, "an end without its verdict");
    }

    fn live_or_ending(&mut self, session: SessionId) -> &mut Known {
        match self.sessions.get_mut(&session) {
            Some(known) => known,
            None => panic!("a command for session {session}, which nobody opened"),
        }
    }

    fn live(&mut self, session: SessionId) -> &mut Known {
        let known = self.live_or_ending(session);
        assert_eq!(known.verdict, None, "a command after the verdict");
        known
    }

    fn check_open(&mut self, session: SessionId, told: &Event<u8>) {
        let Event::Start { peer, start, .. } = told else {
            panic!("a session is opened by {told:?}");
        };
        assert!(session != NO_SESSION && session.0 != 0, "a reserved id");
        assert!(!self.is_stopping, "opened while stopping");
        assert!(
            self.health == Some(Health::Ready),
            "opened without an Indexer"
        );
        let fresh = self.sessions.insert(session, Known::new(*peer, start));
        assert!(fresh.is_none(), "a session id is given twice");
        self.order.push(session);
    }

    fn check_stage(&mut self, stage: StageId, session: SessionId, key: u32, fresh: &[Run]) {
        let mut open = Runs::new();
        for (_, runs) in self.stages.values().filter(|(id, _)| *id == session) {
            open.extend(runs);
        }
        let known = self.live(session);
        assert_eq!(Some(key), fresh.first().map(|run| run.first));
        for run in fresh {
            assert!(run.last < known.size, "staged beyond the session's size");
            let count = known.stored.missing_in(*run).count();
            assert_eq!(count, run.count(), "staged although it is stored");
            assert_eq!(open.missing_in(*run).count(), run.count(), "staged twice");
        }
        self.stages
            .insert(stage, (session, fresh.iter().copied().collect()));
    }

    fn check_bulk(&mut self, now: Tick, bulk: BulkId, parts: &[Part]) {
        assert!(now < self.lease_until, "sent without a lease");
        assert!(self.health == Some(Health::Ready), "sent to a sick Indexer");
        assert!(!parts.is_empty(), "a request without operations");
        for part in parts {
            let bound = self.bounds.get(&part.agent).copied().unwrap_or_default();
            assert!(
                part.version < bound.max(self.bound),
                "a version above the bound"
            );
            let highest = self.versions.get(&part.agent).copied().unwrap_or_default();
            let all_tainted = self.all_tainted;
            let known = self.live(part.session);
            assert_eq!(known.peer.agent, part.agent, "another agent's session");
            match known.version {
                Some(version) => assert_eq!(version, part.version, "two versions of one session"),
                None => {
                    let least = highest.0 + if highest.0 > 0 { VERSION_STEP } else { 0 };
                    assert!(part.version.0 >= least, "versions do not grow");
                    known.version = Some(part.version);
                }
            }
            let lane = known.lane();
            let upserts_decided = known.operations[0].is_decided();
            let operations = &mut known.operations[place(part.class)];
            operations.check_part(part);
            operations.flying.extend(&part.ordinals);
            assert!(
                part.class != Class::Removal || upserts_decided,
                "a removal before the upserts are decided"
            );
            let unknown = operations.unknown.clone();
            let until = self.tainted.get(&lane).copied().unwrap_or_default();
            if part.class != Class::Upsert && now < until.max(all_tainted) {
                for run in part.ordinals.as_slice() {
                    assert!(
                        unknown.missing_in(*run).is_empty(),
                        "a fresh delete while something may come late"
                    );
                }
            }
            self.versions.insert(part.agent, part.version.max(highest));
        }
        self.flights.insert(bulk, parts.to_vec());
        assert!(self.flights.len() <= self.config.concurrency);
    }

    /// After everything is over.
    pub(super) fn check_end(&self) {
        for (session, known) in &self.sessions {
            assert!(known.verdict.is_some(), "session {session} has no verdict");
            assert!(known.discarded, "session {session} is still stored");
        }
        assert!(self.flights.is_empty() && self.stages.is_empty());
        assert_eq!(
            self.is_stopping, self.has_stopped,
            "a stop that does not end"
        );
    }
}

impl Known {
    fn new(peer: Peer, start: &Start) -> Self {
        Self {
            peer,
            module: start.module.clone(),
            nonce: start.nonce,
            size: u32::try_from(start.size).unwrap_or(u32::MAX),
            is_base: start.protocol_version == 0,
            full: start.mode == Some(Mode::Full),
            stored: Runs::new(),
            end_heard: false,
            asked: [false; 3],
            operations: Default::default(),
            set_aside: 0,
            version: None,
            verdict: None,
            discarded: false,
        }
    }

    fn lane(&self) -> (AgentId, String) {
        (self.peer.agent, self.module.clone())
    }
}
