//! The documents of one index, as little of each as possible.
//!
//! ```text
//!   hash of the id ─▶ table ─▶ slot {id, live {version, number, checksum, hash, overlay} | tombstone | free}
//!                                  ▲                      │
//!   overlay ─▶ group: slots ───────┘                      └─ as it was at the last refresh, if it changed since
//! ```
//!
//! Invariants: a slot that holds an overlay stands in that overlay's group (others may stand there too); a slot that
//! changed since the last refresh is marked and its earlier content is kept.

use super::overlays::{NONE, OverlayId};
use crate::model::engine::index::{Held, next_version};
use crate::model::engine::{Applied, Condition, Outcome};
use hashbrown::HashTable;
use std::collections::{HashMap, VecDeque};
use xxhash_rust::xxh3::xxh3_64;

/// A document's `checksum.hash.sha1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// It has none.
    None,
    /// 40 digits in lower case.
    Sha1([u8; 20]),
    /// Another text.
    Other(Box<str>),
}

impl Checksum {
    /// Reads one.
    pub fn of(text: &str) -> Checksum {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 20];
        if text.len() == 40 {
            let pairs = text.as_bytes().as_chunks::<2>().0;
            let read = pairs.iter().zip(&mut bytes).try_for_each(|(pair, byte)| {
                *byte = digit(pair[0])? << 4 | digit(pair[1])?;
                Some(())
            });
            if read.is_some() {
                return Checksum::Sha1(bytes);
            }
        }
        Checksum::Other(text.into())
    }

    /// The text again.
    pub fn text(&self) -> Option<String> {
        match self {
            Checksum::None => None,
            Checksum::Sha1(bytes) => Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
            Checksum::Other(text) => Some(text.to_string()),
        }
    }
}

/// What of a source is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Its checksum.
    pub checksum: Checksum,
    /// A hash of the source's bytes.
    pub hash: u64,
    /// Its overlay.
    pub overlay: OverlayId,
}

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its version.
    pub version: u64,
    /// The number of the operation that stored it.
    pub seq_no: u64,
    /// What of its source is kept.
    pub digest: Digest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Free,
    Live(Kept),
    Tombstone {
        version: u64,
        deleted_at_ms: u64,
        overlay: OverlayId,
    },
}

impl Content {
    fn overlay(&self) -> OverlayId {
        match self {
            Content::Free => NONE,
            Content::Live(kept) => kept.digest.overlay,
            Content::Tombstone { overlay, .. } => *overlay,
        }
    }

    fn live(&self) -> Option<&Kept> {
        match self {
            Content::Live(kept) => Some(kept),
            Content::Free | Content::Tombstone { .. } => None,
        }
    }
}

#[derive(Debug)]
struct Slot {
    id: Box<str>,
    content: Content,
    /// Whether `earlier` has it.
    is_changed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    slot: u32,
}

/// What decides about the writes of one request, the same for all of them.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The time.
    pub now_ms: u64,
    /// How long tombstones count.
    pub gc_deletes_ms: u64,
    /// The index's primary term.
    pub primary_term: u64,
}

/// The documents of one index.
#[derive(Debug, Default)]
pub struct Shelf {
    slots: Vec<Slot>,
    free: Vec<u32>,
    table: HashTable<Entry>,
    groups: HashMap<OverlayId, Vec<u32>>,
    /// Tombstones in the order of their deletion; those that were overwritten meanwhile too.
    graves: VecDeque<(u64, u32)>,
    /// What changed since the last refresh, as it was then.
    earlier: Vec<(u32, Option<Box<Kept>>)>,
    live: u64,
    next_seq_no: u64,
    refreshed_at_ms: u64,
}

fn bucket(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Half of a hash is enough for a table.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
fn hash_of(id: &str) -> u32 {
    xxh3_64(id.as_bytes()) as u32
}

impl Shelf {
    /// An empty one, refreshed at that time.
    pub fn new(refreshed_at_ms: u64) -> Shelf {
        Shelf {
            refreshed_at_ms,
            ..Shelf::default()
        }
    }

    /// How many documents there are, refreshed or not.
    pub fn documents(&self) -> u64 {
        self.live
    }

    /// A sum over ids and sources that does not depend on their order: equal sets have equal sums.
    pub fn fingerprint(&self) -> u64 {
        self.slots
            .iter()
            .filter_map(|slot| {
                let kept = slot.content.live()?;
                let id = xxh3_64(slot.id.as_bytes());
                Some(xxh3_64(
                    &[id.to_le_bytes(), kept.digest.hash.to_le_bytes()].concat(),
                ))
            })
            .fold(0, u64::wrapping_add)
    }

    /// Whether something waits for a refresh, and since when.
    pub fn waits_since_ms(&self) -> Option<u64> {
        (!self.earlier.is_empty()).then_some(self.refreshed_at_ms)
    }

    /// Stores a document.
    ///
    /// # Errors
    /// In words, why the condition does not hold.
    pub fn index(
        &mut self,
        id: &str,
        condition: Condition,
        digest: Digest,
        terms: Terms,
    ) -> Result<Applied, String> {
        let (slot, version) = self.admit(id, condition, terms)?;
        let seq_no = self.take_seq_no();
        let slot = slot.unwrap_or_else(|| self.occupy(id));
        self.mark(slot);
        self.group(slot, digest.overlay);
        let kept = Kept {
            version,
            seq_no,
            digest,
        };
        let content = &mut self.slots[slot as usize].content;
        let outcome = match std::mem::replace(content, Content::Live(kept)) {
            Content::Live(_) => Outcome::Updated,
            Content::Free | Content::Tombstone { .. } => {
                self.live += 1;
                Outcome::Created
            }
        };
        Ok(applied(outcome, version, seq_no, terms))
    }

    /// Deletes a document, and remembers it.
    ///
    /// # Errors
    /// As [`Shelf::index`].
    pub fn delete(
        &mut self,
        id: &str,
        condition: Condition,
        terms: Terms,
    ) -> Result<Applied, String> {
        let (slot, version) = self.admit(id, condition, terms)?;
        let seq_no = self.take_seq_no();
        let slot = slot.unwrap_or_else(|| self.occupy(id));
        let overlay = self.slots[slot as usize].content.overlay();
        let tombstone = Content::Tombstone {
            version,
            deleted_at_ms: terms.now_ms,
            overlay,
        };
        let outcome = if self.slots[slot as usize].content.live().is_some() {
            self.mark(slot);
            self.live -= 1;
            Outcome::Deleted
        } else {
            Outcome::NotFound
        };
        self.slots[slot as usize].content = tombstone;
        self.graves.push_back((terms.now_ms, slot));
        Ok(applied(outcome, version, seq_no, terms))
    }

    /// The slot of an id, if it has one, and the version that the operation gives the document.
    fn admit(
        &self,
        id: &str,
        condition: Condition,
        terms: Terms,
    ) -> Result<(Option<u32>, u64), String> {
        let slot = self.find(id);
        let content = slot.map(|slot| &self.slots[slot as usize].content);
        let held = content.and_then(Content::live).map(|kept| Held {
            version: kept.version,
            seq_no: kept.seq_no,
            primary_term: terms.primary_term,
        });
        let version = next_version(condition, held, || match content {
            Some(Content::Tombstone {
                version,
                deleted_at_ms,
                ..
            }) if terms.now_ms.saturating_sub(*deleted_at_ms) <= terms.gc_deletes_ms => {
                Some(*version)
            }
            _ => None,
        })?;
        Ok((slot, version))
    }

    fn find(&self, id: &str) -> Option<u32> {
        let hash = hash_of(id);
        let is_it =
            |entry: &Entry| entry.hash == hash && &*self.slots[entry.slot as usize].id == id;
        Some(self.table.find(bucket(hash), is_it)?.slot)
    }

    fn occupy(&mut self, id: &str) -> u32 {
        let new = Slot {
            id: id.into(),
            content: Content::Free,
            is_changed: false,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = new;
                slot
            }
            None => {
                self.slots.push(new);
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let hash = hash_of(id);
        self.table
            .insert_unique(bucket(hash), Entry { hash, slot }, |entry| {
                bucket(entry.hash)
            });
        slot
    }

    fn take_seq_no(&mut self) -> u64 {
        let seq_no = self.next_seq_no;
        self.next_seq_no += 1;
        seq_no
    }

    /// Keeps what searches see of a slot that is about to change.
    fn mark(&mut self, slot: u32) {
        let held = &mut self.slots[slot as usize];
        if !held.is_changed {
            held.is_changed = true;
            self.earlier
                .push((slot, held.content.live().cloned().map(Box::new)));
        }
    }

    fn group(&mut self, slot: u32, overlay: OverlayId) {
        let content = &self.slots[slot as usize].content;
        if *content == Content::Free || content.overlay() != overlay {
            self.groups.entry(overlay).or_default().push(slot);
        }
    }

    /// Makes every write so far visible, and forgets tombstones that are too old to count.
    pub fn refresh(&mut self, now_ms: u64, gc_deletes_ms: u64) {
        self.refreshed_at_ms = now_ms;
        for (slot, _) in std::mem::take(&mut self.earlier) {
            self.slots[slot as usize].is_changed = false;
        }
        while let Some((buried_ms, slot)) = self.graves.front().copied() {
            if now_ms.saturating_sub(buried_ms) <= gc_deletes_ms {
                break;
            }
            self.graves.pop_front();
            self.bury(slot, buried_ms);
        }
    }

    /// Forgets every tombstone.
    pub fn lose_tombstones(&mut self) {
        for (buried_ms, slot) in std::mem::take(&mut self.graves) {
            self.bury(slot, buried_ms);
        }
    }

    /// Frees a slot if the tombstone of that time is still there, and nobody needs what it was before.
    fn bury(&mut self, slot: u32, buried_ms: u64) {
        let held = &self.slots[slot as usize];
        let is_it = matches!(held.content, Content::Tombstone { deleted_at_ms, .. } if deleted_at_ms == buried_ms);
        if !is_it || held.is_changed {
            return;
        }
        let hash = hash_of(&held.id);
        if let Ok(entry) = self
            .table
            .find_entry(bucket(hash), |entry| entry.slot == slot)
        {
            entry.remove();
        }
        // Its group forgets it when it is next read.
        let freed = &mut self.slots[slot as usize];
        freed.id = Box::default();
        freed.content = Content::Free;
        self.free.push(slot);
    }

    /// Calls for each document with one of these overlays, as the last refresh left it.
    pub fn visible(
        &mut self,
        overlays: impl IntoIterator<Item = OverlayId>,
        mut found: impl FnMut(&str, &Kept),
    ) {
        let earlier: HashMap<u32, Option<&Kept>> = self
            .earlier
            .iter()
            .map(|(slot, kept)| (*slot, kept.as_deref()))
            .collect();
        for overlay in overlays {
            let Some(group) = self.groups.get_mut(&overlay) else {
                continue;
            };
            group.sort_unstable();
            group.dedup();
            let slots = &self.slots;
            group.retain(|slot| {
                let held = &slots[*slot as usize];
                let before = earlier.get(slot);
                let shown = match before {
                    Some(kept) => *kept,
                    None => held.content.live(),
                };
                let is_shown = shown.filter(|kept| kept.digest.overlay == overlay);
                if let Some(kept) = is_shown {
                    found(&held.id, kept);
                }
                is_shown.is_some()
                    || (held.content != Content::Free && held.content.overlay() == overlay)
            });
        }
    }
}

fn applied(outcome: Outcome, version: u64, seq_no: u64, terms: Terms) -> Applied {
    Applied {
        outcome,
        version,
        seq_no,
        primary_term: terms.primary_term,
    }
}

#[cfg(test)]
mod tests;
