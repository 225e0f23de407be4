//! The coordinator's I/O: health, writer document, templates, indices, refreshes and listings.

use inventory_sync_core::coordinator::{
    Command, Event, ListingReport, Record, RefreshOutcome, ShardId, TemplateOutcome, WriteOutcome,
};
use inventory_sync_core::manager::widen;
use inventory_sync_core::time::Tick;

use crate::faults::Fault;
use crate::oracles::Sharing;
use crate::trace::Node;
use crate::world::{Occurrence, World};

impl World {
    /// Tells the coordinator something, and does what it asks.
    pub(crate) fn tell_coordinator(&mut self, life: u32, event: Event) {
        let now = self.now();
        let Some(process) = self.process.as_mut().filter(|process| process.life == life) else {
            return;
        };
        self.trace.note(now, Node::Coordinator, '<', &event);
        self.oracles.coordinator_hears(&event, self.store.writer);
        let word = self
            .oracles
            .indices_heard(&event, self.options.fault_refusals_min);
        let state = process.coordinator.state();
        self.coverage.coordinator_told(state, &event);
        self.tally.coordinator_told(state, &event);
        let mut commands = std::mem::take(&mut self.coordinator_commands);
        process.coordinator.handle(now, event, &mut commands);
        process.coordinator.check_invariants();
        if let Some((at, _)) = process.coordinator.next_deadline()
            && let at = at.max(now)
            && process.coordinator_armed.is_none_or(|armed| at < armed)
        {
            process.coordinator_armed = Some(at);
            self.schedule.at(at, Occurrence::CoordinatorTick { life });
        }
        let health = process.coordinator.health();
        let lease_until = process.coordinator.lease_until();
        let stops = process.stopping;
        self.oracles.indices_judged(&word, &commands);
        let sharing = Sharing {
            linger_ms: self.options.listing_linger_ms,
            targets_max: self.options.listing_targets_max,
        };
        self.oracles.listings_judged(&commands, health, sharing);
        let writes = (health, lease_until, stops);
        self.oracles
            .clocks_judged(&commands, writes, self.options.bound_ahead_ms);
        for command in commands.drain(..) {
            if self.process.is_none() {
                break;
            }
            self.trace.note(now, Node::Coordinator, '>', &command);
            self.judge_coordinator(&command);
            self.oracles.judge_question(&command);
            self.coverage.coordinator_asked(&command);
            self.obey_coordinator(life, command);
        }
        self.coordinator_commands = commands;
        self.tally.look(self.process.as_ref());
    }

    /// The coordinator's deadline is reached.
    pub(crate) fn tick_coordinator(&mut self, life: u32) {
        let now = self.now();
        let Some(process) = self.process.as_mut().filter(|process| process.life == life) else {
            return;
        };
        if process.coordinator_armed != Some(now) {
            return;
        }
        process.coordinator_armed = None;
        match process.coordinator.next_deadline() {
            Some((at, _)) if at > now => {
                process.coordinator_armed = Some(at);
                self.schedule.at(at, Occurrence::CoordinatorTick { life });
            }
            Some(_) => {
                self.tally.routine += 1;
                self.tell_coordinator(life, Event::Tick);
            }
            None => {}
        }
    }

    fn obey_coordinator(&mut self, life: u32, command: Command) {
        match command {
            Command::Tell { shard, event } => match shard {
                Some(ShardId(shard)) => self.mail_shard(shard, widen(*event)),
                None => {
                    for shard in 0..self.options.shards {
                        self.mail_shard(shard, widen((*event).clone()));
                    }
                }
            },
            Command::Record { request, what } => {
                let durable = !self.store_is_full && !self.faults.strikes(Fault::RecordFails);
                if durable && std::mem::take(&mut self.tears_record) {
                    return self.tear_record(what);
                }
                let delay_ms = self.latency.between(0, self.options.store_ms);
                self.schedule.after(
                    delay_ms,
                    Occurrence::MetaSynced {
                        life,
                        request,
                        what,
                        durable,
                    },
                );
            }
            Command::Observe(_) => {}
            // The last renewal of a manager that was taken over from may land after its successor looked: to
            // hold it for alive is right, and the successor is started again.
            Command::Abort { reason } if self.failovers > 0 && reason.contains("is alive") => {
                self.end_process("the manager gives way to another writer");
                self.schedule.after(1_000, Occurrence::StartManager);
            }
            Command::Abort { reason } => {
                self.oracles.fail(
                    "O-4 lone writer",
                    "a lone writer is never told to end",
                    reason,
                );
            }
            Command::Stopped { clean: _ } => {
                self.end_process("the manager has stopped");
                self.schedule.after(1_000, Occurrence::StartManager);
            }
            Command::Health { .. }
            | Command::CreateWriterIndex { .. }
            | Command::ReadWriter { .. }
            | Command::WriteWriter { .. }
            | Command::CheckTemplate { .. }
            | Command::CreateIndex { .. }
            | Command::CountDocuments { .. }
            | Command::Refresh { .. }
            | Command::List { .. } => {
                let sent = self.now();
                let mut delay_ms = self.indexer_latency_ms();
                self.trace.control_sent(sent, life, &command);
                if matches!(command, Command::Refresh { .. } | Command::List { .. })
                    && self.faults.strikes(Fault::SearchSlow)
                {
                    delay_ms += self.faults.stream(Fault::SearchSlow).between(1, 20_000);
                }
                self.schedule.after(
                    delay_ms,
                    Occurrence::Control {
                        life,
                        sent,
                        command: Box::new(command),
                    },
                );
            }
        }
    }

    /// `meta` was synced, or could not be.
    pub(crate) fn meta_synced(
        &mut self,
        life: u32,
        request: inventory_sync_core::id::RequestId,
        what: Record,
        durable: bool,
    ) {
        if self
            .process
            .as_ref()
            .is_none_or(|process| process.life != life)
        {
            return;
        }
        if durable {
            self.store.record(what);
        }
        self.tell_coordinator(life, Event::Recorded { request, durable });
    }

    /// A request of the coordinator reaches the Indexer.
    pub(crate) fn control(&mut self, life: u32, sent: Tick, command: Command) {
        self.trace
            .control_arrived(self.schedule.now(), life, &command);
        let alive = self
            .process
            .as_ref()
            .is_some_and(|process| process.life == life);
        let exchange = self.draw_exchange();
        let is_served = self.is_served(exchange);
        let event = match command {
            Command::Health { request } => {
                let outcome = self.ask_health(exchange);
                Event::Health { request, outcome }
            }
            Command::CreateWriterIndex { request } => {
                let outcome = self.ask_for_writer_index(exchange);
                Event::IndexCreated { request, outcome }
            }
            Command::CreateIndex { request, index } => {
                let outcome = self.ask_for_index(exchange, index);
                Event::IndexCreated { request, outcome }
            }
            Command::ReadWriter { request } => {
                let outcome = self.ask_for_writer(exchange);
                Event::WriterRead { request, outcome }
            }
            Command::WriteWriter {
                request,
                condition,
                document,
            } => {
                let outcome = self.ask_to_write_writer(exchange, condition, &document);
                if let (WriteOutcome::Written { .. }, Some(process)) = (&outcome, &mut self.process)
                    && process.life == life
                {
                    // The lease counts from before its renewal was sent.
                    process.lease_until = process.lease_until.max(sent + self.lease_ms);
                }
                Event::WriterWritten { request, outcome }
            }
            Command::CheckTemplate { request, index } => {
                let exists = self
                    .indexer
                    .model
                    .get_index(self.options.config.catalogue.index_name(index))
                    .is_some();
                let outcome = match (is_served, exists) {
                    (false, _) => TemplateOutcome::Unknown,
                    (true, _) if self.indexer.misfit == Some(index) => {
                        TemplateOutcome::Different("a field is missing".to_owned())
                    }
                    (true, true) => TemplateOutcome::IndexFits,
                    (true, false) => TemplateOutcome::TemplateFits,
                };
                Event::TemplateChecked { request, outcome }
            }
            Command::CountDocuments { request } => {
                let outcome = self.ask_to_count(exchange);
                Event::Counted { request, outcome }
            }
            Command::Refresh { request, indices } => {
                let outcome = if is_served {
                    self.refresh(&indices)
                } else {
                    RefreshOutcome::Failed
                };
                Event::Refreshed { request, outcome }
            }
            Command::List {
                request,
                indices,
                targets,
            } => {
                let misses_shard = self.faults.strikes(Fault::ListingFailed);
                let report = if !is_served || !alive {
                    ListingReport::Failed
                } else {
                    self.list(&indices, &targets, misses_shard)
                };
                Event::Listed { request, report }
            }
            Command::Record { .. }
            | Command::Tell { .. }
            | Command::Observe(_)
            | Command::Abort { .. }
            | Command::Stopped { .. } => return,
        };
        let delay_ms = self.indexer_latency_ms();
        self.trace
            .control_answer_sent(self.schedule.now(), life, &event);
        self.schedule.after(
            delay_ms,
            Occurrence::CoordinatorTold {
                life,
                event: Box::new(event),
            },
        );
    }
}
