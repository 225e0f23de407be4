//! What a world that is not at rest still waits for, by name.

use std::fmt;

use inventory_sync_core::agent;
use inventory_sync_core::id::AgentId;

/// A reason for which the world is not at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pending {
    /// The manager's process does not run.
    ManagerDown,
    /// The manager's process was asked to stop, and runs still.
    ManagerStopping,
    /// An agent's process does not run.
    AgentDown {
        /// The agent.
        agent: AgentId,
    },
    /// A module of an agent has something that is not acknowledged.
    Owed {
        /// The agent.
        agent: AgentId,
        /// The module, by its place.
        module: usize,
        /// Documents that wait.
        documents: usize,
        /// What the agent's machine waits for; nothing when it has no job.
        waits: Option<agent::Pending>,
    },
    /// A session of an agent has no end.
    Session {
        /// The agent.
        agent: AgentId,
    },
    /// A hostile peer goes on.
    Hostile {
        /// The peer.
        agent: AgentId,
    },
    /// Frames are on their way to the manager.
    Frames {
        /// How many.
        frames: u64,
    },
    /// A request to the Indexer is on its way, or may still be applied.
    Request,
    /// A shard of the manager is busy.
    Shard {
        /// The shard.
        shard: usize,
        /// With what.
        reason: &'static str,
    },
    /// The manager's coordinator is busy.
    Coordinator {
        /// With what.
        reason: &'static str,
    },
    /// At rest, and yet something new was begun.
    Restless {
        /// Sessions that were opened.
        sessions: u64,
        /// Requests that were sent.
        requests: u64,
    },
    /// The run took more steps than any sound one.
    Steps {
        /// How many.
        steps: u64,
        /// What it waited for then.
        last: Option<Box<Pending>>,
    },
}

impl Pending {
    /// What kind of thing it is: the same for whatever agent, number or moment.
    #[must_use]
    pub fn kind(&self) -> String {
        let kind = match self {
            Self::ManagerDown => "the manager is down",
            Self::ManagerStopping => "the manager is stopping",
            Self::AgentDown { .. } => "an agent is down",
            Self::Owed { waits: None, .. } => "an agent owes documents and has no job",
            Self::Owed { waits: Some(_), .. } => "an agent owes documents and has a job",
            Self::Session { .. } => "a session has no end",
            Self::Hostile { .. } => "a hostile peer goes on",
            Self::Frames { .. } => "frames are on their way",
            Self::Request => "a request is on its way",
            // What a shard is busy with changes from moment to moment.
            Self::Shard { .. } => "a shard is busy",
            Self::Coordinator { reason } => return format!("coordinator: {reason}"),
            Self::Restless { .. } => "something new is begun",
            Self::Steps { .. } => "too many steps",
        };
        kind.to_owned()
    }

    /// The agent that it names.
    #[must_use]
    pub const fn agent(&self) -> Option<AgentId> {
        match self {
            Self::AgentDown { agent }
            | Self::Owed { agent, .. }
            | Self::Session { agent }
            | Self::Hostile { agent } => Some(*agent),
            Self::ManagerDown
            | Self::ManagerStopping
            | Self::Frames { .. }
            | Self::Request
            | Self::Shard { .. }
            | Self::Coordinator { .. }
            | Self::Restless { .. }
            | Self::Steps { .. } => None,
        }
    }
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ManagerDown => f.write_str("the manager is down"),
            Self::ManagerStopping => f.write_str("the manager is stopping"),
            Self::AgentDown { agent } => write!(f, "agent {agent} is down"),
            Self::Owed {
                agent,
                module,
                documents,
                waits,
            } => {
                write!(
                    f,
                    "agent {agent} module {module} owes {documents} documents: "
                )?;
                match waits {
                    Some(waits) => waits.fmt(f),
                    None => f.write_str("no job"),
                }
            }
            Self::Session { agent } => write!(f, "a session of agent {agent} has no end"),
            Self::Hostile { agent } => write!(f, "the hostile peer {agent} goes on"),
            Self::Frames { frames } => write!(f, "{frames} frames are on their way to the manager"),
            Self::Request => f.write_str("a request is on its way to the Indexer"),
            Self::Shard { shard, reason } => write!(f, "shard {shard}: {reason}"),
            Self::Coordinator { reason } => write!(f, "coordinator: {reason}"),
            Self::Restless { sessions, requests } => write!(
                f,
                "at rest, and yet {sessions} sessions were opened and {requests} requests sent"
            ),
            Self::Steps { steps, last } => {
                write!(f, "more than {steps} steps")?;
                match last {
                    Some(last) => write!(f, ": {last}"),
                    None => Ok(()),
                }
            }
        }
    }
}
