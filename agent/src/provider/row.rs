//! Rows as the sources answer them: canonical before anything compares or hashes them.
//!
//! A value enters a [`Row`] only through a constructor that makes it canonical: UTF-8 (invalid sequences
//! replaced by U+FFFD), trimmed, bounded. So two scans of an unchanged system give equal rows, whatever
//! bytes the system holds.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Unknown text: one space, the convention of the id and checksum vectors. It takes part in ids and
/// checksums as it is and becomes null in a document, as empty text does.
pub const UNKNOWN: &str = " ";

/// Longest text of one column, in bytes; longer text is cut at a character and the row says so. The
/// Indexer does not index keywords beyond 1024 characters anyway.
pub const MAX_TEXT_BYTES: usize = 8 * 1024;

/// Longest sum of a list's items, in bytes; items beyond are left out and the row says so. It keeps a
/// document of the largest group below one frame of 64 KiB.
pub const MAX_LIST_BYTES: usize = 32 * 1024;

/// The value of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number, also for flags (0 and 1).
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// Several texts in one column; an array in the document.
    List {
        /// The texts, in the order of the document.
        items: Vec<String>,
        /// What the stored column joins them with.
        separator: char,
    },
}

impl Value {
    /// The text that the column stores, and that ids and checksums see. Separators and `\` inside the
    /// items of a list are escaped by `\`, so that different lists are different texts; where no item has
    /// one, this is the plain joined text.
    #[must_use]
    pub fn stored_text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Integer(number) => Cow::Owned(number.to_string()),
            Self::Real(number) => Cow::Owned(format!("{number:?}")),
            Self::List { items, separator } => {
                let mut joined = String::new();
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        joined.push(*separator);
                    }
                    for c in item.chars() {
                        if c == *separator || c == '\\' {
                            joined.push('\\');
                        }
                        joined.push(c);
                    }
                }
                Cow::Owned(joined)
            }
        }
    }
}

/// One entity of a category: canonical values by column name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    values: BTreeMap<&'static str, Value>,
    cut: Vec<&'static str>,
}

impl Row {
    /// A row without values.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a text column from bytes of the system: invalid UTF-8 is replaced, the ends are trimmed (but
    /// [`UNKNOWN`] stays), and what is longer than [`MAX_TEXT_BYTES`] is cut.
    #[must_use]
    pub fn text(mut self, column: &'static str, bytes: impl AsRef<[u8]>) -> Self {
        let (text, cut) = canonical(bytes.as_ref(), MAX_TEXT_BYTES);
        if cut {
            self.cut.push(column);
        }
        self.values.insert(column, Value::Text(text));
        self
    }

    /// Sets a text column, or [`UNKNOWN`] where the source has nothing for it.
    #[must_use]
    pub fn text_or_unknown(self, column: &'static str, bytes: Option<impl AsRef<[u8]>>) -> Self {
        match bytes {
            Some(bytes) if !bytes.as_ref().trim_ascii().is_empty() => self.text(column, bytes),
            _ => self.text(column, UNKNOWN),
        }
    }

    /// Sets a whole number.
    #[must_use]
    pub fn integer(mut self, column: &'static str, number: i64) -> Self {
        self.values.insert(column, Value::Integer(number));
        self
    }

    /// Sets a whole number, or leaves the column without value (null) where the source has none.
    #[must_use]
    pub fn integer_if(self, column: &'static str, number: Option<i64>) -> Self {
        match number {
            Some(number) => self.integer(column, number),
            None => self,
        }
    }

    /// Sets a number with a fraction.
    #[must_use]
    pub fn real(mut self, column: &'static str, number: f64) -> Self {
        self.values.insert(column, Value::Real(number));
        self
    }

    /// Sets a list. Empty items are left out; an empty list is stored as `empty`.
    #[must_use]
    pub fn list<I>(mut self, column: &'static str, items: I, separator: char, empty: &str) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let mut kept = Vec::new();
        let mut bytes = 0;
        for item in items {
            let (text, cut) = canonical(item.as_ref(), MAX_TEXT_BYTES);
            if text.trim().is_empty() {
                continue;
            }
            bytes += text.len();
            let full = bytes > MAX_LIST_BYTES;
            if (cut || full) && !self.cut.contains(&column) {
                self.cut.push(column);
            }
            if full {
                break;
            }
            kept.push(text);
        }
        let value = if kept.is_empty() {
            Value::Text(empty.into())
        } else {
            Value::List {
                items: kept,
                separator,
            }
        };
        self.values.insert(column, value);
        self
    }

    /// The value of a column.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.values.get(column)
    }

    /// All values, ordered by column name (bytewise: the order of the checksum).
    pub fn values(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.values.iter().map(|(column, value)| (*column, value))
    }

    /// The columns whose text was cut at a bound.
    #[must_use]
    pub fn cut(&self) -> &[&'static str] {
        &self.cut
    }
}

/// Canonical text and whether it was cut at `limit` bytes.
fn canonical(bytes: &[u8], limit: usize) -> (String, bool) {
    if bytes == UNKNOWN.as_bytes() {
        return (UNKNOWN.into(), false);
    }
    // Bounding the bytes first keeps a hostile command line of megabytes from being copied. Replacement
    // characters are longer than what they replace, hence the second bound below.
    let trimmed = bytes.trim_ascii();
    let bounded = &trimmed[..trimmed.len().min(limit + 4)];
    let text = String::from_utf8_lossy(bounded);
    if trimmed.len() <= limit && text.len() <= limit {
        return (text.into_owned(), false);
    }
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (text[..end].trim_ascii_end().to_owned(), true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(bytes: &[u8]) -> String {
        let row = Row::new().text("c", bytes);
        match row.get("c") {
            Some(Value::Text(text)) => text.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn text_is_trimmed_but_unknown_stays() {
        assert_eq!(text(b"  a b\t\n"), "a b");
        assert_eq!(text(b" "), " ");
        assert_eq!(text(b"  "), "");
        assert_eq!(text(b""), "");
    }

    #[test]
    fn invalid_utf8_costs_its_bytes_only() {
        assert_eq!(text(b"caf\xe9 au lait"), "caf\u{fffd} au lait");
    }

    #[test]
    fn long_text_is_cut_at_a_character_and_the_row_says_so() {
        let long = "é".repeat(MAX_TEXT_BYTES);
        let row = Row::new().text("c", long.as_bytes()).text("d", "short");
        let Some(Value::Text(cut)) = row.get("c") else {
            panic!("no text");
        };
        assert_eq!(cut.len(), MAX_TEXT_BYTES);
        assert!(cut.chars().all(|c| c == 'é'));
        assert_eq!(row.cut(), ["c"]);
    }

    #[test]
    fn replacement_characters_do_not_exceed_the_bound() {
        let row = Row::new().text("c", vec![0xff_u8; MAX_TEXT_BYTES]);
        let Some(Value::Text(cut)) = row.get("c") else {
            panic!("no text");
        };
        assert!(cut.len() <= MAX_TEXT_BYTES);
        assert_eq!(row.cut(), ["c"]);
    }

    #[test]
    fn a_list_beyond_its_bound_says_so() {
        let items = vec!["x".repeat(1000); 40];
        let row = Row::new().list("c", &items, ':', UNKNOWN);
        let Some(Value::List { items, .. }) = row.get("c") else {
            panic!("no list");
        };
        assert_eq!(items.len(), MAX_LIST_BYTES / 1000);
        assert_eq!(row.cut(), ["c"]);
    }

    #[test]
    fn plain_lists_are_stored_as_joined_text() {
        let row = Row::new()
            .list("users", ["bin", "", "vboxadd"], ':', UNKNOWN)
            .list("none", [""; 2], ':', UNKNOWN)
            .list("ip", ["::1"], ',', "");
        assert_eq!(row.get("users").unwrap().stored_text(), "bin:vboxadd");
        assert_eq!(row.get("none").unwrap().stored_text(), UNKNOWN);
        assert_eq!(row.get("ip").unwrap().stored_text(), "::1");
    }

    proptest! {
        #[test]
        fn different_lists_are_stored_as_different_texts(
            a in prop::collection::vec("[ab \\\\]{1,4}", 1..4),
            b in prop::collection::vec("[ab \\\\]{1,4}", 1..4),
        ) {
            let stored = |items: &[String]| {
                let list = Value::List { items: items.to_vec(), separator: ' ' };
                list.stored_text().into_owned()
            };
            if a != b {
                prop_assert_ne!(stored(&a), stored(&b));
            }
        }

        #[test]
        fn canonical_text_is_a_fixed_point(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let once = text(&bytes);
            prop_assert_eq!(text(once.as_bytes()), once);
        }
    }
}
