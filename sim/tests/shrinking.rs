//! The shrinker, on planted bugs: what it leaves is small, and still fails in the same way.
#![cfg(inventory_bug_bank)]

use inventory_sim::{Case, Conduct, Finding, Options, Replay, Tape, attempt, shrink};
use inventory_sync_core::bug::{Bug, plant};

/// Attempts that the shrinker has: a number and no time, so that every machine gets the same result.
const ATTEMPTS: u64 = 3_000;

/// The first seed that finds the bug, as a case.
fn first_case(bug: Bug) -> (Case, Finding) {
    let _planted = plant(bug);
    for seed in 1..=200 {
        let options = Options::drawn(seed);
        let tape = Tape::recording();
        let conduct = Conduct {
            tape: Some(tape.clone()),
            ..Conduct::default()
        };
        if let Some(finding) = attempt(&options, conduct).finding {
            let choices = tape.recorded();
            return (Case { options, choices }, finding);
        }
    }
    panic!("{bug:?} is not found in 200 seeds");
}

fn check(bug: Bug, choices_max: usize, events_max: u64) {
    let (case, finding) = first_case(bug);
    let _planted = plant(bug);
    let mut left = ATTEMPTS;
    let shrunk = shrink(case, &mut |_| {
        left = left.saturating_sub(1);
        left > 0
    });
    let shrunk = shrunk.expect("it fails");
    let found = shrunk.outcome.finding.as_ref().expect("it still fails");
    assert!(found.is_like(&finding), "{found} instead of {finding}");
    let progress = shrunk.progress;
    assert!(
        progress.choices <= choices_max && progress.events <= events_max,
        "{bug:?}: {progress:?}"
    );
    let Case { options, choices } = &shrunk.case;
    let replay = Replay::of("small", "Small.", options, choices, &shrunk.outcome);
    let again = Replay::read(&replay.to_string()).unwrap();
    let outcome = again.run(Conduct::default());
    assert_eq!(again.differs(&outcome), None);
    assert!(again.has_hash_of(&outcome));
}

#[test]
fn a_delete_that_does_not_wait_is_shrunk_to_its_two_sessions() {
    check(Bug::DeletesDuringTaint, 6, 60);
}

#[test]
fn a_failed_assertion_is_shrunk() {
    check(Bug::GapsIgnored, 5, 30);
}

#[test]
fn an_acknowledgement_too_early_is_shrunk_to_one_session() {
    check(Bug::ProcessingTakenAsOk, 2, 30);
}
