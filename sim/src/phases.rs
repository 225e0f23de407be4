//! The phases of a run: chaos, healing of all or of a part, and what the world still waits for.
//!
//! ```text
//!             Everything                 Core                            Nothing
//!  chaos      all are struck             all are struck                  only the broken are struck
//!  healing    all are sound              the broken stay as they are,    the broken are struck further
//!                                        frozen for ever
//!  rest       all equal                  the healthy equal               the healthy equal
//! ```

use std::collections::BTreeSet;

use inventory_sync_core::id::{AgentId, ConnectionId};
use inventory_sync_core::time::Tick;

use crate::faults::Fault;
use crate::options::Healing;
use crate::pending::Pending;
use crate::streams::Stream;
use crate::trace::Node;
use crate::world::{Occurrence, World};

/// Between two looks of an operator at the indices, in milliseconds.
const OPERATOR_MS: u64 = 5_000;

impl World {
    /// Everything that the world waits for, agents first.
    pub(crate) fn all_pending(&self) -> Vec<Pending> {
        let Some(process) = &self.process else {
            return vec![Pending::ManagerDown];
        };
        let mut pending = Vec::new();
        for node in self.agents.iter().filter(|node| !node.is_retired) {
            if !node.alive {
                pending.push(Pending::AgentDown { agent: node.id });
            }
            for (module, lane) in node.lanes.iter().enumerate() {
                if !lane.outbox.is_clear() {
                    pending.push(Pending::Owed {
                        agent: node.id,
                        module,
                        documents: lane.outbox.pending.len(),
                        waits: lane.machine.pending(),
                    });
                }
            }
        }
        let hostiles = self.hostiles.iter().map(|hostile| hostile.id);
        let active = hostiles.filter(|id| !self.healed || self.broken.contains(id));
        pending.extend(active.map(|agent| Pending::Hostile { agent }));
        let open = self.oracles.open_sessions();
        pending.extend(open.map(|agent| Pending::Session { agent }));
        // What the broken keep going keeps the manager busy too.
        if !self.is_restless() {
            if self.frames_up > 0 {
                let frames = self.frames_up;
                pending.push(Pending::Frames { frames });
            }
            if self.indexer.is_busy() {
                pending.push(Pending::Request);
            }
            for (shard, of) in process.shards.iter().enumerate() {
                let reason = of.machine.pending();
                pending.extend(reason.map(|reason| Pending::Shard { shard, reason }));
            }
        }
        let reason = process.coordinator.pending();
        let is_excused = self.is_restless() && reason == Some("an agent waits for a listing");
        if !is_excused {
            pending.extend(reason.map(|reason| Pending::Coordinator { reason }));
        }
        // Behind a stop the next process begins.
        if process.stopping {
            pending.push(Pending::ManagerStopping);
        }
        pending
    }

    /// What the world still waits for, the broken aside; nothing when it is at rest.
    pub(crate) fn pending(&self) -> Option<Pending> {
        let is_excused =
            |pending: &Pending| pending.agent().is_some_and(|id| self.broken.contains(&id));
        self.all_pending()
            .into_iter()
            .find(|pending| !is_excused(pending))
    }

    /// Whether the broken go on for ever with what they do: they try again, or they are hostile.
    pub(crate) fn is_restless(&self) -> bool {
        let stands_still = |id: AgentId| {
            let mut nodes = self.agents.iter().filter(|node| node.id == id);
            nodes.all(|node| node.is_lost || node.paused_until == Tick(u64::MAX))
        };
        let go_on = self.options.healing == Healing::Nothing;
        self.broken
            .iter()
            .any(|id| go_on || self.is_hostile(*id) || !stands_still(*id))
    }

    /// Faults begin: everywhere, or, where nothing is going to heal, with a part of the agents.
    pub(crate) fn wake_faults(&mut self) {
        if self.options.healing == Healing::Nothing {
            self.choose_broken();
            self.faults.confine(self.broken.clone());
        } else {
            self.faults.wake();
        }
        self.begin_hostility();
    }

    /// Some of the agents, never all of them, and some of the hostile peers.
    fn choose_broken(&mut self) {
        let mut stream = Stream::new(&self.draws, "broken");
        let mut ids: Vec<AgentId> = (1..=u64::from(self.options.agents)).map(AgentId).collect();
        let spared = usize::try_from(stream.below(ids.len() as u64)).unwrap_or(0);
        ids.remove(spared);
        let mut broken: BTreeSet<AgentId> =
            ids.into_iter().filter(|_| stream.chance(600_000)).collect();
        for hostile in &self.hostiles {
            if self.options.healing == Healing::Nothing || stream.chance(500_000) {
                broken.insert(hostile.id);
            }
        }
        self.broken = broken;
    }

    /// A broken agent stays as it is, one way or another.
    fn leave_broken(&mut self, stream: &mut Stream) {
        let for_ever = Tick(u64::MAX);
        for agent in 0..self.agents.len() {
            let id = self.agents[agent].id;
            if !self.broken.contains(&id) || self.agents[agent].is_clone {
                continue;
            }
            let condition = self.network.condition_mut(id);
            match stream.below(7) {
                0 => {
                    self.crash_agent(agent, 0);
                    self.agents[agent].is_lost = true;
                }
                1 => self.agents[agent].paused_until = for_ever,
                2 => condition.cut_up_until = for_ever,
                3 => condition.cut_down_until = for_ever,
                4 => {
                    condition.cut_up_until = for_ever;
                    condition.cut_down_until = for_ever;
                }
                5 => condition.deaf_until = for_ever,
                _ => condition.narrow_until = for_ever,
            }
        }
    }

    /// How long the sessions that agents owe take, one after the other: a manager may take one at a time, and a
    /// session may carry one item.
    fn backlog_ms(&self) -> u64 {
        let options = &self.options;
        let lanes = self.agents.iter().flat_map(|node| &node.lanes);
        let each = lanes.map(|lane| {
            let outbox = &lane.outbox;
            let changes = outbox.pending.len() as u64;
            let all = if outbox.owes_full() {
                outbox.wanted.len() as u64
            } else {
                0
            };
            let sessions = changes.div_ceil(u64::from(options.delta_items_max).max(1)) + 1;
            sessions * options.session_ms() + (changes + all) * 2 * options.indexer_ms
        });
        each.sum()
    }

    /// How long the world has to come to rest from its healing on: as its options say, or its waiting and its work.
    pub(crate) fn converge_bound_ms(&self) -> u64 {
        let waiting_ms = self.options.converge_bound_ms();
        match self.options.converge_ms {
            0 => waiting_ms.saturating_add(self.backlog_ms),
            _ => waiting_ms,
        }
    }

    /// What is to be repaired is repaired, nothing new goes wrong with it, healthy agents change nothing.
    pub(crate) fn heal(&mut self) {
        self.trace
            .note(self.schedule.now(), Node::World, '*', &"healed");
        self.trace.phase(self.schedule.now(), "healed");
        if self.options.healing != Healing::Nothing {
            self.leave_half_open();
        }
        match self.options.healing {
            Healing::Everything => self.faults.freeze(),
            Healing::Core => {
                self.faults.freeze();
                self.choose_broken();
            }
            Healing::Nothing => {}
        }
        self.working = false;
        self.healed = true;
        self.healed_at = Some(self.now());
        self.backlog_ms = self.backlog_ms();
        self.heal_links();
        self.heal_manager();
        self.heal_indexer();
        if self.options.healing == Healing::Core {
            let mut stream = Stream::new(&self.draws, "how-broken");
            self.leave_broken(&mut stream);
        }
        self.operate();
        for agent in 0..self.agents.len() {
            self.heal_agent(agent);
        }
    }

    /// In the last moment connections end at one end alone: that is nothing a network could repair, so the other
    /// end has to find out.
    fn leave_half_open(&mut self) {
        let connections: Vec<ConnectionId> = self
            .agents
            .iter()
            .filter_map(|node| node.connection)
            .collect();
        for connection in connections {
            if self.faults.strikes_often(Fault::HalfOpen) {
                self.break_one_end(connection);
            }
        }
    }

    fn heal_links(&mut self) {
        self.network.heal(&self.broken);
        let ids: Vec<AgentId> = self.agents.iter().map(|node| node.id).collect();
        for id in ids {
            if !self.broken.contains(&id) {
                self.read_what_waited(id);
            }
        }
    }

    fn heal_manager(&mut self) {
        let now = self.now();
        self.wall.run_at(now, 1_000);
        self.store_is_full = false;
        self.tears_record = false;
        self.store_shut_until = now;
        self.store_stalled_until = now;
        self.manager_paused_until = now;
        if self.faults.is_on(Fault::MemoryCap) {
            let config = &self.options.config;
            self.set_quota(config.items_max, config.bytes_max);
        }
    }

    fn heal_indexer(&mut self) {
        self.indexer.reachable = true;
        self.indexer.refuses = None;
        self.indexer.misfit = None;
        self.indexer.mapping_refuses = None;
        self.indexer.refresh_paused = false;
        self.indexer.scripted.clear();
        self.indexer.set_red(false);
        self.indexer.set_blocked(None, false);
        self.open_indices();
    }

    fn heal_agent(&mut self, agent: usize) {
        let id = self.agents[agent].id;
        if self.broken.contains(&id) || self.agents[agent].is_retired {
            return;
        }
        if self.agents[agent].is_clone {
            // The clones are gone, and what they left is removed by the Full that their originals owe.
            let original = self
                .agents
                .iter()
                .position(|node| node.id == id && !node.is_clone);
            return self.clone_goes(original.unwrap_or(agent));
        }
        self.agents[agent].paused_until = self.now();
        let life = self.agents[agent].life;
        for module in 0..self.agents[agent].lanes.len() {
            self.agents[agent].lanes[module].outbox.heal();
            let due = Occurrence::SyncDue {
                agent,
                life,
                module,
            };
            self.schedule.after(0, due);
        }
    }

    /// An operator lets what is held try again, until the end.
    pub(crate) fn operate(&mut self) {
        let before = self.trace.events();
        self.operator_resumes();
        self.tally.routine += self.trace.events() - before;
        self.schedule.after(OPERATOR_MS, Occurrence::Operator);
    }
}
