//! Connections between agents and the manager: how they come, and how each end learns that they are gone.

use inventory_sync_core::agent::Event;
use inventory_sync_core::id::{AgentId, ConnectionId};
use inventory_sync_core::manager::{self, ConnectionKind};

use crate::agent_node::living;
use crate::world::{Occurrence, World};

impl World {
    pub(crate) fn reconnect(
        &mut self,
        agent: usize,
        life: u32,
        module: usize,
        instead_of: Option<ConnectionId>,
    ) {
        let node = &mut self.agents[agent];
        if let Some(connection) = node.connection
            && Some(connection) > instead_of
        {
            let event = Box::new(Event::Connected { connection });
            self.schedule.after(
                0,
                Occurrence::AgentTold {
                    agent,
                    life,
                    module,
                    event,
                },
            );
            return;
        }
        if std::mem::replace(&mut node.connecting, true) {
            return;
        }
        if let Some(connection) = node.connection.take() {
            self.hang_up(connection);
        }
        let delay_ms = 2 * self.network.latency_ms();
        self.schedule
            .after(delay_ms, Occurrence::ConnectDone { agent, life });
    }

    /// An attempt to connect has ended.
    pub(crate) fn connect_done(&mut self, agent: usize, life: u32) {
        let Some(node) = living(&mut self.agents, agent, life) else {
            return;
        };
        node.connecting = false;
        let id = node.id;
        let now = self.now();
        let condition = self.network.condition(id);
        let is_unreachable = self.network.is_cut(now, id) || now < condition.clogged_until;
        // What the manager accepts the agent may have given up by then.
        let is_given_up = now < condition.refused_until;
        let accepted = if is_unreachable {
            None
        } else {
            self.accept(id)
        };
        let event = match accepted {
            Some(connection) if is_given_up => {
                self.hang_up(connection);
                Event::ConnectFailed
            }
            Some(connection) => {
                self.agents[agent].connection = Some(connection);
                Event::Connected { connection }
            }
            None => Event::ConnectFailed,
        };
        for module in 0..self.agents[agent].lanes.len() {
            self.tell_agent(agent, life, module, event.clone());
        }
    }

    /// The manager accepts a connection, if it is there and not about to stop.
    pub(crate) fn accept(&mut self, id: AgentId) -> Option<ConnectionId> {
        let process = self.process.as_ref().filter(|process| !process.stopping)?;
        let life = process.life;
        let connection = self.network.connect(id);
        let kind = self.connection_kind();
        let shard = self.shard_of(id);
        self.tell_shard(life, shard, manager::Event::Opened { connection, kind });
        Some(connection)
    }

    /// The agent closes its end.
    pub(crate) fn hang_up(&mut self, connection: ConnectionId) {
        if let Some(found) = self.network.get_mut(connection) {
            found.at_agent = false;
        }
        let delay_ms = self.network.latency_ms();
        self.schedule
            .after(delay_ms, Occurrence::BrokenAtManager(connection));
    }

    /// A connection breaks: at once at one end, or at neither, and a while later at the other.
    pub(crate) fn break_connection(&mut self, connection: ConnectionId, from_outside: bool) {
        let (first_ms, second_ms) = (self.network.latency_ms(), 5 * self.network.latency_ms());
        if from_outside {
            self.schedule
                .after(first_ms, Occurrence::BrokenAtManager(connection));
            self.schedule
                .after(second_ms, Occurrence::BrokenAtAgent(connection));
        } else {
            self.schedule
                .after(0, Occurrence::BrokenAtManager(connection));
            self.schedule
                .after(second_ms, Occurrence::BrokenAtAgent(connection));
        }
    }

    pub(crate) fn broken_at_manager(&mut self, connection: ConnectionId) {
        let Some(found) = self.network.get_mut(connection) else {
            return;
        };
        let was_open = std::mem::replace(&mut found.at_manager, false);
        found.unread.clear();
        let agent = found.agent;
        self.network.bury(connection);
        if let (true, Some(life)) = (was_open, self.process.as_ref().map(|process| process.life)) {
            let shard = self.shard_of(agent);
            self.tell_shard(life, shard, manager::Event::Closed { connection });
        }
    }

    pub(crate) fn broken_at_agent(&mut self, connection: ConnectionId) {
        let Some(found) = self.network.get_mut(connection) else {
            return;
        };
        found.at_agent = false;
        found.unread_by_agent.clear();
        let owner = found.agent;
        self.network.bury(connection);
        if self.is_hostile(owner) {
            return self.hostile_loses(connection);
        }
        if let Some(agent) = self.agent_on(connection) {
            self.agents[agent].connection = None;
            let life = self.agents[agent].life;
            for module in 0..self.agents[agent].lanes.len() {
                self.tell_agent(agent, life, module, Event::Disconnected { connection });
            }
        }
    }

    /// What kind the connections of this world are.
    pub(crate) fn connection_kind(&self) -> ConnectionKind {
        if self.options.relays {
            ConnectionKind::Relay
        } else {
            ConnectionKind::Agent
        }
    }
}
