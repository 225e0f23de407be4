//! The Indexer's error object, as requests and items carry it.

use serde::Deserialize;

use crate::config::Catalogue;
use crate::id::IndexId;

/// Longest sentence that is passed on, in bytes (`docs/protocol.md` section 3).
pub(super) const DETAIL_BYTES_MAX: usize = 256;

/// An error of an item or of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct ErrorBody {
    /// The error's type, which decides before the status does.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// What the Indexer says of it.
    #[serde(default)]
    pub reason: Option<String>,
    /// The index it is about.
    #[serde(default)]
    index: Option<String>,
    #[serde(default)]
    root_cause: Vec<RootCause>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct RootCause {
    #[serde(default)]
    index: Option<String>,
}

#[derive(Deserialize)]
struct Refused {
    error: ErrorBody,
}

impl ErrorBody {
    /// The error of a refused request; `None` when the body is not that of one: empty, or plain text.
    pub fn of_request(body: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Refused>(body)
            .ok()
            .map(|refused| refused.error)
    }

    pub fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }

    /// Whether it is a block, a closed index or a missing one: the index's state, nobody's fault.
    pub fn is_index_state(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "cluster_block_exception" | "index_closed_exception" | "index_not_found_exception"
        )
    }

    /// Of the indices asked for, those that the error names: in its fields, or in brackets in its text.
    pub fn indices(&self, catalogue: &Catalogue, asked: &[IndexId]) -> Vec<IndexId> {
        let names = |name: &str| {
            let fields = self
                .root_cause
                .iter()
                .map(|cause| &cause.index)
                .chain([&self.index]);
            fields.flatten().any(|field| field == name)
                || self.reason().contains(&format!("[{name}]"))
        };
        asked
            .iter()
            .copied()
            .filter(|index| names(catalogue.index_name(*index)))
            .collect()
    }
}

/// A sentence about a refused request: the Indexer's own words where it has some.
#[must_use]
pub fn sentence(status: u16, body: &[u8]) -> String {
    let text = match ErrorBody::of_request(body) {
        Some(error) => format!(
            "the Indexer answers {status} {}: {}",
            error.kind,
            error.reason()
        ),
        None => {
            let text = String::from_utf8_lossy(body);
            let text = text.trim();
            let colon = if text.is_empty() { "" } else { ": " };
            format!("the Indexer answers {status}{colon}{text}")
        }
    };
    clip(&text)
}

/// The beginning of a text, cut between characters, without line breaks.
pub(super) fn clip(text: &str) -> String {
    let mut end = text.len().min(DETAIL_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end)
        .unwrap_or_default()
        .replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_has_the_indexers_words_and_a_bound() {
        let body = br#"{"error":{"root_cause":[],"type":"security_exception","reason":"no permissions for [x]"},"status":403}"#;
        assert_eq!(
            sentence(403, body),
            "the Indexer answers 403 security_exception: no permissions for [x]"
        );
        assert_eq!(
            sentence(401, b"Unauthorized"),
            "the Indexer answers 401: Unauthorized"
        );
        assert_eq!(sentence(413, b""), "the Indexer answers 413");
        assert_eq!(sentence(400, "ä".repeat(500).as_bytes()).len(), 255);
        assert_eq!(
            sentence(400, &[b'a', b'\n', 0xFF, b'b']),
            "the Indexer answers 400: a \u{FFFD}b"
        );
    }
}
