//! What an agent machine is told at birth: who it speaks for, times and limits. Every bound stands here.

use crate::id::{AgentId, Version};
use crate::wire::{AgentInfo, Hello, PROTOCOL_VERSION};

/// Identity, times and limits of one agent machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Config {
    /// The agent that speaks.
    pub agent: AgentId,
    /// The module that speaks, such as `syscollector`.
    pub module: String,
    /// What the agent says of itself in each Start. Changed by
    /// [`Event::Describe`](super::Event::Describe).
    pub info: AgentInfo,
    /// The cluster the agent belongs to; empty leaves it to the manager.
    pub cluster: String,
    /// Told in each Start.
    pub protocol_version: u16,
    /// The highest version ever heard from a manager, as kept by
    /// [`Command::Remember`](super::Command::Remember); 0 if none.
    pub version_floor: Version,
    /// Sent first on each new connection. Of the machines that share a connection one has it at most.
    pub hello: Option<Hello>,

    /// How long an answer to a Start or an End may take before the same bytes are sent again.
    pub answer_timeout_ms: u64,
    /// How often a Start is sent without an answer before the session is given up.
    pub starts_max: u32,
    /// How often an End is sent without an answer before the connection is held to be dead.
    pub ends_max: u32,
    /// How often the manager is asked for its verdict after it said Processing
    /// (`docs/protocol.md` section 3: 30 s).
    pub processing_poll_ms: u64,
    /// From a session's first Start to its end, whatever happens (`docs/protocol.md` section 5: 1 h).
    pub session_max_ms: u64,
    /// How long a [`Command::Reconnect`](super::Command::Reconnect) may stay unanswered before it is
    /// repeated.
    pub connect_timeout_ms: u64,

    /// First delay after a failure; doubles up to `backoff_max_ms`, with jitter.
    pub backoff_base_ms: u64,
    /// Longest delay after a failure: the interval at which the module synchronises.
    pub backoff_max_ms: u64,
    /// Most of a manager's `retry_after_ms` that is believed.
    pub retry_after_max_ms: u64,

    /// Items asked for by one [`Command::Load`](super::Command::Load).
    pub load_items_max: u32,
    /// Bytes of frames that one Load should bring; told to the loader.
    pub load_bytes_max: u64,
    /// Loads that are not yet answered. Together with the two limits above this bounds the memory of
    /// what is on its way to the connection.
    pub loads_max: usize,
    /// Items sent per second on the average; 0 is no limit.
    pub items_per_second: u32,

    /// Ranges read of one ReqRet; the manager asks again for what is beyond.
    pub ranges_per_request_max: usize,
    /// A session whose manager asked for more than so many times its size again (and 1024 items) is
    /// given up.
    pub resent_factor_max: u32,
    /// How often a [`Command::Commit`](super::Command::Commit) is tried before the job ends
    /// [`CommitFailed`](super::Outcome::CommitFailed).
    pub commit_attempts_max: u32,
}

impl Config {
    /// The defaults for an agent's module.
    #[must_use]
    pub fn new(agent: AgentId, module: &str) -> Self {
        Self {
            agent,
            module: module.to_owned(),
            info: AgentInfo::default(),
            cluster: String::new(),
            protocol_version: PROTOCOL_VERSION,
            version_floor: Version(0),
            hello: None,
            answer_timeout_ms: 10_000,
            starts_max: 3,
            ends_max: 3,
            processing_poll_ms: 30_000,
            session_max_ms: 3_600_000,
            connect_timeout_ms: 30_000,
            backoff_base_ms: 1_000,
            backoff_max_ms: 300_000,
            retry_after_max_ms: 3_600_000,
            load_items_max: 512,
            load_bytes_max: 1 << 20,
            loads_max: 2,
            items_per_second: 0,
            ranges_per_request_max: 1_024,
            resent_factor_max: 8,
            commit_attempts_max: 3,
        }
    }

    /// Checks that no time and no limit is zero, and that the times do not contradict each other.
    ///
    /// # Errors
    /// A sentence that names the setting that is zero, or the two that contradict each other.
    pub fn validate(&self) -> Result<(), String> {
        let positive = [
            ("answer_timeout_ms", self.answer_timeout_ms),
            ("starts_max", u64::from(self.starts_max)),
            ("ends_max", u64::from(self.ends_max)),
            ("processing_poll_ms", self.processing_poll_ms),
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("backoff_base_ms", self.backoff_base_ms),
            ("load_items_max", u64::from(self.load_items_max)),
            ("load_bytes_max", self.load_bytes_max),
            ("loads_max", self.loads_max as u64),
            ("ranges_per_request_max", self.ranges_per_request_max as u64),
            ("resent_factor_max", u64::from(self.resent_factor_max)),
            ("commit_attempts_max", u64::from(self.commit_attempts_max)),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(format!("{name} must be at least 1"));
        }
        if self.module.is_empty() {
            return Err("module must not be empty".to_owned());
        }
        let order = [
            (
                "backoff_base_ms",
                self.backoff_base_ms,
                "backoff_max_ms",
                self.backoff_max_ms,
            ),
            (
                "answer_timeout_ms",
                self.answer_timeout_ms,
                "session_max_ms",
                self.session_max_ms,
            ),
            (
                "processing_poll_ms",
                self.processing_poll_ms,
                "session_max_ms",
                self.session_max_ms,
            ),
        ];
        for (lower, low_ms, upper, high_ms) in order {
            if low_ms > high_ms {
                return Err(format!(
                    "{lower} ({low_ms}) must not exceed {upper} ({high_ms})"
                ));
            }
        }
        Ok(())
    }
}
