//! The field table: every field of every index, once (`docs/protocol.md`, section 7).
//!
//! ```text
//!  index ── own fields (files of this folder) ─┐
//!        └─ COMMON: checksum, state, wazuh.* ──┴─▶ path, type, source, list?, volatile?
//! ```
//!
//! Invariants: paths are unique in an index and never contain one another (a path is a leaf);
//! own fields and common fields each stand in ascending order of path; every `wazuh.*` path is the
//! manager's or unused.

mod accounts;
mod fim;
mod host;
mod network;
mod sca;

use std::fmt::Write as _;

/// Longest keyword, in characters, that the Indexer still makes searchable; longer ones are kept
/// in the document and cannot be found.
pub const KEYWORD_IGNORE_ABOVE: u32 = 1024;

/// The type of a field in the Indexer's mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldType {
    /// Exact text, searchable up to [`KEYWORD_IGNORE_ABOVE`] characters.
    Keyword,
    /// Full text without scores.
    MatchOnlyText,
    /// Signed, 64 bits.
    Long,
    /// Signed, 32 bits.
    Integer,
    /// Signed, 16 bits.
    Short,
    /// Unsigned, 64 bits.
    UnsignedLong,
    /// A fraction kept as an integer number of hundredths.
    ScaledFloat,
    /// ISO 8601 text, or milliseconds since 1970.
    Date,
    /// An IPv4 or IPv6 address.
    Ip,
    /// True or false.
    Boolean,
}

impl FieldType {
    /// The name of the type in a mapping.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keyword => "keyword",
            Self::MatchOnlyText => "match_only_text",
            Self::Long => "long",
            Self::Integer => "integer",
            Self::Short => "short",
            Self::UnsignedLong => "unsigned_long",
            Self::ScaledFloat => "scaled_float",
            Self::Date => "date",
            Self::Ip => "ip",
            Self::Boolean => "boolean",
        }
    }

    /// `ignore_above` of the mapping, in characters; only keywords have one.
    #[must_use]
    pub const fn ignore_above(self) -> Option<u32> {
        match self {
            Self::Keyword => Some(KEYWORD_IGNORE_ABOVE),
            _ => None,
        }
    }

    /// `scaling_factor` of the mapping; only scaled fractions have one.
    #[must_use]
    pub const fn scaling_factor(self) -> Option<u32> {
        match self {
            Self::ScaledFloat => Some(100),
            _ => None,
        }
    }

    /// Lowest and highest value of an integer type, both inclusive: a value outside is refused by
    /// the Indexer, so it must not be sent.
    #[must_use]
    pub const fn integer_range(self) -> Option<(i128, i128)> {
        match self {
            Self::Long => Some((i64::MIN as i128, i64::MAX as i128)),
            Self::Integer => Some((i32::MIN as i128, i32::MAX as i128)),
            Self::Short => Some((i16::MIN as i128, i16::MAX as i128)),
            Self::UnsignedLong => Some((0, u64::MAX as i128)),
            _ => None,
        }
    }
}

/// Who writes a field, and from what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The agent, from this column of its snapshot table.
    Column(&'static str),
    /// The agent, when it makes the document (the time of the change).
    Document,
    /// The manager's overlay; what an agent sends there is replaced.
    Manager,
    /// Mapped, and written by nobody.
    Unused,
}

/// One leaf of an index's documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Field {
    /// Where the field is, names joined by dots.
    pub path: &'static str,
    /// Its type in the mapping.
    pub kind: FieldType,
    /// Who writes it.
    pub source: Source,
    /// Sent as an array of values of `kind`.
    pub list: bool,
    /// Changes by itself between two scans (counters, ticks, free memory): sent, but neither
    /// hashed nor compared.
    pub volatile: bool,
}

impl Field {
    /// The snapshot column that fills the field; `None` when no column does.
    #[must_use]
    pub const fn column(&self) -> Option<&'static str> {
        match self.source {
            Source::Column(name) => Some(name),
            Source::Document | Source::Manager | Source::Unused => None,
        }
    }

    const fn list(mut self) -> Self {
        self.list = true;
        self
    }

    const fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }
}

const fn field(path: &'static str, kind: FieldType, source: Source) -> Field {
    Field {
        path,
        kind,
        source,
        list: false,
        volatile: false,
    }
}

const fn column(path: &'static str, kind: FieldType, name: &'static str) -> Field {
    field(path, kind, Source::Column(name))
}

const fn unused(path: &'static str, kind: FieldType) -> Field {
    field(path, kind, Source::Unused)
}

const fn manager(path: &'static str) -> Field {
    field(path, FieldType::Keyword, Source::Manager)
}

/// The fields that every index has, in ascending order of path.
pub const COMMON: &[Field] = &[
    column("checksum.hash.sha1", FieldType::Keyword, "checksum"),
    unused("message", FieldType::Keyword),
    column("state.document_version", FieldType::Integer, "version"),
    field("state.modified_at", FieldType::Date, Source::Document),
    manager("wazuh.agent.groups").list(),
    manager("wazuh.agent.host.architecture"),
    manager("wazuh.agent.host.hostname"),
    unused("wazuh.agent.host.ip", FieldType::Ip),
    manager("wazuh.agent.host.os.name"),
    manager("wazuh.agent.host.os.platform"),
    manager("wazuh.agent.host.os.type"),
    manager("wazuh.agent.host.os.version"),
    manager("wazuh.agent.id"),
    manager("wazuh.agent.name"),
    manager("wazuh.agent.version"),
    manager("wazuh.cluster.name"),
    unused("wazuh.cluster.node", FieldType::Keyword),
    unused("wazuh.schema.version", FieldType::Keyword),
];

/// One index and its documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IndexSchema {
    /// The exact name of the index.
    pub name: &'static str,
    /// The module whose family the index belongs to; only that module may write it.
    pub module: &'static str,
    /// The agent's snapshot table that fills the index, without the prefix used in ids.
    pub table: &'static str,
    /// The index's own fields, in ascending order of path; [`IndexSchema::fields`] adds the
    /// common ones.
    pub own: &'static [Field],
}

impl IndexSchema {
    /// All fields: the index's own, then the common ones.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.own.iter().chain(COMMON)
    }

    /// The field at a path; `None` when the mapping has no such leaf, and the Indexer would refuse
    /// a document that has it.
    #[must_use]
    pub fn field(&self, path: &str) -> Option<&'static Field> {
        [self.own, COMMON].into_iter().find_map(|fields| {
            let at = fields.binary_search_by(|field| field.path.cmp(path)).ok()?;
            fields.get(at)
        })
    }
}

const fn syscollector(
    name: &'static str,
    table: &'static str,
    own: &'static [Field],
) -> IndexSchema {
    IndexSchema {
        name,
        module: "syscollector",
        table,
        own,
    }
}

const fn fim(name: &'static str, table: &'static str, own: &'static [Field]) -> IndexSchema {
    IndexSchema {
        name,
        module: "fim",
        table,
        own,
    }
}

const INDICES: &[IndexSchema] = &[
    syscollector("wazuh-states-inventory-system", "osinfo", host::SYSTEM),
    syscollector("wazuh-states-inventory-hardware", "hwinfo", host::HARDWARE),
    syscollector(
        "wazuh-states-inventory-hotfixes",
        "hotfixes",
        host::HOTFIXES,
    ),
    syscollector(
        "wazuh-states-inventory-packages",
        "packages",
        host::PACKAGES,
    ),
    syscollector(
        "wazuh-states-inventory-processes",
        "processes",
        host::PROCESSES,
    ),
    syscollector("wazuh-states-inventory-ports", "ports", network::PORTS),
    syscollector(
        "wazuh-states-inventory-interfaces",
        "network_iface",
        network::INTERFACES,
    ),
    syscollector(
        "wazuh-states-inventory-protocols",
        "network_protocol",
        network::PROTOCOLS,
    ),
    syscollector(
        "wazuh-states-inventory-networks",
        "network_address",
        network::NETWORKS,
    ),
    syscollector("wazuh-states-inventory-users", "users", accounts::USERS),
    syscollector("wazuh-states-inventory-groups", "groups", accounts::GROUPS),
    syscollector(
        "wazuh-states-inventory-services",
        "services",
        host::SERVICES,
    ),
    syscollector(
        "wazuh-states-inventory-browser-extensions",
        "browser_extensions",
        host::BROWSER_EXTENSIONS,
    ),
    fim("wazuh-states-fim-files", "file_entry", fim::FILES),
    fim(
        "wazuh-states-fim-registry-keys",
        "registry_key",
        fim::REGISTRY_KEYS,
    ),
    fim(
        "wazuh-states-fim-registry-values",
        "registry_data",
        fim::REGISTRY_VALUES,
    ),
    IndexSchema {
        name: "wazuh-states-sca",
        module: "sca",
        table: "check",
        own: sca::SCA,
    },
];

/// All indices, grouped by module, in the order of `docs/protocol.md`, section 7.
#[must_use]
pub const fn indices() -> &'static [IndexSchema] {
    INDICES
}

/// The index of this exact name.
#[must_use]
pub fn index(name: &str) -> Option<&'static IndexSchema> {
    INDICES.iter().find(|index| index.name == name)
}

/// The modules that own indices.
#[must_use]
pub const fn modules() -> &'static [&'static str] {
    &["syscollector", "fim", "sca"]
}

/// The indices of a module's family; none for an unknown module.
pub fn module_indices(module: &str) -> impl Iterator<Item = &'static IndexSchema> {
    INDICES.iter().filter(move |index| index.module == module)
}

/// The table as a page for readers: the content of `docs/fields.md`.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from(
        "# Fields\n\n\
         Generated from the table in `schemas/src/fields.rs`; \
         `UPDATE_DOCS=1 cargo test -p inventory-sync-schemas` writes it anew.\n\n\
         *Source* is the column of the agent's snapshot, *manager* for what the manager writes over\n\
         every document, *document* for what the agent adds when it makes the document, and a dash for\n\
         fields that are mapped and written by nobody. `[]` marks arrays. *Volatile* fields are sent,\n\
         but neither hashed nor compared.\n\n\
         ## Every index\n",
    );
    table(&mut out, COMMON);
    for index in indices() {
        // Writing to a String cannot fail, here and below.
        let _ = write!(
            out,
            "\n## `{}`\n\nModule `{}`, snapshot table `{}`.\n",
            index.name, index.module, index.table
        );
        table(&mut out, index.own);
    }
    out
}

fn table(out: &mut String, fields: &[Field]) {
    out.push_str("\n| field | type | source | volatile |\n|---|---|---|---|\n");
    for field in fields {
        let source = match field.source {
            Source::Column(name) => format!("`{name}`"),
            Source::Document => "document".to_owned(),
            Source::Manager => "manager".to_owned(),
            Source::Unused => "–".to_owned(),
        };
        let _ = writeln!(
            out,
            "| `{}` | {}{} | {source} | {} |",
            field.path,
            field.kind.name(),
            if field.list { "[]" } else { "" },
            if field.volatile { "yes" } else { "" }
        );
    }
}

#[cfg(test)]
mod tests;
