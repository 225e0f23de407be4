//! What a test starts with: a cluster of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use inventory_sync_core::wire::AgentInfo;
use tempfile::TempDir;

use crate::agent::TestAgent;
use crate::certs::{Pki, client_config};
use crate::connection::{Address, Endpoint};
use crate::daemon::Setup;
use crate::document::{self, Document};
use crate::indexer::{Access, Indexer};

/// Times, in the order that they must have, longer than a machine of tests is ever held up: nothing is given up or
/// taken for lost because of its pace, and what is not a matter of time does not depend on it.
const PATIENT_TIMES: &[(&str, u64)] = &[
    ("indexer.connect_timeout_ms", 10_000),
    ("indexer.request_timeout_ms", 12_000),
    ("indexer.request_deadline_ms", 15_000),
    ("indexer.late_write_bound_ms", 20_000),
    ("indexer.delivery_deadline_ms", 45_000),
    ("indexer.paused_index_deadline_ms", 20_000),
    ("session.idle_timeout_ms", 30_000),
    ("writer.lease_ms", 30_000),
    ("writer.renew_ms", 500),
];

/// Short ones, for tests in which requests are lost, leases end and daemons are killed: what has to be waited for
/// comes soon.
const SHORT_TIMES: &[(&str, u64)] = &[
    ("indexer.connect_timeout_ms", 1_500),
    ("indexer.request_timeout_ms", 1_500),
    ("indexer.request_deadline_ms", 2_000),
    ("indexer.late_write_bound_ms", 2_500),
    ("indexer.delivery_deadline_ms", 20_000),
    ("indexer.paused_index_deadline_ms", 3_000),
    ("session.idle_timeout_ms", 10_000),
    ("writer.lease_ms", 4_000),
    ("writer.renew_ms", 500),
];

/// The same where the Indexer is a real one on a small machine.
const SHORT_REAL_TIMES: &[(&str, u64)] = &[
    ("indexer.connect_timeout_ms", 1_000),
    ("indexer.request_timeout_ms", 3_000),
    ("indexer.request_deadline_ms", 4_000),
    ("indexer.late_write_bound_ms", 5_000),
    ("indexer.delivery_deadline_ms", 30_000),
    ("indexer.paused_index_deadline_ms", 10_000),
    ("session.idle_timeout_ms", 10_000),
    ("writer.lease_ms", 15_000),
    ("writer.renew_ms", 1_000),
];

/// Of commands, which are in no hurry.
const COMMAND_TIMES: &[(&str, u64)] = &[
    ("indexer.connect_timeout_ms", 10_000),
    ("indexer.request_timeout_ms", 15_000),
    ("indexer.request_deadline_ms", 20_000),
    ("indexer.late_write_bound_ms", 30_000),
    ("indexer.delivery_deadline_ms", 60_000),
];

/// Of all.
const TIMES: &[(&str, u64)] = &[
    ("indexer.retry_base_ms", 20),
    ("indexer.retry_max_ms", 200),
    ("indexer.health_interval_ms", 100),
    ("session.session_max_ms", 120_000),
    ("session.retry_after_ms", 20),
];

/// A cluster name, certificates, a folder and an Indexer.
pub struct World {
    /// The cluster's name, which no other test has.
    pub cluster: String,
    /// The certificates of agents and of the daemon.
    pub pki: Pki,
    /// Where documents end.
    pub indexer: Indexer,
    /// Where the daemon listens.
    pub address: Address,
    folder: TempDir,
}

impl World {
    /// With the real Indexer that the environment names, else a stand-in, and the templates there.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let world = match Access::of_environment() {
            Some(access) => Self::around(name, |_| Indexer::real(access)),
            None => Self::around(name, Indexer::stand_in),
        };
        world.install_templates();
        world
    }

    /// With a stand-in and the templates there; `None`, which is printed, where a real one is to be used.
    #[must_use]
    pub fn with_faults(name: &str) -> Option<Self> {
        let world = Self::without_templates(name)?;
        world.install_templates();
        Some(world)
    }

    /// With an empty stand-in; `None`, which is printed, where a real one is to be used.
    #[must_use]
    pub fn without_templates(name: &str) -> Option<Self> {
        if is_real(name) {
            return None;
        }
        Some(Self::around(name, Indexer::stand_in))
    }

    /// With a stand-in that does not run; `None`, which is printed, where a real one is to be used.
    #[must_use]
    pub fn without_indexer(name: &str) -> Option<Self> {
        if is_real(name) {
            return None;
        }
        Some(Self::around(name, Indexer::stopped_stand_in))
    }

    /// With that Indexer, and nothing done to it.
    ///
    /// # Panics
    /// When there is no room for a folder.
    #[must_use]
    pub fn around(name: &str, indexer: impl FnOnce(&Pki) -> Indexer) -> Self {
        // For reqwest, which asks for "the" provider; the second of two tests finds it installed.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::Builder::new()
            .prefix("inventory-")
            .tempdir()
            .unwrap();
        let pki = Pki::new(&folder.path().join("certs"));
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self {
            cluster: format!("{name}-{:x}", started.as_micros()),
            indexer: indexer(&pki),
            pki,
            address: Address::default(),
            folder,
        }
    }

    /// Where everything of it lies; removed with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Keeps the folder for people to look into.
    pub fn keep(&mut self) {
        self.folder.disable_cleanup(true);
    }

    /// Lets other users of this machine reach the sockets.
    ///
    /// # Panics
    /// When the folder is not ours.
    pub fn open_folder(&self) {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.folder.path(), mode).unwrap();
    }

    /// Installs the templates as an operator does.
    ///
    /// # Panics
    /// When that fails.
    pub fn install_templates(&self) {
        // Tests share a real Indexer: one installs, the others find everything there.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let _printed = self.commands().ask(&["templates", "install"]);
    }

    /// How a daemon is started here, with times that no busy machine reaches.
    #[must_use]
    pub fn setup(&self) -> Setup {
        self.setup_in("daemon")
    }

    /// How a daemon is started here that is about to lose requests, its lease or its life. On a busy machine some of
    /// its times may be over before anything happened: its agents must be such as come again.
    #[must_use]
    pub fn hurried(&self) -> Setup {
        self.hurried_in("daemon")
    }

    /// How commands are run here that speak to the Indexer themselves.
    #[must_use]
    pub fn commands(&self) -> Setup {
        self.setup().with_all(COMMAND_TIMES)
    }

    /// How one more daemon is started here, with a store and sockets of its own.
    ///
    /// # Panics
    /// When its folder cannot be made.
    #[must_use]
    pub fn setup_in(&self, name: &str) -> Setup {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let access = self.indexer.access();
        let mut settings = BTreeMap::new();
        for (key, ms) in PATIENT_TIMES.iter().chain(TIMES) {
            settings.insert(*key, ms.to_string());
        }
        settings.extend(places(&folder, access, &self.pki, &self.cluster));
        settings.insert("log.filter", "info,inventory_sync=debug".to_owned());
        Setup {
            folder,
            settings,
            password: access.user.as_ref().map(|(_, password)| password.clone()),
            address: self.address.clone(),
        }
    }

    /// The same in a hurry.
    #[must_use]
    pub fn hurried_in(&self, name: &str) -> Setup {
        let times = if self.indexer.is_stand_in() {
            SHORT_TIMES
        } else {
            SHORT_REAL_TIMES
        };
        self.setup_in(name).with_all(times)
    }

    /// The daemon over TLS, for an agent with a certificate of ours.
    #[must_use]
    pub fn endpoint(&self, agent: u64) -> Endpoint {
        let identity = self.pki.agent(agent);
        let versions = &[&rustls::version::TLS13];
        Endpoint::Tls {
            address: self.address.clone(),
            config: Arc::new(client_config(
                self.pki.authority_pem(),
                Some(&identity),
                versions,
            )),
        }
    }

    /// An honest agent's `syscollector`.
    #[must_use]
    pub fn agent(&self, id: u64) -> TestAgent {
        TestAgent::new(self.endpoint(id), id, "syscollector", |_| {})
    }

    /// Checks that exactly these documents of an agent are in these indices, byte for byte.
    ///
    /// # Panics
    /// When they are not.
    pub async fn check(&self, indices: &[&str], agent: u64, documents: &[Document]) {
        let info = document::agent_info(agent);
        self.check_with(indices, agent, &info, documents).await;
    }

    /// The same for an agent that says something else of itself.
    ///
    /// # Panics
    /// When they are not.
    pub async fn check_with(
        &self,
        indices: &[&str],
        agent: u64,
        info: &AgentInfo,
        documents: &[Document],
    ) {
        let cluster = &self.cluster;
        let mut found = self.indexer.documents(indices, cluster, agent).await;
        let overlay = document::overlay(cluster, agent, info);
        for wanted in documents {
            let id = format!("{cluster}_{agent:03}_{}", wanted.id);
            let stored = found.remove(&(wanted.index.clone(), id.clone()));
            let Some(stored) = stored else {
                panic!("{id} is not in {}", wanted.index);
            };
            if let Err(difference) = document::compare(&stored.source, &wanted.data, &overlay) {
                panic!("{id} in {}: {difference}", wanted.index);
            }
        }
        let rest: Vec<_> = found.keys().collect();
        assert!(rest.is_empty(), "documents that should be gone: {rest:?}");
    }
}

/// The settings of a daemon that are about places: where the Indexer is, where it listens, what it keeps where.
pub(crate) fn places(
    folder: &std::path::Path,
    access: &Access,
    pki: &Pki,
    cluster: &str,
) -> BTreeMap<&'static str, String> {
    let mut settings = BTreeMap::new();
    let path = |path: &std::path::Path| path.display().to_string();
    let texts = [
        ("indexer.hosts", access.url.clone()),
        ("indexer.certificate_authorities", path(&access.authority)),
        ("router.tls_listen", "127.0.0.1:0".to_owned()),
        ("router.tls_certificate", path(&pki.server_file())),
        ("router.tls_key", path(&pki.server_key_file())),
        ("router.tls_client_ca", path(&pki.authority_file())),
        ("router.socket", path(&folder.join("router.sock"))),
        ("admin.socket", path(&folder.join("admin.sock"))),
        ("metrics.listen", "127.0.0.1:0".to_owned()),
        ("store.path", path(&folder.join("store"))),
        ("writer.cluster_name", cluster.to_owned()),
        ("log.format", "json".to_owned()),
    ];
    settings.extend(texts);
    if let Some((certificate, key)) = &access.certificate {
        settings.insert("indexer.certificate", path(certificate));
        settings.insert("indexer.key", path(key));
    }
    if let Some((user, _)) = &access.user {
        settings.insert("indexer.user", user.clone());
    }
    settings
}

fn is_real(name: &str) -> bool {
    let is_real = Access::of_environment().is_some();
    if is_real {
        println!("skipped: {name} injects faults, which needs the stand-in Indexer");
    }
    is_real
}
