//! Bytes as choices.

/// A cursor over bytes. Each choice uses up a byte or a few; when none is left, every choice is the first
/// one, so that an input cut short is still an input.
#[derive(Debug, Clone)]
pub struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    /// Over these bytes.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether all bytes are used up.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((first, rest)) => {
                self.rest = rest;
                *first
            }
            None => 0,
        }
    }

    /// The next two bytes, the low one first.
    pub fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// In `0..bound`, for a bound of at most 256.
    pub fn below(&mut self, bound: u8) -> u8 {
        self.byte().checked_rem(bound).unwrap_or(0)
    }

    /// Whether the one case in `of` that is rare has come; the case without bytes is the frequent one.
    pub fn rarely(&mut self, of: u8) -> bool {
        self.below(of) == of - 1
    }

    /// One of these, the first one without bytes.
    ///
    /// # Panics
    /// When there is nothing to choose from.
    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        assert!(!from.is_empty(), "nothing to choose from");
        &from[usize::from(self.byte()) % from.len()]
    }

    /// A place in a list of that length; `None` for an empty one.
    pub fn place(&mut self, len: usize) -> Option<usize> {
        usize::from(self.byte()).checked_rem(len)
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }
}
