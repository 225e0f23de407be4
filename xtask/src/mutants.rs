//! `cargo xtask mutants`: how many faults of the core its judges notice.
//!
//! ```text
//!  cargo-mutants --list ─▶ all mutants, in a seeded order ─▶ those without a result, some at a time
//!                                                             │ in a copy of the tree, with a warm build
//!  docs/mutants/JUDGE.tsv ◀── results accumulate ◀────────────┘
//!          └─▶ docs/mutants.md: score, confidence interval, survivors and their reasons
//! ```
//!
//! Two judges: the simulator alone, and all tests of the machines. The order is a hash of each mutant's
//! name: the first N are a sample, and stay one when mutants come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::{self, cargo, step};
use crate::{Failure, machine};

/// The version that is installed where there is none.
const CARGO_MUTANTS: &str = "27.1.0";

/// Mutants of one call of cargo-mutants: after each call results are kept.
const AT_ONCE: usize = 10;

/// A mutant that keeps its judge busy for so long is caught: it turns in circles.
const TIMEOUT_SECONDS: &str = "180";

/// What no judge can see, and nothing else.
const EXCLUDED: [&str; 2] = [
    r"impl (std::)?(fmt::)?Debug",
    r"impl (std::)?(fmt::)?Display",
];

/// Seeds that the simulator runs as a judge; it stops at the first finding.
const JUDGE_SEEDS: &str = "150";

/// Who judges.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judge {
    /// The simulator alone: scripts, replays and random seeds under the oracles.
    Simulator,
    /// Every test that needs no daemon.
    All,
}

impl Judge {
    const BOTH: [Self; 2] = [Self::Simulator, Self::All];

    const fn name(self) -> &'static str {
        match self {
            Self::Simulator => "simulator",
            Self::All => "all",
        }
    }

    const fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Simulator => &["inventory-sim"],
            Self::All => &["inventory-sync-core", "inventory-sim", "inventory-fuzz"],
        }
    }

    /// Arguments of `cargo test`.
    const fn tests(self) -> &'static [&'static str] {
        match self {
            Self::Simulator => &["--test", "judge"],
            Self::All => &[],
        }
    }

    fn results(self) -> PathBuf {
        run::root()
            .join("docs/mutants")
            .join(format!("{}.tsv", self.name()))
    }
}

/// What is asked for.
pub struct Options {
    judges: Vec<Judge>,
    sample: usize,
    minutes: u64,
}

impl Options {
    /// `[--judge simulator|all] [--sample N] [--minutes M]`.
    pub fn read(args: &[String]) -> Result<Self, Failure> {
        let mut options = Self {
            judges: Judge::BOTH.to_vec(),
            sample: 300,
            minutes: 60,
        };
        let mut args = args.iter();
        while let Some(name) = args.next() {
            let value = args
                .next()
                .ok_or_else(|| Failure::Usage(format!("`{name}` needs a value")))?;
            let number = || {
                value
                    .parse::<usize>()
                    .map_err(|_| Failure::Usage(format!("`{name} {value}` is no number")))
            };
            match name.as_str() {
                "--judge" => {
                    let judge = Judge::BOTH.into_iter().find(|judge| judge.name() == value);
                    let judge = judge.ok_or_else(|| {
                        Failure::Usage(format!("no judge is called `{value}`: simulator, all"))
                    })?;
                    options.judges = vec![judge];
                }
                "--sample" => options.sample = number()?,
                "--minutes" => options.minutes = number()? as u64,
                other => return Err(Failure::Usage(format!("`mutants` takes no `{other}`"))),
            }
        }
        Ok(options)
    }
}

/// Judges mutants that have no result yet, then writes the report.
pub fn mutants(options: &Options) -> Result<(), Failure> {
    machine::prepare()?;
    let tool = tool()?;
    let tree = copy_of_the_tree()?;
    let all = Mutants::list(&tool, &tree)?;
    eprintln!("   {} mutants of core/", all.order.len());
    let sample = &all.order[..options.sample.min(all.order.len())];
    let share = Duration::from_secs(options.minutes * 60)
        / u32::try_from(options.judges.len()).unwrap_or(1);
    for judge in &options.judges {
        let mut results = Results::read(&judge.results());
        let until = Instant::now() + share;
        loop {
            let open: Vec<&Mutant> = sample
                .iter()
                .filter(|mutant| !results.0.contains_key(&mutant.key))
                .take(AT_ONCE)
                .collect();
            let done = sample.len()
                - sample
                    .iter()
                    .filter(|each| !results.0.contains_key(&each.key))
                    .count();
            eprintln!("   {}: {done} of {} judged", judge.name(), sample.len());
            if open.is_empty() || Instant::now() >= until {
                break;
            }
            results.take(judge_some(&tool, &tree, *judge, &open)?);
            results.write(&judge.results())?;
        }
    }
    report(&all, options.sample)
}

/// One mutant.
struct Mutant {
    /// As cargo-mutants calls it, with its place: to select it by.
    name: String,
    /// The same without line and column, and the how-manieth of that text: it survives edits elsewhere.
    key: String,
}

impl Mutant {
    fn file(&self) -> &str {
        self.name.split(':').next().unwrap_or_default()
    }
}

struct Mutants {
    /// In the seeded order.
    order: Vec<Mutant>,
}

impl Mutants {
    fn list(tool: &Path, tree: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(tool);
        command
            .current_dir(tree)
            .args(["mutants", "--list", "-p", "inventory-sync-core"]);
        exclude(&mut command);
        let list = run::output(&mut command)?;
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut order: Vec<Mutant> = list
            .lines()
            .map(|name| {
                let text = without_place(name);
                let times = seen.entry(text.clone()).or_insert(0);
                *times += 1;
                let key = format!("{text} #{times}");
                Mutant {
                    name: name.to_owned(),
                    key,
                }
            })
            .collect();
        order.sort_by_key(|mutant| (hash(&mutant.key), mutant.key.clone()));
        Ok(Self { order })
    }
}

/// `core/src/a.rs:12:5: replace …` without `12:5`.
fn without_place(name: &str) -> String {
    let mut parts = name.splitn(4, ':');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(file), Some(_), Some(_), Some(what)) => format!("{file}:{what}"),
        _ => name.to_owned(),
    }
}

/// FNV-1a: the seeded order must be the same everywhere and for ever.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn exclude(command: &mut Command) {
    for pattern in EXCLUDED {
        command.args(["--exclude-re", pattern]);
    }
}

/// What became of mutants, by key.
struct Results(BTreeMap<String, String>);

impl Results {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = |line: &str| {
            let (outcome, key) = line.split_once('\t')?;
            Some((key.to_owned(), outcome.to_owned()))
        };
        Self(text.lines().filter_map(line).collect())
    }

    fn take(&mut self, new: Vec<(String, String)>) {
        self.0.extend(new);
    }

    fn write(&self, path: &Path) -> Result<(), Failure> {
        let mut text = String::new();
        for (key, outcome) in &self.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{outcome}\t{key}");
        }
        write(path, &text)
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, text))
        .map_err(|error| Failure::step(format!("cannot write {}: {error}", path.display())))
}

/// Runs cargo-mutants on a few, in place: the copy of the tree keeps its build warm.
fn judge_some(
    tool: &Path,
    tree: &Path,
    judge: Judge,
    mutants: &[&Mutant],
) -> Result<Vec<(String, String)>, Failure> {
    let out = run::target_dir().join("mutants").join(judge.name());
    // Of the last call.
    let _ = fs::remove_dir_all(out.join("mutants.out"));
    let mut command = Command::new(tool);
    command
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", run::target_dir().join("mutants/build"))
        .env("INVENTORY_JUDGE_SEEDS", JUDGE_SEEDS)
        .args(["mutants", "--in-place", "--baseline", "skip"])
        .args(["--timeout", TIMEOUT_SECONDS, "--no-shuffle"])
        .args(["--profile", "mutants", "-p", "inventory-sync-core"])
        .arg("--output")
        .arg(&out)
        .stdin(Stdio::null());
    for package in judge.packages() {
        command.args(["--test-package", package]);
    }
    exclude(&mut command);
    // Deleted fields pass every pattern: without the files those of all of core would be judged each time.
    let files: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.file()).collect();
    for file in files {
        command.args(["--file", file]);
    }
    for mutant in mutants {
        command.args(["--re", &format!("^{}$", escaped(&mutant.name))]);
    }
    command.arg("--").args(judge.tests());
    // It fails when a mutant is missed: that is a result.
    let status = command
        .status()
        .map_err(|error| Failure::step(format!("cannot run cargo-mutants: {error}")))?;
    let mut found = Vec::new();
    for outcome in ["caught", "missed", "timeout", "unviable"] {
        let text = fs::read_to_string(out.join(format!("mutants.out/{outcome}.txt")));
        let names: BTreeSet<String> = text
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect();
        for mutant in mutants.iter().filter(|each| names.contains(&each.name)) {
            found.push((mutant.key.clone(), outcome.to_owned()));
        }
    }
    if found.is_empty() {
        return Err(Failure::step(format!(
            "cargo-mutants gave no result ({status}): see {}",
            out.display()
        )));
    }
    Ok(found)
}

/// A text as a regular expression that matches it alone.
fn escaped(text: &str) -> String {
    let mut pattern = String::new();
    for each in text.chars() {
        if !each.is_alphanumeric()
            && !matches!(
                each,
                ' ' | '_' | '/' | ':' | '"' | '\'' | ',' | ';' | '<' | '>' | '=' | '!' | '%' | '@'
            )
        {
            pattern.push('\\');
        }
        pattern.push(each);
    }
    pattern
}

/// cargo-mutants: the one that is installed, or one of our own.
fn tool() -> Result<PathBuf, Failure> {
    if run::output(cargo().args(["mutants", "--version"]).stderr(Stdio::null())).is_ok() {
        return Ok(PathBuf::from("cargo-mutants"));
    }
    let root = run::target_dir().join("tools");
    let tool = root.join("bin/cargo-mutants");
    if !tool.exists() {
        step(
            "cargo-mutants, once",
            cargo()
                .args([
                    "install",
                    "cargo-mutants",
                    "--locked",
                    "--version",
                    CARGO_MUTANTS,
                ])
                .arg("--root")
                .arg(&root),
        )?;
    }
    Ok(tool)
}

/// What git knows of, as it stands here: mutants are made in the copy, never in the tree one works in.
fn copy_of_the_tree() -> Result<PathBuf, Failure> {
    let copy = run::target_dir().join("mutants/tree");
    let list = run::output(Command::new("git").current_dir(run::root()).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    let mut wanted = BTreeSet::new();
    for file in list.lines() {
        let from = run::root().join(file);
        // Deleted, and not yet told to git.
        if !from.is_file() {
            continue;
        }
        let to = copy.join(file);
        wanted.insert(to.clone());
        let same = fs::read(&to).is_ok_and(|old| fs::read(&from).is_ok_and(|new| new == old));
        // What has not changed keeps its time, and its build.
        if !same {
            let made = to.parent().map_or(Ok(()), fs::create_dir_all);
            made.and_then(|()| fs::copy(&from, &to)).map_err(|error| {
                Failure::step(format!(
                    "cannot copy {} to {}: {error}",
                    from.display(),
                    to.display()
                ))
            })?;
        }
    }
    remove_others(&copy, &wanted);
    Ok(copy)
}

/// Files of the copy that the tree has no more.
fn remove_others(folder: &Path, wanted: &BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            remove_others(&path, wanted);
        } else if !wanted.contains(&path) {
            // A file too many at worst is built and is not there next time.
            let _ = fs::remove_file(path);
        }
    }
}

/// Counts of one judge.
#[derive(Default)]
struct Score {
    caught: usize,
    timeout: usize,
    missed: Vec<String>,
    unviable: usize,
}

impl Score {
    fn judged(&self) -> usize {
        self.caught + self.timeout + self.missed.len()
    }

    /// Share that was caught and its 95 % interval (Wilson), in tenths of a percent.
    fn share(&self) -> (f64, f64, f64) {
        let n = self.judged() as f64;
        if n == 0.0 {
            return (0.0, 0.0, 100.0);
        }
        let p = (self.caught + self.timeout) as f64 / n;
        let z = 1.96_f64;
        let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let spread = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        (
            100.0 * p,
            100.0 * (centre - spread),
            100.0 * (centre + spread).min(1.0),
        )
    }
}

fn score(all: &Mutants, results: &Results) -> Score {
    let mut score = Score::default();
    for mutant in &all.order {
        match results.0.get(&mutant.key).map(String::as_str) {
            Some("caught") => score.caught += 1,
            Some("timeout") => score.timeout += 1,
            Some("unviable") => score.unviable += 1,
            Some("missed") => score.missed.push(mutant.key.clone()),
            _ => {}
        }
    }
    score.missed.sort();
    score
}

/// Writes `docs/mutants.md`.
fn report(all: &Mutants, sample: usize) -> Result<(), Failure> {
    let reasons = Results::read(&run::root().join("docs/mutants/reasons.tsv"));
    let mut text = String::from(REPORT_HEAD);
    let _ = writeln!(
        text,
        "{} mutants of `core/`, of which the first {} in the order of the hash of their names are the sample.\n",
        all.order.len(),
        sample.min(all.order.len())
    );
    text.push_str("| judge | judged | caught | in time-out | missed | not viable | score | 95 % interval |\n|---|---|---|---|---|---|---|---|\n");
    let mut lists = String::new();
    for judge in Judge::BOTH {
        let score = score(all, &Results::read(&judge.results()));
        let (share, low, high) = score.share();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {share:.1} % | {low:.1} to {high:.1} % |",
            judge.name(),
            score.judged(),
            score.caught,
            score.timeout,
            score.missed.len(),
            score.unviable
        );
        let _ = writeln!(lists, "\n## Survivors: {}\n", judge.name());
        lists.push_str("| mutant | why it survives |\n|---|---|\n");
        for key in &score.missed {
            let reason = reasons.0.iter().find(|(known, _)| *known == key);
            let reason = reason.map_or("not explained yet", |(_, reason)| reason.as_str());
            let _ = writeln!(lists, "| `{}` | {reason} |", key.replace('|', "\\|"));
        }
    }
    text.push_str(&lists);
    let path = run::root().join("docs/mutants.md");
    write(&path, &text)?;
    eprintln!(
        "\n{}",
        text.lines()
            .filter(|line| line.starts_with("| "))
            .take(3)
            .collect::<Vec<_>>()
            .join("\n")
    );
    eprintln!("   written: {}", path.display());
    Ok(())
}

const REPORT_HEAD: &str = "\
# Mutants of the core

Written by `cargo xtask mutants`; results accumulate in `docs/mutants/`. A mutant is one small fault put into
`core/` by cargo-mutants. `simulator` judges with scripts, replays and random seeds under the oracles alone,
`all` with every test that needs no daemon. Left out are `Debug` and `Display` alone. A mutant that keeps its
judge busy for too long counts as caught.

";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_keeps_its_key_when_lines_move() {
        let name = "core/src/a.rs:12:5: replace + with - in f";
        assert_eq!(without_place(name), "core/src/a.rs: replace + with - in f");
        assert_eq!(escaped("a + b(c)"), r"a \+ b\(c\)");
    }

    #[test]
    fn the_interval_holds_the_share() {
        let score = Score {
            caught: 270,
            missed: vec![String::new(); 30],
            ..Score::default()
        };
        let (share, low, high) = score.share();
        assert!((share - 90.0).abs() < 0.01);
        assert!(
            low > 86.0 && low < 87.0 && high > 92.0 && high < 93.0,
            "{low} {high}"
        );
    }

    #[test]
    fn options_are_read() {
        let read = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            Options::read(&words)
        };
        let options = read(&["--judge", "all", "--sample", "20"]).ok().unwrap();
        assert!(options.judges == [Judge::All] && options.sample == 20);
        assert!(read(&["--judge", "nobody"]).is_err());
        assert!(read(&["--sample"]).is_err());
    }
}
