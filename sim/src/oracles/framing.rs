//! Where a frame begins and how long it is: what stands before each message says both, to the byte, and a message
//! longer than allowed is refused before any of it is read (`docs/protocol.md` section 1).

use inventory_sync_core::id::AgentId;
use inventory_sync_core::wire::framing::{Framing, FramingError, Header};

use super::Oracles;

impl Oracles {
    /// A message is sent, over a connection of one agent or of many.
    pub(crate) fn judge_framing(&mut self, agent: AgentId, is_relay: bool, length: usize) {
        let mut bytes = [0; 12];
        let (framing, agent_id) = if is_relay {
            bytes[..4].copy_from_slice(&low_bytes(length + 8));
            bytes[4..].copy_from_slice(&agent.0.to_le_bytes());
            (Framing::Unix, Some(agent.0))
        } else {
            bytes[..4].copy_from_slice(&low_bytes(length));
            (Framing::Tls, None)
        };
        let header = bytes.get(..framing.header_bytes()).unwrap_or_default();
        let read = framing.header(header, length);
        let refused = framing.header(header, length.saturating_sub(1));
        let is_read = read
            == Ok(Some(Header {
                agent_id,
                message_bytes: length,
            }));
        let is_refused = matches!(refused, Err(FramingError::TooLarge { message_bytes, .. })
            if message_bytes == length);
        if !is_read || (length > 0 && !is_refused) {
            let expected =
                format!("a frame of {length} bytes of agent {agent}, where so many are allowed");
            self.fail("P-1 framing", expected, format!("{read:?} and {refused:?}"));
        }
    }
}

fn low_bytes(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}
