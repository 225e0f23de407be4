//! The daemon as a process: started with settings, watched by its log, ended by force or by a signal.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use inventory_sync::config::StoreConfig;
use inventory_sync::store::Store;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::connection::Address;
use crate::programs::program;
use crate::wait::{LONG, until};

/// Lines of a daemon's log that a failed test shows.
const LOG_TAIL_LINES: usize = 60;

/// How the daemon is configured: settings and secrets.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where it keeps its store and sockets, and we its log.
    pub folder: PathBuf,
    /// By key.
    pub settings: BTreeMap<&'static str, String>,
    /// The Indexer's password.
    pub password: Option<String>,
    /// Where it listened last.
    pub address: Address,
}

impl Setup {
    /// Changes one setting.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl ToString) -> Self {
        self.settings.insert(key, value.to_string());
        self
    }

    /// Changes several numbers.
    #[must_use]
    pub fn with_all(self, settings: &[(&'static str, u64)]) -> Self {
        settings
            .iter()
            .fold(self, |setup, (key, value)| setup.with(key, value))
    }

    /// One setting.
    ///
    /// # Panics
    /// When it is not set.
    #[must_use]
    pub fn get(&self, key: &str) -> &str {
        &self.settings[key]
    }

    /// A number among the settings.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn time(&self, key: &str) -> Duration {
        Duration::from_millis(self.get(key).parse().unwrap())
    }

    /// The Unix socket of agents and relays.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.get("router.socket").into()
    }

    /// The command line of a command of the program, such as `status`.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("inventory-sync"));
        // Nothing of the surroundings: no file, no variable.
        command.current_dir(&self.folder).env_clear();
        for (key, value) in &self.settings {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        if let Some(password) = &self.password {
            command.env("INVENTORY_SYNC_INDEXER_PASSWORD", password);
        }
        command.args(arguments);
        command
    }

    /// Runs a command of the program to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program")
    }

    /// Runs a command that must succeed, and answers what it printed.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn ask(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{arguments:?} failed: {printed}{complaint}"
        );
        printed
    }

    /// Starts the daemon and waits until it listens.
    ///
    /// # Panics
    /// When it ends instead.
    pub async fn start(&self) -> Daemon {
        let mut daemon = self.spawn();
        until("the daemon listens", LONG, async || {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("the daemon ended with {status} instead of listening");
            }
            let line = daemon.logged("listening")?;
            let address = |name: &str| line[name].as_str()?.parse().ok();
            daemon.setup.address.set(address("agents")?);
            daemon.metrics = address("metrics")?;
            Some(())
        })
        .await;
        daemon
    }

    /// Starts the daemon and waits until it admits sessions and every index takes documents.
    pub async fn start_ready(&self) -> Daemon {
        let daemon = self.start().await;
        daemon.until_ready().await;
        daemon
            .until_status("every index takes documents", |status| {
                status["paused"].as_array()?.is_empty().then_some(())
            })
            .await;
        daemon
    }

    /// Starts the daemon.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn spawn(&self) -> Daemon {
        let number = (0..)
            .find(|number| !self.folder.join(format!("daemon-{number}.log")).exists())
            .unwrap_or(0);
        let log = self.folder.join(format!("daemon-{number}.log"));
        let file = File::create(&log).unwrap();
        let child = self
            .command(&["serve"])
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .expect("the daemon can be started");
        Daemon {
            setup: self.clone(),
            child,
            log,
            metrics: SocketAddr::from(([127, 0, 0, 1], 1)),
        }
    }
}

/// A daemon that runs. Killed when this is dropped; a failing test shows its log.
pub struct Daemon {
    /// How it was started.
    pub setup: Setup,
    child: Child,
    log: PathBuf,
    metrics: SocketAddr,
}

impl Daemon {
    /// What it has printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The first line of the log with that message.
    #[must_use]
    pub fn logged(&self, message: &str) -> Option<Value> {
        self.log()
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|line| line["message"] == message)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks over HTTP, as Prometheus does.
    ///
    /// # Panics
    /// Without an answer.
    pub async fn http(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.metrics);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = client.get(url).send().await.expect("an answer");
        let status = response.status().as_u16();
        (status, response.text().await.unwrap())
    }

    /// Waits until it admits sessions.
    pub async fn until_ready(&self) {
        until("/healthz says 200", LONG, async || {
            (self.http("/healthz").await.0 == 200).then_some(())
        })
        .await;
    }

    /// Waits until it admits none, for that reason.
    pub async fn until_unready(&self, reason: &str) {
        let what = format!("/healthz says 503 and {reason:?}");
        until(&what, LONG, async || {
            let (status, text) = self.http("/healthz").await;
            (status == 503 && text.contains(reason)).then_some(())
        })
        .await;
    }

    /// `status --json`.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn status(&self) -> Value {
        let printed = self.setup.ask(&["status", "--json"]);
        serde_json::from_str(&printed).expect("status prints JSON")
    }

    /// Waits for something that `status` shows.
    pub async fn until_status<T>(&self, what: &str, look: impl Fn(&Value) -> Option<T>) -> T {
        until(what, LONG, async || look(&self.status())).await
    }

    /// A number among the counters of `/metrics`, all labels together.
    pub async fn metric(&self, name: &str) -> f64 {
        let (status, text) = self.http("/metrics").await;
        assert_eq!(status, 200, "{text}");
        text.lines()
            .filter_map(|line| {
                let rest = line.strip_prefix(name)?;
                let is_whole = rest.starts_with(' ') || rest.starts_with('{');
                rest.rsplit(' ')
                    .next()?
                    .parse::<f64>()
                    .ok()
                    .filter(|_| is_whole)
            })
            .sum()
    }

    /// Memory that it has in use now, in bytes.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kib.expect("VmRSS").trim().parse::<u64>().unwrap() << 10
    }

    /// Ends it by force and tells whether its store holds staged data.
    ///
    /// # Panics
    /// When the store cannot be opened.
    #[must_use]
    pub fn kill_and_find_staged(mut self) -> bool {
        self.kill();
        let config = StoreConfig {
            path: self.setup.get("store.path").into(),
            write_buffer_bytes: 8 << 20,
        };
        let store = Store::open(&config).expect("the store of a daemon that is gone");
        !store.is_empty().expect("a store that can be read")
    }

    /// Ends it as a loss of power would.
    ///
    /// # Panics
    /// When it cannot be ended.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop.
    ///
    /// # Panics
    /// When the signal cannot be sent.
    pub fn terminate(&self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("the daemon ends", LONG, async || child.try_wait().unwrap()).await
    }

    /// Asks it to stop and waits until it has.
    ///
    /// # Panics
    /// When it fails, or does not end.
    pub async fn stop(&mut self) {
        self.terminate();
        let status = self.ended().await;
        assert!(status.success(), "the daemon ended with {status}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // One that has ended already is no error here.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            show_tail(&self.log, &self.log());
        }
    }
}

fn show_tail(path: &Path, text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LOG_TAIL_LINES);
    println!("── the end of {}", path.display());
    for line in &lines[from..] {
        println!("{line}");
    }
    println!("──");
}
