//! A world that answers honestly, but as it likes, and watches the rules of `docs/protocol.md` section 5.

use std::collections::{BTreeMap, VecDeque};

use super::harness::{Shard, UNIX_MS, frame, peer, refused};
use super::{PACKAGES, config, failures, start};
use crate::answer::{BulkOutcome, PartOutcome, Refusal};
use crate::config::Config;
use crate::document::{Class, Part, PlanSummary, Run, Runs};
use crate::id::{AgentId, BulkId, IndexId, SessionId, VERSION_STEP, Version};
use crate::manager::{Command, ConnectionKind, Event, IndexState, ListingOutcome, Reply};
use crate::time::Tick;
use crate::wire::{Mode, Reason, Start, Status};

/// What a session of the script brings: agent, module, whether a Full, upserts, deletes or removals.
pub(super) type Report = (u8, bool, bool, u32, u32);

#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    lane: (u64, bool),
    full: bool,
    upserts: u32,
    /// Deletes of a Delta, removals of a Full.
    deletes: u32,
    version: Option<Version>,
}

#[derive(Debug, Default, Clone)]
struct Operations {
    flying: Runs,
    stored: Runs,
    refused: Runs,
    unknown: Runs,
}

pub(super) struct World {
    pub(super) shard: Shard,
    dice: VecDeque<u8>,
    starting: Option<Report>,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    operations: BTreeMap<(SessionId, Class), Operations>,
    tainted_until: BTreeMap<(u64, bool), Tick>,
    events: VecDeque<Event<u32>>,
    flights: Vec<(Tick, BulkId, Vec<Part>)>,
}

impl World {
    pub(super) fn new(dice: Vec<u8>) -> Self {
        let mut shard = Shard::ready(Config {
            bulk_bytes_max: 700,
            bulk_operations_max: 5,
            concurrency: 2,
            ..config()
        });
        shard.open(2, ConnectionKind::Agent);
        Self {
            shard,
            dice: dice.into(),
            starting: None,
            sessions: BTreeMap::new(),
            operations: BTreeMap::new(),
            tainted_until: BTreeMap::new(),
            events: VecDeque::new(),
            flights: Vec::new(),
        }
    }

    /// 0 is the kindest answer; when the dice are used up, the world is kind.
    fn roll(&mut self, sides: u8) -> u8 {
        self.dice.pop_front().unwrap_or(0) % sides
    }

    fn say(&mut self, event: Event<u32>) {
        self.shard.say(event);
        for command in self.shard.last.clone() {
            self.hear(command);
        }
    }

    fn begin(&mut self, report: Report) {
        let (agent, sca, full, upserts, deletes) = report;
        let agent = u64::from(agent) + 1;
        self.starting = Some(report);
        let items = if full { upserts } else { upserts + deletes };
        let module = if sca { "sca" } else { "syscollector" };
        let mode = if full { Mode::Full } else { Mode::Delta };
        self.say(Event::Start {
            peer: peer(agent, agent),
            start: Box::new(Start {
                agent_id: agent,
                module: module.to_owned(),
                indices: vec![if sca { "sca" } else { "packages" }.to_owned()],
                ..start(mode, u64::from(items), 0)
            }),
            digest: [0; 16],
        });
        let ack = self.shard.start_acks().pop().unwrap();
        if ack.status != Status::Ok {
            return;
        }
        let session = SessionId(ack.session);
        let from = peer(agent, agent);
        // Some items may be lost on the way; they are asked for.
        for seq in 0..items {
            if self.roll(4) != 3 {
                self.item(from.agent, session, Run::one(seq));
            }
        }
        self.events.push_back(Event::End {
            peer: from,
            session,
        });
    }

    fn item(&mut self, agent: AgentId, session: SessionId, run: Run) {
        self.events.push_back(Event::Items {
            peer: peer(agent.0, agent.0),
            frame: frame(session, run.first, run.last, 100),
            payload: 0,
        });
    }

    fn index_of(&self, session: SessionId) -> IndexId {
        if self.sessions[&session].lane.1 {
            IndexId(2)
        } else {
            PACKAGES
        }
    }

    fn hear(&mut self, command: Command<u32>) {
        match command {
            Command::Open { session, agent, .. } => {
                let (_, sca, full, upserts, deletes) = self.starting.take().unwrap();
                let lane = (agent.0, sca);
                let version = None;
                let known = Session {
                    lane,
                    full,
                    upserts,
                    deletes,
                    version,
                };
                self.sessions.insert(session, known);
            }
            Command::Stage { stage, .. } => {
                if self.roll(16) == 15 {
                    self.events.push_back(Event::StageFailed { stage });
                } else {
                    self.events.push_back(Event::Staged { upto: stage });
                }
            }
            Command::Reply {
                peer,
                message: Reply::ReqRet(request),
            } => {
                for pair in &request.seq {
                    let (first, last) = (u32::try_from(pair.begin), u32::try_from(pair.end));
                    let run = Run::new(first.unwrap(), last.unwrap());
                    self.item(peer.agent, SessionId(request.session), run);
                }
            }
            Command::Plan { session, full, .. } => {
                let known = self.sessions[&session];
                let deletes = if full { 0 } else { known.deletes };
                let plan = PlanSummary {
                    operations: vec![(self.index_of(session), 1)],
                    ..super::plan(known.upserts, deletes)
                };
                let plan = Some(Box::new(plan));
                self.events.push_back(Event::Planned { session, plan });
            }
            Command::Listing { session, .. } => {
                let lane = self.sessions[&session].lane;
                assert!(!self.is_tainted(lane), "a listing in a tainted lane");
                let outcome = if self.roll(4) == 3 {
                    ListingOutcome::Failed
                } else {
                    ListingOutcome::Complete {
                        highest: Version(1),
                        documents: 1,
                    }
                };
                self.events.push_back(Event::Listed { session, outcome });
            }
            Command::Diff { session, .. } => {
                let known = self.sessions[&session];
                let mut diff = super::diff(known.upserts, known.deletes);
                diff.operations = vec![(self.index_of(session), 1)];
                let diff = Some(Box::new(diff));
                self.events.push_back(Event::Diffed { session, diff });
            }
            Command::Refusals { session, .. } => self.judge(session),
            Command::IndexTrouble { index, .. } => {
                let until = self.shard.now + 500;
                let state = IndexState::Paused { until };
                self.events.push_back(Event::IndexChanged { index, state });
            }
            Command::Bulk { bulk, parts, .. } => {
                for part in &parts {
                    self.watch(part);
                }
                let delay_ms = [1, 3, 60, 9_999][usize::from(self.roll(4))];
                self.flights.push((self.shard.now + delay_ms, bulk, parts));
            }
            _ => {}
        }
    }

    fn judge(&mut self, session: SessionId) {
        let index = self.index_of(session);
        let mut held = Vec::new();
        if self.roll(2) == 1 {
            held.push(index);
            for ((of, _), operations) in &mut self.operations {
                if *of == session {
                    operations.refused = Runs::new();
                }
            }
        }
        let is_held = !held.is_empty();
        self.events
            .push_back(Event::RefusalsJudged { session, held });
        if is_held {
            let state = IndexState::Open;
            self.events.push_back(Event::IndexChanged { index, state });
        }
    }

    fn is_tainted(&self, lane: (u64, bool)) -> bool {
        self.tainted_until
            .get(&lane)
            .is_some_and(|until| self.shard.now < *until)
    }

    /// What must hold of every part that is sent.
    fn watch(&mut self, part: &Part) {
        let known = self.sessions[&part.session];
        for other in self.sessions.values() {
            let same_agent = other.lane.0 == known.lane.0;
            let Some(given) = other.version.filter(|_| same_agent) else {
                continue;
            };
            if known.version.is_some() {
                break;
            }
            let apart = given.0.abs_diff(part.version.0);
            assert!(apart >= VERSION_STEP, "grants of an agent lie a step apart");
            let same_lane = other.lane == known.lane;
            assert!(!same_lane || given < part.version, "and rise within a lane");
        }
        let version = known.version.unwrap_or(part.version);
        assert_eq!(version, part.version, "one version for a session");
        self.sessions.get_mut(&part.session).unwrap().version = Some(version);
        assert!(part.version < Version((UNIX_MS + 100_000_000) * VERSION_STEP));
        if part.class == Class::Removal {
            let upserts = self.operations.get(&(part.session, Class::Upsert)).cloned();
            let upserts = upserts.unwrap_or_default();
            let answered = upserts.stored.count() + upserts.refused.count();
            assert_eq!(
                answered,
                u64::from(known.upserts),
                "a removal before upserts"
            );
        }
        let is_tainted = self.is_tainted(known.lane);
        let entry = self
            .operations
            .entry((part.session, part.class))
            .or_default();
        for ordinal in part.ordinals.iter() {
            assert!(!entry.flying.contains(ordinal), "in two requests at a time");
            assert!(!entry.stored.contains(ordinal), "stored already");
            assert!(!entry.refused.contains(ordinal), "refused already");
            let may_go =
                part.class == Class::Upsert || !is_tainted || entry.unknown.contains(ordinal);
            assert!(may_go, "a fresh delete in a tainted lane");
        }
        entry.flying.extend(&part.ordinals);
    }

    /// Notes what becomes of one operation.
    fn decide(&mut self, part: &Part, ordinal: u32, fate: u8, outcome: &mut PartOutcome) {
        let index = self.index_of(part.session);
        let one = [Run::one(ordinal)].into_iter().collect::<Runs>();
        let lane = self.sessions[&part.session].lane;
        let until = self.shard.now + 30_000;
        let entry = self
            .operations
            .entry((part.session, part.class))
            .or_default();
        entry.flying.remove(Run::one(ordinal));
        match fate {
            2 => outcome.overloaded.push((index, one)),
            3 => {
                outcome.unknown.extend(&one);
                entry.unknown.extend(&one);
                self.tainted_until.insert(lane, until);
            }
            4 => outcome.blocked.push((index, one)),
            5 if part.class != Class::Removal => {
                outcome.refused.push((index, one.clone()));
                entry.refused.extend(&one);
                outcome.failures.total += 1;
                let listed = failures(&[ordinal], Reason::IndexerRejected).lowest;
                outcome.failures.lowest.extend(listed);
            }
            _ => {
                outcome.stored.push((index, 1));
                entry.stored.extend(&one);
            }
        }
    }

    fn answer(&mut self, bulk: BulkId, parts: &[Part]) {
        let count: u64 = parts.iter().map(|part| part.ordinals.count()).sum();
        let whole = match self.roll(12) {
            6 => Some(BulkOutcome::Unknown),
            7 => Some(BulkOutcome::NotSent),
            8 => Some(refused(Refusal::Overloaded)),
            9 if count > 1 => Some(refused(Refusal::TooLarge)),
            10 if count > 1 => Some(refused(Refusal::Malformed)),
            11 => Some(refused(Refusal::Unauthorized)),
            _ => None,
        };
        let mut outcomes = vec![PartOutcome::default(); parts.len()];
        for (part, outcome) in parts.iter().zip(&mut outcomes) {
            for ordinal in part.ordinals.iter() {
                let fate = match &whole {
                    None => self.roll(6),
                    Some(BulkOutcome::Unknown) => 3,
                    // As if refused for load: not sent, and nothing is decided.
                    Some(_) => 2,
                };
                self.decide(part, ordinal, fate, outcome);
            }
        }
        let outcome = whole.unwrap_or(BulkOutcome::Answered { parts: outcomes });
        self.say(Event::BulkDone { bulk, outcome });
    }

    /// Goes on until nothing is left to happen.
    pub(super) fn run(&mut self, reports: &[Report]) {
        let mut reports: VecDeque<Report> = reports.iter().copied().collect();
        for _ in 0..20_000 {
            if let Some(event) = self.events.pop_front() {
                self.say(event);
                continue;
            }
            if self.roll(3) == 0
                && let Some(report) = reports.pop_front()
            {
                self.begin(report);
                continue;
            }
            if reports.is_empty() && self.shard.manager.pending().is_none() {
                return;
            }
            let timer = self.shard.manager.next_deadline().map(|(at, _)| at);
            let flight = (0..self.flights.len()).min_by_key(|place| self.flights[*place].0);
            let landing = flight.map(|place| self.flights[place].0);
            match (landing, timer) {
                (Some(at), timer) if timer.is_none_or(|timer| at <= timer) => {
                    let (at, bulk, parts) = self.flights.remove(flight.unwrap());
                    self.shard.now = self.shard.now.max(at);
                    self.answer(bulk, &parts);
                }
                (_, Some(at)) => {
                    self.shard.now = self.shard.now.max(at);
                    self.say(Event::Tick);
                }
                (_, None) => {}
            }
        }
        panic!("the world does not come to rest: {}", self.shard.log);
    }

    pub(super) fn judge_verdicts(&self) {
        for (id, known) in &self.sessions {
            let ack = self
                .shard
                .verdict(*id)
                .expect("every session has a verdict");
            let deletes = if known.full {
                Class::Removal
            } else {
                Class::Delete
            };
            if ack.status == Status::Ok {
                for (class, count) in [(Class::Upsert, known.upserts), (deletes, known.deletes)] {
                    let stored = self.operations.get(&(*id, class));
                    let stored = stored.map_or(0, |operations| operations.stored.count());
                    assert_eq!(
                        stored,
                        u64::from(count),
                        "Ok and not stored: {class:?} of {id}\n{}",
                        self.shard.log
                    );
                }
            }
            if ack.reason == Reason::PartiallyRejected {
                let of_session = self.operations.iter().filter(|((of, _), _)| of == id);
                let refused: u64 = of_session.map(|(_, all)| all.refused.count()).sum();
                assert_eq!(ack.failed.len() as u64, refused);
            }
        }
        assert!(self.flights.is_empty() && self.shard.manager.figures().bytes == 0);
    }
}
