//! Times: phases of the run, processes that are gone, faults that last.

use inventory_sync_core::time::Tick;

use super::Recorder;
use crate::chart::recording::{Gap, GapKind, Phase};
use crate::faults::Fault;
use crate::trace::Node;

impl Recorder {
    /// A phase begins.
    pub(crate) fn phase(&mut self, now: Tick, name: &'static str) {
        let from_ms = now.0;
        self.recording.phases.push(Phase { name, from_ms });
    }

    /// A node's process is gone.
    pub(crate) fn down(&mut self, now: Tick, node: Node) {
        let place = self.place(node);
        self.down.entry(place).or_insert(now);
    }

    /// A node's process is there again.
    pub(crate) fn up(&mut self, now: Tick, node: Node) {
        let place = self.place(node);
        if let Some(from) = self.down.remove(&place) {
            self.gap(place, GapKind::Down, "down", from, now);
        }
    }

    /// The nodes of the manager's process.
    pub(in crate::chart) fn manager(&self) -> Vec<Node> {
        let inside = |node: &&Node| matches!(node, Node::Shard(_) | Node::Coordinator);
        self.places.keys().filter(inside).copied().collect()
    }

    /// A fault begins to last.
    pub(crate) fn fault_lasts(&mut self, now: Tick, fault: Fault) {
        self.trouble.entry(fault).or_insert(now);
    }

    /// A lasting fault is over.
    pub(crate) fn fault_over(&mut self, now: Tick, fault: Fault) {
        if let Some(from) = self.trouble.remove(&fault) {
            self.trouble_gap(fault, from, now);
        }
    }

    fn trouble_gap(&mut self, fault: Fault, from: Tick, to: Tick) {
        if let Some(node) = troubled(fault) {
            let place = self.place(node);
            self.gap(place, GapKind::Trouble, fault.label(), from, to);
        }
    }

    pub(super) fn gap(
        &mut self,
        lifeline: usize,
        kind: GapKind,
        label: &'static str,
        from: Tick,
        to: Tick,
    ) {
        self.recording.gaps.push(Gap {
            lifeline,
            kind,
            label,
            from_ms: from.0,
            to_ms: to.0,
        });
    }

    /// Everything is healed.
    pub(crate) fn healed(&mut self, now: Tick) {
        for (fault, from) in std::mem::take(&mut self.trouble) {
            self.trouble_gap(fault, from, now);
        }
    }
}

/// Whom a lasting fault troubles; nobody, if it strikes once.
const fn troubled(fault: Fault) -> Option<Node> {
    match fault {
        Fault::IndexerRed
        | Fault::IndexerUnreachable
        | Fault::IndexBlocked
        | Fault::RefreshPaused => Some(Node::Indexer),
        _ => None,
    }
}
