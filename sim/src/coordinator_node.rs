//! The coordinator's I/O: health, writer document, templates, indices, refreshes and listings.

use inventory_indexer::model::engine::{Condition, Outcome};
use inventory_sync_core::answer::{self, Collector, Page};
use inventory_sync_core::coordinator::{
    Command, CountOutcome, Event, HealthOutcome, IndexOutcome, ListingReport, ListingTarget, Record,
    RefreshOutcome, ShardId, TemplateOutcome, WriteOutcome, WriterCondition, WriterDocument, WriterOutcome,
};
use inventory_sync_core::id::{IndexId, Version};
use inventory_sync_core::manager::{ListingOutcome, Unready, widen};
use inventory_sync_core::time::Tick;

use crate::faults::Fault;
use crate::indexer_node::{IndexerNode, WRITER_INDEX};
use crate::trace::Node;
use crate::world::{Occurrence, World};

impl World {
    /// Tells the coordinator something, and does what it asks.
    pub(crate) fn tell_coordinator(&mut self, life: u32, event: Event) {
        let now = self.now();
        let Some(process) = self.process.as_mut().filter(|process| process.life == life) else { return };
        self.trace.note(now, Node::Coordinator, '<', &event);
        let mut commands = std::mem::take(&mut self.coordinator_commands);
        process.coordinator.handle(now, event, &mut commands);
        process.coordinator.check_invariants();
        if let Some((at, _)) = process.coordinator.next_deadline()
            && process.coordinator_armed.is_none_or(|armed| at < armed)
        {
            process.coordinator_armed = Some(at);
            self.schedule.at(at, Occurrence::CoordinatorTick { life });
        }
        for command in commands.drain(..) {
            self.trace.note(now, Node::Coordinator, '>', &command);
            self.obey_coordinator(life, command);
        }
        self.coordinator_commands = commands;
    }

    /// The coordinator's deadline is reached.
    pub(crate) fn tick_coordinator(&mut self, life: u32) {
        let now = self.now();
        let Some(process) = self.process.as_mut().filter(|process| process.life == life) else { return };
        if process.coordinator_armed != Some(now) {
            return;
        }
        process.coordinator_armed = None;
        match process.coordinator.next_deadline() {
            Some((at, _)) if at > now => {
                process.coordinator_armed = Some(at);
                self.schedule.at(at, Occurrence::CoordinatorTick { life });
            }
            Some(_) => self.tell_coordinator(life, Event::Tick),
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
                let durable = !self.faults.strikes(Fault::RecordFails);
                let delay_ms = self.latency.between(0, self.options.store_ms);
                self.schedule.after(delay_ms, Occurrence::MetaSynced { life, request, what, durable });
            }
            Command::Observe(_) => {}
            Command::Abort { reason } => {
                self.oracles.fail("abort", "a lone writer is never told to end", reason);
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
                if matches!(command, Command::Refresh { .. } | Command::List { .. })
                    && self.faults.strikes(Fault::SearchSlow)
                {
                    delay_ms += self.faults.stream(Fault::SearchSlow).between(1, 20_000);
                }
                self.schedule.after(delay_ms, Occurrence::Control { life, sent, command: Box::new(command) });
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
        if self.process.as_ref().is_none_or(|process| process.life != life) {
            return;
        }
        if durable {
            match what {
                Record::Bound(bound) => self.store.meta.bound = self.store.meta.bound.max(Some(bound)),
                Record::CleanStop => self.store.meta.clean_stop = true,
            }
        }
        self.tell_coordinator(life, Event::Recorded { request, durable });
    }

    /// A request of the coordinator reaches the Indexer.
    pub(crate) fn control(&mut self, life: u32, sent: Tick, command: Command) {
        let alive = self.process.as_ref().is_some_and(|process| process.life == life);
        let lost = self.faults.strikes(Fault::ControlAnswerLost);
        let reachable = self.indexer.reachable;
        let event = match command {
            Command::Health { request } => {
                let outcome = match (reachable && !lost, self.indexer.red) {
                    (false, _) => HealthOutcome::Unready(Unready::Unreachable),
                    (true, true) => HealthOutcome::Unready(Unready::Red),
                    (true, false) => HealthOutcome::Ready,
                };
                Event::Health { request, outcome }
            }
            Command::CreateWriterIndex { request } => {
                let outcome = self.create_index(reachable, WRITER_INDEX);
                Event::IndexCreated { request, outcome: if lost { IndexOutcome::Unknown } else { outcome } }
            }
            Command::CreateIndex { request, index } => {
                let name = self.options.config.catalogue.index_name(index).to_owned();
                let outcome = self.create_index(reachable, &name);
                Event::IndexCreated { request, outcome: if lost { IndexOutcome::Unknown } else { outcome } }
            }
            Command::ReadWriter { request } => {
                let outcome = if reachable && !lost { self.read_writer() } else { WriterOutcome::Unknown };
                Event::WriterRead { request, outcome }
            }
            Command::WriteWriter { request, condition, document } => {
                let outcome = if reachable { self.write_writer(condition, &document) } else { WriteOutcome::Unknown };
                let outcome = if lost { WriteOutcome::Unknown } else { outcome };
                if let (WriteOutcome::Written { .. }, Some(process)) = (&outcome, &mut self.process)
                    && process.life == life
                {
                    // The lease counts from before its renewal was sent.
                    process.lease_until = process.lease_until.max(sent + self.lease_ms);
                }
                Event::WriterWritten { request, outcome }
            }
            Command::CheckTemplate { request, index } => {
                let exists = self.indexer.model.get_index(self.options.config.catalogue.index_name(index)).is_some();
                let outcome = match (reachable && !lost, exists) {
                    (false, _) => TemplateOutcome::Unknown,
                    (true, true) => TemplateOutcome::IndexFits,
                    (true, false) => TemplateOutcome::TemplateFits,
                };
                Event::TemplateChecked { request, outcome }
            }
            Command::CountDocuments { request } => {
                let outcome = if reachable && !lost { self.count_documents() } else { CountOutcome::Unknown };
                Event::Counted { request, outcome }
            }
            Command::Refresh { request, indices } => {
                let outcome = if reachable && !lost { self.refresh(&indices) } else { RefreshOutcome::Failed };
                Event::Refreshed { request, outcome }
            }
            Command::List { request, indices, targets } => {
                let failed = !reachable || lost || self.faults.strikes(Fault::ListingFailed);
                let report = if failed || !alive { ListingReport::Failed } else { self.list(&indices, &targets) };
                Event::Listed { request, report }
            }
            Command::Record { .. }
            | Command::Tell { .. }
            | Command::Observe(_)
            | Command::Abort { .. }
            | Command::Stopped { .. } => return,
        };
        let delay_ms = self.indexer_latency_ms();
        self.schedule.after(delay_ms, Occurrence::CoordinatorTold { life, event: Box::new(event) });
    }

    fn create_index(&mut self, reachable: bool, name: &str) -> IndexOutcome {
        if !reachable {
            return IndexOutcome::Unknown;
        }
        let now_ms = self.unix_ms();
        if self.indexer.model.get_index(name).is_none() {
            let settings = IndexerNode::settings(&self.options);
            if let Err(refusal) = self.indexer.model.create_index(name, settings, None, now_ms) {
                return IndexOutcome::Refused(refusal.to_string());
            }
            let red = self.indexer.red;
            self.indexer.model.change_index(name, |index| index.shard_missing = red);
        }
        IndexOutcome::Exists
    }

    /// The writer document as it stands in the Indexer.
    pub(crate) fn writer_document(&self) -> Option<(WriterDocument, u64, u64)> {
        let stored = self.indexer.model.get_index(WRITER_INDEX)?.get(&self.options.config.cluster)?;
        let read: serde_json::Value = serde_json::from_slice(stored.source()).ok()?;
        let document = WriterDocument {
            writer: read.get("writer")?.as_str()?.to_owned(),
            nonce: read.get("nonce")?.as_str()?.parse().ok()?,
            bound: Version(read.get("bound")?.as_u64()?),
        };
        Some((document, stored.seq_no, stored.primary_term))
    }

    fn read_writer(&self) -> WriterOutcome {
        if self.indexer.red || self.indexer.model.get_index(WRITER_INDEX).is_none() {
            return WriterOutcome::Unknown;
        }
        match self.writer_document() {
            Some((document, seq_no, primary_term)) => WriterOutcome::Found { document, seq_no, primary_term },
            None => WriterOutcome::Absent,
        }
    }

    fn write_writer(&mut self, condition: WriterCondition, document: &WriterDocument) -> WriteOutcome {
        let condition = match condition {
            WriterCondition::Absent => Condition::Absent,
            WriterCondition::Unchanged { seq_no, primary_term } => Condition::Unchanged { seq_no, primary_term },
        };
        let source = answer::render_writer(document).into();
        let (cluster, now_ms) = (self.options.config.cluster.clone(), self.unix_ms());
        match self.indexer.model.index(WRITER_INDEX, &cluster, condition, source, now_ms) {
            Ok(applied) => {
                debug_assert!(matches!(applied.outcome, Outcome::Created | Outcome::Updated));
                WriteOutcome::Written { seq_no: applied.seq_no, primary_term: applied.primary_term }
            }
            Err(refusal) if refusal.status == 409 => WriteOutcome::Conflict,
            Err(refusal) if refusal.status >= 500 => WriteOutcome::Unknown,
            Err(_) => WriteOutcome::Refused,
        }
    }

    fn count_documents(&mut self) -> CountOutcome {
        if self.indexer.red {
            return CountOutcome::Unknown;
        }
        let now_ms = self.unix_ms();
        self.indexer.model.refresh_all(now_ms);
        let count = self.indexer.model.indices().filter(|index| &*index.name != WRITER_INDEX);
        CountOutcome::Documents(count.map(|index| index.visible().len() as u64).sum())
    }

    fn refresh(&mut self, indices: &[IndexId]) -> RefreshOutcome {
        let catalogue = &self.options.config.catalogue;
        let names: Vec<&str> = indices.iter().map(|index| catalogue.index_name(*index)).collect();
        let now_ms = self.schedule.now().0 + crate::world::EPOCH_MS;
        let incomplete = self.faults.strikes(Fault::RefreshIncomplete);
        if incomplete && let Some((missed, rest)) = names.split_first() {
            // One shard does not answer; the others are refreshed, and the status is 200.
            let _ = self.indexer.model.refresh(rest, now_ms);
            let _ = missed;
            return answer::refreshed(200, br#"{"_shards":{"total":2,"successful":1,"failed":0}}"#, catalogue, indices);
        }
        match self.indexer.model.refresh(&names, now_ms) {
            Ok(shards) => {
                let body = format!(
                    r#"{{"_shards":{{"total":{},"successful":{},"failed":0}}}}"#,
                    shards.total, shards.successful
                );
                answer::refreshed(200, body.as_bytes(), catalogue, indices)
            }
            Err(refusal) => answer::refreshed(refusal.status, &refusal.body().to_bytes(), catalogue, indices),
        }
    }

    /// A scroll over the documents of the targets: pages as an Indexer writes them, read as production does.
    fn list(&mut self, indices: &[IndexId], targets: &[ListingTarget]) -> ListingReport {
        let catalogue = &self.options.config.catalogue;
        let Some(process) = &mut self.process else { return ListingReport::Failed };
        let mut wanted = Vec::new();
        let mut collectors = Vec::new();
        for (place, target) in targets.iter().enumerate() {
            if let Some((_, table)) = process.tables.get(&target.session) {
                wanted.push(place);
                collectors.push(Collector::new(table.id_prefix(), table.overlay()));
            }
        }
        let mut hits = Vec::new();
        for index in indices.iter().filter_map(|index| self.indexer.model.get_index(catalogue.index_name(*index))) {
            for (id, document) in index.visible() {
                let theirs = targets.iter().any(|target| id.starts_with(&process.scheme.id_prefix(target.agent)));
                if theirs {
                    let head = serde_json::json!({ "_index": &*index.name, "_id": &**id, "_version": document.version });
                    let mut hit = head.to_string().into_bytes();
                    hit.pop();
                    hit.extend_from_slice(b",\"_source\":");
                    hit.extend_from_slice(document.source());
                    hit.push(b'}');
                    hits.push(hit);
                }
            }
        }
        let successful = if self.indexer.red { 0 } else { indices.len() };
        let mut body = format!(
            r#"{{"_scroll_id":"s","timed_out":false,"_shards":{{"total":{},"successful":{successful},"failed":0}},"hits":{{"hits":["#,
            indices.len()
        )
        .into_bytes();
        body.extend_from_slice(&hits.join(&b','));
        body.extend_from_slice(b"]}}");
        match answer::page(200, &body, catalogue, indices, &mut collectors) {
            Page::Hits { .. } => {}
            Page::Paused { indices } => return ListingReport::Paused { indices },
            Page::Failed => return ListingReport::Failed,
        }
        let mut outcomes = vec![ListingOutcome::Failed; targets.len()];
        for (place, collector) in wanted.into_iter().zip(collectors) {
            let listing = collector.finish();
            outcomes[place] =
                ListingOutcome::Complete { highest: listing.highest(), documents: listing.len() as u64 };
            process.listings.insert(targets[place].session, listing);
        }
        ListingReport::Complete { targets: outcomes }
    }
}
