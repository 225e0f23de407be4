//! Connections to the daemon, as agents and relays have them; also for what no honest one would send.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use inventory_sync_core::agent::Answer;
use inventory_sync_core::wire::framing::{Framing, Splitter, write_tls, write_unix};
use inventory_sync_core::wire::{EndAck, ReqRet, Start, StartAck, Status, decode, encode_start};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::wait::{LONG, until, within};

/// More than any answer has.
const ANSWER_MAX_BYTES: usize = 16 << 20;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An address that changes when the daemon is started again.
#[derive(Clone, Debug)]
pub struct Address(Arc<Mutex<SocketAddr>>);

impl Default for Address {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(SocketAddr::from(([127, 0, 0, 1], 1)))))
    }
}

impl Address {
    /// Where the daemon listens now.
    #[must_use]
    pub fn get(&self) -> SocketAddr {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It listens somewhere else.
    pub fn set(&self, address: SocketAddr) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }
}

/// How to reach the daemon.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// Over TLS.
    Tls {
        /// Where.
        address: Address,
        /// As whom.
        config: Arc<ClientConfig>,
    },
    /// Over the Unix socket.
    Unix {
        /// Where.
        path: PathBuf,
        /// The agent that frames name.
        agent: u64,
    },
}

/// The half that is written to.
pub struct Writer {
    half: WriteHalf<Box<dyn Stream>>,
    /// `None` on TLS.
    agent: Option<u64>,
}

impl Writer {
    /// Sends a message in a frame.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let mut frame = Vec::with_capacity(message.len() + 12);
        match self.agent {
            None => write_tls(&mut frame, message),
            Some(agent) => write_unix(&mut frame, agent, message),
        }
        .map_err(io::Error::other)?;
        self.send_bytes(&frame).await
    }

    /// On the Unix socket: sends as another agent from now on.
    pub const fn speak_for(&mut self, agent: u64) {
        self.agent = Some(agent);
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.half.write_all(bytes).await?;
        self.half.flush().await
    }
}

/// The half that is read.
pub struct Reader {
    half: ReadHalf<Box<dyn Stream>>,
    splitter: Splitter,
    pending: Vec<u8>,
    read: usize,
}

impl Reader {
    /// The next message and the agent that its frame names; `None` at the end of the connection.
    ///
    /// # Errors
    /// The connection broke, or what came is no frame.
    pub async fn next(&mut self) -> io::Result<Option<(Option<u64>, Vec<u8>)>> {
        loop {
            let mut input = &self.pending[self.read..];
            let before = input.len();
            let frame = self.splitter.next_frame(&mut input);
            self.read += before - input.len();
            if let Some(frame) = frame.map_err(io::Error::other)? {
                return Ok(Some((frame.agent_id, frame.message)));
            }
            self.pending.clear();
            self.read = 0;
            if self.half.read_buf(&mut self.pending).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// A connection whose user decides on every byte.
pub struct Connection {
    /// What is sent.
    pub writer: Writer,
    /// What comes.
    pub reader: Reader,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody is there, or the handshake fails. With TLS 1.3 a refusal of the client comes later, with the
    /// first read.
    pub async fn open(endpoint: &Endpoint) -> io::Result<Self> {
        let (stream, framing, agent): (Box<dyn Stream>, _, _) = match endpoint {
            Endpoint::Tls { address, config } => {
                let stream = TcpStream::connect(address.get()).await?;
                stream.set_nodelay(true)?;
                let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
                let connector = TlsConnector::from(Arc::clone(config));
                let stream = connector.connect(name, stream).await?;
                (Box::new(stream), Framing::Tls, None)
            }
            Endpoint::Unix { path, agent } => {
                let stream = UnixStream::connect(path).await?;
                (Box::new(stream), Framing::Unix, Some(*agent))
            }
        };
        let (read, write) = tokio::io::split(stream);
        Ok(Self {
            writer: Writer { half: write, agent },
            reader: Reader {
                half: read,
                splitter: Splitter::new(framing, ANSWER_MAX_BYTES),
                pending: Vec::new(),
                read: 0,
            },
        })
    }

    /// Sends a message that must get through.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn send(&mut self, message: &[u8]) {
        self.writer.send(message).await.expect("a connection");
    }

    /// On the Unix socket: sends as another agent from now on.
    pub const fn speak_for(&mut self, agent: u64) {
        self.writer.speak_for(agent);
    }

    /// The next answer and the agent that its frame names.
    ///
    /// # Panics
    /// When none comes.
    pub async fn answer_to(&mut self) -> (Option<u64>, Answer) {
        let next = within("an answer of the daemon", LONG, self.reader.next()).await;
        let (agent, message) = next
            .expect("a connection that stays")
            .expect("an answer, not the end of the connection");
        let decoded = decode(&message).expect("a message");
        (agent, Answer::from_message(decoded).expect("an answer"))
    }

    /// The next answer.
    ///
    /// # Panics
    /// When none comes.
    pub async fn answer(&mut self) -> Answer {
        self.answer_to().await.1
    }

    /// The next answer, which is to a Start.
    ///
    /// # Panics
    /// When it is not.
    pub async fn start_ack(&mut self) -> StartAck {
        match self.answer().await {
            Answer::StartAck(ack) => *ack,
            other => panic!("a StartAck was due, this came: {other:?}"),
        }
    }

    /// Opens a session. An Indexer that is slow makes a daemon that is Offline for a moment: then again.
    ///
    /// # Panics
    /// When it is refused for another reason.
    pub async fn open_session(&mut self, start: &Start) -> u64 {
        let message = encode_start(start);
        until("a session is opened", LONG, async || {
            self.send(&message).await;
            let ack = self.start_ack().await;
            assert!(
                matches!(ack.status, Status::Ok | Status::Offline),
                "{ack:?} to {start:?}"
            );
            (ack.status == Status::Ok).then_some(ack.session)
        })
        .await
    }

    /// The next answer, which is to an End or to no session.
    ///
    /// # Panics
    /// When it is not.
    pub async fn end_ack(&mut self) -> EndAck {
        match self.answer().await {
            Answer::EndAck(ack) => *ack,
            other => panic!("an EndAck was due, this came: {other:?}"),
        }
    }

    /// The verdict, behind a Processing or several.
    ///
    /// # Panics
    /// When something else comes.
    pub async fn verdict(&mut self) -> EndAck {
        loop {
            let ack = self.end_ack().await;
            if ack.status != Status::Processing {
                return ack;
            }
        }
    }

    /// The next answer, which asks for sequences.
    ///
    /// # Panics
    /// When it does not.
    pub async fn req_ret(&mut self) -> ReqRet {
        match self.answer().await {
            Answer::ReqRet(request) => *request,
            other => panic!("a ReqRet was due, this came: {other:?}"),
        }
    }

    /// Whether nothing comes for so long.
    ///
    /// # Panics
    /// When the connection ends meanwhile.
    pub async fn is_silent(&mut self, time: Duration) -> bool {
        match tokio::time::timeout(time, self.reader.next()).await {
            Err(_) => true,
            Ok(Ok(Some(_))) => false,
            Ok(ended) => panic!("the connection ended: {ended:?}"),
        }
    }

    /// Waits until the daemon hangs up; what comes before is dropped.
    ///
    /// # Panics
    /// When it does not.
    pub async fn closed(&mut self) {
        within("the end of the connection", LONG, async {
            while let Ok(Some(_)) = self.reader.next().await {}
        })
        .await;
    }
}

/// A connection to the daemon's TLS port that speaks no TLS yet, for those who never will.
///
/// # Errors
/// Nobody listens.
pub async fn open_tcp(address: &Address) -> io::Result<TcpStream> {
    TcpStream::connect(address.get()).await
}

/// Tries to be served: a Hello that is answered. The answer to why not is for people.
///
/// # Errors
/// The connection was refused or ended without an answer.
pub async fn greet(endpoint: &Endpoint) -> Result<(), String> {
    let hello = inventory_sync_core::wire::encode_hello(&inventory_sync_core::wire::Hello {
        protocol_version: inventory_sync_core::wire::PROTOCOL_VERSION,
        ..Default::default()
    });
    let attempt = async {
        let mut connection = Connection::open(endpoint).await?;
        connection.writer.send(&hello).await?;
        connection.reader.next().await
    };
    match within("an answer to a Hello, or a refusal", LONG, attempt).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("the connection was closed".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
