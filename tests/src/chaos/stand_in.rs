//! The stand-in Indexer as a process of its own, which can be stopped for a moment and made to fail.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::plan::Trouble;
use crate::certs::Pki;
use crate::indexer::{Access, USER};
use crate::programs::program;

/// The stand-in. Ended when this is dropped.
pub struct StandIn {
    child: Child,
    /// How it is reached.
    pub access: Access,
}

impl StandIn {
    /// Starts it at a port that the system chooses.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(pki: &Pki) -> Self {
        let mut child = Command::new(program("inventory-indexer"))
            .args(["--listen", "127.0.0.1:0", "--no-auto-create"])
            .arg("--certificate")
            .arg(pki.server_file())
            .arg("--key")
            .arg(pki.server_key_file())
            .args(["--user", USER.0])
            .env("INVENTORY_INDEXER_PASSWORD", USER.1)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(pki.folder().with_file_name("indexer.log")).expect("a log"))
            .spawn()
            .expect("the stand-in can be started");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("a line that says where it listens");
        let port = line.trim().rsplit(':').next().unwrap_or_default();
        assert!(
            port.parse::<u16>().is_ok(),
            "the stand-in says where it listens: {line:?}"
        );
        Self {
            child,
            access: Access {
                url: format!("https://localhost:{port}"),
                authority: pki.authority_file(),
                certificate: None,
                user: Some((USER.0.to_owned(), USER.1.to_owned())),
            },
        }
    }

    /// What stops and continues it.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // A stopped one could not end.
        let _ = kill(self.pid(), Signal::SIGCONT);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is always so: an Indexer whose disk takes its time, so that requests are under way for a while; and this
/// trouble.
#[must_use]
pub fn faults_with(slow_ms: u64, trouble: Option<Value>) -> Value {
    let slow = |path: &str| json!({"kind": "slow_ms", "ms": slow_ms, "path": path});
    let everyday = [slow("/_bulk"), slow("/_search/scroll")];
    everyday.into_iter().chain(trouble).collect()
}

/// The faults of a trouble; `None`: it is none of faults.
#[must_use]
pub fn faults(trouble: Trouble) -> Option<Value> {
    Some(match trouble {
        Trouble::Pause(_) => return None,
        Trouble::DropAnswers => json!({"kind": "drop_answer", "path": "/_bulk", "every": 2}),
        Trouble::ApplyLate(ms) => {
            json!({"kind": "delay_apply", "ms": ms, "path": "/_bulk", "every": 2})
        }
        Trouble::RefuseItems => {
            json!({"kind": "item_status", "status": 429, "probability_percent": 30})
        }
        Trouble::RefuseRequests => {
            json!({"kind": "status", "status": 429, "path": "/_bulk", "every": 2})
        }
        Trouble::TruncateAnswers => {
            json!({"kind": "truncate_answer", "path": "/_bulk", "every": 2})
        }
        Trouble::Down => json!({"kind": "down", "path": "/_bulk"}),
    })
}
