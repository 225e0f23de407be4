//! What a shard asks of its I/O side and waits for: writes, plans, comparisons, rendered requests.

use inventory_sync_core::answer::BulkOutcome;
use inventory_sync_core::document::{self, Part};
use inventory_sync_core::id::BulkId;
use inventory_sync_core::manager;
use inventory_sync_core::time::Tick;

use crate::bulk::{self, PartOf};
use crate::faults::Fault;
use crate::manager_node::Task;
use crate::store::Write;
use crate::world::{Occurrence, World};

impl World {
    pub(crate) fn push_write(&mut self, life: u32, shard: u16, write: Write) {
        let slow_ms = if self.faults.strikes(Fault::StoreSlow) {
            self.faults.stream(Fault::StoreSlow).between(1, 3_000)
        } else {
            0
        };
        let delay_ms = self.latency.between(0, self.options.store_ms) + slow_ms;
        let Some(process) = &mut self.process else {
            return;
        };
        let Some(staging) = process.shards.get_mut(usize::from(shard)) else {
            return;
        };
        staging.writes.push_back(write);
        if !std::mem::replace(&mut staging.flush_planned, true) {
            self.schedule
                .after(delay_ms, Occurrence::Flush { life, shard });
        }
    }

    /// All writes of a shard so far are written in one group.
    pub(crate) fn flush(&mut self, life: u32, shard: u16) {
        let Some(process) = self.process.as_mut().filter(|process| process.life == life) else {
            return;
        };
        let Some(staging) = process.shards.get_mut(usize::from(shard)) else {
            return;
        };
        staging.flush_planned = false;
        let writes = std::mem::take(&mut staging.writes);
        let Some(upto) = writes.back().map(|write| write.stage) else {
            return;
        };
        let mut failed = Vec::new();
        for write in writes {
            self.oracles
                .stage_answered(shard, write.stage, !write.fails);
            if write.fails {
                failed.push(write.stage);
            } else if let Some((_, table)) = process.tables.get_mut(&write.session) {
                table.stage(write.key, &write.fresh, write.frame.table());
                self.store
                    .put(write.session, write.key, write.frame.packet().clone());
            }
        }
        for stage in failed {
            self.tell_shard(life, shard, manager::Event::StageFailed { stage });
        }
        self.tell_shard(life, shard, manager::Event::Staged { upto });
    }

    pub(crate) fn plan_task(&mut self, life: u32, shard: u16, task: Task) {
        let delay_ms = self.latency.between(0, self.options.store_ms);
        self.schedule
            .after(delay_ms, Occurrence::TaskDone { life, shard, task });
    }

    /// A task of the I/O side is done.
    pub(crate) fn task_done(&mut self, life: u32, shard: u16, task: Task) {
        let Some(process) = self.process.as_mut().filter(|process| process.life == life) else {
            return;
        };
        let event =
            match task {
                Task::Plan {
                    session,
                    allowed,
                    full,
                } => {
                    let reader = self
                        .store
                        .reader(self.faults.strikes(Fault::StoreReadFails));
                    let failed_max = self.options.config.failed_items_max;
                    let plan = process.tables.get_mut(&session).and_then(|(_, table)| {
                        document::plan(table, &reader, &allowed, full, failed_max)
                    });
                    manager::Event::Planned {
                        session,
                        plan: plan.map(Box::new),
                    }
                }
                Task::Diff { session, indices } => {
                    let reader = self
                        .store
                        .reader(self.faults.strikes(Fault::StoreReadFails));
                    let table = process.tables.get_mut(&session);
                    let diff = table.zip(process.listings.get(&session)).and_then(
                        |((_, table), listing)| document::diff(table, listing, &reader, &indices),
                    );
                    manager::Event::Diffed {
                        session,
                        diff: diff.map(Box::new),
                    }
                }
                Task::Floor {
                    record,
                    fails: true,
                    ..
                } => manager::Event::RecordFailed { record },
                Task::Floor {
                    record,
                    floor,
                    fails: false,
                } => {
                    self.store.meta.floors.insert(floor.agent, floor);
                    manager::Event::Recorded { record }
                }
            };
        self.tell_shard(life, shard, event);
    }

    /// Renders a request and sends it, unless a frame cannot be read or the lease is over.
    pub(crate) fn render(
        &mut self,
        life: u32,
        shard: u16,
        (bulk, deadline, not_after): (BulkId, Tick, Tick),
        parts: Vec<Part>,
    ) {
        let now = self.now();
        let mut operations = Vec::new();
        let mut unread = Vec::new();
        let (mut body, mut bytes) = (Vec::new(), 0);
        for (place, part) in parts.iter().enumerate() {
            self.oracles.sent_under(
                part.session,
                part.agent,
                part.version,
                self.durable_bounds(part.agent),
            );
            let Some(process) = &self.process else { return };
            let reader = self
                .store
                .reader(self.faults.strikes(Fault::StoreReadFails));
            body.clear();
            let rendered = process
                .tables
                .get(&part.session)
                .and_then(|(_, table)| document::render(part, table, &reader, &mut body));
            let Some(rendered) = rendered else {
                unread.push(place);
                continue;
            };
            bytes += body.len();
            self.oracles.judge_load_of_part(part, body.len());
            let about = PartOf {
                session: part.session,
                agent: part.agent,
                is_ours: !self.is_hostile(part.agent),
                cluster: &self.options.config.cluster,
            };
            match bulk::read(
                &body,
                about,
                &self.options.config.catalogue,
                &mut self.overlay_check,
            ) {
                Ok(read) => {
                    if read.len() != rendered as usize {
                        let seen = format!("{} operations for {rendered}", read.len());
                        self.oracles.fail(
                            "I-13 bulk body",
                            "as many operations as were rendered",
                            seen,
                        );
                    }
                    let facts: Vec<_> = read.iter().map(|(_, rendered)| *rendered).collect();
                    self.oracles.rendered(part, &facts, body.len());
                    operations.extend(read);
                }
                Err(seen) => self.oracles.fail(
                    "I-13 bulk body",
                    "a well-formed bulk body of this agent's documents",
                    seen,
                ),
            }
        }
        // A frame renders to twice its bytes at most: its payloads, and an overlay for each.
        let spread = parts.len() as u64 * 2 * self.options.frame_bytes_max;
        self.oracles
            .judge_request_size(operations.len(), bytes, spread);
        let outcome = if !unread.is_empty() {
            BulkOutcome::ReadFailed { parts: unread }
        } else if now >= not_after {
            BulkOutcome::NotSent
        } else {
            return self.send_request(
                (life, shard, bulk, deadline),
                parts,
                operations,
                bytes as u64,
            );
        };
        let event = Box::new(manager::Event::BulkDone { bulk, outcome });
        self.schedule
            .after(1, Occurrence::ShardTold { life, shard, event });
    }
}
