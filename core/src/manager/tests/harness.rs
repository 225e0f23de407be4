//! A world for one shard: it keeps the clock, writes down what happens, and answers when told to.

use std::fmt::Write;

use super::text::Names;
use crate::answer::{BulkOutcome, PartOutcome, Refusal};
use crate::config::Config;
use crate::document::{Class, FrameSummary, Part, PlanSummary, Run, Runs};
use crate::id::{
    AgentId, BulkId, ConnectionId, IndexId, Peer, SessionId, StageId, VERSION_STEP, Version,
};
use crate::manager::{Command, ConnectionKind, Event, Health, IndexState, Manager, Reply};
use crate::time::Tick;
use crate::wire::{EndAck, ReqRet, Start, StartAck, Status};

/// The wall clock at tick 0, in milliseconds.
pub(super) const UNIX_MS: u64 = 1_000_000;

pub(super) struct Shard {
    pub(super) manager: Manager<u32>,
    pub(super) now: Tick,
    pub(super) log: String,
    pub(super) names: Names,
    /// Every command so far.
    pub(super) commands: Vec<Command<u32>>,
    /// The commands of the last event.
    pub(super) last: Vec<Command<u32>>,
}

pub(super) const fn peer(agent: u64, connection: u64) -> Peer {
    Peer {
        connection: ConnectionId(connection),
        agent: AgentId(agent),
    }
}

/// Agent 1 on its first connection.
pub(super) const AGENT: Peer = peer(1, 1);

pub(super) fn frame(session: SessionId, first: u32, last: u32, bytes: u64) -> FrameSummary {
    FrameSummary {
        session,
        sequences: [Run::new(first, last)].into_iter().collect(),
        beyond: None,
        unknown_operation: None,
        foreign_element: false,
        bytes,
    }
}

/// Every operation of these parts is stored, as a package.
pub(super) fn all_stored(parts: &[Part]) -> BulkOutcome {
    BulkOutcome::Answered {
        parts: parts
            .iter()
            .map(|part| PartOutcome {
                stored: vec![(IndexId(0), part.ordinals.count())],
                ..PartOutcome::default()
            })
            .collect(),
    }
}

pub(super) fn refused(refusal: Refusal) -> BulkOutcome {
    BulkOutcome::Refused {
        refusal,
        status: 400,
        detail: "no".to_owned(),
    }
}

impl Shard {
    /// A shard that was told nothing yet.
    pub(super) fn new(config: Config) -> Self {
        Self {
            manager: Manager::new(config, [7; 32]),
            now: Tick(0),
            log: String::new(),
            names: Names::default(),
            commands: Vec::new(),
            last: Vec::new(),
        }
    }

    /// A shard that may admit and send, with a connection of agent 1.
    pub(super) fn ready(config: Config) -> Self {
        Self::bounded(config, UNIX_MS + 100_000_000)
    }

    /// The same, with this bound, in milliseconds.
    pub(super) fn bounded(config: Config, bound_ms: u64) -> Self {
        let mut shard = Self::new(config.clone());
        shard.say(Event::WallClock { unix_ms: UNIX_MS });
        shard.say(Event::ClockFloor { floor: Version(5) });
        shard.raise_bound(bound_ms);
        shard.say(Event::LeaseUntil { until: Tick::NEVER });
        shard.say(Event::Health {
            health: Health::Ready,
        });
        for index in 0..config.catalogue.indices().len() {
            shard.index(IndexId(u16::try_from(index).unwrap()), IndexState::Open);
        }
        shard.open(1, ConnectionKind::Agent);
        shard.log.clear();
        shard.commands.clear();
        shard
    }

    pub(super) fn say(&mut self, event: Event<u32>) {
        let mut out = Vec::new();
        let named = event.clone();
        self.manager.handle(self.now, event, &mut out);
        self.manager.check_invariants();
        for command in &out {
            if let Command::Open { session, .. } = command {
                self.names.opened.push(*session);
            }
        }
        let _ = writeln!(self.log, "{:>6} > {}", self.now.0, self.names.event(&named));
        for command in &out {
            let _ = writeln!(self.log, "       < {}", self.names.command(command));
        }
        self.commands.extend(out.iter().cloned());
        self.last = out;
    }

    /// Lets time pass, with a tick at every deadline on the way and one at the end.
    pub(super) fn until(&mut self, end: u64) {
        while let Some((at, _)) = self.manager.next_deadline()
            && at <= Tick(end)
        {
            self.now = self.now.max(at);
            self.say(Event::Tick);
        }
        self.now = self.now.max(Tick(end));
        self.say(Event::Tick);
    }

    pub(super) fn pass(&mut self, duration_ms: u64) {
        self.until(self.now.0 + duration_ms);
    }

    pub(super) fn open(&mut self, connection: u64, kind: ConnectionKind) {
        self.say(Event::Opened {
            connection: ConnectionId(connection),
            kind,
        });
    }

    pub(super) fn raise_bound(&mut self, unix_ms: u64) {
        self.say(Event::BoundRaised {
            bound: Version(unix_ms * VERSION_STEP),
        });
    }

    pub(super) fn index(&mut self, index: IndexId, state: IndexState) {
        self.say(Event::IndexChanged { index, state });
    }

    /// Says a Start whose bytes are told apart by one number, and returns the answer.
    pub(super) fn start(&mut self, peer: Peer, start: Start, bytes: u8) -> StartAck {
        self.say(Event::Start {
            peer,
            start: Box::new(start),
            digest: [bytes; 16],
        });
        self.start_acks().pop().expect("a Start is answered")
    }

    /// Opens a session of the agent that the Start names, on the connection of the same number.
    pub(super) fn session(&mut self, start: Start) -> SessionId {
        let peer = peer(start.agent_id, start.agent_id);
        let ack = self.start(peer, start, 0);
        assert_eq!(ack.status, Status::Ok, "{}", ack.detail);
        SessionId(ack.session)
    }

    pub(super) fn data(&mut self, session: SessionId, first: u32, last: u32) {
        self.items(AGENT, frame(session, first, last, 1_000));
    }

    pub(super) fn items(&mut self, peer: Peer, frame: FrameSummary) {
        self.say(Event::Items {
            peer,
            frame,
            payload: 0,
        });
    }

    pub(super) fn end(&mut self, session: SessionId) {
        self.say(Event::End {
            peer: AGENT,
            session,
        });
    }

    /// Every write that was asked for is stored.
    pub(super) fn staged(&mut self) {
        let upto = self.last_stage();
        self.say(Event::Staged { upto });
    }

    pub(super) fn last_stage(&self) -> StageId {
        let mut stages = self.commands.iter().filter_map(|command| match command {
            Command::Stage { stage, .. } => Some(*stage),
            _ => None,
        });
        stages.next_back().expect("a write")
    }

    /// A session of agent 1 with all its items stored, that waits for its plan.
    pub(super) fn complete(&mut self, start: Start) -> SessionId {
        let last = u32::try_from(start.size).unwrap().checked_sub(1);
        let id = self.session(start);
        if let Some(last) = last {
            self.data(id, 0, last);
            self.staged();
        }
        self.end(id);
        id
    }

    pub(super) fn planned(&mut self, session: SessionId, plan: PlanSummary) {
        self.say(Event::Planned {
            session,
            plan: Some(Box::new(plan)),
        });
    }

    /// A planned Delta of agent 1.
    pub(super) fn planned_delta(&mut self, upserts: u32, deletes: u32) -> SessionId {
        let id = self.complete(super::delta(u64::from(upserts + deletes), 0));
        self.planned(id, super::plan(upserts, deletes));
        id
    }

    /// Lets a request that is not full go.
    pub(super) fn linger(&mut self) {
        self.pass(5);
    }

    pub(super) fn answer(&mut self, bulk: BulkId, outcome: BulkOutcome) {
        self.say(Event::BulkDone { bulk, outcome });
    }

    /// Answers the last request: everything is stored.
    pub(super) fn store(&mut self) {
        let (bulk, parts) = self.last_bulk();
        self.answer(bulk, all_stored(&parts));
    }

    /// Answers the last request, for its one part.
    pub(super) fn part(&mut self, outcome: PartOutcome) {
        let (bulk, parts) = self.last_bulk();
        assert_eq!(parts.len(), 1, "one part");
        let parts = vec![outcome];
        self.answer(bulk, BulkOutcome::Answered { parts });
    }

    /// Answers the last request as a whole.
    pub(super) fn whole(&mut self, outcome: BulkOutcome) {
        let (bulk, _) = self.last_bulk();
        self.answer(bulk, outcome);
    }

    pub(super) fn bulks(&self) -> Vec<(BulkId, Vec<Part>)> {
        let bulks = self.commands.iter().filter_map(|command| match command {
            Command::Bulk { bulk, parts, .. } => Some((*bulk, parts.clone())),
            _ => None,
        });
        bulks.collect()
    }

    pub(super) fn last_bulk(&self) -> (BulkId, Vec<Part>) {
        self.bulks().pop().expect("a request")
    }

    /// Class and ordinals of each part of the last request.
    pub(super) fn last_parts(&self) -> Vec<(Class, String)> {
        let (_, parts) = self.last_bulk();
        let each = parts.iter();
        each.map(|part| (part.class, super::text::runs(&part.ordinals)))
            .collect()
    }

    fn replies(&self) -> impl Iterator<Item = &Reply> {
        self.commands.iter().filter_map(|command| match command {
            Command::Reply { message, .. } => Some(message),
            _ => None,
        })
    }

    pub(super) fn start_acks(&self) -> Vec<StartAck> {
        let acks = self.replies().filter_map(|reply| match reply {
            Reply::StartAck(ack) => Some((**ack).clone()),
            _ => None,
        });
        acks.collect()
    }

    /// Everything said of a session, Processing included.
    pub(super) fn end_acks(&self, session: SessionId) -> Vec<EndAck> {
        let acks = self.replies().filter_map(|reply| match reply {
            Reply::EndAck(ack) if ack.session == session.0 => Some((**ack).clone()),
            _ => None,
        });
        acks.collect()
    }

    pub(super) fn requests(&self) -> Vec<ReqRet> {
        let requests = self.replies().filter_map(|reply| match reply {
            Reply::ReqRet(request) => Some((**request).clone()),
            _ => None,
        });
        requests.collect()
    }

    /// The verdict of a session, if it has one; it must not have two.
    pub(super) fn verdict(&self, session: SessionId) -> Option<EndAck> {
        let mut verdicts = self.end_acks(session);
        verdicts.retain(|ack| ack.status != Status::Processing);
        assert!(verdicts.len() <= 1, "one verdict: {verdicts:?}");
        verdicts.pop()
    }

    pub(super) fn count(&self, is_it: impl Fn(&Command<u32>) -> bool) -> usize {
        self.commands
            .iter()
            .filter(|command| is_it(command))
            .count()
    }
}

pub(super) fn run(first: u32, last: u32) -> Runs {
    [Run::new(first, last)].into_iter().collect()
}
