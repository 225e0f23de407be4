//! The connection to the manager: made, read and written by tasks that speak to the driver in messages.
//!
//! ```text
//!   driver ──frames──▶ writer ──▶ TLS ──▶ manager
//!      ▲                 │                   │
//!      └── Io ◀──────────┴──── reader ◀──────┘
//! ```

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use inventory_sync_core::id::ConnectionId;
use inventory_sync_core::wire::framing::{Framing, Splitter};
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::identity::Identity;
use super::packing::Packed;

/// Rows are loaded only while less than this waits for the connection, in bytes.
pub const UNSENT_BYTES_MAX: usize = 1 << 20;

/// The longest answer of a manager that is read, in bytes: the longest that one can be configured to send.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;

/// From the name's lookup to the end of the handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What is read at once.
const READ_BYTES: usize = 16 * 1024;

/// What happened and was not looked at yet; the tasks wait when there is more.
const IO_WAITING_MAX: usize = 64;

/// Where a manager listens: `HOST:PORT`, with an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// The host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not HOST:PORT, such as manager.example:1517 or [::1]:1517")]
pub struct NotAnAddress {
    text: String,
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.rsplit_once(':').and_then(|(host, port)| {
            let bare = host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'));
            let host = match bare {
                Some(host) => host,
                None if host.contains([':', '[', ']']) => return None,
                None => host,
            };
            let port = port.parse().ok().filter(|port| *port != 0)?;
            (!host.is_empty()).then(|| Self {
                host: host.to_owned(),
                port,
            })
        });
        parsed.ok_or_else(|| NotAnAddress { text: text.into() })
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConnectError {
    /// What failed, and what to do where that is known.
    pub(super) what: String,
    /// Whether trying again cannot help.
    pub(super) is_permanent: bool,
}

/// What the tasks tell the driver.
pub(super) enum Io {
    /// There is a connection.
    Connected(ConnectionId, Box<TlsStream<TcpStream>>),
    /// There is none.
    ConnectFailed(ConnectionId, ConnectError),
    /// A message arrived.
    Message(ConnectionId, Vec<u8>),
    /// A frame went out.
    Written {
        connection: ConnectionId,
        bytes: usize,
        items: u64,
    },
    /// The connection has ended.
    Closed(ConnectionId, ConnectError),
}

/// Whom to connect to, and how.
pub(super) struct Target {
    address: Address,
    server_name: ServerName<'static>,
    tls: Arc<ClientConfig>,
}

impl Target {
    pub(super) fn new(address: Address, identity: &Identity) -> Self {
        Self {
            address,
            server_name: identity.server_name.clone(),
            tls: Arc::clone(&identity.tls),
        }
    }

    pub(super) const fn address(&self) -> &Address {
        &self.address
    }

    /// Begins to connect; answered by `Connected` or `ConnectFailed` within [`CONNECT_TIMEOUT`].
    pub(super) fn connect(&self, id: ConnectionId, told: &mpsc::Sender<Io>) -> JoinHandle<()> {
        let (address, name, tls) = (
            self.address.clone(),
            self.server_name.clone(),
            Arc::clone(&self.tls),
        );
        let told = told.clone();
        tokio::spawn(async move {
            let made = match timeout(CONNECT_TIMEOUT, connect(&address, name, tls)).await {
                Ok(made) => made,
                Err(_) => Err(ConnectError {
                    what: format!(
                        "{address} did not answer within {} s",
                        CONNECT_TIMEOUT.as_secs()
                    ),
                    is_permanent: false,
                }),
            };
            let news = match made {
                Ok(stream) => Io::Connected(id, Box::new(stream)),
                Err(error) => Io::ConnectFailed(id, error),
            };
            // Nobody listens any more: the run is over.
            let _ = told.send(news).await;
        })
    }
}

async fn connect(
    address: &Address,
    name: ServerName<'static>,
    tls: Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let stream = TcpStream::connect((address.host.as_str(), address.port))
        .await
        .map_err(|error| ConnectError {
            what: format!("cannot connect to {address}: {error}"),
            is_permanent: false,
        })?;
    // Small messages must not wait for company; without it they are late, not lost.
    let _ = stream.set_nodelay(true);
    TlsConnector::from(tls)
        .connect(name.clone(), stream)
        .await
        .map_err(|error| tls_error(address, &name, &error))
}

/// A manager that shows the wrong certificate will show it again.
fn tls_error(address: &Address, name: &ServerName<'_>, error: &io::Error) -> ConnectError {
    use rustls::CertificateError as Bad;

    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (advice, is_permanent) = match tls {
        Some(rustls::Error::InvalidCertificate(Bad::UnknownIssuer)) => (
            "; --ca is not the authority that signed the manager's certificate".to_owned(),
            true,
        ),
        Some(rustls::Error::InvalidCertificate(
            Bad::NotValidForName | Bad::NotValidForNameContext { .. },
        )) => (
            format!(
                "; the manager's certificate is not for {}: give the name that it has with --server-name",
                name.to_str()
            ),
            true,
        ),
        Some(rustls::Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. })) => (
            "; the manager's certificate has ended: renew it".to_owned(),
            true,
        ),
        Some(rustls::Error::InvalidCertificate(_)) => {
            ("; the manager's certificate is refused".to_owned(), true)
        }
        Some(rustls::Error::AlertReceived(alert)) if judges_certificate(*alert) => {
            (CERTIFICATE_ADVICE.to_owned(), true)
        }
        Some(_) => (
            "; does a manager listen there, with TLS 1.3?".to_owned(),
            false,
        ),
        None => (String::new(), false),
    };
    ConnectError {
        what: format!("no TLS with {address}: {error}{advice}"),
        is_permanent,
    }
}

const CERTIFICATE_ADVICE: &str = "; the manager refuses our certificate: is it signed by the authority of \
     its router.tls.client_ca, and valid today?";

const fn judges_certificate(alert: AlertDescription) -> bool {
    matches!(
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
    )
}

/// A connection in use. Its tasks end with it.
pub(super) struct Link {
    pub(super) id: ConnectionId,
    frames: mpsc::UnboundedSender<Packed>,
    unsent_bytes: usize,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl Link {
    pub(super) fn open(
        id: ConnectionId,
        address: &Address,
        stream: TlsStream<TcpStream>,
        told: &mpsc::Sender<Io>,
    ) -> Self {
        let (reading, writing) = tokio::io::split(stream);
        // Bounded by `has_room`, which the driver asks before it loads rows; other messages are few.
        let (frames, waiting) = mpsc::unbounded_channel();
        Self {
            id,
            frames,
            unsent_bytes: 0,
            reader: tokio::spawn(read(id, address.clone(), reading, told.clone())),
            writer: tokio::spawn(write(id, writing, waiting, told.clone())),
        }
    }

    /// Whether rows may be loaded for it.
    pub(super) const fn has_room(&self) -> bool {
        self.unsent_bytes < UNSENT_BYTES_MAX
    }

    /// Where the connection is gone nothing happens: the reader tells.
    pub(super) fn send(&mut self, frame: Packed) {
        self.unsent_bytes = self.unsent_bytes.saturating_add(frame.bytes.len());
        let _ = self.frames.send(frame);
    }

    pub(super) fn written(&mut self, bytes: usize) {
        self.unsent_bytes = self.unsent_bytes.saturating_sub(bytes);
    }

    /// Says goodbye, after what is still to be sent.
    pub(super) async fn close(self) {
        self.reader.abort();
        drop(self.frames);
        // A manager that does not take a goodbye gets none.
        let _ = timeout(CLOSE_TIMEOUT, self.writer).await;
    }

    /// Ends it at once.
    pub(super) fn abort(self) {
        self.reader.abort();
        self.writer.abort();
    }
}

async fn write(
    id: ConnectionId,
    mut stream: WriteHalf<TlsStream<TcpStream>>,
    mut frames: mpsc::UnboundedReceiver<Packed>,
    told: mpsc::Sender<Io>,
) {
    while let Some(frame) = frames.recv().await {
        let written = async {
            stream.write_all(&frame.bytes).await?;
            // TLS keeps what the socket did not take until it is asked again.
            stream.flush().await
        };
        // Why it failed is told by the reader, who may have an alert to read.
        if written.await.is_err() {
            return;
        }
        let news = Io::Written {
            connection: id,
            bytes: frame.bytes.len(),
            items: frame.items,
        };
        if told.send(news).await.is_err() {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

async fn read(
    id: ConnectionId,
    address: Address,
    mut stream: ReadHalf<TlsStream<TcpStream>>,
    told: mpsc::Sender<Io>,
) {
    let mut splitter = Splitter::new(Framing::Tls, ANSWER_BYTES_MAX);
    let mut bytes = vec![0; READ_BYTES];
    let error = loop {
        let count = match stream.read(&mut bytes).await {
            Ok(0) => break transient(format!("{address} closed the connection")),
            Ok(count) => count,
            Err(error) => break lost(&address, &error),
        };
        let mut input = bytes.get(..count).unwrap_or_default();
        loop {
            match splitter.next_frame(&mut input) {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    if told.send(Io::Message(id, frame.message)).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let what = format!("{address} sends what is no answer: {error}");
                    let _ = told.send(Io::Closed(id, transient(what))).await;
                    return;
                }
            }
        }
    };
    let _ = told.send(Io::Closed(id, error)).await;
}

const fn transient(what: String) -> ConnectError {
    ConnectError {
        what,
        is_permanent: false,
    }
}

/// With TLS 1.3 a manager judges our certificate after the handshake looks complete to us.
fn lost(address: &Address, error: &io::Error) -> ConnectError {
    let is_permanent = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .is_some_and(|error| {
            matches!(error, rustls::Error::AlertReceived(alert) if judges_certificate(*alert))
        });
    let advice = if is_permanent { CERTIFICATE_ADVICE } else { "" };
    ConnectError {
        what: format!("the connection to {address} was lost: {error}{advice}"),
        is_permanent,
    }
}

/// The driver's end of what the tasks tell.
pub(super) fn channel() -> (mpsc::Sender<Io>, mpsc::Receiver<Io>) {
    mpsc::channel(IO_WAITING_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_and_shown() {
        for text in ["manager.example:1517", "127.0.0.1:1", "[::1]:65535"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("[::1]:1".parse::<Address>().unwrap().host(), "::1");
        for text in [
            "",
            "manager",
            ":1517",
            "manager:0",
            "manager:70000",
            "::1:1517",
            "[::1]",
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains("HOST:PORT"), "{text}: {error}");
        }
    }

    #[test]
    fn certificate_errors_are_permanent_and_others_are_not() {
        let address: Address = "manager.example:1517".parse().unwrap();
        let name = ServerName::try_from("manager.example").unwrap();
        let judge = |error: rustls::Error| {
            tls_error(
                &address,
                &name,
                &io::Error::new(io::ErrorKind::InvalidData, error),
            )
        };
        let wrong_name = judge(rustls::Error::InvalidCertificate(
            rustls::CertificateError::NotValidForName,
        ));
        assert!(wrong_name.is_permanent && wrong_name.what.contains("--server-name"));
        let unknown = judge(rustls::Error::InvalidCertificate(
            rustls::CertificateError::UnknownIssuer,
        ));
        assert!(unknown.is_permanent && unknown.what.contains("--ca"));
        assert!(!judge(rustls::Error::DecryptError).is_permanent);
    }
}
