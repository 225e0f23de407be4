//! What a peer sends in a session of `syscollector`, current or base.

use inventory_sync_core::wire::{End, Mode, Start, encode_end};

use crate::document::agent_info;

/// A Delta of a current peer.
#[must_use]
pub fn start(agent: u64, size: u64, nonce: u64) -> Start {
    Start {
        mode: Some(Mode::Delta),
        size,
        module: "syscollector".to_owned(),
        agent_id: agent,
        protocol_version: 1,
        nonce,
        agent: Some(agent_info(agent)),
        ..Start::default()
    }
}

/// What peers sent before there was an extension.
#[must_use]
pub fn base_start(agent: u64, size: u64) -> Start {
    Start {
        protocol_version: 0,
        nonce: 0,
        agent: None,
        ..start(agent, size, 0)
    }
}

/// An End as a frame.
#[must_use]
pub fn end(session: u64) -> Vec<u8> {
    encode_end(&End { session })
}
