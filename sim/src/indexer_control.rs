//! What the Indexer does for the coordinator: refreshes and listings; and the writer document as it stands there.

use std::borrow::Cow;

use inventory_sync_core::answer::{self, Collector, Page};
use inventory_sync_core::coordinator::{
    ListingReport, ListingTarget, RefreshOutcome, WriterDocument,
};
use inventory_sync_core::id::{IndexId, Version};
use inventory_sync_core::manager::ListingOutcome;
use serde::{Deserialize, Serialize};

use crate::faults::Fault;
use crate::indexer_node::WRITER_INDEX;
use crate::world::World;

/// The writer document as it is stored.
#[derive(Deserialize)]
struct StoredWriter<'a> {
    #[serde(borrow)]
    writer: Cow<'a, str>,
    #[serde(borrow)]
    nonce: Cow<'a, str>,
    bound: u64,
}

/// A hit of a listing as an Indexer writes it.
fn hit(index: &str, id: &str, version: u64, source: &[u8]) -> Vec<u8> {
    let mut hit = Vec::with_capacity(80 + index.len() + 2 * id.len() + source.len());
    hit.extend_from_slice(b"{\"_index\":");
    write_json(&mut hit, index);
    hit.extend_from_slice(b",\"_id\":");
    write_json(&mut hit, id);
    hit.extend_from_slice(b",\"_version\":");
    write_json(&mut hit, &version);
    hit.extend_from_slice(b",\"_source\":");
    hit.extend_from_slice(source);
    hit.push(b'}');
    hit
}

fn write_json(body: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Texts and numbers can always be written, and a vector takes all that is written.
    let _ = serde_json::to_writer(body, value);
}

impl World {
    /// The writer document as it stands in the Indexer.
    pub(crate) fn writer_document(&self) -> Option<WriterDocument> {
        let stored = self
            .indexer
            .model
            .get_index(WRITER_INDEX)?
            .get(&self.options.config.cluster)?;
        let read: StoredWriter<'_> = serde_json::from_slice(stored.source()).ok()?;
        Some(WriterDocument {
            writer: read.writer.into_owned(),
            nonce: read.nonce.parse().ok()?,
            bound: Version(read.bound),
        })
    }

    pub(crate) fn refresh(&mut self, indices: &[IndexId]) -> RefreshOutcome {
        let catalogue = &self.options.config.catalogue;
        let names: Vec<&str> = indices
            .iter()
            .map(|index| catalogue.index_name(*index))
            .collect();
        let now_ms = self.schedule.now().0 + crate::world::EPOCH_MS;
        let incomplete = self.faults.strikes(Fault::RefreshIncomplete);
        if incomplete && let Some((missed, rest)) = names.split_first() {
            // One shard does not answer; the others are refreshed, and the status is 200.
            let _ = self.indexer.model.refresh(rest, now_ms);
            let _ = missed;
            self.oracles.refreshed(indices, false);
            return answer::refreshed(
                200,
                br#"{"_shards":{"total":2,"successful":1,"failed":0}}"#,
                catalogue,
                indices,
            );
        }
        match self.indexer.model.refresh(&names, now_ms) {
            Ok(shards) => {
                self.oracles
                    .refreshed(indices, shards.successful == shards.total);
                let body = format!(
                    r#"{{"_shards":{{"total":{},"successful":{},"failed":0}}}}"#,
                    shards.total, shards.successful
                );
                answer::refreshed(200, body.as_bytes(), catalogue, indices)
            }
            Err(refusal) => answer::refreshed(
                refusal.status,
                &refusal.body().to_bytes(),
                catalogue,
                indices,
            ),
        }
    }

    /// A scroll over the documents of the targets: pages as an Indexer writes them, read as production does.
    /// Without the first index, or any, when its shards do not answer: the status is 200 all the same.
    pub(crate) fn list(
        &mut self,
        indices: &[IndexId],
        targets: &[ListingTarget],
        misses_shard: bool,
    ) -> ListingReport {
        let catalogue = &self.options.config.catalogue;
        let missing = match (self.indexer.red, misses_shard) {
            (true, _) => indices.len(),
            (false, misses) => usize::from(misses).min(indices.len()),
        };
        self.oracles.listed(missing == 0);
        let Some(process) = &mut self.process else {
            return ListingReport::Failed;
        };
        // What is missing or closed cannot be listed; a missing shard is another matter.
        for index in indices {
            if let Err(refusal) = self.indexer.model.get(catalogue.index_name(*index), "-")
                && refusal.status < 500
            {
                let body = refusal.body().to_bytes();
                return match answer::page(refusal.status, &body, catalogue, indices, &mut []) {
                    Page::Paused { indices } => ListingReport::Paused { indices },
                    Page::Hits { .. } | Page::Failed => ListingReport::Failed,
                };
            }
        }
        let mut wanted = Vec::new();
        let mut collectors = Vec::new();
        for (place, target) in targets.iter().enumerate() {
            if let Some((_, table)) = process.tables.get(&target.session) {
                wanted.push(place);
                collectors.push(Collector::new(table.id_prefix(), table.overlay()));
            }
        }
        let theirs: Vec<String> = targets
            .iter()
            .map(|target| process.scheme.id_prefix(target.agent))
            .collect();
        let mut hits = Vec::new();
        for index in indices[missing..]
            .iter()
            .filter_map(|index| self.indexer.model.get_index(catalogue.index_name(*index)))
        {
            for (id, document) in index.visible() {
                if theirs.iter().any(|prefix| id.starts_with(&**prefix)) {
                    hits.push(hit(&index.name, id, document.version, document.source()));
                }
            }
        }
        let successful = if self.faults.strikes(Fault::ListingPartial) {
            // A shard with half of the documents is not there, and the status is 200.
            hits.truncate(hits.len() / 2);
            (indices.len() - missing).saturating_sub(1)
        } else {
            indices.len() - missing
        };
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
            outcomes[place] = ListingOutcome::Complete {
                highest: listing.highest(),
                documents: listing.len() as u64,
            };
            process.listings.insert(targets[place].session, listing);
        }
        ListingReport::Complete { targets: outcomes }
    }
}
