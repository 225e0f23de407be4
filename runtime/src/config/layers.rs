//! From files, environment and flags to one value per setting, each with its origin.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Origin};
use super::host::redacted_url;
use super::ossec;
use super::settings::{
    self, CONFIG_VARIABLE, Default, ENVIRONMENT_PREFIX, Kind, PASSWORD_VARIABLE, SETTINGS, Setting,
};

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text, a path, an address or a choice.
    Text(String),
    /// A number.
    Integer(u64),
    /// A flag.
    Flag(bool),
    /// A list of texts.
    List(Vec<String>),
}

/// Where the configuration is to be read from. Nothing here reads the process's own environment,
/// so that a test can give any.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`, or what [`Sources::of_process`] found.
    pub file: Option<PathBuf>,
    /// `--ossec-conf`.
    pub ossec_conf: Option<PathBuf>,
    /// Environment variables, as name and value.
    pub environment: Vec<(String, String)>,
    /// `--set KEY=VALUE`, in order.
    pub set: Vec<String>,
}

/// The file that is read when nothing names one and it exists.
pub const DEFAULT_FILES: [&str; 2] = [
    "inventory-sync.toml",
    "/etc/inventory-sync/inventory-sync.toml",
];

impl Sources {
    /// The sources of this process: its environment, and the file it names or the first of
    /// [`DEFAULT_FILES`] that exists.
    #[must_use]
    pub fn of_process(
        file: Option<PathBuf>,
        ossec_conf: Option<PathBuf>,
        set: Vec<String>,
    ) -> Self {
        let environment: Vec<_> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX))
            .collect();
        let named = environment
            .iter()
            .find(|(name, _)| name == CONFIG_VARIABLE)
            .map(|(_, path)| PathBuf::from(path));
        let file = file.or(named).or_else(|| {
            DEFAULT_FILES
                .iter()
                .map(PathBuf::from)
                .find(|path| path.exists())
        });
        Sources {
            file,
            ossec_conf,
            environment,
            set,
        }
    }
}

/// One value per setting, and what was found on the way. Ranges are checked; what several
/// settings mean together is [`Config`](super::Config)'s business.
pub struct Settings {
    values: BTreeMap<String, (Value, Origin)>,
    /// The password, if the environment gave one.
    pub(super) password: Option<String>,
    /// Things that work but are probably not meant.
    pub warnings: Vec<String>,
    /// What is wrong.
    pub(super) errors: Vec<ConfigError>,
}

impl fmt::Debug for Settings {
    /// Without the password, and without values that may hold one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("keys", &self.values.keys())
            .field("warnings", &self.warnings)
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads every source: default < `ossec.conf` < file < environment < `--set`.
    #[must_use]
    pub fn read(sources: &Sources) -> Self {
        let mut settings = Settings {
            values: BTreeMap::new(),
            password: None,
            warnings: Vec::new(),
            errors: Vec::new(),
        };
        for setting in SETTINGS {
            settings.values.insert(
                setting.key.to_owned(),
                (default_value(setting), Origin::Default),
            );
        }
        if let Some(path) = &sources.ossec_conf {
            settings.read_ossec(path);
        }
        if let Some(path) = &sources.file {
            settings.read_file(path);
        }
        settings.read_environment(&sources.environment);
        for assignment in &sources.set {
            settings.read_assignment(assignment);
        }
        settings
    }

    /// The value of a setting of the table and where it came from.
    pub(super) fn get(&self, key: &str) -> (&Value, &Origin) {
        const NOTHING: &(Value, Origin) = &(Value::Flag(false), Origin::Default);
        let (value, origin) = self.values.get(key).unwrap_or(NOTHING);
        (value, origin)
    }

    /// Every setting that has a value, in alphabetical order; more than the table when a file
    /// names further modules.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Value, &Origin)> {
        self.values
            .iter()
            .map(|(key, (value, origin))| (key.as_str(), value, origin))
    }

    fn read_ossec(&mut self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(cause) => {
                return self.errors.push(ConfigError::Unreadable {
                    path: path.to_owned(),
                    cause,
                });
            }
        };
        match ossec::read(&text) {
            Err(error) => self.errors.push(ConfigError::Syntax {
                path: path.to_owned(),
                line: error.line,
                message: error.message,
            }),
            Ok(block) => {
                if !block.found {
                    self.warnings.push(format!(
                        "{}: has no <indexer> block; nothing was taken from it",
                        path.display()
                    ));
                } else if !block.enabled {
                    self.warnings.push(format!(
                        "{}: its <indexer> block is disabled (<enabled>no</enabled>); nothing was taken from it",
                        path.display()
                    ));
                }
                for (key, value, line) in block.settings() {
                    let origin = Origin::Ossec {
                        path: path.to_owned(),
                        line,
                    };
                    self.values.insert(key.to_owned(), (value, origin));
                }
            }
        }
    }

    fn read_file(&mut self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(cause) => {
                return self.errors.push(ConfigError::Unreadable {
                    path: path.to_owned(),
                    cause,
                });
            }
        };
        let document = match DeTable::parse(&text) {
            Ok(document) => document,
            Err(error) => {
                let line = error.span().map_or(1, |span| line_of(&text, span.start));
                let message = format!("this is not TOML: {}", error.message().trim());
                return self.errors.push(ConfigError::Syntax {
                    path: path.to_owned(),
                    line,
                    message,
                });
            }
        };
        for (section, content) in document.get_ref() {
            let line = line_of(&text, section.span().start);
            let origin = Origin::File {
                path: path.to_owned(),
                line,
            };
            let name = section.get_ref().as_ref();
            let known = SETTINGS
                .iter()
                .any(|setting| setting.key.split('.').next() == Some(name));
            match content.get_ref().as_table() {
                Some(table) if known => {
                    for (key, value) in table {
                        let line = line_of(&text, key.span().start);
                        let origin = Origin::File {
                            path: path.to_owned(),
                            line,
                        };
                        self.assign(
                            &format!("{name}.{}", key.get_ref()),
                            Given::Toml(value.get_ref()),
                            origin,
                        );
                    }
                }
                _ => {
                    let nearest = settings::nearest_section(name);
                    self.errors.push(ConfigError::UnknownKey {
                        origin,
                        key: name.to_owned(),
                        nearest,
                    });
                }
            }
        }
    }

    fn read_environment(&mut self, environment: &[(String, String)]) {
        for (name, text) in environment {
            if name == CONFIG_VARIABLE {
                continue;
            }
            if name == PASSWORD_VARIABLE {
                self.password = Some(text.clone());
                continue;
            }
            let origin = Origin::Environment(name.clone());
            match SETTINGS
                .iter()
                .find(|setting| setting.environment_name() == *name)
            {
                Some(setting) => self.assign(setting.key, Given::Text(text), origin),
                // Not an error: orchestrators invent variables from a service's name.
                None => self.warnings.push(format!(
                    "environment {name}: there is no such setting; it is ignored"
                )),
            }
        }
    }

    fn read_assignment(&mut self, assignment: &str) {
        match assignment.split_once('=') {
            Some((key, text)) => self.assign(key.trim(), Given::Text(text), Origin::Flag),
            None => self.errors.push(ConfigError::Unusable {
                origin: Origin::Flag,
                key: assignment.to_owned(),
                message: "write --set SECTION.NAME=VALUE".to_owned(),
            }),
        }
    }

    fn assign(&mut self, key: &str, given: Given<'_>, origin: Origin) {
        if key == "indexer.password" {
            return self.errors.push(ConfigError::Unusable {
                origin,
                key: key.to_owned(),
                message: format!("a password does not belong here: put it in a file named by indexer.password_file, or in the environment as {PASSWORD_VARIABLE}"),
            });
        }
        let kind = match settings::setting(key) {
            Some(setting) => setting.kind,
            None if is_module(key) => Kind::List,
            None => {
                let nearest = settings::nearest(key);
                return self.errors.push(ConfigError::UnknownKey {
                    origin,
                    key: key.to_owned(),
                    nearest,
                });
            }
        };
        match given.read(kind) {
            Err(found) => {
                self.errors.push(ConfigError::WrongKind {
                    origin,
                    key: key.to_owned(),
                    expected: expected(kind),
                    found,
                });
            }
            Ok(value) => {
                if let (Value::Integer(value), Kind::Integer { min, max }, Some(setting)) =
                    (&value, kind, settings::setting(key))
                    && !(min..=max).contains(value)
                {
                    let (key, unit, value) = (setting.key, setting.unit(), *value);
                    return self.errors.push(ConfigError::OutOfRange {
                        origin,
                        key,
                        value,
                        min,
                        max,
                        unit,
                    });
                }
                self.values.insert(key.to_owned(), (value, origin));
            }
        }
    }
}

/// A value as it was written.
enum Given<'a> {
    Text(&'a str),
    Toml(&'a DeValue<'a>),
}

impl Given<'_> {
    /// The value, or what was found instead of one of that kind.
    fn read(&self, kind: Kind) -> Result<Value, String> {
        match (self, kind) {
            (Given::Text(text), Kind::Text | Kind::Path | Kind::Listen) => {
                Ok(Value::Text((*text).to_owned()))
            }
            (Given::Text(text), Kind::Choice(of)) => choose(text, of),
            (Given::Text(text), Kind::Integer { .. }) => integer(&text.replace('_', ""), 10, text),
            (Given::Text(text), Kind::Flag) => text
                .parse()
                .map(Value::Flag)
                .map_err(|_| format!("{text:?}")),
            (Given::Text(text), Kind::List) => Ok(Value::List(
                text.split(',')
                    .map(str::trim)
                    .filter(|t| !t.is_empty())
                    .map(str::to_owned)
                    .collect(),
            )),
            (Given::Toml(DeValue::String(text)), Kind::Text | Kind::Path | Kind::Listen) => {
                Ok(Value::Text(text.to_string()))
            }
            (Given::Toml(DeValue::String(text)), Kind::Choice(of)) => choose(text, of),
            (Given::Toml(DeValue::Integer(number)), Kind::Integer { .. }) => {
                integer(number.as_str(), number.radix(), number.as_str())
            }
            (Given::Toml(DeValue::Boolean(flag)), Kind::Flag) => Ok(Value::Flag(*flag)),
            (Given::Toml(DeValue::Array(values)), Kind::List) => values
                .iter()
                .map(|value| match value.get_ref() {
                    DeValue::String(text) => Ok(text.to_string()),
                    DeValue::Integer(number) => Ok(number.as_str().to_owned()),
                    other => Err(format!("a list with {} in it", article(other.type_str()))),
                })
                .collect::<Result<_, _>>()
                .map(Value::List),
            // It may be a host with a password in it, and the list around it forgotten.
            (Given::Toml(DeValue::String(text)), _) => {
                Err(format!("the text {:?}", redacted_url(text)))
            }
            (Given::Toml(other), _) => Err(article(other.type_str())),
        }
    }
}

fn choose(text: &str, of: &[&str]) -> Result<Value, String> {
    if of.contains(&text) {
        Ok(Value::Text(text.to_owned()))
    } else {
        Err(format!("{text:?}"))
    }
}

fn integer(digits: &str, radix: u32, shown: &str) -> Result<Value, String> {
    u64::from_str_radix(digits.trim_start_matches('+'), radix)
        .map(Value::Integer)
        .map_err(|_| format!("{shown:?}"))
}

fn article(noun: &str) -> String {
    let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {noun}", if vowel { "an" } else { "a" })
}

fn expected(kind: Kind) -> String {
    match kind {
        Kind::Text => "a text".to_owned(),
        Kind::Path => "a path, as a text".to_owned(),
        Kind::Listen => "an address, as a text".to_owned(),
        Kind::Integer { .. } => "a whole number".to_owned(),
        Kind::Flag => "true or false".to_owned(),
        Kind::Choice(of) => {
            let words: Vec<_> = of.iter().map(|word| format!("{word:?}")).collect();
            words.join(" or ")
        }
        Kind::List => "a list of texts".to_owned(),
    }
}

/// Whether `key` may name a module that is not in the table.
fn is_module(key: &str) -> bool {
    key.strip_prefix("modules.").is_some_and(|name| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
    })
}

fn default_value(setting: &Setting) -> Value {
    match setting.default {
        Default::Text(text) => Value::Text(text.to_owned()),
        Default::Integer(number) => Value::Integer(number),
        Default::Flag(flag) => Value::Flag(flag),
        Default::EmptyList => Value::List(Vec::new()),
        Default::ModuleIndices => Value::List(super::default_indices(
            setting.key.trim_start_matches("modules."),
        )),
    }
}

/// The line of a byte offset, from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset.min(text.len())]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
}
