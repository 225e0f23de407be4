//! What a leg stands on: an Indexer that can be troubled, or a real one that can be killed.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use inventory_sync_schemas::fields;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::Violation;
use super::plan::{TROUBLE_TIME, Trouble};
use super::stand_in::{StandIn, faults, faults_with};
use crate::World;
use crate::indexer::{Access, Indexer};

/// How a real server is killed and started again.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its process id stands here.
    pub pid_file: PathBuf,
    /// Given to `sh -c`; returns when the server is up again.
    pub restart: String,
    /// The same, with a queue of writes that holds one request.
    pub restart_with_small_queue: Option<String>,
}

impl Server {
    /// Ends it as a loss of power would.
    ///
    /// # Errors
    /// There is no process of that id.
    pub fn kill(&self) -> std::io::Result<()> {
        let text = std::fs::read_to_string(&self.pid_file)?;
        let pid = text.trim().parse().map_err(std::io::Error::other)?;
        Ok(kill(Pid::from_raw(pid), Signal::SIGKILL)?)
    }

    /// Starts it again and waits until it is up.
    ///
    /// # Errors
    /// The command fails.
    pub fn restart(&self) -> Result<(), Violation> {
        run(&self.restart)
    }

    /// Starts it again with a queue of writes that holds one request.
    ///
    /// # Errors
    /// The command fails, or was not given.
    pub fn restart_with_small_queue(&self) -> Result<(), Violation> {
        match &self.restart_with_small_queue {
            Some(command) => run(command),
            None => Err(Violation::new("there is no command for a small queue")),
        }
    }
}

/// A command of people, to its end.
fn run(command: &str) -> Result<(), Violation> {
    let output = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(Violation::new(format!(
        "`{}` failed: {}{}",
        command,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )))
}

/// A world, and what can be done to its Indexer.
pub struct Ground {
    /// Cluster, certificates, access.
    pub world: World,
    stand_in: Option<StandIn>,
    /// Milliseconds that the stand-in takes for every bulk request and every page of a listing.
    slow_ms: u64,
}

impl Ground {
    /// With a stand-in of its own.
    #[must_use]
    pub fn stand_in(name: &str, slow_ms: u64) -> Self {
        let mut started = None;
        let world = World::around(name, |pki| {
            let stand_in = StandIn::start(pki);
            let access = stand_in.access.clone();
            started = Some(stand_in);
            Indexer::real(access)
        });
        Self {
            world,
            stand_in: started,
            slow_ms,
        }
    }

    /// With a real one.
    #[must_use]
    pub fn real(name: &str, access: Access) -> Self {
        Self {
            world: World::around(name, |_| Indexer::real(access)),
            stand_in: None,
            slow_ms: 0,
        }
    }

    /// Whether it is a stand-in.
    #[must_use]
    pub const fn is_stand_in(&self) -> bool {
        self.stand_in.is_some()
    }

    /// Everyday life: no faults but that a disk takes its time.
    ///
    /// # Errors
    /// The stand-in does not answer.
    pub async fn heal(&self) -> Result<(), Violation> {
        self.set_faults(None).await
    }

    async fn set_faults(&self, trouble: Option<Value>) -> Result<(), Violation> {
        if self.stand_in.is_none() {
            return Ok(());
        }
        let faults = faults_with(self.slow_ms, trouble);
        let (status, answer) = self
            .world
            .indexer
            .ask("PUT", "/_inventory/faults", &faults.to_string())
            .await;
        if status == 200 {
            Ok(())
        } else {
            Err(Violation::new(format!("the faults are not set: {answer}")))
        }
    }

    /// Makes trouble, for its time.
    ///
    /// # Errors
    /// The stand-in does not answer.
    pub async fn trouble(&self, trouble: Trouble) -> Result<(), Violation> {
        if let Trouble::Pause(ms) = trouble {
            if let Some(stand_in) = &self.stand_in {
                kill(stand_in.pid(), Signal::SIGSTOP)?;
                tokio::time::sleep(Duration::from_millis(ms)).await;
                kill(stand_in.pid(), Signal::SIGCONT)?;
            }
            return Ok(());
        }
        if let Some(fault) = faults(trouble) {
            self.set_faults(Some(fault)).await?;
            tokio::time::sleep(TROUBLE_TIME).await;
            self.heal().await?;
        }
        Ok(())
    }

    /// How many documents of this cluster there are, in all indices together.
    ///
    /// # Errors
    /// The Indexer does not say.
    pub async fn documents(&self) -> Result<u64, Violation> {
        let mut documents = 0;
        for index in fields::indices() {
            documents += self.count(index.name).await?;
        }
        Ok(documents)
    }

    /// How many of them are in one index.
    ///
    /// # Errors
    /// The Indexer does not say.
    pub async fn count(&self, index: &str) -> Result<u64, Violation> {
        let cluster = &self.world.cluster;
        let query =
            json!({"query": {"bool": {"filter": [{"term": {"wazuh.cluster.name": cluster}}]}}});
        let mut answer = String::new();
        for (path, body) in [
            (format!("/{index}/_refresh"), String::new()),
            (format!("/{index}/_count"), query.to_string()),
        ] {
            let (status, text) = self.world.indexer.ask("POST", &path, &body).await;
            if status != 200 {
                return Err(Violation::new(format!("{path}: {status}: {text}")));
            }
            answer = text;
        }
        let answer: Value = serde_json::from_str(&answer)
            .map_err(|error| Violation::new(format!("{index}: {error}: {answer}")))?;
        Ok(answer["count"].as_u64().unwrap_or(0))
    }
}
