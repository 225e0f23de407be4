//! Where one frame ends and the next begins (`docs/protocol.md`, section 1). Pure: bytes in, frames
//! out.
//!
//! ```text
//!  TLS     │ length: u32 LE │ message …                        length counts the message
//!  Unix    │ length: u32 LE │ agent id: u64 LE │ message …     length counts id and message
//! ```
//!
//! Invariants: a length is compared with the bound before a byte is allocated for it; memory grows
//! with what arrived, not with what was announced; after an error there is no next frame.

use std::fmt;

/// What every frame begins with: its length, in so many bytes.
pub const LENGTH_BYTES: usize = size_of::<u32>();
const AGENT_ID_BYTES: usize = size_of::<u64>();

/// The longest header of a frame, in bytes.
pub const MAX_HEADER_BYTES: usize = LENGTH_BYTES + AGENT_ID_BYTES;

/// Which of the two framings a stream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Length and message; the connection speaks for one agent.
    Tls,
    /// Length, agent id and message; the connection may speak for many.
    Unix,
}

impl Framing {
    /// How many bytes stand before the message.
    #[must_use]
    pub const fn header_bytes(self) -> usize {
        match self {
            Self::Tls => LENGTH_BYTES,
            Self::Unix => MAX_HEADER_BYTES,
        }
    }

    /// Reads a header from the beginning of `bytes`; `None` while it is not complete. The length is
    /// judged as soon as it is there.
    ///
    /// # Errors
    ///
    /// [`FramingError`], when no frame can begin like this.
    pub fn header(
        self,
        bytes: &[u8],
        max_message_bytes: usize,
    ) -> Result<Option<Header>, FramingError> {
        let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        // A length that does not fit into usize is above any bound.
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let message_bytes = match self {
            Self::Tls => length,
            Self::Unix => length
                .checked_sub(AGENT_ID_BYTES)
                .ok_or(FramingError::NoAgentId { length })?,
        };
        if message_bytes > max_message_bytes {
            return Err(FramingError::TooLarge {
                message_bytes,
                max_message_bytes,
            });
        }
        match self {
            Self::Tls => Ok(Some(Header {
                agent_id: None,
                message_bytes,
            })),
            Self::Unix => Ok(rest.first_chunk::<AGENT_ID_BYTES>().map(|id| Header {
                agent_id: Some(u64::from_le_bytes(*id)),
                message_bytes,
            })),
        }
    }
}

/// What stands before a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// The agent that the frame is from or for; on TLS the connection says it.
    pub agent_id: Option<u64>,
    /// How many bytes of message follow.
    pub message_bytes: usize,
}

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Frame {
    /// The agent that the frame is from or for; on TLS the connection says it.
    pub agent_id: Option<u64>,
    /// The message, not yet looked at.
    pub message: Vec<u8>,
}

/// Why a stream cannot be split any further. The connection is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FramingError {
    /// The announced message is larger than allowed.
    TooLarge {
        /// What was announced.
        message_bytes: usize,
        /// What is allowed.
        max_message_bytes: usize,
    },
    /// A frame on the Unix socket too short to hold an agent id.
    NoAgentId {
        /// What was announced.
        length: usize,
    },
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge {
                message_bytes,
                max_message_bytes,
            } => write!(
                f,
                "a message of {message_bytes} bytes was announced, at most {max_message_bytes} are allowed"
            ),
            Self::NoAgentId { length } => {
                write!(f, "a frame of {length} bytes has no room for an agent id")
            }
        }
    }
}

impl std::error::Error for FramingError {}

/// Appends a TLS frame to `out`.
///
/// # Errors
///
/// [`FramingError::TooLarge`], when the length cannot be written; `out` is as it was.
pub fn write_tls(out: &mut Vec<u8>, message: &[u8]) -> Result<(), FramingError> {
    out.extend_from_slice(&length(message, 0)?.to_le_bytes());
    out.extend_from_slice(message);
    Ok(())
}

/// Appends a Unix frame to `out`.
///
/// # Errors
///
/// [`FramingError::TooLarge`], when the length cannot be written; `out` is as it was.
pub fn write_unix(out: &mut Vec<u8>, agent_id: u64, message: &[u8]) -> Result<(), FramingError> {
    out.extend_from_slice(&length(message, AGENT_ID_BYTES)?.to_le_bytes());
    out.extend_from_slice(&agent_id.to_le_bytes());
    out.extend_from_slice(message);
    Ok(())
}

fn length(message: &[u8], extra: usize) -> Result<u32, FramingError> {
    u32::try_from(message.len().saturating_add(extra)).map_err(|_| FramingError::TooLarge {
        message_bytes: message.len(),
        max_message_bytes: u32::MAX as usize - extra,
    })
}

/// Splits a stream that arrives in pieces of any size.
#[derive(Debug, Clone)]
pub struct Splitter {
    framing: Framing,
    max_message_bytes: usize,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Header {
        bytes: [u8; MAX_HEADER_BYTES],
        filled: usize,
    },
    Message {
        header: Header,
        message: Vec<u8>,
    },
    Broken(FramingError),
}

impl State {
    const START: Self = Self::Header {
        bytes: [0; MAX_HEADER_BYTES],
        filled: 0,
    };
}

impl Splitter {
    /// A splitter at the beginning of a stream.
    #[must_use]
    pub const fn new(framing: Framing, max_message_bytes: usize) -> Self {
        Self {
            framing,
            max_message_bytes,
            state: State::START,
        }
    }

    /// Takes bytes off the front of `input` until a frame is complete or the input is used up: call
    /// it until it answers `None`. It copies the message and holds at most one.
    ///
    /// # Errors
    ///
    /// [`FramingError`]; from then on the same one again.
    pub fn next_frame(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, FramingError> {
        loop {
            match &mut self.state {
                State::Broken(error) => return Err(*error),
                State::Header { bytes, filled } => {
                    let wanted = self.framing.header_bytes() - *filled;
                    let taken = take(input, wanted);
                    if let Some(room) = bytes.get_mut(*filled..*filled + taken.len()) {
                        room.copy_from_slice(taken);
                    }
                    *filled += taken.len();
                    let seen = bytes.get(..*filled).unwrap_or_default();
                    match self.framing.header(seen, self.max_message_bytes) {
                        Ok(None) => return Ok(None),
                        Ok(Some(header)) => {
                            self.state = State::Message {
                                header,
                                message: Vec::new(),
                            };
                        }
                        Err(error) => {
                            self.state = State::Broken(error);
                        }
                    }
                }
                State::Message { header, message } => {
                    message.extend_from_slice(take(input, header.message_bytes - message.len()));
                    if message.len() < header.message_bytes {
                        return Ok(None);
                    }
                    let frame = Frame {
                        agent_id: header.agent_id,
                        message: std::mem::take(message),
                    };
                    self.state = State::START;
                    return Ok(Some(frame));
                }
            }
        }
    }

    /// Whether the stream may end here: between two frames.
    #[must_use]
    pub const fn is_between_frames(&self) -> bool {
        matches!(self.state, State::Header { filled: 0, .. })
    }
}

/// Takes at most `wanted` bytes off the front.
fn take<'a>(input: &mut &'a [u8], wanted: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(wanted.min(input.len()));
    *input = rest;
    taken
}
