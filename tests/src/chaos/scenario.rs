//! What operators meet with a real OpenSearch, each in the middle of a load; and what they see of it.
//!
//! ```text
//!  load ═══════════════════════════════════════════════════════════▶ equal sets, clean stop
//!        a part is stored ─▶ trouble ─▶ seen, held ─▶ cure ─▶ status is quiet again
//!                                 └── status and log lines ──▶ report
//! ```

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use inventory_sync_schemas::fields;
use serde_json::{Value, json};

use super::ground::Ground;
use super::victim::Victim;
use super::{Violation, patiently};
use crate::daemon::Setup;
use crate::indexer::Indexer;

/// How long trouble lasts after it was seen.
const HELD: Duration = Duration::from_secs(5);

/// Log lines of one trouble that are shown.
const LINES_MAX: usize = 12;

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// The disk is nearly full: the server blocks an index for everything but deletes of whole indices.
    FloodStage,
    /// The queue of writes holds one request.
    FullQueue,
    /// Somebody closes an index.
    ClosedIndex,
    /// The daemon's role loses its right to write.
    RevokedPrivilege,
}

impl Scenario {
    /// All.
    pub const ALL: [Self; 4] = [
        Self::FloodStage,
        Self::FullQueue,
        Self::ClosedIndex,
        Self::RevokedPrivilege,
    ];

    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FloodStage => "flood-stage block",
            Self::FullQueue => "full write queue",
            Self::ClosedIndex => "closed index",
            Self::RevokedPrivilege => "revoked privilege",
        }
    }

    /// Settings of the daemon with which the trouble comes about.
    #[must_use]
    pub fn tune(self, setup: Setup) -> Setup {
        match self {
            Self::FullQueue => setup
                .with("session.shards", 4)
                .with("indexer.concurrency_max", 8)
                .with("indexer.bulk_operations_max", 20),
            Self::FloodStage | Self::ClosedIndex | Self::RevokedPrivilege => setup,
        }
    }
}

/// Who makes trouble: an administrator of the Indexer.
pub struct Trouble<'a> {
    /// The administrator.
    pub administrator: &'a Indexer,
    /// What is troubled.
    pub ground: &'a Ground,
}

/// What has to be undone.
enum Cure {
    Settings(String),
    Open(String),
    Role(String, Value),
}

impl Trouble<'_> {
    /// Makes it, watches, cures it. What operators saw, line by line.
    ///
    /// # Errors
    /// The Indexer refuses, nothing is seen, or the cure does not help.
    pub async fn run(
        &self,
        scenario: Scenario,
        setup: &Setup,
        victim: &Victim,
    ) -> Result<Vec<String>, Violation> {
        if scenario == Scenario::FullQueue {
            return self.full_queue(setup, victim).await;
        }
        let index = self.largest_index().await?;
        let before = log_of(victim)?.len();
        let cure = self.make(scenario, &index).await?;
        let watched = self.watch(&cure, &index, before, setup, victim).await;
        // The server is not ours alone: cured in any case.
        self.cure(cure).await?;
        let mut seen = watched?;
        let began = Instant::now();
        patiently("status is quiet again", || {
            Ok(troubled(setup).is_none().then_some(()))
        })
        .await?;
        seen.push(format!(
            "quiet {:.1} s after the cure",
            began.elapsed().as_secs_f64()
        ));
        Ok(seen)
    }

    async fn watch(
        &self,
        cure: &Cure,
        index: &str,
        before: usize,
        setup: &Setup,
        victim: &Victim,
    ) -> Result<Vec<String>, Violation> {
        let began = Instant::now();
        let mut seen = vec![format!("trouble: {}", cure.trouble(index))];
        let status = patiently("status shows the trouble", || {
            if victim.is_over() {
                return Err(Violation::new("the daemon ended"));
            }
            Ok(troubled(setup))
        })
        .await?;
        seen.push(format!(
            "seen after {:.1} s; {} s later:",
            began.elapsed().as_secs_f64(),
            HELD.as_secs()
        ));
        tokio::time::sleep(HELD).await;
        let held = troubled(setup).unwrap_or(status);
        seen.extend(held.iter().map(|line| format!("  status  {line}")));
        seen.extend(log_lines(&log_of(victim)?[before..]));
        Ok(seen)
    }

    /// The queue is what the server was started with; what is seen are refusals for load.
    async fn full_queue(&self, setup: &Setup, victim: &Victim) -> Result<Vec<String>, Violation> {
        let (_, answer) = self
            .administrator
            .ask(
                "GET",
                "/_nodes/_all/settings?filter_path=**.thread_pool",
                "",
            )
            .await;
        let began = Instant::now();
        let rejected = loop {
            let (_, pools) = self
                .administrator
                .ask(
                    "GET",
                    "/_cat/thread_pool/write?format=json&h=active,queue,rejected,queue_size",
                    "",
                )
                .await;
            let parsed: Value = serde_json::from_str(&pools).unwrap_or(Value::Null);
            let rejected = parsed[0]["rejected"]
                .as_str()
                .and_then(|text| text.parse::<u64>().ok())
                .unwrap_or(0);
            if rejected > 0 {
                break parsed[0].clone();
            }
            if began.elapsed() > Duration::from_secs(60) {
                return Err(Violation::new(format!(
                    "the queue was never full: {pools}, {answer}"
                )));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        tokio::time::sleep(HELD).await;
        let mut seen = vec![
            format!("trouble: the server's settings are {}", answer.trim()),
            format!("the server's write pool when it had refused: {rejected}"),
        ];
        seen.extend(
            status_lines(setup)
                .iter()
                .map(|line| format!("  status  {line}")),
        );
        let status: Value = serde_json::from_str(&setup.ask(&["status", "--json"]))
            .map_err(|error| Violation::new(error.to_string()))?;
        for name in ["operations_retried", "operations_stored"] {
            seen.push(format!("  status  {name} {}", status["counters"][name]));
        }
        seen.extend(log_lines(&log_of(victim)?));
        Ok(seen)
    }

    async fn largest_index(&self) -> Result<String, Violation> {
        let mut largest = (0, String::new());
        for index in fields::indices() {
            let count = self.ground.count(index.name).await?;
            largest = largest.max((count, index.name.to_owned()));
        }
        if largest.0 == 0 {
            return Err(Violation::new("nothing is stored yet"));
        }
        Ok(largest.1)
    }

    async fn make(&self, scenario: Scenario, index: &str) -> Result<Cure, Violation> {
        match scenario {
            Scenario::FloodStage => {
                let block = json!({"index.blocks.read_only_allow_delete": true});
                self.ask("PUT", &format!("/{index}/_settings"), &block)
                    .await?;
                Ok(Cure::Settings(index.to_owned()))
            }
            Scenario::ClosedIndex => {
                self.ask("POST", &format!("/{index}/_close"), &Value::Null)
                    .await?;
                Ok(Cure::Open(index.to_owned()))
            }
            Scenario::RevokedPrivilege | Scenario::FullQueue => self.revoke().await,
        }
    }

    /// Takes the rights to write from the role that the daemon's user has.
    async fn revoke(&self) -> Result<Cure, Violation> {
        let own = &self.ground.world.indexer;
        let (_, who) = own.ask("GET", "/_plugins/_security/authinfo", "").await;
        let who: Value = serde_json::from_str(&who).unwrap_or(Value::Null);
        let roles = who["roles"].as_array().cloned().unwrap_or_default();
        for role in roles.iter().filter_map(Value::as_str) {
            let path = format!("/_plugins/_security/api/roles/{role}");
            let found = self.ask("GET", &path, &Value::Null).await?;
            let found = &found[role];
            if found["reserved"] == json!(true) || found["static"] == json!(true) {
                continue;
            }
            let mut kept = json!({});
            for part in [
                "cluster_permissions",
                "index_permissions",
                "tenant_permissions",
            ] {
                kept[part] = found[part].clone();
            }
            let mut less = kept.clone();
            for entry in less["index_permissions"]
                .as_array_mut()
                .into_iter()
                .flatten()
            {
                if let Some(actions) = entry["allowed_actions"].as_array_mut() {
                    actions.retain(|action| {
                        action.as_str().is_none_or(|name| !name.contains("write"))
                    });
                }
            }
            if less != kept {
                self.ask("PUT", &path, &less).await?;
                return Ok(Cure::Role(path, kept));
            }
        }
        Err(Violation::new(format!(
            "none of the user's roles can be changed: {who}"
        )))
    }

    async fn cure(&self, cure: Cure) -> Result<(), Violation> {
        match cure {
            Cure::Settings(index) => {
                let open = json!({"index.blocks.read_only_allow_delete": null});
                self.ask("PUT", &format!("/{index}/_settings"), &open)
                    .await?;
            }
            Cure::Open(index) => {
                self.ask("POST", &format!("/{index}/_open"), &Value::Null)
                    .await?;
            }
            Cure::Role(path, role) => {
                self.ask("PUT", &path, &role).await?;
            }
        }
        Ok(())
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, Violation> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, answer) = self.administrator.ask(method, path, &body).await;
        if !(200..300).contains(&status) {
            return Err(Violation::new(format!(
                "{method} {path}: {status}: {answer}"
            )));
        }
        Ok(serde_json::from_str(&answer).unwrap_or(Value::Null))
    }
}

impl Cure {
    fn trouble(&self, index: &str) -> String {
        match self {
            Self::Settings(_) => format!("index.blocks.read_only_allow_delete on {index}"),
            Self::Open(_) => format!("{index} is closed"),
            Self::Role(path, _) => format!("the rights to write are taken from {path}"),
        }
    }
}

fn status_lines(setup: &Setup) -> Vec<String> {
    let output = setup.run(&["status"]);
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.lines().map(str::to_owned).collect()
}

/// The lines of `status`, if it tells of trouble.
fn troubled(setup: &Setup) -> Option<Vec<String>> {
    let lines = status_lines(setup);
    let is_bad = |line: &String| line.starts_with("paused") || line.starts_with("ALERT");
    lines.iter().any(is_bad).then_some(lines)
}

fn log_of(victim: &Victim) -> Result<String, Violation> {
    Ok(std::fs::read_to_string(&victim.log)?)
}

/// Warnings and errors, each kind once.
fn log_lines(log: &str) -> Vec<String> {
    let mut kinds = BTreeSet::new();
    let mut lines = Vec::new();
    for line in log.lines() {
        let Ok(Value::Object(mut parsed)) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let level = parsed["level"].as_str().unwrap_or_default().to_owned();
        if level != "WARN" && level != "ERROR" {
            continue;
        }
        let kind = (
            parsed.get("message").map(Value::to_string),
            parsed.get("index").map(Value::to_string),
            parsed.get("reason").map(Value::to_string),
        );
        if !kinds.insert(kind) || lines.len() >= LINES_MAX {
            continue;
        }
        let message = parsed.remove("message").unwrap_or_default();
        for key in ["timestamp", "level", "target"] {
            parsed.remove(key);
        }
        let rest: Vec<String> = parsed
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let message = message.as_str().unwrap_or_default();
        lines.push(format!("  log     {level} {message} {}", rest.join(" ")));
    }
    lines
}
