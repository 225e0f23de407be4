//! The test stand: Indexer, daemon and load client as processes with folders of their own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::process::Process;
use super::rows::Over;
use super::{BenchError, Options, Ran};
use crate::certs::Pki;
use crate::connection::Address;
use crate::daemon::{Daemon, Setup};
use crate::indexer::{Access, Indexer, USER};
use crate::programs::program;
use crate::world;

/// The cluster of every row.
pub const CLUSTER: &str = "bench";

/// A relay speaks for about so many agents: the daemon keeps a bounded number of answers for a connection, and cuts one
/// whose agents all begin in the same moment.
const AGENTS_OF_RELAY: u32 = 500;

/// Between two looks whether the load client has ended; its own clock measures the load.
const LOOK: Duration = Duration::from_millis(20);

/// A folder, certificates and an Indexer.
pub struct Stand {
    folder: TempDir,
    pki: Pki,
    /// Where documents end.
    pub indexer: Indexer,
    sink: Option<Running>,
}

impl Stand {
    /// With a sink that runs and has the templates.
    pub fn with_sink(options: &Options) -> Ran<Self> {
        let (folder, pki) = place(options)?;
        let password = folder.path().join("password");
        std::fs::write(&password, USER.1)
            .map_err(|error| BenchError::new("write the Indexer's password", error))?;
        let mut command = Command::new(program("inventory-indexer"));
        command
            .args(["--sink", "--listen", "127.0.0.1:0", "--no-auto-create"])
            .arg("--certificate")
            .arg(pki.server_file())
            .arg("--key")
            .arg(pki.server_key_file())
            .args(["--user", USER.0])
            .arg("--password-file")
            .arg(&password)
            .env("INVENTORY_INDEXER_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = Running::start(&mut command)?;
        let port = child.0.stdout.take().and_then(|stdout| {
            let line = BufReader::new(stdout).lines().next()?.ok()?;
            line.rsplit(':').next()?.trim().parse::<u16>().ok()
        });
        let Some(port) = port else {
            return Err(BenchError::new(
                "start the sink",
                "it did not say where it listens",
            ));
        };
        let access = Access {
            url: format!("https://localhost:{port}"),
            authority: pki.authority_file(),
            certificate: None,
            user: Some((USER.0.to_owned(), USER.1.to_owned())),
        };
        let stand = Self {
            folder,
            pki,
            indexer: Indexer::real(access),
            sink: Some(child),
        };
        stand.install_templates()?;
        Ok(stand)
    }

    /// With the OpenSearch of the environment.
    pub fn with_opensearch(options: &Options, access: Access) -> Ran<Self> {
        let (folder, pki) = place(options)?;
        let stand = Self {
            folder,
            pki,
            indexer: Indexer::real(access),
            sink: None,
        };
        stand.install_templates()?;
        Ok(stand)
    }

    fn install_templates(&self) -> Ran<()> {
        let output = self
            .setup("commands", CLUSTER)
            .run(&["templates", "install"]);
        if output.status.success() {
            return Ok(());
        }
        Err(BenchError::new(
            "install the templates",
            String::from_utf8_lossy(&output.stderr),
        ))
    }

    /// How a daemon is started here; everything that is not about a place is as it is by default.
    pub fn setup(&self, name: &str, cluster: &str) -> Setup {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).expect("a folder in our own one");
        let access = self.indexer.access();
        let mut settings: BTreeMap<&'static str, String> =
            world::places(&folder, access, &self.pki, cluster);
        settings.insert("log.filter", "info".to_owned());
        // Over the Unix socket we are a relay.
        settings.insert("router.relay_uids", nix::unistd::getuid().to_string());
        Setup {
            folder,
            settings,
            password: access.user.as_ref().map(|(_, password)| password.clone()),
            address: Address::default(),
        }
    }

    /// A command of the load client against a daemon.
    pub fn replay(
        &self,
        daemon: &Daemon,
        over: Over,
        agents: u32,
        arguments: &[String],
    ) -> Command {
        let mut line = vec!["replay".to_owned(), "--to".to_owned()];
        match over {
            Over::Tls => {
                let address = daemon.setup.address.get();
                line.push(format!("tls://{address}"));
                line.push("--certs".to_owned());
                line.push(self.folder.path().join("certs").display().to_string());
            }
            Over::Unix => {
                line.push(format!("unix:{}", daemon.setup.socket().display()));
                line.push("--connections".to_owned());
                line.push(agents.min((agents / AGENTS_OF_RELAY).max(4)).to_string());
            }
        }
        line.push("--agents".to_owned());
        line.push(agents.to_string());
        line.extend_from_slice(arguments);
        line.push("--json".to_owned());
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let mut command = daemon.setup.command(&line);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    /// Runs the load client to its end; what it reports.
    ///
    /// # Errors
    /// Not every verdict was right.
    pub async fn load(
        &self,
        daemon: &Daemon,
        over: Over,
        agents: u32,
        arguments: &[String],
    ) -> Ran<Value> {
        let mut client = Running::start(&mut self.replay(daemon, over, agents, arguments))?;
        let status = client.ended().await?;
        // One object of a few hundred bytes, which the pipe holds.
        let mut text = String::new();
        if let Some(stdout) = &mut client.0.stdout {
            stdout
                .read_to_string(&mut text)
                .map_err(|error| BenchError::new("read the load client's report", error))?;
        }
        match serde_json::from_str(&text) {
            Ok(report) if status.success() => Ok(report),
            _ => Err(BenchError::new(
                "finish the load",
                format!("the load client ended with {status}: {text}"),
            )),
        }
    }

    /// The sink's process.
    pub fn sink(&self) -> Ran<Option<Process>> {
        let sink = self.sink.as_ref();
        sink.map(|child| Process::of(child.0.id())).transpose()
    }

    /// The sink's counters.
    pub async fn stats(&self) -> Ran<Value> {
        let (status, body) = self.indexer.ask("GET", "/_inventory/stats", "").await;
        serde_json::from_str(&body)
            .map_err(|error| BenchError::new(format!("read the sink's counters ({status})"), error))
    }
}

fn place(options: &Options) -> Ran<(TempDir, Pki)> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("inventory-bench-");
    let folder = match &options.folder {
        Some(folder) => builder.tempdir_in(folder),
        None => builder.tempdir(),
    };
    let folder = folder.map_err(|error| BenchError::new("make a folder", error))?;
    let pki = Pki::new(&folder.path().join("certs"));
    Ok((folder, pki))
}

/// A process that does not outlive us.
pub struct Running(pub Child);

impl Running {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: &mut Command) -> Ran<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn();
        Ok(Self(child.map_err(|error| {
            BenchError::new(format!("start {program}"), error)
        })?))
    }

    /// Waits for its end, in a way that can be given up.
    async fn ended(&mut self) -> Ran<ExitStatus> {
        loop {
            match self.0.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) => tokio::time::sleep(LOOK).await,
                Err(error) => return Err(BenchError::new("wait for a process", error)),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already is no error here.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
