//! The enums of the wire, closed: a byte is one of these values or none of them.

use std::fmt;

macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// All values, ascending by their byte.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The value of this byte; `None` when this build knows none.
            #[must_use]
            pub const fn from_wire(byte: i8) -> Option<Self> {
                match byte {
                    $($value => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// The byte of this value.
            #[must_use]
            pub const fn to_wire(self) -> i8 {
                match self {
                    $(Self::$variant => $value,)+
                }
            }

            /// The value's name as the contract writes it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

codes! {
    /// What a session is for (`docs/protocol.md`, section 6).
    Mode {
        /// Replaces the agent's documents in the named indices.
        Full = 0,
        /// Upserts and deletes.
        Delta = 1,
        /// Compares checksums.
        Check = 2,
        /// Updates what documents say of their agent.
        MetadataDelta = 3,
        /// Repairs what documents say of their agent, where it differs.
        MetadataCheck = 4,
        /// Updates the groups in the agent's documents.
        GroupDelta = 5,
        /// Repairs the groups in the agent's documents, where they differ.
        GroupCheck = 6,
    }
}

codes! {
    /// What an item does to its document.
    Operation {
        /// Writes it whole.
        Upsert = 0,
        /// Removes it.
        Delete = 1,
    }
}

codes! {
    /// How a session or a Start ended.
    Status {
        /// Accepted, or stored in the Indexer.
        Ok = 0,
        /// Not, for the reason that stands beside it.
        Error = 1,
        /// Not now: the Indexer cannot be reached or takes nothing.
        Offline = 2,
        /// Check: the named indices differ.
        ChecksumMismatch = 3,
        /// Still at work; not a verdict.
        Processing = 4,
    }
}

codes! {
    /// Why, so that the agent can act on it.
    Reason {
        /// No reason is needed, or the peer gave one that this build does not know.
        None = 0,
        /// The frame is no message that may be sent in this direction.
        InvalidMessage = 1,
        /// The peer's protocol is older than the manager is configured to accept.
        UnsupportedVersion = 2,
        /// The message names an agent that the connection does not speak for.
        IdentityMismatch = 3,
        /// No such session, or not on this connection.
        SessionNotFound = 4,
        /// The nonce was used for a Start with other content.
        SessionExists = 5,
        /// A newer Start took the session's place.
        SessionReplaced = 6,
        /// A sequence at or above the announced size.
        SequenceOutOfRange = 7,
        /// An operation or mode that is unknown or not served.
        InvalidOperation = 8,
        /// The document is no JSON object that may be stored.
        InvalidPayload = 9,
        /// The module may not write this index, or the Full does not name it.
        IndexNotAllowed = 10,
        /// The announced size is not acceptable.
        SizeInvalid = 11,
        /// The manager has no room; come back after `retry_after_ms`.
        Overloaded = 12,
        /// The agent's module has its sessions already.
        AgentBusy = 13,
        /// The Indexer cannot be reached.
        IndexerUnavailable = 14,
        /// The Indexer refused the document.
        IndexerRejected = 15,
        /// Nothing came for too long.
        SessionTimeout = 16,
        /// The manager's store failed.
        StorageFailure = 17,
        /// The manager stops.
        ShuttingDown = 18,
        /// The agent names another cluster.
        ClusterMismatch = 19,
        /// Some items were refused: they are listed.
        PartiallyRejected = 20,
        /// Something else writes the agent's documents.
        VersionConflict = 21,
        /// The agent was removed.
        AgentRemoved = 22,
        /// The manager asks for the whole content of the listed indices.
        ResyncRequired = 23,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inventory_sync_schemas::wire as generated;

    #[test]
    fn the_closed_enums_hold_exactly_what_the_schema_holds() {
        for byte in i8::MIN..=i8::MAX {
            let pairs = [
                (
                    Mode::from_wire(byte).map(Mode::name),
                    generated::Mode(byte).variant_name(),
                ),
                (
                    Operation::from_wire(byte).map(Operation::name),
                    generated::Operation(byte).variant_name(),
                ),
                (
                    Status::from_wire(byte).map(Status::name),
                    generated::Status(byte).variant_name(),
                ),
                (
                    Reason::from_wire(byte).map(Reason::name),
                    generated::Reason(byte).variant_name(),
                ),
            ];
            for (ours, theirs) in pairs {
                assert_eq!(ours, theirs, "byte {byte}");
            }
        }
    }

    #[test]
    fn bytes_and_values_are_each_others_inverse() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_wire(reason.to_wire()), Some(*reason));
        }
        for mode in Mode::ALL {
            assert_eq!(Mode::from_wire(mode.to_wire()), Some(*mode));
        }
        assert_eq!(Reason::ALL.len(), 24);
        assert_eq!(format!("{:>5}", Status::Ok), "   Ok");
    }
}
