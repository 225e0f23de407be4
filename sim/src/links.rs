//! Both ends of the connections: frames that leave and arrive, connections that come and break.

use inventory_sync_core::agent::{Answer, Event};
use inventory_sync_core::document;
use inventory_sync_core::id::{ConnectionId, SessionId};
use inventory_sync_core::manager::{self, ConnectionKind};
use inventory_sync_core::wire;

use crate::faults::Fault;
use crate::network::{Packet, Travel, Way};
use crate::store::Scanned;
use crate::world::{Occurrence, World};

impl World {
    /// Sends a frame of an agent; now and then another agent sends it again, or sends garbage.
    pub(crate) fn agent_sends(&mut self, agent: usize, connection: ConnectionId, packet: &Packet) {
        if self.agents[agent].connection != Some(connection) {
            return;
        }
        self.send_frame(connection, Way::Up, packet);
        if self.faults.strikes(Fault::HostileFrame) {
            let stream = self.faults.stream(Fault::HostileFrame);
            let other = usize::try_from(stream.below(self.agents.len() as u64)).unwrap_or(0);
            let mut bytes = packet.bytes().to_vec();
            if other == agent || stream.chance(300_000) {
                // Garbage: the root points anywhere.
                let place = usize::try_from(stream.below(bytes.len().min(4) as u64)).unwrap_or(0);
                bytes[place] ^= 0x7f;
            }
            if let Some(theirs) = self.agents[other].connection {
                self.send_frame(theirs, Way::Up, &Packet::new(bytes));
            }
        }
        if self.faults.strikes(Fault::ConnectionReset) {
            self.break_connection(connection, true);
        }
    }

    /// Puts a frame on its way.
    pub(crate) fn send_frame(&mut self, connection: ConnectionId, way: Way, packet: &Packet) {
        let now = self.now();
        let travels = if self.is_lost(connection, way) {
            Vec::new()
        } else {
            self.network
                .send(now, connection, way, packet, &mut self.faults)
        };
        self.record_frame(connection, way, packet, &travels);
        for travel in travels {
            match travel {
                Travel::Queued(at) => self.schedule.at(at, Occurrence::Frame { connection, way }),
                Travel::Alone(at, packet) => {
                    self.schedule.at(
                        at,
                        Occurrence::StrayFrame {
                            connection,
                            way,
                            packet,
                        },
                    );
                }
            }
        }
    }

    /// A frame has arrived at the agent's end of a connection.
    pub(crate) fn frame_at_agent(&mut self, connection: ConnectionId, packet: &Packet) {
        let Some(found) = self.network.get(connection).filter(|found| found.at_agent) else {
            return;
        };
        let Some(agent) = self.agents.iter().position(|node| node.id == found.agent) else {
            return;
        };
        if self.agents[agent].connection != Some(connection) {
            return;
        }
        let Some(answer) = wire::decode(packet.bytes())
            .ok()
            .and_then(Answer::from_message)
        else {
            self.oracles.fail(
                "P-1 frames",
                "the manager sends messages of a manager",
                format!("{packet:?}"),
            );
            return;
        };
        let life = self.agents[agent].life;
        for module in 0..self.agents[agent].lanes.len() {
            if self.agents[agent].lanes[module].machine.concerns(&answer) {
                let answer = answer.clone();
                let module_id =
                    inventory_sync_core::id::ModuleId(u16::try_from(module).unwrap_or(0));
                self.oracles
                    .agent_hears(self.agents[agent].id, module_id, &answer);
                self.tell_agent(agent, life, module, Event::Received { connection, answer });
            }
        }
    }

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
        let Some(node) = self
            .agents
            .get_mut(agent)
            .filter(|node| node.alive && node.life == life)
        else {
            return;
        };
        node.connecting = false;
        let id = node.id;
        let event = match &self.process {
            Some(process) if !process.stopping => {
                let manager_life = process.life;
                let connection = self.network.connect(id);
                self.agents[agent].connection = Some(connection);
                let kind = self.connection_kind();
                let shard = self.shard_of(id);
                let opened = inventory_sync_core::manager::Event::Opened { connection, kind };
                self.tell_shard(manager_life, shard, opened);
                Event::Connected { connection }
            }
            Some(_) | None => Event::ConnectFailed,
        };
        for module in 0..self.agents[agent].lanes.len() {
            self.tell_agent(agent, life, module, event.clone());
        }
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

    pub(crate) fn frame_arrives(&mut self, connection: ConnectionId, way: Way, packet: Packet) {
        let now = self.now();
        self.trace.frame_arrived(now, connection, way, &packet);
        match way {
            Way::Up => self.frame_at_manager(connection, packet),
            Way::Down => self.frame_at_agent(connection, &packet),
        }
    }

    pub(crate) fn read_on(&mut self, connection: ConnectionId) {
        let Some(found) = self
            .network
            .get_mut(connection)
            .filter(|found| !found.paused)
        else {
            return;
        };
        if let Some(packet) = found.unread.pop_front() {
            self.frame_at_manager(connection, packet);
            self.schedule.after(0, Occurrence::ReadOn(connection));
        }
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
        let owner = found.agent;
        self.network.bury(connection);
        let Some(agent) = self.agents.iter().position(|node| node.id == owner) else {
            return;
        };
        if self.agents[agent].connection == Some(connection) {
            self.agents[agent].connection = None;
            let life = self.agents[agent].life;
            for module in 0..self.agents[agent].lanes.len() {
                let event = inventory_sync_core::agent::Event::Disconnected { connection };
                self.tell_agent(agent, life, module, event);
            }
        }
    }

    /// A frame has arrived at the manager's end of a connection.
    pub(crate) fn frame_at_manager(
        &mut self,
        connection: inventory_sync_core::id::ConnectionId,
        packet: Packet,
    ) {
        let Some(life) = self.process.as_ref().map(|process| process.life) else {
            return;
        };
        let Some(found) = self
            .network
            .get_mut(connection)
            .filter(|found| found.at_manager)
        else {
            return;
        };
        if found.paused {
            found.unread.push_back(packet);
            self.trace.held();
            return;
        }
        let agent = found.agent;
        let shard = self.shard_of(agent);
        let peer = inventory_sync_core::id::Peer { connection, agent };
        if let Some(event) = self.read_frame(peer, &packet) {
            self.tell_shard(life, shard, event);
        }
    }

    fn read_frame(
        &self,
        peer: inventory_sync_core::id::Peer,
        packet: &Packet,
    ) -> Option<manager::Event<Scanned>> {
        use inventory_sync_core::manager::{Event, FrameFlaw};
        use wire::Message;
        let scheme = &self.process.as_ref()?.scheme;
        let bad = |flaw| Some(Event::BadFrame { peer, flaw });
        let Ok(message) = wire::decode(packet.bytes()) else {
            return bad(FrameFlaw::Unverifiable);
        };
        match message {
            Message::Start(start) => {
                let digest = xxhash_rust::xxh3::xxh3_128(packet.bytes()).to_le_bytes();
                Some(Event::Start {
                    peer,
                    start,
                    digest,
                })
            }
            Message::End(end) => Some(Event::End {
                peer,
                session: SessionId(end.session),
            }),
            Message::Hello(hello) => Some(Event::Hello {
                peer,
                hello: Box::new(hello),
            }),
            Message::Data(_) | Message::DataBatch(_) => {
                let items = document::Items::of(&message)?;
                let bytes = packet.bytes().len() as u64;
                let (frame, table) = document::scan(scheme, peer.agent, &items, bytes);
                Some(Event::Items {
                    peer,
                    frame,
                    payload: Scanned::new(packet.clone(), table),
                })
            }
            Message::StartAck(_) | Message::EndAck(_) | Message::ReqRet(_) => {
                bad(FrameFlaw::WrongDirection)
            }
            Message::DataClean(_) => bad(FrameFlaw::UnknownMember(8)),
            Message::DataContext(_) => bad(FrameFlaw::UnknownMember(9)),
            Message::ChecksumModule(_) => bad(FrameFlaw::UnknownMember(10)),
            Message::Unknown { union_type } => bad(FrameFlaw::UnknownMember(union_type)),
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
