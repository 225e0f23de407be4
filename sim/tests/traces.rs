//! The traces that broke an earlier form of the contract, as scripts. They end well; in a bug bank
//! (`--cfg inventory_bug_bank`) the rule that removes a trace is taken out, and the simulator must find the
//! loss.
//!
//! Times in a script are milliseconds after the start. A request is given up after 5 s, a late write lands
//! within 10 s after that, tombstones live for 60 s unless the Indexer restarts.

use inventory_sim::{Action, Conduct, Ending, Fate, Options, run};
use inventory_sync_core::bug::Bug;

/// A world in which nothing happens but what the script says: one agent, one shard, no faults.
fn scripted() -> Options {
    let mut options = Options::calm(7);
    options.agents = 1;
    options.change_every_ms = 0;
    options.warm_up_ms = 45_000;
    options.chaos_ms = 1_000;
    options
}

const X: u32 = 1;

fn put(content: u64) -> Action {
    Action::Put {
        agent: 0,
        index: 0,
        document: X,
        content,
    }
}

fn remove() -> Action {
    Action::Remove {
        agent: 0,
        index: 0,
        document: X,
    }
}

fn delta() -> Action {
    Action::Delta {
        agent: 0,
        module: 0,
    }
}

fn full() -> Action {
    Action::Full { agent: 0, index: 0 }
}

fn fates(fates: &[Fate]) -> Action {
    Action::Fates(fates.to_vec())
}

/// The script ends well; with this bug the simulator finds a violation.
fn check(name: &str, bug: Bug, script: &[(u64, Action)]) {
    let options = scripted();
    let conduct = Conduct {
        script: script.to_vec(),
        keep_text: true,
        ..Conduct::default()
    };
    let sound = run(&options, conduct);
    assert_eq!(
        sound.ending,
        Ending::Sound,
        "{name}: {}",
        sound.trace.unwrap_or_default()
    );
    assert!(
        sound.counts.ok > 0,
        "{name}: nothing was acknowledged, so nothing was proved"
    );
    spoilt(name, &options, bug, script);
}

#[cfg(inventory_bug_bank)]
fn spoilt(name: &str, options: &Options, bug: Bug, script: &[(u64, Action)]) {
    let planted = inventory_sync_core::bug::plant(bug);
    let report = run(
        options,
        Conduct {
            script: script.to_vec(),
            keep_text: true,
            ..Conduct::default()
        },
    );
    drop(planted);
    match report.ending {
        Ending::Unsafe(violation) => println!("{name} with {bug:?}:\n{violation}"),
        other => panic!(
            "{name} with {bug:?} ends {other:?}:\n{}",
            report.trace.unwrap_or_default()
        ),
    }
}

#[cfg(not(inventory_bug_bank))]
fn spoilt(_name: &str, _options: &Options, _bug: Bug, _script: &[(u64, Action)]) {}

#[test]
fn f1a_an_upsert_from_before_a_crash_lands_after_the_tombstone_is_lost() {
    let script = [
        (5_000, put(1)),
        (5_010, fates(&[Fate::Late(9_900)])),
        (5_020, delta()),
        (6_000, Action::CrashManager(100)),
        (6_010, Action::CrashAgent(0, 200)),
        (6_100, remove()),
        (8_000, delta()),
        (12_000, Action::LoseTombstones),
    ];
    check("F1a", Bug::NoTaintAfterCrash, &script);
}

#[test]
fn f1b_a_delete_from_before_a_crash_lands_after_a_full_found_nothing_to_do() {
    let script = [
        (5_000, put(1)),
        (5_020, delta()),
        (7_000, remove()),
        (7_010, fates(&[Fate::Late(9_900)])),
        (7_020, full()),
        (9_000, Action::CrashManager(100)),
        (9_010, Action::CrashAgent(0, 200)),
        (9_100, put(1)),
        (12_000, full()),
    ];
    check("F1b", Bug::NoTaintAfterCrash, &script);
}

#[test]
fn f2a_a_second_attempt_is_answered_and_the_first_lands_after_the_delete() {
    let script = [
        (5_000, put(1)),
        (5_010, fates(&[Fate::Late(9_000)])),
        (5_020, delta()),
        (12_000, remove()),
        (12_010, delta()),
        (14_500, Action::LoseTombstones),
    ];
    check("F2a", Bug::GivenUpAttemptForgotten, &script);
}

#[test]
fn f2b_a_second_attempt_is_refused_and_the_first_lands_after_a_full_skipped_the_document() {
    let script = [
        (4_000, put(1)),
        (4_020, delta()),
        (7_000, put(2)),
        (7_010, fates(&[Fate::Late(9_000), Fate::Refused(400)])),
        (7_020, delta()),
        // A restart of the agent ends its backoff after the refusal.
        (13_500, Action::CrashAgent(0, 100)),
        (14_000, put(1)),
        (14_010, full()),
    ];
    check("F2b", Bug::GivenUpAttemptForgotten, &script);
}

#[test]
fn f3_a_full_lists_nothing_and_the_upsert_of_a_failed_session_lands_after_it() {
    let script = [
        (5_000, put(1)),
        (5_010, fates(&[Fate::Late(9_000), Fate::Refused(400)])),
        (5_020, delta()),
        (11_500, Action::CrashAgent(0, 100)),
        (12_000, remove()),
        (12_010, full()),
    ];
    check("F3", Bug::ListingsDuringTaint, &script);
}

#[test]
fn f3_prime_a_late_delete_lands_between_the_listing_of_a_full_and_its_write() {
    let script = [
        (4_000, put(1)),
        (4_020, delta()),
        (7_000, remove()),
        (7_010, fates(&[Fate::Late(6_000), Fate::Refused(400)])),
        (7_020, delta()),
        (13_500, Action::CrashAgent(0, 100)),
        (15_000, put(3)),
        // The Full's own write is lost once, so that its listing is old when the delete lands.
        (15_010, fates(&[Fate::Lost])),
        (15_020, full()),
    ];
    check("F3'", Bug::ListingsDuringTaint, &script);
}

#[test]
fn f5_a_delete_is_answered_while_something_older_is_out() {
    let script = [
        (5_000, put(1)),
        (5_010, fates(&[Fate::Late(9_000)])),
        (5_020, delta()),
        (12_000, remove()),
        (12_010, delta()),
        (14_500, Action::LoseTombstones),
        (15_000, Action::CrashManager(100)),
    ];
    check("F5", Bug::DeletesDuringTaint, &script);
}

#[test]
fn f9_a_conflict_is_taken_as_stored() {
    let script = [
        (5_000, put(1)),
        (5_020, delta()),
        (
            7_000,
            Action::ForeignWrite {
                agent: 0,
                index: 0,
                document: X,
                content: 9,
                ahead_ms: 5_000,
            },
        ),
        (8_000, put(2)),
        (8_010, delta()),
    ];
    check("F9", Bug::ConflictTakenAsStored, &script);
}

#[test]
fn f6c_the_bound_is_lost_altogether() {
    // Nothing to plant: it must end well, late write and all.
    let script = [
        (5_000, put(1)),
        (5_010, fates(&[Fate::Late(9_900)])),
        (5_020, delta()),
        (6_000, Action::CrashManager(1_000)),
        (6_010, Action::CrashAgent(0, 200)),
        (6_500, Action::LoseBounds),
        (7_000, put(2)),
        (9_000, delta()),
    ];
    let report = run(
        &scripted(),
        Conduct {
            script: script.to_vec(),
            keep_text: true,
            ..Conduct::default()
        },
    );
    assert_eq!(
        report.ending,
        Ending::Sound,
        "{}",
        report.trace.unwrap_or_default()
    );
    assert!(report.counts.ok > 0);
}
