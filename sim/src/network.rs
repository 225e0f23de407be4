//! The network between agents and manager: connections with an order of their own in each direction.
//!
//! A frame on its way takes its place in its connection's queue; what is reordered leaves the queue and
//! travels alone. Loss, duplication and delay are drawn when a frame is sent. What lasts (a clog, a narrow
//! link, a partition) is kept by agent, for it outlives a connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use inventory_sync_core::id::{AgentId, ConnectionId};
use inventory_sync_core::time::Tick;

use crate::choices::Draws;
use crate::faults::{Fault, Faults};
use crate::streams::Stream;
use crate::trace::fold_of;

/// The bytes of a frame, shared by all who hold it; hashed once.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    digest: u64,
    bytes: Rc<[u8]>,
}

impl Packet {
    /// A frame of these bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self {
            digest: fold_of(bytes.as_slice()),
            bytes: bytes.into(),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsRef<[u8]> for Packet {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Hash for Packet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.digest);
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes {:08x}", self.bytes.len(), self.digest >> 32)
    }
}

/// A direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Way {
    /// From the agent to the manager.
    Up,
    /// From the manager to the agent.
    Down,
}

/// One direction: what is on its way, in order.
#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Packet>,
    /// When the last of them arrives; nothing behind it arrives earlier.
    last_arrival: Tick,
    /// So many frames more are lost in a burst.
    burst: u64,
}

/// What is wrong with the link of an agent for a while.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Nothing arrives before this tick.
    pub(crate) clogged_until: Tick,
    /// Up to this tick the link is narrow.
    pub(crate) narrow_until: Tick,
    /// Up to this tick nothing of the agent arrives.
    pub(crate) cut_up_until: Tick,
    /// Up to this tick nothing of the manager arrives.
    pub(crate) cut_down_until: Tick,
    /// Up to this tick no connection can be made.
    pub(crate) refused_until: Tick,
    /// Up to this tick the agent reads nothing.
    pub(crate) deaf_until: Tick,
}

/// Bytes that pass through a narrow link in a millisecond.
const NARROW_BYTES_PER_MS: u64 = 4;

impl Condition {
    fn is_cut(&self, now: Tick, way: Way) -> bool {
        match way {
            Way::Up => now < self.cut_up_until,
            Way::Down => now < self.cut_down_until,
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Whose it is.
    pub(crate) agent: AgentId,
    /// Whether the manager's end is open.
    pub(crate) at_manager: bool,
    /// Whether the agent's end is open.
    pub(crate) at_agent: bool,
    /// Whether the manager does not read for now.
    pub(crate) paused: bool,
    /// Arrived while the manager did not read.
    pub(crate) unread: VecDeque<Packet>,
    /// Arrived while the agent did not read.
    pub(crate) unread_by_agent: VecDeque<Packet>,
    up: Lane,
    down: Lane,
}

/// Where a frame goes on its way.
#[derive(Debug)]
pub(crate) enum Travel {
    /// It is the next of its queue at this tick.
    Queued(Tick),
    /// It travels alone and arrives at this tick.
    Alone(Tick, Packet),
}

/// All connections there are.
#[derive(Debug)]
pub(crate) struct Network {
    connections: BTreeMap<ConnectionId, Connection>,
    made: u64,
    slowest_ms: u64,
    hold_up_ms: u64,
    latency: Stream,
    conditions: BTreeMap<AgentId, Condition>,
}

impl Network {
    /// A network whose ordinary way takes up to `slowest_ms`, and whose held up frames up to `hold_up_ms`.
    pub(crate) fn new(draws: &Draws, slowest_ms: u64, hold_up_ms: u64) -> Self {
        Self {
            connections: BTreeMap::new(),
            made: 0,
            slowest_ms,
            hold_up_ms,
            latency: Stream::new(draws, "latency"),
            conditions: BTreeMap::new(),
        }
    }

    /// What is wrong with an agent's link.
    pub(crate) fn condition(&self, agent: AgentId) -> Condition {
        self.conditions.get(&agent).copied().unwrap_or_default()
    }

    /// What is wrong with an agent's link, to be changed.
    pub(crate) fn condition_mut(&mut self, agent: AgentId) -> &mut Condition {
        self.conditions.entry(agent).or_default()
    }

    /// Whether an agent and the manager hear each other, as a connection attempt needs.
    pub(crate) fn is_cut(&self, now: Tick, agent: AgentId) -> bool {
        let condition = self.condition(agent);
        condition.is_cut(now, Way::Up) || condition.is_cut(now, Way::Down)
    }

    /// All links but those of these agents are sound again.
    pub(crate) fn heal(&mut self, broken: &BTreeSet<AgentId>) {
        self.conditions.retain(|agent, _| broken.contains(agent));
    }

    /// A new connection of an agent, open at both ends.
    pub(crate) fn connect(&mut self, agent: AgentId) -> ConnectionId {
        self.made += 1;
        let connection = Connection {
            agent,
            at_manager: true,
            at_agent: true,
            paused: false,
            unread: VecDeque::new(),
            unread_by_agent: VecDeque::new(),
            up: Lane::default(),
            down: Lane::default(),
        };
        self.connections.insert(ConnectionId(self.made), connection);
        ConnectionId(self.made)
    }

    /// A connection, while one of its ends is open.
    pub(crate) fn get(&self, connection: ConnectionId) -> Option<&Connection> {
        self.connections.get(&connection)
    }

    /// A connection, while one of its ends is open.
    pub(crate) fn get_mut(&mut self, connection: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(&connection)
    }

    /// All connections, by age.
    pub(crate) fn ids(&self) -> Vec<ConnectionId> {
        self.connections.keys().copied().collect()
    }

    /// Forgets a connection of which no end is open.
    pub(crate) fn bury(&mut self, connection: ConnectionId) {
        if self
            .connections
            .get(&connection)
            .is_some_and(|found| !found.at_agent && !found.at_manager)
        {
            self.connections.remove(&connection);
        }
    }

    /// How long something takes on its way.
    pub(crate) fn latency_ms(&mut self) -> u64 {
        self.latency.between(1, self.slowest_ms)
    }

    /// Sends a frame: where its copies go. A lost one goes nowhere.
    pub(crate) fn send(
        &mut self,
        now: Tick,
        connection: ConnectionId,
        way: Way,
        packet: &Packet,
        faults: &mut Faults,
    ) -> Vec<Travel> {
        let Some(agent) = self.get(connection).map(|found| found.agent) else {
            return Vec::new();
        };
        let condition = self.condition(agent);
        if condition.is_cut(now, way) || self.is_in_burst(connection, way, agent, faults) {
            return Vec::new();
        }
        let mut copies = 1;
        if faults.strikes_agent(Fault::FrameLost, agent) {
            copies -= 1;
        }
        if faults.strikes_agent(Fault::FrameDuplicated, agent) {
            copies += 1;
        }
        let mut travels = Vec::with_capacity(copies);
        for _ in 0..copies {
            let mut arrival = (now + self.latency_ms()).max(condition.clogged_until);
            if faults.strikes_agent(Fault::FrameReordered, agent) {
                arrival = arrival
                    + faults
                        .stream(Fault::FrameReordered)
                        .below(5 * self.slowest_ms);
                travels.push(Travel::Alone(arrival, packet.clone()));
                continue;
            }
            if faults.strikes_agent(Fault::FrameDelayed, agent) {
                arrival = arrival + faults.stream(Fault::FrameDelayed).below(self.hold_up_ms);
            }
            let Some(lane) = self.lane_mut(connection, way) else {
                continue;
            };
            if now < condition.narrow_until {
                let takes_ms = packet.bytes().len() as u64 / NARROW_BYTES_PER_MS;
                arrival = arrival.max(lane.last_arrival) + takes_ms;
            }
            lane.last_arrival = lane.last_arrival.max(arrival);
            lane.queue.push_back(packet.clone());
            travels.push(Travel::Queued(lane.last_arrival));
        }
        travels
    }

    fn lane_mut(&mut self, connection: ConnectionId, way: Way) -> Option<&mut Lane> {
        let found = self.connections.get_mut(&connection)?;
        Some(match way {
            Way::Up => &mut found.up,
            Way::Down => &mut found.down,
        })
    }

    /// Whether a burst of losses takes this frame, or begins with it.
    fn is_in_burst(
        &mut self,
        connection: ConnectionId,
        way: Way,
        agent: AgentId,
        faults: &mut Faults,
    ) -> bool {
        let begins = faults.strikes_agent(Fault::FrameBurstLost, agent);
        let Some(lane) = self.lane_mut(connection, way) else {
            return false;
        };
        if begins {
            lane.burst = faults.stream(Fault::FrameBurstLost).between(2, 20);
        }
        let is_lost = lane.burst > 0;
        lane.burst = lane.burst.saturating_sub(1);
        is_lost
    }

    /// The frame at the head of a queue has arrived.
    pub(crate) fn arrive(&mut self, connection: ConnectionId, way: Way) -> Option<Packet> {
        self.lane_mut(connection, way)?.queue.pop_front()
    }
}
