//! The manager's first start, counted apart: every run begins with it, whatever it shows.
//!
//! ```text
//!  Recovered ─▶ health, writer document, bound, lease, indices ─▶ nothing is pending ─▶ last letters ─▶ over
//!  └────────────────────────────── events of the start ─────────────────────────────────────┘
//! ```

use inventory_sync_core::coordinator;

use crate::manager_node::Process;

/// What the coordinator was told, and the shards by it, until it first had nothing to wait for. What the clock
/// alone told is not counted.
#[derive(Debug, Default)]
pub(crate) struct Starting {
    events: u64,
    /// Letters of the start that were not opened yet when the coordinator was ready.
    letters: u64,
    is_over: bool,
}

impl Starting {
    /// Events so far.
    pub(crate) const fn events(&self) -> u64 {
        self.events
    }

    /// The coordinator is told something.
    pub(crate) fn coordinator_told(&mut self, event: &coordinator::Event) {
        let by_clock = matches!(
            event,
            coordinator::Event::Tick
                | coordinator::Event::WallClock { .. }
                | coordinator::Event::ResumeIndex { .. }
        );
        self.events += u64::from(!self.is_over && !by_clock);
    }

    /// A shard opens a letter.
    pub(crate) fn letter_opened(&mut self) {
        if !self.is_over {
            self.events += 1;
        } else if self.letters > 0 {
            self.letters -= 1;
            self.events += 1;
        }
    }

    /// Looks whether the start is over.
    pub(crate) fn look(&mut self, process: Option<&Process>) {
        if self.is_over {
            return;
        }
        let Some(process) = process else { return };
        if process.coordinator.pending().is_none() {
            self.is_over = true;
            let letters = process.shards.iter().map(|shard| shard.mail.len() as u64);
            self.letters = letters.sum();
        }
    }
}
