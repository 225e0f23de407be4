//! What several runs did together.

use std::collections::BTreeMap;

use inventory_sim::{Coverage, Fault, Report};
use inventory_sync_core::wire::{Reason, Status};

use super::say;

/// Sums over runs.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) seeds: u64,
    /// Occurrences of all worlds: arrivals, answers, deadlines, changes, faults.
    pub(crate) steps: u64,
    /// Events that machines were told.
    pub(crate) events: u64,
    pub(crate) sessions: u64,
    pub(crate) simulated_ms: u64,
    /// All trace hashes in one, which depends on their order.
    pub(crate) hashes: u64,
    faults: BTreeMap<Fault, u64>,
    verdicts: BTreeMap<(Status, Reason), u64>,
    coverage: Coverage,
    /// The run that took longest from healing to rest, measured by its longest timeout.
    slowest: Option<Slowest>,
}

/// How long a run took from healing to rest.
struct Slowest {
    /// In hundredths of the longest timeout.
    percent: u64,
    seed: u64,
    converged_ms: u64,
    longest_timeout_ms: u64,
}

impl Totals {
    /// Adds a run.
    pub(crate) fn add(&mut self, seed: u64, report: &Report) {
        self.seeds += 1;
        let percent = report.converged_percent();
        let slowest = self.slowest.as_ref();
        // Of equally slow ones the lowest seed, in whatever order threads bring them.
        if slowest.is_none_or(|slowest| (slowest.percent, seed) < (percent, slowest.seed)) {
            self.slowest = Some(Slowest {
                percent,
                seed,
                converged_ms: report.converged_ms,
                longest_timeout_ms: report.longest_timeout_ms,
            });
        }
        self.steps += report.steps;
        self.events += report.events;
        self.sessions += report.counts.sessions;
        self.simulated_ms += report.simulated_ms;
        for (fault, count) in &report.faults {
            *self.faults.entry(*fault).or_insert(0) += count;
        }
        for (verdict, count) in &report.verdicts {
            *self.verdicts.entry(*verdict).or_insert(0) += count;
        }
        self.coverage.merge(&report.coverage);
        self.hashes = self.hashes.rotate_left(1) ^ report.trace_hash;
    }

    /// How many kinds of faults happened.
    pub(crate) fn fired(&self) -> usize {
        self.faults.len()
    }

    /// How many (state × event) cells happened, of those that can.
    pub(crate) fn cells(&self) -> (usize, usize) {
        let (all, happened, unreachable) = self.coverage.cells();
        (happened, all - unreachable)
    }

    /// Kinds that never happened.
    pub(crate) fn never(&self) -> Vec<&'static str> {
        Fault::ALL
            .iter()
            .filter(|fault| !self.faults.contains_key(fault))
            .map(|fault| fault.label())
            .collect()
    }

    /// How soon the slowest run was at rest; nothing when there was no run.
    fn print_slowest(&self) {
        if let Some(slowest) = &self.slowest {
            say(format_args!(
                "converged   within {}.{:02} times the longest timeout at the latest: seed {}, {} s of {} s",
                slowest.percent / 100,
                slowest.percent % 100,
                slowest.seed,
                slowest.converged_ms / 1_000,
                slowest.longest_timeout_ms / 1_000,
            ));
        }
    }

    /// What happened in all runs together, and what never did.
    pub(crate) fn print_coverage(&self) {
        self.print_slowest();
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
        let (all, happened, unreachable) = self.coverage.cells();
        say(format_args!(
            "cells       {happened} of {all} (state x event) happened, {unreachable} cannot"
        ));
        for gap in self.coverage.gaps() {
            say(format_args!("never       {gap}"));
        }
        for (surprise, why) in self.coverage.surprises() {
            say(format_args!(
                "happened    {surprise}, held to be impossible: {why}"
            ));
        }
    }
}
