//! The sockets that agents and relays connect to.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use inventory_sync_core::document::Scheme;
use inventory_sync_core::id::{AgentId, ConnectionId};
use inventory_sync_core::wire::framing::Framing;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::connection::{Context, Speaker};
use super::shard::Message;
use super::status::Shared;
use super::{ServeError, observe, tls};
use crate::config::{Config, RouterConfig};

/// After a failed accept (too many open files) the next is tried after this.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Why agents cannot connect.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be listened on.
    #[error("router: agents' address {address} cannot be listened on: {cause}")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
    /// The socket cannot be made.
    #[error("router: the socket {path} cannot be made: {cause}", path = path.display())]
    Unix {
        /// The socket.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
}

/// The bound sockets.
pub(super) struct Listeners {
    tcp: Option<(TcpListener, TlsAcceptor)>,
    unix: Option<(UnixListener, PathBuf)>,
    common: Common,
}

#[derive(Clone)]
struct Common {
    context: Context,
    next: Arc<AtomicU64>,
    slots: Arc<Semaphore>,
    connections_max: u32,
    handshake_timeout: Duration,
    relay_uids: Arc<[u32]>,
    shared: Arc<Shared>,
}

/// Listeners that accept.
pub(super) struct Listening {
    slots: Arc<Semaphore>,
    connections_max: u32,
    socket: Option<PathBuf>,
}

impl Listening {
    /// Waits until every connection has ended.
    pub(super) async fn ended(&self) {
        // Never closed, so that all slots come back in the end.
        let _ = self.slots.acquire_many(self.connections_max).await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(path) = &self.socket {
            // The next start clears a stale one.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Listeners {
    pub(super) fn bind(
        config: &Config,
        scheme: &Arc<Scheme>,
        shards: Vec<mpsc::Sender<Message>>,
        stopped: watch::Receiver<bool>,
        shared: &Arc<Shared>,
    ) -> Result<Self, ServeError> {
        let router = &config.router;
        let tcp = match &router.tls {
            None => None,
            Some(settings) => {
                let acceptor = TlsAcceptor::from(Arc::new(tls::server_config(settings)?));
                let address = settings.listen;
                let listener =
                    bind_tcp(address).map_err(|cause| ListenError::Tcp { address, cause })?;
                Some((listener, acceptor))
            }
        };
        let unix = match &router.socket {
            None => None,
            Some(path) => Some((bind_unix(path, router)?, path.clone())),
        };
        let connections_max = router.connections_max;
        Ok(Self {
            tcp,
            unix,
            common: Common {
                context: Context {
                    scheme: Arc::clone(scheme),
                    shards: shards.into(),
                    max_message_bytes: usize::try_from(router.max_message_bytes)
                        .unwrap_or(usize::MAX),
                    stopped,
                },
                next: Arc::new(AtomicU64::new(1)),
                slots: Arc::new(Semaphore::new(
                    usize::try_from(connections_max).unwrap_or(Semaphore::MAX_PERMITS),
                )),
                connections_max,
                handshake_timeout: router.handshake_timeout,
                relay_uids: router.relay_uids.clone().into(),
                shared: Arc::clone(shared),
            },
        })
    }

    /// Where agents connect; tells the port when 0 was asked for.
    pub(super) fn tls_address(&self) -> Option<SocketAddr> {
        self.tcp
            .as_ref()
            .and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// Accepts until the daemon stops.
    pub(super) fn serve(self) -> Listening {
        let Self { tcp, unix, common } = self;
        let listening = Listening {
            slots: Arc::clone(&common.slots),
            connections_max: common.connections_max,
            socket: unix.as_ref().map(|(_, path)| path.clone()),
        };
        if let Some((listener, acceptor)) = tcp {
            tokio::spawn(accept_tcp(listener, acceptor, common.clone()));
        }
        if let Some((listener, _)) = unix {
            tokio::spawn(accept_unix(listener, common));
        }
        listening
    }
}

fn bind_tcp(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    // A restart must not wait for the last connections of the process before it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4_096)
}

/// Producers of other users may be relays, so the socket can be reached by all; who may speak is decided
/// by the credentials of each connection.
fn bind_unix(path: &Path, router: &RouterConfig) -> Result<UnixListener, ServeError> {
    let failed = |cause| ListenError::Unix {
        path: path.to_owned(),
        cause,
    };
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        let cause = std::io::Error::new(
            std::io::ErrorKind::AddrInUse,
            "another daemon answers on it; stop it, or give this one its own router.socket",
        );
        return Err(failed(cause).into());
    }
    match path.symlink_metadata() {
        Ok(found) if std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) => {
            std::fs::remove_file(path).map_err(failed)?;
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    let mode = if router.relay_uids.is_empty() {
        0o600
    } else {
        0o666
    };
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).map_err(failed)?;
    Ok(listener)
}

impl Common {
    /// Room for one more connection; without it the connection is closed at once, so that its peer knows.
    fn slot(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok();
        if slot.is_none() {
            observe::refused_connection("maximum");
            tracing::debug!(
                max = self.connections_max,
                "a connection too many was closed"
            );
        }
        slot
    }

    fn next_id(&self) -> ConnectionId {
        ConnectionId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    async fn stopped(&self) {
        // An error means that the daemon is gone.
        let _ = self
            .context
            .stopped
            .clone()
            .wait_for(|stopped| *stopped)
            .await;
    }
}

async fn accept_tcp(listener: TcpListener, acceptor: TlsAcceptor, common: Common) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = common.stopped() => return,
        };
        match accepted {
            Ok((stream, address)) => {
                let Some(slot) = common.slot() else {
                    continue;
                };
                let (acceptor, common) = (acceptor.clone(), common.clone());
                tokio::spawn(async move {
                    let _slot = slot;
                    serve_tls(stream, address, acceptor, common).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an agent's connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_tls(stream: TcpStream, address: SocketAddr, acceptor: TlsAcceptor, common: Common) {
    // Small answers must not wait for company; without it they are late, not lost.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(common.handshake_timeout, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            observe::refused_connection("tls");
            tracing::info!(%address, %error, "a TLS connection was refused");
            return;
        }
        Err(_) => {
            observe::refused_connection("timeout");
            tracing::info!(%address, "a TLS handshake took too long");
            return;
        }
    };
    let certificate = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(<[_]>::first);
    let agent = match certificate.map(tls::agent_of) {
        Some(Ok(agent)) => agent,
        Some(Err(reason)) => {
            observe::refused_connection("identity");
            tracing::warn!(%address, reason, "a connection without an agent's name was refused");
            return;
        }
        None => {
            observe::refused_connection("identity");
            return;
        }
    };
    let id = common.next_id();
    tracing::debug!(%address, %agent, connection = %id, "an agent has connected");
    let _counted = common.shared.connection();
    common
        .context
        .serve(stream, id, Speaker::Agent(agent), Framing::Tls)
        .await;
}

async fn accept_unix(listener: UnixListener, common: Common) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = common.stopped() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let Some(speaker) = speaker_of(&stream, &common.relay_uids) else {
                    observe::refused_connection("credentials");
                    continue;
                };
                let Some(slot) = common.slot() else {
                    continue;
                };
                let common = common.clone();
                tokio::spawn(async move {
                    let _slot = slot;
                    let id = common.next_id();
                    let _counted = common.shared.connection();
                    common
                        .context
                        .serve(stream, id, speaker, Framing::Unix)
                        .await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the socket cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Listed users are relays; root and our own user speak for the local agent 0; others are refused.
fn speaker_of(stream: &UnixStream, relay_uids: &[u32]) -> Option<Speaker> {
    let uid = match stream.peer_cred() {
        Ok(credentials) => credentials.uid(),
        Err(error) => {
            tracing::warn!(%error, "a connection without credentials was refused");
            return None;
        }
    };
    if relay_uids.contains(&uid) {
        return Some(Speaker::Relay);
    }
    if uid == 0 || uid == nix::unistd::geteuid().as_raw() {
        return Some(Speaker::Agent(AgentId(0)));
    }
    tracing::warn!(uid, "a connection of a user that is no relay was refused");
    None
}
