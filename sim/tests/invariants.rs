//! The table of invariants and the names that violations print are the same.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The first argument of each `.fail(` in the simulator.
fn printed() -> BTreeSet<String> {
    let mut files = Vec::new();
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    sources(&own.join("src"), &mut files);
    let mut names = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for call in text.split(".fail(").skip(1) {
            let name = call
                .trim_start()
                .strip_prefix('"')
                .and_then(|rest| rest.split('"').next());
            let name = name.unwrap_or_else(|| {
                panic!("{}: a violation without a literal name", file.display())
            });
            names.insert(name.to_owned());
        }
    }
    names
}

/// The first cell of each row of the table that is a name, and the whole table.
fn listed() -> (BTreeSet<String>, String) {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(own.join("../core/INVARIANTS.md")).unwrap();
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned);
    (names.collect(), text)
}

#[test]
fn the_table_and_the_oracles_name_the_same() {
    let (listed, _) = listed();
    let printed = printed();
    assert!(
        printed.len() > 30,
        "the oracles were not found: {printed:?}"
    );
    assert_eq!(listed, printed, "core/INVARIANTS.md and sim/src differ");
}

#[test]
fn every_number_has_a_row_and_every_check_is_there() {
    let (_, text) = listed();
    let numbers = (1..=14).map(|n| format!("I-{n}"));
    let numbers = numbers.chain((1..=6).map(|n| format!("L-{n}")));
    let numbers = numbers.chain((1..=11).map(|n| format!("O-{n}")));
    for number in numbers {
        let (named, plain) = (format!("| `{number} "), format!("| {number} |"));
        let has_row = text
            .lines()
            .any(|line| line.starts_with(&named) || line.starts_with(&plain));
        assert!(has_row, "{number} has no row in core/INVARIANTS.md");
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = text
        .split('`')
        .filter(|word| word.ends_with(".rs") || word.ends_with('/'));
    for file in files {
        let is_there = [own.join("src"), own.join("..")]
            .iter()
            .any(|folder| folder.join(file).exists());
        assert!(
            is_there,
            "core/INVARIANTS.md names {file}, which is not there"
        );
    }
}
