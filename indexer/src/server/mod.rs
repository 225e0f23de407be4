//! The HTTPS server around the model.
//!
//! ```text
//!   TLS ──► Wire (can be cut) ──► faults ──► who asks? ──► model::api, or sink ──► answer
//!                                   ▲                          │
//!              /_inventory/faults ──┘        /_inventory/stats ┘
//! ```
//!
//! Everything is in memory and behind one lock; one thread serves. Three routes are the stand-in's own, for the same
//! users as everything else: `GET`, `PUT` and `DELETE /_inventory/faults` ([`faults`]), `GET` and `DELETE
//! /_inventory/stats` ([`stats`]).

mod admin;
mod authentication;
mod body;
mod connection;
pub mod development;
mod engine;
pub mod faults;
mod respond;
pub mod stats;
mod tls;

use crate::model::engine::{Indexer, Options as ModelOptions, Release};
use crate::sink::Sink;
use engine::Engine;
use faults::Faults;
use stats::Stats;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Who may ask with a password.
#[derive(Clone)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for User {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("User")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// How a server is started.
#[derive(Clone)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The server's certificate chain, PEM.
    pub certificate_pem: Vec<u8>,
    /// Its private key, PEM.
    pub key_pem: Vec<u8>,
    /// Authorities of client certificates, PEM; without them no client certificate is asked for.
    pub client_ca_pem: Option<Vec<u8>>,
    /// Whether the TLS handshake fails without a client certificate.
    pub require_client_certificate: bool,
    /// Common names of client certificates that are users; with none listed every verified certificate is one.
    pub certificate_users: Vec<String>,
    /// Who may ask with a password.
    pub users: Vec<User>,
    /// The largest request body in bytes; a larger one is answered with 413 and an empty body.
    pub content_length_max: u64,
    /// How often writes become visible, in milliseconds, where the index does not state it.
    pub refresh_interval_ms: u64,
    /// Whether writes create missing indices.
    pub auto_create: bool,
    /// Whose answers are given, where releases differ.
    pub release: Release,
    /// Whether of state documents only ids, versions and checksums are kept ([`crate::sink`]).
    pub sink: bool,
}

impl Options {
    /// A server on a free loopback port, without users.
    pub fn new(certificate_pem: impl Into<Vec<u8>>, key_pem: impl Into<Vec<u8>>) -> Options {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            certificate_pem: certificate_pem.into(),
            key_pem: key_pem.into(),
            client_ca_pem: None,
            require_client_certificate: false,
            certificate_users: Vec::new(),
            users: Vec::new(),
            content_length_max: 100 << 20,
            refresh_interval_ms: 1000,
            auto_create: true,
            release: Release::V3,
            sink: false,
        }
    }
}

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The address cannot be listened on.
    Listen(SocketAddr, std::io::Error),
    /// It would listen beyond this machine with nobody asked who they are.
    Open(SocketAddr),
    /// The certificate, key or authorities cannot be used.
    Tls(String),
    /// No thread or runtime could be made.
    Runtime(std::io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Listen(address, error) => {
                write!(
                    out,
                    "cannot listen on {address}: {error}; choose another address with --listen"
                )
            }
            StartError::Open(address) => write!(
                out,
                "will not listen on {address} without users: give --user or --ca, or listen on 127.0.0.1"
            ),
            StartError::Tls(fault) => write!(out, "cannot serve TLS: {fault}"),
            StartError::Runtime(error) => write!(out, "cannot start the server's thread: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// Everything that changes, behind one lock.
struct World {
    engine: Engine,
    faults: Faults,
    stats: Stats,
}

/// What every connection shares.
struct Shared {
    world: Mutex<World>,
    options: Options,
    started: Instant,
    started_ms: u64,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since 1970, which never run backwards.
    fn now_ms(&self) -> u64 {
        let passed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.started_ms.saturating_add(passed)
    }
}

/// A running server. It stops when this is dropped.
pub struct Handle {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: axum_server::Handle<SocketAddr>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Handle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL by the name `localhost`.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Looks into the model, or changes it. A sink's state documents are not in it.
    pub fn with_indexer<T>(&self, look: impl FnOnce(&mut Indexer) -> T) -> T {
        look(self.shared.world().engine.indexer())
    }

    /// Replaces the faults, as `PUT /_inventory/faults` does.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn set_faults(&self, json: &str) -> Result<(), String> {
        admin::set_faults(&mut self.shared.world(), json.as_bytes())
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        self.shared.world().stats.clone()
    }

    /// Stops: connections are closed and the port is free when this returns.
    pub fn stop(mut self) {
        self.shut_down();
    }

    fn shut_down(&mut self) {
        self.server.shutdown();
        if let Some(thread) = self.thread.take() {
            // A panic of the server's thread was printed there; there is nothing to add here.
            let _ = thread.join();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// Starts a server in a thread of its own.
///
/// # Errors
/// [`StartError`]; nothing listens then.
pub fn spawn(options: Options) -> Result<Handle, StartError> {
    if !options.listen.ip().is_loopback()
        && options.users.is_empty()
        && options.client_ca_pem.is_none()
    {
        return Err(StartError::Open(options.listen));
    }
    let config = tls::config(&options).map_err(StartError::Tls)?;
    let listen = |error| StartError::Listen(options.listen, error);
    let listener = TcpListener::bind(options.listen).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let started_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let started_ms = u64::try_from(started_ms).unwrap_or(u64::MAX);
    let indexer = Indexer::new(ModelOptions {
        seed: started_ms,
        auto_create: options.auto_create,
        guess_mappings: true,
        release: options.release,
        content_length_max: options.content_length_max,
    });
    let engine = if options.sink {
        Engine::Sink(Box::new(Sink::new(indexer)))
    } else {
        Engine::Model(Box::new(indexer))
    };
    let world = World {
        engine,
        faults: Faults::default(),
        stats: Stats::default(),
    };
    let shared = Arc::new(Shared {
        world: Mutex::new(world),
        options,
        started: Instant::now(),
        started_ms,
    });
    let server = axum_server::Handle::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    let (ready, is_ready) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("indexer".to_owned())
        .spawn({
            let (shared, server) = (shared.clone(), server.clone());
            move || {
                runtime.block_on(async move {
                    let served = axum_server::from_tcp(listener);
                    let _ = ready.send(served.as_ref().map(|_| ()).map_err(std::io::Error::kind));
                    if let Ok(served) = served {
                        tokio::spawn(refresh_periodically(shared.clone()));
                        connection::serve(served, config, shared, server).await;
                    }
                });
            }
        })
        .map_err(StartError::Runtime)?;
    let handle = Handle {
        address,
        shared,
        server,
        thread: Some(thread),
    };
    match is_ready.recv() {
        Ok(Ok(())) => Ok(handle),
        Ok(Err(kind)) => Err(StartError::Listen(address, kind.into())),
        Err(_) => Err(StartError::Runtime(std::io::ErrorKind::Other.into())),
    }
}

async fn refresh_periodically(shared: Arc<Shared>) {
    let tick = Duration::from_millis((shared.options.refresh_interval_ms / 4).clamp(10, 250));
    loop {
        tokio::time::sleep(tick).await;
        let now_ms = shared.now_ms();
        shared
            .world()
            .engine
            .refresh_due(now_ms, shared.options.refresh_interval_ms);
    }
}
