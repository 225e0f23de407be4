//! What agents hold: documents named by small numbers, whose bytes follow from those numbers, so that the
//! oracles can tell from stored bytes what they are.

use std::collections::BTreeMap;
use std::fmt;

use inventory_sync_core::id::{AgentId, IndexId};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::odd_json::{MANY_KEYS, ODD_MEMBERS};
use crate::streams::mix;

/// A document of an agent: agent, index and number in one word, so that the documents of an agent's index
/// are neighbours in an ordered map.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocKey(u64);

impl DocKey {
    /// The document of an agent in an index.
    #[must_use]
    pub fn new(agent: AgentId, index: IndexId, number: u32) -> Self {
        debug_assert!(
            agent.0 <= u64::from(u16::MAX),
            "the simulated fleet is small"
        );
        Self(agent.0 << 48 | u64::from(index.0) << 32 | u64::from(number))
    }

    /// Its agent.
    #[must_use]
    pub const fn agent(self) -> AgentId {
        AgentId(self.0 >> 48)
    }

    /// Its index.
    #[must_use]
    pub const fn index(self) -> IndexId {
        let bytes = self.0.to_be_bytes();
        IndexId(u16::from_be_bytes([bytes[2], bytes[3]]))
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        let bytes = self.0.to_be_bytes();
        u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]])
    }

    /// All documents that an agent can have in an index.
    #[must_use]
    pub fn all_of(agent: AgentId, index: IndexId) -> std::ops::RangeInclusive<Self> {
        Self::new(agent, index, 0)..=Self::new(agent, index, u32::MAX)
    }

    /// The id under which the agent offers it. Some need escapes in JSON, some are not ASCII.
    #[must_use]
    pub fn id(self) -> String {
        let number = self.number();
        let name = match number % 4 {
            0 => "d#",
            1 => "pkg:é\u{1f9ed}#",
            2 => "a \"b\" \\c/#",
            _ => "_x.\u{1}\u{1f}z#",
        };
        let mut text = name.as_bytes().to_vec();
        write_number(&mut text, u64::from(number), 1);
        String::from_utf8(text).unwrap_or_default()
    }

    /// Reads the `_id` of a stored document.
    ///
    /// # Errors
    /// A sentence, when it is no id that a document of this world can have.
    pub fn of_stored(cluster: &str, index: IndexId, stored_id: &str) -> Result<Self, String> {
        let strange = || format!("_id {stored_id:?} is no document of this world");
        let (agent, id) = stored_id
            .strip_prefix(cluster)
            .and_then(|rest| rest.strip_prefix('_'))
            .and_then(|rest| rest.split_once('_'))
            .ok_or_else(strange)?;
        let (_, number) = id.rsplit_once('#').ok_or_else(strange)?;
        let agent_number: u64 = agent.parse().map_err(|_| strange())?;
        let key = Self::new(
            AgentId(agent_number),
            index,
            number.parse().map_err(|_| strange())?,
        );
        let mut agent_digits = Vec::with_capacity(8);
        write_number(&mut agent_digits, agent_number, 3);
        if key.id() != id || agent_digits != agent.as_bytes() {
            return Err(strange());
        }
        Ok(key)
    }
}

impl fmt::Debug for DocKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "agent {} index {} document {}",
            self.agent(),
            self.index(),
            self.number()
        )
    }
}

/// What a document says: a number that occurs in its bytes. Equal numbers, equal bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Content(pub u64);

/// The oddities that a payload may have and that change how it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    LineBreaks,
    OwnOverlayFirst,
    OwnOverlayEscaped,
    ChecksumInArray,
    OddMember,
    ManyKeys,
}

impl Content {
    /// What someone else writes is marked in its number: no agent's content comes so far.
    const FOREIGN: u64 = 1 << 52;

    /// The content of that number that someone else writes.
    #[must_use]
    pub(crate) fn foreign(number: u64) -> Self {
        Self(Self::FOREIGN | number).plain()
    }

    /// Whether someone else wrote it.
    #[must_use]
    pub(crate) const fn is_foreign(self) -> bool {
        self.0 >> 52 == 1
    }

    fn form(self) -> Form {
        match mix(self.0) % 16 {
            0 => Form::LineBreaks,
            1 => Form::OwnOverlayFirst,
            2 => Form::OwnOverlayEscaped,
            3 => Form::ChecksumInArray,
            4 | 5 => Form::OddMember,
            6 => Form::ManyKeys,
            _ => Form::Plain,
        }
    }

    /// This content, or the next one whose payload the manager would splice as it stands.
    #[must_use]
    pub(crate) fn plain(self) -> Self {
        let mut content = self;
        while !matches!(content.form(), Form::Plain | Form::ChecksumInArray) {
            content = Self(content.0 + 1);
        }
        content
    }

    /// The checksum that stands in the payload.
    #[must_use]
    pub fn checksum(self) -> String {
        let mut text = Vec::with_capacity(40);
        self.write_checksum(&mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    fn odd_member(self) -> &'static str {
        let place = mix(self.0 ^ 11) % ODD_MEMBERS.len() as u64;
        usize::try_from(place)
            .ok()
            .and_then(|place| ODD_MEMBERS.get(place))
            .map_or("", |member| member)
    }

    fn write_checksum(self, text: &mut Vec<u8>) {
        write_hex(text, mix(self.0), 16);
        write_hex(text, mix(self.0 ^ 0x5bd1), 16);
        write_hex(text, self.0, 8);
    }

    /// The bytes that the agent offers.
    #[must_use]
    pub fn payload(self) -> Vec<u8> {
        let form = self.form();
        let (before, gap, after): (&[u8], &[u8], &[u8]) = match form {
            Form::Plain | Form::ChecksumInArray | Form::OddMember | Form::ManyKeys => {
                (b"", b"", b"")
            }
            Form::LineBreaks => (b"", b"\r\n ", b""),
            Form::OwnOverlayFirst => (br#""wazuh":{"agent":{"id":"999"}},"#, b"", b""),
            Form::OwnOverlayEscaped => (b"", b"", br#","\u0077azuh":[1,"}"]"#),
        };
        // A few documents are large, so that requests meet their limit of bytes.
        let pad = match mix(self.0 ^ 7) % 256 {
            0 | 1 => 3_000,
            short => short % 32 * 2,
        };
        let pad = usize::try_from(pad).unwrap_or(0);
        // Made for each offer and for each look at what was stored: by hand, since formatting costs ten times that.
        let mut text = Vec::with_capacity(192 + pad);
        text.push(b'{');
        text.extend_from_slice(before);
        text.extend_from_slice(b"\"checksum\":");
        let is_array = form == Form::ChecksumInArray;
        if is_array {
            // A strict mapping takes an array of objects where it knows an object.
            text.push(b'[');
        }
        text.extend_from_slice(b"{\"hash\":{\"sha1\":\"");
        self.write_checksum(&mut text);
        text.extend_from_slice(b"\"}}");
        if is_array {
            text.extend_from_slice(b",{\"hash\":{}}]");
        }
        text.push(b',');
        text.extend_from_slice(gap);
        text.extend_from_slice(b"\"n\":");
        write_number(&mut text, self.0, 1);
        text.extend_from_slice(",\"text\":\"é\\n\\\"".as_bytes());
        text.resize(text.len() + pad, b'x');
        text.push(b'"');
        match form {
            Form::OddMember => {
                text.push(b',');
                text.extend_from_slice(self.odd_member().as_bytes());
            }
            Form::ManyKeys => {
                for key in 0..MANY_KEYS {
                    text.extend_from_slice(b",\"k");
                    write_number(&mut text, key, 1);
                    text.extend_from_slice(b"\":0");
                }
            }
            _ => {}
        }
        text.extend_from_slice(after);
        text.push(b'}');
        text
    }

    /// Which content stored bytes are, compared whole; the manager's overlay is returned apart.
    ///
    /// # Errors
    /// A sentence, when the bytes are no content of this world, or not those that were offered.
    pub fn of_stored(source: &[u8]) -> Result<(Self, &[u8]), String> {
        let text = || String::from_utf8_lossy(source).into_owned();
        let content = number_in(source)
            .map(Self)
            .ok_or_else(|| format!("no content of this world: {}", text()))?;
        let overlay = overlay_of(source)
            .ok_or_else(|| format!("no member \"wazuh\" in the stored document: {}", text()))?;
        let payload = content.payload();
        let same = match content.form() {
            Form::Plain | Form::ChecksumInArray | Form::OddMember | Form::ManyKeys => {
                is_with_overlay(source, overlay.clone(), &payload)
            }
            Form::LineBreaks => {
                let spaced: Vec<u8> = payload
                    .iter()
                    .map(|byte| {
                        if matches!(byte, b'\r' | b'\n') {
                            b' '
                        } else {
                            *byte
                        }
                    })
                    .collect();
                is_with_overlay(source, overlay.clone(), &spaced)
            }
            Form::OwnOverlayFirst | Form::OwnOverlayEscaped => is_same_json(source, &payload),
        };
        if !same {
            return Err(format!(
                "stored bytes are not the agent's bytes with our overlay: stored {}, offered {}",
                text(),
                String::from_utf8_lossy(&payload)
            ));
        }
        Ok((content, &source[overlay]))
    }
}

/// The lowest digits of a number, in base 16.
fn write_hex(text: &mut Vec<u8>, number: u64, digits: u32) {
    let digit = |place: u32| {
        let [low, ..] = (number >> (4 * place)).to_le_bytes();
        b"0123456789abcdef"[usize::from(low & 0xf)]
    };
    text.extend((0..digits).rev().map(digit));
}

/// A number in base 10, with zeros before it up to so many digits.
fn write_number(text: &mut Vec<u8>, number: u64, digits: usize) {
    let begin = text.len();
    let mut rest = number;
    while rest > 0 || text.len() < begin + digits {
        let [low, ..] = (rest % 10).to_le_bytes();
        text.push(b'0' + low);
        rest /= 10;
    }
    text[begin..].reverse();
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn number_in(source: &[u8]) -> Option<u64> {
    let start = find(source, b"\"n\":")? + 4;
    let digits = source[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    std::str::from_utf8(&source[start..start + digits])
        .ok()?
        .parse()
        .ok()
}

/// Where the value of the member `wazuh` stands.
fn overlay_of(source: &[u8]) -> Option<std::ops::Range<usize>> {
    let start = find(source, b"\"wazuh\":{")? + 8;
    let mut depth = 0;
    let mut in_string = false;
    let mut escaped = false;
    for (offset, byte) in source[start..].iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' if !in_string => depth += 1,
            b'}' if !in_string => {
                depth -= 1;
                if depth == 0 {
                    return Some(start..start + offset + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Whether the source is the payload with one member added before the first or behind the last one.
fn is_with_overlay(source: &[u8], overlay: std::ops::Range<usize>, payload: &[u8]) -> bool {
    let name = overlay.start - 8;
    let (head, tail) = (&source[..name], &source[overlay.end..]);
    let first = head == b"{" && tail.strip_prefix(b",") == Some(&payload[1..]);
    let last = tail == b"}" && head.strip_suffix(b",") == Some(&payload[..payload.len() - 1]);
    first || last
}

/// Whether both hold the same members but for the overlay.
fn is_same_json(source: &[u8], payload: &[u8]) -> bool {
    same_members::<&RawValue>(source, payload, |one, other| one.get() == other.get())
        || same_members::<Value>(source, payload, |one, other| one == other)
}

fn same_members<'a, V: Deserialize<'a>>(
    source: &'a [u8],
    payload: &'a [u8],
    same: impl Fn(&V, &V) -> bool,
) -> bool {
    let read = |bytes: &'a [u8]| -> Option<BTreeMap<String, V>> {
        let mut members: BTreeMap<String, V> = serde_json::from_slice(bytes).ok()?;
        members.remove("wazuh");
        Some(members)
    };
    let (Some(stored), Some(offered)) = (read(source), read(payload)) else {
        return false;
    };
    stored.len() == offered.len()
        && stored
            .iter()
            .zip(&offered)
            .all(|((name, one), (other_name, other))| name == other_name && same(one, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_ids_are_read_back() {
        for number in 0..8 {
            let key = DocKey::new(AgentId(7), IndexId(3), number);
            assert_eq!(
                (key.agent(), key.index(), key.number()),
                (AgentId(7), IndexId(3), number)
            );
            let stored = format!("wazuh_007_{}", key.id());
            assert_eq!(DocKey::of_stored("wazuh", IndexId(3), &stored), Ok(key));
            assert!(DocKey::of_stored("other", IndexId(3), &stored).is_err());
        }
        assert!(DocKey::of_stored("wazuh", IndexId(3), "wazuh_7_d#0").is_err());
    }

    #[test]
    fn stored_bytes_are_recognised_and_a_changed_byte_is_noticed() {
        for number in 0..200 {
            let content = Content(number);
            let payload = String::from_utf8(content.payload()).unwrap();
            // Read as far as its odd members need not be understood.
            assert!(
                serde_json::from_str::<BTreeMap<String, &RawValue>>(&payload).is_ok(),
                "{payload}"
            );
            if content.form() != Form::Plain {
                continue;
            }
            let stored = format!(
                "{{\"wazuh\":{{\"agent\":{{\"id\":\"001\"}}}},{}",
                &payload[1..]
            );
            let (read, overlay) = Content::of_stored(stored.as_bytes()).unwrap();
            assert_eq!(
                (read, overlay),
                (content, br#"{"agent":{"id":"001"}}"#.as_slice())
            );
            let changed = stored.replacen("sha1", "sha2", 1);
            assert!(Content::of_stored(changed.as_bytes()).is_err());
            assert!(Content::of_stored(payload.as_bytes()).is_err());
        }
    }
}
