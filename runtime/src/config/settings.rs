//! The one table of settings: key, kind, range, default, what it means.
//!
//! Everything else about the configuration is derived from it: which keys a file may contain, the
//! names in the environment, the range checks and their sentences, `--print-config`, and
//! `docs/configuration.md`.

/// What kind of value a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A path; relative ones count from the working directory.
    Path,
    /// A socket address such as `127.0.0.1:9601`; empty switches the listener off.
    Listen,
    /// A whole number from `min` to `max`, both included; the unit is the last word of the key.
    Integer {
        /// The least value accepted.
        min: u64,
        /// The greatest value accepted.
        max: u64,
    },
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of texts; in the environment and in `--set`, separated by commas.
    List,
}

/// What a setting is when nobody sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// This text.
    Text(&'static str),
    /// This number.
    Integer(u64),
    /// This flag.
    Flag(bool),
    /// An empty list.
    EmptyList,
    /// The indices of this module, as the field table of `inventory-sync-schemas` names them.
    ModuleIndices,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// `section.name`, as in the file.
    pub key: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it is when nobody sets it.
    pub default: Default,
    /// What it means, in one sentence.
    pub meaning: &'static str,
}

impl Setting {
    /// The name of the environment variable that sets it.
    #[must_use]
    pub fn environment_name(&self) -> String {
        format!(
            "{ENVIRONMENT_PREFIX}{}",
            self.key.replace('.', "_").to_ascii_uppercase()
        )
    }

    /// The unit of a number, for sentences: the last word of the key decides.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        if self.key.ends_with("_ms") {
            " ms"
        } else if self.key.ends_with("_bytes") {
            " bytes"
        } else if self.key.ends_with("_items") {
            " items"
        } else {
            ""
        }
    }
}

/// Every environment variable of this program begins with this.
pub const ENVIRONMENT_PREFIX: &str = "INVENTORY_SYNC_";

/// The only way beside `indexer.password_file` to give the password: a process's arguments are
/// visible to every user of the machine.
pub const PASSWORD_VARIABLE: &str = "INVENTORY_SYNC_INDEXER_PASSWORD";

/// Names the configuration file when no `--config` does.
pub const CONFIG_VARIABLE: &str = "INVENTORY_SYNC_CONFIG";

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const HOUR_MS: u64 = 3_600_000;

const fn text(key: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting {
        key,
        kind: Kind::Text,
        default: Default::Text(default),
        meaning,
    }
}

const fn path(key: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting {
        key,
        kind: Kind::Path,
        default: Default::Text(default),
        meaning,
    }
}

const fn listen(key: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting {
        key,
        kind: Kind::Listen,
        default: Default::Text(default),
        meaning,
    }
}

const fn list(key: &'static str, meaning: &'static str) -> Setting {
    Setting {
        key,
        kind: Kind::List,
        default: Default::EmptyList,
        meaning,
    }
}

const fn module(key: &'static str, meaning: &'static str) -> Setting {
    Setting {
        key,
        kind: Kind::List,
        default: Default::ModuleIndices,
        meaning,
    }
}

const fn flag(key: &'static str, default: bool, meaning: &'static str) -> Setting {
    Setting {
        key,
        kind: Kind::Flag,
        default: Default::Flag(default),
        meaning,
    }
}

const fn number(
    key: &'static str,
    default: u64,
    min: u64,
    max: u64,
    meaning: &'static str,
) -> Setting {
    Setting {
        key,
        kind: Kind::Integer { min, max },
        default: Default::Integer(default),
        meaning,
    }
}

const fn choice(
    key: &'static str,
    default: &'static str,
    of: &'static [&'static str],
    meaning: &'static str,
) -> Setting {
    Setting {
        key,
        kind: Kind::Choice(of),
        default: Default::Text(default),
        meaning,
    }
}

/// Every setting, in the order in which they are shown.
pub const SETTINGS: &[Setting] = &[
    list(
        "indexer.hosts",
        "Where the Indexer is: `https://NAME:PORT`, several allowed; a missing port is 9200.",
    ),
    list(
        "indexer.certificate_authorities",
        "PEM files with the authorities that may vouch for the Indexer; the system's own are not used.",
    ),
    path(
        "indexer.certificate",
        "",
        "PEM file with the certificate shown to the Indexer; empty: none.",
    ),
    path(
        "indexer.key",
        "",
        "PEM file with the key of that certificate.",
    ),
    text(
        "indexer.user",
        "",
        "User for HTTP basic authentication; empty: none.",
    ),
    path(
        "indexer.password_file",
        "",
        "File whose first line is the password; or the environment gives it, never an argument.",
    ),
    number(
        "indexer.connect_timeout_ms",
        3_000,
        10,
        60_000,
        "TCP and TLS together may take this long; then nothing was sent.",
    ),
    number(
        "indexer.request_timeout_ms",
        8_000,
        10,
        600_000,
        "`timeout` told to the Indexer: how long it may wait for a shard.",
    ),
    number(
        "indexer.request_deadline_ms",
        10_000,
        20,
        600_000,
        "After this a request without a whole answer has an unknown outcome.",
    ),
    number(
        "indexer.late_write_bound_ms",
        30_000,
        200,
        600_000,
        "A request of unknown outcome may still be applied for this long; its lanes stay tainted.",
    ),
    number(
        "indexer.delivery_deadline_ms",
        120_000,
        300,
        HOUR_MS,
        "A session of which nothing is delivered for this long ends Offline.",
    ),
    number(
        "indexer.paused_index_deadline_ms",
        30_000,
        50,
        HOUR_MS,
        "A session that needs a paused index ends Offline so long after its dispatch.",
    ),
    number(
        "indexer.retry_base_ms",
        250,
        1,
        60_000,
        "First pause before a retry, jittered, then doubled.",
    ),
    number(
        "indexer.retry_max_ms",
        15_000,
        1,
        600_000,
        "Longest pause before a retry.",
    ),
    number(
        "indexer.health_interval_ms",
        5_000,
        50,
        60_000,
        "Pause between two looks at the Indexer's health.",
    ),
    number(
        "indexer.concurrency_max",
        1,
        1,
        8,
        "Bulk requests at once, per shard of the machine.",
    ),
    number(
        "indexer.bulk_max_bytes",
        10 * MIB,
        64 * KIB,
        100 * MIB,
        "Sessions share a bulk request up to this size, uncompressed; a 413 lowers it.",
    ),
    number(
        "indexer.bulk_operations_max",
        50_000,
        1,
        1_000_000,
        "Operations of one bulk request.",
    ),
    number(
        "indexer.linger_ms",
        5,
        0,
        5_000,
        "A bulk request that is not full waits this long for company.",
    ),
    number(
        "indexer.listing_linger_ms",
        20,
        0,
        5_000,
        "The listing a Full needs waits this long for other agents' to share it.",
    ),
    number(
        "indexer.response_max_bytes",
        64 * MIB,
        MIB,
        GIB,
        "A longer answer is not read: the outcome is unknown.",
    ),
    flag(
        "indexer.write_without_template",
        false,
        "Write to an index although its template is missing or different; mappings are guessed then, for ever.",
    ),
    text(
        "router.topic",
        "inventory-states",
        "Topic the sessions arrive on.",
    ),
    text(
        "router.subscriber",
        "inventory-sync-module",
        "Name of the daemon as a subscriber of that topic.",
    ),
    path(
        "router.socket",
        "/run/inventory-sync/router.sock",
        "Unix socket for relays and the local agent; empty: none.",
    ),
    list(
        "router.relay_uids",
        "User ids whose connections speak for any agent; root and the daemon's own speak for agent 0 alone.",
    ),
    listen(
        "router.tls_listen",
        "",
        "Address for agents over TLS 1.3 with client certificates; empty: none.",
    ),
    path(
        "router.tls_certificate",
        "",
        "PEM file with the certificate shown to agents.",
    ),
    path(
        "router.tls_key",
        "",
        "PEM file with the key of that certificate.",
    ),
    path(
        "router.tls_client_ca",
        "",
        "PEM file with the authority that signs agents' certificates.",
    ),
    number(
        "router.handshake_timeout_ms",
        5_000,
        50,
        60_000,
        "A connection that has not finished TLS by then is closed.",
    ),
    number(
        "router.connections_max",
        16_384,
        1,
        1_000_000,
        "Further connections are closed at once.",
    ),
    number(
        "router.bad_frames_max",
        5,
        1,
        1_000,
        "After so many unreadable frames in a row an agent's own connection is closed.",
    ),
    number(
        "router.max_message_bytes",
        MIB,
        4 * KIB,
        16 * MIB,
        "Longer frames are refused before anything is allocated.",
    ),
    number(
        "router.connection_max_bytes",
        8 * MIB,
        64 * KIB,
        GIB,
        "A connection whose staging is that far behind is not read (a relay's agent gets Overloaded instead).",
    ),
    number(
        "session.idle_timeout_ms",
        10_000,
        50,
        600_000,
        "A session that waits this long for its agent ends in SessionTimeout.",
    ),
    number(
        "session.session_max_ms",
        HOUR_MS,
        1_000,
        24 * HOUR_MS,
        "No session lives longer, counted from its Start.",
    ),
    number(
        "session.retry_after_ms",
        5_000,
        1,
        600_000,
        "Refused agents are told to wait at least this long; jitter adds up to as much again.",
    ),
    number(
        "session.verdict_kept_ms",
        600_000,
        1_000,
        24 * HOUR_MS,
        "An agent can ask for a verdict again for this long.",
    ),
    number(
        "session.shards",
        1,
        1,
        64,
        "Threads that run the machine; agents are spread over them by a hash of their id.",
    ),
    number(
        "session.sessions_max",
        100_000,
        1,
        1_000_000,
        "Live sessions at once; a further Start gets Offline/Overloaded.",
    ),
    number(
        "session.global_max_items",
        64_000_000,
        1,
        1_000_000_000,
        "Items of all live sessions together.",
    ),
    number(
        "session.agent_max_items",
        8_000_000,
        1,
        1_000_000_000,
        "Items of the live sessions of one agent.",
    ),
    number(
        "session.session_max_items",
        4_000_000,
        1,
        1_000_000_000,
        "Items of one session; told to the agent as max_items.",
    ),
    number(
        "session.global_max_bytes",
        8 * GIB,
        64 * KIB,
        1_024 * GIB,
        "Staged bytes of all live sessions together.",
    ),
    number(
        "session.agent_max_bytes",
        2 * GIB,
        64 * KIB,
        1_024 * GIB,
        "Staged bytes of the live sessions of one agent.",
    ),
    number(
        "session.session_max_bytes",
        GIB,
        64 * KIB,
        1_024 * GIB,
        "Staged bytes of one session.",
    ),
    number(
        "session.verdicts_max_bytes",
        64 * MIB,
        64 * KIB,
        4 * GIB,
        "Verdicts kept for agents that ask again; the oldest go first.",
    ),
    number(
        "session.protocol_version_min",
        1,
        0,
        65_535,
        "Peers that state an older one get UnsupportedVersion; base peers, which state none, are always accepted.",
    ),
    choice(
        "session.full_replacement",
        "diff",
        &["diff", "delete-by-query"],
        "How a Full replaces an agent's documents.",
    ),
    flag(
        "session.resume",
        false,
        "Go on with staged sessions after a restart.",
    ),
    text(
        "writer.cluster_name",
        "wazuh",
        "Name of this cluster in every document and id; `[a-z0-9-]`, remembered by the store.",
    ),
    text(
        "writer.id",
        "",
        "Name of this writer; empty: made at the first start and kept in the store.",
    ),
    number(
        "writer.lease_ms",
        30_000,
        200,
        600_000,
        "Without a renewal for this long the daemon sends nothing.",
    ),
    number(
        "writer.renew_ms",
        10_000,
        50,
        300_000,
        "Pause between two renewals of that lease.",
    ),
    number(
        "writer.bound_ahead_ms",
        60_000,
        1_000,
        HOUR_MS,
        "How far ahead of the clock the durable version bound is kept.",
    ),
    module(
        "modules.syscollector",
        "Indices this module may write; the modules' lists may not overlap.",
    ),
    module("modules.fim", "Indices this module may write."),
    module("modules.sca", "Indices this module may write."),
    path(
        "store.path",
        "inventory_sync",
        "Directory of the RocksDB store.",
    ),
    number(
        "store.write_buffer_bytes",
        256 * MIB,
        8 * MIB,
        16 * GIB,
        "Memory for staged data; beyond half of it they go to files.",
    ),
    path(
        "admin.socket",
        "/run/inventory-sync/admin.sock",
        "Unix socket (mode 0600) for `status` and `index resume`.",
    ),
    listen(
        "metrics.listen",
        "127.0.0.1:9601",
        "Loopback address of `/metrics` and `/healthz`; empty: none.",
    ),
    choice(
        "log.format",
        "text",
        &["text", "json"],
        "How log lines are written.",
    ),
    text(
        "log.filter",
        "info",
        "What is logged, as `LEVEL` or `TARGET=LEVEL,…`.",
    ),
];

/// The setting of that key.
#[must_use]
pub fn setting(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// The known key that looks most like `key`, if one is close enough to be what was meant.
#[must_use]
pub fn nearest(key: &str) -> Option<&'static str> {
    let name = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    SETTINGS
        .iter()
        .map(|setting| {
            (
                distance(setting.key, key).min(2 + distance(&name(setting.key), &name(key))),
                setting.key,
            )
        })
        .min()
        .filter(|(far, _)| *far <= 4)
        .map(|(_, key)| key)
}

/// The section that looks most like `name`.
#[must_use]
pub fn nearest_section(name: &str) -> Option<&'static str> {
    SETTINGS
        .iter()
        .filter_map(|setting| setting.key.split('.').next())
        .map(|section| (distance(section, name), section))
        .min()
        .filter(|(far, _)| *far <= 2)
        .map(|(_, section)| section)
}

/// Edits (insert, remove, replace) between two short texts.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replace = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
