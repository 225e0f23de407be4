//! JSON as the Indexer keeps it: order preserved, numbers as they were written, duplicate names refused.
//!
//! The tree exists because an answer must keep the order of its members (`errors` comes before `items`), must
//! carry stored sources byte for byte, and because the model computes without floating point: a number keeps its
//! text and is compared as a decimal.

use std::fmt;
use std::sync::Arc;

/// Deepest nesting that is read; deeper text is refused, as the recursion must be bounded.
pub const DEPTH_MAX: usize = 100;

/// One JSON value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it was written.
    Number(String),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object, in the order of its text; names are unique.
    Object(Vec<(String, Json)>),
    /// Text that is JSON already (a stored source), printed as it is.
    Raw(Arc<[u8]>),
}

/// Why a text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonErrorKind {
    /// The text ends in the middle of a value.
    EndOfInput,
    /// A character that cannot stand where it stands.
    Unexpected,
    /// One object has the same name twice.
    DuplicateName,
    /// More than [`DEPTH_MAX`] levels.
    TooDeep,
}

/// A text that is not JSON: what is wrong, and the byte at which it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// What is wrong.
    pub kind: JsonErrorKind,
    /// Position in bytes from the start.
    pub offset: usize,
    /// The name that occurs twice, or the text that was not expected.
    pub detail: String,
}

impl fmt::Display for JsonError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            JsonErrorKind::EndOfInput => write!(out, "Unexpected end-of-input")?,
            JsonErrorKind::Unexpected => write!(out, "Unexpected character ({})", self.detail)?,
            JsonErrorKind::DuplicateName => write!(out, "Duplicate field '{}'", self.detail)?,
            JsonErrorKind::TooDeep => write!(out, "nesting deeper than {DEPTH_MAX}")?,
        }
        write!(out, " at byte {}", self.offset)
    }
}

impl std::error::Error for JsonError {}

impl Json {
    /// An object of these members.
    pub fn object<const N: usize>(members: [(&str, Json); N]) -> Json {
        Json::Object(
            members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    /// A string.
    pub fn text(value: impl Into<String>) -> Json {
        Json::String(value.into())
    }

    /// An integer.
    pub fn int(value: impl Into<i128>) -> Json {
        Json::Number(value.into().to_string())
    }

    /// A count.
    pub fn count(value: usize) -> Json {
        Json::Number(value.to_string())
    }

    /// The member of this name, when this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.members()?
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// The members, when this is an object.
    pub fn members(&self) -> Option<&[(String, Json)]> {
        match self {
            Json::Object(members) => Some(members),
            Json::Null
            | Json::Bool(_)
            | Json::Number(_)
            | Json::String(_)
            | Json::Array(_)
            | Json::Raw(_) => None,
        }
    }

    /// The elements, when this is an array.
    pub fn elements(&self) -> Option<&[Json]> {
        if let Json::Array(elements) = self {
            Some(elements)
        } else {
            None
        }
    }

    /// The text, when this is a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Json::String(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The boolean, when this is one; `"true"` and `"false"` count, as the server takes both.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Json::Bool(value) => Some(*value),
            Json::String(text) if text == "true" => Some(true),
            Json::String(text) if text == "false" => Some(false),
            _ => None,
        }
    }

    /// The integer, when this is a number without fraction or a string of digits.
    pub fn as_int(&self) -> Option<i128> {
        match self {
            Json::Number(text) | Json::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// A scalar as plain text (a string without its quotes); nothing for `null`, arrays and objects.
    pub fn scalar_text(&self) -> Option<String> {
        match self {
            Json::Bool(value) => Some(value.to_string()),
            Json::Number(text) | Json::String(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// The value with raw text read, so that it can be looked into.
    ///
    /// # Errors
    /// When a raw part is not JSON.
    pub fn read_raw(self) -> Result<Json, JsonError> {
        if let Json::Raw(bytes) = self {
            parse(&bytes)
        } else {
            Ok(self)
        }
    }

    /// Appends the compact text of this value.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Json::Null => out.extend_from_slice(b"null"),
            Json::Bool(true) => out.extend_from_slice(b"true"),
            Json::Bool(false) => out.extend_from_slice(b"false"),
            Json::Number(text) => out.extend_from_slice(text.as_bytes()),
            Json::String(text) => write_string(text, out),
            Json::Raw(bytes) => out.extend_from_slice(bytes),
            Json::Array(elements) => {
                out.push(b'[');
                for (position, element) in elements.iter().enumerate() {
                    if position > 0 {
                        out.push(b',');
                    }
                    element.write(out);
                }
                out.push(b']');
            }
            Json::Object(members) => {
                out.push(b'{');
                for (position, (name, value)) in members.iter().enumerate() {
                    if position > 0 {
                        out.push(b',');
                    }
                    write_string(name, out);
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// The compact text of this value.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            control if u32::from(control) < 0x20 => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes());
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

/// Reads one JSON value; only white space may follow it.
///
/// # Errors
/// [`JsonError`] with the first fault of the text.
pub fn parse(text: &[u8]) -> Result<Json, JsonError> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.skip_space();
    if reader.at < text.len() {
        Err(reader.unexpected())
    } else {
        Ok(value)
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn error(&self, kind: JsonErrorKind, detail: impl Into<String>) -> JsonError {
        JsonError {
            kind,
            offset: self.at,
            detail: detail.into(),
        }
    }

    fn unexpected(&self) -> JsonError {
        match self.text.get(self.at) {
            Some(byte) => self.error(
                JsonErrorKind::Unexpected,
                format!("'{}' (code {byte})", byte.escape_ascii()),
            ),
            None => self.error(JsonErrorKind::EndOfInput, ""),
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.text.get(self.at) == Some(&byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn word(&mut self, word: &[u8], value: Json) -> Result<Json, JsonError> {
        for byte in word {
            self.expect(*byte)?;
        }
        Ok(value)
    }

    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        if depth > DEPTH_MAX {
            return Err(self.error(JsonErrorKind::TooDeep, ""));
        }
        self.skip_space();
        match self.text.get(self.at) {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Json::String),
            Some(b't') => self.word(b"true", Json::Bool(true)),
            Some(b'f') => self.word(b"false", Json::Bool(false)),
            Some(b'n') => self.word(b"null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected()),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut members: Vec<(String, Json)> = Vec::new();
        self.skip_space();
        if self.text.get(self.at) == Some(&b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            self.skip_space();
            let name = self.string()?;
            if members.iter().any(|(known, _)| *known == name) {
                return Err(self.error(JsonErrorKind::DuplicateName, name));
            }
            self.skip_space();
            self.expect(b':')?;
            let value = self.value(depth + 1)?;
            members.push((name, value));
            self.skip_space();
            if self.text.get(self.at) == Some(&b',') {
                self.at += 1;
            } else {
                self.expect(b'}')?;
                return Ok(Json::Object(members));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut elements = Vec::new();
        self.skip_space();
        if self.text.get(self.at) == Some(&b']') {
            self.at += 1;
            return Ok(Json::Array(elements));
        }
        loop {
            elements.push(self.value(depth + 1)?);
            self.skip_space();
            if self.text.get(self.at) == Some(&b',') {
                self.at += 1;
            } else {
                self.expect(b']')?;
                return Ok(Json::Array(elements));
            }
        }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !matches!(self.text.get(self.at), Some(b'0'..=b'9')) {
            return Err(self.unexpected());
        }
        while matches!(self.text.get(self.at), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start = self.at;
        if self.text[self.at] == b'-' {
            self.at += 1;
        }
        if self.text.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Json::Number(
            String::from_utf8_lossy(&self.text[start..self.at]).into_owned(),
        ))
    }

    fn string(&mut self) -> Result<String, JsonError> {
        let start = self.at;
        self.expect(b'"')?;
        let mut plain = true;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    plain = false;
                    self.at += 2;
                }
                Some(0..=0x1f) | None => return Err(self.unexpected()),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        let quoted = &self.text[start..self.at];
        if plain {
            let inside = &quoted[1..quoted.len() - 1];
            if let Ok(text) = std::str::from_utf8(inside) {
                return Ok(text.to_owned());
            }
        } else if let Ok(text) = serde_json::from_slice(quoted) {
            return Ok(text);
        }
        self.at = start;
        Err(self.unexpected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn order_numbers_and_escapes_survive() {
        let text = br#"{"b":1.50,"a":[null,true,{"x":"\u00e9\n\"\\"}],"n":-0,"big":18446744073709551616,"e":{}}"#;
        let value = parse(text).unwrap();
        assert_eq!(
            String::from_utf8(value.to_bytes()).unwrap(),
            "{\"b\":1.50,\"a\":[null,true,{\"x\":\"é\\n\\\"\\\\\"}],\"n\":-0,\"big\":18446744073709551616,\"e\":{}}"
        );
    }

    #[test]
    fn faults_have_their_kind() {
        let kind = |text: &str| parse(text.as_bytes()).unwrap_err().kind;
        assert_eq!(kind("{\"name\":"), JsonErrorKind::EndOfInput);
        assert_eq!(kind("{\"a\":1,\"a\":2}"), JsonErrorKind::DuplicateName);
        assert_eq!(kind("{bad"), JsonErrorKind::Unexpected);
        assert_eq!(kind("1 2"), JsonErrorKind::Unexpected);
        assert_eq!(kind("01"), JsonErrorKind::Unexpected);
        assert_eq!(kind("\"\\ud800\""), JsonErrorKind::Unexpected);
        assert_eq!(kind(&"[".repeat(DEPTH_MAX + 2)), JsonErrorKind::TooDeep);
        assert_eq!(
            parse(b"\"\xff\"").unwrap_err().kind,
            JsonErrorKind::Unexpected
        );
    }

    proptest! {
        /// What the reader takes and refuses is what an independent reader takes and refuses.
        #[test]
        fn agrees_with_serde_json(text in r#"[ \[\]{}:,"a0-9.eE+\\n-]{0,24}"#) {
            let ours = parse(text.as_bytes());
            let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text);
            match (ours, theirs) {
                (Ok(_), Ok(_)) | (Err(_), Err(_)) => {}
                (Err(error), Ok(_)) => prop_assert_eq!(error.kind, JsonErrorKind::DuplicateName),
                (Ok(_), Err(error)) => prop_assert!(false, "{text}: {error}"),
            }
        }
    }
}
