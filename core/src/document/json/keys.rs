//! The keys at the top of a document, compared after unescaping.

use std::collections::BTreeSet;

use super::super::Flaw;
use super::reader::{Key, Reader};
use crate::bug::{Bug, is_planted};

/// The key of the manager-owned fields.
pub(super) const OVERLAY_KEY: &[u8] = b"wazuh";

/// So many keys at the top are compared in place; documents with more of them are looked through again.
pub(super) const KEYS_IN_PLACE: usize = 32;

/// The keys at the top of a document, as they come.
pub(super) struct Keys<'a> {
    text: &'a str,
    seen: [(u32, u32); KEYS_IN_PLACE],
    pub(super) count: usize,
    /// One bit for the look of each key: a clear bit says that no earlier key is equal.
    looks: u64,
    /// A key so far has an escape: its look says nothing.
    has_escape: bool,
    pub(super) has_overlay: bool,
}

impl<'a> Keys<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self {
            text,
            seen: [(0, 0); KEYS_IN_PLACE],
            count: 0,
            looks: 0,
            has_escape: false,
            has_overlay: false,
        }
    }

    pub(super) fn add(&mut self, key: Key) -> Result<(), Flaw> {
        let raw = self
            .text
            .as_bytes()
            .get(key.range.clone())
            .unwrap_or_default();
        let escaped = key.has_escape;
        let first = raw.first().copied().unwrap_or(0);
        if first == OVERLAY_KEY[0] || escaped {
            if key_is(raw, OVERLAY_KEY) {
                if self.has_overlay {
                    return Err(Flaw::DuplicateKey);
                }
                self.has_overlay = true;
            } else if key_begins(raw, b"wazuh.") && !is_planted(Bug::DottedOverlayTaken) {
                return Err(Flaw::DottedOverlay);
            }
        }
        let last = raw.last().copied().unwrap_or(0);
        // Length, first and last byte tell most keys of a document apart.
        let look =
            1_u64 << ((raw.len() as u64 * 5 + u64::from(first) * 7 + u64::from(last) * 11) & 63);
        self.has_escape |= escaped;
        if self.looks & look != 0 || self.has_escape {
            let duplicate = self.seen.iter().take(self.count).any(|(start, end)| {
                let other = self
                    .text
                    .as_bytes()
                    .get(*start as usize..*end as usize)
                    .unwrap_or_default();
                if self.has_escape {
                    decoded(raw).eq(decoded(other))
                } else {
                    raw == other
                }
            });
            if duplicate {
                return Err(Flaw::DuplicateKey);
            }
        }
        self.looks |= look;
        if let Some(place) = self.seen.get_mut(self.count) {
            // Payloads are parts of frames, whose offsets are 31 bits wide.
            let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
            *place = (narrow(key.range.start), narrow(key.range.end));
        }
        self.count += 1;
        Ok(())
    }
}

/// Whether a key stands twice at the top, for documents with very many keys.
pub(super) fn has_duplicates(text: &str) -> Result<bool, Flaw> {
    let mut seen: BTreeSet<Vec<u32>> = BTreeSet::new();
    let mut duplicate = false;
    Reader::new(text.as_bytes()).object(|key| {
        let raw = text.as_bytes().get(key.range).unwrap_or_default();
        duplicate |= !seen.insert(decoded(raw).collect());
        Ok(())
    })?;
    Ok(duplicate)
}

/// Whether a raw key says `name` after unescaping.
pub(super) fn key_is(raw: &[u8], name: &[u8]) -> bool {
    raw == name
        || (raw.contains(&b'\\') && decoded(raw).eq(name.iter().map(|byte| u32::from(*byte))))
}

fn key_begins(raw: &[u8], start: &[u8]) -> bool {
    raw.starts_with(start)
        || (raw.contains(&b'\\')
            && decoded(raw)
                .take(start.len())
                .eq(start.iter().map(|byte| u32::from(*byte))))
}

/// The code points of a key after unescaping. A lone surrogate stands for itself. Bytes above ASCII are
/// given one by one, offset so that they meet no escape: an escape above ASCII is given in the same way.
fn decoded(raw: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let mut at = 0;
    let mut queue = [0_u32; 4];
    let mut queued = 0..0;
    std::iter::from_fn(move || {
        if let Some(next) = queued.next() {
            return queue.get(next).copied();
        }
        let byte = *raw.get(at)?;
        at += 1;
        if byte != b'\\' {
            return Some(unit(byte));
        }
        let kind = *raw.get(at)?;
        at += 1;
        let plain = match kind {
            b'b' => 8,
            b't' => 9,
            b'n' => 10,
            b'f' => 12,
            b'r' => 13,
            b'u' => {
                let mut code = hex4(raw, at)?;
                at += 4;
                if (0xD800..0xDC00).contains(&code)
                    && raw.get(at..at + 2) == Some(b"\\u")
                    && let Some(low) =
                        hex4(raw, at + 2).filter(|low| (0xDC00..0xE000).contains(low))
                {
                    code = 0x1_0000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                    at += 6;
                }
                let Some(letter) = char::from_u32(code) else {
                    return Some(code);
                };
                let mut buffer = [0; 4];
                let encoded = letter.encode_utf8(&mut buffer).as_bytes();
                for (place, byte) in queue.iter_mut().zip(encoded) {
                    *place = unit(*byte);
                }
                queued = 1..encoded.len();
                return Some(queue[0]);
            }
            other => return Some(u32::from(other)),
        };
        Some(plain)
    })
}

/// A byte of UTF-8 in [`decoded`]: above ASCII it lies beyond all code points.
const fn unit(byte: u8) -> u32 {
    if byte < 0x80 {
        byte as u32
    } else {
        byte as u32 + 0x1000_0000
    }
}

fn hex4(raw: &[u8], at: usize) -> Option<u32> {
    let digits = std::str::from_utf8(raw.get(at..at + 4)?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}
