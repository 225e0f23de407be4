//! From operations to the lines of a bulk body.

use super::scan::{Marks, Row};
use super::scheme::write_escaped;
use super::table::{
    AFTER_VERSION, BEFORE_ID, BEFORE_OVERLAY, BEFORE_VERSION, Chunks, DELETE, INDEX, SessionTable,
    Wanted, side, walk,
};
use super::{Class, Part, json};
use crate::bug::{Bug, is_planted};
use crate::id::IndexId;

/// Appends the operations of a part to a bulk body, and says how many they are. The same part gives the
/// same bytes on every retry.
///
/// Documents are spliced, not parsed and printed (`docs/protocol.md` section 7): the overlay becomes the
/// first member, a member `wazuh` is left out, line breaks between tokens become spaces.
///
/// `None`: a staged frame could not be read back, is not what was staged, or there is no such operation;
/// `out` is then as it was.
pub fn render<C: Chunks>(
    part: &Part,
    table: &SessionTable,
    chunks: &C,
    out: &mut Vec<u8>,
) -> Option<u32> {
    let length = out.len();
    let mut lines = Lines::new(part, table);
    let done = match part.class {
        Class::Removal => removals(part, table, &mut lines, out),
        Class::Upsert | Class::Delete => items(part, table, chunks, &mut lines, out),
    };
    if done.is_none() {
        out.truncate(length);
        return None;
    }
    u32::try_from(part.ordinals.count()).ok()
}

fn removals(
    part: &Part,
    table: &SessionTable,
    lines: &mut Lines<'_>,
    out: &mut Vec<u8>,
) -> Option<()> {
    let mut wanted = Wanted::new(&part.ordinals);
    while let Some(ordinal) = wanted.next() {
        let (index, id) = table.removals.get(ordinal as usize)?;
        lines.action(index, id, out);
    }
    Some(())
}

fn items<C: Chunks>(
    part: &Part,
    table: &SessionTable,
    chunks: &C,
    lines: &mut Lines<'_>,
    out: &mut Vec<u8>,
) -> Option<()> {
    let side = side(part.class);
    let mut wanted = Wanted::new(&part.ordinals);
    while let Some(next) = wanted.peek() {
        let after = table
            .chunks
            .partition_point(|chunk| chunk.first[side] <= next);
        let chunk = table.chunks.get(after.checked_sub(1)?)?;
        let mut ordinal = chunk.first[side];
        let frame = chunks.chunk(table.session(), chunk.key)?;
        walk(frame.as_ref(), table.rows_of(chunk), |_, row, item| {
            if table.is_sent(row, part.class) {
                if wanted.peek() == Some(ordinal) {
                    wanted.next();
                    lines.action(row.index, item.id?, out);
                    if part.class == Class::Upsert {
                        lines.document(row, item.data?, out)?;
                    }
                }
                ordinal += 1;
            }
            Some(wanted.peek().is_some())
        })?;
        if wanted.peek() == Some(next) {
            return None;
        }
    }
    Some(())
}

/// What the lines of a part have in common.
struct Lines<'t> {
    table: &'t SessionTable,
    action: &'static [u8],
    /// Up to the agent's id, for the index of the last line.
    head: Vec<u8>,
    index: Option<IndexId>,
    /// From behind the id on: the version, and for an upsert the overlay.
    tail: Vec<u8>,
}

impl<'t> Lines<'t> {
    fn new(part: &Part, table: &'t SessionTable) -> Self {
        let mut tail = Vec::with_capacity(128 + table.overlay.len());
        tail.extend_from_slice(BEFORE_VERSION);
        tail.extend_from_slice(part.version.0.to_string().as_bytes());
        tail.extend_from_slice(AFTER_VERSION);
        let action = match part.class {
            Class::Upsert => {
                tail.extend_from_slice(BEFORE_OVERLAY);
                tail.extend_from_slice(&table.overlay);
                INDEX
            }
            Class::Delete | Class::Removal => DELETE,
        };
        Self {
            table,
            action,
            head: Vec::with_capacity(128),
            index: None,
            tail,
        }
    }

    fn action(&mut self, index: IndexId, id: &str, out: &mut Vec<u8>) {
        let is_kept = self.index.is_some() && is_planted(Bug::IndexOfNeighbour);
        if self.index != Some(index) && !is_kept {
            self.index = Some(index);
            self.head.clear();
            self.head.extend_from_slice(self.action);
            self.head
                .extend_from_slice(self.table.scheme.quoted_name(index));
            self.head.extend_from_slice(BEFORE_ID);
            write_escaped(&self.table.id_prefix, &mut self.head);
        }
        out.extend_from_slice(&self.head);
        write_escaped(id, out);
        out.extend_from_slice(&self.tail);
    }

    /// The rest of a document behind its overlay.
    fn document(&self, row: &Row, payload: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let is_cut = !is_planted(Bug::OwnOverlayKept);
        let (before, after) = if row.marks.has(Marks::OVERLAY) && is_cut {
            json::inside_without_overlay(payload)?
        } else {
            (json::inside(payload)?, b"".as_slice())
        };
        let start = out.len();
        if !before.is_empty() || !after.is_empty() {
            out.push(b',');
            out.extend_from_slice(before);
            out.extend_from_slice(after);
        }
        if row.marks.has(Marks::LINE_BREAK) && !is_planted(Bug::LineBreaksKept) {
            for byte in out.get_mut(start..)? {
                if matches!(byte, b'\n' | b'\r') {
                    *byte = b' ';
                }
            }
        }
        out.extend_from_slice(b"}\n");
        Some(())
    }
}

#[cfg(test)]
mod tests;
