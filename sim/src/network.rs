//! The network between agents and manager: connections with an order of their own in each direction.
//!
//! A frame on its way takes its place in its connection's queue; what is reordered leaves the queue and
//! travels alone. Loss, duplication and delay are drawn when a frame is sent.

use std::collections::{BTreeMap, VecDeque};
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
        }
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
        let mut copies = 1;
        if faults.strikes(Fault::FrameLost) {
            copies -= 1;
        }
        if faults.strikes(Fault::FrameDuplicated) {
            copies += 1;
        }
        let mut travels = Vec::with_capacity(copies);
        for _ in 0..copies {
            let mut arrival = now + self.latency_ms();
            if faults.strikes(Fault::FrameReordered) {
                arrival = arrival
                    + faults
                        .stream(Fault::FrameReordered)
                        .below(5 * self.slowest_ms);
                travels.push(Travel::Alone(arrival, packet.clone()));
                continue;
            }
            if faults.strikes(Fault::FrameDelayed) {
                arrival = arrival + faults.stream(Fault::FrameDelayed).below(self.hold_up_ms);
            }
            let Some(found) = self.connections.get_mut(&connection) else {
                continue;
            };
            let lane = match way {
                Way::Up => &mut found.up,
                Way::Down => &mut found.down,
            };
            lane.last_arrival = lane.last_arrival.max(arrival);
            lane.queue.push_back(packet.clone());
            travels.push(Travel::Queued(lane.last_arrival));
        }
        travels
    }

    /// The frame at the head of a queue has arrived.
    pub(crate) fn arrive(&mut self, connection: ConnectionId, way: Way) -> Option<Packet> {
        let found = self.connections.get_mut(&connection)?;
        match way {
            Way::Up => found.up.queue.pop_front(),
            Way::Down => found.down.queue.pop_front(),
        }
    }
}
