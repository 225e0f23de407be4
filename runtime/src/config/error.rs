//! What can be wrong with a configuration, in sentences that say where and what to do.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from, from the weakest to the strongest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The `<indexer>` block of an `ossec.conf`.
    Ossec {
        /// The file.
        path: PathBuf,
        /// Line of the value, from 1.
        line: usize,
    },
    /// The configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// Line of the key, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// `--set KEY=VALUE`.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Ossec { path, line } | Origin::File { path, line } => {
                write!(f, "{}:{line}", path.display())
            }
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Flag => f.write_str("--set"),
        }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that was named cannot be read.
    #[error("{path}: cannot be read: {cause}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The file is not TOML, or not XML.
    #[error("{path}:{line}: {message}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A key that does not exist.
    #[error("{origin}: there is no setting {key:?}{}", did_you_mean(*nearest))]
    UnknownKey {
        /// Where it stands.
        origin: Origin,
        /// As written.
        key: String,
        /// The known key that looks most like it.
        nearest: Option<&'static str>,
    },
    /// A value of the wrong kind.
    #[error("{origin}: {key} takes {expected}, not {found}")]
    WrongKind {
        /// Where it stands.
        origin: Origin,
        /// The setting.
        key: String,
        /// What it takes.
        expected: String,
        /// What it got.
        found: String,
    },
    /// A number outside its range.
    #[error("{origin}: {key} is {value}{unit}, but must lie between {min} and {max}{unit}")]
    OutOfRange {
        /// Where it stands.
        origin: Origin,
        /// The setting.
        key: &'static str,
        /// What it got.
        value: u64,
        /// Least value.
        min: u64,
        /// Greatest value.
        max: u64,
        /// Unit, with a leading space.
        unit: &'static str,
    },
    /// Two settings that must be in order are not.
    #[error(
        "{lesser} ({lesser_value}{unit}, {lesser_origin}) must be {relation} {greater} ({greater_value}{unit}, {greater_origin}): {why}"
    )]
    Order {
        /// The one that must be less.
        lesser: &'static str,
        /// Its value.
        lesser_value: u64,
        /// Its origin.
        lesser_origin: Origin,
        /// `less than` or `at most`.
        relation: &'static str,
        /// The one that must be greater.
        greater: &'static str,
        /// Its value.
        greater_value: u64,
        /// Its origin.
        greater_origin: Origin,
        /// Unit, with a leading space.
        unit: &'static str,
        /// What goes wrong otherwise.
        why: &'static str,
    },
    /// A value that exists in the contract and is not built yet.
    #[error("{origin}: {key} = {value} is not built yet: {instead}")]
    NotBuilt {
        /// Where it stands.
        origin: Origin,
        /// The setting.
        key: &'static str,
        /// As written.
        value: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// An Indexer without TLS.
    #[error(
        "{origin}: {url:?} is not encrypted: this program speaks to the Indexer over TLS only; write https://"
    )]
    Plaintext {
        /// Where it stands.
        origin: Origin,
        /// As written.
        url: String,
    },
    /// A value that cannot be used, and why.
    #[error("{origin}: {key}: {message}")]
    Unusable {
        /// Where it stands.
        origin: Origin,
        /// The setting.
        key: String,
        /// Why, and what to do.
        message: String,
    },
    /// Something that must be set is not.
    #[error("{key} is not set: {message}")]
    Missing {
        /// The setting.
        key: &'static str,
        /// What it is for and how to set it.
        message: String,
    },
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || "; `inventory-sync --print-config` lists all".to_owned(),
        |key| format!("; did you mean {key}?"),
    )
}

impl ConfigError {
    /// Where it stands, for an order in which a reader can follow: file by file, line by line, then
    /// what has no place.
    fn place(&self) -> (u8, usize) {
        let origin = match self {
            ConfigError::Unreadable { .. } => return (0, 0),
            ConfigError::Syntax { line, .. } => return (0, *line),
            ConfigError::Missing { .. } => return (5, 0),
            ConfigError::Order {
                lesser_origin,
                greater_origin,
                ..
            } => {
                if *lesser_origin == Origin::Default {
                    greater_origin
                } else {
                    lesser_origin
                }
            }
            ConfigError::UnknownKey { origin, .. }
            | ConfigError::WrongKind { origin, .. }
            | ConfigError::OutOfRange { origin, .. }
            | ConfigError::NotBuilt { origin, .. }
            | ConfigError::Plaintext { origin, .. }
            | ConfigError::Unusable { origin, .. } => origin,
        };
        match origin {
            Origin::Ossec { line, .. } => (1, *line),
            Origin::File { line, .. } => (2, *line),
            Origin::Environment(_) => (3, 0),
            Origin::Flag => (4, 0),
            Origin::Default => (5, 0),
        }
    }
}

impl ConfigErrors {
    /// In the order of their places. What a file that could not be read did not say is not missing.
    pub(super) fn of(mut errors: Vec<ConfigError>) -> Self {
        let unread = |error: &ConfigError| {
            matches!(
                error,
                ConfigError::Unreadable { .. } | ConfigError::Syntax { .. }
            )
        };
        if errors.iter().any(unread) {
            errors.retain(|error| !matches!(error, ConfigError::Missing { .. }));
        }
        errors.sort_by_key(ConfigError::place);
        ConfigErrors(errors)
    }
}

/// Everything that is wrong with the configuration, so that one look is enough.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        writeln!(
            f,
            "the configuration has {count} error{}:",
            if count == 1 { "" } else { "s" }
        )?;
        for (place, error) in self.0.iter().enumerate() {
            write!(f, "  {error}")?;
            if place + 1 < count {
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
