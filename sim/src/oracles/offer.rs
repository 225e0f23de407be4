//! What an agent put into a session, and what follows from it if all of it is stored.

use std::collections::BTreeMap;

use inventory_sync_core::id::{AgentId, IndexId, ModuleId};

use crate::content::{Content, DocKey};

/// What an item does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Body {
    /// Stores this content.
    Upsert(Content),
    /// Removes the document.
    Delete,
    /// Says something that cannot be stored; index and id are in order.
    BadPayload,
    /// Names an index that the module may not write, or no id.
    BadName,
}

/// One item of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OfferedItem {
    /// The document that is meant.
    pub key: DocKey,
    /// What is to become of it.
    pub body: Body,
}

/// The items of a session by their sequences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Who offers.
    pub agent: AgentId,
    /// The module.
    pub module: ModuleId,
    /// The nonce of the Start.
    pub nonce: u64,
    /// Whether the session replaces its indices.
    pub full: bool,
    /// The indices it replaces, or touches.
    pub indices: Vec<IndexId>,
    /// The items, by sequence.
    pub items: Vec<OfferedItem>,
    /// The agent's name, as it must stand in its documents.
    pub name: String,
    finals: BTreeMap<DocKey, usize>,
}

impl Offer {
    /// An offer; of several items on one document the last one counts.
    #[must_use]
    pub fn new(
        (agent, module, nonce): (AgentId, ModuleId, u64),
        full: bool,
        indices: Vec<IndexId>,
        items: Vec<OfferedItem>,
        name: String,
    ) -> Self {
        let finals = items
            .iter()
            .enumerate()
            .filter(|(_, item)| item.body != Body::BadName)
            .map(|(seq, item)| (item.key, seq))
            .collect();
        Self {
            agent,
            module,
            nonce,
            full,
            indices,
            items,
            name,
            finals,
        }
    }

    /// The last item on a document, with its sequence.
    pub(super) fn last_on(&self, key: DocKey) -> Option<(usize, Body)> {
        let seq = *self.finals.get(&key)?;
        Some((seq, self.items[seq].body))
    }

    /// The last item on each document, with its sequence.
    pub(super) fn finals(&self) -> impl Iterator<Item = (DocKey, usize, Body)> + '_ {
        self.finals
            .iter()
            .map(|(key, seq)| (*key, *seq, self.items[*seq].body))
    }
}
