//! The life of the manager's process: start, crash, stop in order; and the mail between its machines.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use inventory_sync_core::coordinator::{self, Coordinator};
use inventory_sync_core::document::Scheme;
use inventory_sync_core::id::AgentId;
use inventory_sync_core::manager::{self, AgentFloor, Manager, Observation};
use inventory_sync_core::time::Tick;

use crate::faults::Fault;
use crate::manager_node::{Process, Shard};
use crate::options::Healing;
use crate::oracles::DurableBounds;
use crate::trace::{Link, Node};
use crate::world::{Occurrence, World};

impl World {
    /// The coordinator's configuration, in step with the shards'.
    fn coordinator_config(&mut self) -> coordinator::Config {
        let config = &self.options.config;
        let nonce = self.seeds.bits();
        let mut own = coordinator::Config::new(
            config.catalogue.clone(),
            self.options.shards,
            self.store.writer.to_owned(),
            nonce,
        );
        own.late_write_bound_ms = config.late_write_bound_ms;
        own.lease_ms = self.options.lease_ms;
        own.renew_ms = self.options.lease_ms / 3;
        own.bound_ahead_ms = self.options.bound_ahead_ms;
        own.fault_refusals_min = self.options.fault_refusals_min;
        own.listing_linger_ms = self.options.listing_linger_ms;
        own.listing_targets_max = self.options.listing_targets_max;
        own.items_max = config
            .items_max
            .saturating_mul(u64::from(self.options.shards));
        own.bytes_max = config
            .bytes_max
            .saturating_mul(u64::from(self.options.shards));
        own
    }

    /// The process starts: staged frames are cleaned, a recorded clean stop is withdrawn.
    pub(crate) fn start_process(&mut self) {
        if self.process.is_some() {
            return;
        }
        if self.now() < self.store_shut_until {
            self.note("the store cannot be opened");
            self.schedule.after(1_000, Occurrence::StartManager);
            return;
        }
        if std::mem::take(&mut self.reconfigures) {
            self.reconfigure();
        }
        self.manager_paused_until = Tick(0);
        self.lives += 1;
        let life = self.lives;
        self.store.clean();
        let clean_stop = std::mem::take(&mut self.store.meta.clean_stop);
        let bound = self.store.meta.bound;
        let floors: Vec<AgentFloor> = self.store.meta.floors.values().copied().collect();
        let mut config = self.options.config.clone();
        config.request_timeout_ms = config
            .request_timeout_ms
            .min(config.request_deadline_ms - 1);
        let shards = (0..self.options.shards)
            .map(|_| Shard::new(Manager::new(config.clone(), self.seeds.seed())))
            .collect();
        let coordinator_config = self.coordinator_config();
        self.lease_ms = coordinator_config.lease_ms;
        self.oracles.coordinator_begins(&coordinator_config);
        let coordinator = Coordinator::new(coordinator_config, self.seeds.seed());
        self.process = Some(Process {
            life,
            shards,
            coordinator,
            coordinator_armed: None,
            coordinator_mail: VecDeque::new(),
            scheme: Arc::new(Scheme::new(&self.options.config, self.seeds.bits())),
            tables: BTreeMap::new(),
            listings: BTreeMap::new(),
            stopping: false,
            lease_until: Tick(0),
        });
        self.note("the manager starts");
        self.trace.manager_up(self.schedule.now());
        if !floors.is_empty() {
            for shard in 0..self.options.shards {
                let own = floors
                    .iter()
                    .filter(|floor| self.shard_of(floor.agent) == shard)
                    .copied()
                    .collect();
                self.tell_shard(life, shard, manager::Event::Floors { floors: own });
            }
        }
        self.tell_coordinator(life, coordinator::Event::Recovered { bound, clean_stop });
        self.wall_clock(life);
    }

    /// The wall clock is read, as about once a second.
    pub(crate) fn wall_clock(&mut self, life: u32) {
        if self
            .process
            .as_ref()
            .is_none_or(|process| process.life != life)
        {
            return;
        }
        let unix_ms = self.wall.unix_ms(self.now());
        self.tally.routine += u64::from(self.options.shards) + 1;
        for shard in 0..self.options.shards {
            self.tell_shard(life, shard, manager::Event::WallClock { unix_ms });
        }
        self.tell_coordinator(life, coordinator::Event::WallClock { unix_ms });
        self.schedule.after(1_000, Occurrence::WallClock { life });
    }

    /// The process is gone, in order or not: its memory with it, its connections broken.
    pub(crate) fn end_process(&mut self, why: &'static str) {
        if self.process.take().is_none() {
            return;
        }
        self.note(why);
        self.trace.manager_down(self.schedule.now());
        self.oracles.manager_gone();
        self.orphan_requests();
        for connection in self.network.ids() {
            if let Some(found) = self.network.get_mut(connection) {
                found.at_manager = false;
                found.paused = false;
                found.unread.clear();
            }
            let delay_ms = self.network.latency_ms();
            self.schedule
                .after(delay_ms, Occurrence::BrokenAtAgent(connection));
        }
    }

    /// The process crashes.
    pub(crate) fn crash_process(&mut self) {
        self.end_process("the manager crashes");
    }

    /// The process crashes while a record is being synced: it is durable, and nobody was told.
    pub(crate) fn tear_record(&mut self, what: coordinator::Record) {
        self.store.record(what);
        self.crash_process();
        let down_ms = self.faults.stream(Fault::StoreTornTail).between(1, 20_000);
        self.schedule.after(down_ms, Occurrence::StartManager);
    }

    /// Another configuration, within what the agents of this world need: limits, sizes, pauses, shards.
    fn reconfigure(&mut self) {
        let stream = self.faults.stream(Fault::ManagerReconfigured);
        self.options.shards = *stream.pick(&[1, 2, 3]);
        let config = &mut self.options.config;
        let sessions_max = *stream.pick(&[1, 3, 100]);
        config.sessions_max = match self.options.healing {
            Healing::Everything => sessions_max,
            // Never too few for those that stay broken and the others together.
            Healing::Core | Healing::Nothing => 100,
        };
        config.idle_timeout_ms = stream.between(2_000, 20_000);
        config.retry_base_ms = stream.between(1, config.retry_max_ms);
        config.linger_ms = stream.between(0, 20);
        config.bulk_bytes_max = *stream.pick(&[6_000, 40_000, 10 << 20]);
        config.bulk_operations_max = *stream.pick(&[1, 5, 50_000]);
        config.concurrency = *stream.pick(&[1, 3]);
        config.ranges_per_request_max = *stream.pick(&[1, 256]);
        config.failed_items_max = *stream.pick(&[1, 1_000]);
        config.verdicts_per_lane = *stream.pick(&[1, 4]);
        config.store_failures_max = *stream.pick(&[1, 3]);
        config.bad_frames_max = *stream.pick(&[1, 5]);
        debug_assert_eq!(config.validate(), Ok(()));
        self.oracles.configured(self.options.config.clone());
        self.note("the manager has another configuration");
    }

    /// The process is asked to stop.
    pub(crate) fn stop_process(&mut self) {
        let Some(process) = &mut self.process else {
            return;
        };
        if !std::mem::replace(&mut process.stopping, true) {
            let life = process.life;
            self.note("the manager is asked to stop");
            self.tell_coordinator(life, coordinator::Event::Shutdown);
        }
    }

    /// Something for a shard, in the order in which the coordinator said it.
    pub(crate) fn mail_shard(&mut self, shard: u16, event: manager::Event<crate::store::Scanned>) {
        let delay_ms = self.latency.between(0, 2);
        let Some(process) = &mut self.process else {
            return;
        };
        let life = process.life;
        if let Some(addressed) = process.shards.get_mut(usize::from(shard)) {
            self.trace
                .shard_mailed(self.schedule.now(), (life, shard), &event);
            addressed.mail.push_back(event);
            self.schedule
                .after(delay_ms, Occurrence::ShardMail { life, shard });
        }
    }

    /// Something for the coordinator, in the order in which the shards said it.
    pub(crate) fn mail_coordinator(&mut self, event: coordinator::Event) {
        let delay_ms = self.latency.between(0, 2);
        let Some(process) = &mut self.process else {
            return;
        };
        let life = process.life;
        self.trace
            .coordinator_mailed(self.schedule.now(), life, &event);
        process.coordinator_mail.push_back(event);
        self.schedule
            .after(delay_ms, Occurrence::CoordinatorMail { life });
    }

    /// The next letter is opened.
    pub(crate) fn open_shard_mail(&mut self, life: u32, shard: u16) {
        let Some(process) = self.process.as_mut().filter(|process| process.life == life) else {
            return;
        };
        let letter = process
            .shards
            .get_mut(usize::from(shard))
            .and_then(|addressed| addressed.mail.pop_front());
        if let Some(event) = letter {
            self.trace
                .arrived(self.schedule.now(), Link::ShardMail(life, shard));
            self.tally.shard_told(&event);
            self.tell_shard(life, shard, event);
        }
    }

    /// The next letter is opened.
    pub(crate) fn open_coordinator_mail(&mut self, life: u32) {
        let Some(process) = self.process.as_mut().filter(|process| process.life == life) else {
            return;
        };
        if let Some(event) = process.coordinator_mail.pop_front() {
            self.trace
                .arrived(self.schedule.now(), Link::CoordinatorMail(life));
            self.tell_coordinator(life, event);
        }
    }

    /// How far versions may go at this moment.
    pub(crate) fn durable_bounds(&self, agent: AgentId) -> DurableBounds {
        DurableBounds {
            meta: self.store.meta.bound,
            // What somebody else deleted was durable all the same.
            writer: self
                .writer_document()
                .map(|document| document.bound)
                .max(self.writer_bound),
            agent: self.store.meta.floors.get(&agent).map(|floor| floor.bound),
            lease_until: self
                .process
                .as_ref()
                .map_or(Tick(0), |process| process.lease_until),
        }
    }

    /// A fact of the world for the trace.
    pub(crate) fn note(&mut self, what: &'static str) {
        let now = self.now();
        self.trace.note(now, Node::World, '*', &what);
    }

    /// What operators would count.
    pub(crate) fn observed(&mut self, observation: &Observation) {
        if let Observation::Conflict { .. } = observation {
            self.conflicts += 1;
        }
    }
}
