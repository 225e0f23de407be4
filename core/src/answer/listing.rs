//! A page of the scroll that lists agents' documents.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::index::{Shards, in_the_way};
use crate::bug::{Bug, is_planted};
use crate::config::Catalogue;
use crate::document::{Listed, Listing, decode_sha1};
use crate::id::{IndexId, Version};

/// Gathers the documents of one waiting session out of pages that list many agents'.
#[derive(Debug, Clone)]
pub struct Collector {
    id_prefix: String,
    overlay: Vec<u8>,
    overlay_value: Value,
    listing: Listing,
}

impl Collector {
    /// For a session whose ids begin with `id_prefix` and whose overlay is that JSON.
    #[must_use]
    pub fn new(id_prefix: &str, overlay: &[u8]) -> Self {
        Self {
            id_prefix: id_prefix.to_owned(),
            overlay: overlay.to_vec(),
            overlay_value: serde_json::from_slice(overlay).unwrap_or_default(),
            listing: Listing::new(),
        }
    }

    /// What was gathered. It counts only if every page was a sound one.
    #[must_use]
    pub fn finish(self) -> Listing {
        self.listing
    }

    /// Takes the document in if it is this agent's.
    fn take(&mut self, index: IndexId, hit: &Hit<'_>) -> bool {
        let Some(id) = hit._id.strip_prefix(&self.id_prefix) else {
            return false;
        };
        let sha1 = hit._source.as_ref().and_then(|source| {
            let same = source.wazuh.is_some_and(|overlay| self.is_ours(overlay));
            source.checksum.filter(|_| same).and_then(stored_sha1)
        });
        let document = Listed {
            index,
            id,
            unchanged_if: sha1,
        };
        self.listing.push(Version(hit._version), document);
        true
    }

    /// Whether a stored overlay says what ours says: as JSON, whatever the order of its keys.
    fn is_ours(&self, stored: &RawValue) -> bool {
        is_planted(Bug::OverlayNotCompared)
            || stored.get().as_bytes() == self.overlay
            || serde_json::from_str::<Value>(stored.get())
                .is_ok_and(|stored| stored == self.overlay_value)
    }
}

/// The digits of a stored checksum. An agent decides what stands there: an array of objects, say, which a
/// strict mapping takes too. What is not as we know it is no checksum, and never a reason to refuse a page
/// on which other agents' documents stand.
fn stored_sha1(checksum: &RawValue) -> Option<[u8; 20]> {
    let read: Checksum = serde_json::from_str(checksum.get()).ok()?;
    let sha1 = read.hash?.sha1?;
    decode_sha1(sha1.as_str()?.as_bytes())
}

/// What a page brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// A sound page. The listing ends with one that has no documents.
    Hits {
        /// Where to go on.
        scroll_id: String,
        /// How many documents were on it.
        hits: usize,
        /// Of these, those that are nobody's: their id or index is not of our making. They are left alone.
        foreign: usize,
    },
    /// These indices cannot be listed; nothing counts.
    Paused {
        /// The indices in the way.
        indices: Vec<IndexId>,
    },
    /// No answer, or an incomplete one; nothing counts.
    Failed,
}

#[derive(Deserialize)]
struct Body<'a> {
    _scroll_id: String,
    timed_out: bool,
    _shards: Shards,
    #[serde(borrow)]
    hits: Hits<'a>,
}

#[derive(Deserialize)]
struct Hits<'a> {
    #[serde(borrow)]
    hits: Vec<Hit<'a>>,
}

#[derive(Deserialize)]
struct Hit<'a> {
    _index: String,
    _id: String,
    _version: u64,
    #[serde(borrow, default)]
    _source: Option<Source<'a>>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow, default)]
    checksum: Option<&'a RawValue>,
    #[serde(borrow, default)]
    wazuh: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Checksum {
    hash: Option<Hash>,
}

#[derive(Deserialize)]
struct Hash {
    sha1: Option<Value>,
}

/// Takes in a page of a scroll over these indices. A document goes to every collector of its agent.
#[must_use]
pub fn page(
    status: u16,
    body: &[u8],
    catalogue: &Catalogue,
    asked: &[IndexId],
    collectors: &mut [Collector],
) -> Page {
    if !(200..=299).contains(&status) {
        return match in_the_way(body, catalogue, asked) {
            Some(indices) => Page::Paused { indices },
            None => Page::Failed,
        };
    }
    let Ok(body) = serde_json::from_slice::<Body<'_>>(body) else {
        return Page::Failed;
    };
    let is_whole = body._shards.all() || is_planted(Bug::PartialListingTaken);
    if body.timed_out || !is_whole {
        return Page::Failed;
    }
    let checksums = body
        .hits
        .hits
        .iter()
        .filter_map(|hit| hit._source.as_ref()?.checksum);
    if is_planted(Bug::OddChecksumSpoilsPage) && checksums.map(stored_sha1).any(|sum| sum.is_none())
    {
        return Page::Failed;
    }
    let mut foreign = 0;
    for hit in &body.hits.hits {
        let index = catalogue.index(&hit._index);
        let taken = index.is_some_and(|index| {
            collectors
                .iter_mut()
                .fold(false, |taken, each| each.take(index, hit) | taken)
        });
        foreign += usize::from(!taken);
    }
    Page::Hits {
        scroll_id: body._scroll_id,
        hits: body.hits.hits.len(),
        foreign,
    }
}

#[cfg(test)]
mod tests;
