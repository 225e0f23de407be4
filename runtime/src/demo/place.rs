//! The demonstration's directory: what lies where, and what is written into it before anything starts.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::DemoError;
use crate::certs::{Authority, CertsError, Subject, Validity, default_file_name};

/// Says that a demonstration made the directory, and may remove it.
const MARKER: &str = ".inventory-sync-demo";

/// The user who may ask the stand-in.
pub(super) const USER: &str = "inventory";

/// The agents that synchronise: this machine, and for the outage this machine once more.
pub(super) const AGENTS: [u64; 2] = [1, 2];

/// Longest path of a Unix socket that every Linux takes, in bytes.
const SOCKET_PATH_MAX: usize = 107;

/// How long the certificates count, in days.
const VALID_DAYS: u32 = 30;

/// Ports that are tried first, so that they are the same in every run: the Indexer's, the agents', the
/// metrics'.
const USUAL_PORTS: [u16; 3] = [19_200, 11_517, 19_601];

/// Where on 127.0.0.1 something listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) indexer: u16,
    pub(super) agents: u16,
    pub(super) metrics: u16,
}

impl Ports {
    /// Ports that are free now: the usual ones, or what the system gives.
    pub(super) fn free() -> Result<Self, DemoError> {
        let mut held = Vec::new();
        for usual in USUAL_PORTS {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, usual))
                .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
                .map_err(|error| DemoError::new(format!("127.0.0.1 has no free port: {error}")))?;
            held.push(listener);
        }
        let port = |place: usize| {
            held.get(place)
                .and_then(|listener: &TcpListener| listener.local_addr().ok())
                .map(|address| address.port())
                .ok_or_else(|| DemoError::new("the system does not say which port it gave"))
        };
        Ok(Self {
            indexer: port(0)?,
            agents: port(1)?,
            metrics: port(2)?,
        })
    }
}

/// The directory of a demonstration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    dir: PathBuf,
}

impl Place {
    /// A directory that a demonstration has made; `None` if there is nothing of that name.
    ///
    /// # Errors
    ///
    /// There is something else.
    pub(super) fn existing(dir: &Path) -> Result<Option<Self>, DemoError> {
        let found = match fs::read_dir(dir) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(DemoError::new(format!(
                    "{} cannot be read: {error}",
                    dir.display()
                )));
            }
        };
        if dir.join(MARKER).is_file() {
            let dir = absolute(dir)?;
            return Ok(Some(Self { dir }));
        }
        if found.count() == 0 {
            return Ok(None);
        }
        Err(DemoError::new(format!(
            "{} was not made by a demonstration and is left as it is; choose another --dir",
            dir.display()
        )))
    }

    /// An empty directory of our own, mode 0700. What an earlier demonstration left is removed.
    pub(super) fn create(dir: &Path) -> Result<Self, DemoError> {
        if let Some(earlier) = Self::existing(dir)? {
            earlier.remove()?;
        }
        let failed = |error| DemoError::new(format!("{} cannot be made: {error}", dir.display()));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(failed)?;
        // It may have been there, empty, with another mode.
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let place = Self {
            dir: absolute(dir)?,
        };
        if place.dir.to_str().is_none() || place.admin_socket().as_os_str().len() > SOCKET_PATH_MAX
        {
            return Err(DemoError::new(format!(
                "{} is too long for a Unix socket or not UTF-8; choose a shorter --dir",
                place.dir.display()
            )));
        }
        place.write(
            MARKER,
            "made by `inventory-sync demo`; `--clean` removes it\n",
            0o600,
        )?;
        fs::create_dir(place.logs()).map_err(failed)?;
        Ok(place)
    }

    pub(super) fn remove(&self) -> Result<(), DemoError> {
        fs::remove_dir_all(&self.dir).map_err(|error| {
            DemoError::new(format!("{} cannot be removed: {error}", self.dir.display()))
        })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    pub(super) fn log(&self, program: &str) -> PathBuf {
        self.logs().join(format!("{program}.log"))
    }

    pub(super) fn pid_file(&self, program: &str) -> PathBuf {
        self.dir.join(format!("{program}.pid"))
    }

    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("inventory-sync.toml")
    }

    pub(super) fn admin_socket(&self) -> PathBuf {
        self.dir.join("admin.sock")
    }

    pub(super) fn password_file(&self) -> PathBuf {
        self.dir.join("password")
    }

    /// What curl needs to ask the stand-in: authority, user and password, kept off the command line.
    pub(super) fn curl_config(&self) -> PathBuf {
        self.dir.join("curl.conf")
    }

    /// A script that synchronises once more.
    pub(super) fn sync_script(&self) -> PathBuf {
        self.dir.join("sync-again")
    }

    pub(super) fn certificate(&self, name: &str) -> PathBuf {
        self.dir.join("certs").join(format!("{name}.pem"))
    }

    pub(super) fn key(&self, name: &str) -> PathBuf {
        self.certificate(&format!("{name}-key"))
    }

    pub(super) fn authority(&self) -> PathBuf {
        self.certificate("ca")
    }

    /// Certificates of the authority, the servers and the agents.
    pub(super) fn write_certificates(&self) -> Result<(), DemoError> {
        let failed = |error: CertsError| DemoError::new(error.to_string());
        let certs = self.dir.join("certs");
        let authority =
            Authority::new("inventory-sync demo", Validity::days(VALID_DAYS)).map_err(failed)?;
        authority.save(&certs).map_err(failed)?;
        let mut subjects = vec![Subject::Server(vec![
            "127.0.0.1".to_owned(),
            "localhost".to_owned(),
        ])];
        subjects.extend(AGENTS.map(Subject::Agent));
        for subject in subjects {
            authority
                .issue(&subject, Validity::days(VALID_DAYS))
                .and_then(|issued| issued.save(&certs, &default_file_name(&subject)))
                .map_err(failed)?;
        }
        Ok(())
    }

    /// The daemon's configuration, and what a person needs to ask the stand-in.
    pub(super) fn write_settings(
        &self,
        ports: Ports,
        password: &str,
        agent_bin: &Path,
    ) -> Result<(), DemoError> {
        self.write("password", &format!("{password}\n"), 0o600)?;
        self.write("inventory-sync.toml", &self.configuration(ports), 0o600)?;
        let curl = format!(
            "# curl -K {} https://127.0.0.1:{}/…\ncacert = {}\nuser = \"{USER}:{password}\"\n\
             header = \"content-type: application/json\"\nsilent\nshow-error\n",
            self.curl_config().display(),
            ports.indexer,
            quoted(&self.authority()),
        );
        self.write("curl.conf", &curl, 0o600)?;
        let script = format!(
            "#!/bin/sh\n# Brings this machine's inventory once more, as agent 001.\nexec {} \"$@\"\n",
            self.sync_words(ports, agent_bin, 1)
                .iter()
                .map(|word| shell_word(word))
                .collect::<Vec<_>>()
                .join(" ")
        );
        self.write("sync-again", &script, 0o700)
    }

    /// The agent's command line.
    pub(super) fn sync_words(&self, ports: Ports, agent_bin: &Path, agent: u64) -> Vec<String> {
        let name = default_file_name(&Subject::Agent(agent));
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        vec![
            agent_bin.to_string_lossy().into_owned(),
            "sync".to_owned(),
            "--once".to_owned(),
            "--manager".to_owned(),
            format!("127.0.0.1:{}", ports.agents),
            "--ca".to_owned(),
            text(self.authority()),
            "--certificate".to_owned(),
            text(self.certificate(&name)),
            "--key".to_owned(),
            text(self.key(&name)),
            "--state".to_owned(),
            text(self.dir.join("agent-state")),
        ]
    }

    fn configuration(&self, ports: Ports) -> String {
        format!(
            r#"# Written by `inventory-sync demo`. Times are short, so that nobody waits for an outage to end.

[indexer]
hosts = ["https://127.0.0.1:{indexer}"]
certificate_authorities = [{ca}]
user = "{USER}"
password_file = {password}
connect_timeout_ms = 1000
request_timeout_ms = 1500
request_deadline_ms = 2000
late_write_bound_ms = 2500
delivery_deadline_ms = 60000
health_interval_ms = 500
retry_max_ms = 1000

[router]
socket = ""
tls_listen = "127.0.0.1:{agents}"
tls_certificate = {certificate}
tls_key = {key}
tls_client_ca = {ca}

[session]
retry_after_ms = 500

[writer]
lease_ms = 15000
renew_ms = 3000

[store]
path = {store}

[admin]
socket = {admin}

[metrics]
listen = "127.0.0.1:{metrics}"
"#,
            indexer = ports.indexer,
            agents = ports.agents,
            metrics = ports.metrics,
            ca = quoted(&self.authority()),
            password = quoted(&self.password_file()),
            certificate = quoted(&self.certificate("server")),
            key = quoted(&self.key("server")),
            store = quoted(&self.dir.join("store")),
            admin = quoted(&self.admin_socket()),
        )
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> Result<(), DemoError> {
        let path = self.dir.join(name);
        write_private(&path, text, mode).map_err(|error| {
            DemoError::new(format!("{} cannot be written: {error}", path.display()))
        })
    }
}

/// Writes a file that others cannot read.
pub(super) fn write_private(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)?
        .write_all(text.as_bytes())
}

fn absolute(dir: &Path) -> Result<PathBuf, DemoError> {
    dir.canonicalize()
        .map_err(|error| DemoError::new(format!("{} cannot be resolved: {error}", dir.display())))
}

/// A path as a string of TOML, and of curl's configuration, which quotes alike.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A word as a shell reads it.
pub(super) fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
