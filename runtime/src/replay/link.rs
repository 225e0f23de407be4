//! One connection: bytes out, frames in, driven by the task that owns it.
//!
//! ```text
//!  push(frame) ─▶ out ─▶ as much as the socket takes ─▶ flushed  (what was asked about has gone out)
//!  socket ─▶ splitter ─▶ inbox
//! ```
//!
//! Invariants: reading goes on while writing waits; nothing is allocated for reading but what arrives; a blow
//! falls when the bytes before it have gone out, and no byte behind it does.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use inventory_sync_core::wire::framing::{Frame, Framing, Splitter, write_tls, write_unix};
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::options::Target;

/// The longest answer of a daemon that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// From the name's lookup to the end of the handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Read at once, on the stack.
const READ_BYTES: usize = 8 << 10;

/// Reads before the frames are looked at.
const READS_MAX: usize = 8;

/// A buffer that is larger than this is not kept when it is empty.
const KEPT_BYTES: usize = 256 << 10;

/// Any stream of bytes.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConnectError {
    /// What failed.
    pub(super) what: String,
    /// Whether trying again cannot help.
    pub(super) is_permanent: bool,
}

impl ConnectError {
    pub(super) const fn passing(what: String) -> Self {
        Self {
            what,
            is_permanent: false,
        }
    }
}

/// Whom to connect to, and as whom.
#[derive(Clone)]
pub(super) enum Peer {
    /// As an agent.
    Tls {
        host: String,
        port: u16,
        server_name: ServerName<'static>,
        config: Arc<ClientConfig>,
    },
    /// As a relay.
    Unix(PathBuf),
}

impl Peer {
    /// How frames look there.
    pub(super) const fn framing(target: &Target) -> Framing {
        match target {
            Target::Tls { .. } => Framing::Tls,
            Target::Unix(_) => Framing::Unix,
        }
    }

    /// Connects within [`CONNECT_TIMEOUT`].
    pub(super) async fn connect(self) -> Result<Box<dyn Stream>, ConnectError> {
        match timeout(CONNECT_TIMEOUT, self.dial()).await {
            Ok(made) => made,
            Err(_) => Err(ConnectError::passing(format!(
                "the daemon did not answer within {} s",
                CONNECT_TIMEOUT.as_secs()
            ))),
        }
    }

    async fn dial(self) -> Result<Box<dyn Stream>, ConnectError> {
        match self {
            Self::Tls {
                host,
                port,
                server_name,
                config,
            } => {
                let stream = TcpStream::connect((host.as_str(), port))
                    .await
                    .map_err(|error| {
                        ConnectError::passing(format!("cannot connect to {host}:{port}: {error}"))
                    })?;
                // Small messages must not wait for company; without it they are late, not lost.
                let _ = stream.set_nodelay(true);
                let stream = TlsConnector::from(config)
                    .connect(server_name, stream)
                    .await
                    .map_err(|error| ConnectError {
                        what: format!("no TLS with {host}:{port}: {error}"),
                        is_permanent: is_about_certificates(&error),
                    })?;
                Ok(Box::new(stream))
            }
            Self::Unix(path) => match UnixStream::connect(&path).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(ConnectError {
                    is_permanent: error.kind() == io::ErrorKind::PermissionDenied,
                    what: format!("cannot connect to {}: {error}", path.display()),
                }),
            },
        }
    }
}

/// Whether one side refuses the other's certificate, which it will do again.
fn is_about_certificates(error: &io::Error) -> bool {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(_)) => true,
        Some(rustls::Error::AlertReceived(alert)) => matches!(
            alert,
            AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateRequired
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::DecryptError
        ),
        _ => false,
    }
}

/// A connection in use.
pub(super) struct Link {
    stream: Box<dyn Stream>,
    framing: Framing,
    splitter: Splitter,
    out: Vec<u8>,
    /// How much of `out` the socket has taken.
    taken: usize,
    /// Bytes pushed, taken and flushed since the beginning.
    pushed: u64,
    written: u64,
    flushed: u64,
    /// No byte from here on is sent.
    end: u64,
    inbox: VecDeque<Frame>,
    /// Whether anything arrived since this was last asked.
    is_heard: bool,
}

impl Link {
    pub(super) fn new(stream: Box<dyn Stream>, framing: Framing) -> Self {
        Self {
            stream,
            framing,
            splitter: Splitter::new(framing, ANSWER_BYTES_MAX),
            out: Vec::new(),
            taken: 0,
            pushed: 0,
            written: 0,
            flushed: 0,
            end: u64::MAX,
            inbox: VecDeque::new(),
            is_heard: false,
        }
    }

    /// Queues a message of an agent; messages beyond 4 GiB do not exist.
    pub(super) fn push(&mut self, agent: u64, message: &[u8]) {
        if self.taken > KEPT_BYTES && self.taken * 2 > self.out.len() {
            self.out.drain(..self.taken);
            self.taken = 0;
        }
        let before = self.out.len();
        let framed = match self.framing {
            Framing::Tls => write_tls(&mut self.out, message),
            Framing::Unix => write_unix(&mut self.out, agent, message),
        };
        debug_assert!(framed.is_ok(), "a frame beyond what a length can say");
        self.pushed += (self.out.len() - before) as u64;
    }

    /// Bytes pushed since the beginning.
    pub(super) const fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Bytes that have left this process since the beginning.
    pub(super) const fn flushed(&self) -> u64 {
        self.flushed
    }

    /// Bytes that wait.
    pub(super) const fn waiting(&self) -> usize {
        self.out.len() - self.taken
    }

    /// Ends the connection when so many bytes have left.
    pub(super) fn end_at(&mut self, bytes: u64) {
        self.end = self.end.min(bytes.max(self.written));
    }

    /// Whether it has come to the end that was set.
    pub(super) const fn is_at_end(&self) -> bool {
        self.flushed >= self.end
    }

    /// The next message that arrived.
    pub(super) fn next(&mut self) -> Option<Frame> {
        self.inbox.pop_front()
    }

    /// Whether anything arrived since this was last asked.
    pub(super) const fn take_heard(&mut self) -> bool {
        std::mem::replace(&mut self.is_heard, false)
    }

    /// Writes and reads what is possible; ready when something was.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), String>> {
        let wrote = self.poll_write(context);
        // If writing fails, reading may know why.
        let read = self.poll_read(context);
        match (wrote, read) {
            (_, Poll::Ready(Err(what))) | (Poll::Ready(Err(what)), _) => Poll::Ready(Err(what)),
            (Poll::Ready(Ok(())), _) | (_, Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
            (Poll::Pending, Poll::Pending) => Poll::Pending,
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), String>> {
        let before = self.flushed;
        loop {
            let allowed = usize::try_from(self.end - self.written).unwrap_or(usize::MAX);
            let rest = self.out.get(self.taken..).unwrap_or_default();
            let rest = rest.get(..allowed).unwrap_or(rest);
            if rest.is_empty() {
                break;
            }
            match Pin::new(&mut self.stream).poll_write(context, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err("it takes nothing more".to_owned())),
                Poll::Ready(Ok(count)) => {
                    self.taken += count;
                    self.written += count as u64;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.to_string())),
                Poll::Pending => break,
            }
        }
        if self.taken == self.out.len() {
            self.out.clear();
            self.taken = 0;
            if self.out.capacity() > KEPT_BYTES {
                self.out = Vec::new();
            }
        }
        // TLS keeps what the socket did not take until it is asked again.
        if self.flushed < self.written {
            match ready!(Pin::new(&mut self.stream).poll_flush(context)) {
                Ok(()) => self.flushed = self.written,
                Err(error) => return Poll::Ready(Err(error.to_string())),
            }
        }
        if self.flushed > before {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), String>> {
        let mut bytes = [0_u8; READ_BYTES];
        for count in 0..READS_MAX {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    return Poll::Ready(Err("the daemon closed it".to_owned()));
                }
                Poll::Ready(Ok(())) => {
                    self.is_heard = true;
                    let mut input = buffer.filled();
                    loop {
                        match self.splitter.next_frame(&mut input) {
                            Ok(Some(frame)) => self.inbox.push_back(frame),
                            Ok(None) => break,
                            Err(error) => return Poll::Ready(Err(error.to_string())),
                        }
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.to_string())),
                Poll::Pending if count > 0 => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Gives memory back that a connection without traffic does not need.
    pub(super) fn shrink(&mut self) {
        if self.out.is_empty() {
            self.out = Vec::new();
        }
        self.inbox.shrink_to_fit();
    }

    /// Says goodbye; a daemon that does not take it gets none.
    pub(super) async fn close(mut self) {
        let _ = timeout(CLOSE_TIMEOUT, self.stream.shutdown()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn frames_go_out_together_and_answers_come_in() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let mut link = Link::new(Box::new(ours), Framing::Unix);
        link.push(7, b"one");
        link.push(8, b"two");
        poll_fn(|context| link.poll(context)).await.unwrap();
        assert_eq!((link.flushed(), link.waiting()), (link.pushed(), 0));
        let mut bytes = [0; 64];
        let count = theirs.read(&mut bytes).await.unwrap();
        assert_eq!(count as u64, link.pushed());
        theirs.write_all(&bytes[..count]).await.unwrap();
        poll_fn(|context| link.poll(context)).await.unwrap();
        let answers: Vec<_> = std::iter::from_fn(|| link.next())
            .map(|frame| (frame.agent_id, frame.message))
            .collect();
        let wanted = [(Some(7), b"one".to_vec()), (Some(8), b"two".to_vec())];
        assert_eq!(answers, wanted);
        assert!(link.take_heard() && !link.take_heard());
        drop(theirs);
        let error = poll_fn(|context| link.poll(context)).await.unwrap_err();
        assert_eq!(error, "the daemon closed it");
    }

    #[tokio::test]
    async fn no_byte_behind_the_end_is_sent() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let mut link = Link::new(Box::new(ours), Framing::Tls);
        link.push(1, b"a whole frame");
        link.end_at(6);
        assert!(!link.is_at_end());
        poll_fn(|context| link.poll(context)).await.unwrap();
        assert!(link.is_at_end());
        drop(link);
        let mut bytes = Vec::new();
        theirs.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes.len(), 6);
    }

    #[tokio::test]
    async fn a_slow_reader_does_not_keep_answers_away() {
        let (ours, mut theirs) = tokio::io::duplex(1_024);
        let mut link = Link::new(Box::new(ours), Framing::Tls);
        for _ in 0..100 {
            link.push(1, &[0; 1_000]);
        }
        theirs.write_all(&[1, 0, 0, 0, b'x']).await.unwrap();
        poll_fn(|context| link.poll(context)).await.unwrap();
        assert_eq!(link.next().unwrap().message, b"x");
        assert!(link.waiting() > 90_000);
    }
}
