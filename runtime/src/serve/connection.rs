//! One connection: frames in, frames out.
//!
//! ```text
//!  socket ─▶ header ─▶ bound ─▶ frame ─▶ decode ─▶ scan ─▶ shard of the agent (waits when it is full)
//!  socket ◀─ writer ◀─ outbox ◀───────────────────────────── replies
//! ```

use std::sync::Arc;
use std::time::Duration;

use inventory_sync_core::coordinator::ShardId;
use inventory_sync_core::document::{Items, Scheme, scan};
use inventory_sync_core::id::{AgentId, ConnectionId, Peer, SessionId};
use inventory_sync_core::manager::{ConnectionKind, Event, FrameFlaw};
use inventory_sync_core::wire::framing::{Framing, FramingError, LENGTH_BYTES, MAX_HEADER_BYTES};
use inventory_sync_core::wire::{self, Message as WireMessage};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::outbox::{NotQueued, Replies, Unwritten, outbox};
use super::shard::{Message, Payload, ScannedFrame};

/// Bytes of replies that may wait for an agent that does not read; more, and it is hung up on.
const AGENT_REPLIES_BYTES_MAX: usize = 2 << 20;

/// The same of a relay, which may be told tens of thousands of verdicts at once.
const RELAY_REPLIES_BYTES_MAX: usize = 64 << 20;

/// What is read at once from a relay, whose frames are many and may be small.
const UNIX_READ_BYTES: usize = 64 << 10;

/// A frame that has begun must arrive within this time.
const FRAME_TIMEOUT: Duration = Duration::from_secs(60);

/// A reply must be taken within this time.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Memory for a frame begins with so much and then doubles with what arrives: an announcement alone costs no
/// more than a connection does anyway.
const READ_STEP_MIN_BYTES: usize = 16 << 10;

/// What a shard wants of a connection's reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Read,
    Pause,
    Close,
    /// Close, and the replies that wait are of no use.
    Abandon,
}

impl Flow {
    const fn is_end(self) -> bool {
        matches!(self, Self::Close | Self::Abandon)
    }
}

/// How a shard writes to a connection and holds it back. Dropped by every shard, the writer ends.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    replies: Arc<Replies>,
    flow: Arc<watch::Sender<Flow>>,
}

impl Handle {
    /// Queues a reply; [`Handle::flush`] sends it off. A peer that does not read its answers loses the
    /// connection, not only the answer.
    pub(super) fn send(&self, agent: AgentId, message: &[u8]) {
        match self.replies.push(agent.0, message) {
            Ok(()) => {}
            Err(NotQueued::Framing(error)) => {
                tracing::error!(%error, "a reply cannot be framed");
            }
            Err(error @ NotQueued::Full(_)) => {
                tracing::info!(%agent, "hanging up: {error}");
                self.flow.send_replace(Flow::Abandon);
            }
        }
    }

    /// Has everything written that was queued so far.
    pub(super) fn flush(&self) {
        self.replies.flush();
    }

    pub(super) fn pause(&self, paused: bool) {
        self.want(if paused { Flow::Pause } else { Flow::Read });
    }

    pub(super) fn close(&self) {
        self.want(Flow::Close);
    }

    /// Nothing is wanted any more of a connection that ends.
    fn want(&self, wanted: Flow) {
        self.flow.send_if_modified(|flow| {
            let changes = !flow.is_end() && *flow != wanted;
            if changes {
                *flow = wanted;
            }
            changes
        });
    }
}

/// Who speaks on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaker {
    /// One agent, by its certificate; on the Unix socket the local agent 0.
    Agent(AgentId),
    /// A relay: each frame says its agent.
    Relay,
}

/// What all connections share.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) scheme: Arc<Scheme>,
    pub(super) shards: Arc<[mpsc::Sender<Message>]>,
    pub(super) max_message_bytes: usize,
    pub(super) stopped: watch::Receiver<bool>,
}

/// Why a connection ended, for the log.
#[derive(Debug, thiserror::Error)]
enum Ending {
    #[error("the peer hung up")]
    HungUp,
    #[error("closed by us")]
    Closed,
    #[error("closed by us: it does not read its answers")]
    Abandoned,
    #[error("the daemon stops")]
    Stopping,
    #[error("{0}")]
    Framing(FramingError),
    #[error("a frame for agent {stated} on the connection of agent {own}")]
    OtherAgent { stated: u64, own: AgentId },
    #[error("a frame did not arrive within {} s", FRAME_TIMEOUT.as_secs())]
    Slow,
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Context {
    /// The shard that all of an agent's lanes belong to.
    fn shard_of(&self, agent: AgentId) -> ShardId {
        let count = u64::try_from(self.shards.len()).unwrap_or(1).max(1);
        // Fibonacci hashing spreads neighbouring ids.
        let hash = agent.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        ShardId(u16::try_from(hash % count).unwrap_or(0))
    }

    async fn tell(&self, shard: ShardId, message: Message) -> Result<(), Ending> {
        match self.shards.get(usize::from(shard.0)) {
            Some(queue) => queue.send(message).await.map_err(|_| Ending::Stopping),
            None => Err(Ending::Stopping),
        }
    }

    /// Serves one connection to its end.
    pub(super) async fn serve<S>(
        self,
        stream: S,
        id: ConnectionId,
        speaker: Speaker,
        framing: Framing,
    ) where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (reader, writer) = tokio::io::split(stream);
        let replies_bytes_max = match speaker {
            Speaker::Agent(_) => AGENT_REPLIES_BYTES_MAX,
            Speaker::Relay => RELAY_REPLIES_BYTES_MAX,
        };
        let (replies, unwritten) = outbox(framing, replies_bytes_max);
        let (flow, wanted) = watch::channel(Flow::Read);
        let handle = Handle {
            replies: Arc::new(replies),
            flow: Arc::new(flow),
        };
        let shards: Vec<ShardId> = match speaker {
            Speaker::Agent(agent) => vec![self.shard_of(agent)],
            Speaker::Relay => (0..self.shards.len())
                .filter_map(|place| u16::try_from(place).ok().map(ShardId))
                .collect(),
        };
        let kind = match speaker {
            Speaker::Agent(_) => ConnectionKind::Agent,
            Speaker::Relay => ConnectionKind::Relay,
        };
        let writing = tokio::spawn(write(writer, unwritten));
        for shard in &shards {
            let handle = handle.clone();
            let message = Message::Connected {
                connection: id,
                kind,
                handle,
            };
            if self.tell(*shard, message).await.is_err() {
                return;
            }
        }
        drop(handle);
        let reading = Reading {
            context: &self,
            id,
            speaker,
            framing,
            wanted,
        };
        let ending = match framing {
            // TLS has buffers of its own.
            Framing::Tls => reading.run(reader).await,
            Framing::Unix => {
                let reader = BufReader::with_capacity(UNIX_READ_BYTES, reader);
                reading.run(reader).await
            }
        };
        tracing::debug!(connection = %id, ?speaker, "connection ended: {ending}");
        for shard in shards {
            let event = Event::Closed { connection: id };
            if self.tell(shard, Message::Event(event)).await.is_err() {
                break;
            }
        }
        if matches!(ending, Ending::Abandoned) {
            writing.abort();
        }
        // Ends when every shard has let go of its handle and the last reply is written.
        if let Err(error) = writing.await
            && !error.is_cancelled()
        {
            tracing::error!(%error, "a connection's writer failed");
        }
    }
}

async fn write<W: AsyncWrite + Unpin>(mut writer: W, mut unwritten: Unwritten) {
    while let Some(frames) = unwritten.next().await {
        let written = timeout(WRITE_TIMEOUT, async {
            writer.write_all(&frames).await?;
            writer.flush().await
        });
        if !matches!(written.await, Ok(Ok(()))) {
            // The reader notices by itself; what is queued for a gone peer is of no use.
            return;
        }
        unwritten.recycle(frames);
    }
    // A peer that is gone cannot be said goodbye to.
    let _ = timeout(WRITE_TIMEOUT, writer.shutdown()).await;
}

/// The reading half of a connection.
struct Reading<'a> {
    context: &'a Context,
    id: ConnectionId,
    speaker: Speaker,
    framing: Framing,
    wanted: watch::Receiver<Flow>,
}

impl Reading<'_> {
    async fn run<R: AsyncRead + Unpin>(mut self, mut reader: R) -> Ending {
        let mut stopped = self.context.stopped.clone();
        loop {
            let step = async {
                self.wait_until_wanted().await?;
                let (agent, frame) = self.read_frame(&mut reader).await?;
                self.pass_on(agent, frame).await
            };
            let step = tokio::select! {
                step = step => step,
                _ = stopped.wait_for(|stopped| *stopped) => Err(Ending::Stopping),
            };
            if let Err(ending) = step {
                return ending;
            }
        }
    }

    /// Full queues and shares push back on the sender: nothing is read while a shard wants none.
    async fn wait_until_wanted(&mut self) -> Result<(), Ending> {
        let wanted = self.wanted.wait_for(|flow| *flow != Flow::Pause).await;
        match wanted.map(|flow| *flow) {
            Ok(Flow::Read | Flow::Pause) => Ok(()),
            Ok(Flow::Close) => Err(Ending::Closed),
            Ok(Flow::Abandon) => Err(Ending::Abandoned),
            Err(_) => Err(Ending::Stopping),
        }
    }

    async fn read_frame<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut R,
    ) -> Result<(AgentId, Vec<u8>), Ending> {
        let mut header = [0; MAX_HEADER_BYTES];
        let header = &mut header[..self.framing.header_bytes()];
        // An idle agent may be silent between frames for as long as it likes, but not inside one.
        let first = tokio::select! {
            first = reader.read(&mut header[..1]) => first?,
            ended = self.wanted.wait_for(|flow| flow.is_end()) => {
                return Err(match ended.map(|flow| *flow) {
                    Ok(Flow::Abandon) => Ending::Abandoned,
                    _ => Ending::Closed,
                });
            }
        };
        if first == 0 {
            return Err(Ending::HungUp);
        }
        let limit = self.context.max_message_bytes;
        let framing = self.framing;
        let rest = async {
            // The length is judged before anything else is waited for.
            reader.read_exact(&mut header[1..LENGTH_BYTES]).await?;
            framing
                .header(&header[..LENGTH_BYTES], limit)
                .map_err(Ending::Framing)?;
            reader.read_exact(&mut header[LENGTH_BYTES..]).await?;
            let header = framing.header(header, limit).map_err(Ending::Framing)?;
            let Some(header) = header else {
                return Err(Ending::HungUp);
            };
            let mut frame = Vec::new();
            while frame.len() < header.message_bytes {
                let begin = frame.len();
                let end = header
                    .message_bytes
                    .min(begin + begin.max(READ_STEP_MIN_BYTES));
                frame.resize(end, 0);
                reader.read_exact(&mut frame[begin..]).await?;
            }
            Ok((header.agent_id, frame))
        };
        let (stated, frame) = timeout(FRAME_TIMEOUT, rest)
            .await
            .map_err(|_| Ending::Slow)??;
        let agent = match (self.speaker, stated) {
            (Speaker::Agent(own), None) => own,
            (Speaker::Agent(own), Some(stated)) if stated == own.0 => own,
            (Speaker::Agent(own), Some(stated)) => {
                tracing::warn!(stated, %own, "a local connection speaks for another agent");
                return Err(Ending::OtherAgent { stated, own });
            }
            (Speaker::Relay, stated) => AgentId(stated.unwrap_or(0)),
        };
        Ok((agent, frame))
    }

    async fn pass_on(&self, agent: AgentId, frame: Vec<u8>) -> Result<(), Ending> {
        let peer = Peer {
            connection: self.id,
            agent,
        };
        let event = read_event(&self.context.scheme, peer, frame);
        let shard = self.context.shard_of(agent);
        self.context.tell(shard, Message::Event(event)).await
    }
}

/// What a frame is, for the machine. Everything per document happens here, once.
fn read_event(scheme: &Scheme, peer: Peer, frame: Vec<u8>) -> Event<Payload> {
    let message = match wire::decode(&frame) {
        Ok(message) => message,
        Err(error) => {
            tracing::debug!(agent = %peer.agent, %error, "a frame is no message");
            return Event::BadFrame {
                peer,
                flaw: FrameFlaw::Unverifiable,
            };
        }
    };
    if let Some(items) = Items::of(&message) {
        let bytes = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        let (summary, table) = scan(scheme, peer.agent, &items, bytes);
        let payload = Box::new(ScannedFrame {
            bytes: frame,
            table,
        });
        return Event::Items {
            peer,
            frame: summary,
            payload,
        };
    }
    // Not built yet: answered as unknown members are, by their number in the union.
    let unknown = |member| Event::BadFrame {
        peer,
        flaw: FrameFlaw::UnknownMember(member),
    };
    match message {
        WireMessage::Start(start) => {
            let digest = wire::digest(&frame);
            Event::Start {
                peer,
                start,
                digest,
            }
        }
        WireMessage::End(end) => Event::End {
            peer,
            session: SessionId(end.session),
        },
        WireMessage::Hello(hello) => Event::Hello {
            peer,
            hello: Box::new(hello),
        },
        WireMessage::StartAck(_) | WireMessage::EndAck(_) | WireMessage::ReqRet(_) => {
            Event::BadFrame {
                peer,
                flaw: FrameFlaw::WrongDirection,
            }
        }
        WireMessage::DataClean(_) => unknown(8),
        WireMessage::DataContext(_) => unknown(9),
        WireMessage::ChecksumModule(_) => unknown(10),
        WireMessage::Unknown { union_type } => unknown(union_type),
        WireMessage::Data(_) | WireMessage::DataBatch(_) => Event::BadFrame {
            peer,
            flaw: FrameFlaw::Unverifiable,
        },
    }
}
