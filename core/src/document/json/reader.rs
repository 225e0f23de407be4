//! Reads JSON and keeps nothing: validation and places, without recursion.

use std::ops::Range;

use super::super::Flaw;
use super::DEPTH_MAX;

/// A key: the bytes between its quotes.
pub(super) struct Key {
    pub(super) range: Range<usize>,
    pub(super) has_escape: bool,
}

/// A member of an object.
pub(super) struct Member {
    /// The bytes between the key's quotes.
    pub(super) key: Range<usize>,
    /// The value's bytes.
    pub(super) value: Range<usize>,
    /// The comma behind it.
    pub(super) comma: Option<usize>,
}

/// Walks the members of an object that was checked before.
pub(super) struct Members<'r, 'a> {
    reader: &'r mut Reader<'a>,
    open: usize,
    close: Option<usize>,
}

impl<'r, 'a> Members<'r, 'a> {
    pub(super) fn open(reader: &'r mut Reader<'a>) -> Result<Self, Flaw> {
        reader.space();
        let open = reader.at;
        reader.expect(b'{')?;
        reader.space();
        let mut close = None;
        if reader.peek() == Some(b'}') {
            close = Some(reader.at);
        }
        Ok(Self {
            reader,
            open,
            close,
        })
    }

    pub(super) fn next(&mut self) -> Result<Option<Member>, Flaw> {
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
                Ok(Some(Member {
                    key,
                    value,
                    comma: Some(at),
                }))
            }
            Some(b'}') => {
                self.close = Some(at);
                Ok(Some(Member {
                    key,
                    value,
                    comma: None,
                }))
            }
            _ => Err(Flaw::NotJson),
        }
    }

    /// Where the braces stand; meaningful once all members were walked.
    pub(super) fn braces(&self) -> (usize, usize) {
        (self.open, self.close.unwrap_or(self.reader.at))
    }
}

/// Reads JSON and keeps nothing.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) line_break: bool,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            line_break: false,
        }
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
    pub(super) fn object(
        &mut self,
        mut on_key: impl FnMut(Key) -> Result<(), Flaw>,
    ) -> Result<(), Flaw> {
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
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(Flaw::NotJson)
        }
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
        self.at = string_end(self.bytes, self.at, &mut has_escape).ok_or(Flaw::NotJson)?;
        Ok(has_escape)
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

/// The place behind the closing quote of a string whose inside begins at `at`.
fn string_end(bytes: &[u8], mut at: usize, has_escape: &mut bool) -> Option<usize> {
    loop {
        let byte = loop {
            if let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
                let word = u64::from_le_bytes(*eight);
                // Flipping bit 1 puts the quote (0x22) right above the control characters (below 0x20),
                // so that one comparison finds both. Each term has the high bit of the bytes that it
                // finds; borrows spoil only what lies above a true hit: the lowest one is exact.
                let low = word ^ (ONES * 2);
                let slash = word ^ (ONES * b'\\' as u64);
                let hits = (low.wrapping_sub(ONES * 0x21) & !low
                    | slash.wrapping_sub(ONES) & !slash)
                    & HIGHS;
                if hits == 0 {
                    at += 8;
                    continue;
                }
                let place = hits.trailing_zeros() & !7;
                at += (place >> 3) as usize;
                break (word >> place) as u8;
            }
            match *bytes.get(at)? {
                plain if plain >= 0x20 && plain != b'"' && plain != b'\\' => at += 1,
                special => break special,
            }
        };
        at += 1;
        match byte {
            b'"' => return Some(at),
            b'\\' => {
                *has_escape = true;
                match *bytes.get(at)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 1,
                    b'u' if bytes.get(at + 1..at + 5)?.iter().all(u8::is_ascii_hexdigit) => at += 5,
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
}
