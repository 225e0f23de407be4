//! What all documents of a process have in common: names of indices, ids, and the manager's own fields.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::overlay;
use crate::bug::{Bug, is_planted};
use crate::config::{Catalogue, Config};
use crate::id::{AgentId, IndexId};
use crate::wire::AgentInfo;

/// Longest `_id` that the Indexer takes, in bytes; one longer and it refuses the whole request.
pub const ID_BYTES_MAX: usize = 512;

/// What all documents of a process have in common.
#[derive(Debug, Clone)]
pub struct Scheme {
    catalogue: Catalogue,
    cluster: String,
    seed: u64,
    /// For each index its name as a JSON string, quotes included.
    names: Vec<Vec<u8>>,
}

impl Scheme {
    /// The scheme of a configuration. `seed` keeps agents from choosing ids whose hashes collide; it
    /// changes nothing that can be seen. Tables of one process share one scheme.
    #[must_use]
    pub fn new(config: &Config, seed: u64) -> Self {
        let names = config.catalogue.indices().iter().map(|index| {
            let mut name = Vec::with_capacity(index.name.len() + 2);
            name.push(b'"');
            write_escaped(&index.name, &mut name);
            name.push(b'"');
            name
        });
        Self {
            names: names.collect(),
            catalogue: config.catalogue.clone(),
            cluster: config.cluster.clone(),
            seed,
        }
    }

    /// Modules and indices.
    #[must_use]
    pub const fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The cluster's name.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// What stands before an agent's own ids: `<cluster>_<agent, padded to 3>_`.
    #[must_use]
    pub fn id_prefix(&self, agent: AgentId) -> String {
        if is_planted(Bug::IdNotPadded) {
            return format!("{}_{}_", self.cluster, agent.0);
        }
        format!("{}_{:03}_", self.cluster, agent.0)
    }

    /// The manager-owned fields of an agent's documents: the JSON object under the key `wazuh`
    /// (`docs/protocol.md` section 7). Unknown fields are left out, never null or empty.
    #[must_use]
    pub fn overlay(&self, agent: AgentId, info: &AgentInfo) -> Vec<u8> {
        overlay::overlay(&self.cluster, agent, info)
    }

    /// The name of an index as a JSON string with its quotes; `""` for one that is unknown.
    pub(super) fn quoted_name(&self, index: IndexId) -> &[u8] {
        self.names
            .get(usize::from(index.0))
            .map_or(b"\"\"".as_slice(), Vec::as_slice)
    }

    /// The hash under which tables compare documents. Equal hashes are confirmed on bytes.
    pub(super) fn hash(&self, index: IndexId, id: &str) -> u64 {
        // Any odd constant does: it only has to keep the indices apart.
        let salt = u64::from(index.0).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        xxh3_64_with_seed(id.as_bytes(), self.seed ^ salt)
    }
}

/// Whether a byte of a text must be escaped inside a JSON string.
const fn must_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Whether a text must be escaped anywhere; an id seldom must. A fold without an early end becomes a
/// handful of vector instructions.
fn has_escapes(text: &str) -> bool {
    text.bytes()
        .fold(false, |found, byte| found | must_escape(byte))
}

/// How many bytes [`write_escaped`] writes.
pub(super) fn escaped_bytes(text: &str) -> usize {
    if !has_escapes(text) {
        return text.len();
    }
    let more: usize = text
        .bytes()
        .filter(|byte| must_escape(*byte))
        .map(|byte| if byte < 0x20 { 5 } else { 1 })
        .sum();
    text.len() + more
}

/// Appends a text as the inside of a JSON string.
pub(super) fn write_escaped(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    if !has_escapes(text) || is_planted(Bug::IdNotEscaped) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for byte in text.bytes() {
        if byte < 0x20 {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        } else {
            if must_escape(byte) {
                out.push(b'\\');
            }
            out.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Ids mostly need no escape; those that do have any.
        #[test]
        fn escaped_text_has_as_many_bytes_as_was_said(
            text in prop::string::string_regex("[ -~\u{0}-\u{20}é\"\\\\]{0,24}").unwrap(),
        ) {
            let mut out = Vec::new();
            write_escaped(&text, &mut out);
            prop_assert_eq!(escaped_bytes(&text), out.len());
            let quoted = [b"\"".as_slice(), &out, b"\""].concat();
            prop_assert_eq!(serde_json::from_slice::<String>(&quoted).unwrap(), text);
        }
    }
}
