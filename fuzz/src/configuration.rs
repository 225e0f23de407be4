//! Any configuration file, any `ossec.conf`.
//!
//! The daemon's reader itself, compiled here from its own files: the crate it belongs to brings a database
//! that an instrumented build would have to compile for half an hour, and the reader needs nothing of it.

#[expect(dead_code, unused_imports, reason = "what only the daemon asks for")]
#[path = "../../runtime/src/config/mod.rs"]
mod reader;

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use nix::sys::memfd::{MFdFlags, memfd_create};
use reader::{Config, ConfigError, ConfigErrors, Need, Settings, Sources};

/// What no message may contain.
const SECRET: &str = "hunter2-z9";

/// What stands before the name of a setting in the environment.
const ENVIRONMENT: &str = "INVENTORY_SYNC_";

/// The configuration without any source, as it is printed.
pub(crate) fn defaults() -> String {
    Settings::read(&Sources::default()).print()
}

/// A file without a name; it goes with its handle.
struct Unnamed {
    path: PathBuf,
    _file: File,
}

impl Unnamed {
    fn holding(bytes: &[u8]) -> Self {
        let made =
            memfd_create("configuration", MFdFlags::MFD_CLOEXEC).map_err(std::io::Error::from);
        let written = made.map(File::from).and_then(|mut file| {
            file.write_all(bytes)?;
            Ok(file)
        });
        match written {
            Ok(file) => Self {
                path: PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())),
                _file: file,
            },
            Err(error) => panic!("a file in memory cannot be made: {error}"),
        }
    }
}

/// The bytes up to the first 0 are the file; each further piece is an environment variable of ours or an
/// assignment on the command line.
///
/// Whatever they are: every error says where it stands, nothing that is printed holds the password, and what
/// `--print-config` writes is a file that gives the same configuration.
///
/// # Panics
/// When that does not hold.
pub fn configuration(bytes: &[u8]) {
    let mut pieces = bytes.split(|byte| *byte == 0);
    let file = pieces.next().unwrap_or_default();
    let unnamed = Unnamed::holding(file);
    let mut sources = Sources {
        file: Some(unnamed.path.clone()),
        ossec_conf: None,
        // Also keeps a file that the bytes name from being read.
        environment: vec![(format!("{ENVIRONMENT}INDEXER_PASSWORD"), SECRET.to_owned())],
        set: Vec::new(),
    };
    for piece in pieces {
        let text = String::from_utf8_lossy(piece).into_owned();
        match text.split_once('=') {
            Some((name, value)) if name.starts_with(ENVIRONMENT) => {
                let is_password = name.ends_with("PASSWORD");
                if !is_password {
                    sources
                        .environment
                        .push((name.to_owned(), value.to_owned()));
                }
            }
            _ => sources.set.push(text),
        }
    }
    check(&sources, &unnamed.path, file);
    // What stands around a password is short; longer inputs are for the rest.
    if bytes.len() <= 64 {
        check_redaction(bytes);
    }
}

/// The bytes are an `ossec.conf`.
///
/// # Panics
/// When an error does not say where it stands, or the reader panics.
pub fn ossec_conf(bytes: &[u8]) {
    let unnamed = Unnamed::holding(bytes);
    let sources = Sources {
        ossec_conf: Some(unnamed.path.clone()),
        ..Sources::default()
    };
    check(&sources, &unnamed.path, bytes);
    if let Err(errors) = Config::load(&sources, Need::Local) {
        for error in &errors.0 {
            assert!(!matches!(error, ConfigError::UnknownKey { .. }), "{error}");
        }
    }
}

fn check(sources: &Sources, path: &Path, file: &[u8]) {
    let settings = Settings::read(sources);
    let printed = settings.print();
    assert!(!printed.contains(SECRET), "the password is printed");
    assert!(
        !format!("{settings:?}").contains(SECRET),
        "the password is in what is logged"
    );
    for need in [Need::Local, Need::Indexer] {
        match Config::load(sources, need) {
            Ok(config) => {
                assert!(!format!("{config:?}").contains(SECRET));
                check_print(&printed, sources, need);
            }
            Err(errors) => check_errors(&errors, path, file),
        }
    }
}

/// What is printed of a configuration that works is a file that gives the same.
fn check_print(printed: &str, from: &Sources, need: Need) {
    let unnamed = Unnamed::holding(printed.as_bytes());
    let sources = Sources {
        file: Some(unnamed.path.clone()),
        // The password is no part of what is printed.
        environment: from.environment.iter().take(1).cloned().collect(),
        ..Sources::default()
    };
    if let Err(errors) = Config::load(&sources, need) {
        panic!("what was printed is no configuration: {errors}\n{printed}");
    }
    let values = |text: &str| -> Vec<String> {
        let without_origin = |line: &str| match line.rfind("  # ") {
            Some(at) => line[..at].to_owned(),
            None => line.to_owned(),
        };
        text.lines().map(without_origin).collect()
    };
    assert_eq!(values(&Settings::read(&sources).print()), values(printed));
}

/// Each error is a sentence that says where: a line of the file, a variable, or the command line.
fn check_errors(errors: &ConfigErrors, path: &Path, file: &[u8]) {
    assert!(!errors.0.is_empty(), "refused for no reason");
    let lines = 1 + file.iter().filter(|byte| **byte == b'\n').count();
    for error in &errors.0 {
        let sentence = error.to_string();
        assert!(
            !sentence.contains(SECRET),
            "the password is told: {sentence}"
        );
        let here = path.display().to_string();
        if let Some(rest) = sentence.strip_prefix(&format!("{here}:")) {
            let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let line = number.parse().unwrap_or(0);
            let is_unreadable = matches!(error, ConfigError::Unreadable { .. });
            assert!(
                is_unreadable || (1..=lines).contains(&line),
                "line {line} of {lines}"
            );
            continue;
        }
        let says_where = match error {
            ConfigError::Missing { key, .. } => sentence.starts_with(key),
            ConfigError::Order {
                lesser, greater, ..
            } => sentence.contains(lesser) && sentence.contains(greater),
            // A default that does not go with another setting.
            _ => ["environment ", "--set", "default"]
                .iter()
                .any(|place| sentence.starts_with(place)),
        };
        assert!(says_where, "where? {sentence}");
    }
}

/// A password in a URL is refused and not repeated, whatever stands around it.
fn check_redaction(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let before = text
        .chars()
        .take(8)
        .filter(|each| *each != ',')
        .collect::<String>();
    let after = text
        .chars()
        .skip(8)
        .take(8)
        .filter(|each| *each != ',')
        .collect::<String>();
    for url in [
        format!("https://user:{SECRET}@{after}"),
        format!("http://{before}:{SECRET}@host{after}"),
        format!("user{before}:{SECRET}@{after}"),
    ] {
        let sources = Sources {
            set: vec![format!("indexer.hosts={url}")],
            ..Sources::default()
        };
        let quoted = format!("{url:?}");
        let without_list = Unnamed::holding(format!("[indexer]\nhosts = {quoted}").as_bytes());
        let named = Sources {
            file: Some(without_list.path.clone()),
            ..Sources::default()
        };
        if let Err(errors) = Config::load(&named, Need::Local) {
            let is_told = errors.to_string().contains(SECRET);
            assert!(!is_told, "told: {errors}");
        }
        let settings = Settings::read(&sources);
        assert!(
            !settings.print().contains(SECRET),
            "printed: {}",
            settings.print()
        );
        let Err(errors) = Config::load(&sources, Need::Indexer) else {
            panic!("{url} is taken for a host");
        };
        assert!(!errors.to_string().contains(SECRET), "told: {errors}");
    }
}
