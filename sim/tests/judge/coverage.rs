//! A campaign tries everything: each event in each state, each command, each reason, each kind of fault, or
//! the source says why not. A simulator that never does a thing proves nothing about it.

use std::collections::BTreeSet;

use inventory_sim::{Coverage, Fault};

/// The seeds of the campaign: two halves, one for each of two threads.
const HALVES: [std::ops::Range<u64>; 2] = [1..101, 101..201];

fn half(seeds: std::ops::Range<u64>) -> (Coverage, BTreeSet<Fault>) {
    let (mut coverage, mut faults) = (Coverage::default(), BTreeSet::new());
    for seed in seeds {
        let report = crate::sound(seed);
        coverage.merge(&report.coverage);
        faults.extend(report.faults.iter().map(|(fault, _)| *fault));
    }
    (coverage, faults)
}

#[test]
fn a_campaign_tries_everything_that_can_happen() {
    crate::end_at_first_finding();
    let (mut coverage, mut faults) = (Coverage::default(), BTreeSet::new());
    std::thread::scope(|scope| {
        let halves = HALVES.map(|seeds| scope.spawn(|| half(seeds)));
        for half in halves {
            let (tried, fired) = half.join().expect("a thread of the campaign panicked");
            coverage.merge(&tried);
            faults.extend(fired);
        }
    });
    let list = |lines: Vec<String>| lines.join("\n  ");
    let gaps: Vec<String> = coverage.gaps().iter().map(ToString::to_string).collect();
    assert!(
        gaps.is_empty(),
        "{} things never happened; raise their odds, or say in coverage/unreachable.rs why they cannot:\n  {}",
        gaps.len(),
        list(gaps)
    );
    let surprises = coverage.surprises().into_iter();
    let surprises: Vec<String> = surprises
        .map(|(mark, why)| format!("{mark}, although {why}"))
        .collect();
    assert!(
        surprises.is_empty(),
        "held to be impossible, and happened:\n  {}",
        list(surprises)
    );
    let never: Vec<_> = Fault::ALL
        .iter()
        .filter(|fault| !faults.contains(fault))
        .map(|fault| fault.label())
        .collect();
    assert!(never.is_empty(), "faults that never happened: {never:?}");
}
