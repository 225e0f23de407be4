//! What the coordinator is told at birth.

use crate::config::Catalogue;

/// Times and limits of the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Config {
    /// Modules and indices, the same as the shards'.
    pub catalogue: Catalogue,
    /// How many shards there are.
    pub shards: u16,
    /// This writer's id, kept in `meta`.
    pub writer: String,
    /// Drawn anew by each process.
    pub nonce: u64,
    /// How long a lease is valid, counted from before its renewal was sent.
    pub lease_ms: u64,
    /// How often it is renewed.
    pub renew_ms: u64,
    /// How far ahead of the clock the bound is kept.
    pub bound_ahead_ms: u64,
    /// How long a request that was given up may still be applied.
    pub late_write_bound_ms: u64,
    /// How often health is asked for.
    pub health_interval_ms: u64,
    /// First delay of what is tried again; doubles up to `retry_max_ms`.
    pub retry_base_ms: u64,
    /// Longest such delay.
    pub retry_max_ms: u64,
    /// How long a listing waits for company.
    pub listing_linger_ms: u64,
    /// Agents in one listing: at most 64.
    pub listing_targets_max: usize,
    /// Whether to write to indices whose template is missing or different.
    pub write_unchecked: bool,
    /// Refused operations of one index, within `fault_window_ms`, from which on it is at fault.
    pub fault_refusals_min: u64,
    /// From at least so many agents (all, if fewer are active).
    pub fault_agents_min: usize,
    /// The window of that judgement.
    pub fault_window_ms: u64,
    /// Items that all live sessions may have announced; divided among the shards.
    pub items_max: u64,
    /// Bytes that may be staged; divided among the shards.
    pub bytes_max: u64,
}

impl Config {
    /// The defaults of `docs/protocol.md` for a catalogue and a writer.
    #[must_use]
    pub fn new(catalogue: Catalogue, shards: u16, writer: String, nonce: u64) -> Self {
        Self {
            catalogue,
            shards,
            writer,
            nonce,
            lease_ms: 30_000,
            renew_ms: 10_000,
            bound_ahead_ms: 60_000,
            late_write_bound_ms: 30_000,
            health_interval_ms: 5_000,
            retry_base_ms: 250,
            retry_max_ms: 15_000,
            listing_linger_ms: 20,
            listing_targets_max: 64,
            write_unchecked: false,
            fault_refusals_min: 50,
            fault_agents_min: 3,
            fault_window_ms: 60_000,
            items_max: 64_000_000,
            bytes_max: 64 << 30,
        }
    }
}
