//! What the Indexer holds of an agent, as a scroll brings it.

use crate::id::{IndexId, Version};

/// Documents of one agent in the Indexer: about 32 bytes each beside their ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    ids: String,
    entries: Vec<Entry>,
    highest: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// Where its id ends in `ids`.
    end: usize,
    index: IndexId,
    /// Its checksum, if its overlay is what we would write: an upsert of the same checksum changes nothing.
    unchanged_if: Option<[u8; 20]>,
}

/// One listed document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Its index.
    pub index: IndexId,
    /// The agent's own id, without what the manager puts before it.
    pub id: &'a str,
    /// Its checksum, if its overlay is what we would write: an upsert of the same checksum changes nothing.
    pub unchanged_if: Option<[u8; 20]>,
}

impl Listing {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a document.
    pub fn push(&mut self, version: Version, document: Listed<'_>) {
        self.ids.push_str(document.id);
        self.entries.push(Entry {
            end: self.ids.len(),
            index: document.index,
            unchanged_if: document.unchanged_if,
        });
        self.highest = self.highest.max(version);
    }

    /// How many documents.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The highest version among them; 0 for none.
    #[must_use]
    pub const fn highest(&self) -> Version {
        self.highest
    }

    /// A document by its place.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<Listed<'_>> {
        let entry = self.entries.get(place)?;
        let start = match place.checked_sub(1) {
            Some(before) => self.entries.get(before)?.end,
            None => 0,
        };
        Some(Listed {
            index: entry.index,
            id: self.ids.get(start..entry.end)?,
            unchanged_if: entry.unchanged_if,
        })
    }

    /// The documents in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = Listed<'_>> {
        (0..self.len()).filter_map(|place| self.get(place))
    }
}
