//! Everything that decides a run: sizes, times, limits and rates of faults.
//!
//! ```text
//!  presets/*.toml, a file of one's own ──▶ Plan ──seed──▶ Options ──▶ run
//!                                     settings by name ──▶ Options   (replay files, the shrinker)
//! ```

mod limits;
mod plan;
mod presets;
mod settings;
mod timeouts;

pub use plan::{Plan, PlanError};
pub use presets::{PRESETS, Preset};
pub use settings::{SETTINGS, Setting, SettingError};

use inventory_sync_core::config::Config;

use crate::faults::Rates;

/// How much of the world is healed when the time for it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Healing {
    /// All of it.
    Everything,
    /// Manager, Indexer and some of the agents; the others stay broken in one way for ever.
    Core,
    /// Nothing: from the beginning on only some agents are struck, and they are struck to the end.
    Nothing,
}

/// Everything that decides a run, but the code.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Options {
    /// The seed: of the machines, of the schedule, of every stream.
    pub seed: u64,
    /// How many agents.
    pub agents: u16,
    /// The id of the first agent; the others follow.
    pub first_agent: u16,
    /// How many shards the manager has.
    pub shards: u16,
    /// Documents that an agent has in an index at most.
    pub documents_max: u32,
    /// The manager's configuration, of each shard.
    pub config: Config,
    /// How many peers there are that no correct code would be; their ids follow those of the agents.
    pub hostiles: u16,
    /// How much of the world heals; in files 0 for everything, 1 for a core, 2 for nothing.
    pub healing: Healing,
    /// How often what goes wrong.
    pub rates: Rates,
    /// Before anything goes wrong.
    pub warm_up_ms: u64,
    /// While things go wrong.
    pub chaos_ms: u64,
    /// After everything is healed: how long until the world must be at rest; 0 for
    /// [ten times its longest timeout](Options::converge_bound_ms) and the time that the agents' backlog takes.
    pub converge_ms: u64,
    /// Between two changes of an agent's content, on average; 0 for no changes but those of a script.
    pub change_every_ms: u64,
    /// How many of a thousand synchronisations are Fulls.
    pub fulls_per_mille: u32,
    /// Most items of a Delta.
    pub delta_items_max: u32,
    /// Whether agents put several operations on one document into a session.
    pub sloppy: bool,
    /// Whether agents give a job up that takes longer than any of a healed world.
    pub impatient: bool,
    /// Whether each life of an agent has a pace of its own: how often it repeats itself, how much it reads at once,
    /// how many rows it sends a second.
    pub paced: bool,
    /// Whether connections are relays'.
    pub relays: bool,
    /// How far ahead of the true time lies what some agents were told by a former manager; 0 for nothing.
    pub floor_ahead_ms: u64,
    /// Largest frame of an agent.
    pub frame_bytes_max: u64,
    /// What takes a while ends at a multiple of so many milliseconds: 1 for any, more for worlds in which much
    /// happens at the same moment, and just when a time is up.
    pub grain_ms: u64,
    /// Slowest ordinary way between agent and manager.
    pub link_ms: u64,
    /// Slowest ordinary way between manager and Indexer.
    pub indexer_ms: u64,
    /// Slowest ordinary write to the store.
    pub store_ms: u64,
    /// Between two periodic refreshes of the Indexer.
    pub refresh_every_ms: u64,
    /// How long a lease of the writer is valid; renewed three times as often.
    pub lease_ms: u64,
    /// How far ahead of the clock the version bound is kept.
    pub bound_ahead_ms: u64,
    /// Refusals within a minute from which on an index is held to be at fault itself.
    pub fault_refusals_min: u64,
    /// How long a listing waits for company.
    pub listing_linger_ms: u64,
    /// Most agents in one listing.
    pub listing_targets_max: usize,
    /// How long the Indexer remembers what was deleted.
    pub gc_deletes_ms: u64,
    /// Largest bulk request that the Indexer, or a proxy before it, takes (413); 0 for any.
    pub takes_bytes_max: u64,
    /// Largest bulk request for which the Indexer has memory to spare (429); 0 for any.
    pub spares_bytes_max: u64,
}

impl Options {
    /// A calm world with the defaults of the contract, two agents and no faults.
    #[must_use]
    pub fn calm(seed: u64) -> Self {
        let mut config = Config::new(settings::catalogue(2, 2));
        config.sessions_max = 100;
        config.request_timeout_ms = 4_000;
        config.request_deadline_ms = 5_000;
        config.late_write_bound_ms = 10_000;
        config.delivery_deadline_ms = 60_000;
        config.session_max_ms = 600_000;
        Self {
            seed,
            agents: 2,
            first_agent: 1,
            shards: 1,
            documents_max: 12,
            config,
            hostiles: 0,
            healing: Healing::Everything,
            rates: Rates::calm(),
            warm_up_ms: 20_000,
            chaos_ms: 60_000,
            converge_ms: 0,
            change_every_ms: 1_500,
            fulls_per_mille: 200,
            delta_items_max: 20,
            sloppy: false,
            impatient: false,
            paced: false,
            relays: false,
            floor_ahead_ms: 0,
            frame_bytes_max: 4_096,
            grain_ms: 1,
            link_ms: 20,
            indexer_ms: 40,
            store_ms: 5,
            refresh_every_ms: 1_000,
            lease_ms: 30_000,
            bound_ahead_ms: 60_000,
            fault_refusals_min: 50,
            listing_linger_ms: 20,
            listing_targets_max: 64,
            gc_deletes_ms: 60_000,
            takes_bytes_max: 0,
            spares_bytes_max: 0,
        }
    }

    /// A world drawn from the seed by the preset `swarm`.
    ///
    /// # Panics
    /// When that preset draws what no run can begin with, which a test excludes.
    #[must_use]
    pub fn drawn(seed: u64) -> Self {
        Plan::swarm()
            .draw(seed)
            .expect("the preset swarm draws valid options")
    }

    /// Sessions that those who stay broken, and the others, may have at once; no need where all heal. Caps of
    /// the process below what few agents may hold let these keep all others out (`ATLAS.md`).
    #[must_use]
    pub(crate) fn sessions_of_all(&self) -> u64 {
        if self.healing == Healing::Everything {
            return 0;
        }
        2 * self.peers() * self.config.catalogue.modules().len() as u64
    }

    /// Where what happens falls on the same moments, the limits fall on them too.
    pub(crate) fn align(&mut self) {
        let grain = self.grain_ms;
        if grain <= 1 {
            return;
        }
        let config = &mut self.config;
        let mut least = 8 * grain;
        for time_ms in [
            &mut config.request_timeout_ms,
            &mut config.request_deadline_ms,
            &mut config.late_write_bound_ms,
            &mut config.delivery_deadline_ms,
            &mut config.session_max_ms,
        ] {
            *time_ms = (*time_ms).max(least).next_multiple_of(grain);
            least = *time_ms + grain;
        }
        for time_ms in [
            &mut config.paused_index_deadline_ms,
            &mut config.idle_timeout_ms,
            &mut self.link_ms,
            &mut self.indexer_ms,
            &mut self.store_ms,
        ] {
            *time_ms = (*time_ms).max(grain).next_multiple_of(grain);
        }
    }

    fn peers(&self) -> u64 {
        u64::from(self.agents) + u64::from(self.hostiles)
    }

    /// Where some stay broken, the caps of the process are raised to what all may hold together.
    pub(crate) fn make_room(&mut self) {
        if self.healing == Healing::Everything {
            return;
        }
        let (sessions, peers) = (self.sessions_of_all(), self.peers());
        let config = &mut self.config;
        let sessions = usize::try_from(sessions).unwrap_or(usize::MAX);
        config.sessions_max = config.sessions_max.max(sessions);
        config.items_max = config
            .items_max
            .max(config.items_per_agent_max.saturating_mul(peers));
        config.bytes_max = config
            .bytes_max
            .max(config.bytes_per_agent_max.saturating_mul(peers));
    }

    /// Most items of a session of the workload: a limit below it would never let that session through.
    #[must_use]
    pub fn session_items(&self) -> u64 {
        let indices = self.config.catalogue.indices().len() as u64;
        u64::from(self.documents_max.max(self.delta_items_max)) * 2 * indices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_drawn_configuration_is_valid() {
        for seed in 0..2_000 {
            assert_eq!(Options::drawn(seed).validate(), Ok(()), "seed {seed}");
        }
        assert_eq!(Options::calm(1).validate(), Ok(()));
        assert_ne!(Options::drawn(1), Options::drawn(2));
    }
}
