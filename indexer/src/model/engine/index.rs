//! One index: documents, tombstones, sequence numbers, and what a search sees.

use super::refusal::{Cause, Refusal, kind};
use super::{
    Applied, Condition, Document, ItemResult, Outcome, Release, Settings, Source, VersionType,
};
use crate::model::json::{self, Json, JsonErrorKind};
use crate::model::mapping::Mapping;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is remembered of a deleted document, for as long as `index.gc_deletes` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Tombstone {
    version: u64,
    deleted_at_ms: u64,
}

/// One index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Index {
    /// Its name.
    pub name: Arc<str>,
    /// Identity of this creation of the name.
    pub uuid: String,
    /// When it was created, in milliseconds since 1970.
    pub creation_date_ms: u64,
    /// Identity of its history: a restore from a snapshot changes it and leaves `uuid` and the creation date.
    pub history_uuid: String,
    /// Whether a restore changed the history: only then the history uuid can be read among the settings.
    pub restored: bool,
    /// Its settings.
    pub settings: Settings,
    /// Its mapping; without one sources are stored unread.
    pub mapping: Option<Mapping>,
    /// Closed: neither written nor read.
    pub closed: bool,
    /// The shard is not there: writes answer 503, searches 200 with `successful < total`.
    pub shard_missing: bool,
    /// Documents as a look-up by id sees them.
    documents: BTreeMap<Arc<str>, Document>,
    tombstones: BTreeMap<Arc<str>, Tombstone>,
    /// Documents as a search sees them: those of the last refresh.
    visible: BTreeMap<Arc<str>, Document>,
    /// What changed since the last refresh.
    unrefreshed: BTreeSet<Arc<str>>,
    refreshed_at_ms: u64,
    next_seq_no: u64,
    primary_term: u64,
}

impl Index {
    pub(super) fn new(
        name: &str,
        uuid: String,
        history_uuid: String,
        settings: Settings,
        mapping: Option<Mapping>,
        now_ms: u64,
    ) -> Index {
        Index {
            name: name.into(),
            uuid,
            creation_date_ms: now_ms,
            history_uuid,
            restored: false,
            settings,
            mapping,
            closed: false,
            shard_missing: false,
            documents: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            visible: BTreeMap::new(),
            unrefreshed: BTreeSet::new(),
            refreshed_at_ms: now_ms,
            next_seq_no: 0,
            primary_term: 1,
        }
    }

    /// The document as a look-up by id sees it: refreshed or not.
    pub fn get(&self, id: &str) -> Option<&Document> {
        self.documents.get(id)
    }

    /// All documents as look-ups by id see them, by id.
    pub fn documents(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Document)> {
        self.documents.iter()
    }

    /// All documents as a search sees them, by id.
    pub fn visible(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Document)> {
        self.visible.iter()
    }

    /// How many ids changed since the last refresh.
    pub fn unrefreshed(&self) -> usize {
        self.unrefreshed.len()
    }

    /// The version a tombstone of this id holds at this moment, when there is a live one.
    pub fn tombstone(&self, id: &str, now_ms: u64) -> Option<u64> {
        let tombstone = self.tombstones.get(id)?;
        let age_ms = now_ms.saturating_sub(tombstone.deleted_at_ms);
        (age_ms <= self.settings.gc_deletes_ms).then_some(tombstone.version)
    }

    /// Why this index takes no writes at all just now, if so.
    pub fn refuses_writes(&self) -> Option<Refusal> {
        if self.closed {
            return Some(
                Refusal::new(400, kind::INDEX_CLOSED, "closed")
                    .with("index", Json::text(&*self.name))
                    .with("index_uuid", Json::text(self.uuid.as_str())),
            );
        }
        if let Some(blocked) = self.settings.blocks.refuses_writes(&self.name) {
            return Some(blocked);
        }
        self.shard_missing.then(|| {
            Refusal::new(
                503,
                kind::UNAVAILABLE_SHARDS,
                format!(
                    "[{}][0] primary shard is not active Timeout: [1m]",
                    self.name
                ),
            )
        })
    }

    pub(super) fn index(
        &mut self,
        id: &str,
        condition: Condition,
        source: Source,
        now_ms: u64,
        release: Release,
    ) -> ItemResult {
        let key = self.admit(id)?;
        let guesses = match &self.mapping {
            Some(mapping) => mapping.check(id, &read_source(&source, release)?)?,
            None => Vec::new(),
        };
        let version = self.next_version(id, condition, now_ms)?;
        if let Some(mapping) = &mut self.mapping
            && !guesses.is_empty()
        {
            mapping.learn(guesses);
        }
        let seq_no = self.take_seq_no();
        self.tombstones.remove(id);
        let document = Document::new(version, seq_no, self.primary_term, source);
        let outcome = match self.documents.insert(key.clone(), document) {
            Some(_) => Outcome::Updated,
            None => Outcome::Created,
        };
        self.unrefreshed.insert(key);
        Ok(self.applied(outcome, version, seq_no))
    }

    pub(super) fn delete(&mut self, id: &str, condition: Condition, now_ms: u64) -> ItemResult {
        let key = self.admit(id)?;
        let version = self.next_version(id, condition, now_ms)?;
        let seq_no = self.take_seq_no();
        let outcome = match self.documents.remove(id) {
            Some(_) => Outcome::Deleted,
            None => Outcome::NotFound,
        };
        self.tombstones.insert(
            key.clone(),
            Tombstone {
                version,
                deleted_at_ms: now_ms,
            },
        );
        if outcome == Outcome::Deleted {
            self.unrefreshed.insert(key);
        }
        Ok(self.applied(outcome, version, seq_no))
    }

    /// What every write meets first; the stored key of the id.
    fn admit(&self, id: &str) -> Result<Arc<str>, Refusal> {
        if let Some(refusal) = self.refuses_writes() {
            return Err(refusal);
        }
        if id.is_empty() {
            return Err(Refusal::illegal_argument(
                "if _id is specified it must not be empty",
            ));
        }
        super::check_id(id)?;
        Ok(self
            .documents
            .get_key_value(id)
            .map_or_else(|| id.into(), |(key, _)| key.clone()))
    }

    fn applied(&self, outcome: Outcome, version: u64, seq_no: u64) -> Applied {
        Applied {
            outcome,
            version,
            seq_no,
            primary_term: self.primary_term,
        }
    }

    fn take_seq_no(&mut self) -> u64 {
        let seq_no = self.next_seq_no;
        self.next_seq_no += 1;
        seq_no
    }

    /// The version the operation gives the document, or the conflict.
    fn next_version(&self, id: &str, condition: Condition, now_ms: u64) -> Result<u64, Refusal> {
        let held = self.documents.get(id).map(|document| Held {
            version: document.version,
            seq_no: document.seq_no,
            primary_term: document.primary_term,
        });
        next_version(condition, held, || self.tombstone(id, now_ms))
            .map_err(|what| self.conflict(id, &what))
    }

    /// The refusal of an operation whose condition does not hold.
    pub(crate) fn conflict(&self, id: &str, what: &str) -> Refusal {
        Refusal::new(
            409,
            kind::VERSION_CONFLICT,
            format!("[{id}]: version conflict, {what}"),
        )
        .with("index", Json::text(&*self.name))
        .with("shard", Json::text("0"))
        .with("index_uuid", Json::text(self.uuid.as_str()))
    }

    /// When it was refreshed last, or created.
    #[cfg(feature = "server")]
    pub(crate) fn refreshed_at_ms(&self) -> u64 {
        self.refreshed_at_ms
    }

    /// The primary term.
    #[cfg(feature = "server")]
    pub(crate) fn primary_term(&self) -> u64 {
        self.primary_term
    }

    /// Makes every write so far visible to searches, and forgets tombstones that are too old to count.
    /// Answers whether the shard was there to do it.
    pub(super) fn refresh(&mut self, now_ms: u64) -> bool {
        if self.shard_missing {
            return false;
        }
        self.refreshed_at_ms = now_ms;
        for id in std::mem::take(&mut self.unrefreshed) {
            match self.documents.get(&id) {
                Some(document) => self.visible.insert(id, document.clone()),
                None => self.visible.remove(&id),
            };
        }
        let kept_ms = self.settings.gc_deletes_ms;
        self.tombstones
            .retain(|_, tombstone| now_ms.saturating_sub(tombstone.deleted_at_ms) <= kept_ms);
        true
    }

    /// Whether the periodic refresh has something to do.
    pub(super) fn refresh_is_due(&self, now_ms: u64, default_interval_ms: u64) -> bool {
        let interval_ms = match self.settings.refresh_interval_ms {
            None => default_interval_ms,
            Some(stated) => u64::try_from(stated).unwrap_or(u64::MAX),
        };
        !self.closed
            && !self.unrefreshed.is_empty()
            && now_ms.saturating_sub(self.refreshed_at_ms) >= interval_ms
    }

    /// A restart of the node: everything is visible, the primary term grows, and after a flush no tombstone is
    /// left (a crash replays them from the translog).
    pub(super) fn restart(&mut self, flushed: bool, now_ms: u64) {
        self.primary_term += 1;
        if flushed {
            self.tombstones.clear();
        }
        self.refresh(now_ms);
    }

    pub(super) fn set_closed(&mut self, closed: bool, now_ms: u64) {
        if self.closed != closed {
            self.closed = closed;
            // Closing flushes; either way the shard starts anew.
            self.restart(closed, now_ms);
        }
    }

    pub(super) fn restore(&mut self, snapshot: &Index, history_uuid: String) {
        self.documents = snapshot.documents.clone();
        self.visible = snapshot.documents.clone();
        self.unrefreshed.clear();
        self.tombstones.clear();
        self.mapping = snapshot.mapping.clone();
        self.settings = snapshot.settings.clone();
        self.next_seq_no = snapshot.next_seq_no;
        self.history_uuid = history_uuid;
        self.restored = true;
        self.primary_term += 1;
        self.closed = false;
    }
}

/// What decides about a write to a document that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Its version.
    pub(crate) version: u64,
    /// The operation that stored it.
    pub(crate) seq_no: u64,
    /// The term of that operation.
    pub(crate) primary_term: u64,
}

/// The version that an operation gives a document, or in words why its condition does not hold. Without a document,
/// `tombstone` says the version that a deleted one is remembered by.
pub(crate) fn next_version(
    condition: Condition,
    document: Option<Held>,
    tombstone: impl FnOnce() -> Option<u64>,
) -> Result<u64, String> {
    let current = document.map(|held| held.version).or_else(tombstone);
    match condition {
        Condition::None => Ok(current.map_or(1, |version| version + 1)),
        Condition::Absent => match document {
            Some(held) => Err(format!(
                "document already exists (current version [{}])",
                held.version
            )),
            None => Ok(current.map_or(1, |version| version + 1)),
        },
        Condition::Version { version, kind } => match (current, kind) {
            (Some(current), VersionType::ExternalGte) if current > version => {
                Err(higher(current, "higher than", version))
            }
            (Some(current), VersionType::External) if current >= version => {
                Err(higher(current, "higher or equal to", version))
            }
            (Some(_) | None, VersionType::ExternalGte | VersionType::External) => Ok(version),
        },
        Condition::Unchanged {
            seq_no,
            primary_term,
        } => match document {
            Some(held) if held.seq_no == seq_no && held.primary_term == primary_term => {
                Ok(held.version + 1)
            }
            Some(held) => Err(format!(
                "required seqNo [{seq_no}], primary term [{primary_term}]. current document has seqNo [{}] and primary term [{}]",
                held.seq_no, held.primary_term
            )),
            None => Err(format!(
                "required seqNo [{seq_no}], primary term [{primary_term}]. but no document was found"
            )),
        },
    }
}

fn higher(current: u64, relation: &str, provided: u64) -> String {
    format!("current version [{current}] is {relation} the one provided [{provided}]")
}

/// Reads a source that a mapping must check.
pub(crate) fn read_source(source: &[u8], release: Release) -> Result<Json, Refusal> {
    let failed =
        |cause| Err(Refusal::new(400, kind::MAPPER_PARSING, "failed to parse").because(cause));
    if source.is_empty() {
        return Err(Refusal::new(
            400,
            kind::MAPPER_PARSING,
            "failed to parse, document is empty",
        ));
    }
    match json::parse(source) {
        Ok(value @ Json::Object(_)) => Ok(value),
        Ok(_) => failed(Cause::new(
            "not_x_content_exception",
            "Compressor detection can only be called on some xcontent bytes or compressed xcontent bytes",
        )),
        Err(error) => {
            let kind = match error.kind {
                JsonErrorKind::EndOfInput => match release {
                    Release::V2 => "json_e_o_f_exception",
                    Release::V3 => "unexpected_end_of_input_exception",
                },
                JsonErrorKind::Unexpected | JsonErrorKind::DuplicateName => "json_parse_exception",
                JsonErrorKind::TooDeep => "stream_constraints_exception",
            };
            failed(Cause::new(kind, error.to_string()))
        }
    }
}
