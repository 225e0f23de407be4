//! The list of incidents: every number once, every name it cites in the source, and few that cannot be shown.

mod incidents;

use std::collections::BTreeSet;
use std::path::Path;

use inventory_sim::Fault;
use inventory_sync_core::bug::Bug;

/// All text of the tree's sources, and the table of invariants.
fn text_of_the_tree() -> String {
    fn add(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                add(&path, text);
            } else if name.ends_with(".rs") || name == "INVARIANTS.md" {
                text.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut text = String::new();
    add(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut text);
    text
}

/// The names in backquotes.
fn cited(how: &str) -> impl Iterator<Item = &str> {
    how.split('`').skip(1).step_by(2)
}

#[test]
fn every_name_that_is_cited_exists() {
    let text = text_of_the_tree();
    let bugs: BTreeSet<String> = Bug::ALL.iter().map(|bug| format!("Bug::{bug:?}")).collect();
    let faults: BTreeSet<&str> = Fault::ALL.iter().map(|fault| fault.label()).collect();
    for row in incidents::List::read().rows() {
        for name in cited(&row.how) {
            let exists = match name {
                bug if bug.starts_with("Bug::") => bugs.contains(bug),
                oracle if oracle.contains(' ') => text.contains(&format!("| `{oracle}` |")),
                fault if fault.contains('-') => faults.contains(fault),
                test => text.contains(&format!("fn {test}(")),
            };
            assert!(exists, "{} cites {name}, which is not there", row.id);
        }
    }
}

#[test]
fn the_numbers_are_whole_and_few_cannot_be_expressed() {
    let list = incidents::List::read();
    let rows = list.rows();
    for (letter, count) in [("M", 57), ("A", 79), ("T", 19)] {
        for number in 1..=count {
            let id = format!("{letter}-{number}");
            let found = rows.iter().filter(|row| row.id == id).count();
            assert_eq!(found, 1, "rows of {id}");
        }
    }
    let count = |status: &str| rows.iter().filter(|row| row.status == status).count();
    let (yes, not_yet, no) = (count("yes"), count("not yet"), count("no"));
    println!(
        "{} incidents: {yes} expressed, {not_yet} not yet, {no} not expressible",
        rows.len()
    );
    assert_eq!(yes + not_yet + no, rows.len(), "a status is misspelt");
    assert!(
        no * 100 <= rows.len() * 15,
        "{no} of {} cannot be expressed",
        rows.len()
    );
    for row in rows {
        let is_explained = match row.status.as_str() {
            "yes" => cited(&row.how).next().is_some(),
            "no" => row.how.starts_with("Missing input: "),
            _ => !row.how.is_empty(),
        };
        assert!(is_explained, "{}: {}", row.id, row.how);
    }
}
