//! The world around the machines: its state, what is possible in it, and a step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use inventory_sync_core::agent::{self, Agent, Answer, Job, JobId};
use inventory_sync_core::config::{Catalogue, Config};
use inventory_sync_core::document::{ChunkLoad, Class, Part, Run, Runs};
use inventory_sync_core::id::{
    AgentId, BulkId, ConnectionId, IndexId, SessionId, StageId, Version,
};
use inventory_sync_core::manager::{Event, Health, IndexState, Manager};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire::{EndAck, Mode, Start};

use super::indexer::{Indexer, Operation};
use super::scenario::{Row, Scenario, Sync};
use super::{Action, Broken, Fate, Sometimes};

/// The wall clock at tick 0, in milliseconds.
const UNIX_MS: u64 = 100_000_000;

/// So far back stands the wall clock when a process starts again.
const CLOCK_BACK_MS: u64 = 3_600_000;

/// How far the durable bound lies ahead.
const BOUND_AHEAD_MS: u64 = 36_000_000;

/// A frame of rows: what the payload handle stands for.
pub(super) type Frame = (SessionId, Run);

/// What an agent has sent and the manager has not read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Up {
    Start(Box<Start>),
    Data(Frame),
    End(SessionId),
}

/// An agent: its machine, its connection and its jobs.
#[derive(Debug, Clone)]
pub(super) struct Side {
    pub(super) machine: Agent,
    pub(super) connection: Option<ConnectionId>,
    pub(super) up: VecDeque<Up>,
    pub(super) down: VecDeque<Answer>,
    /// The job under way, or the number of jobs.
    pub(super) job: usize,
    /// The job that a nonce was sent for.
    pub(super) starts: BTreeMap<u64, usize>,
    /// Documents that were refused for good.
    pub(super) quarantined: BTreeSet<u8>,
    /// The machine was told something since its digest was made.
    pub(super) told: bool,
    pub(super) digest: u128,
}

/// What the manager's side of the store knows of a session.
#[derive(Debug, Clone)]
pub(super) struct Staged {
    pub(super) agent: usize,
    pub(super) job: usize,
    pub(super) rows: Runs,
    /// What is sent, by class, in the order of ordinals: document, content, row.
    pub(super) operations: [Vec<(u8, Option<u8>, u32)>; 3],
    /// Documents refused for good.
    pub(super) refused: BTreeSet<u8>,
}

/// A write that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Late {
    /// It comes before this tick, or never.
    pub(super) until: Tick,
    pub(super) operations: Vec<Operation>,
}

/// A small world.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) scenario: &'static Scenario,
    pub(super) config: Config,
    pub(super) now: Tick,
    pub(super) life: u8,
    pub(super) faults_left: u8,
    pub(super) manager: Manager<Frame>,
    /// The manager was told something since its digest was made.
    pub(super) manager_told: bool,
    pub(super) manager_digest: u128,
    pub(super) sides: Vec<Side>,
    pub(super) connections: u64,
    pub(super) sessions: BTreeMap<SessionId, Staged>,
    pub(super) writes: VecDeque<(StageId, SessionId, Runs)>,
    pub(super) listings: VecDeque<SessionId>,
    pub(super) bulks: Vec<(BulkId, Vec<Part>)>,
    pub(super) late: Vec<Late>,
    pub(super) indexer: Indexer,
    /// Somebody else has written.
    pub(super) is_foreign: bool,
    /// Agents and nonces for which this process opened a session.
    pub(super) opened: BTreeSet<(usize, u64)>,
    /// Each with the life of the process that said it.
    pub(super) verdicts: BTreeMap<SessionId, (u8, EndAck)>,
    pub(super) bound: Version,
    /// What is to be told to the manager at once.
    pub(super) mail: VecDeque<Event<Frame>>,
    /// What happened in the last step.
    pub(super) seen: Vec<Sometimes>,
    pub(super) broken: Option<Broken>,
}

/// One module with one index, and limits that matter in so small a world.
fn config() -> Config {
    let module = ("syscollector".to_owned(), ["packages".to_owned()]);
    let catalogue = Catalogue::new([module]).unwrap_or_default();
    Config {
        linger_ms: 0,
        store_failures_max: 2,
        // Two small requests do not fit into one.
        bulk_operations_max: 2,
        ..Config::new(catalogue)
    }
}

impl World {
    pub(super) fn new(scenario: &'static Scenario, faults: u8) -> Self {
        let config = config();
        let mut indexer = Indexer::default();
        let mut sides = Vec::new();
        for agent in 0..scenario.agents.len() {
            for (document, content) in scenario.held {
                indexer.seed((agent, *document), *content);
            }
            let id = AgentId(agent as u64 + 1);
            // The second one gives up sooner, so that its sessions are replaced.
            let patience = if agent == 0 { 3 } else { 1 };
            let machine = agent::Config {
                load_items_max: 1,
                starts_max: patience,
                ends_max: patience,
                ..agent::Config::new(id, "syscollector")
            };
            sides.push(Side {
                machine: Agent::new(machine, [u8::try_from(agent).unwrap_or(9) + 1; 32]),
                connection: None,
                up: VecDeque::new(),
                down: VecDeque::new(),
                job: 0,
                starts: BTreeMap::new(),
                quarantined: BTreeSet::new(),
                told: true,
                digest: 0,
            });
        }
        let mut world = Self {
            scenario,
            config,
            now: Tick(0),
            life: 0,
            faults_left: faults,
            manager: Self::new_manager(0),
            manager_told: true,
            manager_digest: 0,
            sides,
            connections: 0,
            sessions: BTreeMap::new(),
            writes: VecDeque::new(),
            listings: VecDeque::new(),
            bulks: Vec::new(),
            late: Vec::new(),
            indexer,
            is_foreign: false,
            opened: BTreeSet::new(),
            verdicts: BTreeMap::new(),
            bound: Version(0),
            mail: VecDeque::new(),
            seen: Vec::new(),
            broken: None,
        };
        world.start_manager();
        for agent in 0..world.sides.len() {
            if let Some(event) = world.next_job(agent) {
                world.tell_agent(agent, event);
            }
        }
        world
    }

    /// The shard of a process's life.
    pub(super) fn new_manager(life: u8) -> Manager<Frame> {
        Manager::new(config(), [life + 100; 32])
    }

    /// What a coordinator says to a shard that has just started.
    pub(super) fn start_manager(&mut self) {
        let floor = self.bound;
        let unix_ms = UNIX_MS + self.now.0 - u64::from(self.life) * CLOCK_BACK_MS;
        let ahead = Version::from_unix_ms(floor.unix_ms().max(unix_ms) + BOUND_AHEAD_MS);
        self.bound = ahead;
        self.mail.extend([
            Event::WallClock { unix_ms },
            Event::ClockFloor { floor },
            Event::BoundRaised { bound: ahead },
            Event::LeaseUntil { until: Tick::NEVER },
            Event::Health {
                health: Health::Ready,
            },
            Event::IndexChanged {
                index: IndexId(0),
                state: IndexState::Open,
            },
        ]);
        if self.life > 0 {
            let until = self.now + self.config.late_write_bound_ms;
            self.mail.push_back(Event::TaintAll { until });
        }
        self.deliver_mail();
    }

    /// The next job of an agent, if there is one.
    pub(super) fn next_job(&self, agent: usize) -> Option<agent::Event<Frame>> {
        let number = self.sides[agent].job;
        let sync = self.scenario.agents[agent].get(number)?;
        let job = Job {
            id: JobId(number as u64),
            mode: sync.mode,
            indices: vec!["packages".to_owned()],
            size: u32::try_from(sync.rows.len()).unwrap_or(u32::MAX),
            id_from: None,
            id_to: None,
            give_up_after_ms: None,
        };
        Some(agent::Event::Sync { job: Box::new(job) })
    }

    /// All that may happen now.
    pub(super) fn possible(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for (agent, side) in self.sides.iter().enumerate() {
            if !side.up.is_empty() {
                actions.push(Action::Up(agent));
            }
            if !side.down.is_empty() {
                actions.push(Action::Down(agent));
            }
            let next = side.machine.next_deadline();
            if next.is_some_and(|(at, _)| at <= self.now) {
                actions.push(Action::TickAgent(agent));
            }
        }
        if !self.writes.is_empty() {
            actions.push(Action::Stored);
        }
        if !self.listings.is_empty() {
            actions.push(Action::Listed);
        }
        for place in 0..self.bulks.len() {
            actions.push(Action::Answer(place, Fate::Stored));
        }
        if self
            .manager
            .next_deadline()
            .is_some_and(|(at, _)| at <= self.now)
        {
            actions.push(Action::TickManager);
        }
        for place in 0..self.late.len() {
            actions.extend([Action::ApplyLate(place), Action::ForgetLate(place)]);
        }
        if self.faults_left > 0 {
            self.add_faults(&mut actions);
        }
        let may_pass = self
            .next_deadline()
            .is_some_and(|at| at > self.now && self.late.iter().all(|late| at < late.until));
        if may_pass && !self.is_done() && (self.is_quiet() || self.faults_left > 0) {
            actions.push(Action::Pass);
        }
        actions
    }

    fn add_faults(&self, actions: &mut Vec<Action>) {
        for (agent, side) in self.sides.iter().enumerate() {
            if !side.up.is_empty() {
                actions.extend([Action::LoseUp(agent), Action::RepeatUp(agent)]);
            }
            if !side.down.is_empty() {
                actions.extend([Action::LoseDown(agent), Action::RepeatDown(agent)]);
            }
            if side.connection.is_some() && !self.is_agent_done(agent) {
                actions.push(Action::Break(agent));
            }
        }
        if !self.writes.is_empty() {
            actions.push(Action::StoreFails);
        }
        if !self.listings.is_empty() {
            actions.push(Action::ListingFails);
        }
        for place in 0..self.bulks.len() {
            actions.extend(Fate::FAULTS.map(|fate| Action::Answer(place, fate)));
        }
        if !self.is_done() {
            actions.push(Action::Crash);
        }
    }

    fn is_agent_done(&self, agent: usize) -> bool {
        self.sides[agent].job >= self.scenario.agents[agent].len()
    }

    /// Whether every job is over and the manager rests.
    pub(super) fn is_done(&self) -> bool {
        (0..self.sides.len()).all(|agent| self.is_agent_done(agent))
            && self.manager.pending().is_none()
    }

    /// The earliest deadline of any machine.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        let agents = self
            .sides
            .iter()
            .map(|side| side.machine.next_deadline().map(|next| next.0));
        let manager = self.manager.next_deadline().map(|next| next.0);
        agents.chain([manager]).flatten().min()
    }

    /// Whether an action costs a fault here. Time passes freely when nothing else can happen but what comes late.
    pub(super) fn is_fault(&self, action: Action) -> bool {
        match action {
            Action::Pass => !self.is_quiet(),
            other => other.is_fault(),
        }
    }

    /// Whether nothing can happen before the next deadline.
    fn is_quiet(&self) -> bool {
        let is_due = |next: Option<Tick>| next.is_some_and(|at| at <= self.now);
        let rests = |side: &Side| {
            let next = side.machine.next_deadline().map(|next| next.0);
            side.up.is_empty() && side.down.is_empty() && !is_due(next)
        };
        self.sides.iter().all(rests)
            && self.writes.is_empty()
            && self.listings.is_empty()
            && self.bulks.is_empty()
            && !is_due(self.manager.next_deadline().map(|next| next.0))
    }

    /// The job of a session, as its agent has it.
    pub(super) fn sync_of(&self, agent: usize, job: usize) -> Sync {
        self.scenario.agents[agent][job]
    }

    pub(super) fn violated(&mut self, sentence: String) {
        if self.broken.is_none() {
            self.broken = Some(Broken(sentence));
        }
    }
}

pub(super) const fn place(class: Class) -> usize {
    match class {
        Class::Upsert => 0,
        Class::Delete => 1,
        Class::Removal => 2,
    }
}

/// What a session sends without a listing.
pub(super) fn planned(sync: Sync) -> [Vec<(u8, Option<u8>, u32)>; 3] {
    let rows = || {
        (0..)
            .zip(sync.rows)
            .map(|(seq, Row { document, content })| (*document, *content, seq))
    };
    let is_full = sync.mode == Mode::Full;
    [
        rows().filter(|row| row.1.is_some()).collect(),
        rows().filter(|row| row.1.is_none() && !is_full).collect(),
        Vec::new(),
    ]
}

/// Operations of a class, in bytes that say nothing.
pub(super) fn load(operations: &[Vec<(u8, Option<u8>, u32)>; 3]) -> ChunkLoad {
    let count = |class: usize| u32::try_from(operations[class].len()).unwrap_or(u32::MAX);
    ChunkLoad {
        upserts: count(0),
        upsert_bytes: u64::from(count(0)) * 100,
        deletes: count(1),
        delete_bytes: u64::from(count(1)) * 100,
    }
}
