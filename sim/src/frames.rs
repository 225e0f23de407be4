//! Frames on the connections between agents and the manager: how they leave, wait, and arrive at either end.

use inventory_sync_core::agent::{Answer, Event};
use inventory_sync_core::document;
use inventory_sync_core::id::{ConnectionId, SessionId};
use inventory_sync_core::manager;
use inventory_sync_core::wire;

use crate::faults::Fault;
use crate::hostile::HOSTILE_UNREAD_MAX;
use crate::network::{Packet, Travel, Way};
use crate::store::Scanned;
use crate::world::{Occurrence, World};

impl World {
    /// Sends a frame of an agent; now and then another agent sends it again, or sends garbage.
    pub(crate) fn agent_sends(&mut self, agent: usize, connection: ConnectionId, packet: &Packet) {
        if self.agents[agent].connection != Some(connection) {
            return;
        }
        let id = self.agents[agent].id;
        if self.faults.is_on(Fault::OldFrameReplayed) {
            self.agents[agent].remember_sent(packet);
        }
        self.send_frame(connection, Way::Up, packet);
        if self.faults.strikes_agent(Fault::HostileFrame, id) {
            self.imitate(agent, packet);
        }
        if self.faults.strikes_agent(Fault::OldFrameReplayed, id)
            && let Some(old) = self.agents[agent].recall_sent(&mut self.faults)
        {
            self.send_frame(connection, Way::Up, &old);
        }
        if self.faults.strikes_agent(Fault::ConnectionReset, id) {
            self.break_connection(connection, true);
        }
        if self.faults.strikes_agent(Fault::HalfOpen, id) {
            self.break_one_end(connection);
        }
    }

    /// Another agent sends an agent's frame again, under its own identity, or it or the agent itself sends
    /// garbage.
    fn imitate(&mut self, agent: usize, packet: &Packet) {
        let stream = self.faults.stream(Fault::HostileFrame);
        let other = usize::try_from(stream.below(self.agents.len() as u64)).unwrap_or(0);
        let mut bytes = packet.bytes().to_vec();
        if other == agent || stream.chance(300_000) {
            // Garbage: the root points anywhere.
            let place = usize::try_from(stream.below(bytes.len().min(4) as u64)).unwrap_or(0);
            bytes[place] ^= 0x7f;
        }
        if self.faults.reaches(self.agents[other].id)
            && let Some(theirs) = self.agents[other].connection
        {
            self.send_frame(theirs, Way::Up, &Packet::new(bytes));
        }
    }

    /// Whether a frame is cut off or changed on its way. Then it is no frame to its receiver, and the
    /// connection ends: at the sender first, who broke off, or at the receiver, who found it out.
    fn is_mangled(&mut self, connection: ConnectionId, way: Way) -> bool {
        let Some(agent) = self.network.get(connection).map(|found| found.agent) else {
            return true;
        };
        let is_cut = self.faults.strikes_agent(Fault::FrameTruncated, agent);
        if !is_cut && !self.faults.strikes_agent(Fault::FrameFlipped, agent) {
            return false;
        }
        let arrival_ms = self.network.latency_ms();
        let sender_ms = if is_cut {
            0
        } else {
            arrival_ms + self.network.latency_ms()
        };
        let (manager_ms, agent_ms) = match way {
            Way::Up => (arrival_ms, sender_ms),
            Way::Down => (sender_ms, arrival_ms),
        };
        self.schedule
            .after(manager_ms, Occurrence::BrokenAtManager(connection));
        self.schedule
            .after(agent_ms, Occurrence::BrokenAtAgent(connection));
        true
    }

    /// A connection ends at one end. The agent never learns it, but misses answers; the manager learns it
    /// when the operating system holds the connection to be dead.
    pub(crate) fn break_one_end(&mut self, connection: ConnectionId) {
        let stream = self.faults.stream(Fault::HalfOpen);
        let (at_manager, silence_ms) = (stream.chance(500_000), stream.between(30_000, 600_000));
        let delay_ms = self.network.latency_ms();
        if at_manager {
            self.schedule
                .after(delay_ms, Occurrence::BrokenAtManager(connection));
        } else {
            self.schedule
                .after(delay_ms, Occurrence::BrokenAtAgent(connection));
            self.schedule
                .after(silence_ms, Occurrence::BrokenAtManager(connection));
        }
    }

    /// Puts a frame on its way.
    pub(crate) fn send_frame(&mut self, connection: ConnectionId, way: Way, packet: &Packet) {
        if self.is_mangled(connection, way) {
            return;
        }
        let agent = self.network.get(connection).map(|found| found.agent);
        self.oracles.judge_framing(
            agent.unwrap_or_default(),
            self.options.relays,
            packet.bytes().len(),
        );
        let now = self.now();
        let travels = if self.is_lost(connection, way) {
            Vec::new()
        } else {
            self.network
                .send(now, connection, way, packet, &mut self.faults)
        };
        self.record_frame(connection, way, packet, &travels);
        for travel in travels {
            self.frames_up += u64::from(way == Way::Up);
            match travel {
                Travel::Queued(at) => self
                    .schedule
                    .at_end(at, Occurrence::Frame { connection, way }),
                Travel::Alone(at, packet) => {
                    self.schedule.at_end(
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
        let now = self.now();
        let Some(found) = self
            .network
            .get_mut(connection)
            .filter(|found| found.at_agent)
        else {
            return;
        };
        let id = found.agent;
        if now < self.network.condition(id).deaf_until {
            return self.leave_unread(connection, packet);
        }
        if self.is_hostile(id) {
            return self.hostile_hears(connection, packet);
        }
        let Some(agent) = self.agent_on(connection) else {
            return;
        };
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
        self.judge_routing(agent, &answer);
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

    /// A message belongs to the module that it names, and to no other one; without a name, to the one whose
    /// session it is about.
    fn judge_routing(&mut self, agent: usize, answer: &Answer) {
        let (session, module) = match answer {
            Answer::StartAck(ack) => (None, &ack.module),
            Answer::EndAck(ack) => (Some(SessionId(ack.session)), &ack.module),
            Answer::ReqRet(request) => (Some(SessionId(request.session)), &request.module),
            Answer::Hello(_) => return,
        };
        let modules = self.options.config.catalogue.modules();
        let is_wrong = modules
            .iter()
            .zip(&self.agents[agent].lanes)
            .any(|(its, lane)| {
                let is_its_session = session.is_some() && lane.machine.session_id() == session;
                lane.machine.concerns(answer) != (its.name == *module || is_its_session)
            });
        if is_wrong {
            let expected = format!("a message to module {module:?} reaches that one alone");
            self.oracles
                .fail("P-3 routing", expected, format!("{answer:?}"));
        }
    }

    /// The agent whose present connection this is.
    pub(crate) fn agent_on(&self, connection: ConnectionId) -> Option<usize> {
        self.agents
            .iter()
            .position(|node| node.connection == Some(connection))
    }

    /// An agent does not read: what is written to it piles up, and beyond a limit the manager hangs up
    /// (`docs/protocol.md` section 2).
    fn leave_unread(&mut self, connection: ConnectionId, packet: &Packet) {
        let Some(found) = self.network.get_mut(connection) else {
            return;
        };
        found.unread_by_agent.push_back(packet.clone());
        let bytes: usize = found
            .unread_by_agent
            .iter()
            .map(|packet| packet.bytes().len())
            .sum();
        let (is_open, id) = (found.at_manager, found.agent);
        let most = if self.is_hostile(id) {
            HOSTILE_UNREAD_MAX
        } else {
            self.unread_bytes_max
        };
        if is_open && bytes as u64 > most {
            self.note("the manager hangs up on a slow reader");
            self.break_connection(connection, false);
        }
    }

    /// An agent reads again.
    pub(crate) fn read_what_waited(&mut self, agent: inventory_sync_core::id::AgentId) {
        for connection in self.network.ids() {
            let waiting = match self.network.get_mut(connection) {
                Some(found) if found.agent == agent => std::mem::take(&mut found.unread_by_agent),
                Some(_) | None => continue,
            };
            for packet in waiting {
                self.frame_at_agent(connection, &packet);
            }
        }
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
}
