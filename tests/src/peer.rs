//! The four kinds of peers that the daemon must bear: on TLS and behind a relay, current and base.

use inventory_sync_core::agent::Answer;
use inventory_sync_core::wire::{EndAck, Start, Status, encode_start};

use crate::World;
use crate::connection::{Connection, Endpoint};
use crate::daemon::Daemon;
use crate::session::{base_start, start};

/// How frames reach the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The agent's own connection.
    Tls,
    /// A relay on the Unix socket, which speaks for any agent.
    Relay,
}

/// How a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// On which connection.
    pub way: Way,
    /// It knows Ok and Error only.
    pub is_base: bool,
}

impl Peer {
    /// All kinds.
    pub const ALL: [Self; 4] = [
        Self::new(Way::Tls, false),
        Self::new(Way::Tls, true),
        Self::new(Way::Relay, false),
        Self::new(Way::Relay, true),
    ];

    const fn new(way: Way, is_base: bool) -> Self {
        Self { way, is_base }
    }

    /// A Delta as this peer announces it.
    #[must_use]
    pub fn start(self, agent: u64, size: u64) -> Start {
        if self.is_base {
            base_start(agent, size)
        } else {
            start(agent, size, agent << 32 | 1)
        }
    }

    /// The status with which it learns of something that is Offline to others.
    #[must_use]
    pub const fn offline(self) -> Status {
        if self.is_base {
            Status::Error
        } else {
            Status::Offline
        }
    }

    /// Two agents that speak like this; on the relay they share the connection.
    ///
    /// # Panics
    /// When the daemon is not there.
    pub async fn two(self, world: &World, daemon: &Daemon, agents: [u64; 2]) -> Two {
        let [first, second] = agents;
        match self.way {
            Way::Tls => Two {
                agents,
                connection: Connection::open(&world.endpoint(first)).await.unwrap(),
                second: Some(Connection::open(&world.endpoint(second)).await.unwrap()),
            },
            Way::Relay => Two {
                agents,
                connection: Connection::open(&relay(daemon, first)).await.unwrap(),
                second: None,
            },
        }
    }
}

/// The daemon's Unix socket, for frames of that agent.
#[must_use]
pub fn relay(daemon: &Daemon, agent: u64) -> Endpoint {
    Endpoint::Unix {
        path: daemon.setup.socket(),
        agent,
    }
}

/// Two agents and what they speak over.
pub struct Two {
    agents: [u64; 2],
    connection: Connection,
    second: Option<Connection>,
}

impl Two {
    /// The connection, speaking for the first or the second agent.
    ///
    /// # Panics
    /// When there is no such agent.
    pub fn connection(&mut self, which: usize) -> &mut Connection {
        match &mut self.second {
            Some(second) if which == 1 => second,
            Some(_) => &mut self.connection,
            None => {
                self.connection.speak_for(self.agents[which]);
                &mut self.connection
            }
        }
    }

    /// The next answer; on a relay it must name that agent.
    ///
    /// # Panics
    /// When none comes, or it is another agent's.
    pub async fn answer(&mut self, which: usize) -> Answer {
        let agent = self.agents[which];
        let (named, answer) = self.connection(which).answer_to().await;
        if let Some(named) = named {
            assert_eq!(named, agent, "{answer:?} was for agent {agent}");
        }
        answer
    }

    /// The next answer, which is an `EndAck`.
    ///
    /// # Panics
    /// When it is not.
    pub async fn end_ack(&mut self, which: usize, what: &str) -> EndAck {
        match self.answer(which).await {
            Answer::EndAck(ack) => *ack,
            other => panic!("{what}: an EndAck was due, this came: {other:?}"),
        }
    }

    /// The verdict: behind one Processing for a current peer, at once for a base one.
    ///
    /// # Panics
    /// When something else comes.
    pub async fn verdict(&mut self, which: usize, is_base: bool, what: &str) -> EndAck {
        if !is_base {
            let ack = self.end_ack(which, what).await;
            assert_eq!(ack.status, Status::Processing, "{what}: {ack:?}");
        }
        self.end_ack(which, what).await
    }

    /// Opens a session.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn open_session(&mut self, which: usize, start: &Start) -> u64 {
        self.send(which, &encode_start(start)).await;
        match self.answer(which).await {
            Answer::StartAck(ack) if ack.status == Status::Ok => ack.session,
            other => panic!("{other:?} to {start:?}"),
        }
    }

    /// Sends a message.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn send(&mut self, which: usize, message: &[u8]) {
        self.connection(which).send(message).await;
    }
}
