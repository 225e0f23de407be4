//! An Indexer of a few documents.

use std::collections::BTreeMap;

use inventory_sync_core::id::Version;

/// A document: its agent and its number.
pub(super) type Key = (usize, u8);

/// One operation of a request: `None` deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Operation {
    pub(super) key: Key,
    pub(super) content: Option<u8>,
    pub(super) version: Version,
}

/// What is held, each with the version that wrote it. Of what was deleted nothing is remembered: the worst that
/// a real one does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Indexer {
    documents: BTreeMap<Key, (Version, u8)>,
}

/// What became of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applied {
    Stored,
    Conflict(Version),
}

impl Indexer {
    pub(super) fn seed(&mut self, key: Key, content: u8) {
        self.documents.insert(key, (Version(1), content));
    }

    /// Applies an operation unless a higher version is held.
    pub(super) fn apply(&mut self, operation: Operation) -> Applied {
        let held = self.documents.get(&operation.key);
        if let Some((version, _)) = held
            && *version > operation.version
        {
            return Applied::Conflict(*version);
        }
        match operation.content {
            Some(content) => {
                let document = (operation.version, content);
                self.documents.insert(operation.key, document);
            }
            None => {
                self.documents.remove(&operation.key);
            }
        }
        Applied::Stored
    }

    pub(super) fn content(&self, key: Key) -> Option<u8> {
        self.documents.get(&key).map(|(_, content)| *content)
    }

    /// The documents of an agent and their contents, and the highest version among them.
    pub(super) fn of(&self, agent: usize) -> (BTreeMap<u8, u8>, Version) {
        let own = || self.documents.iter().filter(move |(key, _)| key.0 == agent);
        let contents = own().map(|((_, document), (_, content))| (*document, *content));
        let highest = own().map(|(_, (version, _))| *version).max();
        (contents.collect(), highest.unwrap_or_default())
    }
}
