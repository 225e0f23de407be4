//! From checked single values to the typed configuration, and the rules between settings.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::error::{ConfigError, Origin};
use super::host::{HostError, parse_host, redacted_url};
use super::layers::{Settings, Value};
use super::orders::ORDERS;
use super::settings::{self, PASSWORD_VARIABLE};
use super::{
    Credentials, Host, IndexerConfig, Need, Quota, RouterConfig, RouterTls, SessionConfig,
    WriterConfig,
};

/// Reads typed values and collects what is wrong.
pub(super) struct Reader<'a> {
    pub settings: &'a Settings,
    pub errors: Vec<ConfigError>,
    pub warnings: Vec<String>,
}

impl Reader<'_> {
    pub(super) fn number(&self, key: &str) -> u64 {
        match self.settings.get(key).0 {
            Value::Integer(number) => *number,
            _ => 0,
        }
    }

    /// A number whose range in the table fits 32 bits.
    fn small(&self, key: &str) -> u32 {
        u32::try_from(self.number(key)).unwrap_or(u32::MAX)
    }

    fn time(&self, key: &str) -> Duration {
        Duration::from_millis(self.number(key))
    }

    pub(super) fn text(&self, key: &str) -> String {
        match self.settings.get(key).0 {
            Value::Text(text) => text.clone(),
            _ => String::new(),
        }
    }

    fn some_text(&self, key: &str) -> Option<String> {
        Some(self.text(key)).filter(|text| !text.is_empty())
    }

    pub(super) fn path(&self, key: &str) -> PathBuf {
        PathBuf::from(self.text(key))
    }

    fn list(&self, key: &str) -> Vec<String> {
        match self.settings.get(key).0 {
            Value::List(list) => list.clone(),
            _ => Vec::new(),
        }
    }

    fn flag(&self, key: &str) -> bool {
        matches!(self.settings.get(key).0, Value::Flag(true))
    }

    fn origin(&self, key: &str) -> Origin {
        self.settings.get(key).1.clone()
    }

    fn unusable(&mut self, key: &str, message: impl Into<String>) {
        let origin = self.origin(key);
        self.errors.push(ConfigError::Unusable {
            origin,
            key: key.to_owned(),
            message: message.into(),
        });
    }

    fn missing(&mut self, key: &'static str, message: impl Into<String>) {
        self.errors.push(ConfigError::Missing {
            key,
            message: message.into(),
        });
    }

    pub(super) fn check_orders(&mut self) {
        for order in ORDERS {
            let (lesser, greater) = (self.number(order.lesser), self.number(order.greater));
            if lesser < greater || (!order.strict && lesser == greater) {
                continue;
            }
            self.errors.push(ConfigError::Order {
                lesser: order.lesser,
                lesser_value: lesser,
                lesser_origin: self.origin(order.lesser),
                relation: if order.strict { "less than" } else { "at most" },
                greater: order.greater,
                greater_value: greater,
                greater_origin: self.origin(order.greater),
                unit: settings::setting(order.lesser).map_or("", settings::Setting::unit),
                why: order.why,
            });
        }
    }

    pub(super) fn check_not_built(&mut self) {
        if self.text("session.full_replacement") == "delete-by-query" {
            self.errors.push(ConfigError::NotBuilt {
                origin: self.origin("session.full_replacement"),
                key: "session.full_replacement",
                value: "\"delete-by-query\"",
                instead: "leave it at \"diff\", which replaces without a window in which documents are gone",
            });
        }
        if self.flag("session.resume") {
            self.errors.push(ConfigError::NotBuilt {
                origin: self.origin("session.resume"),
                key: "session.resume",
                value: "true",
                instead: "leave it at false; after a restart agents send again what was not acknowledged",
            });
        }
    }

    pub(super) fn indexer(&mut self, need: Need) -> IndexerConfig {
        let hosts = self.hosts();
        let certificate_authorities: Vec<_> = self
            .list("indexer.certificate_authorities")
            .into_iter()
            .map(PathBuf::from)
            .collect();
        if need == Need::Indexer {
            if self.list("indexer.hosts").is_empty() {
                self.missing(
                    "indexer.hosts",
                    "where is the Indexer? Write `[indexer]` and `hosts = [\"https://NAME:9200\"]` into inventory-sync.toml, or name an existing file with --ossec-conf",
                );
            }
            if certificate_authorities.is_empty() {
                self.missing(
                    "indexer.certificate_authorities",
                    "who vouches for the Indexer? Name the PEM file of the authority that signed its certificate; the system's own authorities are not used",
                );
            }
        }
        IndexerConfig {
            hosts,
            certificate_authorities,
            client_certificate: self.client_certificate(),
            credentials: self.credentials(),
            connect_timeout: self.time("indexer.connect_timeout_ms"),
            request_timeout: self.time("indexer.request_timeout_ms"),
            request_deadline: self.time("indexer.request_deadline_ms"),
            late_write_bound: self.time("indexer.late_write_bound_ms"),
            delivery_deadline: self.time("indexer.delivery_deadline_ms"),
            retry_base: self.time("indexer.retry_base_ms"),
            retry_max: self.time("indexer.retry_max_ms"),
            health_interval: self.time("indexer.health_interval_ms"),
            concurrency_max: self.small("indexer.concurrency_max"),
            bulk_max_bytes: self.number("indexer.bulk_max_bytes"),
            bulk_operations_max: self.small("indexer.bulk_operations_max"),
            listing_linger: self.time("indexer.listing_linger_ms"),
            paused_index_deadline: self.time("indexer.paused_index_deadline_ms"),
            linger: self.time("indexer.linger_ms"),
            response_max_bytes: self.number("indexer.response_max_bytes"),
            write_without_template: self.flag("indexer.write_without_template"),
        }
    }

    fn hosts(&mut self) -> Vec<Host> {
        let mut hosts: Vec<Host> = Vec::new();
        for url in self.list("indexer.hosts") {
            match parse_host(&url) {
                Ok(host) if hosts.contains(&host) => {
                    self.unusable("indexer.hosts", format!("{url:?} is named twice"));
                }
                Ok(host) => {
                    if host.is_unspecified() {
                        let origin = self.origin("indexer.hosts");
                        self.warnings.push(format!(
                            "{origin}: {url} is an address to listen on, not one to connect to; write the Indexer's name as its certificate has it"
                        ));
                    }
                    hosts.push(host);
                }
                Err(HostError::Plaintext) => {
                    let origin = self.origin("indexer.hosts");
                    self.errors.push(ConfigError::Plaintext {
                        origin,
                        url: redacted_url(&url),
                    });
                }
                Err(HostError::Unusable(why)) => {
                    self.unusable("indexer.hosts", format!("{:?} {why}", redacted_url(&url)));
                }
            }
        }
        hosts
    }

    fn client_certificate(&mut self) -> Option<(PathBuf, PathBuf)> {
        match (
            self.some_text("indexer.certificate"),
            self.some_text("indexer.key"),
        ) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None) => None,
            (Some(_), None) => {
                self.missing(
                    "indexer.key",
                    "indexer.certificate is set and needs the file of its key",
                );
                None
            }
            (None, Some(_)) => {
                self.missing(
                    "indexer.certificate",
                    "indexer.key is set and needs the file of its certificate",
                );
                None
            }
        }
    }

    fn credentials(&mut self) -> Option<Credentials> {
        let user = self.some_text("indexer.user");
        let file = self.some_text("indexer.password_file");
        let Some(user) = user else {
            if file.is_some() || self.settings.password.is_some() {
                self.missing(
                    "indexer.user",
                    "there is a password, but no user it belongs to",
                );
            }
            return None;
        };
        if user.contains(':') {
            self.unusable(
                "indexer.user",
                "a user's name cannot contain a colon in HTTP basic authentication",
            );
        }
        let password = match (&self.settings.password, file) {
            (Some(password), _) => password.clone(),
            (None, Some(file)) => match std::fs::read_to_string(&file) {
                Ok(text) => text.lines().next().unwrap_or_default().to_owned(),
                Err(cause) => {
                    self.unusable(
                        "indexer.password_file",
                        format!("{file} cannot be read: {cause}"),
                    );
                    return None;
                }
            },
            (None, None) => {
                self.missing(
                    "indexer.password_file",
                    format!("indexer.user is set and needs a password: name a file that holds it, or set {PASSWORD_VARIABLE} in the environment"),
                );
                return None;
            }
        };
        if password.is_empty() {
            self.unusable("indexer.password_file", "the password is empty");
        }
        Some(Credentials { user, password })
    }

    pub(super) fn router(&mut self) -> RouterConfig {
        let mut relay_uids = Vec::new();
        for text in self.list("router.relay_uids") {
            match text.parse() {
                Ok(uid) => relay_uids.push(uid),
                Err(_) => self.unusable(
                    "router.relay_uids",
                    format!("{text:?} is not a numeric user id"),
                ),
            }
        }
        RouterConfig {
            topic: self.text("router.topic"),
            subscriber: self.text("router.subscriber"),
            socket: self.some_text("router.socket").map(PathBuf::from),
            relay_uids,
            tls: self.router_tls(),
            handshake_timeout: self.time("router.handshake_timeout_ms"),
            connections_max: self.small("router.connections_max"),
            bad_frames_max: self.small("router.bad_frames_max"),
            connection_max_bytes: self.number("router.connection_max_bytes"),
            max_message_bytes: self.small("router.max_message_bytes"),
        }
    }

    fn router_tls(&mut self) -> Option<RouterTls> {
        let listen = self.listen("router.tls_listen")?;
        let mut file = |key: &'static str, what: &str| {
            let path = self.some_text(key);
            if path.is_none() {
                self.missing(key, format!("router.tls_listen is set and needs {what}"));
            }
            path.map(PathBuf::from)
        };
        let certificate = file("router.tls_certificate", "the certificate shown to agents");
        let key = file("router.tls_key", "the key of that certificate");
        let client_ca = file(
            "router.tls_client_ca",
            "the authority that signs agents' certificates",
        );
        Some(RouterTls {
            listen,
            certificate: certificate?,
            key: key?,
            client_ca: client_ca?,
        })
    }

    fn listen(&mut self, key: &str) -> Option<SocketAddr> {
        let text = self.some_text(key)?;
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                self.unusable(key, format!("{text:?} is not an address with a port, such as 127.0.0.1:9601 or [::]:1514"));
                None
            }
        }
    }

    pub(super) fn metrics(&mut self) -> Option<SocketAddr> {
        let address = self.listen("metrics.listen")?;
        if !address.ip().is_loopback() {
            self.unusable(
                "metrics.listen",
                format!("{address} can be reached from other machines, and metrics have neither TLS nor passwords: use 127.0.0.1 or [::1]"),
            );
        }
        Some(address)
    }

    pub(super) fn session(&self) -> SessionConfig {
        let quota = |what: &str| Quota {
            global: self.number(&format!("session.global_max_{what}")),
            agent: self.number(&format!("session.agent_max_{what}")),
            session: self.number(&format!("session.session_max_{what}")),
        };
        SessionConfig {
            idle_timeout: self.time("session.idle_timeout_ms"),
            session_max: self.time("session.session_max_ms"),
            retry_after: self.time("session.retry_after_ms"),
            verdict_kept: self.time("session.verdict_kept_ms"),
            shards: self.small("session.shards"),
            sessions_max: self.number("session.sessions_max"),
            max_items: quota("items"),
            max_bytes: quota("bytes"),
            verdicts_max_bytes: self.number("session.verdicts_max_bytes"),
            protocol_version_min: u16::try_from(self.number("session.protocol_version_min"))
                .unwrap_or(u16::MAX),
        }
    }

    pub(super) fn writer(&mut self) -> WriterConfig {
        let cluster_name = self.text("writer.cluster_name");
        let fits = |name: &str| {
            name.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if cluster_name.is_empty() || cluster_name.len() > 64 || !fits(&cluster_name) {
            self.unusable(
                "writer.cluster_name",
                format!("{cluster_name:?} is not a cluster name: 1 to 64 of a-z, 0-9 and -, since it begins every document's id"),
            );
        }
        let id = self.some_text("writer.id");
        if id
            .as_ref()
            .is_some_and(|id| id.len() > 64 || id.chars().any(char::is_control))
        {
            self.unusable(
                "writer.id",
                "must be 1 to 64 bytes without control characters",
            );
        }
        WriterConfig {
            cluster_name,
            id,
            lease: self.time("writer.lease_ms"),
            renew: self.time("writer.renew_ms"),
            bound_ahead: self.time("writer.bound_ahead_ms"),
        }
    }

    pub(super) fn modules(&mut self) -> BTreeMap<String, Vec<String>> {
        let mut modules = BTreeMap::new();
        let mut owner: BTreeMap<String, String> = BTreeMap::new();
        let keys: Vec<_> = self
            .settings
            .all()
            .filter(|(key, ..)| key.starts_with("modules."))
            .map(|(key, ..)| key.to_owned())
            .collect();
        for key in keys {
            let module = key.trim_start_matches("modules.").to_owned();
            let indices = self.list(&key);
            for index in &indices {
                if !is_index_name(index) {
                    self.unusable(&key, format!("{index:?} is not an exact index name: lower case, no wildcard, no comma, at most 255 bytes"));
                }
                if let Some(other) = owner.insert(index.clone(), module.clone()) {
                    self.unusable(
                        &key,
                        format!("{index} belongs to {other} already; an index has one module"),
                    );
                }
            }
            if !indices.is_empty() {
                modules.insert(module, indices);
            }
        }
        modules
    }
}

/// The Indexer's own rule for names, without what it allows only to itself (a leading dot).
fn is_index_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with(['-', '_', '+', '.'])
        && name.bytes().all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.' | b'+')
        })
}
