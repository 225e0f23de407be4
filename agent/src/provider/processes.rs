//! Processes: one directory of /proc each, read entry by entry.

use std::io;
use std::path::Path;

use super::{Category, Outcome, Roots, Row, Scan, Source, iso8601, read};

/// Processes. The key is the pid alone: a reused pid is the same document with other content.
#[derive(Debug, Clone, Copy)]
pub struct Processes;

impl Source for Processes {
    fn category(&self) -> Category {
        Category::Processes
    }

    fn scan(&self, roots: &Roots) -> Outcome {
        let pids = match pids(roots) {
            Ok(pids) => pids,
            Err(reason) => return Outcome::Unavailable { reason },
        };
        let clock = Clock::read(roots);
        let mut scan = Scan::new();
        if clock.is_none() {
            scan.problem(
                "start times",
                "the boot time or the clock tick is unknown; starts are left out",
            );
        }
        for pid in pids {
            let dir = roots.proc(&pid.to_string());
            match process(&dir, clock) {
                Ok(row) => scan.rows.push(row.text("pid", pid.to_string())),
                Err(ProcessError::Vanished) => {}
                Err(ProcessError::Unreadable(what)) => scan.problem(format!("process {pid}"), what),
            }
        }
        if scan.rows.is_empty() {
            return Outcome::unavailable(format!(
                "none of the processes in {} can be read",
                roots.proc("").display()
            ));
        }
        Outcome::Scanned(scan)
    }
}

/// The pids that /proc lists, ascending. There is always one: whoever asks. So an empty listing is an
/// error as well.
pub(super) fn pids(roots: &Roots) -> Result<Vec<i64>, String> {
    let path = roots.proc("");
    let entries = std::fs::read_dir(&path)
        .map_err(|error| format!("cannot list {}: {error}", path.display()))?;
    let mut pids = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| format!("cannot list {}: {error}", path.display()))?;
        if let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        {
            pids.push(pid);
        }
    }
    if pids.is_empty() {
        return Err(format!(
            "{} lists no process; is it mounted?",
            path.display()
        ));
    }
    pids.sort_unstable();
    Ok(pids)
}

/// What turns the kernel's start ticks into a date.
#[derive(Debug, Clone, Copy)]
struct Clock {
    boot_unix_s: i64,
    ticks_per_s: i64,
}

impl Clock {
    fn read(roots: &Roots) -> Option<Self> {
        let stat = read::bytes(&roots.proc("stat")).ok()?;
        let boot = read::lines(&stat).find_map(|line| line.strip_prefix(b"btime "))?;
        let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??;
        #[expect(
            clippy::useless_conversion,
            reason = "a C long is not 64 bits everywhere"
        )]
        let ticks_per_s = i64::from(ticks);
        (ticks_per_s > 0).then_some(Self {
            boot_unix_s: read::parse(boot)?,
            ticks_per_s,
        })
    }

    /// Whole seconds, so that the rounding of the boot time does not change a document.
    fn start(self, ticks: i64) -> Option<String> {
        iso8601::utc_from_seconds(self.boot_unix_s.checked_add(ticks / self.ticks_per_s)?)
    }
}

enum ProcessError {
    /// It ended while it was read, which is no problem.
    Vanished,
    Unreadable(String),
}

impl From<io::Error> for ProcessError {
    fn from(error: io::Error) -> Self {
        const ESRCH: i32 = nix::errno::Errno::ESRCH as i32;
        if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH) {
            Self::Vanished
        } else {
            Self::Unreadable(format!("cannot be read: {error}"))
        }
    }
}

fn process(dir: &Path, clock: Option<Clock>) -> Result<Row, ProcessError> {
    let content = read::bytes(&dir.join("stat"))?;
    let stat = Stat::parse(&content)
        .ok_or_else(|| ProcessError::Unreadable("its stat file is malformed".into()))?;
    // A process that ended between the two reads has an empty command line, or none.
    let command = read::bytes(&dir.join("cmdline"))?;
    let mut arguments = command.split(|byte| *byte == 0);
    let executable = arguments.next().unwrap_or_default();
    let arguments: Vec<&[u8]> = arguments
        .filter(|argument| !argument.trim_ascii().is_empty())
        .collect();
    let start = clock.and_then(|clock| clock.start(stat.start_ticks));
    // Only the kernel's own threads have no command line; a program that calls itself one keeps its name.
    let name = if command.is_empty() {
        lasting_name(stat.name)
    } else {
        stat.name
    };
    Ok(Row::new()
        .integer(
            "args_count",
            i64::try_from(arguments.len()).unwrap_or(i64::MAX),
        )
        .list("args", arguments, ' ', "")
        .text("command_line", executable)
        .text("name", name)
        .integer("parent_pid", stat.parent)
        .text("start", start.unwrap_or_default())
        .text("state", stat.state)
        .integer("stime", stat.stime_ticks)
        .integer("utime", stat.utime_ticks))
}

/// A worker thread of the kernel is named after what it does at the moment, behind `-` (idle) or `+`:
/// `kworker/0:1-events`. What lasts is the part before it. Its rescuers (`kworker/R-writeback`) have one name
/// for ever.
fn lasting_name(name: &[u8]) -> &[u8] {
    let Some(worker) = name.strip_prefix(b"kworker/") else {
        return name;
    };
    if worker.starts_with(b"R-") {
        return name;
    }
    name.split(|byte| matches!(byte, b'-' | b'+'))
        .next()
        .unwrap_or(name)
}

/// What we take from /proc/<pid>/stat (proc(5)).
struct Stat<'a> {
    name: &'a [u8],
    state: &'a [u8],
    parent: i64,
    utime_ticks: i64,
    stime_ticks: i64,
    start_ticks: i64,
}

impl<'a> Stat<'a> {
    /// The name stands in parentheses and may hold anything, parentheses and spaces included: it ends at
    /// the last one.
    fn parse(content: &'a [u8]) -> Option<Self> {
        let open = content.iter().position(|byte| *byte == b'(')?;
        let close = content.iter().rposition(|byte| *byte == b')')?;
        let name = content.get(open + 1..close)?;
        let words: Vec<&[u8]> = read::words(&content[close + 1..]).collect();
        // proc(5) counts from 1 and the state is its third.
        let word = |field: usize| words.get(field - 3).copied();
        let number = |field: usize| word(field).and_then(read::parse);
        Some(Self {
            name,
            state: word(3)?,
            parent: number(4)?,
            utime_ticks: number(14)?,
            stime_ticks: number(15)?,
            start_ticks: number(22)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::super::fixture::{Fixture, reason, scanned};
    use super::*;

    fn stat(pid: u32, name: &str) -> Vec<u8> {
        format!("{pid} ({name}) S 1 2 3 0 -1 4194560 5 6 7 8 12 34 0 0 20 0 1 0 250 100 3 ").into()
    }

    #[test]
    fn names_arguments_and_start() {
        let fixture = Fixture::new()
            .file("proc/stat", "cpu 1 2\nbtime 1779264000\n")
            .file("proc/7/stat", stat(7, "a) (b"))
            .file("proc/7/cmdline", b"/usr/bin/a\0-x\0two words\0\0caf\xe9\0")
            .file("proc/8/stat", stat(8, "kthread"))
            .file("proc/8/cmdline", "")
            .file("proc/self/stat", "not a pid");
        let scan = scanned(Processes.scan(&fixture.roots()));
        assert!(scan.complete && scan.problems.is_empty(), "{scan:?}");
        assert_eq!(scan.rows.len(), 2);
        let row = &scan.rows[0];
        let stored = |column| row.get(column).unwrap().stored_text();
        assert_eq!(stored("pid"), "7");
        assert_eq!(stored("name"), "a) (b");
        assert_eq!(stored("command_line"), "/usr/bin/a");
        assert_eq!(stored("args"), "-x two\\ words caf\u{fffd}");
        assert_eq!(row.get("args_count"), Some(&Value::Integer(3)));
        assert_eq!(row.get("utime"), Some(&Value::Integer(12)));
        assert_eq!(row.get("stime"), Some(&Value::Integer(34)));
        let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK);
        if ticks == Ok(Some(100)) {
            assert_eq!(stored("start"), "2026-05-20T08:00:02.000Z");
        }
        assert_eq!(scan.rows[1].get("args"), Some(&Value::Text(String::new())));
    }

    #[test]
    fn a_kernel_worker_keeps_its_name_whatever_it_does() {
        let named = |name: &str, command: &str| {
            let fixture = Fixture::new()
                .file("proc/7/stat", stat(7, name))
                .file("proc/7/cmdline", command);
            let scan = scanned(Processes.scan(&fixture.roots()));
            scan.rows[0].get("name").unwrap().stored_text().into_owned()
        };
        assert_eq!(named("kworker/u8:1-writeback", ""), "kworker/u8:1");
        assert_eq!(named("kworker/0:0H+kblockd", ""), "kworker/0:0H");
        assert_eq!(named("kworker/R-netns", ""), "kworker/R-netns");
        assert_eq!(named("irq/9-acpi", ""), "irq/9-acpi");
        assert_eq!(named("kworker/0:1-x", "/tmp/x\0"), "kworker/0:1-x");
    }

    #[test]
    fn one_broken_entry_costs_that_entry() {
        let fixture = Fixture::new()
            .file("proc/stat", "btime 1779264000\n")
            .file("proc/7/stat", stat(7, "good"))
            .file("proc/7/cmdline", "good\0")
            .file("proc/8/stat", "8 (cut")
            .file("proc/8/cmdline", "")
            // Vanished between the listing and the read.
            .file("proc/9/other", "");
        let scan = scanned(Processes.scan(&fixture.roots()));
        assert!(scan.complete);
        assert_eq!(scan.rows.len(), 1);
        assert_eq!(scan.problems.len(), 1);
        assert_eq!(scan.problems[0].entry, "process 8");
    }

    #[test]
    fn a_proc_without_processes_is_unavailable() {
        let fixture = Fixture::new().file("proc/stat", "btime 1\n");
        assert!(reason(Processes.scan(&fixture.roots())).contains("lists no process"));
    }

    #[test]
    fn an_unknown_boot_time_costs_the_start_only() {
        let fixture = Fixture::new()
            .file("proc/7/stat", stat(7, "good"))
            .file("proc/7/cmdline", "good\0");
        let scan = scanned(Processes.scan(&fixture.roots()));
        assert_eq!(scan.rows[0].get("start"), Some(&Value::Text(String::new())));
        assert_eq!(scan.problems.len(), 1);
    }
}
