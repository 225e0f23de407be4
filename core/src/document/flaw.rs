//! What can be wrong with one item. Such an item is set aside and listed; it never hurts its neighbours.

use super::Failure;
use crate::wire::Reason;

/// Why an item is set aside (`docs/protocol.md` sections 3 and 7).
///
/// The order of the checks is index, id, payload: the first flaw counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Flaw {
    /// It names no index.
    IndexMissing = 1,
    /// It names an index that no module owns.
    IndexUnknown = 2,
    /// It has no id, or an empty one.
    IdMissing = 3,
    /// Its full id is longer than the Indexer takes.
    IdTooLong = 4,
    /// An upsert without a document.
    PayloadMissing = 5,
    /// The document is not UTF-8.
    NotUtf8 = 6,
    /// The document is not JSON.
    NotJson = 7,
    /// The document is JSON, or begins like it, but is not an object.
    NotObject = 8,
    /// The document nests deeper than [`DEPTH_MAX`](super::DEPTH_MAX).
    TooDeep = 9,
    /// A key stands twice at the top of the document.
    DuplicateKey = 10,
    /// A key at the top of the document begins with `wazuh.`.
    DottedOverlay = 11,
    /// The session may not write that index.
    IndexNotAllowed = 12,
    /// The operation is unknown to this build. The machine ends such a session.
    OperationUnknown = 13,
}

impl Flaw {
    const ALL: [Self; 13] = [
        Self::IndexMissing,
        Self::IndexUnknown,
        Self::IdMissing,
        Self::IdTooLong,
        Self::PayloadMissing,
        Self::NotUtf8,
        Self::NotJson,
        Self::NotObject,
        Self::TooDeep,
        Self::DuplicateKey,
        Self::DottedOverlay,
        Self::IndexNotAllowed,
        Self::OperationUnknown,
    ];

    /// The number under which a table keeps it; never 0.
    pub(super) const fn code(self) -> u16 {
        self as u16
    }

    /// The flaw of that number; `None` for 0 and for what is no flaw's number.
    pub(super) fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|flaw| flaw.code() == code)
    }

    /// Whether the item names its document all the same: it then supersedes earlier operations on it.
    #[must_use]
    pub const fn is_addressable(self) -> bool {
        match self {
            Self::PayloadMissing
            | Self::NotUtf8
            | Self::NotJson
            | Self::NotObject
            | Self::TooDeep
            | Self::DuplicateKey
            | Self::DottedOverlay => true,
            Self::IndexMissing
            | Self::IndexUnknown
            | Self::IdMissing
            | Self::IdTooLong
            | Self::IndexNotAllowed
            | Self::OperationUnknown => false,
        }
    }

    /// The reason in the protocol's terms. There is none of its own for ids: they count as payload.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::IndexMissing | Self::IndexUnknown | Self::IndexNotAllowed => {
                Reason::IndexNotAllowed
            }
            Self::OperationUnknown => Reason::InvalidOperation,
            Self::IdMissing
            | Self::IdTooLong
            | Self::PayloadMissing
            | Self::NotUtf8
            | Self::NotJson
            | Self::NotObject
            | Self::TooDeep
            | Self::DuplicateKey
            | Self::DottedOverlay => Reason::InvalidPayload,
        }
    }

    /// A sentence for people: what is wrong and what would be right.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::IndexMissing => "the item names no index",
            Self::IndexUnknown => {
                "the item's index belongs to no configured module: add it to a module, or correct the name"
            }
            Self::IdMissing => "the item has no id, or an empty one",
            Self::IdTooLong => {
                "the item's id is too long: cluster, agent and id together may have 512 bytes"
            }
            Self::PayloadMissing => "an upsert without a document",
            Self::NotUtf8 => "the document is not valid UTF-8",
            Self::NotJson => "the document is not valid JSON",
            Self::NotObject => "the document is not a JSON object",
            Self::TooDeep => "the document nests deeper than 20 levels",
            Self::DuplicateKey => "a key stands twice at the top of the document",
            Self::DottedOverlay => {
                "a key of the document begins with \"wazuh.\": these fields are the manager's"
            }
            Self::IndexNotAllowed => {
                "the session may not write the item's index: it is another module's, or the Full does not name it"
            }
            Self::OperationUnknown => "the item's operation is unknown to this manager",
        }
    }

    /// The entry of a verdict's list. Offering the same item again would bring the same answer.
    #[must_use]
    pub fn failure(self, seq: u32) -> Failure {
        Failure {
            seq,
            status: 0,
            kind: String::new(),
            reason: self.reason(),
            retryable: false,
            detail: self.sentence().to_owned(),
        }
    }

    /// The entry of an earlier operation on the document of an item that was set aside.
    pub(super) fn shared_failure(self, seq: u32, winner: u32) -> Failure {
        Failure {
            detail: format!("superseded by item {winner}, of which: {}", self.sentence()),
            ..self.failure(seq)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_flaws_are_each_others_inverse() {
        for flaw in Flaw::ALL {
            assert_eq!(Flaw::from_code(flaw.code()), Some(flaw));
            assert!(flaw.shared_failure(u32::MAX, u32::MAX).detail.len() <= 256);
        }
        assert_eq!(Flaw::from_code(0), None);
        assert_eq!(Flaw::from_code(14), None);
    }
}
