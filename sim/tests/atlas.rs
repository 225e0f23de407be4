//! The fault atlas tells all kinds of faults, in their order, with part and rate as they are.

use inventory_sim::{Fault, Often};

const ATLAS: &str = include_str!("../ATLAS.md");

/// The cells of the rows under a heading.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let section = ATLAS
        .split("\n## ")
        .find(|section| section.starts_with(heading))
        .expect("the atlas has this section");
    section
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect()
}

#[test]
fn each_fault_has_its_row() {
    let told: Vec<Vec<String>> = rows("Injected")
        .iter()
        .map(|row| row[..3].iter().map(ToString::to_string).collect())
        .collect();
    let known: Vec<Vec<String>> = Fault::ALL
        .iter()
        .map(|fault| {
            let rate = match fault.often() {
                Often::Chance(most) => format!("chance {most}"),
                Often::Every(least_ms) => format!("every {least_ms} ms"),
            };
            vec![
                format!("`{}`", fault.label()),
                format!("{:?}", fault.part()),
                rate,
            ]
        })
        .collect();
    assert_eq!(told, known);
}

#[test]
fn each_row_says_what_is_promised_and_why_not() {
    for (heading, columns) in [("Injected", 6), ("Never injected", 2), ("Not yet", 2)] {
        let rows = rows(heading);
        assert!(rows.len() > 5, "{heading}");
        for row in rows {
            assert_eq!(row.len(), columns, "{row:?}");
            assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        }
    }
}
