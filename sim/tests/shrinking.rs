//! The shrinker, on planted bugs: what it leaves is small, and still fails in the same way.
#![cfg(inventory_bug_bank)]

use inventory_sim::{Case, Conduct, Finding, Kind, Options, Replay, Tape, attempt, shrink};
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

/// Shrinks what finds the bug and checks that little is left, and that it goes through a file; that file.
fn check(bug: Bug, choices_max: usize, events_max: u64) -> (Finding, Replay) {
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
        progress.choices <= choices_max && (1..=events_max).contains(&progress.events),
        "{bug:?}: {progress:?}"
    );
    assert!(
        progress.starting <= progress.events,
        "{bug:?}: {progress:?}"
    );
    let Case { options, choices } = &shrunk.case;
    let replay = Replay::of("small", "Small.", options, choices, &shrunk.outcome);
    let again = Replay::read(&replay.to_string()).unwrap();
    let outcome = again.run(Conduct::default());
    assert_eq!(again.differs(&outcome), None);
    assert!(again.has_hash_of(&outcome));
    (finding, again)
}

#[test]
fn a_delete_that_does_not_wait_is_shrunk_to_its_two_sessions() {
    check(Bug::DeletesDuringTaint, 6, 60);
}

#[test]
fn a_failed_assertion_is_shrunk() {
    let (finding, replay) = check(Bug::GapsIgnored, 5, 30);
    assert_eq!(finding.kind, Kind::Assertion);
    assert!(replay.hash.is_some(), "a trace up to the panic");
}

#[test]
fn an_acknowledgement_too_early_is_shrunk_to_one_session() {
    check(Bug::ProcessingTakenAsOk, 2, 30);
}

#[test]
fn a_world_that_does_not_come_to_rest_is_shrunk() {
    let (finding, replay) = check(Bug::HealthAskedOnce, 6, 60);
    assert_eq!(finding.kind, Kind::Liveness);
    // The stated bound is the longest timeout, and enough for a world without the bug.
    assert_eq!(
        replay.options.converge_ms,
        replay.options.longest_timeout_ms()
    );
    let sound = replay.run(Conduct::default());
    assert_eq!(sound.finding, None);
}

#[test]
fn what_many_choices_made_is_shrunk_by_way_of_small_worlds() {
    check(Bug::SharedFailureUnlisted, 20, 60);
    check(Bug::ReceivedBeforeStored, 5, 40);
}
