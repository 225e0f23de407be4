//! The table of a session: 16 bytes an item, on the I/O side.

use std::sync::Arc;

use super::scan::{Marks, Row};
use super::scheme::{self, Scheme};
use super::{ChunkLoad, Class, FrameTable, Run, Runs};
use crate::id::{AgentId, IndexId, SessionId};
use crate::wire::{AgentInfo, StagedItem, StagedItems};

/// Reads staged frames back.
pub trait Chunks {
    /// A frame's bytes, as cheap as the store has them.
    type Bytes: AsRef<[u8]>;

    /// The frame that was staged under this key; `None` when it cannot be read.
    fn chunk(&self, session: SessionId, key: u32) -> Option<Self::Bytes>;
}

/// What the I/O side knows of a session: its items, and after the plan which of them are sent.
///
/// Staged frames are read back whole, and must show the items that were staged with them: what is
/// missing is a failure of the store, never a document left out.
#[derive(Debug, Clone)]
pub struct SessionTable {
    pub(super) scheme: Arc<Scheme>,
    session: SessionId,
    pub(super) overlay: Vec<u8>,
    pub(super) id_prefix: String,
    pub(super) full: bool,
    /// Ascending by key once planned; before that in order of arrival.
    pub(super) chunks: Vec<Chunk>,
    pub(super) rows: Vec<Row>,
    /// (what is sent, what shares its verdict), sequences, ascending.
    pub(super) shared: Vec<(u32, u32)>,
    pub(super) removals: Removals,
}

/// A staged frame's place in the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    pub key: u32,
    /// Its first row.
    pub start: usize,
    pub count: u32,
    /// The ordinal of its first upsert, and of its first delete, once planned.
    pub first: [u32; 2],
    /// As in the [`FrameTable`]; saturating, far above any frame.
    pub upsert_bytes: u32,
    pub delete_bytes: u32,
}

/// Listed documents that a Full deletes.
#[derive(Debug, Clone, Default)]
pub(super) struct Removals {
    pub ids: String,
    /// Index and the end of the id in `ids`.
    pub ends: Vec<(IndexId, usize)>,
}

impl Removals {
    pub fn push(&mut self, index: IndexId, id: &str) {
        self.ids.push_str(id);
        self.ends.push((index, self.ids.len()));
    }

    pub fn get(&self, place: usize) -> Option<(IndexId, &str)> {
        let (index, end) = *self.ends.get(place)?;
        let start = match place.checked_sub(1) {
            Some(before) => self.ends.get(before)?.1,
            None => 0,
        };
        Some((index, self.ids.get(start..end)?))
    }
}

/// One operation, as answers need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operation {
    /// Its place in its class.
    pub ordinal: u32,
    /// Its index.
    pub index: IndexId,
    /// Its sequence; a removal has none.
    pub seq: Option<u32>,
}

impl SessionTable {
    /// The table of a new session.
    #[must_use]
    pub fn new(scheme: Arc<Scheme>, session: SessionId, agent: AgentId, info: &AgentInfo) -> Self {
        let overlay = scheme.overlay(agent, info);
        let id_prefix = scheme.id_prefix(agent);
        Self {
            scheme,
            session,
            overlay,
            id_prefix,
            full: false,
            chunks: Vec::new(),
            rows: Vec::new(),
            shared: Vec::new(),
            removals: Removals::default(),
        }
    }

    /// The session.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// The manager-owned fields of its documents, as JSON.
    #[must_use]
    pub fn overlay(&self) -> &[u8] {
        &self.overlay
    }

    /// What stands before the agent's own ids.
    #[must_use]
    pub fn id_prefix(&self) -> &str {
        &self.id_prefix
    }

    /// Adds the items of a frame that is staged under `key`: those of the fresh runs, each once.
    pub fn stage(&mut self, key: u32, fresh: &[Run], frame: &FrameTable) {
        let start = self.rows.len();
        let wanted: u64 = fresh.iter().map(|run| run.count()).sum();
        if wanted == frame.rows.len() as u64 {
            self.rows.extend_from_slice(&frame.rows);
        } else {
            let fresh: Runs = fresh.iter().copied().collect();
            self.rows
                .extend(frame.rows.iter().filter(|row| fresh.contains(row.seq)));
        }
        let narrow = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
        self.chunks.push(Chunk {
            key,
            start,
            count: narrow((self.rows.len() - start) as u64),
            first: [0; 2],
            upsert_bytes: narrow(frame.upsert_bytes),
            delete_bytes: narrow(frame.delete_bytes),
        });
    }

    /// Takes a frame out again whose write failed. Nothing happens when there is none of that key.
    pub fn unstage(&mut self, key: u32) {
        if let Some(place) = self.chunks.iter().rposition(|chunk| chunk.key == key) {
            // Its rows stay behind unused; few writes fail before a session ends.
            self.chunks.remove(place);
        }
    }

    /// The keys of the staged frames.
    pub fn keys(&self) -> impl Iterator<Item = u32> + '_ {
        self.chunks.iter().map(|chunk| chunk.key)
    }

    /// How many items were staged.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.count)).sum()
    }

    /// The sequence of an operation; `None` for removals and for what is not there.
    #[must_use]
    pub fn seq_of(&self, class: Class, ordinal: u32) -> Option<u32> {
        let one: Runs = std::iter::once(Run::one(ordinal)).collect();
        self.operations(class, &one).next()?.seq
    }

    /// The earlier operations on the same document, which share the verdict of the one sent.
    pub fn sharing(&self, seq: u32) -> impl Iterator<Item = u32> + '_ {
        let first = self.shared.partition_point(|(sent, _)| *sent < seq);
        let rest = self.shared.get(first..).unwrap_or_default();
        rest.iter()
            .take_while(move |(sent, _)| *sent == seq)
            .map(|(_, shares)| *shares)
    }

    /// The operations of these ordinals, ascending; those that are not there are left out.
    pub fn operations<'t>(
        &'t self,
        class: Class,
        ordinals: &'t Runs,
    ) -> impl Iterator<Item = Operation> + 't {
        let mut wanted = Wanted::new(ordinals);
        let mut rows = Position::default();
        std::iter::from_fn(move || {
            let ordinal = wanted.next()?;
            if class == Class::Removal {
                let (index, _) = *self.removals.ends.get(ordinal as usize)?;
                return Some(Operation {
                    ordinal,
                    index,
                    seq: None,
                });
            }
            let row = self.find(class, ordinal, &mut rows)?;
            Some(Operation {
                ordinal,
                index: row.index,
                seq: Some(row.seq),
            })
        })
    }

    /// The row of an ordinal. From one to the next the position goes on where it stands.
    fn find(&self, class: Class, ordinal: u32, position: &mut Position) -> Option<&Row> {
        let side = side(class);
        if position.ordinal != Some(ordinal) {
            let after = self
                .chunks
                .partition_point(|chunk| chunk.first[side] <= ordinal);
            position.chunk = after.checked_sub(1)?;
            position.row = 0;
            position.ordinal = Some(self.chunks.get(position.chunk)?.first[side]);
        }
        loop {
            let chunk = self.chunks.get(position.chunk)?;
            for row in self.rows_of(chunk).get(position.row..).unwrap_or_default() {
                position.row += 1;
                if self.is_sent(row, class) {
                    let here = position.ordinal?;
                    position.ordinal = here.checked_add(1);
                    if here == ordinal {
                        return Some(row);
                    }
                }
            }
            position.chunk += 1;
            position.row = 0;
        }
    }

    pub(super) fn rows_of(&self, chunk: &Chunk) -> &[Row] {
        self.rows
            .get(chunk.start..chunk.start + chunk.count as usize)
            .unwrap_or_default()
    }

    /// Whether an item is an operation of that class.
    pub(super) fn is_sent(&self, row: &Row, class: Class) -> bool {
        let marks = row.marks;
        if marks.has_flaw() || marks.has(Marks::SUPERSEDED) || marks.has(Marks::UNCHANGED) {
            return false;
        }
        match class {
            Class::Upsert => !marks.has(Marks::DELETE),
            Class::Delete => marks.has(Marks::DELETE) && !self.full,
            Class::Removal => false,
        }
    }

    /// Numbers the operations and says what each chunk holds, and how many there are by index.
    pub(super) fn number(&mut self) -> (Vec<ChunkLoad>, Vec<(IndexId, u64)>) {
        let mut loads = Vec::with_capacity(self.chunks.len());
        let mut counts = vec![0_u64; self.scheme.catalogue().indices().len()];
        let mut next = [0_u32; 2];
        let mut chunks = std::mem::take(&mut self.chunks);
        for chunk in &mut chunks {
            chunk.first = next;
            let mut load = ChunkLoad::default();
            for row in self.rows_of(chunk) {
                if self.is_sent(row, Class::Upsert) {
                    load.upserts += 1;
                    load.upsert_bytes += self.upsert_overhead(row.index);
                } else if self.is_sent(row, Class::Delete) {
                    load.deletes += 1;
                    load.delete_bytes += self.action_overhead(row.index, DELETE);
                } else {
                    continue;
                }
                if let Some(count) = counts.get_mut(usize::from(row.index.0)) {
                    *count += 1;
                }
            }
            if load.upserts > 0 {
                load.upsert_bytes += u64::from(chunk.upsert_bytes);
            }
            if load.deletes > 0 {
                load.delete_bytes += u64::from(chunk.delete_bytes);
            }
            next[0] += load.upserts;
            next[1] += load.deletes;
            loads.push(load);
        }
        self.chunks = chunks;
        for (index, _) in &self.removals.ends {
            if let Some(count) = counts.get_mut(usize::from(index.0)) {
                *count += 1;
            }
        }
        let operations = (0_u16..)
            .zip(counts)
            .filter(|(_, count)| *count > 0)
            .map(|(index, count)| (IndexId(index), count))
            .collect();
        (loads, operations)
    }

    /// Bytes of an action line at most, without the agent's id.
    pub(super) fn action_overhead(&self, index: IndexId, action: &[u8]) -> u64 {
        let fixed = action.len()
            + self.scheme.quoted_name(index).len()
            + BEFORE_ID.len()
            + scheme::escaped_bytes(&self.id_prefix)
            + BEFORE_VERSION.len()
            + VERSION_DIGITS_MAX
            + AFTER_VERSION.len();
        fixed as u64
    }

    /// Bytes of an upsert at most, without the agent's id and the payload.
    fn upsert_overhead(&self, index: IndexId) -> u64 {
        let document = BEFORE_OVERLAY.len() + self.overlay.len() + b",".len() + b"\n".len();
        self.action_overhead(index, INDEX) + document as u64
    }
}

/// The pieces of a bulk body, in their order. The document's own braces pay for the overlay's.
pub(super) const INDEX: &[u8] = b"{\"index\":{\"_index\":";
pub(super) const DELETE: &[u8] = b"{\"delete\":{\"_index\":";
pub(super) const BEFORE_ID: &[u8] = b",\"_id\":\"";
pub(super) const BEFORE_VERSION: &[u8] = b"\",\"version\":";
pub(super) const AFTER_VERSION: &[u8] = b",\"version_type\":\"external_gte\"}}\n";
pub(super) const BEFORE_OVERLAY: &[u8] = b"{\"wazuh\":";
const VERSION_DIGITS_MAX: usize = 20;

/// The place of a class in a chunk's `first`.
pub(super) const fn side(class: Class) -> usize {
    match class {
        Class::Upsert | Class::Removal => 0,
        Class::Delete => 1,
    }
}

#[derive(Debug, Default)]
struct Position {
    chunk: usize,
    row: usize,
    /// The ordinal of the next operation from here on; `None` at the beginning.
    ordinal: Option<u32>,
}

/// Ordinals, one after the other.
#[derive(Debug)]
pub(super) struct Wanted<'r> {
    runs: &'r [Run],
    next: Option<u32>,
}

impl<'r> Wanted<'r> {
    pub fn new(ordinals: &'r Runs) -> Self {
        let runs = ordinals.as_slice();
        Self {
            runs,
            next: runs.first().map(|run| run.first),
        }
    }

    /// The next one, which stays.
    pub const fn peek(&self) -> Option<u32> {
        self.next
    }

    /// The next one, which is used up.
    pub fn next(&mut self) -> Option<u32> {
        let now = self.next?;
        let run = self.runs.first()?;
        self.next = if now < run.last {
            Some(now + 1)
        } else {
            self.runs = self.runs.get(1..).unwrap_or_default();
            self.runs.first().map(|run| run.first)
        };
        Some(now)
    }
}

/// Meets the rows of a chunk again in its frame. `each` gets a row's place and its item, and says whether
/// to go on. `None` when the frame does not show every row up to where `each` stopped.
pub(super) fn walk(
    frame: &[u8],
    rows: &[Row],
    mut each: impl FnMut(usize, &Row, StagedItem<'_>) -> Option<bool>,
) -> Option<()> {
    let mut items = StagedItems::of(frame)?;
    for (place, row) in rows.iter().enumerate() {
        // Rows are items of the frame in its order, and the first of their sequence: the next item that
        // has the row's sequence is the row's.
        let item = loop {
            let item = items.next()??;
            if item.seq == u64::from(row.seq) {
                break item;
            }
        };
        if !each(place, row, item)? {
            break;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests;
