//! `cargo xtask fuzz`: builds the fuzz targets with libFuzzer, on the stable compiler, and lets each run for
//! its share of the time.
//!
//! ```text
//!  fuzz/corpus/T ──read──▶ target T ──new inputs──▶ target/fuzz/T ──--minimise──▶ fuzz/corpus/T
//!                             └──a crash──▶ fuzz/crashes/T, replayed by `cargo test -p inventory-fuzz`
//! ```
//!
//! Coverage comes from the compiler's own pass, which stable can be asked for; nothing else is instrumented, so
//! memory errors of C code are not looked for: there is none in what is fuzzed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::machine;
use crate::progress::Screen;
use crate::run::{self, cargo, step};

/// What the compiler adds for libFuzzer: counters of edges, their table, and the operands of comparisons.
const COVERAGE: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
];

/// Longer inputs tell nothing that shorter ones do not.
const INPUT_BYTES_MAX: u32 = 4_096;

/// An input that takes so long is a finding. Far above what any takes, for a machine may be stopped meanwhile.
const INPUT_SECONDS_MAX: u32 = 120;

/// A corpus in git is at most so large.
const CORPUS_FILES_MAX: usize = 200;

/// What the command line says.
#[derive(Debug, PartialEq)]
struct Options {
    minutes: f64,
    target: Option<String>,
    jobs: u64,
    minimise: bool,
}

impl Options {
    fn read(args: &[String]) -> Result<Self, Failure> {
        let mut options = Self {
            minutes: 10.0,
            target: None,
            jobs: machine::cores(),
            minimise: false,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || {
                args.next()
                    .ok_or_else(|| Failure::Usage(format!("`{arg}` takes a value")))
            };
            match arg.as_str() {
                "--minutes" => options.minutes = number(value()?, arg)?,
                "--jobs" => options.jobs = number(value()?, arg)?,
                "--target" => options.target = Some(value()?.clone()),
                "--minimise" => options.minimise = true,
                other => return Err(Failure::Usage(format!("`fuzz` takes no `{other}`"))),
            }
        }
        if !(0.0..=1_000_000.0).contains(&options.minutes) || options.jobs == 0 {
            return Err(Failure::Usage(
                "`fuzz` takes minutes of at least 0 and jobs of at least 1".to_owned(),
            ));
        }
        Ok(options)
    }
}

fn number<T: std::str::FromStr>(text: &str, option: &str) -> Result<T, Failure> {
    text.parse()
        .map_err(|_| Failure::Usage(format!("`{option}` takes a number, not {text:?}")))
}

/// Builds, runs, minimises.
pub fn fuzz(args: &[String]) -> Result<(), Failure> {
    let options = Options::read(args)?;
    let targets = selected(options.target.as_deref())?;
    let programs = build(&targets)?;
    let share = Duration::from_secs_f64(options.minutes * 60.0).div_f64(targets.len() as f64);
    let mut crashed = Vec::new();
    let mut rows = Vec::new();
    for target in &targets {
        let place = Place::of(target, &programs)?;
        if !share.is_zero() {
            let report = place.run(share, options.jobs)?;
            if report.crashes > 0 {
                crashed.push(target.as_str());
            }
            rows.push((target.as_str(), report));
        }
        if options.minimise {
            place.minimise()?;
        }
    }
    print_table(&rows);
    if crashed.is_empty() {
        return Ok(());
    }
    Err(Failure::step(format!(
        "{} failed; each input lies in fuzz/crashes/TARGET: repair, then keep it there, for\n   \
         cargo test -p inventory-fuzz --test replay\nreplays it from now on",
        crashed.join(", ")
    )))
}

/// The targets, by the files of the folder that holds one for each.
fn selected(target: Option<&str>) -> Result<Vec<String>, Failure> {
    let folder = run::root().join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&folder)
        .map_err(|error| Failure::step(format!("cannot read {}: {error}", folder.display())))?;
    let name = |path: PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    let mut all: Vec<String> = entries
        .filter_map(|entry| name(entry.ok()?.path()))
        .collect();
    all.sort();
    match target {
        None => Ok(all),
        Some(target) if all.iter().any(|known| known == target) => Ok(vec![target.to_owned()]),
        Some(other) => Err(Failure::Usage(format!(
            "there is no target `{other}`: {}",
            all.join(", ")
        ))),
    }
}

/// Builds targets into a folder of their own; says where the programs are.
fn build(targets: &[String]) -> Result<PathBuf, Failure> {
    let host = run::host()?;
    let folder = run::target_dir().join("fuzz/build");
    step(
        "fuzz targets",
        cargo()
            .args(["build", "--locked", "--release", "-p", "inventory-fuzz"])
            .args(["--features", "libfuzzer"])
            // By name: a program without the engine cannot be linked with its coverage.
            .args(targets.iter().flat_map(|target| ["--bin", target]))
            // Named, so that build scripts and macros are not instrumented.
            .args(["--target", &host])
            .env("CARGO_TARGET_DIR", &folder)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", COVERAGE.join(" ")),
    )?;
    Ok(folder.join(host).join("release"))
}

/// Where a target's things are.
struct Place {
    name: String,
    program: PathBuf,
    /// In git.
    corpus: PathBuf,
    /// Not in git: all that was ever of interest.
    found: PathBuf,
    crashes: PathBuf,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Report {
    executions: u64,
    seconds: u64,
    edges: u64,
    features: u64,
    inputs: u64,
    crashes: usize,
}

impl Place {
    fn of(name: &str, programs: &Path) -> Result<Self, Failure> {
        let fuzz = run::root().join("fuzz");
        let place = Self {
            name: name.to_owned(),
            program: programs.join(name),
            corpus: fuzz.join("corpus").join(name),
            found: run::target_dir().join("fuzz").join(name),
            crashes: fuzz.join("crashes").join(name),
        };
        for folder in [&place.corpus, &place.found, &place.crashes] {
            std::fs::create_dir_all(folder).map_err(|error| {
                Failure::step(format!("cannot make {}: {error}", folder.display()))
            })?;
        }
        Ok(place)
    }

    /// Runs so many processes, which share what they find, and shows how far they are.
    fn run(&self, share: Duration, jobs: u64) -> Result<Report, Failure> {
        let known = count(&self.crashes);
        let began = Instant::now();
        let (sender, lines) = mpsc::channel::<(usize, String)>();
        let mut children = Vec::new();
        for job in 0..usize::try_from(jobs).unwrap_or(1) {
            let mut command = Command::new(&self.program);
            command
                .arg(format!("-max_total_time={}", share.as_secs().max(1)))
                .arg(format!("-max_len={INPUT_BYTES_MAX}"))
                .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
                .arg(format!("-artifact_prefix={}/", self.crashes.display()))
                .args([&self.found, &self.corpus])
                .current_dir(run::root())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            let mut child = command.spawn().map_err(|error| {
                Failure::step(format!("cannot run {}: {error}", run::shown(&command)))
            })?;
            let sender = sender.clone();
            let reader = child.stderr.take().map(|stderr| {
                std::thread::spawn(move || {
                    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                        if sender.send((job, line)).is_err() {
                            return;
                        }
                    }
                })
            });
            children.push((child, reader));
        }
        drop(sender);
        let mut screen = Screen::new();
        let mut states = vec![State::default(); children.len()];
        let mut ends = vec![Vec::new(); children.len()];
        loop {
            match lines.recv_timeout(Duration::from_secs(1)) {
                Ok((job, line)) => {
                    match State::read(&line) {
                        Some(state) => states[job] = state,
                        None => ends[job].push(line),
                    }
                    let end: &mut Vec<String> = &mut ends[job];
                    // What a panic says stands among the last lines.
                    let superfluous = end.len().saturating_sub(40);
                    end.drain(..superfluous);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let report = summary(&states, began.elapsed());
            screen.show(&report.line(&self.name, share), began.elapsed());
        }
        screen.end();
        for (place, (mut child, reader)) in children.into_iter().enumerate() {
            if let Some(reader) = reader {
                // It only ends; it cannot fail.
                let _ = reader.join();
            }
            let status = child
                .wait()
                .map_err(|error| Failure::step(format!("cannot wait for a target: {error}")))?;
            if !status.success() {
                self.show_end(&ends[place]);
            }
        }
        let mut report = summary(&states, began.elapsed());
        report.inputs = count(&self.found) as u64;
        report.crashes = count(&self.crashes).saturating_sub(known);
        eprintln!("{}", report.line(&self.name, share));
        Ok(report)
    }

    /// What a target that failed said, and how to see it again.
    fn show_end(&self, lines: &[String]) {
        eprintln!("\n── {} failed:", self.name);
        for line in lines.iter().filter(|line| !line.contains("NEW_FUNC")) {
            eprintln!("   {}", line.chars().take(400).collect::<String>());
        }
        let written = lines.iter().find_map(|line| {
            line.split_once("Test unit written to ")
                .map(|(_, file)| file)
        });
        if let Some(file) = written {
            eprintln!("── again with\n   {} {file}", self.program.display());
        }
    }

    /// Puts into the corpus in git what of all that was found covers an edge that the rest does not.
    fn minimise(&self) -> Result<(), Failure> {
        let fail = |what: &str, error: std::io::Error| {
            Failure::step(format!("{}: cannot {what}: {error}", self.name))
        };
        let chosen = self.found.with_extension("chosen");
        // What an earlier, broken attempt left.
        let _ = std::fs::remove_dir_all(&chosen);
        std::fs::create_dir_all(&chosen).map_err(|error| fail("make a folder", error))?;
        let old = files(&self.corpus);
        for file in old.iter().filter(|file| !is_found(file)) {
            let name = file.file_name().unwrap_or_default();
            std::fs::copy(file, chosen.join(name)).map_err(|error| fail("copy", error))?;
        }
        let mut merge = Command::new(&self.program);
        merge
            .args(["-merge=1", "-set_cover_merge=1", "-use_counters=0"])
            .arg(format!("-max_len={INPUT_BYTES_MAX}"))
            .args([&chosen, &self.corpus, &self.found])
            .current_dir(run::root())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        step(&format!("{}: a smaller corpus", self.name), &mut merge)?;
        for file in old.iter().filter(|file| is_found(file)) {
            std::fs::remove_file(file).map_err(|error| fail("remove", error))?;
        }
        let mut new: Vec<PathBuf> = files(&chosen);
        // Should there be too many, the short ones stay: they are what a person may read.
        new.sort_by_key(|file| {
            (
                is_found(file),
                std::fs::metadata(file).map_or(0, |meta| meta.len()),
            )
        });
        for file in new.iter().take(CORPUS_FILES_MAX) {
            let name = file.file_name().unwrap_or_default();
            std::fs::copy(file, self.corpus.join(name)).map_err(|error| fail("copy", error))?;
        }
        eprintln!(
            "   {} inputs of {} cover what all cover; {} of them kept",
            new.len(),
            old.len() + count(&self.found),
            new.len().min(CORPUS_FILES_MAX)
        );
        std::fs::remove_dir_all(&chosen).map_err(|error| fail("remove", error))
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

fn count(folder: &Path) -> usize {
    files(folder).len()
}

/// Whether an input was found, not written by hand: libFuzzer names files by their hash.
fn is_found(file: &Path) -> bool {
    file.file_name().is_some_and(|name| {
        name.len() == 40 && name.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit)
    })
}

/// What one process says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct State {
    executions: u64,
    edges: u64,
    features: u64,
    inputs: u64,
}

impl State {
    /// `#1024 NEW    cov: 53 ft: 90 corp: 12/80b lim: 4 exec/s: 512 rss: 30Mb …`
    fn read(line: &str) -> Option<Self> {
        let rest = line.strip_prefix('#')?;
        let executions = rest.split_whitespace().next()?.parse().ok()?;
        let after = |name: &str| -> Option<u64> {
            let word = rest.split_once(name)?.1.split_whitespace().next()?;
            word.split('/').next()?.parse().ok()
        };
        Some(Self {
            executions,
            edges: after("cov: ")?,
            features: after("ft: ")?,
            inputs: after("corp: ")?,
        })
    }
}

/// Several processes share what they find: executions add up, the rest is the best of them.
fn summary(states: &[State], elapsed: Duration) -> Report {
    let best = |of: fn(&State) -> u64| states.iter().map(of).max().unwrap_or(0);
    Report {
        executions: states.iter().map(|state| state.executions).sum(),
        seconds: elapsed.as_secs(),
        edges: best(|state| state.edges),
        features: best(|state| state.features),
        inputs: best(|state| state.inputs),
        crashes: 0,
    }
}

impl Report {
    fn per_second(&self) -> u64 {
        self.executions / self.seconds.max(1)
    }

    fn line(&self, target: &str, share: Duration) -> String {
        format!(
            "   {target}: {} of {}, {} executions, {} a second, {} edges, {} features, {} inputs",
            run::clock(self.seconds),
            run::clock(share.as_secs()),
            self.executions,
            self.per_second(),
            self.edges,
            self.features,
            self.inputs,
        )
    }
}

fn print_table(rows: &[(&str, Report)]) {
    if rows.is_empty() {
        return;
    }
    println!(
        "\n{:<20} {:>12} {:>9} {:>7} {:>9} {:>7} {:>8}",
        "target", "executions", "a second", "edges", "features", "inputs", "crashes"
    );
    for (target, report) in rows {
        println!(
            "{target:<20} {:>12} {:>9} {:>7} {:>9} {:>7} {:>8}",
            report.executions,
            report.per_second(),
            report.edges,
            report.features,
            report.inputs,
            report.crashes
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_engine_is_read() {
        let line =
            "#161787\tDONE   cov: 4911 ft: 22558 corp: 1958/107Kb lim: 149 exec/s: 6222 rss: 39Mb";
        let state = State {
            executions: 161_787,
            edges: 4_911,
            features: 22_558,
            inputs: 1_958,
        };
        assert_eq!(State::read(line), Some(state));
        assert_eq!(State::read("INFO: Seed: 1"), None);
        assert_eq!(
            State::read("==13645== ERROR: libFuzzer: deadly signal"),
            None
        );
        let two = summary(&[state, state], Duration::from_secs(10));
        assert_eq!((two.executions, two.edges), (323_574, 4_911));
        assert_eq!(two.per_second(), 32_357);
    }

    #[test]
    fn what_a_person_named_is_not_taken_for_found() {
        let hash = "f6cb6ae5e6fd6a4ad9eecd4ed3a8f7b9e6fd6a4a";
        assert!(is_found(Path::new(hash)));
        assert!(!is_found(Path::new("batch-of-ours")));
    }

    #[test]
    fn options_are_read() {
        let read = |line: &str| {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            Options::read(&args)
        };
        let options = read("--minutes 0.5 --target scan --jobs 2 --minimise").unwrap();
        let wanted = Options {
            minutes: 0.5,
            target: Some("scan".to_owned()),
            jobs: 2,
            minimise: true,
        };
        assert_eq!(options, wanted);
        for wrong in [
            "--minutes",
            "--minutes x",
            "--jobs 0",
            "--hours 3",
            "--minutes -1",
        ] {
            assert!(matches!(read(wrong), Err(Failure::Usage(_))), "{wrong}");
        }
    }
}
