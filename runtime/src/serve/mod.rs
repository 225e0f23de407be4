//! The daemon: threads and sockets around the pure machines.
//!
//! ```text
//!  agents ─TLS──┐  connection tasks                shard threads                    Indexer
//!  relays ─Unix─┴▶ read, decode, scan ──bounded──▶ Manager ─ render ─▶ tokio task ─▶ HTTPS
//!                       ▲                             │ ▲ answers ◀───────┘
//!                       └── encoded replies ◀─────────┤ └─ RocksDB (group commit, read back)
//!                                                     ▼ ▲ slices
//!                                             coordinator task ── health, writer, indices, listings
//! ```
//!
//! Invariants: nothing here decides; a full shard queue stops the reading of the sockets that fill it;
//! a shard's tables are touched by its thread alone; everything a machine asked for is answered, also
//! when it failed.

mod bodies;
mod clock;
mod connection;
mod coordinator;
mod facts;
mod listener;
mod meters;
mod observe;
mod outbox;
mod questions;
mod settings;
mod shard;
mod status;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use inventory_sync_core::config::CatalogueError;
use inventory_sync_core::coordinator::{Coordinator, ShardId};
use inventory_sync_core::document::Scheme;
use inventory_sync_core::manager::Manager;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{mpsc, watch};

use crate::admin::server::{AdminSocket, BindError};
use crate::config::Config;
use crate::entropy;
use crate::indexer::{Connector, ConnectorError, TlsFilesError};
use crate::metrics::{self, Health, MetricsError, MetricsListener};
use crate::signals::Signals;
use crate::store::{Store, StoreError};
use clock::MonotonicClock;
use facts::{Facts, FactsError};
use listener::{ListenError, Listeners};
use shard::Shard;
use status::{Daemon, Shared};

/// Events that may wait for one shard; beyond it sockets are not read.
const SHARD_QUEUE: usize = 1_024;

/// How long a stop may take beyond the deadline of the requests in flight.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How long connections have to take the last answers after a stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the daemon does not run, or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration contradicts itself.
    #[error("{0}")]
    Configuration(String),
    /// Modules and indices contradict each other.
    #[error("modules: {0}")]
    Catalogue(#[from] CatalogueError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the store remembers does not fit.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// The connector to the Indexer cannot be made.
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    /// A certificate or key for agents cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsFilesError),
    /// A socket for agents cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The admin socket cannot be made.
    #[error(transparent)]
    Admin(#[from] BindError),
    /// Metrics cannot be served.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The operating system gave no threads or no random numbers.
    #[error("the operating system refused {what}: {cause}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// Why not.
        cause: String,
    },
    /// This process may not write any more.
    #[error("{0}")]
    Abort(String),
}

/// How the daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every request was answered and that was recorded.
    Clean,
    /// Something was of unknown outcome, or there was no time to wait for it: the next start waits before
    /// it deletes.
    Unclean,
}

/// Runs the daemon until it is told to stop (SIGTERM, SIGINT).
///
/// # Errors
///
/// It cannot start, or may not write any more.
pub fn run(config: Config) -> Result<Ended, ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("inventory-io")
        .build()
        .map_err(|cause| ServeError::System {
            what: "its threads",
            cause: cause.to_string(),
        })?;
    runtime.block_on(serve(Arc::new(config)))
}

#[expect(
    clippy::too_many_lines,
    reason = "the daemon is put together in one place, in order"
)]
async fn serve(config: Arc<Config>) -> Result<Ended, ServeError> {
    let clock = MonotonicClock::start();
    let store = Arc::new(Store::open(&config.store)?);
    let facts = Facts::take(&store, &config)?;
    store.wipe_staged()?;
    let catalogue = settings::catalogue(&config)?;
    let machine = settings::manager(&config, catalogue.clone());
    machine.validate().map_err(ServeError::Configuration)?;
    let scheme = Arc::new(Scheme::new(&machine, random_u64()?));
    let connector = Arc::new(Connector::new(&config.indexer)?);
    // Before the first meter is made. Where nobody listens nothing is recorded: histograms would only grow.
    let recorder = config
        .metrics_listen
        .map(|_| metrics::install())
        .transpose()?;
    let shared = Arc::new(Shared::new(clock, &config, &catalogue, &facts.writer));

    let (to_coordinator, coordinator_queue) = mpsc::unbounded_channel();
    let shards = usize::try_from(config.session.shards.max(1)).unwrap_or(1);
    let mut queues = Vec::with_capacity(shards);
    let mut threads = Vec::with_capacity(shards);
    for place in 0..shards {
        let (queue, events) = mpsc::channel(SHARD_QUEUE);
        let shard = Shard::new(shard::Parts {
            id: ShardId(u16::try_from(place).unwrap_or(u16::MAX)),
            manager: Manager::new(machine.clone(), random()?),
            failed_items_max: machine.failed_items_max,
            concurrency: machine.concurrency,
            scheme: Arc::clone(&scheme),
            store: Arc::clone(&store),
            connector: Arc::clone(&connector),
            clock,
            queue: queue.clone(),
            coordinator: to_coordinator.clone(),
            io: tokio::runtime::Handle::current(),
            shared: Arc::clone(&shared),
            floors: facts.floors.clone(),
        });
        let thread = std::thread::Builder::new()
            .name(format!("inventory-shard-{place}"))
            .spawn(move || shard.run(events))
            .map_err(|cause| ServeError::System {
                what: "a shard's thread",
                cause: cause.to_string(),
            })?;
        queues.push(queue);
        threads.push(thread);
    }
    let machine = Coordinator::new(
        settings::coordinator(&config, catalogue, &facts.writer, random_u64()?),
        random()?,
    );
    let mut coordinator = coordinator::Driver {
        machine,
        clock,
        shards: queues.clone(),
        queue: coordinator_queue,
        own: to_coordinator.clone(),
        asker: questions::Asker {
            config: Arc::clone(&config),
            connector: Arc::clone(&connector),
            scheme: Arc::clone(&scheme),
            store: Arc::clone(&store),
            shared: Arc::clone(&shared),
            clock,
        },
        shared: Arc::clone(&shared),
        recovered: facts.recovered,
    };
    let certificates = {
        let connector = Arc::clone(&connector);
        tokio::spawn(async move { connector.watch_certificates().await })
    };
    let (stop, stopped) = watch::channel(false);
    let listeners = Listeners::bind(&config, &scheme, queues.clone(), stopped.clone(), &shared)?;
    let agents_address = listeners.tls_address();
    let listening = listeners.serve();
    let admin = if config.admin_socket.as_os_str().is_empty() {
        None
    } else {
        let handler = Arc::new(Daemon::new(Arc::clone(&shared), to_coordinator.clone()));
        let socket = AdminSocket::bind(&config.admin_socket)?;
        Some(tokio::spawn(socket.serve(handler)))
    };
    let metrics_address = serve_metrics(&config, recorder, &shared, stopped).await?;
    tracing::info!(
        agents = agents_address.map(tracing::field::display),
        socket = config
            .router
            .socket
            .as_ref()
            .map(|path| tracing::field::display(path.display())),
        metrics = metrics_address.map(tracing::field::display),
        writer = facts.writer,
        cluster = config.writer.cluster_name,
        "listening",
    );
    // Not under systemd: nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);

    let ended = tokio::select! {
        ended = coordinator.run() => ended,
        () = stop_asked(&to_coordinator, config.indexer.request_deadline + STOP_GRACE) => {
            tracing::warn!("not everything was answered in time; the next start waits before it deletes");
            Ok(Ended::Unclean)
        }
    };
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    // Readers end, shards let go of their connections, writers take the last answers along.
    let _ = stop.send(true);
    drop(coordinator);
    drop(queues);
    if tokio::time::timeout(DRAIN_TIMEOUT, listening.ended())
        .await
        .is_err()
    {
        tracing::warn!("some agents did not take their last answer; they will ask again");
    }
    certificates.abort();
    if let Some(admin) = admin {
        admin.abort();
    }
    if ended.as_ref().is_ok_and(|ended| *ended == Ended::Clean) {
        for thread in threads {
            if thread.join().is_err() {
                return Err(ServeError::Abort(
                    "a shard's thread has panicked".to_owned(),
                ));
            }
        }
    }
    ended
}

async fn serve_metrics(
    config: &Config,
    recorder: Option<PrometheusHandle>,
    shared: &Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) -> Result<Option<std::net::SocketAddr>, ServeError> {
    let Some((address, recorder)) = config.metrics_listen.zip(recorder) else {
        return Ok(None);
    };
    let listener = MetricsListener::bind(address, recorder).await?;
    let address = listener.address().ok();
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let health = move || -> Health { shared.health() };
        let stop = async move {
            // An error means that the daemon is gone: that is a stop, too.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        if let Err(error) = listener.serve(health, stop).await {
            tracing::error!(%error, "metrics are not served any more");
        }
    });
    Ok(address)
}

/// Waits for a signal, asks for a stop, and returns when that has taken too long or is asked for again.
async fn stop_asked(coordinator: &mpsc::UnboundedSender<coordinator::Message>, limit: Duration) {
    let mut signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be received: only SIGKILL stops this process");
            return std::future::pending().await;
        }
    };
    signals.next().await;
    tracing::info!("stopping: sessions are answered, then the process ends");
    // A coordinator that is gone has ended the process already.
    let _ = coordinator.send(coordinator::Message::shutdown());
    tokio::select! {
        () = signals.next() => {}
        () = tokio::time::sleep(limit) => {}
    }
}

/// Random bytes of the operating system.
fn random<const N: usize>() -> Result<[u8; N], ServeError> {
    entropy::bytes().map_err(|cause| ServeError::System {
        what: "random numbers",
        cause: cause.to_string(),
    })
}

fn random_u64() -> Result<u64, ServeError> {
    random().map(u64::from_le_bytes)
}
