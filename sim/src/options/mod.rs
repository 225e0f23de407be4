//! Everything that decides a run: sizes, times, limits and rates of faults.
//!
//! ```text
//!  presets/*.toml, a file of one's own ──▶ Plan ──seed──▶ Options ──▶ run
//!                                     settings by name ──▶ Options   (replay files, the shrinker)
//! ```

mod plan;
mod presets;
mod settings;

pub use plan::{Plan, PlanError};
pub use presets::{PRESETS, Preset};
pub use settings::{SETTINGS, Setting, SettingError};

use inventory_sync_core::config::Config;

use crate::faults::{Fault, Often, Rate, Rates};

/// Everything that decides a run, but the code.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Options {
    /// The seed: of the machines, of the schedule, of every stream.
    pub seed: u64,
    /// How many agents; their ids are 1 to this.
    pub agents: u16,
    /// How many shards the manager has.
    pub shards: u16,
    /// Documents that an agent has in an index at most.
    pub documents_max: u32,
    /// The manager's configuration, of each shard.
    pub config: Config,
    /// How often what goes wrong.
    pub rates: Rates,
    /// Before anything goes wrong.
    pub warm_up_ms: u64,
    /// While things go wrong.
    pub chaos_ms: u64,
    /// After everything is healed: how long until the world must be at rest.
    pub converge_ms: u64,
    /// Between two changes of an agent's content, on average; 0 for no changes but those of a script.
    pub change_every_ms: u64,
    /// How many of a thousand synchronisations are Fulls.
    pub fulls_per_mille: u32,
    /// Most items of a Delta.
    pub delta_items_max: u32,
    /// Whether agents put several operations on one document into a session.
    pub sloppy: bool,
    /// Whether connections are relays'.
    pub relays: bool,
    /// Largest frame of an agent.
    pub frame_bytes_max: u64,
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
    /// How long the Indexer remembers what was deleted.
    pub gc_deletes_ms: u64,
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
            shards: 1,
            documents_max: 12,
            config,
            rates: Rates::calm(),
            warm_up_ms: 20_000,
            chaos_ms: 60_000,
            converge_ms: 1_800_000,
            change_every_ms: 1_500,
            fulls_per_mille: 200,
            delta_items_max: 20,
            sloppy: false,
            relays: false,
            frame_bytes_max: 4_096,
            link_ms: 20,
            indexer_ms: 40,
            store_ms: 5,
            refresh_every_ms: 1_000,
            lease_ms: 30_000,
            bound_ahead_ms: 60_000,
            fault_refusals_min: 50,
            gc_deletes_ms: 60_000,
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

    /// Most items of a session of the workload: a limit below it would never let that session through.
    #[must_use]
    pub fn session_items(&self) -> u64 {
        let indices = self.config.catalogue.indices().len() as u64;
        u64::from(self.documents_max.max(self.delta_items_max)) * 2 * indices
    }

    /// Checks that the design promises to survive what these options make of the world.
    ///
    /// # Errors
    /// A sentence that names the setting, its value and what it must be.
    pub fn validate(&self) -> Result<(), String> {
        self.config.validate()?;
        let config = &self.config;
        let least = [
            ("agents", u64::from(self.agents), 1, "it is a fleet"),
            ("shards", u64::from(self.shards), 1, "the manager has one"),
            (
                "modules",
                config.catalogue.modules().len() as u64,
                1,
                "agents have one",
            ),
            (
                "indices_per_module",
                config.catalogue.indices().len() as u64,
                1,
                "modules have one",
            ),
            (
                "documents_max",
                u64::from(self.documents_max),
                1,
                "a document is needed",
            ),
            (
                "delta_items_max",
                u64::from(self.delta_items_max),
                1,
                "a Delta says something",
            ),
            (
                "frame_bytes_max",
                self.frame_bytes_max,
                4_096,
                "the largest document must fit",
            ),
            ("link_ms", self.link_ms, 1, "nothing is instant"),
            ("indexer_ms", self.indexer_ms, 1, "nothing is instant"),
            (
                "refresh_every_ms",
                self.refresh_every_ms,
                1,
                "time must pass",
            ),
            (
                "lease_ms",
                self.lease_ms,
                15 * self.indexer_ms,
                "it must be renewed in time: 15 times indexer_ms",
            ),
            (
                "request_deadline_ms",
                config.request_deadline_ms,
                4 * self.indexer_ms,
                "a healthy Indexer answers in time: 4 times indexer_ms",
            ),
            (
                "idle_timeout_ms",
                config.idle_timeout_ms,
                10 * self.link_ms,
                "a healthy agent answers in time: 10 times link_ms",
            ),
            (
                "items_per_session_max",
                config.items_per_session_max,
                self.session_items(),
                "every session of the workload must fit",
            ),
            (
                "items_per_agent_max",
                config.items_per_agent_max,
                config.items_per_session_max,
                "a session must fit",
            ),
            (
                "items_max",
                config.items_max,
                config.items_per_agent_max,
                "an agent must fit",
            ),
            (
                "bytes_per_session_max",
                config.bytes_per_session_max,
                1 << 20,
                "every session of the workload must fit",
            ),
            (
                "bytes_per_agent_max",
                config.bytes_per_agent_max,
                config.bytes_per_session_max,
                "a session must fit",
            ),
            (
                "bytes_max",
                config.bytes_max,
                config.bytes_per_agent_max,
                "an agent must fit",
            ),
            (
                "bulk_bytes_max",
                config.bulk_bytes_max,
                6_000,
                "the largest document must fit",
            ),
            (
                "open_bytes_per_connection_max",
                config.open_bytes_per_connection_max,
                if self.relays { 8 << 20 } else { 1 },
                "an agent behind a relay is refused beyond it and sends no slower next time",
            ),
            (
                "retry_max_ms",
                config.retry_max_ms,
                config.retry_base_ms,
                "it is not below retry_base_ms",
            ),
        ];
        for (name, value, least, why) in least {
            if value < least {
                return Err(format!(
                    "{name} is {value}, it must be at least {least}: {why}"
                ));
            }
        }
        if self.documents_max >= 1_000_000 {
            return Err(
                "documents_max must be below 1000000: above are items that cannot be stored"
                    .to_owned(),
            );
        }
        for fault in Fault::ALL {
            match (fault.often(), self.rates.of(*fault)) {
                (_, Rate::Off)
                | (Often::Chance(_), Rate::PerMillion(1..=1_000_000))
                | (Often::Every(_), Rate::EveryMs(1..)) => {}
                (Often::Chance(_), rate) => {
                    return Err(format!(
                        "fault {} cannot have the rate {rate:?}: it happens so many times in a million",
                        fault.label()
                    ));
                }
                (Often::Every(_), rate) => {
                    return Err(format!(
                        "fault {} cannot have the rate {rate:?}: it happens every so many milliseconds",
                        fault.label()
                    ));
                }
            }
        }
        Ok(())
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

    #[test]
    fn what_the_design_does_not_survive_is_refused() {
        let mut options = Options::calm(1);
        options.config.items_per_session_max = 1;
        let refusal = options.validate().unwrap_err();
        assert!(
            refusal.starts_with("items_per_session_max is 1, it must be at least 160"),
            "{refusal}"
        );
    }
}
