//! What a run is drawn from: sizes, times and limits, each from its own stream of the seed.

use inventory_sync_core::config::{Catalogue, Config};

use crate::faults::Rates;
use crate::streams::Stream;

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
    /// How many agents; their ids are 1 to this.
    pub agents: u16,
    /// How many shards the manager has.
    pub shards: u16,
    /// Documents that an agent has in an index at most.
    pub documents_max: u32,
    /// The manager's configuration, of each shard.
    pub config: Config,
    /// How many peers there are that no correct code would be; their ids follow those of the agents.
    pub hostiles: u16,
    /// How much of the world heals.
    pub healing: Healing,
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

/// The modules and indices of the simulated world: small, but with more than one of each.
fn catalogue(modules: u64, indices: u64) -> Catalogue {
    let names = |module: u64| (0..indices).map(move |index| format!("states-{module}-{index}"));
    let modules = (0..modules).map(|module| (format!("module-{module}"), names(module)));
    // Two names are never equal here, and there are few of them.
    Catalogue::new(modules).unwrap_or_default()
}

impl Options {
    /// A calm world with the defaults of the contract, two agents and no faults.
    #[must_use]
    pub fn calm(seed: u64) -> Self {
        let mut config = Config::new(catalogue(2, 2));
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
            hostiles: 0,
            healing: Healing::Everything,
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

    /// A world drawn from the seed: sizes, times and limits, and a swarm of faults.
    #[must_use]
    pub fn drawn(seed: u64) -> Self {
        let mut options = Self::calm(seed);
        let mut sizes = Stream::new(seed, "sizes");
        options.agents = *sizes.pick(&[1, 1, 2, 2, 3, 4]);
        options.shards = *sizes.pick(&[1, 1, 2]);
        options.documents_max = *sizes.pick(&[2, 4, 12, 30]);
        options.config.catalogue = catalogue(sizes.between(1, 2), sizes.between(1, 3));
        options.delta_items_max = *sizes.pick(&[1, 3, 20]);
        options.sloppy = sizes.chance(400_000);
        options.relays = sizes.chance(250_000);
        options.frame_bytes_max = *sizes.pick(&[4_096, 8_192, 65_536]);
        options.fulls_per_mille = *sizes.pick(&[0, 100, 300, 700]);
        options.change_every_ms = *sizes.pick(&[200, 700, 2_000, 6_000]);
        options.draw_times();
        options.draw_limits();
        options.hostiles = *Stream::new(seed, "hostiles").pick(&[0, 0, 0, 0, 1, 2]);
        options.healing = *Stream::new(seed, "healing").pick(&[
            Healing::Everything,
            Healing::Everything,
            Healing::Everything,
            Healing::Core,
            Healing::Nothing,
        ]);
        options.make_room();
        options.rates = Rates::swarm(seed);
        options
    }

    /// Where some stay broken, the caps of the process hold what they may hold at most, and what the healthy
    /// need: a cap that is smaller lets one agent keep all others out (`ATLAS.md`).
    fn make_room(&mut self) {
        if self.healing == Healing::Everything {
            return;
        }
        let peers = usize::from(self.agents + self.hostiles);
        let lanes = peers * self.config.catalogue.modules().len();
        self.config.sessions_max = self.config.sessions_max.max(2 * lanes);
        self.config.items_max = 10_000_000;
        self.config.bytes_max = 1 << 34;
    }

    fn draw_times(&mut self) {
        let mut times = Stream::new(self.seed, "times");
        let config = &mut self.config;
        config.request_timeout_ms = times.between(200, 8_000);
        config.request_deadline_ms = config.request_timeout_ms + times.between(1, 2_000);
        config.late_write_bound_ms = config.request_deadline_ms + times.between(1, 20_000);
        config.delivery_deadline_ms = config.late_write_bound_ms + times.between(1, 90_000);
        config.session_max_ms = config.delivery_deadline_ms + times.between(60_000, 3_600_000);
        config.paused_index_deadline_ms = times.between(1_000, 30_000);
        config.idle_timeout_ms = times.between(2_000, 20_000);
        config.retry_base_ms = times.between(1, 500);
        config.retry_max_ms = config.retry_base_ms + times.between(1, 15_000);
        config.linger_ms = times.between(0, 20);
        config.retry_after_ms = *times.pick(&[1, 100, 2_000]);
        self.chaos_ms = times.between(30_000, 240_000);
        self.link_ms = times.between(1, 200);
        self.indexer_ms = times.between(1, 300).min(config.request_deadline_ms / 4);
        self.store_ms = times.between(0, 20);
        self.lease_ms = *times.pick(&[6_000, 15_000, 30_000]);
        self.bound_ahead_ms = *times.pick(&[15_000, 60_000]);
        self.refresh_every_ms = times.between(100, 5_000);
        self.gc_deletes_ms = *times.pick(&[1_000, 60_000, 300_000]);
    }

    fn draw_limits(&mut self) {
        let mut limits = Stream::new(self.seed, "limits");
        let indices = self.config.catalogue.indices().len() as u64;
        // The least that lets every session of the workload through, alone.
        let session = u64::from(self.documents_max.max(self.delta_items_max)) * 2 * indices;
        self.fault_refusals_min = *limits.pick(&[3, 10, 50]);
        let config = &mut self.config;
        config.sessions_max = *limits.pick(&[1, 2, 5, 100]);
        config.items_per_session_max = *limits.pick(&[session, session * 10]);
        config.items_per_agent_max = *limits.pick(&[config.items_per_session_max, 1_000_000]);
        config.items_max = *limits.pick(&[config.items_per_agent_max, 10_000_000]);
        config.bytes_per_session_max = *limits.pick(&[1 << 20, 1 << 30]);
        config.bytes_per_agent_max = config.bytes_per_session_max * limits.between(1, 3);
        config.bytes_max = *limits.pick(&[config.bytes_per_agent_max, 1 << 34]);
        config.runs_per_session_max = *limits.pick(&[8, 65_536]);
        // A relay's agent that sends faster than this is refused, and an agent sends no slower next time.
        let open_bytes = *limits.pick(&[1, 10_000, 8 << 20]);
        config.open_bytes_per_connection_max = if self.relays { 8 << 20 } else { open_bytes };
        config.bad_frames_max = *limits.pick(&[1, 5]);
        config.ranges_per_request_max = *limits.pick(&[1, 3, 256]);
        config.failed_items_max = *limits.pick(&[1, 4, 1_000]);
        config.verdicts_per_lane = *limits.pick(&[1, 4]);
        config.store_failures_max = *limits.pick(&[1, 3]);
        config.bulk_bytes_max = *limits.pick(&[6_000, 40_000, 10 << 20]);
        config.bulk_operations_max = *limits.pick(&[1, 2, 7, 50_000]);
        config.concurrency = *limits.pick(&[1, 1, 2, 4]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_drawn_configuration_is_valid() {
        for seed in 0..2_000 {
            let options = Options::drawn(seed);
            assert_eq!(options.config.validate(), Ok(()), "seed {seed}");
        }
        assert_eq!(Options::calm(1).config.validate(), Ok(()));
        assert_ne!(Options::drawn(1), Options::drawn(2));
    }
}
