//! Small worlds, explored exhaustively: every order of what can happen between two agents, a manager and an
//! Indexer, with one fault.
//!
//! With two, which takes minutes: `cargo run --release -p inventory-sim --example small_worlds -- --faults 2`.

use std::collections::BTreeMap;

use inventory_sim::small::{Report, SCENARIOS, Scenario, Sometimes, explore};
use inventory_sync_core::wire::Reason;

/// What one fault must bring about somewhere.
const WITH_ONE_FAULT: &[Sometimes] = &[
    Sometimes::Verdict(Reason::None),
    Sometimes::Verdict(Reason::PartiallyRejected),
    Sometimes::Verdict(Reason::IndexerRejected),
    Sometimes::Verdict(Reason::VersionConflict),
    Sometimes::Verdict(Reason::SessionTimeout),
    Sometimes::Verdict(Reason::SessionReplaced),
    Sometimes::GapsAskedFor,
    Sometimes::VerdictRepeated,
    Sometimes::ProcessingTold,
    Sometimes::StartRepeated,
    Sometimes::SessionResumed,
    Sometimes::DuplicateSequences,
    Sometimes::Tainted,
    Sometimes::TaintWaitedFor,
    Sometimes::RequestRepeated,
    Sometimes::LateWriteApplied,
    Sometimes::LateWriteRefused,
    Sometimes::Unchanged,
    Sometimes::Removed,
    Sometimes::PartlyAcknowledged,
    Sometimes::RolledBack,
    Sometimes::CrashedInSession,
];

fn explored(scenario: &'static Scenario) -> Report {
    let report = explore(scenario, 1, u64::MAX);
    println!("{:<24} {report}", scenario.name);
    if let Some(found) = &report.found {
        panic!("{}: {found}", scenario.name);
    }
    assert!(report.is_whole && report.ends > 0);
    report
}

#[test]
fn with_one_fault_every_order_goes_well_and_each_outcome_is_reached() {
    let mut seen: BTreeMap<Sometimes, u64> = BTreeMap::new();
    for scenario in &SCENARIOS {
        for (what, count) in explored(scenario).seen {
            *seen.entry(what).or_default() += count;
        }
    }
    for wanted in WITH_ONE_FAULT {
        assert!(seen.contains_key(wanted), "never: {wanted:?}");
    }
}

/// Bugs that are planted are found, with one fault.
#[cfg(inventory_bug_bank)]
mod planted {
    use std::panic::catch_unwind;

    use inventory_sim::small::{SCENARIOS, explore};
    use inventory_sync_core::bug::{Bug, plant};

    /// Those that few things in few orders suffice for.
    const FOUND: &[Bug] = &[
        Bug::DeletesDuringTaint,
        Bug::NoTaintAfterCrash,
        Bug::GivenUpAttemptForgotten,
        Bug::ConflictTakenAsStored,
        Bug::ClockBelowBound,
        Bug::GapsIgnored,
        Bug::RetransmissionOpensAnother,
        Bug::DuplicateStagedAgain,
        Bug::VerdictForgotten,
        Bug::QuotaLeak,
        Bug::ReceivedBeforeStored,
    ];

    /// What finds a bug, if something does: a path, or an assertion of a machine.
    fn search(bug: Bug) -> Option<String> {
        let _planted = plant(bug);
        SCENARIOS.iter().find_map(|scenario| {
            let explored = catch_unwind(|| explore(scenario, 1, u64::MAX));
            match explored {
                Ok(report) => report.found.map(|found| found.to_string()),
                Err(_) => Some("an assertion of a machine\n".to_owned()),
            }
        })
    }

    #[test]
    fn bugs_are_found() {
        for bug in FOUND {
            match search(*bug) {
                Some(found) => println!("{bug:?}: {found}"),
                None => panic!("nobody misses {bug:?}"),
            }
        }
    }
}
