//! While the Indexer refuses our credentials the coordinator asks for its health and for nothing else, and that
//! rarely: accounts are locked after a few wrong attempts (`docs/protocol.md` section 8).
//!
//! ```text
//!  health: 401 ──────── a pause ──────── health? ── 200 ── whatever is due
//!           └ what was asked before is answered, and may lead to one more question ┘
//! ```

use inventory_sync_core::coordinator::{Command, Config, Event, HealthOutcome};
use inventory_sync_core::manager::Unready;
use inventory_sync_core::time::Tick;

use super::Oracles;

/// What the coordinator of the present process heard of its credentials.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    /// How long the coordinator waits for another attempt, in milliseconds.
    pause_ms: u64,
    /// Since when they are refused.
    refused: Option<Tick>,
    /// Whether what it was told last answers a question, and so may lead to another.
    answered: bool,
}

impl Oracles {
    /// A coordinator of that configuration begins.
    pub(crate) fn coordinator_begins(&mut self, config: &Config) {
        self.credentials = Credentials {
            pause_ms: config.retry_max_ms.max(config.health_interval_ms),
            ..Credentials::default()
        };
    }

    pub(super) fn credentials_heard(&mut self, event: &Event) {
        let known = &mut self.credentials;
        known.answered = matches!(
            event,
            Event::IndexCreated { .. }
                | Event::WriterRead { .. }
                | Event::WriterWritten { .. }
                | Event::TemplateChecked { .. }
                | Event::Counted { .. }
                | Event::Refreshed { .. }
                | Event::Listed { .. }
                | Event::Recorded { .. }
        );
        if let Event::Health { outcome, .. } = event {
            let is_refused = *outcome == HealthOutcome::Unready(Unready::Unauthorized);
            known.refused = is_refused.then_some(self.now);
        }
    }

    /// The coordinator asks something.
    pub(crate) fn judge_question(&mut self, command: &Command) {
        let Some(since) = self.credentials.refused else {
            return;
        };
        let pause_ms = self.credentials.pause_ms;
        let is_health = match command {
            Command::Health { .. } => true,
            Command::CreateWriterIndex { .. }
            | Command::ReadWriter { .. }
            | Command::WriteWriter { .. }
            | Command::CountDocuments { .. }
            | Command::CheckTemplate { .. }
            | Command::CreateIndex { .. }
            | Command::Refresh { .. }
            | Command::List { .. } => false,
            Command::Record { .. }
            | Command::Tell { .. }
            | Command::Observe(_)
            | Command::Abort { .. }
            | Command::Stopped { .. } => return,
        };
        let is_allowed = if is_health {
            self.now.since(since) >= pause_ms
        } else {
            self.credentials.answered
        };
        if !is_allowed {
            let expected = format!(
                "nothing but health is asked of who refuses our credentials, {pause_ms} ms after it did so"
            );
            let seen = format!("it did so at {since}, and is asked this: {command:?}");
            self.fail("O-9 credentials", expected, seen);
        }
    }
}
