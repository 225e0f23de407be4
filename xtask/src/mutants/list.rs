//! The mutants of the core, in an order that stays.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::Failure;
use crate::run;

/// What no judge can see, and nothing else.
const EXCLUDED: [&str; 2] = [
    r"impl (std::)?(fmt::)?Debug",
    r"impl (std::)?(fmt::)?Display",
];

/// One mutant.
pub struct Mutant {
    /// As cargo-mutants calls it, with its place: to select it by.
    pub name: String,
    /// The same without line and column, and the how-manieth of that text: it survives edits elsewhere.
    pub key: String,
}

impl Mutant {
    /// The file that it changes.
    pub fn file(&self) -> &str {
        self.name.split(':').next().unwrap_or_default()
    }
}

/// All mutants.
pub struct Mutants {
    /// In the seeded order.
    pub order: Vec<Mutant>,
}

impl Mutants {
    /// All of them, without what no judge can see.
    pub fn list(tool: &Path, tree: &Path) -> Result<Self, Failure> {
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

/// Leaves out what no judge can see.
pub fn exclude(command: &mut Command) {
    for pattern in EXCLUDED {
        command.args(["--exclude-re", pattern]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_keeps_its_key_when_lines_move() {
        let name = "core/src/a.rs:12:5: replace + with - in f";
        assert_eq!(without_place(name), "core/src/a.rs: replace + with - in f");
    }
}
