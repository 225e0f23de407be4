//! From a frame to a message.

use super::codes::{Mode, Reason, Status};
use super::messages::{
    AgentInfo, ChecksumModule, DataClean, DataContext, End, EndAck, FailedItem, Hello, Pair,
    ReqRet, Start, StartAck,
};
use super::view::{BatchView, DataView};
use flatbuffers::{ForwardsUOffset, InvalidFlatbuffer, Vector, VerifierOptions};
use inventory_sync_schemas::wire as generated;
use std::fmt;

/// Tables nest three deep (message, batch, item); more is not ours.
const MAX_DEPTH: usize = 8;

/// The smallest table that stands in a list takes this many bytes of the frame (its place in the list
/// and its vtable offset), so a list of more tables than this allows repeats one of them.
const MIN_TABLE_BYTES: usize = 8;

/// A message may read to at most this many times its length. Items of a batch share vtables and, in
/// our own encoder, the text of their index, which reads to about four times. More is a frame whose
/// offsets lead many items to the same bytes, to make a small frame a large work.
const MAX_EXPANSION: usize = 8;

/// What the smallest messages may read to: the expansion means little for them.
const EXPANSION_FLOOR_BYTES: usize = 4096;

/// Longest frame whose offsets FlatBuffers can express. Framing bounds frames far below.
const MAX_FRAME_BYTES: usize = i32::MAX as usize;

/// A message of either direction. What is small is owned; items borrow the frame.
#[derive(Debug, Clone)]
pub enum Message<'a> {
    /// Opens a session.
    Start(Box<Start>),
    /// One item.
    Data(DataView<'a>),
    /// All items were sent.
    End(End),
    /// The answer to a Start.
    StartAck(StartAck),
    /// A verdict.
    EndAck(EndAck),
    /// Items are missing.
    ReqRet(ReqRet),
    /// Many items.
    DataBatch(BatchView<'a>),
    /// An index has no more than this session's items.
    DataClean(DataClean),
    /// A document that informs.
    DataContext(DataContext),
    /// The checksum of an index.
    ChecksumModule(ChecksumModule),
    /// A greeting.
    Hello(Hello),
    /// A member of the union that a newer peer knows. Its content was not looked at.
    Unknown {
        /// The member's number.
        union_type: u8,
    },
}

/// Why bytes are not a message. Told to the peer as InvalidMessage, whichever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DecodeError {
    /// The buffer is not well formed, or reads to far more than its length.
    Malformed {
        /// What the verifier found, in short.
        flaw: &'static str,
    },
    /// A message without content.
    NoContent,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { flaw } => write!(f, "not a message: {flaw}"),
            Self::NoContent => f.write_str("a message without content"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Reads a frame (without its length). Verifies it once; whatever the message then gives is sound.
///
/// # Errors
///
/// [`DecodeError`] for anything that is not a well-formed message, strings that are not UTF-8
/// included.
pub fn decode(frame: &[u8]) -> Result<Message<'_>, DecodeError> {
    if frame.len() > MAX_FRAME_BYTES {
        return Err(DecodeError::Malformed {
            flaw: "longer than offsets can express",
        });
    }
    let options = VerifierOptions {
        max_depth: MAX_DEPTH,
        max_tables: frame.len() / MIN_TABLE_BYTES + MAX_DEPTH,
        max_apparent_size: frame
            .len()
            .saturating_mul(MAX_EXPANSION)
            .max(EXPANSION_FLOOR_BYTES),
        ignore_missing_null_terminator: false,
    };
    let message = generated::root_as_message_with_opts(&options, frame)
        .map_err(|error| DecodeError::Malformed { flaw: flaw(&error) })?;
    content(message).ok_or(DecodeError::NoContent)
}

/// The verifier's finding without its trace, which would repeat the peer's structure at length.
const fn flaw(error: &InvalidFlatbuffer) -> &'static str {
    match error {
        InvalidFlatbuffer::MissingRequiredField { .. } => "a required field is missing",
        InvalidFlatbuffer::InconsistentUnion { .. } => "content without its type, or the reverse",
        InvalidFlatbuffer::Utf8Error { .. } => "a string is not UTF-8",
        InvalidFlatbuffer::MissingNullTerminator { .. } => "a string does not end in zero",
        InvalidFlatbuffer::Unaligned { .. } => "a field is misaligned",
        InvalidFlatbuffer::RangeOutOfBounds { .. }
        | InvalidFlatbuffer::SignedOffsetOutOfBounds { .. } => "an offset leads out of the frame",
        InvalidFlatbuffer::TooManyTables => "more tables than the frame has room for",
        InvalidFlatbuffer::ApparentSizeTooLarge => "reads to far more than its length",
        InvalidFlatbuffer::DepthLimitReached => "tables nest too deep",
    }
}

/// `None` when there is no content. A member that the verifier accepted has its table, so a missing
/// one means the same.
fn content(message: generated::Message<'_>) -> Option<Message<'_>> {
    use generated::MessageContent as Content;
    Some(match message.content_type() {
        Content::NONE => return None,
        Content::Start => Message::Start(Box::new(start(&message.content_as_start()?))),
        Content::Data => Message::Data(DataView::new(message.content_as_data()?)),
        Content::End => Message::End(End {
            session: message.content_as_end()?.session(),
        }),
        Content::StartAck => Message::StartAck(start_ack(&message.content_as_start_ack()?)),
        Content::EndAck => Message::EndAck(end_ack(&message.content_as_end_ack()?)),
        Content::ReqRet => Message::ReqRet(req_ret(&message.content_as_req_ret()?)),
        Content::DataBatch => Message::DataBatch(BatchView::new(message.content_as_data_batch()?)),
        Content::DataClean => {
            let clean = message.content_as_data_clean()?;
            Message::DataClean(DataClean {
                seq: clean.seq(),
                session: clean.session(),
                index: clean.index().map(str::to_owned),
            })
        }
        Content::DataContext => {
            let context = message.content_as_data_context()?;
            Message::DataContext(DataContext {
                seq: context.seq(),
                session: context.session(),
                id: context.id().map(str::to_owned),
                index: context.index().map(str::to_owned),
                data: context.data().map(|bytes| bytes.bytes().to_vec()),
            })
        }
        Content::ChecksumModule => {
            let module = message.content_as_checksum_module()?;
            Message::ChecksumModule(ChecksumModule {
                seq: module.seq(),
                session: module.session(),
                index: module.index().map(str::to_owned),
                checksum: text(module.checksum()),
            })
        }
        Content::Hello => {
            let hello = message.content_as_hello()?;
            Message::Hello(Hello {
                protocol_version: hello.protocol_version(),
                agent_id: hello.agent_id(),
                agent_name: text(hello.agent_name()),
                agent_version: text(hello.agent_version()),
                features: hello.features(),
            })
        }
        Content(union_type) => Message::Unknown { union_type },
    })
}

fn start(start: &generated::Start<'_>) -> Start {
    Start {
        mode: Mode::from_wire(start.mode().0),
        size: start.size_(),
        module: text(start.module()),
        agent_id: start.agent_id(),
        protocol_version: start.protocol_version(),
        nonce: start.nonce(),
        indices: texts(start.indices()),
        agent: start.agent().map(|info| AgentInfo {
            name: text(info.name()),
            version: text(info.version()),
            architecture: text(info.architecture()),
            hostname: text(info.hostname()),
            os_name: text(info.os_name()),
            os_platform: text(info.os_platform()),
            os_type: text(info.os_type()),
            os_version: text(info.os_version()),
            groups: texts(info.groups()),
        }),
        global_version: start.global_version(),
        cluster_name: text(start.cluster_name()),
        version_floor: start.version_floor(),
        id_from: start.id_from().map(str::to_owned),
        id_to: start.id_to().map(str::to_owned),
    }
}

fn start_ack(ack: &generated::StartAck<'_>) -> StartAck {
    StartAck {
        status: status(ack.status()),
        session: ack.session(),
        module: text(ack.module()),
        nonce: ack.nonce(),
        reason: reason(ack.reason()),
        detail: text(ack.detail()),
        retry_after_ms: ack.retry_after_ms(),
        idle_timeout_ms: ack.idle_timeout_ms(),
        max_items: ack.max_items(),
        version: ack.version(),
        resync: texts(ack.resync()),
    }
}

fn end_ack(ack: &generated::EndAck<'_>) -> EndAck {
    let failed = ack
        .failed()
        .unwrap_or_default()
        .iter()
        .map(|item| FailedItem {
            seq: item.seq(),
            status: item.status(),
            kind: text(item.type_()),
            reason: reason(item.reason()),
            retryable: item.retryable(),
            detail: text(item.detail()),
        });
    EndAck {
        status: status(ack.status()),
        session: ack.session(),
        module: text(ack.module()),
        reason: reason(ack.reason()),
        detail: text(ack.detail()),
        retry_after_ms: ack.retry_after_ms(),
        failed: failed.collect(),
        failed_more: ack.failed_more(),
        version: ack.version(),
        resync: texts(ack.resync()),
    }
}

fn req_ret(request: &generated::ReqRet<'_>) -> ReqRet {
    let seq = request.seq().unwrap_or_default().iter();
    ReqRet {
        seq: seq
            .map(|pair| Pair {
                begin: pair.begin(),
                end: pair.end(),
            })
            .collect(),
        session: request.session(),
        module: text(request.module()),
    }
}

/// A status that this build does not know is no success.
fn status(status: generated::Status) -> Status {
    Status::from_wire(status.0).unwrap_or(Status::Error)
}

/// A reason that this build does not know explains nothing.
fn reason(reason: generated::Reason) -> Reason {
    Reason::from_wire(reason.0).unwrap_or(Reason::None)
}

fn text(value: Option<&str>) -> String {
    value.unwrap_or_default().to_owned()
}

fn texts(values: Option<Vector<'_, ForwardsUOffset<&str>>>) -> Vec<String> {
    values
        .unwrap_or_default()
        .iter()
        .map(str::to_owned)
        .collect()
}
