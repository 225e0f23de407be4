//! The sink: an Indexer that keeps of a state document only what a writer of it may ask for, so that benchmarks and
//! large loads measure the daemon and not its Indexer.
//!
//! ```text
//!   request ─┬─ _bulk, _search, _count, scrolls, _refresh of `wazuh-states-*` ─▶ shelves (id, version, checksum,
//!            │                          │ empty indices: settings, mappings,         hash, overlay: about 150 bytes)
//!            │                          ▼ blocks, closed, uuids
//!            └─ everything else ─▶ the model (health, templates, indices, the writer document)
//! ```
//!
//! It claims to answer like the model, but for this: a state document is not checked against its mapping, is read only
//! as far as its overlay and checksum are, and is not given back. What would need more is answered with 501.
//!
//! Invariant: the model holds the state indices, and never a document in them.

mod bulk;
mod overlays;
mod scan;
mod search;
mod shelf;

use crate::model::api::params::{Params, percent_decode};
use crate::model::api::{self, Intercept, Request, Response, finish, indices, not_modelled};
use crate::model::engine::{Index, Indexer, Refusal};
use crate::model::json::Json;
use overlays::Overlays;
use search::Scrolls;
use shelf::Shelf;
use std::collections::BTreeMap;

/// State documents live in indices with names that begin so.
const STATE_INDICES: &str = "wazuh-states-";

fn is_state(index: &str) -> bool {
    index.starts_with(STATE_INDICES)
}

/// The documents of one index, and which index it was.
#[derive(Debug)]
struct Shelved {
    uuid: String,
    closed: bool,
    shelf: Shelf,
}

/// A sink.
#[derive(Debug)]
pub struct Sink {
    model: Indexer,
    shelves: BTreeMap<String, Shelved>,
    overlays: Overlays,
    scrolls: Scrolls,
}

impl Sink {
    /// A sink around a model that is empty.
    pub fn new(model: Indexer) -> Sink {
        Sink {
            model,
            shelves: BTreeMap::new(),
            overlays: Overlays::default(),
            scrolls: Scrolls::default(),
        }
    }

    /// The model that has everything but the state documents.
    pub fn model(&mut self) -> &mut Indexer {
        &mut self.model
    }

    /// How many state documents there are, refreshed or not.
    pub fn documents(&self) -> u64 {
        let shelves = self.shelves.values();
        shelves.map(|shelved| shelved.shelf.documents()).sum()
    }

    /// For each index how many documents it has, and a sum over their ids and sources in which order does not count.
    pub fn fingerprints(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        self.shelves.iter().map(|(name, shelved)| {
            let shelf = &shelved.shelf;
            (name.as_str(), shelf.documents(), shelf.fingerprint())
        })
    }

    /// Answers one request, as [`api::handle_with`] does.
    pub fn handle(
        &mut self,
        now_ms: u64,
        request: &Request<'_>,
        intercept: Intercept<'_>,
    ) -> Response {
        let parts: Vec<String> = request
            .path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(percent_decode)
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let params = Params::parse(request.query);
        let answered = match (request.method, parts.as_slice()) {
            ("POST" | "PUT", ["_bulk"]) => {
                return bulk::bulk(self, now_ms, request, None, intercept);
            }
            ("POST" | "PUT", [index, "_bulk"]) => {
                return bulk::bulk(self, now_ms, request, Some(index), intercept);
            }
            ("GET" | "POST", ["_search", "scroll"]) => {
                search::next_page(self, now_ms, request).map(Some)
            }
            ("GET" | "POST", ["_search"]) => search::search(self, now_ms, request, &params, "_all"),
            ("GET" | "POST", [names, "_search"]) => {
                search::search(self, now_ms, request, &params, names)
            }
            ("GET" | "POST", ["_count"]) => search::count(self, now_ms, request, &params, "_all"),
            ("GET" | "POST", [names, "_count"]) => {
                search::count(self, now_ms, request, &params, names)
            }
            (_, ["_cat", ..]) => Err(not_modelled(
                "[_cat]: this sink counts state documents apart",
            )),
            (_, [index, "_doc" | "_create" | "_source" | "_update", ..]) if is_state(index) => {
                Err(not_modelled(
                    "single state documents: this sink keeps ids, versions and checksums alone",
                ))
            }
            _ => Ok(None),
        };
        match answered.transpose() {
            Some(answered) => finish(request, &params, answered),
            None => self.ask_model(now_ms, request, &parts, intercept),
        }
    }

    /// What the model answers; the shelves follow what it did.
    fn ask_model(
        &mut self,
        now_ms: u64,
        request: &Request<'_>,
        parts: &[&str],
        intercept: Intercept<'_>,
    ) -> Response {
        let response = api::handle_with(&mut self.model, now_ms, request, intercept);
        let refreshed = match parts {
            ["_refresh"] => Some("_all"),
            [names, "_refresh"] => Some(*names),
            _ => None,
        };
        if let Some(names) = refreshed.filter(|_| response.status == 200) {
            for name in indices::resolve(&self.model, names, true).unwrap_or_default() {
                self.refresh_shelf(&name, now_ms);
            }
        }
        self.follow(now_ms);
        response
    }

    /// Drops the documents of indices that are gone, and does what closing and opening does to them.
    fn follow(&mut self, now_ms: u64) {
        let model = &self.model;
        self.shelves.retain(|name, shelved| {
            let Some(index) = model
                .get_index(name)
                .filter(|index| index.uuid == shelved.uuid)
            else {
                return false;
            };
            if index.closed != shelved.closed {
                shelved.closed = index.closed;
                shelved.shelf.refresh(now_ms, index.settings.gc_deletes_ms);
                if index.closed {
                    // Closing flushes: a flushed shard starts without tombstones.
                    shelved.shelf.lose_tombstones();
                }
            }
            true
        });
        search::forget_closed(&mut self.scrolls, model);
    }

    /// The shelf of an index that the model has.
    fn shelf(&mut self, name: &str, now_ms: u64) -> &mut Shelf {
        let model = &self.model;
        let shelved = self.shelves.entry(name.to_owned()).or_insert_with(|| {
            let index = model.get_index(name);
            Shelved {
                uuid: index.map_or_else(String::new, |index| index.uuid.clone()),
                closed: false,
                shelf: Shelf::new(index.map_or(now_ms, Index::refreshed_at_ms)),
            }
        });
        &mut shelved.shelf
    }

    fn refresh(&mut self, names: &[&str], now_ms: u64) -> Result<(), Refusal> {
        self.model.refresh(names, now_ms)?;
        for name in names {
            self.refresh_shelf(name, now_ms);
        }
        Ok(())
    }

    fn refresh_shelf(&mut self, name: &str, now_ms: u64) {
        let Some(index) = self
            .model
            .get_index(name)
            .filter(|index| !index.shard_missing)
        else {
            return;
        };
        if let Some(shelved) = self.shelves.get_mut(name) {
            shelved.shelf.refresh(now_ms, index.settings.gc_deletes_ms);
        }
    }

    /// The periodic refresh, as [`Indexer::refresh_due`].
    pub fn refresh_due(&mut self, now_ms: u64, default_interval_ms: u64) {
        self.model.refresh_due(now_ms, default_interval_ms);
        let model = &self.model;
        let is_due = |name: &str, since_ms: u64| {
            model.get_index(name).is_some_and(|index| {
                let interval_ms = index
                    .settings
                    .refresh_interval_ms
                    .map_or(default_interval_ms, |stated| {
                        u64::try_from(stated).unwrap_or(u64::MAX)
                    });
                !index.closed && now_ms.saturating_sub(since_ms) >= interval_ms
            })
        };
        let due: Vec<String> = self
            .shelves
            .iter()
            .filter(|(name, shelved)| {
                shelved
                    .shelf
                    .waits_since_ms()
                    .is_some_and(|since_ms| is_due(name, since_ms))
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            self.refresh_shelf(&name, now_ms);
        }
    }

    /// What the counters show beside what every server counts.
    pub fn json(&self) -> Json {
        let indices = self.fingerprints().map(|(name, documents, sum)| {
            let shown = Json::object([
                ("documents", Json::int(documents)),
                ("fingerprint", Json::text(format!("{sum:016x}"))),
            ]);
            (name.to_owned(), shown)
        });
        Json::Object(indices.collect())
    }
}
