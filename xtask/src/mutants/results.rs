//! What became of mutants: one file for each judge, which grows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::judge::Judge;
use super::list::Mutant;
use crate::Failure;
use crate::run;

/// What became of mutants, by key: the words of cargo-mutants.
pub struct Results(BTreeMap<String, String>);

impl Results {
    /// Those of a judge, so far.
    pub fn read(judge: Judge) -> Self {
        Self::of(&path(&format!("{}.tsv", judge.name())))
    }

    /// Why those that survive do, by key.
    pub fn reasons() -> Self {
        Self::of(&path("reasons.tsv"))
    }

    fn of(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = |line: &str| {
            let (outcome, key) = line.split_once('\t')?;
            Some((key.to_owned(), outcome.to_owned()))
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// What is known of a mutant.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Whether it is known what became of it.
    pub fn has(&self, mutant: &Mutant) -> bool {
        self.0.contains_key(&mutant.key)
    }

    /// Adds what has become of some.
    pub fn take(&mut self, new: Vec<(String, String)>) {
        self.0.extend(new);
    }

    /// Those that this judge noticed, or that cannot be built.
    pub fn caught(&self) -> Vec<(String, String)> {
        let caught = self.0.iter().filter(|(_, outcome)| *outcome != "missed");
        caught
            .map(|(key, outcome)| (key.clone(), outcome.clone()))
            .collect()
    }

    /// Those that nobody noticed, by key.
    pub fn missed(&self) -> BTreeSet<String> {
        let missed = self.0.iter().filter(|(_, outcome)| *outcome == "missed");
        missed.map(|(key, _)| key.clone()).collect()
    }

    /// Keeps them.
    pub fn write(&self, judge: Judge) -> Result<(), Failure> {
        let mut text = String::new();
        for (key, outcome) in &self.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{outcome}\t{key}");
        }
        write(&path(&format!("{}.tsv", judge.name())), &text)
    }
}

fn path(name: &str) -> PathBuf {
    run::root().join("docs/mutants").join(name)
}

/// Writes a file and the folders that it needs.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, text))
        .map_err(|error| Failure::step(format!("cannot write {}: {error}", path.display())))
}
