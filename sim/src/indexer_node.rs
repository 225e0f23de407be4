//! The Indexer: the typed model, and what happens around it to a bulk request on its way.
//!
//! ```text
//!  Bulk ──▶ not sent │ lost │ ──▶ arrives ──▶ refused whole │ applied ──▶ answer ──▶ lost │ garbled │ heard
//!                        └── given up at the deadline ──▶ … applied late, within late_write_bound
//! ```

use std::collections::BTreeMap;

use inventory_indexer::model::engine::{
    Condition, Indexer, Operation, Options as IndexerOptions, Settings, Snapshot,
};
use inventory_sync_core::answer::BulkOutcome;
use inventory_sync_core::document::Part;
use inventory_sync_core::id::{BulkId, IndexId, Version};
use inventory_sync_core::manager::Unready;
use inventory_sync_core::time::Tick;

use crate::bulk::{self, Item, answer};
use crate::content::{Content, DocKey};
use crate::faults::Fault;
use crate::options::Options;
use crate::oracles::Rendered;
use crate::requests::late_ms;
use crate::trace::Link;
use crate::world::{Occurrence, World};

/// The index of the writer document.
pub(crate) const WRITER_INDEX: &str = "inventory-sync-writer";

/// What happens to a request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It arrives, is applied, and its answer is heard.
    Sound,
    /// No byte of it is sent.
    NotSent,
    /// It never arrives; given up at its deadline.
    Lost,
    /// It is applied, its answer never arrives.
    AnswerLost,
    /// It is applied, its answer cannot be understood.
    Garbled,
    /// It is applied, its answer has no body.
    Empty,
    /// It is applied, a proxy answers with a page of HTML.
    NotJson,
    /// It is applied, its answer is sound and a hundred times as long as it should be.
    Huge,
    /// It is refused whole with this status.
    Refused(u16),
    /// It is given up at its deadline and applied so many milliseconds later.
    Late(u64),
    /// Its connection breaks once it is sent, and it is applied so many milliseconds later.
    Reset(u64),
    /// Given up at its deadline and applied so many milliseconds later, but only a part of its operations: those whose
    /// place has its bit set.
    LateInPart(u64, u64),
}

/// A bulk request that has been sent.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) life: u32,
    pub(crate) shard: u16,
    pub(crate) bulk: BulkId,
    pub(crate) parts: Vec<Part>,
    pub(crate) operations: Vec<(Operation, Rendered)>,
    pub(crate) fate: Fate,
    /// Whether the manager has been told what became of it.
    pub(crate) answered: bool,
    /// Whether it has arrived, or never will.
    pub(crate) settled: bool,
    /// It arrives at this tick at the earliest: something on its way holds it up.
    pub(crate) not_before: Tick,
}

/// The Indexer and what is on its way to it.
#[derive(Debug)]
pub(crate) struct IndexerNode {
    pub(crate) model: Indexer,
    /// Whether it can be reached at all.
    pub(crate) reachable: bool,
    /// Whether its cluster is red.
    pub(crate) red: bool,
    /// Whether it refuses everything for now, and why.
    pub(crate) refuses: Option<Unready>,
    /// The index that does not fit what is written.
    pub(crate) misfit: Option<IndexId>,
    /// The index whose mapping refuses every document.
    pub(crate) mapping_refuses: Option<IndexId>,
    /// Old snapshots of indices.
    pub(crate) snapshots: BTreeMap<IndexId, Snapshot>,
    /// Whether the periodic refresh stands still.
    pub(crate) refresh_paused: bool,
    pub(crate) requests: BTreeMap<u64, Request>,
    pub(crate) requests_made: u64,
    /// What is to become of the next requests; a script's choice.
    pub(crate) scripted: std::collections::VecDeque<Fate>,
    /// The number of a document whose next operation is to be refused; a script's choice.
    pub(crate) refusing: Option<u32>,
}

impl IndexerNode {
    pub(crate) fn new(options: &Options) -> Self {
        let model = Indexer::new(IndexerOptions {
            seed: options.seed,
            auto_create: false,
            ..IndexerOptions::default()
        });
        Self {
            model,
            reachable: true,
            red: false,
            refuses: None,
            misfit: None,
            mapping_refuses: None,
            snapshots: BTreeMap::new(),
            refresh_paused: false,
            requests: BTreeMap::new(),
            requests_made: 0,
            scripted: std::collections::VecDeque::new(),
            refusing: None,
        }
    }

    /// The settings of a new index.
    pub(crate) fn settings(options: &Options) -> Settings {
        Settings {
            gc_deletes_ms: options.gc_deletes_ms,
            ..Settings::default()
        }
    }

    /// Whether any request may still be applied or answered.
    pub(crate) fn is_busy(&self) -> bool {
        !self.requests.is_empty()
    }

    /// Makes the shards of all indices missing, or present.
    pub(crate) fn set_red(&mut self, red: bool) {
        self.red = red;
        self.model.set_foreign_red(red);
        let names: Vec<String> = self
            .model
            .indices()
            .map(|index| index.name.to_string())
            .collect();
        for name in names {
            self.model
                .change_index(&name, |index| index.shard_missing = red);
        }
    }

    /// Blocks an index, or all of them, or none.
    pub(crate) fn set_blocked(&mut self, name: Option<&str>, blocked: bool) {
        let names: Vec<String> = self
            .model
            .indices()
            .map(|index| index.name.to_string())
            .collect();
        for each in names
            .iter()
            .filter(|each| name.is_none_or(|name| name == *each) && *each != WRITER_INDEX)
        {
            self.model
                .change_index(each, |index| index.settings.blocks.write = blocked);
        }
    }
}

impl World {
    /// A request reaches the Indexer, in time or late.
    pub(crate) fn request_arrives(&mut self, key: u64) {
        let now = self.now();
        let Some(request) = self.indexer.requests.get_mut(&key) else {
            return;
        };
        if request.settled || now < request.not_before {
            return;
        }
        request.settled = true;
        self.trace.arrived(now, Link::Bulk(key));
        let (fate, late) = (request.fate, request.answered);
        let mut operations = std::mem::take(&mut request.operations);
        match fate {
            Fate::NotSent => self.tell_outcome(key, BulkOutcome::NotSent),
            Fate::Lost => {}
            Fate::Refused(status) => {
                // What is refused by an Indexer that refuses everything is never applied.
                let source = match status {
                    503 if self.indexer.refuses.is_none() => Some(Fault::RequestRefused503),
                    408 => Some(Fault::RequestRefused408),
                    _ => None,
                };
                if let Some(source) = source
                    && self.faults.stream(source).chance(500_000)
                {
                    self.apply_all(&operations, true);
                }
                if let ([(_, only)], 400 | 413) = (operations.as_slice(), status) {
                    self.oracles.refused(only, status);
                }
                let body = match status {
                    413 => Vec::new(),
                    _ => format!(
                        r#"{{"error":{{"root_cause":[],"type":"injected_exception","reason":"injected"}},"status":{status}}}"#
                    )
                    .into_bytes(),
                };
                self.hear(key, status, &body);
            }
            Fate::Late(_) | Fate::Reset(_) | Fate::AnswerLost => {
                self.apply_all(&operations, true);
                self.bury_request(key);
            }
            Fate::LateInPart(_, mask) => {
                let mut place = 0;
                operations.retain(|_| {
                    place += 1;
                    mask >> (place % 64) & 1 == 1
                });
                self.apply_all(&operations, true);
                self.bury_request(key);
            }
            Fate::Garbled => {
                self.apply_all(&operations, true);
                self.hear(key, 200, b"{\"took\":1,\"errors\":fal");
            }
            Fate::Empty => {
                self.apply_all(&operations, true);
                self.hear(key, 200, b"");
            }
            Fate::NotJson => {
                self.apply_all(&operations, true);
                self.hear(key, 200, b"<html><body>The service is fine.</body></html>");
            }
            Fate::Huge => {
                let items = self.judge_all(&operations, late);
                let body = bulk::inflate(answer(&operations, &items));
                self.hear(key, 200, &body);
            }
            Fate::Sound => {
                let items = self.judge_all(&operations, late);
                let body = answer(&operations, &items);
                self.hear(key, 200, &body);
            }
        }
    }

    /// Applies operations of which nobody hears.
    fn apply_all(&mut self, operations: &[(Operation, Rendered)], late: bool) {
        let now_ms = self.unix_ms();
        for (operation, rendered) in operations {
            let result = self
                .indexer
                .model
                .bulk(std::slice::from_ref(operation), now_ms);
            if matches!(result.as_deref(), Ok([Ok(_)])) {
                self.oracles.applied(rendered, late);
            }
        }
    }

    /// Applies operations one by one, with faults of single items.
    fn judge_all(&mut self, operations: &[(Operation, Rendered)], late: bool) -> Vec<Item> {
        let now_ms = self.unix_ms();
        let mut items = Vec::with_capacity(operations.len());
        for (operation, rendered) in operations {
            let item = if self.indexer.refusing == Some(rendered.key.number()) {
                self.indexer.refusing = None;
                self.oracles.refused(rendered, 400);
                Item::Injected(400, "mapper_parsing_exception")
            } else if self.faults.strikes(Fault::Item429) {
                Item::Injected(429, "rejected_execution_exception")
            } else if self.faults.strikes(Fault::Item503) {
                Item::Injected(503, "unavailable_shards_exception")
            } else if self.faults.strikes(Fault::Item503Late) {
                let latest_ms = self.options.config.late_write_bound_ms - 1;
                let after_ms = late_ms(self.faults.stream(Fault::Item503Late), latest_ms);
                self.plan_straggler(operation.clone(), *rendered, after_ms);
                Item::Injected(503, "process_cluster_event_timeout_exception")
            } else if self.faults.strikes(Fault::Item400) {
                self.oracles.refused(rendered, 400);
                Item::Injected(400, "mapper_parsing_exception")
            } else if self.faults.strikes(Fault::Item403) {
                Item::Injected(403, "security_exception")
            } else if self.is_refused_by_mapping(rendered) {
                self.oracles.refused(rendered, 400);
                Item::Injected(400, "strict_dynamic_mapping_exception")
            } else {
                match self
                    .indexer
                    .model
                    .bulk(std::slice::from_ref(operation), now_ms)
                {
                    Ok(mut results) => match results.pop() {
                        Some(result) => self.judged(rendered, result, late),
                        None => Item::Injected(500, "no_answer"),
                    },
                    Err(refusal) => Item::Judged(Err(refusal)),
                }
            };
            items.push(item);
        }
        items
    }

    /// Whether the index of an operation has a mapping that takes no document. Deletes have none.
    fn is_refused_by_mapping(&self, operation: &Rendered) -> bool {
        operation.content.is_some() && self.indexer.mapping_refuses == Some(operation.key.index())
    }

    fn judged(
        &mut self,
        rendered: &Rendered,
        result: inventory_indexer::model::engine::ItemResult,
        late: bool,
    ) -> Item {
        match &result {
            Ok(_) => self.oracles.applied(rendered, late),
            Err(refusal) if refusal.status == 409 && !late => self.oracles.conflict(rendered),
            Err(refusal) if refusal.status == 400 && refusal.kind != "index_closed_exception" => {
                self.oracles.refused(rendered, 400);
            }
            Err(_) => {}
        }
        Item::Judged(result)
    }

    /// One operation that was answered 503 and is applied later all the same.
    fn plan_straggler(&mut self, operation: Operation, rendered: Rendered, after_ms: u64) {
        self.indexer.requests_made += 1;
        let key = self.indexer.requests_made;
        let request = Request {
            life: 0,
            shard: 0,
            bulk: BulkId(0),
            parts: Vec::new(),
            operations: vec![(operation, rendered)],
            fate: Fate::Late(after_ms),
            answered: true,
            settled: false,
            not_before: Tick(0),
        };
        self.indexer.requests.insert(key, request);
        self.record_straggler(key, after_ms);
        self.schedule
            .after(after_ms, Occurrence::RequestArrives(key));
    }

    /// Something that is not ours writes a document, under the version of that time.
    pub(crate) fn foreign_write(&mut self, key: DocKey, content: Content, version_ms: u64) {
        let config = &self.options.config;
        let name = config.catalogue.index_name(key.index()).to_owned();
        let id = format!("{}_{:03}_{}", config.cluster, key.agent().0, key.id());
        let payload = content.payload();
        let mut source = format!(
            "{{\"wazuh\":{{\"agent\":{{\"id\":\"{:03}\"}}}},",
            key.agent().0
        )
        .into_bytes();
        source.extend_from_slice(&payload[1..]);
        let now_ms = self.unix_ms();
        let version = Version::from_unix_ms(version_ms);
        let written = self.indexer.model.index(
            &name,
            &id,
            Condition::external_gte(version.0),
            source.into(),
            now_ms,
        );
        if written.is_ok() {
            self.oracles.written_by_others(key, content, version);
        }
    }
}
