//! What several runs did together.

use std::collections::BTreeMap;

use inventory_sim::{Fault, Report};
use inventory_sync_core::wire::{Reason, Status};

use super::say;

/// Sums over runs.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) seeds: u64,
    pub(crate) events: u64,
    pub(crate) sessions: u64,
    pub(crate) simulated_ms: u64,
    /// All trace hashes in one, which depends on their order.
    pub(crate) hashes: u64,
    faults: BTreeMap<Fault, u64>,
    verdicts: BTreeMap<(Status, Reason), u64>,
}

impl Totals {
    /// Adds a run.
    pub(crate) fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.events += report.events;
        self.sessions += report.counts.sessions;
        self.simulated_ms += report.simulated_ms;
        for (fault, count) in &report.faults {
            *self.faults.entry(*fault).or_insert(0) += count;
        }
        for (verdict, count) in &report.verdicts {
            *self.verdicts.entry(*verdict).or_insert(0) += count;
        }
        self.hashes = self.hashes.rotate_left(1) ^ report.trace_hash;
    }

    /// How many kinds of faults happened.
    pub(crate) fn fired(&self) -> usize {
        self.faults.len()
    }

    /// Kinds that never happened.
    pub(crate) fn never(&self) -> Vec<&'static str> {
        Fault::ALL
            .iter()
            .filter(|fault| !self.faults.contains_key(fault))
            .map(|fault| fault.label())
            .collect()
    }

    /// What happened in all runs together, and what never did.
    pub(crate) fn print_coverage(&self) {
        for ((status, reason), count) in &self.verdicts {
            say(format_args!("verdict     {count:>8}  {status}/{reason}"));
        }
        for (fault, count) in &self.faults {
            say(format_args!("fault       {count:>8}  {}", fault.label()));
        }
        let never = self.never();
        if !never.is_empty() {
            say(format_args!("never       {}", never.join(", ")));
        }
    }
}
