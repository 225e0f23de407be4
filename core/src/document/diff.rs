//! The diff of a Full: what the Indexer holds against what the session says.

use super::plan::HashPlaces;
use super::scan::{Marks, Row};
use super::scheme::escaped_bytes;
use super::table::{Chunks, DELETE, Removals, SessionTable, walk};
use super::{Class, DiffSummary, Listed, Listing, json};
use crate::bug::{Bug, is_planted};
use crate::id::IndexId;

/// Compares a planned Full with the documents listed in the indices that it replaces
/// (`docs/protocol.md` section 6).
///
/// An upsert whose document is stored with the same checksum and the same overlay is not sent. A listed
/// document that the session neither writes nor set aside is removed; one that the session *deletes* is
/// not in the set, and so is removed too. What is listed in other indices, and a document that stands in
/// the listing twice, is left alone.
///
/// `None`: a staged frame that had to be looked at could not be read back, or is not what was staged.
/// Frames are read only when one of their items is listed.
pub fn diff<C: Chunks>(
    table: &mut SessionTable,
    listing: &Listing,
    chunks: &C,
    indices: &[IndexId],
) -> Option<DiffSummary> {
    table.removals = Removals::default();
    for row in &mut table.rows {
        row.marks.clear(Marks::UNCHANGED);
    }
    let mut known = Known::new(table, listing, indices);
    let mut unchanged = 0;
    if known.any {
        let mut same = Vec::new();
        for place in 0..table.chunks.len() {
            compare(table, place, chunks, &mut known, &mut same)?;
            unchanged += same.len() as u64;
        }
    }
    let mut removal_bytes = 0;
    for (document, present) in listing.iter().zip(&known.present) {
        let present = *present && !is_planted(Bug::FullDeletesEverything);
        if !present && !is_planted(Bug::FullDeletesNothing) {
            table.removals.push(document.index, document.id);
            removal_bytes +=
                table.action_overhead(document.index, DELETE) + escaped_bytes(document.id) as u64;
        }
    }
    let removals = u32::try_from(table.removals.ends.len()).ok()?;
    let (chunks, operations) = table.number();
    Some(DiffSummary {
        chunks,
        removals,
        removal_bytes,
        operations,
        unchanged,
    })
}

/// The listing, found by hash.
struct Known<'a> {
    listing: &'a Listing,
    hashes: Vec<u64>,
    places: HashPlaces,
    /// Of each listed document, whether the session has it; also set for what does not concern us.
    present: Vec<bool>,
    any: bool,
}

impl<'a> Known<'a> {
    fn new(table: &SessionTable, listing: &'a Listing, indices: &[IndexId]) -> Self {
        let hashes: Vec<u64> = listing
            .iter()
            .map(|document| table.scheme.hash(document.index, document.id))
            .collect();
        let mut known = Self {
            listing,
            hashes,
            places: HashPlaces::for_entries(listing.len()),
            present: vec![true; listing.len()],
            any: false,
        };
        for (place, document) in listing.iter().enumerate() {
            if !indices.contains(&document.index) {
                continue;
            }
            let hash = known.hashes.get(place).copied().unwrap_or(0);
            let same = |other| {
                listing
                    .get(other)
                    .is_some_and(|other| (other.index, other.id) == (document.index, document.id))
            };
            if known.places.find_or_insert(hash, place, same).is_none() {
                known.any = true;
                if let Some(present) = known.present.get_mut(place) {
                    *present = false;
                }
            }
        }
        known
    }

    /// Whether a row may be a listed document.
    fn may_have(&self, row: &Row) -> bool {
        !row.marks.has(Marks::DELETE)
            && !row.marks.has(Marks::SUPERSEDED)
            && self
                .places
                .find(row.hash, |other| self.hashes.get(other) == Some(&row.hash))
                .is_some()
    }

    fn find(&self, row: &Row, id: &str) -> Option<(usize, Listed<'a>)> {
        let listing = self.listing;
        let same = |other| {
            listing
                .get(other)
                .is_some_and(|other| (other.index, other.id) == (row.index, id))
        };
        let place = self.places.find(row.hash, same)?;
        Some((place, listing.get(place)?))
    }
}

/// Compares one chunk; leaves the rows that change nothing in `same`.
fn compare<C: Chunks>(
    table: &mut SessionTable,
    place: usize,
    chunks: &C,
    known: &mut Known<'_>,
    same: &mut Vec<usize>,
) -> Option<()> {
    same.clear();
    let chunk = table.chunks.get(place).copied()?;
    let rows = table.rows_of(&chunk);
    if !rows.iter().any(|row| known.may_have(row)) {
        return Some(());
    }
    let frame = chunks.chunk(table.session(), chunk.key)?;
    let mut upsert_bytes = 0;
    walk(frame.as_ref(), rows, |place, row, item| {
        let id = item.id.unwrap_or_default();
        let payload = item.data.unwrap_or_default();
        if known.may_have(row)
            && let Some((listed, document)) = known.find(row, id)
        {
            *known.present.get_mut(listed)? = true;
            let same_content =
                document.unchanged_if.is_some() && json::sha1(payload) == document.unchanged_if;
            let unchanged =
                !row.marks.has_flaw() && (same_content || is_planted(Bug::CompareSkipped));
            if unchanged {
                same.push(chunk.start + place);
                return Some(true);
            }
        }
        if table.is_sent(row, Class::Upsert) {
            upsert_bytes += payload.len() + escaped_bytes(id);
        }
        Some(true)
    })?;
    for row in same.iter() {
        table.rows.get_mut(*row)?.marks.set(Marks::UNCHANGED);
    }
    table.chunks.get_mut(place)?.upsert_bytes = u32::try_from(upsert_bytes).unwrap_or(u32::MAX);
    Some(())
}

#[cfg(test)]
mod tests;
