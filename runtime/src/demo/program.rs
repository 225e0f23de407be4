//! The programs that go on running: started with a log, known by number and start time, ended by these.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::DemoError;
use super::place::{Place, write_private};

/// The stand-in's name, of its log and its pid file.
pub(super) const INDEXER: &str = "inventory-indexer";
/// The daemon's.
pub(super) const DAEMON: &str = "inventory-sync";

/// The agent's, while it synchronises.
pub(super) const AGENT: &str = "inventory-agent";

/// In the order in which they are ended: who asks before who answers.
const PROGRAMS: [&str; 3] = [AGENT, DAEMON, INDEXER];

/// How long a program may take to end by itself. The daemon waits for what it has asked.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Lines of a log that an error shows.
const TAIL_LINES: usize = 8;

/// Bytes of a log that are read for them.
const TAIL_BYTES: u64 = 4_096;

/// A program that was started by this process.
pub(super) struct Program {
    name: &'static str,
    child: Child,
    place: Place,
}

impl Program {
    /// Starts it in a process group of its own, so that an interrupt of ours is not one of its, with what
    /// it says in its log.
    pub(super) fn start(
        name: &'static str,
        command: &mut Command,
        place: &Place,
    ) -> Result<Self, DemoError> {
        let failed = |what: String| DemoError::new(format!("{name} cannot be started: {what}"));
        let path = place.log(name);
        let log =
            File::create(&path).map_err(|error| failed(format!("{}: {error}", path.display())))?;
        let also = log
            .try_clone()
            .map_err(|error| failed(format!("{}: {error}", path.display())))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(also)
            .process_group(0)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let mut program = Self {
            name,
            child,
            place: place.clone(),
        };
        match remember(place, name, program.child.id()) {
            Ok(()) => Ok(program),
            Err(what) => {
                // Without its pid file nobody could end it later.
                let _ = program.child.kill();
                let _ = program.child.wait();
                Err(failed(what))
            }
        }
    }

    /// Asks until there is an answer; a program that has ended, or says nothing for `limit`, is an error
    /// with the end of its log.
    pub(super) fn until<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut ask: impl FnMut() -> Result<T, String>,
    ) -> Result<T, DemoError> {
        let started = Instant::now();
        loop {
            let why = match ask() {
                Ok(answer) => return Ok(answer),
                Err(why) => why,
            };
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.failed(&format!("ended before it was {what}: {status}")));
            }
            if started.elapsed() > limit {
                let text = format!("is not {what} after {} s: {why}", limit.as_secs());
                return Err(self.failed(&text));
            }
            sleep(LOOK_EVERY);
        }
    }

    fn failed(&self, what: &str) -> DemoError {
        DemoError::new(format!(
            "{} {what}{}",
            self.name,
            tail_of(&self.place.log(self.name))
        ))
    }
}

/// The end of a log, to be put behind a sentence.
pub(super) fn tail_of(log: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = match read() {
        Ok(text) => text,
        Err(error) => return format!("\n  its log {} cannot be read: {error}", log.display()),
    };
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    if last.is_empty() {
        return format!("\n  its log {} is empty", log.display());
    }
    let mut tail = format!("\n  the end of {}:", log.display());
    for line in last {
        tail.push_str("\n  │ ");
        tail.push_str(line);
    }
    tail
}

/// Writes the number and the start time of a process of ours where `--stop` looks for them.
pub(super) fn remember(place: &Place, name: &str, pid: u32) -> Result<(), String> {
    let started = start_ticks(pid).ok_or_else(|| "it ended at once".to_owned())?;
    let path = place.pid_file(name);
    write_private(&path, &format!("{pid} {started}\n"), 0o600)
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// When a process was started, in ticks since the boot (proc(5)); `None` if there is none of that number,
/// or it has ended and only its parent does not know yet.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&stat);
    // The name in parentheses may hold anything.
    let (_, rest) = text.rsplit_once(')')?;
    let mut words = rest.split_ascii_whitespace();
    let state = words.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    words.nth(18)?.parse().ok()
}

/// A program of an earlier run that still runs.
struct Left {
    name: &'static str,
    pid: u32,
    started: u64,
}

impl Left {
    fn runs(&self) -> bool {
        start_ticks(self.pid) == Some(self.started)
    }
}

/// The program of that pid file, if it still is the one that was started.
fn left(place: &Place, name: &'static str) -> Option<Left> {
    let text = fs::read_to_string(place.pid_file(name)).ok()?;
    let mut words = text.split_ascii_whitespace();
    let left = Left {
        name,
        pid: words.next()?.parse().ok()?,
        started: words.next()?.parse().ok()?,
    };
    left.runs().then_some(left)
}

/// What an earlier run left running, by name and number.
pub(super) fn running(place: &Place) -> Vec<String> {
    PROGRAMS
        .iter()
        .filter_map(|name| left(place, name))
        .map(|left| format!("{}, pid {}", left.name, left.pid))
        .collect()
}

/// Ends what runs, the daemon first, and says what it did.
pub(super) fn stop_all(place: &Place) -> Result<Vec<String>, DemoError> {
    let mut said = Vec::new();
    for name in PROGRAMS {
        if let Some(left) = left(place, name) {
            said.push(stop(&left)?);
        }
        // One that is not there is removed already.
        let _ = fs::remove_file(place.pid_file(name));
    }
    if said.is_empty() {
        said.push("nothing was running".to_owned());
    }
    Ok(said)
}

fn stop(left: &Left) -> Result<String, DemoError> {
    let Left { name, pid, .. } = left;
    let begun = Instant::now();
    for (signal, manner) in [
        (Signal::SIGTERM, "stopped"),
        (Signal::SIGKILL, "killed, for it did not stop"),
    ] {
        send(left, signal)?;
        let asked = Instant::now();
        while asked.elapsed() < STOP_TIMEOUT {
            if !left.runs() {
                let took = begun.elapsed().as_secs_f64();
                return Ok(format!("{name} (pid {pid}) {manner}, {took:.1} s"));
            }
            sleep(LOOK_EVERY);
        }
    }
    Err(DemoError::new(format!(
        "{name} (pid {pid}) does not end, not even by SIGKILL"
    )))
}

fn send(left: &Left, signal: Signal) -> Result<(), DemoError> {
    let Left { name, pid, .. } = left;
    let number = i32::try_from(*pid)
        .map_err(|_| DemoError::new(format!("{name} has no process number: {pid}")))?;
    match kill(Pid::from_raw(number), signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(DemoError::new(format!(
            "{name} (pid {pid}) cannot be stopped: {error}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Place) {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::create(&dir.path().join("demo")).unwrap();
        (dir, place)
    }

    #[test]
    fn what_was_started_is_found_again_and_ended() {
        let (_dir, place) = place();
        let mut command = Command::new("sleep");
        let mut program = Program::start(DAEMON, command.arg("60"), &place).unwrap();
        let pid = program.child.id();
        assert_eq!(running(&place), [format!("inventory-sync, pid {pid}")]);
        let said = stop_all(&place).unwrap();
        assert!(said[0].contains(&format!("pid {pid}) stopped")), "{said:?}");
        assert_eq!(said.len(), 1);
        assert!(!program.child.wait().unwrap().success());
        assert_eq!(running(&place), Vec::<String>::new());
    }

    #[test]
    fn another_process_of_the_same_number_is_left_alone() {
        let (_dir, place) = place();
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        let started = start_ticks(other.id()).unwrap();
        let text = format!("{} {}\n", other.id(), started + 1);
        fs::write(place.pid_file(DAEMON), text).unwrap();
        assert_eq!(running(&place), Vec::<String>::new());
        assert_eq!(stop_all(&place).unwrap(), ["nothing was running"]);
        assert_eq!(other.try_wait().unwrap(), None);
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn a_program_that_ends_is_told_with_its_log() {
        let (_dir, place) = place();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 0.2; echo the port is taken; exit 3"]);
        let mut program = Program::start(INDEXER, &mut command, &place).unwrap();
        let error = program
            .until("ready", Duration::from_secs(20), || {
                Err::<(), _>("no answer".to_owned())
            })
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("ended before it was ready: exit status: 3"),
            "{error}"
        );
        assert!(error.ends_with("│ the port is taken"), "{error}");
    }
}
