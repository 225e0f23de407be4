//! The configuration: `inventory-sync.toml`, an existing `ossec.conf`, the environment and flags.
//!
//! ```text
//!  defaults < ossec.conf <indexer> < inventory-sync.toml < INVENTORY_SYNC_* < --set KEY=VALUE
//!                                    │
//!                        Settings: one checked value per key, with its origin ──▶ --print-config
//!                                    │
//!                        Config: types, orders between settings, what is not built
//! ```
//!
//! Invariants: every setting stands in one table ([`SETTINGS`](settings::SETTINGS)) with its unit, range and
//! default; unknown keys are refused with their line; all errors are reported at once; a password
//! is never taken from an argument and never printed (`docs/protocol.md` section 10).

mod error;
mod host;
mod layers;
mod orders;
mod ossec;
pub mod print;
pub mod settings;
#[cfg(test)]
mod tests;
mod typed;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use error::{ConfigError, ConfigErrors, Origin};
pub use host::Host;
pub use layers::{DEFAULT_FILES, Settings, Sources, Value};
use typed::Reader;

/// What a command needs from the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// All of it: where the Indexer is must be known.
    Indexer,
    /// Only what has a default, such as the admin socket.
    Local,
}

/// The whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the Indexer is and how it is spoken to.
    pub indexer: IndexerConfig,
    /// Where agents and relays connect.
    pub router: RouterConfig,
    /// Sessions: times and quotas.
    pub session: SessionConfig,
    /// The one writer of a cluster.
    pub writer: WriterConfig,
    /// Each module's indices; disjoint.
    pub modules: BTreeMap<String, Vec<String>>,
    /// The store.
    pub store: StoreConfig,
    /// The admin socket; an empty path switches it off.
    pub admin_socket: PathBuf,
    /// `/metrics` and `/healthz`, loopback only.
    pub metrics_listen: Option<SocketAddr>,
    /// Logs.
    pub log: LogConfig,
    /// Things that work but are probably not meant.
    pub warnings: Vec<String>,
}

/// `[indexer]`.
#[derive(Clone, Debug)]
pub struct IndexerConfig {
    /// At least one, unless only [`Need::Local`] was asked for.
    pub hosts: Vec<Host>,
    /// PEM files.
    pub certificate_authorities: Vec<PathBuf>,
    /// Certificate chain and key, as PEM files.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// User and password for basic authentication.
    pub credentials: Option<Credentials>,
    /// TCP and TLS together.
    pub connect_timeout: Duration,
    /// `timeout` told to the Indexer.
    pub request_timeout: Duration,
    /// Our own deadline for a request.
    pub request_deadline: Duration,
    /// How long a request of unknown outcome may still be applied.
    pub late_write_bound: Duration,
    /// A session's time from its dispatch.
    pub delivery_deadline: Duration,
    /// First pause before a retry.
    pub retry_base: Duration,
    /// Longest pause before a retry.
    pub retry_max: Duration,
    /// Pause between two looks at the health.
    pub health_interval: Duration,
    /// Bulk requests at once, per shard.
    pub concurrency_max: u32,
    /// Size of a bulk request, uncompressed.
    pub bulk_max_bytes: u64,
    /// Operations of a bulk request.
    pub bulk_operations_max: u32,
    /// How long a listing waits for company.
    pub listing_linger: Duration,
    /// From a session's dispatch to its end when an index it needs is paused.
    pub paused_index_deadline: Duration,
    /// How long a bulk request waits for company.
    pub linger: Duration,
    /// Longest answer that is read.
    pub response_max_bytes: u64,
    /// Write although a template is missing or different.
    pub write_without_template: bool,
}

/// User and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password; never shown, also not by `Debug`.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// `[router]`.
#[derive(Clone, Debug)]
pub struct RouterConfig {
    /// Topic.
    pub topic: String,
    /// Subscriber.
    pub subscriber: String,
    /// Unix socket for relays and the local agent.
    pub socket: Option<PathBuf>,
    /// Users whose connections speak for any agent.
    pub relay_uids: Vec<u32>,
    /// TLS for agents.
    pub tls: Option<RouterTls>,
    /// Time for a TLS handshake.
    pub handshake_timeout: Duration,
    /// Connections at once.
    pub connections_max: u32,
    /// Unreadable frames in a row before an agent's own connection is closed.
    pub bad_frames_max: u32,
    /// Bytes of a connection that are read and not yet stored.
    pub connection_max_bytes: u64,
    /// Longest frame.
    pub max_message_bytes: u32,
}

/// TLS 1.3 for agents, with client certificates.
#[derive(Clone, Debug)]
pub struct RouterTls {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Our certificate chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Who signs agents' certificates.
    pub client_ca: PathBuf,
}

/// `[session]`.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Wait for an agent that says nothing.
    pub idle_timeout: Duration,
    /// Longest life of a session.
    pub session_max: Duration,
    /// Shortest wait told to refused agents.
    pub retry_after: Duration,
    /// How long a verdict can be asked for again.
    pub verdict_kept: Duration,
    /// Threads of the machine.
    pub shards: u32,
    /// Live sessions at once.
    pub sessions_max: u64,
    /// Items: all sessions, one agent's, one session's.
    pub max_items: Quota,
    /// Staged bytes: all sessions, one agent's, one session's.
    pub max_bytes: Quota,
    /// Kept verdicts.
    pub verdicts_max_bytes: u64,
    /// Older peers are refused.
    pub protocol_version_min: u16,
}

/// A quota on three levels; `session <= agent <= global`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// All live sessions.
    pub global: u64,
    /// The live sessions of one agent.
    pub agent: u64,
    /// One session.
    pub session: u64,
}

/// `[writer]`.
#[derive(Clone, Debug)]
pub struct WriterConfig {
    /// Name of the cluster, `[a-z0-9-]+`.
    pub cluster_name: String,
    /// Name of this writer; `None`: the store knows it or makes one.
    pub id: Option<String>,
    /// Lease.
    pub lease: Duration,
    /// Pause between renewals.
    pub renew: Duration,
    /// How far ahead of the clock the durable bound is kept.
    pub bound_ahead: Duration,
}

/// `[store]`.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Directory.
    pub path: PathBuf,
    /// Memory for staged data.
    pub write_buffer_bytes: u64,
}

/// `[log]`.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// JSON lines instead of text.
    pub json: bool,
    /// Filter, as `LEVEL` or `TARGET=LEVEL,…`.
    pub filter: String,
}

impl Config {
    /// Reads every source and checks all of it.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, each with where it stands.
    pub fn load(sources: &Sources, need: Need) -> Result<Self, ConfigErrors> {
        Self::from_settings(Settings::read(sources), need)
    }

    /// Gives the settings their types and checks what they mean together.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn from_settings(settings: Settings, need: Need) -> Result<Self, ConfigErrors> {
        let mut reader = Reader {
            errors: Vec::new(),
            warnings: settings.warnings.clone(),
            settings: &settings,
        };
        reader.check_orders();
        reader.check_not_built();
        let config = Config {
            indexer: reader.indexer(need),
            router: reader.router(),
            session: reader.session(),
            writer: reader.writer(),
            modules: reader.modules(),
            store: StoreConfig {
                path: reader.path("store.path"),
                write_buffer_bytes: reader.number("store.write_buffer_bytes"),
            },
            admin_socket: reader.path("admin.socket"),
            metrics_listen: reader.metrics(),
            log: LogConfig {
                json: reader.text("log.format") == "json",
                filter: reader.text("log.filter"),
            },
            warnings: Vec::new(),
        };
        let (warnings, errors) = (reader.warnings, reader.errors);
        let mut all = settings.errors;
        all.extend(errors);
        if all.is_empty() {
            Ok(Config { warnings, ..config })
        } else {
            Err(ConfigErrors::of(all))
        }
    }
}

/// The indices of a module that is not configured: those of the field table.
pub(crate) fn default_indices(module: &str) -> Vec<String> {
    inventory_sync_schemas::fields::module_indices(module)
        .map(|index| index.name.to_owned())
        .collect()
}
