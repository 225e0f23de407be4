//! Small worlds, explored exhaustively: every order of what can happen between two agents, a manager and an
//! Indexer, with one fault.
//!
//! With two faults, which takes minutes:
//! `cargo test --release -p inventory-sim --test small_worlds -- --ignored --nocapture`.

use std::collections::BTreeMap;
use std::time::Instant;

use inventory_sim::small::{Report, SCENARIOS, Scenario, Sometimes, explore};
use inventory_sync_core::manager::Manager;
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

/// What needs two.
const WITH_TWO_FAULTS: &[Sometimes] = &[
    Sometimes::Verdict(Reason::StorageFailure),
    Sometimes::SessionUnknown,
];

fn explored(scenario: &'static Scenario, faults: u8) -> Report {
    let began = Instant::now();
    let report = explore(scenario, faults, u64::MAX, Manager::new);
    println!(
        "{:<24} {faults} faults {:>9} states {:>9} transitions {:>7} ends, depth {:>3}, {:.1} s",
        scenario.name,
        report.states,
        report.transitions,
        report.ends,
        report.depth,
        began.elapsed().as_secs_f64()
    );
    if let Some(found) = &report.found {
        panic!("{}: {found}", scenario.name);
    }
    assert!(report.is_whole && report.ends > 0);
    report
}

/// Explores all scenarios; the outcomes that were reached, and how often.
fn outcomes(faults: u8) -> BTreeMap<Sometimes, u64> {
    let mut seen: BTreeMap<Sometimes, u64> = BTreeMap::new();
    for scenario in &SCENARIOS {
        for (what, count) in explored(scenario, faults).seen {
            *seen.entry(what).or_default() += count;
        }
    }
    for (what, count) in &seen {
        println!("{count:>9}  {what:?}");
    }
    seen
}

#[test]
fn with_one_fault_every_order_goes_well_and_each_outcome_is_reached() {
    let seen = outcomes(1);
    for wanted in WITH_ONE_FAULT {
        assert!(seen.contains_key(wanted), "never: {wanted:?}");
    }
}

#[test]
#[ignore = "some minutes in release; the same with one fault is always run"]
fn with_two_faults_every_order_goes_well_and_each_outcome_is_reached() {
    let seen = outcomes(2);
    for wanted in WITH_ONE_FAULT.iter().chain(WITH_TWO_FAULTS) {
        assert!(seen.contains_key(wanted), "never: {wanted:?}");
    }
}

/// A rule that is taken out is missed, with one fault.
#[cfg(inventory_bug_bank)]
mod bug_bank {
    use inventory_sim::small::{Found, SCENARIOS, explore};
    use inventory_sync_core::manager::{Manager, Rule, Rules};

    /// A shard without one rule; which one stands in the type, for a shard is made by a plain function.
    macro_rules! is_missed {
        ($name:ident, $rule:ident) => {
            #[test]
            fn $name() {
                let make =
                    |config, seed| Manager::with_rules(config, seed, Rules::without(Rule::$rule));
                let found: Option<Found> = SCENARIOS
                    .iter()
                    .find_map(|scenario| explore(scenario, 1, u64::MAX, make).found);
                match found {
                    Some(found) => println!("without {:?}: {found}", Rule::$rule),
                    None => panic!("nobody misses {:?}", Rule::$rule),
                }
            }
        };
    }

    is_missed!(deletes_wait_for_taint, TaintGatesDeletes);
    is_missed!(given_up_attempts_taint, EveryGivenUpAttemptTaints);
    is_missed!(an_unclean_start_taints, TaintAfterUncleanStart);
    is_missed!(a_conflict_is_not_stored, ConflictIsNotStored);
    is_missed!(the_clock_starts_at_the_bound, ClockStartsAtBound);
}
