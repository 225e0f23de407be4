//! The wire codec: bytes of a frame to our own types and back (`docs/protocol.md`, section 1).
//!
//! ```text
//!  stream ──▶ framing::Splitter ──▶ frame ──▶ decode ──▶ Message ─┬─ owned:  Start, End, EndAck, …
//!             (length checked       │         (verified            └─ views:  DataView, BatchView
//!              before allocation)   │          once, bounded)                 (borrow the frame)
//!                                   │
//!  store  ──▶ frame ──▶ StagedItems (of a frame that was decoded before: not verified again)
//!
//!  stream ◀── framing::write_… ◀────┴─ encode_… , BatchBuilder ◀── the same types
//! ```
//!
//! # Invariants
//!
//! * [`decode`] is total: any bytes give a message or a [`DecodeError`], in time and memory bounded
//!   by a small multiple of the frame's length, at any alignment.
//! * The generated FlatBuffers types are seen in this module only: they are newtypes over a byte and
//!   can hold any value, ours cannot.
//! * An unknown union member is a message ([`Message::Unknown`]), for it must be answered; an unknown
//!   field is ignored; an unknown enum value is read as its field's documentation says.
//! * Absent and empty are one for strings and lists that inform. Where they differ (`id`, `index` and
//!   `data` of an item, `agent`, `id_from` and `id_to` of a Start), the field is an `Option`.
//!
//! Deliberately absent: any judgement of content or direction, and any I/O.

mod batch;
mod codes;
mod decode;
mod encode;
pub mod framing;
mod messages;
mod staged;
mod view;

pub use batch::{BatchBuilder, NotAdded};
pub use codes::{Mode, Operation, Reason, Status};
pub use decode::{DecodeError, Message, decode};
pub use encode::{
    encode_checksum_module, encode_data, encode_data_clean, encode_data_context, encode_end,
    encode_end_ack, encode_hello, encode_req_ret, encode_start, encode_start_ack,
};
pub use messages::{
    AgentInfo, ChecksumModule, DataClean, DataContext, End, EndAck, FailedItem, Hello, Item, Pair,
    ReqRet, Start, StartAck,
};
pub use staged::{StagedItem, StagedItems};
pub use view::{BatchView, DataView};

/// The version this build speaks, sent in Start and Hello. 0 on the wire means a base peer.
pub const PROTOCOL_VERSION: u16 = 1;

/// The session id that means "no session": of an answer to what belongs to none.
pub const NO_SESSION: u64 = u64::MAX;

#[cfg(test)]
mod tests;

/// A digest of a message's bytes, by which a retransmitted Start is known (`docs/protocol.md`, section
/// 3). Collision-resistant as far as 128 bits are: what is compared comes from outside.
#[must_use]
pub fn digest(frame: &[u8]) -> [u8; 16] {
    use sha2::Digest;
    let mut short = [0; 16];
    short.copy_from_slice(&sha2::Sha256::digest(frame)[..16]);
    short
}
