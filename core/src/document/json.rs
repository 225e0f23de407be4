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

use std::collections::BTreeSet;
use std::ops::Range;

use super::Flaw;

/// How deep a document may nest; the document itself is the first level.
pub const DEPTH_MAX: u32 = 20;

/// The key of the manager-owned fields.
const OVERLAY_KEY: &[u8] = b"wazuh";

/// So many keys at the top are compared in place; documents with more of them are looked through again.
const KEYS_IN_PLACE: usize = 32;

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
    Ok(Shape { has_line_break: reader.line_break, has_overlay: keys.has_overlay })
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
    let digits = member(hash, b"sha1")?.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
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

/// The keys at the top of a document, as they come.
struct Keys<'a> {
    text: &'a str,
    seen: [(u32, u32); KEYS_IN_PLACE],
    count: usize,
    /// One bit for the look of each key: a clear bit says that no earlier key is equal.
    looks: u64,
    /// A key so far has an escape: its look says nothing.
    has_escape: bool,
    has_overlay: bool,
}

impl<'a> Keys<'a> {
    const fn new(text: &'a str) -> Self {
        Self {
            text,
            seen: [(0, 0); KEYS_IN_PLACE],
            count: 0,
            looks: 0,
            has_escape: false,
            has_overlay: false,
        }
    }

    fn add(&mut self, key: Key) -> Result<(), Flaw> {
        let raw = self.text.as_bytes().get(key.range.clone()).unwrap_or_default();
        let escaped = key.has_escape;
        let first = raw.first().copied().unwrap_or(0);
        if first == OVERLAY_KEY[0] || escaped {
            if key_is(raw, OVERLAY_KEY) {
                if self.has_overlay {
                    return Err(Flaw::DuplicateKey);
                }
                self.has_overlay = true;
            } else if key_begins(raw, b"wazuh.") {
                return Err(Flaw::DottedOverlay);
            }
        }
        let last = raw.last().copied().unwrap_or(0);
        // Length, first and last byte tell most keys of a document apart.
        let look = 1_u64
            << ((raw.len() as u64 * 5 + u64::from(first) * 7 + u64::from(last) * 11) & 63);
        self.has_escape |= escaped;
        if self.looks & look != 0 || self.has_escape {
            let duplicate = self.seen.iter().take(self.count).any(|(start, end)| {
                let other =
                    self.text.as_bytes().get(*start as usize..*end as usize).unwrap_or_default();
                if self.has_escape { decoded(raw).eq(decoded(other)) } else { raw == other }
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
fn has_duplicates(text: &str) -> Result<bool, Flaw> {
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
fn key_is(raw: &[u8], name: &[u8]) -> bool {
    raw == name
        || (raw.contains(&b'\\') && decoded(raw).eq(name.iter().map(|byte| u32::from(*byte))))
}

fn key_begins(raw: &[u8], start: &[u8]) -> bool {
    raw.starts_with(start)
        || (raw.contains(&b'\\')
            && decoded(raw).take(start.len()).eq(start.iter().map(|byte| u32::from(*byte))))
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
                if (0xD800..0xDC00).contains(&code) && raw.get(at..at + 2) == Some(b"\\u") {
                    if let Some(low) =
                        hex4(raw, at + 2).filter(|low| (0xDC00..0xE000).contains(low))
                    {
                        code = 0x1_0000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                        at += 6;
                    }
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
    if byte < 0x80 { byte as u32 } else { byte as u32 | 0x1000_0000 }
}

fn hex4(raw: &[u8], at: usize) -> Option<u32> {
    let digits = std::str::from_utf8(raw.get(at..at + 4)?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

/// A key: the bytes between its quotes.
struct Key {
    range: Range<usize>,
    has_escape: bool,
}

/// A member of an object.
struct Member {
    /// The bytes between the key's quotes.
    key: Range<usize>,
    /// The value's bytes.
    value: Range<usize>,
    /// The comma behind it.
    comma: Option<usize>,
}

/// Walks the members of an object that was checked before.
struct Members<'r, 'a> {
    reader: &'r mut Reader<'a>,
    open: usize,
    close: Option<usize>,
}

impl<'r, 'a> Members<'r, 'a> {
    fn open(reader: &'r mut Reader<'a>) -> Result<Self, Flaw> {
        reader.space();
        let open = reader.at;
        reader.expect(b'{')?;
        reader.space();
        let mut close = None;
        if reader.peek() == Some(b'}') {
            close = Some(reader.at);
        }
        Ok(Self { reader, open, close })
    }

    fn next(&mut self) -> Result<Option<Member>, Flaw> {
        if self.close.is_some() {
            return Ok(None);
        }
        let key = self.reader.key()?.range;
        let start = self.reader.at;
        self.reader.value(1)?;
        let value = start..self.reader.at;
        self.reader.space();
        let at = self.reader.at;
        match self.reader.take() {
            Some(b',') => {
                self.reader.space();
                Ok(Some(Member { key, value, comma: Some(at) }))
            }
            Some(b'}') => {
                self.close = Some(at);
                Ok(Some(Member { key, value, comma: None }))
            }
            _ => Err(Flaw::NotJson),
        }
    }

    /// Where the braces stand; meaningful once all members were walked.
    fn braces(&self) -> (usize, usize) {
        (self.open, self.close.unwrap_or(self.reader.at))
    }
}

/// Reads JSON and keeps nothing.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    line_break: bool,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

impl<'a> Reader<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, line_break: false }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn expect(&mut self, wanted: u8) -> Result<(), Flaw> {
        if self.peek() == Some(wanted) {
            self.at += 1;
            Ok(())
        } else {
            Err(Flaw::NotJson)
        }
    }

    #[inline]
    fn space(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' => {}
                b'\n' | b'\r' => self.line_break = true,
                _ => return,
            }
            self.at += 1;
        }
    }

    /// The whole document: an object, with `on_key` called for each of its keys.
    fn object(&mut self, mut on_key: impl FnMut(Key) -> Result<(), Flaw>) -> Result<(), Flaw> {
        self.space();
        match self.take() {
            Some(b'{') => {}
            Some(_) => return Err(Flaw::NotObject),
            None => return Err(Flaw::NotJson),
        }
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                let key = self.key()?;
                on_key(key)?;
                self.value(1)?;
                self.space();
                match self.take() {
                    Some(b',') => self.space(),
                    Some(b'}') => break,
                    _ => return Err(Flaw::NotJson),
                }
            }
        }
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { Err(Flaw::NotJson) }
    }

    /// A key, its colon, and the space up to its value.
    #[inline]
    fn key(&mut self) -> Result<Key, Flaw> {
        self.expect(b'"')?;
        let start = self.at;
        let has_escape = self.string()?;
        let range = start..self.at - 1;
        self.space();
        self.expect(b':')?;
        self.space();
        Ok(Key { range, has_escape })
    }

    /// A value inside `depth` levels, without recursion: a bit for each level says whether it is an object.
    fn value(&mut self, depth: u32) -> Result<(), Flaw> {
        let (mut level, mut objects) = (depth, 0_u32);
        loop {
            match self.peek().ok_or(Flaw::NotJson)? {
                b'"' => {
                    self.at += 1;
                    self.string()?;
                }
                open @ (b'{' | b'[') => {
                    self.at += 1;
                    if level >= DEPTH_MAX {
                        return Err(Flaw::TooDeep);
                    }
                    level += 1;
                    let is_object = open == b'{';
                    objects = objects << 1 | u32::from(is_object);
                    self.space();
                    if self.peek() != Some(if is_object { b'}' } else { b']' }) {
                        if is_object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'n' => self.literal(b"null")?,
                _ => return Err(Flaw::NotJson),
            }
            // Behind a value: close levels until one goes on.
            loop {
                if level == depth {
                    return Ok(());
                }
                self.space();
                let is_object = objects & 1 == 1;
                match self.take() {
                    Some(b',') => {
                        self.space();
                        if is_object {
                            self.key()?;
                        }
                        break;
                    }
                    Some(b'}') if is_object => {}
                    Some(b']') if !is_object => {}
                    _ => return Err(Flaw::NotJson),
                }
                level -= 1;
                objects >>= 1;
            }
        }
    }

    /// The rest of a string whose opening quote is behind us. Says whether it has an escape.
    #[inline]
    fn string(&mut self) -> Result<bool, Flaw> {
        let mut has_escape = false;
        loop {
            while let Some(eight) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
                let word = u64::from_le_bytes(*eight);
                let quote = word ^ (ONES * b'"' as u64);
                let slash = word ^ (ONES * b'\\' as u64);
                // Each term has the high bit of the bytes that are 0, or below 0x20; borrows spoil only
                // what lies above a true hit, so the lowest hit is exact.
                let hits = (quote.wrapping_sub(ONES) & !quote
                    | slash.wrapping_sub(ONES) & !slash
                    | word.wrapping_sub(ONES * 0x20) & !word)
                    & HIGHS;
                if hits != 0 {
                    self.at += (hits.trailing_zeros() / 8) as usize;
                    break;
                }
                self.at += 8;
            }
            match self.take().ok_or(Flaw::NotJson)? {
                b'"' => return Ok(has_escape),
                b'\\' => {
                    has_escape = true;
                    match self.take().ok_or(Flaw::NotJson)? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => {
                            let digits =
                                self.bytes.get(self.at..self.at + 4).ok_or(Flaw::NotJson)?;
                            if !digits.iter().all(u8::is_ascii_hexdigit) {
                                return Err(Flaw::NotJson);
                            }
                            self.at += 4;
                        }
                        _ => return Err(Flaw::NotJson),
                    }
                }
                0..0x20 => return Err(Flaw::NotJson),
                _ => {}
            }
        }
    }

    fn number(&mut self) -> Result<(), Flaw> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.take() {
            Some(b'0') => {}
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(Flaw::NotJson),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(())
    }

    fn some_digits(&mut self) -> Result<(), Flaw> {
        match self.take() {
            Some(b'0'..=b'9') => {
                self.digits();
                Ok(())
            }
            _ => Err(Flaw::NotJson),
        }
    }

    #[inline]
    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn literal(&mut self, word: &[u8]) -> Result<(), Flaw> {
        if self.bytes.get(self.at..self.at + word.len()) == Some(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(Flaw::NotJson)
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
