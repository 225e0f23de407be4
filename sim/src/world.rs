//! The world: everything there is, what happens next, and the phases of a run.

use std::collections::{BTreeMap, BTreeSet};

use inventory_sync_core::answer::BulkOutcome;
use inventory_sync_core::coordinator;
use inventory_sync_core::id::{AgentId, ConnectionId, RequestId, Version};
use inventory_sync_core::manager;
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire::{Reason, Status};

use crate::agent_node::AgentNode;
use crate::bulk::OverlayCheck;
use crate::choices::Draws;
use crate::coverage::Coverage;
use crate::faults::{Fault, Faults};
use crate::hostile::Hostile;
use crate::indexer_node::IndexerNode;
use crate::manager_node::{Process, Task};
use crate::network::{Network, Packet, Way};
use crate::options::Options;
use crate::oracles::Oracles;
use crate::schedule::Schedule;
use crate::script::{Action, Loss};
use crate::store::{Scanned, Store};
use crate::streams::Stream;
use crate::tally::Tally;
use crate::trace::{Link, Trace};
use crate::wall_clock::WallClock;

/// The true time at tick 0, in milliseconds since the Unix epoch.
pub(crate) const EPOCH_MS: u64 = 1_790_000_000_000;

/// The tick of a world's first moment.
pub(crate) const BEGIN: Tick = Tick(1_000);

/// Something that is going to happen.
#[derive(Debug)]
pub(crate) enum Occurrence {
    /// A frame in its connection's queue arrives.
    Frame {
        connection: ConnectionId,
        way: Way,
    },
    /// A frame that travels alone arrives.
    StrayFrame {
        connection: ConnectionId,
        way: Way,
        packet: Packet,
    },
    /// The manager reads what it left unread.
    ReadOn(ConnectionId),
    /// The manager learns that a connection has ended.
    BrokenAtManager(ConnectionId),
    /// The agent learns that a connection has ended.
    BrokenAtAgent(ConnectionId),

    ShardTick {
        life: u32,
        shard: u16,
    },
    ShardTold {
        life: u32,
        shard: u16,
        event: Box<manager::Event<Scanned>>,
    },
    ShardMail {
        life: u32,
        shard: u16,
    },
    CoordinatorTick {
        life: u32,
    },
    CoordinatorTold {
        life: u32,
        event: Box<coordinator::Event>,
    },
    CoordinatorMail {
        life: u32,
    },
    WallClock {
        life: u32,
    },
    Flush {
        life: u32,
        shard: u16,
    },
    TaskDone {
        life: u32,
        shard: u16,
        task: Task,
    },
    MetaSynced {
        life: u32,
        request: RequestId,
        what: coordinator::Record,
        durable: bool,
    },
    StartManager,

    /// A bulk request reaches the Indexer.
    RequestArrives(u64),
    /// Its answer reaches the manager.
    RequestAnswered(u64, Box<BulkOutcome>),
    /// Its deadline, or the end of its connection, reaches the manager.
    RequestGivenUp(u64),
    /// A request of the coordinator reaches the Indexer.
    Control {
        life: u32,
        sent: Tick,
        command: Box<coordinator::Command>,
    },
    /// The Indexer's periodic refresh.
    PeriodicRefresh,

    AgentTick {
        agent: usize,
        life: u32,
        module: usize,
    },
    AgentTold {
        agent: usize,
        life: u32,
        module: usize,
        event: Box<inventory_sync_core::agent::Event<Packet>>,
    },
    RowsReadAnew {
        agent: usize,
        life: u32,
        module: usize,
        job: inventory_sync_core::agent::JobId,
    },
    ConnectDone {
        agent: usize,
        life: u32,
    },
    StartAgent(usize),
    /// An agent that was stopped in order ends, and is started again at once.
    CrashAgent {
        agent: usize,
        life: u32,
    },
    /// A module looks whether there is something to synchronise.
    SyncDue {
        agent: usize,
        life: u32,
        module: usize,
    },
    /// A module's content changes.
    Churn {
        agent: usize,
        module: usize,
    },

    /// A recurring fault happens.
    FaultDue(Fault),
    /// A lasting fault ends.
    FaultEnds {
        fault: Fault,
        agent: usize,
    },
    /// A hostile peer does something.
    HostileTurn(usize),
    /// An operator looks after the indices that are held, once the world is healed.
    Operator,
    /// A script's step.
    Scripted(Action),
}

/// Everything there is.
pub(crate) struct World {
    pub(crate) options: Options,
    /// Where streams come from.
    pub(crate) draws: Draws,
    pub(crate) schedule: Schedule<Occurrence>,
    pub(crate) trace: Trace,
    pub(crate) faults: Faults,
    pub(crate) oracles: Oracles,
    pub(crate) coverage: Coverage,
    pub(crate) network: Network,
    pub(crate) store: Store,
    pub(crate) process: Option<Process>,
    pub(crate) lives: u32,
    pub(crate) lease_ms: u64,
    pub(crate) indexer: IndexerNode,
    pub(crate) agents: Vec<AgentNode>,
    /// Seeds of machines.
    pub(crate) seeds: Stream,
    /// Limits of the agents' lives.
    pub(crate) pace: Stream,
    /// Ordinary delays inside the manager and to the Indexer.
    pub(crate) latency: Stream,
    pub(crate) overlay_check: OverlayCheck,
    pub(crate) verdicts: BTreeMap<(Status, Reason), u64>,
    pub(crate) conflicts: u64,
    pub(crate) shard_commands: Vec<manager::Command<Scanned>>,
    pub(crate) coordinator_commands: Vec<coordinator::Command>,
    pub(crate) agent_commands: Vec<inventory_sync_core::agent::Command<Packet>>,
    /// The manager's wall clock.
    pub(crate) wall: WallClock,
    /// The store of the other manager, which takes over now and then.
    pub(crate) standby: Store,
    /// How often one manager took over from the other.
    pub(crate) failovers: u32,
    /// Whether the process crashes while the next record is synced.
    pub(crate) tears_record: bool,
    /// The store cannot be opened before this tick.
    pub(crate) store_shut_until: Tick,
    /// The bound of the last writer document that was written.
    pub(crate) writer_bound: Option<Version>,
    pub(crate) store_is_full: bool,
    pub(crate) store_stalled_until: Tick,
    /// The manager's process stands still up to this tick.
    pub(crate) manager_paused_until: Tick,
    /// Whether the manager's next start is with another configuration.
    pub(crate) reconfigures: bool,
    /// Frames on their way to the manager.
    pub(crate) frames_up: u64,
    /// What may wait for an agent that does not read, in bytes.
    pub(crate) unread_bytes_max: u64,
    /// Peers that no correct code would be.
    pub(crate) hostiles: Vec<Hostile>,
    /// Agents that stay broken when the others are healed.
    pub(crate) broken: BTreeSet<AgentId>,
    /// Whether agents change their content and synchronise by themselves.
    pub(crate) working: bool,
    /// Frames that a script lets go missing.
    pub(crate) losses: Vec<Loss>,
    /// When the world came to rest.
    pub(crate) rested_at: Tick,
    /// Whether everything is healed and the world is to come to rest.
    pub(crate) healed: bool,
    /// At every how many steps the machines check their own invariants.
    pub(crate) check_every: u64,
    /// The step before which, and the tick after which, the run is stopped.
    pub(crate) stop: (u64, Tick),
    /// Events that are counted apart.
    pub(crate) tally: Tally,
    /// When it was healed.
    pub(crate) healed_at: Option<Tick>,
    /// How long what agents owed then takes at most when nothing has to be waited for.
    pub(crate) backlog_ms: u64,
}

impl World {
    /// A world in its first moment.
    pub(crate) fn new(options: Options, draws: Draws, keep_text: bool) -> Self {
        let hold_up_ms = 2 * options.config.idle_timeout_ms;
        let mut world = Self {
            schedule: Schedule::new(&draws, BEGIN, options.grain_ms),
            trace: Trace::new(keep_text),
            faults: Faults::new(&draws, &options.rates),
            oracles: Oracles::new(options.config.clone(), options.seed),
            coverage: Coverage::default(),
            network: Network::new(&draws, options.link_ms, hold_up_ms),
            store: Store::new("simulated-writer"),
            process: None,
            lives: 0,
            lease_ms: 0,
            indexer: IndexerNode::new(&options),
            agents: Vec::new(),
            seeds: Stream::new(&Draws::seeded(options.seed), "machines"),
            pace: Stream::new(&draws, "pace"),
            latency: Stream::new(&draws, "inner-latency"),
            overlay_check: OverlayCheck::default(),
            verdicts: BTreeMap::new(),
            conflicts: 0,
            shard_commands: Vec::new(),
            coordinator_commands: Vec::new(),
            agent_commands: Vec::new(),
            wall: WallClock::right(EPOCH_MS),
            standby: Store::new("second-writer"),
            failovers: 0,
            tears_record: false,
            store_shut_until: Tick(0),
            writer_bound: None,
            store_is_full: false,
            store_stalled_until: Tick(0),
            manager_paused_until: Tick(0),
            reconfigures: false,
            frames_up: 0,
            unread_bytes_max: 2 << 20,
            hostiles: Vec::new(),
            broken: BTreeSet::new(),
            working: true,
            losses: Vec::new(),
            rested_at: Tick(0),
            healed: false,
            check_every: 16,
            stop: (u64::MAX, Tick(u64::MAX)),
            tally: Tally::default(),
            healed_at: None,
            backlog_ms: 0,
            options,
            draws,
        };
        for number in 0..world.options.agents {
            let id = u64::from(world.options.first_agent) + u64::from(number);
            let node = world.make_agent(AgentId(id), "");
            world.agents.push(node);
        }
        world.make_hostiles();
        world.schedule.after(0, Occurrence::StartManager);
        world
            .schedule
            .after(world.options.refresh_every_ms, Occurrence::PeriodicRefresh);
        world
    }

    /// The present.
    pub(crate) fn now(&self) -> Tick {
        self.schedule.now()
    }

    /// The true time, as the Indexer has it, in milliseconds since the Unix epoch.
    pub(crate) fn unix_ms(&self) -> u64 {
        EPOCH_MS + self.schedule.now().0
    }

    /// One step: takes what happens next.
    pub(crate) fn step(&mut self) -> bool {
        let Some(occurrence) = self.schedule.take() else {
            return false;
        };
        self.trace.step();
        self.oracles
            .begin_step(self.schedule.now(), self.trace.steps());
        match self.held_up(&occurrence) {
            Some(until) => self.schedule.at(until, occurrence),
            None => self.happen(occurrence),
        }
        self.trace.settle();
        true
    }

    fn happen(&mut self, occurrence: Occurrence) {
        match occurrence {
            Occurrence::Frame { connection, way } => {
                self.frames_up -= u64::from(way == Way::Up);
                if let Some(packet) = self.network.arrive(connection, way) {
                    self.frame_arrives(connection, way, packet);
                } else {
                    self.trace
                        .frame_vanished(self.schedule.now(), connection, way);
                }
            }
            Occurrence::StrayFrame {
                connection,
                way,
                packet,
            } => {
                self.frames_up -= u64::from(way == Way::Up);
                self.frame_arrives(connection, way, packet);
            }
            Occurrence::ReadOn(connection) => self.read_on(connection),
            Occurrence::BrokenAtManager(connection) => self.broken_at_manager(connection),
            Occurrence::BrokenAtAgent(connection) => self.broken_at_agent(connection),
            Occurrence::ShardTick { life, shard } => self.tick_shard(life, shard),
            Occurrence::ShardTold { life, shard, event } => self.tell_shard(life, shard, *event),
            Occurrence::ShardMail { life, shard } => self.open_shard_mail(life, shard),
            Occurrence::CoordinatorTick { life } => self.tick_coordinator(life),
            Occurrence::CoordinatorTold { life, event } => {
                self.trace
                    .control_answered(self.schedule.now(), life, &event);
                self.tell_coordinator(life, *event);
            }
            Occurrence::CoordinatorMail { life } => self.open_coordinator_mail(life),
            Occurrence::WallClock { life } => self.wall_clock(life),
            Occurrence::Flush { life, shard } => self.flush(life, shard),
            Occurrence::TaskDone { life, shard, task } => self.task_done(life, shard, task),
            Occurrence::MetaSynced {
                life,
                request,
                what,
                durable,
            } => {
                self.meta_synced(life, request, what, durable);
            }
            Occurrence::StartManager => self.start_process(),
            Occurrence::RequestArrives(key) => self.request_arrives(key),
            Occurrence::RequestAnswered(key, outcome) => {
                self.trace
                    .arrived(self.schedule.now(), Link::BulkAnswer(key));
                self.tell_outcome(key, *outcome);
            }
            Occurrence::RequestGivenUp(key) => self.request_given_up(key),
            Occurrence::Control {
                life,
                sent,
                command,
            } => self.control(life, sent, *command),
            Occurrence::PeriodicRefresh => {
                if !self.indexer.refresh_paused {
                    let now_ms = self.unix_ms();
                    self.indexer.model.refresh_all(now_ms);
                }
                self.schedule
                    .after(self.options.refresh_every_ms, Occurrence::PeriodicRefresh);
            }
            Occurrence::AgentTick {
                agent,
                life,
                module,
            } => self.tick_agent(agent, life, module),
            Occurrence::AgentTold {
                agent,
                life,
                module,
                event,
            } => self.tell_agent(agent, life, module, *event),
            Occurrence::RowsReadAnew {
                agent,
                life,
                module,
                job,
            } => self.read_rows_anew((agent, life, module), job),
            Occurrence::ConnectDone { agent, life } => self.connect_done(agent, life),
            Occurrence::StartAgent(agent) => self.start_agent(agent),
            Occurrence::CrashAgent { agent, life } => {
                if self.agents[agent].life == life {
                    self.crash_agent(agent, 1);
                }
            }
            Occurrence::SyncDue {
                agent,
                life,
                module,
            } => self.sync_due(agent, life, module),
            Occurrence::Churn { agent, module } => self.churn(agent, module),
            Occurrence::FaultDue(fault) => self.fault_due(fault),
            Occurrence::FaultEnds { fault, agent } => self.fault_ends(fault, agent),
            Occurrence::HostileTurn(hostile) => self.hostile_turn(hostile),
            Occurrence::Operator => self.operate(),
            Occurrence::Scripted(action) => self.act(action),
        }
    }
}
