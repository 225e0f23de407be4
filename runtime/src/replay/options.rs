//! The command line of `inventory-sync replay`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use inventory_sync_core::wire::Mode;

/// What is asked for.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The daemon: tls://HOST:PORT, or unix:PATH as a relay
    #[arg(long, value_name = "ADDRESS")]
    pub to: Target,
    /// What `inventory-sync certs` made: its authority signs a certificate for each agent, in memory
    #[arg(long, value_name = "DIR")]
    pub certs: Option<PathBuf>,
    /// The name in the daemon's certificate [default: HOST]
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// Connections over which a relay spreads its agents; over TLS each agent has its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: u32,
    /// Agents
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub agents: u32,
    /// Number of the first agent
    #[arg(long, value_name = "ID", default_value_t = 1)]
    pub first_agent: u64,

    /// A captured session (JSON); may be repeated: each is a session of every agent, in this order
    #[arg(long, value_name = "FILE", conflicts_with_all = ["documents", "document_bytes", "changed_percent", "deleted_percent"])]
    pub session: Vec<PathBuf>,
    /// Documents of an agent, generated
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    pub documents: u32,
    /// Bytes of a generated document, about; at least 400
    #[arg(long, value_name = "BYTES", default_value_t = 540, value_parser = clap::value_parser!(u32).range(400..=900_000))]
    pub document_bytes: u32,
    /// Mode of the first round [default: full; of captured sessions, their own]
    #[arg(long)]
    pub mode: Option<ModeName>,
    /// Rounds of every agent, one after the other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rounds: u32,
    /// Mode of later rounds [default: delta; of captured sessions, their own]
    #[arg(long)]
    pub later: Option<ModeName>,
    /// Of 100 documents so many change in a later round
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub changed_percent: u32,
    /// Of 100 documents so many are deleted in a later round, and as many added
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub deleted_percent: u32,

    /// Sessions that begin in a second, at most; 0: all at once
    #[arg(long, value_name = "SESSIONS_PER_SECOND", default_value_t = 0.0, value_parser = rate)]
    pub rate: f64,
    /// Agents with a session under way, at most; 0: all
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub active: u32,
    /// Pause between two rounds of an agent
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub pause_ms: u64,

    /// Everything that is drawn is drawn from it
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Of 100 frames so many are not sent
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=90))]
    pub loss: u32,
    /// Of 100 frames so many are sent twice
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub duplicates: u32,
    /// Send the frames of a session out of order
    #[arg(long)]
    pub shuffle: bool,
    /// Of 100 sessions so many lose their connection on the way
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=90))]
    pub cut: u32,
    /// Of 100 sessions so many lose their agent on the way, which begins again from what it keeps durably
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=90))]
    pub crash: u32,

    /// Open a session for every agent, send all of it but one item, and hold it until SIGTERM
    #[arg(long, conflicts_with_all = ["loss", "duplicates", "shuffle", "cut", "crash", "verify", "state", "rounds"])]
    pub idle: bool,
    /// What agents remember, appended; the same command goes on where it ended
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Compare the Indexer with what was acknowledged [default: ids if an Indexer is configured, else none]
    #[arg(long)]
    pub verify: Option<Depth>,
    /// An agent whose round has no verdict by then has failed
    #[arg(long, value_name = "S", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=864_000))]
    pub give_up_after_s: u64,
    /// Bytes of a frame that carries many documents
    #[arg(long, value_name = "BYTES", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1_024..=1_048_576))]
    pub frame_bytes: u32,
    /// How long an answer may take before the same is asked again
    #[arg(long, value_name = "MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub answer_timeout_ms: u64,
    /// The report as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Where the daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// For agents, each with a connection and a certificate of its own.
    Tls {
        /// A name or an address, without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// For relays, which carry many agents.
    Unix(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls { host, port } if host.contains(':') => write!(f, "tls://[{host}]:{port}"),
            Self::Tls { host, port } => write!(f, "tls://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A text that names no daemon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is neither tls://HOST:PORT nor unix:PATH")]
pub struct NotATarget {
    text: String,
}

impl FromStr for Target {
    type Err = NotATarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = if let Some(path) = text.strip_prefix("unix:") {
            (!path.is_empty()).then(|| Self::Unix(path.into()))
        } else {
            text.strip_prefix("tls://").and_then(tls)
        };
        parsed.ok_or_else(|| NotATarget { text: text.into() })
    }
}

fn tls(address: &str) -> Option<Target> {
    let (host, port) = address.rsplit_once(':')?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = match bare {
        Some(host) => host,
        None if host.contains([':', '[', ']']) => return None,
        None => host,
    };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (!host.is_empty()).then(|| Target::Tls {
        host: host.to_owned(),
        port,
    })
}

/// How a session means its documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModeName {
    /// They replace what the agent had
    Full,
    /// They are changes
    Delta,
}

impl From<ModeName> for Mode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Full => Self::Full,
            ModeName::Delta => Self::Delta,
        }
    }
}

/// How closely the Indexer is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Depth {
    /// Not at all
    None,
    /// Ids and checksums
    Ids,
    /// Whole documents
    Documents,
}

impl Depth {
    /// As it stands in the report.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ids => "ids",
            Self::Documents => "documents",
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate| (0.0..=1e6).contains(rate))
        .ok_or_else(|| format!("{text:?} is no number from 0 to 1000000"))
}

/// What contradicts itself in a command line that could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// TLS without an authority.
    #[error(
        "agents over TLS need certificates: name the folder that `inventory-sync certs init` made with --certs"
    )]
    NoCertificates,
    /// Agent 0 over TLS.
    #[error(
        "agent 0 is the manager's own, which speaks over the Unix socket: --first-agent is at least 1 over TLS"
    )]
    AgentZero,
    /// More than there are numbers.
    #[error("--first-agent {first} and {agents} agents are more than there are numbers")]
    TooManyAgents {
        /// The first.
        first: u64,
        /// How many.
        agents: u32,
    },
    /// Deleted and changed documents are more than all.
    #[error("--changed-percent and --deleted-percent are more than 100 together")]
    MoreThanAll,
    /// More connections than agents.
    #[error("--connections {connections} is more than there are agents ({agents})")]
    TooManyConnections {
        /// Connections.
        connections: u32,
        /// Agents.
        agents: u32,
    },
}

impl Options {
    /// What clap does not see.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn validate(&self) -> Result<(), OptionsError> {
        match self.to {
            Target::Tls { .. } if self.certs.is_none() => return Err(OptionsError::NoCertificates),
            Target::Tls { .. } if self.first_agent == 0 => return Err(OptionsError::AgentZero),
            Target::Tls { .. } => {}
            Target::Unix(_) => {
                if self.connections > self.agents {
                    return Err(OptionsError::TooManyConnections {
                        connections: self.connections,
                        agents: self.agents,
                    });
                }
            }
        }
        if self
            .first_agent
            .checked_add(u64::from(self.agents))
            .is_none()
        {
            return Err(OptionsError::TooManyAgents {
                first: self.first_agent,
                agents: self.agents,
            });
        }
        if self.changed_percent + self.deleted_percent > 100 {
            return Err(OptionsError::MoreThanAll);
        }
        Ok(())
    }

    /// The mode of generated rounds: the first, and the later ones.
    pub(super) fn modes(&self) -> (Mode, Mode) {
        (
            self.mode.map_or(Mode::Full, Mode::from),
            self.later.map_or(Mode::Delta, Mode::from),
        )
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(arguments: &str) -> Options {
        let line = format!("replay {arguments}");
        Line::try_parse_from(line.split(' ')).unwrap().options
    }

    #[test]
    fn addresses_read_and_shown() {
        for text in [
            "tls://manager.example:1517",
            "tls://[::1]:65535",
            "unix:/run/inventory-sync/router.sock",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "manager:1517",
            "tls://manager",
            "tls://::1:1",
            "tls://:1",
            "unix:",
        ] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains("tls://HOST:PORT"), "{error}");
        }
    }

    #[test]
    fn contradictions_are_told() {
        let error = |arguments: &str| options(arguments).validate().unwrap_err();
        assert_eq!(error("--to tls://a:1"), OptionsError::NoCertificates);
        assert_eq!(
            error("--to tls://a:1 --certs c --first-agent 0"),
            OptionsError::AgentZero
        );
        assert_eq!(
            error("--to unix:a --changed-percent 60 --deleted-percent 60"),
            OptionsError::MoreThanAll
        );
        assert!(matches!(
            error("--to unix:a --connections 2"),
            OptionsError::TooManyConnections { .. }
        ));
        assert!(matches!(
            error("--to unix:a --agents 2 --first-agent 18446744073709551615"),
            OptionsError::TooManyAgents { .. }
        ));
        let sound = options("--to unix:a --agents 9 --connections 3 --rate 0.5");
        assert_eq!(sound.validate(), Ok(()));
        assert_eq!(sound.modes(), (Mode::Full, Mode::Delta));
        assert!(Line::try_parse_from(["replay", "--to", "unix:a", "--rate", "-1"]).is_err());
    }
}
