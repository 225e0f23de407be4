//! The demonstration itself, step by step.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use super::place::{Place, Ports, USER};
use super::program::{self, DAEMON, INDEXER, Program};
use super::search::Search;
use super::show::{self, Question};
use super::sync::{Sync, Synced};
use super::{DemoError, Options};
use crate::admin::client::ask;
use crate::admin::{Request, Response, Status};
use crate::config::settings::ENVIRONMENT_PREFIX;
use crate::entropy;
use crate::indexer::Method;

/// How long a program may take until it answers. Debug builds on a busy machine are slow.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// How much later the stand-in answers while the outage is prepared, so that there is a middle of a sync.
const SLOW_MS: u64 = 400;

/// How long the outage lasts at least: longer than one attempt of the daemon takes to fail.
const OUTAGE: Duration = Duration::from_secs(4);

/// How long the daemon may take to notice it, and to be in the middle of a delivery.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes of the stand-in's password.
const PASSWORD_BYTES: usize = 16;

/// The programs that are started.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    daemon: PathBuf,
    agent: PathBuf,
    indexer: PathBuf,
}

impl Programs {
    /// Those that were named, else those beside this one.
    pub(super) fn find(options: &Options) -> Result<Self, DemoError> {
        let daemon = std::env::current_exe().map_err(|error| {
            DemoError::new(format!("this program does not know where it is: {error}"))
        })?;
        let beside = |name: &str| daemon.with_file_name(name);
        let agent = options
            .agent_bin
            .clone()
            .unwrap_or_else(|| beside("inventory-agent"));
        let indexer = options
            .indexer_bin
            .clone()
            .unwrap_or_else(|| beside("inventory-indexer"));
        let agent = found(&agent, "--agent-bin", "inventory-agent")?;
        let indexer = found(&indexer, "--indexer-bin", "inventory-indexer")?;
        Ok(Self {
            daemon,
            agent,
            indexer,
        })
    }
}

fn found(path: &Path, flag: &str, package: &str) -> Result<PathBuf, DemoError> {
    path.canonicalize().map_err(|error| {
        DemoError::new(format!(
            "{}: {error}; build it with `cargo build -p {package}`, or say where it is with {flag}",
            path.display()
        ))
    })
}

/// What the steps share.
struct Stage<'a> {
    place: &'a Place,
    programs: &'a Programs,
    ports: Ports,
    search: Search,
}

/// All steps. What was started is left running, however it ends: the caller decides.
pub(super) fn show_everything(place: &Place, programs: &Programs) -> Result<(), DemoError> {
    let ports = Ports::free()?;
    show::heading("Certificates, a stand-in for the Indexer, and the daemon");
    place.write_certificates()?;
    place.write_settings(ports, &password()?, &programs.agent)?;
    show::say(&format!(
        "certificates and configuration are in {}",
        place.dir().display()
    ));
    let stage = Stage {
        place,
        programs,
        ports,
        search: Search::new(place)?,
    };
    stage.start_indexer()?;
    stage.install_templates()?;
    stage.start_daemon()?;

    show::heading("This machine's inventory, over TLS 1.3, as agent 001");
    let first = stage.sync()?;
    show::say(&show::synced(&first.0, first.1));

    show::heading("Three questions, answered by searches");
    for question in show::questions() {
        stage.answer(&question)?;
    }
    stage.change()?;
    stage.outage()?;
    show::say(&show::where_to_look(place, ports, &programs.daemon));
    Ok(())
}

fn password() -> Result<String, DemoError> {
    let bytes: [u8; PASSWORD_BYTES] = entropy::bytes()
        .map_err(|_| DemoError::new("the system gives no random numbers for a password"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What the daemon did for one sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Work {
    /// Documents written or deleted.
    pub(super) written: u64,
    /// Documents that stood there already, with the same content.
    pub(super) unchanged: u64,
}

impl Stage<'_> {
    fn start_indexer(&self) -> Result<(), DemoError> {
        let mut command = Command::new(&self.programs.indexer);
        command
            .args(["--listen", &format!("127.0.0.1:{}", self.ports.indexer)])
            .arg("--certificate")
            .arg(self.place.certificate("server"))
            .arg("--key")
            .arg(self.place.key("server"))
            .args(["--user", USER])
            .arg("--password-file")
            .arg(self.place.password_file());
        Program::start(INDEXER, &mut command, self.place)?.until("ready", READY_TIMEOUT, || {
            self.search
                .ask(Method::Get, "/_cluster/health", None)
                .map(drop)
                .map_err(|error| error.to_string())
        })?;
        show::say(&format!(
            "stand-in   https://127.0.0.1:{}, user {USER}; documents in memory",
            self.ports.indexer
        ));
        Ok(())
    }

    /// This program with the demonstration's configuration, and no other.
    fn daemon_command(&self) -> Command {
        let mut command = Command::new(&self.programs.daemon);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with(ENVIRONMENT_PREFIX) {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.place.dir())
            .arg("--config")
            .arg(self.place.config());
        command
    }

    fn install_templates(&self) -> Result<(), DemoError> {
        let output = self
            .daemon_command()
            .args(["templates", "install"])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| {
                DemoError::new(format!("the templates cannot be installed: {error}"))
            })?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(DemoError::new(format!(
                "the templates cannot be installed: {text}{}",
                String::from_utf8_lossy(&output.stderr)
            )));
        }
        show::say(&format!(
            "templates  {} indices have theirs: what the documents may hold is fixed",
            text.lines().count()
        ));
        Ok(())
    }

    fn start_daemon(&self) -> Result<(), DemoError> {
        let mut command = self.daemon_command();
        command.arg("serve");
        Program::start(DAEMON, &mut command, self.place)?.until("ready", READY_TIMEOUT, || {
            match self.status() {
                Ok(status) if is_ready(&status) => Ok(()),
                Ok(status) => Err(status.to_string()),
                Err(error) => Err(error.to_string()),
            }
        })?;
        show::say(&format!(
            "daemon     agents on 127.0.0.1:{}, metrics on 127.0.0.1:{}",
            self.ports.agents, self.ports.metrics
        ));
        Ok(())
    }

    fn status(&self) -> Result<Status, DemoError> {
        let socket = self.place.admin_socket();
        match ask(&socket, &Request::Status).map_err(|error| DemoError::new(error.to_string()))? {
            Response::Status(status) => Ok(*status),
            Response::Done { message } | Response::Refused { message } => {
                Err(DemoError::new(message))
            }
        }
    }

    /// A sync of this machine, and what the daemon did for it.
    fn sync(&self) -> Result<(Synced, Work), DemoError> {
        let before = self.status()?;
        let words = self.place.sync_words(self.ports, &self.programs.agent, 1);
        let synced = Sync::start(self.place, &words, false)?.finish()?;
        let after = self.status()?;
        Ok((synced, work(&before, &after)))
    }

    fn answer(&self, question: &Question) -> Result<(), DemoError> {
        show::say(&format!("\n{}", show::asked(question)));
        let hits = self.search.hits(question.index, &question.query)?;
        show::say(&show::table(question, &hits, None));
        Ok(())
    }

    /// A port is opened, and a search finds it after a second sync.
    fn change(&self) -> Result<(), DemoError> {
        show::heading("This machine changes, and only the change is written");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .map_err(|error| DemoError::new(format!("127.0.0.1 has no free port: {error}")))?;
        let port = listener
            .local_addr()
            .map_err(|error| DemoError::new(format!("a socket has no address: {error}")))?
            .port();
        show::say(&format!(
            "this demonstration listens on 127.0.0.1:{port} now; a second sync"
        ));
        let (synced, work) = self.sync()?;
        show::say(&show::synced(&synced, work));
        let question = show::who_listens(port);
        show::say(&format!("\n{}", show::asked(&question)));
        let hits = self.search.hits(question.index, &question.query)?;
        show::say(&show::table(&question, &hits, None));
        if hits.is_empty() {
            return Err(DemoError::new(format!(
                "127.0.0.1:{port} is open and the search does not find it; is another user's network \
                 namespace scanned?"
            )));
        }
        if work.unchanged == 0 {
            return Err(DemoError::new(
                "the second sync wrote everything again, which it should not",
            ));
        }
        Ok(())
    }

    /// The Indexer goes away while a session is delivered, and comes back.
    fn outage(&self) -> Result<(), DemoError> {
        show::heading("The Indexer goes away in the middle of a sync");
        show::say(&format!(
            "agent 002 is this machine once more, under another number: all of its documents are new.\n\
             The stand-in answers {SLOW_MS} ms late for a moment, so that there is a middle."
        ));
        self.search
            .set_faults(&json!([{"kind": "slow_ms", "ms": SLOW_MS}]))?;
        let words = self.place.sync_words(self.ports, &self.programs.agent, 2);
        let mut sync = Sync::start(self.place, &words, true)?;
        let in_the_middle = self.wait_for(&mut sync, |status| status.sessions.delivering > 0);
        let broken = in_the_middle.and_then(|_| {
            self.search.set_faults(&json!([{"kind": "down"}]))?;
            let since = Instant::now();
            show::say(&format!("\n{}\n", show::down(self.place, self.ports)));
            let status = self.wait_for(&mut sync, |status| !is_ready(status))?;
            show::say(&show::seen_by_the_operator(&status));
            sleep(OUTAGE.saturating_sub(since.elapsed()));
            Ok(since.elapsed())
        });
        // In any case: what is left running is not left broken.
        self.search.set_faults(&json!([]))?;
        let lasted = broken?;
        show::say(&format!(
            "\nafter {:.1} s the Indexer is back; the agent still waits for its verdict\n",
            lasted.as_secs_f64()
        ));
        let synced = sync.finish()?;
        let count = self.search.count(2)?;
        show::say(&show::survived(&synced, count));
        if count == synced.documents {
            Ok(())
        } else {
            Err(DemoError::new(format!(
                "agent 002 brought {} documents and the stand-in has {count}; the daemon's log is {}",
                synced.documents,
                self.place.log(DAEMON).display()
            )))
        }
    }

    /// Asks the daemon until it is so; the sync must not be over before.
    fn wait_for(
        &self,
        sync: &mut Sync,
        is_so: impl Fn(&Status) -> bool,
    ) -> Result<Status, DemoError> {
        let begun = Instant::now();
        loop {
            let status = self.status()?;
            if is_so(&status) {
                return Ok(status);
            }
            if sync.has_ended() {
                return Err(DemoError::new(
                    "the sync was over before the outage began; this machine is too fast for this \
                     demonstration, or the agent failed as it says above",
                ));
            }
            if begun.elapsed() > NOTICE_TIMEOUT {
                return Err(DemoError::new(format!(
                    "the daemon has not come to where the outage begins:\n{status}{}",
                    program::tail_of(&self.place.log(DAEMON))
                )));
            }
            sleep(Duration::from_millis(10));
        }
    }
}

fn is_ready(status: &Status) -> bool {
    status.writer.lease_left_ms > 0 && status.hosts.iter().all(|host| host.health == "ready")
}

fn work(before: &Status, after: &Status) -> Work {
    let counter = |status: &Status, name: &str| status.counters.get(name).copied().unwrap_or(0);
    let more = |name: &str| counter(after, name).saturating_sub(counter(before, name));
    Work {
        written: more("operations_stored"),
        unchanged: more("items_unchanged"),
    }
}
