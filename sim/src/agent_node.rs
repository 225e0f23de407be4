//! An agent: the machines of its modules over one connection, and how its process ends and starts again.
//!
//! What it holds and what it still owes the manager is in [`outbox`](crate::outbox); it survives a crash of
//! the machine. What its modules are told and ask for is in [`agent_modules`](crate::agent_modules).

use inventory_sync_core::agent::{self, Agent};
use inventory_sync_core::id::{AgentId, ConnectionId, ModuleId, Version};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire::{AgentInfo, Hello, PROTOCOL_VERSION};

use crate::faults::{Fault, Faults};
use crate::network::Packet;
use crate::outbox::Outbox;
use crate::streams::Stream;
use crate::trace::Node;
use crate::world::{EPOCH_MS, Occurrence, World};

/// First delay after a failed session.
pub(crate) const BACKOFF_BASE_MS: u64 = 200;

/// So often an agent tries to make a verdict durable.
pub(crate) const COMMITS_TRIED: u32 = 3;

/// The number of a module in the catalogue.
pub(crate) fn module_id(module: usize) -> ModuleId {
    ModuleId(u16::try_from(module).unwrap_or(0))
}

/// One module of an agent.
pub(crate) struct Lane {
    pub(crate) machine: Agent,
    pub(crate) armed: Option<Tick>,
    pub(crate) outbox: Outbox,
    /// The highest version of the manager that it heard of, kept durably.
    pub(crate) floor: Version,
    /// Commits of the verdict at hand that failed.
    pub(crate) commits_failed: u32,
    /// The last connection of whose end its machine was told.
    pub(crate) ended: Option<ConnectionId>,
    /// What the module synchronises, and how.
    pub(crate) work: Stream,
    /// When and how its content changes.
    pub(crate) churn: Stream,
}

/// One agent.
pub(crate) struct AgentNode {
    pub(crate) id: AgentId,
    /// Grows with each start of its process.
    pub(crate) life: u32,
    pub(crate) alive: bool,
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) connecting: bool,
    pub(crate) lanes: Vec<Lane>,
    /// Its process stands still up to this tick.
    pub(crate) paused_until: Tick,
    /// The version of the protocol that it speaks, and whether it says Hello.
    pub(crate) speaks: u16,
    pub(crate) greets: bool,
    /// Whether it is a second machine with another agent's identity.
    pub(crate) is_clone: bool,
    /// Whether it is gone for good, and yet counted: broken, not retired.
    pub(crate) is_lost: bool,
    /// Whether it never comes back and nobody misses it.
    pub(crate) is_retired: bool,
    /// An old copy of its database.
    pub(crate) backup: Option<Vec<(Outbox, Version)>>,
    /// Some of the frames that it ever sent.
    sent: Vec<Packet>,
    sent_count: u64,
}

/// An agent in this life of it, while it lasts.
pub(crate) fn living(agents: &mut [AgentNode], agent: usize, life: u32) -> Option<&mut AgentNode> {
    agents
        .get_mut(agent)
        .filter(|node| node.alive && node.life == life)
}

/// How many old frames are kept of an agent.
const SENT_MAX: usize = 64;

impl AgentNode {
    /// Keeps a frame, and after a while only now and then one, so that old ones stay.
    pub(crate) fn remember_sent(&mut self, packet: &Packet) {
        self.sent_count += 1;
        if self.sent.len() < SENT_MAX {
            self.sent.push(packet.clone());
        } else if self.sent_count.is_multiple_of(16) {
            let place = usize::try_from(self.sent_count / 16).unwrap_or(0) % SENT_MAX;
            self.sent[place] = packet.clone();
        }
    }

    /// An old frame.
    pub(crate) fn recall_sent(&self, faults: &mut Faults) -> Option<Packet> {
        let count = self.sent.len() as u64;
        let place = faults.stream(Fault::OldFrameReplayed).below(count);
        self.sent.get(usize::try_from(place).unwrap_or(0)).cloned()
    }
}

/// The name of an agent, as it stands in its documents.
pub(crate) fn agent_name(agent: AgentId) -> String {
    format!("host \"{agent}\"")
}

/// The versions that an agent says it has, one after the other.
pub(crate) const AGENT_VERSIONS: [&str; 2] = ["v1", "v2"];

pub(crate) fn agent_info(agent: AgentId) -> AgentInfo {
    AgentInfo {
        name: agent_name(agent),
        version: AGENT_VERSIONS[0].to_owned(),
        os_name: "Dębian".to_owned(),
        os_version: "1\u{1f}\t".to_owned(),
        groups: vec!["a\\b".to_owned(), String::new()],
        ..AgentInfo::default()
    }
}

impl World {
    /// A new agent with nothing in it; `role` distinguishes the streams of a clone.
    pub(crate) fn make_agent(&mut self, id: AgentId, role: &str) -> AgentNode {
        let modules = self.options.config.catalogue.modules().len();
        let floor = self.first_floor(id);
        let lanes = (0..modules)
            .map(|module| Lane {
                machine: self.make_machine(id, module, floor, (PROTOCOL_VERSION, false)),
                armed: None,
                outbox: Outbox::new(
                    id,
                    &self.options,
                    ModuleId(u16::try_from(module).unwrap_or(0)),
                ),
                floor,
                commits_failed: 0,
                ended: None,
                work: Stream::new(&self.draws, &format!("{role}work/{id}/{module}")),
                churn: Stream::new(&self.draws, &format!("{role}churn/{id}/{module}")),
            })
            .collect();
        AgentNode {
            id,
            life: 1,
            alive: true,
            connection: None,
            connecting: false,
            lanes,
            paused_until: Tick(0),
            speaks: PROTOCOL_VERSION,
            greets: false,
            is_clone: false,
            is_lost: false,
            is_retired: false,
            backup: None,
            sent: Vec::new(),
            sent_count: 0,
        }
    }

    /// What an agent remembers of a former manager. A successor with a store of its own may not know of a bound
    /// of one agent: together with a take-over nobody remembers anything.
    fn first_floor(&self, id: AgentId) -> Version {
        let ahead_ms = self.options.floor_ahead_ms;
        if ahead_ms == 0 || id.0.is_multiple_of(2) || self.faults.is_on(Fault::ManagerFailover) {
            return Version(0);
        }
        Version::from_unix_ms(EPOCH_MS + ahead_ms)
    }

    fn make_machine(
        &mut self,
        id: AgentId,
        module: usize,
        floor: Version,
        (speaks, greets): (u16, bool),
    ) -> Agent {
        let name = self.options.config.catalogue.modules()[module].name.clone();
        let mut config = agent::Config::new(id, &name);
        let times = self.options.agent_times();
        config.info = agent_info(id);
        config.version_floor = floor;
        config.protocol_version = speaks;
        config.hello = (greets && module == 0).then(|| Hello {
            protocol_version: speaks,
            agent_id: id.0,
            agent_name: agent_name(id),
            agent_version: AGENT_VERSIONS[0].to_owned(),
            features: 0,
        });
        config.answer_timeout_ms = times.answer_timeout_ms;
        if speaks == 0 {
            // Nobody says Processing to a base peer: it waits as long as a delivery may take.
            let manager = &self.options.config;
            config.answer_timeout_ms += manager.idle_timeout_ms + manager.delivery_deadline_ms;
            config.answer_timeout_ms += self.options.round_ms();
        }
        config.processing_poll_ms = times.processing_poll_ms;
        config.session_max_ms = self
            .options
            .config
            .session_max_ms
            .max(config.processing_poll_ms)
            .max(config.answer_timeout_ms);
        config.connect_timeout_ms = times.connect_timeout_ms;
        config.backoff_base_ms = BACKOFF_BASE_MS;
        config.backoff_max_ms = times.backoff_max_ms;
        config.commit_attempts_max = COMMITS_TRIED;
        config.load_items_max = 8;
        config.load_bytes_max = 3 * self.options.frame_bytes_max;
        if self.options.paced {
            self.set_pace(&mut config);
        }
        Agent::new(config, self.seeds.seed())
    }

    /// Limits of one life of an agent. By default they are those of all others.
    fn set_pace(&mut self, config: &mut agent::Config) {
        let pace = &mut self.pace;
        pace.episode();
        config.starts_max = *pace.pick(&[config.starts_max, 1, 2]);
        config.ends_max = *pace.pick(&[config.ends_max, 1, 2]);
        // As many pieces as are read at once arrive in any order, and a manager may bear few gaps.
        config.loads_max = *pace.pick(&[config.loads_max, 1, 3]);
        config.load_items_max = *pace.pick(&[config.load_items_max, 1, 512]);
        config.load_bytes_max = *pace.pick(&[config.load_bytes_max, 1, 1 << 20]);
        config.items_per_second = *pace.pick(&[0, 0, 20, 1_000]);
        config.ranges_per_request_max = *pace.pick(&[config.ranges_per_request_max, 1, 3]);
    }

    /// The agent's process dies: its machines are lost, its outbox is kept.
    pub(crate) fn crash_agent(&mut self, agent: usize, down_ms: u64) {
        let node = &mut self.agents[agent];
        if !std::mem::replace(&mut node.alive, false) {
            return;
        }
        node.connecting = false;
        self.oracles.agent_gone(node.id);
        node.paused_until = Tick(0);
        if let Some(connection) = node.connection.take() {
            self.hang_up(connection);
        }
        self.note("an agent crashes");
        self.trace
            .down(self.schedule.now(), Node::Agent(self.agents[agent].id.0));
        self.schedule.after(down_ms, Occurrence::StartAgent(agent));
    }

    /// The agent's process starts again.
    pub(crate) fn start_agent(&mut self, agent: usize) {
        let node = &self.agents[agent];
        if node.alive || node.is_retired || node.is_lost {
            return;
        }
        let id = self.agents[agent].id;
        for module in 0..self.agents[agent].lanes.len() {
            let floor = self.agents[agent].lanes[module].floor;
            let spoken = (self.agents[agent].speaks, self.agents[agent].greets);
            let machine = self.make_machine(id, module, floor, spoken);
            let lane = &mut self.agents[agent].lanes[module];
            lane.machine = machine;
            lane.armed = None;
            lane.ended = None;
            lane.outbox.restarted();
        }
        self.trace.up(self.schedule.now(), Node::Agent(id.0));
        let node = &mut self.agents[agent];
        node.alive = true;
        node.life += 1;
        let life = node.life;
        for module in 0..self.agents[agent].lanes.len() {
            self.schedule.after(
                10,
                Occurrence::SyncDue {
                    agent,
                    life,
                    module,
                },
            );
        }
    }
}
