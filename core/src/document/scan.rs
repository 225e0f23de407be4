//! The scan of a frame: the only look at every byte of every item, before the machine hears of it.

use std::collections::BTreeSet;

use super::scheme::{self, ID_BYTES_MAX, Scheme};
use super::{Flaw, FrameSummary, Run, Runs, json};
use crate::id::{AgentId, IndexId, SessionId};
use crate::wire::{BatchView, DataView, Message, Operation};

/// One item in a table: 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// Hash of index and id; 0 when it has no valid ones.
    pub hash: u64,
    /// Its sequence.
    pub seq: u32,
    /// Its index.
    pub index: IndexId,
    /// What is known of it.
    pub marks: Marks,
}

/// What is known of an item: a bit each, and the number of its flaw in the upper four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Marks(u16);

impl Marks {
    /// It deletes.
    pub const DELETE: Self = Self(1);
    /// Its payload has a line break between tokens.
    pub const LINE_BREAK: Self = Self(1 << 1);
    /// Its payload has a member `wazuh`.
    pub const OVERLAY: Self = Self(1 << 2);
    /// A later operation on its document takes its place.
    pub const SUPERSEDED: Self = Self(1 << 3);
    /// The Indexer has the same document already.
    pub const UNCHANGED: Self = Self(1 << 4);
    /// Its hash is another item's too.
    pub const REPEATED: Self = Self(1 << 5);

    const FLAW_SHIFT: u32 = 12;

    pub const fn has(self, mark: Self) -> bool {
        self.0 & mark.0 == mark.0
    }

    pub const fn set(&mut self, mark: Self) {
        self.0 |= mark.0;
    }

    pub const fn clear(&mut self, mark: Self) {
        self.0 &= !mark.0;
    }

    pub const fn set_flaw(&mut self, flaw: Flaw) {
        self.0 = self.0 & ((1 << Self::FLAW_SHIFT) - 1) | flaw.code() << Self::FLAW_SHIFT;
    }

    pub const fn has_flaw(self) -> bool {
        self.0 >> Self::FLAW_SHIFT != 0
    }

    pub fn flaw(self) -> Option<Flaw> {
        Flaw::from_code(self.0 >> Self::FLAW_SHIFT)
    }
}

impl Row {
    /// Whether it names a document of an index that the session may write.
    pub fn is_addressable(&self) -> bool {
        self.marks.flaw().is_none_or(Flaw::is_addressable)
    }
}

/// What a scan keeps of a frame's items, in the frame's order, for the session's table.
#[derive(Debug, Clone, Default)]
pub struct FrameTable {
    pub(super) rows: Vec<Row>,
    /// Bytes of the upserts' payloads and escaped ids.
    pub(super) upsert_bytes: u64,
    /// Bytes of the deletes' escaped ids.
    pub(super) delete_bytes: u64,
}

impl FrameTable {
    /// How many items; those at or beyond sequence 2^32, and repetitions, are left out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The items of a message.
#[derive(Debug, Clone, Copy)]
pub enum Items<'a> {
    /// A Data message.
    One(DataView<'a>),
    /// A `DataBatch` message.
    Batch(BatchView<'a>),
}

impl<'a> Items<'a> {
    /// The items of a message; `None` when it is of another kind.
    #[must_use]
    pub const fn of(message: &Message<'a>) -> Option<Self> {
        match message {
            Message::Data(data) => Some(Self::One(*data)),
            Message::DataBatch(batch) => Some(Self::Batch(*batch)),
            _ => None,
        }
    }

    /// The session they are for.
    #[must_use]
    pub fn session(&self) -> u64 {
        match self {
            Self::One(data) => data.session(),
            Self::Batch(batch) => batch.session(),
        }
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Batch(batch) => batch.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `each` with every item in order, until it says not to go on.
    pub(super) fn walk(&self, mut each: impl FnMut(DataView<'a>) -> bool) {
        match self {
            Self::One(data) => {
                each(*data);
            }
            Self::Batch(batch) => {
                for data in batch.iter() {
                    if !each(data) {
                        return;
                    }
                }
            }
        }
    }
}

/// Looks at every item of a frame of `bytes` bytes that `agent` sent.
///
/// An item with a flaw is a row like others: the machine receives it, the plan sets it aside. Whether
/// the session may write an index is judged by the plan.
#[must_use]
pub fn scan(
    scheme: &Scheme,
    agent: AgentId,
    items: &Items<'_>,
    bytes: u64,
) -> (FrameSummary, FrameTable) {
    let session = items.session();
    let mut summary = FrameSummary {
        session: SessionId(session),
        sequences: Runs::new(),
        beyond: None,
        unknown_operation: None,
        foreign_element: false,
        bytes,
    };
    let mut table = FrameTable {
        rows: Vec::with_capacity(items.len()),
        ..FrameTable::default()
    };
    let id_bytes_max = ID_BYTES_MAX.saturating_sub(scheme.id_prefix(agent).len());
    // Neighbours are mostly in the same index.
    let mut known: (Option<&str>, IndexId) = (None, IndexId::UNKNOWN);
    items.walk(|item| {
        let own = item.session();
        summary.foreign_element |= own != 0 && own != session;
        let seq = item.seq();
        let operation = item.operation();
        if operation.is_none() {
            let lowest = summary.unknown_operation.get_or_insert(seq);
            *lowest = seq.min(*lowest);
        }
        let Ok(narrow) = u32::try_from(seq) else {
            let lowest = summary.beyond.get_or_insert(seq);
            *lowest = seq.min(*lowest);
            return true;
        };
        summary.sequences.insert(Run::one(narrow));
        let name = item.index();
        if name.is_some() && name != known.0 {
            let id = name.and_then(|name| scheme.catalogue().index(name));
            known = (name, id.unwrap_or(IndexId::UNKNOWN));
        }
        let index = if name.is_some() {
            known.1
        } else {
            IndexId::UNKNOWN
        };
        let mut row = Row {
            hash: 0,
            seq: narrow,
            index,
            marks: Marks::default(),
        };
        if let Err(flaw) = judge(scheme, &item, operation, id_bytes_max, &mut row) {
            row.marks.set_flaw(flaw);
        }
        let id_bytes = scheme::escaped_bytes(item.id().unwrap_or_default()) as u64;
        if row.marks.has(Marks::DELETE) {
            table.delete_bytes += id_bytes;
        } else if !row.marks.has_flaw() {
            table.upsert_bytes += id_bytes + item.data().map_or(0, <[u8]>::len) as u64;
        }
        table.rows.push(row);
        true
    });
    if table.rows.len() as u64 != summary.sequences.count() {
        let mut seen = BTreeSet::new();
        table.rows.retain(|row| seen.insert(row.seq));
    }
    (summary, table)
}

/// Index, id, payload, in this order; fills in what the row has room for.
fn judge(
    scheme: &Scheme,
    item: &DataView<'_>,
    operation: Option<Operation>,
    id_bytes_max: usize,
    row: &mut Row,
) -> Result<(), Flaw> {
    let operation = operation.ok_or(Flaw::OperationUnknown)?;
    if operation == Operation::Delete {
        row.marks.set(Marks::DELETE);
    }
    if row.index == IndexId::UNKNOWN {
        return Err(if item.index().is_some() {
            Flaw::IndexUnknown
        } else {
            Flaw::IndexMissing
        });
    }
    let id = item
        .id()
        .filter(|id| !id.is_empty())
        .ok_or(Flaw::IdMissing)?;
    if id.len() > id_bytes_max {
        return Err(Flaw::IdTooLong);
    }
    row.hash = scheme.hash(row.index, id);
    match operation {
        Operation::Delete => Ok(()),
        Operation::Upsert => {
            let shape = json::check(item.data().ok_or(Flaw::PayloadMissing)?)?;
            if shape.has_line_break {
                row.marks.set(Marks::LINE_BREAK);
            }
            if shape.has_overlay {
                row.marks.set(Marks::OVERLAY);
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
