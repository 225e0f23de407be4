//! A build of many minutes that says how far it is.
//!
//! Cargo tells of every crate that is done; how many there are `cargo tree` says. Nearly all crates take a
//! moment and two take minutes, so crates are weighed, not counted.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::process::Stdio;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::machine;
use crate::run::{self, clock};

/// About how many seconds of one core a crate takes.
const USUAL_WEIGHT: u64 = 4;

/// Those that are far from usual: C and C++ inside.
const HEAVY: &[(&str, u64)] = &[("librocksdb-sys", 1_200), ("aws-lc-sys", 150)];

/// How often a line is printed where nothing can be overwritten.
const LINE_INTERVAL_SECONDS: u64 = 20;

/// Builds packages and shows how far it is.
pub fn build(packages: &[&str]) -> Result<(), Failure> {
    let selection: Vec<&str> = packages
        .iter()
        .flat_map(|package| ["-p", package])
        .collect();
    let mut command = run::cargo();
    command
        .args([
            "build",
            "--locked",
            "--quiet",
            "--message-format=json-render-diagnostics",
        ])
        .args(&selection)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut estimate = Estimate::new(&crates_of(&selection)?, machine::cores());
    let mut child = command
        .spawn()
        .map_err(|error| Failure::step(format!("cannot run {}: {error}", run::shown(&command))))?;
    let (sender, lines) = mpsc::channel();
    let reader = child.stdout.take().map(|stdout| {
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        })
    });
    let began = Instant::now();
    let mut screen = Screen::new();
    loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                if let Some((name, fresh)) = artifact(&line) {
                    estimate.done(&name, fresh, began.elapsed().as_secs());
                    screen.is_new = true;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        screen.show(&estimate.line(began.elapsed().as_secs()), began.elapsed());
    }
    screen.end();
    if let Some(reader) = reader {
        // It only ends; it cannot fail.
        let _ = reader.join();
    }
    let status = child
        .wait()
        .map_err(|error| Failure::step(format!("cannot wait for cargo: {error}")))?;
    if !status.success() {
        return Err(Failure::step(format!(
            "the build failed\n   {}",
            run::shown(&command)
        )));
    }
    eprintln!("── built in {}", clock(began.elapsed().as_secs()));
    Ok(())
}

/// The crates that a build takes, each once.
fn crates_of(selection: &[&str]) -> Result<BTreeSet<String>, Failure> {
    let mut command = run::cargo();
    command
        .args([
            "tree",
            "--locked",
            "--quiet",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
        ])
        .args(["--format", "{p}"])
        .args(selection);
    Ok(run::output(&mut command)?
        .lines()
        .filter_map(tree_entry)
        .collect())
}

/// `serde v1.0.2 (*)` is serde.
fn tree_entry(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    words.next().filter(|version| version.starts_with('v'))?;
    Some(name.to_owned())
}

/// Reads cargo's message that a crate's library or binary is done: its package, and whether it was
/// there before. One line is one message; the two members looked for hold no escaped text.
fn artifact(line: &str) -> Option<(String, bool)> {
    if !line.starts_with(r#"{"reason":"compiler-artifact""#)
        || line.contains(r#""kind":["custom-build"]"#)
    {
        return None;
    }
    let id = line.split_once(r#""package_id":""#)?.1.split('"').next()?;
    Some((
        package_name(id).to_owned(),
        line.contains(r#""fresh":true"#),
    ))
}

/// `registry+https://…#name@1.0.0`, or `path+file:///…/name#0.1.0`.
fn package_name(id: &str) -> &str {
    let (source, fragment) = id.split_once('#').unwrap_or(("", id));
    match fragment.split_once('@') {
        Some((name, _)) => name,
        None => source.rsplit('/').next().unwrap_or(fragment),
    }
}

fn weight(name: &str) -> u64 {
    HEAVY
        .iter()
        .find(|(heavy, _)| *heavy == name)
        .map_or(USUAL_WEIGHT, |(_, weight)| *weight)
}

/// How far a build is. Weights are seconds of one core.
#[derive(Debug)]
struct Estimate {
    waiting: Vec<String>,
    total: usize,
    cores: u64,
    /// Weight of what was compiled, not found.
    compiled: u64,
    /// When the last crate was done.
    last_seconds: u64,
}

impl Estimate {
    fn new(crates: &BTreeSet<String>, cores: u64) -> Self {
        Self {
            waiting: crates.iter().cloned().collect(),
            total: crates.len(),
            cores: cores.max(1),
            compiled: 0,
            last_seconds: 0,
        }
    }

    fn done(&mut self, name: &str, fresh: bool, now_seconds: u64) {
        let Some(place) = self.waiting.iter().position(|waiting| waiting == name) else {
            return;
        };
        self.waiting.swap_remove(place);
        if !fresh {
            self.compiled += weight(name);
            self.last_seconds = now_seconds;
        }
    }

    /// Seconds that are left, if all goes on as it went; 0 where it does not.
    fn left_seconds(&self, now_seconds: u64) -> u64 {
        let waiting: u64 = self.waiting.iter().map(|name| weight(name)).sum();
        let usual = waiting / self.cores;
        // The prior counts like two minutes of experience, so that the first crates decide nothing.
        let prior = 120;
        let measured = self.last_seconds + prior;
        let expected = self.compiled / self.cores + prior;
        let left = usual * measured / expected.max(1);
        left.saturating_sub(now_seconds.saturating_sub(self.last_seconds))
    }

    fn line(&self, now_seconds: u64) -> String {
        let left = self.left_seconds(now_seconds);
        let left = match left {
            0 => "longer than it should take".to_owned(),
            1..90 => "about a minute left".to_owned(),
            _ => format!("about {} minutes left", left.div_ceil(60)),
        };
        let busy = match self.waiting.iter().any(|name| name == "librocksdb-sys") {
            true if self.waiting.len() < 20 => "; RocksDB is compiled, the longest part",
            _ => "",
        };
        format!(
            "   {} of {} crates, {} so far, {left}{busy}",
            self.total - self.waiting.len(),
            self.total,
            clock(now_seconds),
        )
    }
}

/// One line that is overwritten on a terminal, and a line now and then elsewhere.
pub struct Screen {
    is_terminal: bool,
    is_new: bool,
    next_line: Duration,
    width: usize,
}

impl Screen {
    pub fn new() -> Self {
        Self {
            is_terminal: std::io::stderr().is_terminal(),
            is_new: false,
            next_line: Duration::ZERO,
            width: 0,
        }
    }

    pub fn show(&mut self, line: &str, now: Duration) {
        if self.is_terminal {
            eprint!("\r{line:<width$}", width = self.width);
            self.width = line.chars().count();
            // A screen that cannot be written to changes nothing about the build.
            let _ = std::io::stderr().flush();
        } else if now >= self.next_line {
            eprintln!("{line}");
            self.next_line = now + Duration::from_secs(LINE_INTERVAL_SECONDS);
        }
    }

    pub fn end(&self) {
        if self.is_terminal && self.is_new {
            eprintln!();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_cargo_are_read() {
        let registry = r#"{"reason":"compiler-artifact","package_id":"registry+https://x.y/index#serde_json@1.0.2","manifest_path":"/x","target":{"kind":["lib"]},"fresh":false}"#;
        assert_eq!(artifact(registry), Some(("serde_json".to_owned(), false)));
        let own = r#"{"reason":"compiler-artifact","package_id":"path+file:///a/b/sim#inventory-sim@0.1.0","target":{"kind":["lib"]},"fresh":true}"#;
        assert_eq!(artifact(own), Some(("inventory-sim".to_owned(), true)));
        let short = r#"{"reason":"compiler-artifact","package_id":"path+file:///a/b/xtask#0.1.0","target":{"kind":["bin"]},"fresh":true}"#;
        assert_eq!(artifact(short), Some(("xtask".to_owned(), true)));
        let script = r#"{"reason":"compiler-artifact","package_id":"registry+x#libc@1.0.0","target":{"kind":["custom-build"]},"fresh":true}"#;
        assert_eq!(artifact(script), None);
        assert_eq!(
            artifact(r#"{"reason":"build-finished","success":true}"#),
            None
        );
    }

    #[test]
    fn the_tree_names_crates() {
        assert_eq!(tree_entry("serde v1.0.2 (*)"), Some("serde".to_owned()));
        assert_eq!(
            tree_entry("inventory-sync v0.1.0 (/a/runtime)"),
            Some("inventory-sync".to_owned())
        );
        assert_eq!(tree_entry(""), None);
        assert_eq!(tree_entry("[build-dependencies]"), None);
    }

    #[test]
    fn the_estimate_falls_and_says_when_it_was_wrong() {
        let crates: BTreeSet<String> = ["librocksdb-sys", "serde", "tokio"]
            .iter()
            .map(|name| (*name).to_owned())
            .collect();
        let mut estimate = Estimate::new(&crates, 2);
        let first = estimate.left_seconds(0);
        assert!((500..=700).contains(&first), "{first}");
        estimate.done("serde", false, 2);
        estimate.done("serde", false, 2);
        assert!(estimate.left_seconds(100) < first);
        assert!(estimate.line(100).contains("1 of 3 crates"));
        assert!(estimate.line(100).contains("minutes left"));
        assert_eq!(estimate.left_seconds(100_000), 0);
        assert!(estimate.line(100_000).contains("longer than it should"));
    }

    #[test]
    fn a_slower_machine_is_noticed() {
        let crates: BTreeSet<String> = (0..200).map(|number| format!("crate{number}")).collect();
        let mut slow = Estimate::new(&crates, 2);
        let mut usual = Estimate::new(&crates, 2);
        for number in 0..100 {
            slow.done(&format!("crate{number}"), false, number * 8);
            usual.done(&format!("crate{number}"), false, number * 2);
        }
        assert!(slow.left_seconds(800) > 2 * usual.left_seconds(200));
    }
}
