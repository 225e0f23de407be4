//! Generated documents: the packages of endpoints that do not exist.
//!
//! ```text
//!  (seed, agent, slot, born) ───────────────▶ id        40 hexadecimal digits, as agents' ids are
//!  (seed, agent, slot, born, revised) ──────▶ package   fields of the index, a description that pads
//!  package ─▶ sha1 ─▶ checksum.hash.sha1 ───▶ body
//! ```
//!
//! Invariants: the same inputs give the same bytes, in every process; every body passes the checks of the
//! daemon and the strict mapping of [`INDEX`]; another revision has another checksum.

use std::sync::OnceLock;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use sha1::{Digest as _, Sha1};

use super::random::{Mix, Stream};

/// The module that speaks for generated documents.
pub(super) const MODULE: &str = "syscollector";

/// The index of generated documents.
pub(super) const INDEX: &str = "wazuh-states-inventory-packages";

/// Hexadecimal digits of a SHA-1.
const SHA1_DIGITS: usize = 40;

/// Text that descriptions are cut out of, in bytes.
const PROSE_BYTES: usize = 64 << 10;

const WORDS: [&str; 32] = [
    "library",
    "tools",
    "for",
    "the",
    "shared",
    "files",
    "of",
    "a",
    "network",
    "service",
    "with",
    "support",
    "daemon",
    "and",
    "runtime",
    "headers",
    "documentation",
    "common",
    "client",
    "server",
    "interface",
    "fonts",
    "python",
    "compression",
    "images",
    "audio",
    "kernel",
    "module",
    "parser",
    "from",
    "small",
    "fast",
];

const NAMES: [&str; 16] = [
    "alsa",
    "archive",
    "bluetooth",
    "cairo",
    "crypto",
    "curl",
    "gtk",
    "json",
    "mount",
    "pcap",
    "perl",
    "sqlite",
    "ssl",
    "systemd",
    "unwind",
    "xml",
];

const SECTIONS: [&str; 8] = [
    "admin", "devel", "doc", "libs", "net", "python", "utils", "x11",
];

const PRIORITIES: [&str; 4] = ["extra", "important", "optional", "required"];

/// One state of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Revision {
    /// Its place among the documents of its agent.
    pub(super) slot: u32,
    /// The round in which a document took that place.
    pub(super) born: u32,
    /// The round of its last change.
    pub(super) revised: u32,
    /// How often it was written, from 1.
    pub(super) version: u32,
}

/// Makes documents of about a given size.
#[derive(Debug, Clone)]
pub(super) struct Generator {
    seed: u64,
    document_bytes: usize,
}

impl Generator {
    /// Bodies have about `document_bytes` bytes, and at least what their fields need without a
    /// description, which is about 400.
    pub(super) const fn new(seed: u64, document_bytes: usize) -> Self {
        Self {
            seed,
            document_bytes,
        }
    }

    /// The size asked for.
    pub(super) const fn document_bytes(&self) -> usize {
        self.document_bytes
    }

    /// The agent's own id of a document: 40 hexadecimal digits.
    pub(super) fn id(&self, agent: u64, slot: u32, born: u32) -> String {
        let mut state = Mix::new(self.seed, Stream::Ids)
            .with(agent)
            .with(u64::from(slot) << 32 | u64::from(born));
        let mut digest = [0_u8; 20];
        for chunk in digest.chunks_mut(8) {
            let bytes = state.next().to_le_bytes();
            chunk.copy_from_slice(bytes.get(..chunk.len()).unwrap_or_default());
        }
        // Hexadecimal digits are ASCII.
        String::from_utf8(hex(&digest).to_vec()).unwrap_or_default()
    }

    /// Writes the body of a document into `out`, over what was there, and answers its checksum.
    pub(super) fn body(&self, agent: u64, document: Revision, out: &mut Vec<u8>) -> [u8; 20] {
        const HEAD: &[u8] = b"{\"checksum\":{\"hash\":{\"sha1\":\"";
        let mut draw = Mix::new(self.seed, Stream::Content)
            .with(agent)
            .with(u64::from(document.slot) << 32 | u64::from(document.born))
            .with(u64::from(document.revised));
        out.clear();
        out.reserve(self.document_bytes + 128);
        out.extend_from_slice(HEAD);
        out.extend_from_slice(&[b'0'; SHA1_DIGITS]);
        out.extend_from_slice(b"\"}},\"package\":");
        let package_at = out.len();
        self.package(document, &mut draw, out);
        let checksum: [u8; 20] = Sha1::digest(out.get(package_at..).unwrap_or_default()).into();
        write_state(document, out);
        if let Some(place) = out.get_mut(HEAD.len()..HEAD.len() + SHA1_DIGITS) {
            place.copy_from_slice(&hex(&checksum));
        }
        checksum
    }

    /// What the checksum is of: the object `package`.
    fn package(&self, document: Revision, draw: &mut Mix, out: &mut Vec<u8>) {
        /// What [`write_state`] writes, but for the digits of the version.
        const STATE_BYTES: usize = 75;
        let word = |number: u64| NAMES[usize::try_from(number % 16).unwrap_or(0)];
        let first = draw.next();
        let (name, section) = (word(first), SECTIONS[usize::from((first >> 8) as u8 % 8)]);
        out.extend_from_slice(b"{\"architecture\":\"amd64\",\"category\":\"");
        out.extend_from_slice(section.as_bytes());
        out.extend_from_slice(b"\",\"description\":\"");
        let description_at = out.len();
        out.extend_from_slice(b"\",\"installed\":\"");
        write_time(2025, draw.next(), out);
        out.extend_from_slice(b"\",\"multiarch\":null,\"name\":\"lib");
        out.extend_from_slice(name.as_bytes());
        out.push(b'-');
        out.extend_from_slice(word(first >> 16).as_bytes());
        out.push(b'-');
        write_decimal(u64::from(document.slot), out);
        out.extend_from_slice(b"\",\"path\":\"/usr/share/doc/");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\",\"priority\":\"");
        out.extend_from_slice(PRIORITIES[usize::from((first >> 24) as u8 % 4)].as_bytes());
        out.extend_from_slice(b"\",\"size\":");
        let second = draw.next();
        write_decimal(second % 40_000_000, out);
        out.extend_from_slice(b",\"source\":\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(
            b"\",\"type\":\"deb\",\"vendor\":\"Ubuntu Developers <ubuntu-devel-discuss@lists.ubuntu.com>\",\"version\":\"",
        );
        write_decimal(second >> 32 & 15, out);
        out.push(b'.');
        write_decimal(second >> 40 & 31, out);
        out.push(b'.');
        // The round itself, so that no two revisions of a document are equal.
        write_decimal(u64::from(document.revised), out);
        out.push(b'-');
        write_decimal(second >> 48 & 63, out);
        out.extend_from_slice(b"ubuntu1\"}");
        let padding = self.document_bytes.saturating_sub(out.len() + STATE_BYTES);
        insert_prose(draw.next(), padding, description_at, out);
    }
}

fn write_state(document: Revision, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"state\":{\"document_version\":");
    write_decimal(u64::from(document.version), out);
    out.extend_from_slice(b",\"modified_at\":\"");
    write_time(2026, u64::from(document.revised).wrapping_mul(7_919), out);
    out.extend_from_slice(b"\"}}");
}

/// Makes room at `at` for so many bytes of prose, which begin anywhere in it.
fn insert_prose(draw: u64, bytes: usize, at: usize, out: &mut Vec<u8>) {
    let prose = prose();
    let end = out.len();
    out.resize(end + bytes, b' ');
    out.copy_within(at..end, at + bytes);
    let mut from = usize::try_from(draw % PROSE_BYTES as u64).unwrap_or(0);
    let mut room = out.get_mut(at..at + bytes).unwrap_or_default();
    while !room.is_empty() {
        let piece = prose.get(from..).unwrap_or_default();
        let (filled, rest) = room.split_at_mut(piece.len().min(room.len()));
        filled.copy_from_slice(&piece[..filled.len()]);
        room = rest;
        from = 0;
    }
}

/// Words without anything that JSON escapes.
fn prose() -> &'static [u8] {
    static PROSE: OnceLock<Vec<u8>> = OnceLock::new();
    PROSE.get_or_init(|| {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut text = Vec::with_capacity(PROSE_BYTES + 16);
        while text.len() < PROSE_BYTES {
            text.extend_from_slice(WORDS[rng.next_u32() as usize % WORDS.len()].as_bytes());
            text.push(b' ');
        }
        text.truncate(PROSE_BYTES);
        text
    })
}

/// A moment of that year, in milliseconds.
fn write_time(year: u64, draw: u64, out: &mut Vec<u8>) {
    write_decimal(year, out);
    for (before, from, count, shift) in [
        (b'-', 1, 12, 0),
        (b'-', 1, 28, 8),
        (b'T', 0, 24, 16),
        (b':', 0, 60, 24),
        (b':', 0, 60, 32),
    ] {
        out.push(before);
        let number = from + (draw >> shift & 0xFF) % count;
        // Below 100.
        out.push(b'0' + u8::try_from(number / 10).unwrap_or(0));
        out.push(b'0' + u8::try_from(number % 10).unwrap_or(0));
    }
    out.extend_from_slice(b".000Z");
}

fn write_decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Lowercase hexadecimal digits.
fn hex(digest: &[u8; 20]) -> [u8; SHA1_DIGITS] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; SHA1_DIGITS];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(digest) {
        pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    digits
}

#[cfg(test)]
mod tests {
    use inventory_sync_core::document::{check_payload, payload_sha1};
    use inventory_sync_schemas::fields::{self, FieldType};
    use serde_json::Value;

    use super::*;

    const FIRST: Revision = Revision {
        slot: 3,
        born: 0,
        revised: 0,
        version: 1,
    };

    fn body(generator: &Generator, agent: u64, document: Revision) -> (Vec<u8>, [u8; 20]) {
        let mut out = b"something older".to_vec();
        let checksum = generator.body(agent, document, &mut out);
        (out, checksum)
    }

    #[test]
    fn the_same_inputs_give_the_same_document_everywhere() {
        let generator = Generator::new(1, 540);
        let (text, _) = body(&generator, 7, FIRST);
        insta::assert_snapshot!(String::from_utf8(text).unwrap());
        insta::assert_snapshot!(generator.id(7, 3, 0));
    }

    #[test]
    fn documents_have_the_size_asked_for_and_pass_the_daemons_checks() {
        for bytes in [1, 540, 8_192, 200_000] {
            let generator = Generator::new(9, bytes);
            for slot in 0..50 {
                let document = Revision {
                    slot,
                    born: slot % 3,
                    revised: slot % 7,
                    version: 1 + slot,
                };
                let (text, checksum) = body(&generator, u64::from(slot), document);
                check_payload(&text).unwrap();
                assert_eq!(payload_sha1(&text), Some(checksum));
                if bytes >= 540 {
                    let difference = text.len().abs_diff(bytes);
                    assert!(difference < 16, "{} for {bytes}", text.len());
                }
            }
        }
    }

    /// Every path of the document is a field of the index, of a type that takes the value.
    #[test]
    fn documents_fit_the_strict_mapping() {
        fn walk(path: &str, value: &Value, seen: &mut Vec<(String, Value)>) {
            match value {
                Value::Object(map) => {
                    for (key, inner) in map {
                        let path = if path.is_empty() {
                            key.clone()
                        } else {
                            format!("{path}.{key}")
                        };
                        walk(&path, inner, seen);
                    }
                }
                other => seen.push((path.to_owned(), other.clone())),
            }
        }
        let (text, _) = body(&Generator::new(1, 540), 1, FIRST);
        let mut seen = Vec::new();
        walk("", &serde_json::from_slice(&text).unwrap(), &mut seen);
        assert!(seen.len() > 10);
        let index = fields::index(INDEX).unwrap();
        for (path, value) in seen {
            let field = index.fields().find(|field| field.path == path);
            let kind = field.unwrap_or_else(|| panic!("{path} is no field")).kind;
            match kind {
                FieldType::Long | FieldType::Integer => assert!(value.is_u64(), "{path}"),
                _ => assert!(value.is_string() || value.is_null(), "{path}"),
            }
        }
    }

    #[test]
    fn seeds_agents_slots_and_revisions_differ() {
        let generator = Generator::new(1, 540);
        let other = Generator::new(2, 540);
        let revised = Revision {
            revised: 1,
            version: 2,
            ..FIRST
        };
        let all = [
            body(&generator, 7, FIRST).1,
            body(&other, 7, FIRST).1,
            body(&generator, 8, FIRST).1,
            body(&generator, 7, Revision { slot: 4, ..FIRST }).1,
            body(&generator, 7, revised).1,
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one));
        }
        let ids = [
            generator.id(7, 3, 0),
            other.id(7, 3, 0),
            generator.id(8, 3, 0),
            generator.id(7, 4, 0),
            generator.id(7, 3, 1),
        ];
        for (at, one) in ids.iter().enumerate() {
            assert!(one.len() == 40 && !ids[..at].contains(one));
        }
    }
}
