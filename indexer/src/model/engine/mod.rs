//! The typed Indexer: what the simulator calls, and what the JSON surface is a skin of.
//!
//! ```text
//!   index / delete ──► documents (by id, realtime) ──refresh──► visible (what a search sees)
//!                        │  deleted: tombstone {version, time}      │
//!                        ▼                                          ▼
//!                  Applied | Refusal                        search, count, scroll (a snapshot)
//! ```
//!
//! How to use it:
//!
//! * [`Indexer::new`] with [`Options`], then [`Indexer::create_index`] (a mapping of `None` stores sources unread:
//!   the fast way for simulations).
//! * Writes: [`Indexer::bulk`] for a whole request (it may be refused as a whole), or [`Indexer::index`] and
//!   [`Indexer::delete`] for one operation. Each gives an [`ItemResult`].
//! * Time is an argument. It must not run backwards within one Indexer, else tombstones live longer.
//! * A write that times out and lands later is the caller's to play: call the operation later. So are lost
//!   answers, 429, resets and everything else that happens *around* an Indexer.
//! * Faults *of* the Indexer: [`Index::closed`], [`Settings::blocks`], [`Index::shard_missing`] through
//!   [`Indexer::change_index`]; [`Indexer::restart`]; [`Indexer::restore`]; [`Indexer::delete_index`].

mod document;
pub(crate) mod index;
pub mod refusal;
mod search;
pub mod settings;
mod templates;

pub use document::{Document, Source};
pub use index::Index;
pub use refusal::Refusal;
pub use search::{Found, Hit, PAGE_MAX, Page, SCROLLS_MAX, Search, Shards, Sort, shard_refusal};
pub use settings::{Blocks, Settings};
pub use templates::Template;

use crate::model::json::Json;
use crate::model::mapping::Mapping;
use search::Scroll;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest document id, in bytes of UTF-8; one longer id refuses the whole request.
pub const ID_BYTES_MAX: usize = 512;

/// Greatest version: versions are signed 64-bit numbers in the server.
pub const VERSION_MAX: u64 = i64::MAX as u64;

/// How a given version is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VersionType {
    /// Refused when the current version is equal or higher.
    External,
    /// Refused when the current version is higher: a repetition is harmless.
    ExternalGte,
}

/// What must hold for a write to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Nothing: the version counts up by one.
    None,
    /// The document must not exist (`create`).
    Absent,
    /// The version decides, and becomes the document's. At most [`VERSION_MAX`].
    Version {
        /// The version given.
        version: u64,
        /// How it is compared.
        kind: VersionType,
    },
    /// The document must be the one stored by this operation (compare and set).
    Unchanged {
        /// `if_seq_no`
        seq_no: u64,
        /// `if_primary_term`
        primary_term: u64,
    },
}

impl Condition {
    /// `version_type=external_gte`, the way every inventory document is written.
    pub fn external_gte(version: u64) -> Condition {
        Condition::Version {
            version,
            kind: VersionType::ExternalGte,
        }
    }
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The document is new (or was deleted before).
    Created,
    /// The document was replaced.
    Updated,
    /// The document is gone.
    Deleted,
    /// There was nothing to delete; a tombstone was planted all the same.
    NotFound,
}

impl Outcome {
    /// `result` in answers.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Created => "created",
            Outcome::Updated => "updated",
            Outcome::Deleted => "deleted",
            Outcome::NotFound => "not_found",
        }
    }
}

/// A write that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Applied {
    /// What it did.
    pub outcome: Outcome,
    /// The document's (or tombstone's) version now.
    pub version: u64,
    /// The operation's number in its index.
    pub seq_no: u64,
    /// The primary term.
    pub primary_term: u64,
}

impl Applied {
    /// The item's status: 201, 200, or 404 for a delete that found nothing (which is no error).
    pub fn status(&self) -> u16 {
        match self.outcome {
            Outcome::Created => 201,
            Outcome::Updated | Outcome::Deleted => 200,
            Outcome::NotFound => 404,
        }
    }
}

/// The result of one operation. Only the `Err` side is a failure: a delete that finds nothing is `Ok`.
pub type ItemResult = Result<Applied, Refusal>;

/// One operation of a bulk request.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The index.
    pub index: Arc<str>,
    /// The document's id.
    pub id: Arc<str>,
    /// What must hold.
    pub condition: Condition,
    /// The source to store; nothing to delete.
    pub source: Option<Source>,
}

/// The line of server releases whose answers are given, where the lines differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Release {
    /// OpenSearch 2.19.
    V2,
    /// OpenSearch 3.
    V3,
}

/// How an Indexer behaves as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// Distinguishes the uuids of one Indexer from those of another.
    pub seed: u64,
    /// Whether a write (a delete too) creates the index it names (`action.auto_create_index`).
    pub auto_create: bool,
    /// Whether an index that is created without a mapping guesses one (the server's way), or stores sources
    /// unread (the simulator's).
    pub guess_mappings: bool,
    /// Whose answers are given.
    pub release: Release,
    /// The largest request body in bytes (`http.max_content_length`): stated here, enforced by who reads bodies.
    pub content_length_max: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seed: 0,
            auto_create: true,
            guess_mappings: false,
            release: Release::V3,
            content_length_max: 100 << 20,
        }
    }
}

/// An index as it was at some moment, for [`Indexer::restore`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot(Arc<Index>);

/// An Indexer of one node. A clone is cheap: indices are shared until one side writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Indexer {
    options: Options,
    indices: BTreeMap<String, Arc<Index>>,
    templates: BTreeMap<String, Template>,
    scrolls: BTreeMap<u64, Scroll>,
    uuids_made: u64,
    scrolls_made: u64,
    foreign_red: bool,
}

/// Whether an id is short enough for the server.
///
/// # Errors
/// 400 `action_request_validation_exception`, which refuses the request as a whole.
pub fn check_id(id: &str) -> Result<(), Refusal> {
    if id.len() > ID_BYTES_MAX {
        return Err(Refusal::validation(&format!(
            "id [{id}] is too long, must be no longer than {ID_BYTES_MAX} bytes but was: {}",
            id.len()
        )));
    }
    Ok(())
}

fn check_index_name(name: &str) -> Result<(), Refusal> {
    const FORBIDDEN: &str = " \"*\\<|,>/?";
    let fault = if name.chars().any(|character| FORBIDDEN.contains(character)) {
        "must not contain the following characters [ , \", *, \\, <, |, ,, >, /, ?]"
    } else if name.starts_with(['_', '-', '+']) {
        if name.starts_with('_') {
            "must not start with '_'."
        } else {
            "must not start with '_', '-', or '+'"
        }
    } else if name.is_empty() || name == "." || name == ".." {
        "must not be '.' or '..'"
    } else if name.contains(['#', ':']) {
        "must not contain '#' or ':'"
    } else if name.to_lowercase() != name {
        "must be lowercase"
    } else if name.len() > 255 {
        "index name is too long"
    } else {
        return Ok(());
    };
    Err(Refusal::new(
        400,
        refusal::kind::INVALID_INDEX_NAME,
        format!("Invalid index name [{name}], {fault}"),
    )
    .with("index", Json::text(name))
    .with("index_uuid", Json::text("_na_")))
}

impl Indexer {
    /// An Indexer without indices.
    pub fn new(options: Options) -> Indexer {
        Indexer {
            options,
            indices: BTreeMap::new(),
            templates: BTreeMap::new(),
            scrolls: BTreeMap::new(),
            uuids_made: 0,
            scrolls_made: 0,
            foreign_red: false,
        }
    }

    /// The options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether writes create missing indices.
    pub fn set_auto_create(&mut self, auto_create: bool) {
        self.options.auto_create = auto_create;
    }

    /// Whether the cluster is red through an index that nobody here asked for.
    pub fn foreign_red(&self) -> bool {
        self.foreign_red
    }

    /// Turns the health red without touching the indices.
    pub fn set_foreign_red(&mut self, red: bool) {
        self.foreign_red = red;
    }

    pub(crate) fn make_uuid(&mut self) -> String {
        self.uuids_made += 1;
        // A bijective mix, so that uuids of one Indexer never meet and do not look like a counter.
        let mut mixed =
            (self.options.seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_add(self.uuids_made << 17);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        format!(
            "{:016x}{:06x}",
            mixed ^ (mixed >> 31),
            self.uuids_made & 0xff_ffff
        )
    }

    /// The index of this name.
    pub fn get_index(&self, name: &str) -> Option<&Index> {
        self.indices.get(name).map(Arc::as_ref)
    }

    /// All indices by name.
    pub fn indices(&self) -> impl Iterator<Item = &Index> {
        self.indices.values().map(Arc::as_ref)
    }

    /// Changes settings or faults of an index; answers whether it exists. Closing and opening have
    /// [`Indexer::set_closed`], since both restart the shard.
    pub fn change_index(&mut self, name: &str, change: impl FnOnce(&mut Index)) -> bool {
        match self.indices.get_mut(name) {
            Some(index) => {
                change(Arc::make_mut(index));
                true
            }
            None => false,
        }
    }

    /// Creates an index; a fitting template supplies what is not given.
    ///
    /// # Errors
    /// 400 for a bad name, and when the index exists.
    pub fn create_index(
        &mut self,
        name: &str,
        settings: Settings,
        mapping: Option<Mapping>,
        now_ms: u64,
    ) -> Result<&Index, Refusal> {
        check_index_name(name)?;
        if let Some(known) = self.indices.get(name) {
            return Err(Refusal::new(
                400,
                refusal::kind::ALREADY_EXISTS,
                format!("index [{name}/{}] already exists", known.uuid),
            )
            .with("index", Json::text(name))
            .with("index_uuid", Json::text(known.uuid.as_str())));
        }
        let mapping = match mapping {
            None if self.options.guess_mappings => Some(Mapping::guessed()),
            given => given,
        };
        let (uuid, history) = (self.make_uuid(), self.make_uuid());
        let index = Index::new(name, uuid, history, settings, mapping, now_ms);
        Ok(self
            .indices
            .entry(name.to_owned())
            .or_insert(Arc::new(index)))
    }

    /// Creates the index a write names, out of its template if one fits.
    fn auto_create(&mut self, name: &str, now_ms: u64) -> Result<(), Refusal> {
        check_index_name(name)?;
        if !self.options.auto_create {
            return Err(Refusal::index_not_found(name, "index_expression"));
        }
        let (settings, mapping) = self.template_for(name)?;
        self.create_index(name, settings, mapping, now_ms)?;
        Ok(())
    }

    /// Deletes an index with everything in it; answers whether it existed. Created again it is another one: a new
    /// uuid, no tombstones.
    pub fn delete_index(&mut self, name: &str) -> bool {
        self.indices.remove(name).is_some()
    }

    /// Closes or opens an index; answers whether it exists.
    pub fn set_closed(&mut self, name: &str, closed: bool, now_ms: u64) -> bool {
        self.change_index(name, |index| index.set_closed(closed, now_ms))
    }

    /// The index a write names, created when that is how this Indexer is.
    pub(crate) fn writable(&mut self, name: &str, now_ms: u64) -> Result<&mut Index, Refusal> {
        if !self.indices.contains_key(name) {
            self.auto_create(name, now_ms)?;
        }
        match self.indices.get_mut(name) {
            Some(index) => Ok(Arc::make_mut(index)),
            None => Err(Refusal::index_not_found(name, "index_expression")),
        }
    }

    /// Stores a document.
    ///
    /// # Errors
    /// The [`Refusal`] of this operation. That of an id longer than [`ID_BYTES_MAX`] would have refused the whole
    /// request: who models requests uses [`Indexer::bulk`].
    pub fn index(
        &mut self,
        index: &str,
        id: &str,
        condition: Condition,
        source: Source,
        now_ms: u64,
    ) -> ItemResult {
        let release = self.options.release;
        self.writable(index, now_ms)?
            .index(id, condition, source, now_ms, release)
    }

    /// Deletes a document. A missing index is created, when indices are created automatically.
    ///
    /// # Errors
    /// As for [`Indexer::index`].
    pub fn delete(
        &mut self,
        index: &str,
        id: &str,
        condition: Condition,
        now_ms: u64,
    ) -> ItemResult {
        self.writable(index, now_ms)?.delete(id, condition, now_ms)
    }

    /// One bulk request: the results in order.
    ///
    /// # Errors
    /// The request is refused as a whole, and nothing of it done, when one id is too long or one version greater
    /// than [`VERSION_MAX`].
    pub fn bulk(
        &mut self,
        operations: &[Operation],
        now_ms: u64,
    ) -> Result<Vec<ItemResult>, Refusal> {
        for operation in operations {
            check_id(&operation.id)?;
            if let Condition::Version { version, .. } = operation.condition
                && version > VERSION_MAX
            {
                return Err(Refusal::illegal_argument(format!(
                    "Numeric value ({version}) out of range of long"
                )));
            }
        }
        let apply = |operation: &Operation| match &operation.source {
            Some(source) => self.index(
                &operation.index,
                &operation.id,
                operation.condition,
                source.clone(),
                now_ms,
            ),
            None => self.delete(&operation.index, &operation.id, operation.condition, now_ms),
        };
        Ok(operations.iter().map(apply).collect())
    }

    /// A look-up by id, which sees unrefreshed writes.
    ///
    /// # Errors
    /// 404 when the index is missing, 400 when it is closed, 503 when its shard is missing.
    pub fn get(&self, index: &str, id: &str) -> Result<Option<&Document>, Refusal> {
        let Some(found) = self.get_index(index) else {
            return Err(Refusal::index_not_found(index, "index_expression"));
        };
        if found.closed {
            return Err(search::closed(found));
        }
        if found.shard_missing {
            return Err(Refusal::new(
                503,
                "no_shard_available_action_exception",
                format!("No shard available for [get [{index}][{id}]: routing [null]]"),
            ));
        }
        Ok(found.get(id))
    }

    /// Makes writes visible to searches. Compare the two numbers: a missing shard is no error. A replica, which on
    /// one node has no place, counts in `total` as well.
    ///
    /// # Errors
    /// 404 when a named index is missing, 400 when it is closed.
    pub fn refresh(&mut self, names: &[&str], now_ms: u64) -> Result<Shards, Refusal> {
        self.readable(names)?;
        let mut shards = Shards::default();
        for name in names {
            if let Some(index) = self.indices.get_mut(*name) {
                shards.total += 1 + usize::try_from(index.settings.replicas).unwrap_or(0);
                shards.successful += usize::from(Arc::make_mut(index).refresh(now_ms));
            }
        }
        Ok(shards)
    }

    /// A refresh of all open indices that have something to show.
    pub fn refresh_all(&mut self, now_ms: u64) {
        for index in self.indices.values_mut() {
            if index.unrefreshed() > 0 && !index.closed {
                Arc::make_mut(index).refresh(now_ms);
            }
        }
    }

    /// The periodic refresh of each open index whose interval has passed (`index.refresh_interval`, or the given
    /// default) and which has something to show.
    pub fn refresh_due(&mut self, now_ms: u64, default_interval_ms: u64) {
        for index in self.indices.values_mut() {
            if index.refresh_is_due(now_ms, default_interval_ms) {
                Arc::make_mut(index).refresh(now_ms);
            }
        }
    }

    /// The node stops and starts: scrolls are lost, what was written is kept. A clean stop flushes and loses the
    /// tombstones; a crash (`flushed == false`) replays them. Late writes are possible after a clean stop even
    /// within `gc_deletes`.
    pub fn restart(&mut self, flushed: bool, now_ms: u64) {
        self.scrolls.clear();
        for index in self.indices.values_mut() {
            Arc::make_mut(index).restart(flushed, now_ms);
        }
    }

    /// Tombstones of all indices are lost, as by a flush and a restart.
    pub fn lose_tombstones(&mut self, now_ms: u64) {
        self.restart(true, now_ms);
    }

    /// An index as it is now, its unrefreshed documents included.
    pub fn snapshot(&self, name: &str) -> Option<Snapshot> {
        self.indices.get(name).map(|index| Snapshot(index.clone()))
    }

    /// Puts an index back to a snapshot of the same name. Over an existing index the uuid and the creation date
    /// stay and only the history uuid tells; tombstones are lost.
    pub fn restore(&mut self, snapshot: &Snapshot, now_ms: u64) {
        let name = snapshot.0.name.clone();
        let (uuid, history) = (self.make_uuid(), self.make_uuid());
        let index = self.indices.entry(name.to_string()).or_insert_with(|| {
            Arc::new(Index::new(
                &name,
                uuid,
                history.clone(),
                Settings::default(),
                None,
                now_ms,
            ))
        });
        Arc::make_mut(index).restore(&snapshot.0, history);
    }
}

#[cfg(test)]
mod tests;
