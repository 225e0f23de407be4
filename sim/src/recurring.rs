//! Faults that come over the world from time to time: what each does, for how long, and how it ends.
//!
//! ```text
//!  FaultDue ──▶ strikes an agent, the manager, its store, its clock or the Indexer ──▶ FaultEnds
//!     ▲                                                                                   │
//!     └───────────────────────── after a while of its own ◀───────────────────────────────┘
//! ```

use inventory_sync_core::id::{AgentId, IndexId};
use inventory_sync_core::manager::{self, Unready};
use inventory_sync_core::wire::PROTOCOL_VERSION;
use inventory_sync_core::{agent, coordinator};

use crate::agent_node::{AGENT_VERSIONS, agent_info};
use crate::content::{Content, DocKey};
use crate::faults::{Fault, Often, Part};
use crate::indexer_node::WRITER_INDEX;
use crate::world::{Occurrence, World};

impl World {
    /// Things begin to go wrong.
    pub(crate) fn begin_chaos(&mut self) {
        self.note("chaos");
        self.trace.phase(self.schedule.now(), "chaos");
        self.wake_faults();
        let recurring = Fault::ALL
            .iter()
            .filter(|fault| matches!(fault.often(), Often::Every(_)));
        for fault in recurring {
            if let Some(after_ms) = self.faults.next_ms(*fault) {
                self.schedule.after(after_ms, Occurrence::FaultDue(*fault));
            }
        }
    }

    /// A recurring fault is due: it happens, and is planned again.
    pub(crate) fn fault_due(&mut self, fault: Fault) {
        if !self.faults.may_recur(fault) {
            return;
        }
        let lasts_ms = match self.faults.stream(fault).below(4) {
            0 => self.faults.stream(fault).between(1, 500),
            1 | 2 => self.faults.stream(fault).between(500, 10_000),
            _ => self.faults.stream(fault).between(10_000, 60_000),
        };
        let target = self.choose_agent(fault);
        let happens = match (fault.part(), target) {
            (Part::Link, Some(target)) => self.strike_link(fault, target, lasts_ms),
            (Part::Agent, Some(target)) => self.strike_agent(fault, target, lasts_ms),
            (Part::Manager, _) => self.strike_manager(fault, lasts_ms),
            (Part::Store | Part::Clock, _) => self.strike_store_or_clock(fault, lasts_ms),
            (Part::Indexer, Some(target)) => self.strike_indexer(fault, target),
            (Part::Link | Part::Agent | Part::Indexer, None) => false,
        };
        if happens {
            self.note(fault.label());
            self.faults.count(fault);
            self.trace.fault_lasts(self.schedule.now(), fault);
            let agent = target.unwrap_or(0);
            self.schedule
                .after(lasts_ms, Occurrence::FaultEnds { fault, agent });
        }
        if let Some(after_ms) = self.faults.next_ms(fault) {
            self.schedule
                .after(lasts_ms + after_ms, Occurrence::FaultDue(fault));
        }
    }

    /// One of the agents that can be struck; clones are not.
    fn choose_agent(&mut self, fault: Fault) -> Option<usize> {
        let in_reach: Vec<usize> = self
            .agents
            .iter()
            .enumerate()
            .filter(|(_, node)| !node.is_clone && self.faults.reaches(node.id))
            .map(|(agent, _)| agent)
            .collect();
        if in_reach.is_empty() {
            return None;
        }
        Some(*self.faults.stream(fault).pick(&in_reach))
    }

    fn strike_link(&mut self, fault: Fault, target: usize, lasts_ms: u64) -> bool {
        let until = self.now() + lasts_ms;
        let condition = self.network.condition_mut(self.agents[target].id);
        match fault {
            Fault::LinkClogged => condition.clogged_until = until,
            Fault::LinkNarrow => condition.narrow_until = until,
            Fault::PartitionUp => condition.cut_up_until = until,
            Fault::PartitionDown => condition.cut_down_until = until,
            Fault::PartitionBoth => {
                condition.cut_up_until = until;
                condition.cut_down_until = until;
            }
            Fault::ConnectFails => {
                condition.refused_until = until;
                if let Some(connection) = self.agents[target].connection {
                    self.break_connection(connection, true);
                }
            }
            Fault::SlowReader => {
                condition.deaf_until = until;
                let limits = [200, 1_000, 2 << 20];
                self.unread_bytes_max = *self.faults.stream(fault).pick(&limits);
            }
            Fault::ReconnectStorm => {
                for connection in self.network.ids() {
                    let owner = self.network.get(connection).map(|found| found.agent);
                    if owner.is_some_and(|owner| self.faults.reaches(owner)) {
                        self.break_connection(connection, true);
                    }
                }
            }
            _ => return false,
        }
        true
    }

    fn strike_agent(&mut self, fault: Fault, target: usize, lasts_ms: u64) -> bool {
        match fault {
            Fault::AgentCrash => self.crash_agent(target, lasts_ms),
            Fault::AgentPause => self.agents[target].paused_until = self.standstill(lasts_ms),
            Fault::AgentRestored => {
                let node = &mut self.agents[target];
                let Some(backup) = node.backup.take() else {
                    let copy = node.lanes.iter();
                    node.backup =
                        Some(copy.map(|lane| (lane.outbox.clone(), lane.floor)).collect());
                    return false;
                };
                self.crash_agent(target, lasts_ms);
                for (lane, (old, floor)) in self.agents[target].lanes.iter_mut().zip(&backup) {
                    lane.outbox.restored(old);
                    lane.floor = *floor;
                }
            }
            Fault::AgentWiped => {
                self.crash_agent(target, lasts_ms);
                for lane in &mut self.agents[target].lanes {
                    lane.outbox.wiped();
                    lane.floor = inventory_sync_core::id::Version(0);
                }
            }
            Fault::AgentTornWrite => {
                self.crash_agent(target, lasts_ms);
                for lane in &mut self.agents[target].lanes {
                    lane.outbox.torn();
                }
            }
            Fault::AgentCloned => self.clone_appears(target),
            Fault::AgentVersion => {
                self.upgrade_agent(target, lasts_ms.min(1_000));
                let versions = [0, 0, PROTOCOL_VERSION, PROTOCOL_VERSION + 1, u16::MAX];
                let stream = self.faults.stream(fault);
                let (speaks, greets) = (*stream.pick(&versions), stream.chance(500_000));
                let node = &mut self.agents[target];
                (node.speaks, node.greets) = (speaks, greets);
            }
            Fault::ChurnStorm => {
                for agent in 0..self.agents.len() {
                    if self.faults.reaches(self.agents[agent].id) {
                        self.churn_all(agent);
                    }
                }
            }
            _ => return false,
        }
        true
    }

    /// An agent is stopped in order, says something else of itself before, and is gone a moment later.
    fn upgrade_agent(&mut self, agent: usize, down_ms: u64) {
        let life = self.agents[agent].life;
        let mut info = agent_info(self.agents[agent].id);
        info.version = AGENT_VERSIONS[1].to_owned();
        for module in 0..self.agents[agent].lanes.len() {
            let describe = agent::Event::Describe {
                info: Box::new(info.clone()),
            };
            self.tell_agent(agent, life, module, describe);
            self.tell_agent(agent, life, module, agent::Event::Stop);
        }
        self.schedule
            .after(down_ms, Occurrence::CrashAgent { agent, life });
    }

    /// Everything of an agent changes at once.
    fn churn_all(&mut self, agent: usize) {
        // Where a script says what changes, nothing else does.
        if self.options.change_every_ms == 0 {
            return;
        }
        let node = &mut self.agents[agent];
        let life = node.life;
        for (module, lane) in node.lanes.iter_mut().enumerate() {
            for _ in 0..lane.churn.between(5, 40) {
                lane.outbox.churn(&mut lane.churn);
            }
            lane.churn.episode();
            let due = Occurrence::SyncDue {
                agent,
                life,
                module,
            };
            self.schedule.after(0, due);
        }
    }

    fn strike_manager(&mut self, fault: Fault, lasts_ms: u64) -> bool {
        match fault {
            Fault::ManagerCrash => {
                self.crash_process();
                self.schedule.after(lasts_ms, Occurrence::StartManager);
            }
            Fault::ManagerRestart => self.stop_process(),
            Fault::ManagerPause => self.manager_paused_until = self.standstill(lasts_ms),
            Fault::MemoryCap => {
                let stream = self.faults.stream(fault);
                let (items, bytes) = (*stream.pick(&[1, 8]), *stream.pick(&[1, 4_096, 1 << 20]));
                self.set_quota(items, bytes);
            }
            Fault::ManagerReconfigured => {
                self.reconfigures = true;
                self.stop_process();
            }
            Fault::ManagerFailover => {
                // Without the writer document the successor would have to guess the versions.
                if self.writer_document().is_none() {
                    return false;
                }
                self.crash_process();
                std::mem::swap(&mut self.store, &mut self.standby);
                self.failovers += 1;
                self.schedule.after(lasts_ms, Occurrence::StartManager);
            }
            _ => return false,
        }
        true
    }

    /// The shards' part of the quota changes.
    pub(crate) fn set_quota(&mut self, items: u64, bytes: u64) {
        let Some(life) = self.process.as_ref().map(|process| process.life) else {
            return;
        };
        for shard in 0..self.options.shards {
            self.tell_shard(life, shard, manager::Event::QuotaSlice { items, bytes });
        }
    }

    fn strike_store_or_clock(&mut self, fault: Fault, lasts_ms: u64) -> bool {
        let (now, true_ms) = (self.now(), self.unix_ms());
        match fault {
            Fault::StoreFull => self.store_is_full = true,
            Fault::StoreTornTail => self.tears_record = true,
            Fault::StoreOpenFails => {
                self.store_shut_until = now + lasts_ms;
                self.stop_process();
            }
            Fault::StoreStalled => self.store_stalled_until = self.standstill(lasts_ms),
            Fault::ClockStepBack | Fault::ClockStepForward => {
                let bits = self.faults.stream(fault).bits();
                let back = fault == Fault::ClockStepBack;
                self.wall.step(now, true_ms, back, bits);
            }
            Fault::ClockSkew => {
                let speed = *self.faults.stream(fault).pick(&[500, 2_000]);
                self.wall.run_at(now, speed);
            }
            Fault::ClockFreeze => self.wall.run_at(now, 0),
            _ => return false,
        }
        true
    }

    fn strike_indexer(&mut self, fault: Fault, target: usize) -> bool {
        let now_ms = self.unix_ms();
        let (index, name) = self.choose_index(fault);
        match fault {
            Fault::IndexerRestart => self.indexer.model.restart(true, now_ms),
            Fault::IndexerRed => self.indexer.set_red(true),
            Fault::IndexerUnreachable => self.indexer.reachable = false,
            Fault::IndexerUnauthorized => self.indexer.refuses = Some(Unready::Unauthorized),
            Fault::IndexerForbidden => self.indexer.refuses = Some(Unready::Forbidden),
            Fault::IndexerStarting => self.indexer.refuses = Some(Unready::Initializing),
            Fault::IndexBlocked => self.indexer.set_blocked(Some(&name), true),
            Fault::RefreshPaused => self.indexer.refresh_paused = true,
            Fault::IndexClosed => return self.indexer.model.set_closed(&name, true, now_ms),
            Fault::IndexDeleted => {
                if !self.indexer.model.delete_index(&name) {
                    return false;
                }
                self.index_disturbed(index, &name);
            }
            Fault::IndexRestored => {
                let Some(snapshot) = self.indexer.snapshots.remove(&index) else {
                    let snapshot = self.indexer.model.snapshot(&name);
                    self.indexer
                        .snapshots
                        .extend(snapshot.map(|snapshot| (index, snapshot)));
                    return false;
                };
                if self.indexer.model.get_index(&name).is_none() {
                    return false;
                }
                self.indexer.model.restore(&snapshot, now_ms);
                self.index_disturbed(index, &name);
            }
            Fault::TemplateDifferent => {
                self.indexer.misfit = Some(index);
                self.stop_process();
            }
            // All agents begin to say what the mapping does not take.
            Fault::MappingRefused => {
                self.indexer.mapping_refuses = Some(index);
                for agent in 0..self.agents.len() {
                    self.churn_all(agent);
                }
            }
            Fault::ForeignWrite => self.someone_else_writes(self.agents[target].id, index),
            Fault::WriterIndexDeleted => {
                // While another store's bound stands only in the document, both are never lost together.
                let is_ours = |writer: &str| writer == self.store.writer;
                return self
                    .writer_document()
                    .is_some_and(|document| is_ours(&document.writer))
                    && self.indexer.model.delete_index(WRITER_INDEX);
            }
            _ => return false,
        }
        true
    }

    fn choose_index(&mut self, fault: Fault) -> (IndexId, String) {
        let indices = self.options.config.catalogue.indices();
        let number = self.faults.stream(fault).below(indices.len() as u64);
        let place = usize::try_from(number).unwrap_or(0);
        (
            IndexId(u16::try_from(place).unwrap_or(0)),
            indices[place].name.clone(),
        )
    }

    /// What an index holds has nothing to do any more with what was written: nobody notices until Checks are
    /// built, so that the agents' next Full is ordered here, as an operator would.
    fn index_disturbed(&mut self, index: IndexId, name: &str) {
        let mut stored = Vec::new();
        if let Some(found) = self.indexer.model.get_index(name) {
            for (id, document) in found.documents() {
                let key = DocKey::of_stored(&self.options.config.cluster, index, id);
                let content = Content::of_stored(document.source());
                if let (Ok(key), Ok((content, _))) = (key, content) {
                    let version = inventory_sync_core::id::Version(document.version);
                    stored.push((key, content, version));
                }
            }
        }
        self.oracles.disturbed(index, stored);
        let module = self.options.config.catalogue.indices()[usize::from(index.0)].module;
        for node in &mut self.agents {
            node.lanes[usize::from(module.0)].outbox.owe_full();
        }
    }

    /// Something that is not ours writes a document of an agent, and the agent is told to say everything again.
    fn someone_else_writes(&mut self, agent: AgentId, index: IndexId) {
        let is_safe = !self.faults.is_on(Fault::ManagerFailover);
        let documents = u64::from(self.options.documents_max);
        let stream = self.faults.stream(Fault::ForeignWrite);
        let number = u32::try_from(stream.below(documents)).unwrap_or(0);
        let content = Content::foreign(stream.below(1 << 20) << 20 | u64::from(number));
        let ahead_ms = *stream.pick(&[1_000, 60_000, 3_600_000]);
        // A successor with a store of its own knows nothing of an agent's bound that lies above the common
        // one: together with a take-over only writes that raise none.
        let version_ms = if is_safe {
            self.unix_ms() + ahead_ms
        } else {
            crate::world::EPOCH_MS
        };
        let key = DocKey::new(agent, index, number);
        self.foreign_write(key, content, version_ms);
        let module = self.options.config.catalogue.indices()[usize::from(index.0)].module;
        for node in self.agents.iter_mut().filter(|node| node.id == agent) {
            node.lanes[usize::from(module.0)].outbox.owe_full();
        }
    }

    /// A lasting fault is over.
    pub(crate) fn fault_ends(&mut self, fault: Fault, agent: usize) {
        self.trace.fault_over(self.schedule.now(), fault);
        let now = self.now();
        match fault {
            Fault::SlowReader => self.read_what_waited(self.agents[agent].id),
            Fault::AgentCloned => self.clone_goes(agent),
            Fault::MemoryCap => {
                let config = &self.options.config;
                self.set_quota(config.items_max, config.bytes_max);
            }
            Fault::StoreFull => self.store_is_full = false,
            Fault::ClockSkew | Fault::ClockFreeze => self.wall.run_at(now, 1_000),
            Fault::IndexerRed => self.indexer.set_red(false),
            Fault::IndexerUnreachable => self.indexer.reachable = true,
            Fault::IndexerUnauthorized | Fault::IndexerForbidden | Fault::IndexerStarting => {
                self.indexer.refuses = None;
            }
            Fault::IndexBlocked => self.indexer.set_blocked(None, false),
            Fault::IndexClosed => self.open_indices(),
            Fault::TemplateDifferent => self.indexer.misfit = None,
            Fault::MappingRefused => {
                self.indexer.mapping_refuses = None;
                self.operator_resumes();
            }
            Fault::RefreshPaused => self.indexer.refresh_paused = false,
            _ => {}
        }
    }

    /// All indices are open again.
    pub(crate) fn open_indices(&mut self) {
        let now_ms = self.unix_ms();
        for index in self.options.config.catalogue.indices() {
            self.indexer.model.set_closed(&index.name, false, now_ms);
        }
    }

    /// An operator lets all indices that are held try again.
    pub(crate) fn operator_resumes(&mut self) {
        let Some(life) = self.process.as_ref().map(|process| process.life) else {
            return;
        };
        let count = self.options.config.catalogue.indices().len();
        for index in (0_u16..).map(IndexId).take(count) {
            self.tell_coordinator(life, coordinator::Event::ResumeIndex { index });
        }
    }
}
