//! The check of a payload, and what rendering must know of it, without a tree and without allocation.
//!
//! ```text
//!  bytes ──▶ check ──▶ Shape | Flaw        once, at the scan
//!  checked bytes ──▶ inside / inside_without_overlay ──▶ slices to splice
//!                ──▶ sha1                   the document's own checksum
//! ```
//!
//! One pass decides what `serde_json` decides (a property test compares the two) and also sees the depth,
//! the keys at the top and line breaks.
//!
//! Refused is what the Indexer would mix up with the manager's own fields: a key that stands twice at the
//! top, and one that begins with `wazuh.`, both after unescaping, for the engine expands dotted names. A
//! key that stands twice *deeper* is left to the Indexer: it refuses that item alone.
//!
//! Deliberately absent: numbers and texts as values. `1e999` and a lone `\ud800` pass here, as they pass
//! `serde_json` when it ignores values; what they mean is the Indexer's to say.

mod keys;
mod reader;

use super::Flaw;
use keys::{KEYS_IN_PLACE, Keys, OVERLAY_KEY, has_duplicates, key_is};
use reader::{Members, Reader};

/// How deep a document may nest; the document itself is the first level.
pub const DEPTH_MAX: u32 = 20;

/// What the check saw of a sound payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// A line break stands between tokens.
    pub has_line_break: bool,
    /// There is a key `wazuh` at the top: rendering leaves it out.
    pub has_overlay: bool,
}

/// Checks a payload.
///
/// # Errors
/// The first flaw found: UTF-8 before all else, then in the order of the bytes.
pub fn check(bytes: &[u8]) -> Result<Shape, Flaw> {
    let text = std::str::from_utf8(bytes).map_err(|_| Flaw::NotUtf8)?;
    let mut reader = Reader::new(text.as_bytes());
    let mut keys = Keys::new(text);
    reader.object(|key| keys.add(key))?;
    if keys.count > KEYS_IN_PLACE && has_duplicates(text)? {
        return Err(Flaw::DuplicateKey);
    }
    Ok(Shape {
        has_line_break: reader.line_break,
        has_overlay: keys.has_overlay,
    })
}

/// What stands between the outer braces of a checked payload, without space at its ends; empty for `{}`.
#[must_use]
pub fn inside(bytes: &[u8]) -> Option<&[u8]> {
    let inner = bytes.trim_ascii().strip_prefix(b"{")?.strip_suffix(b"}")?;
    Some(inner.trim_ascii())
}

/// The same in two pieces, with the member `wazuh` and one comma cut out.
#[must_use]
pub fn inside_without_overlay(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader::new(bytes);
    let (mut cut, mut last_comma) = (None, None);
    let mut members = Members::open(&mut reader).ok()?;
    while let Some(member) = members.next().ok()? {
        if cut.is_none() && key_is(bytes.get(member.key.clone())?, OVERLAY_KEY) {
            cut = Some(match (member.comma, last_comma) {
                (Some(comma), _) => member.key.start - 1..comma + 1,
                (None, Some(comma)) => comma..member.value.end,
                (None, None) => member.key.start - 1..member.value.end,
            });
        }
        last_comma = member.comma;
    }
    let (open, close) = members.braces();
    let cut = cut?;
    let before = bytes.get(open + 1..cut.start)?.trim_ascii();
    let after = bytes.get(cut.end..close)?.trim_ascii();
    Some((before, after))
}

/// `checksum.hash.sha1` of a checked payload, as 20 bytes; `None` when it is not there as 40 lowercase
/// hexadecimal digits, unescaped, under three nested keys.
#[must_use]
pub fn sha1(bytes: &[u8]) -> Option<[u8; 20]> {
    let hash = member(member(bytes, b"checksum")?, b"hash")?;
    let digits = member(hash, b"sha1")?
        .strip_prefix(b"\"")?
        .strip_suffix(b"\"")?;
    decode_sha1(digits)
}

/// 40 lowercase hexadecimal digits as 20 bytes.
#[must_use]
pub fn decode_sha1(digits: &[u8]) -> Option<[u8; 20]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut sum = [0; 20];
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != sum.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in sum.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(sum)
}

/// The value of a member of an object whose key stands there unescaped.
fn member<'a>(bytes: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let mut reader = Reader::new(bytes);
    let mut members = Members::open(&mut reader).ok()?;
    while let Some(member) = members.next().ok()? {
        if bytes.get(member.key)? == key {
            return bytes.get(member.value);
        }
    }
    None
}

#[cfg(test)]
pub(super) mod tests;
