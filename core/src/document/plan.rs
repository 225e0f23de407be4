//! The plan of a complete session: which operations are sent, and what is set aside.

use std::collections::BTreeMap;

use super::scan::{Marks, Row};
use super::table::{Chunks, SessionTable, walk};
use super::{Failure, Failures, Flaw, PlanSummary};
use crate::bug::{Bug, if_planted, is_planted};
use crate::id::IndexId;

/// Documents of one hash, index and id: the rows that mean it.
type Groups = BTreeMap<(u64, IndexId, Box<str>), Vec<usize>>;

/// Decides which operations of a session are sent (`docs/protocol.md` section 5).
///
/// Of several operations on one document only the last by sequence counts; the earlier ones share its
/// verdict, whatever was wrong with them. In a Full a delete is no operation, but takes the place of
/// earlier upserts all the same. Items in indices that are not allowed are set aside one by one.
///
/// `None`: a staged frame that had to be looked at could not be read back, or is not what was staged.
/// Frames are read only when two items have the same hash.
pub fn plan<C: Chunks>(
    table: &mut SessionTable,
    chunks: &C,
    allowed: &[IndexId],
    full: bool,
    failed_items_max: usize,
) -> Option<PlanSummary> {
    table.full = full;
    table.chunks.sort_by_key(|chunk| chunk.key);
    let scheme = table.scheme.clone();
    let mut is_allowed = vec![false; scheme.catalogue().indices().len()];
    for index in allowed {
        if let Some(place) = is_allowed.get_mut(usize::from(index.0)) {
            *place = true;
        }
    }
    for row in &mut table.rows {
        if is_allowed.get(usize::from(row.index.0)) == Some(&false) {
            row.marks.set_flaw(Flaw::IndexNotAllowed);
        }
    }
    let mut failures = Lowest::new(failed_items_max);
    if !is_planted(Bug::EveryOperationSent) && mark_repeated(table) {
        let groups = confirm(table, chunks)?;
        supersede(table, groups, &mut failures);
    }
    for chunk in &table.chunks {
        for row in table.rows_of(chunk) {
            if let Some(flaw) = row
                .marks
                .flaw()
                .filter(|_| !row.marks.has(Marks::SUPERSEDED))
            {
                failures.offer(row.seq, || flaw.failure(row.seq));
            }
        }
    }
    let (chunks, operations) = table.number();
    Some(PlanSummary {
        chunks,
        operations,
        failures: failures.finish(),
    })
}

/// Marks the rows whose hash another row has too; says whether there are any.
fn mark_repeated(table: &mut SessionTable) -> bool {
    let mut places = HashPlaces::for_entries(table.rows.len());
    let mut found = false;
    for chunk in 0..table.chunks.len() {
        let Some(chunk) = table.chunks.get(chunk).copied() else {
            continue;
        };
        for at in chunk.start..chunk.start + chunk.count as usize {
            let Some(row) = table.rows.get(at).copied().filter(Row::is_addressable) else {
                continue;
            };
            let rows = &table.rows;
            let same = |other: usize| rows.get(other).is_some_and(|other| other.hash == row.hash);
            if let Some(other) = places.find_or_insert(row.hash, at, same) {
                found = true;
                for place in [at, other] {
                    if let Some(row) = table.rows.get_mut(place) {
                        row.marks.set(Marks::REPEATED);
                    }
                }
            }
        }
    }
    found
}

/// Groups the marked rows by what their items say.
fn confirm<C: Chunks>(table: &SessionTable, chunks: &C) -> Option<Groups> {
    let mut groups = Groups::new();
    for chunk in &table.chunks {
        let rows = table.rows_of(chunk);
        if !rows.iter().any(|row| row.marks.has(Marks::REPEATED)) {
            continue;
        }
        let frame = chunks.chunk(table.session(), chunk.key)?;
        walk(frame.as_ref(), rows, |place, row, item| {
            if row.marks.has(Marks::REPEATED) {
                let key = (row.hash, row.index, Box::from(item.id?));
                groups.entry(key).or_default().push(chunk.start + place);
            }
            Some(true)
        })?;
    }
    Some(groups)
}

/// Marks all but the last operation of each document.
fn supersede(table: &mut SessionTable, groups: Groups, failures: &mut Lowest) {
    for places in groups.into_values() {
        let row = |place: &usize| table.rows.get(*place).copied();
        let rank = |row: &Row| if_planted(Bug::FirstOperationWins, !row.seq, row.seq);
        let Some(winner) = places.iter().filter_map(row).max_by_key(rank) else {
            continue;
        };
        for place in places {
            let Some(row) = table
                .rows
                .get_mut(place)
                .filter(|row| row.seq != winner.seq)
            else {
                continue;
            };
            row.marks.set(Marks::SUPERSEDED);
            let seq = row.seq;
            match winner.marks.flaw() {
                Some(flaw) => failures.offer(seq, || flaw.shared_failure(seq, winner.seq)),
                None => table.shared.push((winner.seq, seq)),
            }
        }
    }
    table.shared.sort_unstable();
}

/// Places of entries by their hash: open addressing, with room for twice the entries.
pub(super) struct HashPlaces {
    /// The place and one; 0 is empty.
    slots: Vec<u32>,
    mask: usize,
}

impl HashPlaces {
    /// Room for so many. A place beyond 2^32 is not taken in: no session and no listing has as many.
    pub fn for_entries(entries: usize) -> Self {
        let size = (entries.max(4) * 2).next_power_of_two();
        Self {
            slots: vec![0; size],
            mask: size - 1,
        }
    }

    /// Finds the first entry for which `same` holds, or takes this one in.
    pub fn find_or_insert(
        &mut self,
        hash: u64,
        place: usize,
        same: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        match self.probe(hash, same) {
            Ok(found) => Some(found),
            Err(empty) => {
                if let (Some(slot), Ok(narrow)) =
                    (self.slots.get_mut(empty), u32::try_from(place + 1))
                {
                    *slot = narrow;
                }
                None
            }
        }
    }

    /// The first entry on the way of this hash for which `same` holds.
    pub fn find(&self, hash: u64, same: impl Fn(usize) -> bool) -> Option<usize> {
        self.probe(hash, same).ok()
    }

    fn probe(&self, hash: u64, same: impl Fn(usize) -> bool) -> Result<usize, usize> {
        let mut slot = hash as usize & self.mask;
        loop {
            match self.slots.get(slot).copied().unwrap_or(0) {
                0 => return Err(slot),
                taken => {
                    let place = taken as usize - 1;
                    if same(place) {
                        return Ok(place);
                    }
                }
            }
            slot = (slot + 1) & self.mask;
        }
    }
}

/// Keeps the lowest failures by sequence, and counts all.
#[derive(Debug)]
pub(crate) struct Lowest {
    max: usize,
    kept: Vec<Failure>,
    total: u64,
    /// From here on nothing more is kept.
    limit: u32,
}

impl Lowest {
    pub(crate) const fn new(max: usize) -> Self {
        Self {
            max,
            kept: Vec::new(),
            total: 0,
            limit: u32::MAX,
        }
    }

    /// Counts a failure and, if it is among the lowest so far, makes and keeps it.
    pub(crate) fn offer(&mut self, seq: u32, failure: impl FnOnce() -> Failure) {
        self.total += 1;
        if seq > self.limit || self.max == 0 {
            return;
        }
        self.kept.push(failure());
        if self.kept.len() >= self.max.saturating_mul(2) {
            self.prune();
        }
    }

    fn prune(&mut self) {
        self.kept.sort_unstable();
        self.kept.truncate(self.max);
        if self.kept.len() == self.max {
            self.limit = self.kept.last().map_or(u32::MAX, |last| last.seq);
        }
    }

    pub(crate) fn finish(mut self) -> Failures {
        self.prune();
        Failures {
            lowest: self.kept,
            total: self.total,
        }
    }
}

#[cfg(test)]
mod tests;
