//! Deadlines of a delivery: what counts, and what they make of it (`docs/protocol.md` section 4).

use super::harness::Shard;
use super::{PACKAGES, config, delta, failures, plan, start};
use crate::answer::{BulkOutcome, PartOutcome};
use crate::config::Config;
use crate::document::{Run, Runs};
use crate::id::{SessionId, Version};
use crate::manager::{Command, Event, Health, IndexState, ListingOutcome, Unready};
use crate::time::Tick;
use crate::wire::{Mode, Reason, Start, Status};

fn verdict(shard: &Shard, id: SessionId) -> Option<(Status, Reason)> {
    let verdict = shard.verdict(id)?;
    Some((verdict.status, verdict.reason))
}

const STORED: Option<(Status, Reason)> = Some((Status::Ok, Reason::None));
const UNAVAILABLE: Option<(Status, Reason)> = Some((Status::Offline, Reason::IndexerUnavailable));

fn is_bulk(command: &Command<u32>) -> bool {
    matches!(command, Command::Bulk { .. })
}

#[test]
fn delivery_deadline_counts_from_dispatch() {
    let mut shard = Shard::ready(config());
    let id = shard.complete(delta(1, 0));
    shard.pass(70_000);
    shard.planned(id, plan(1, 0));
    let dispatched = shard.now;
    shard.say(Event::Health {
        health: Health::Unready(Unready::Red),
    });
    shard.until(dispatched.0 + 119_999);
    assert_eq!(verdict(&shard, id), None);
    shard.until(dispatched.0 + 120_000);
    assert_eq!(verdict(&shard, id), UNAVAILABLE);
    assert_eq!(shard.count(is_bulk), 0);
}

/// What moves is not given up, however slowly: the deadline counts anew from each answer that decides something.
#[test]
fn what_moves_is_not_given_up() {
    let mut shard = Shard::ready(Config {
        bulk_operations_max: 1,
        ..config()
    });
    let id = shard.planned_delta(4, 0);
    shard.linger();
    for _ in 0..3 {
        shard.pass(100_000);
        shard.store();
    }
    assert_eq!(shard.bulks().len(), 4, "one after the other");
    shard.pass(100_000);
    shard.whole(BulkOutcome::NotSent);
    assert_eq!(verdict(&shard, id), None);
    shard.say(Event::Health {
        health: Health::Unready(Unready::Red),
    });
    shard.pass(19_999);
    assert_eq!(
        verdict(&shard, id),
        None,
        "what was not sent is no progress"
    );
    shard.pass(1);
    assert_eq!(verdict(&shard, id), UNAVAILABLE);
    let detail = shard.verdict(id).unwrap().detail;
    assert_eq!(detail, "nothing was delivered for 120000 ms");
}

#[test]
fn each_answer_that_decides_something_is_progress() {
    let runs = || [Run::new(0, 0)].into_iter().collect::<Runs>();
    let decided = [
        PartOutcome {
            stored: vec![(PACKAGES, 1)],
            ..PartOutcome::default()
        },
        PartOutcome {
            refused: vec![(PACKAGES, runs())],
            failures: failures(&[0], Reason::IndexerRejected),
            ..PartOutcome::default()
        },
        PartOutcome {
            conflicts: runs(),
            conflict_version: Version(7),
            ..PartOutcome::default()
        },
    ];
    let undecided = PartOutcome {
        overloaded: vec![(PACKAGES, runs())],
        ..PartOutcome::default()
    };
    let all = decided.map(|outcome| (outcome, true));
    for (outcome, is_progress) in all.into_iter().chain([(undecided, false)]) {
        let mut shard = Shard::ready(Config {
            bulk_operations_max: 1,
            ..config()
        });
        let id = shard.planned_delta(2, 0);
        shard.linger();
        shard.pass(100_000);
        shard.say(Event::Health {
            health: Health::Unready(Unready::Red),
        });
        shard.part(outcome.clone());
        shard.pass(119_000);
        let expected = if is_progress { None } else { UNAVAILABLE };
        assert_eq!(verdict(&shard, id), expected, "{outcome:?}");
        shard.pass(1_000);
        assert_eq!(verdict(&shard, id), UNAVAILABLE, "{outcome:?}");
    }
}

/// The last answer decides something like any other: while it is judged whose fault a refusal is, neither the old
/// deadline nor the patience with a shut index is over.
#[test]
fn a_deadline_of_before_does_not_end_what_is_judged() {
    let refused = PartOutcome {
        refused: vec![(PACKAGES, [Run::new(0, 0)].into_iter().collect())],
        failures: failures(&[0], Reason::IndexerRejected),
        ..PartOutcome::default()
    };
    for shut in [false, true] {
        let mut shard = Shard::ready(config());
        let id = shard.planned_delta(1, 0);
        shard.linger();
        if shut {
            shard.index(PACKAGES, IndexState::NotReady);
        }
        let patience_ms = if shut { 30_000 } else { 120_000 };
        shard.pass(patience_ms - 1_000);
        shard.part(refused.clone());
        let is_question = |command: &Command<u32>| matches!(command, Command::Refusals { .. });
        assert_eq!(shard.count(is_question), 1);
        shard.pass(2_000);
        assert_eq!(verdict(&shard, id), None, "it is judged: {shut}");
        shard.say(Event::RefusalsJudged {
            session: id,
            held: Vec::new(),
        });
        let expected = Some((Status::Error, Reason::PartiallyRejected));
        assert_eq!(verdict(&shard, id), expected, "{shut}");
    }
}

#[test]
fn complete_listing_is_progress() {
    let mut shard = Shard::ready(config());
    let id = shard.complete(start(Mode::Full, 1, 0));
    shard.planned(id, plan(1, 0));
    shard.pass(100_000);
    let outcome = ListingOutcome::Complete {
        documents: 0,
        highest: Version(0),
    };
    shard.say(Event::Listed {
        session: id,
        outcome,
    });
    shard.pass(119_999);
    assert_eq!(verdict(&shard, id), None, "the comparison is out");
    shard.pass(1);
    assert_eq!(verdict(&shard, id), UNAVAILABLE);
}

/// A deadline that comes while the last request is out: its answer decides.
#[test]
fn verdict_after_a_deadline_is_that_of_the_last_answer() {
    for stored in [true, false] {
        let mut shard = Shard::ready(config());
        let id = shard.planned_delta(1, 0);
        shard.linger();
        shard.pass(130_000);
        assert_eq!(verdict(&shard, id), None, "a request is out");
        if stored {
            shard.store();
            assert_eq!(verdict(&shard, id), STORED);
        } else {
            shard.whole(BulkOutcome::Unknown);
            assert_eq!(verdict(&shard, id), UNAVAILABLE);
            assert_eq!(shard.manager.figures().tainted_lanes, 1);
        }
    }
}

#[test]
fn index_that_stays_shut_ends_the_session_and_is_named() {
    for state in [
        IndexState::NotReady,
        IndexState::Paused { until: Tick::NEVER },
    ] {
        let mut shard = Shard::ready(config());
        shard.index(PACKAGES, state);
        let id = shard.planned_delta(1, 0);
        shard.pass(29_999);
        assert_eq!(verdict(&shard, id), None);
        shard.pass(1);
        assert_eq!(verdict(&shard, id), UNAVAILABLE);
        let detail = shard.verdict(id).unwrap().detail;
        assert_eq!(detail, "the Indexer takes nothing for packages");
    }
}

#[test]
fn wait_for_an_index_does_not_count_for_the_delivery() {
    let mut shard = Shard::ready(config());
    let id = shard.planned_delta(1, 0);
    shard.say(Event::Health {
        health: Health::Unready(Unready::Unreachable),
    });
    shard.pass(100_000);
    shard.index(PACKAGES, IndexState::NotReady);
    shard.pass(29_000);
    shard.index(PACKAGES, IndexState::Open);
    shard.pass(19_999);
    assert_eq!(verdict(&shard, id), None);
    shard.pass(1);
    assert_eq!(verdict(&shard, id), UNAVAILABLE);
}

/// A lane without sessions and verdicts is remembered while something may still be applied in it.
#[test]
fn taint_outlives_the_verdicts_of_its_lane() {
    let mut shard = Shard::ready(Config {
        late_write_bound_ms: 90_000,
        verdict_kept_ms: 1,
        ..config()
    });
    let id = shard.planned_delta(1, 0);
    shard.linger();
    shard.whole(BulkOutcome::Unknown);
    let tainted = shard.now.0;
    shard.pass(1_000);
    shard.store();
    assert_eq!(verdict(&shard, id), STORED);
    let lanes = |shard: &Shard| {
        let figures = shard.manager.figures();
        (figures.lanes, figures.tainted_lanes, figures.verdicts_kept)
    };
    shard.until(tainted + 89_999);
    assert_eq!(lanes(&shard), (1, 1, 0), "swept, and still tainted");
    shard.until(tainted + 180_000);
    assert_eq!(lanes(&shard), (0, 0, 0));
}

#[test]
fn session_max_bounds_everything() {
    let mut shard = Shard::ready(config());
    shard.index(PACKAGES, IndexState::Held);
    let held = shard.planned_delta(1, 0);
    let behind = shard.complete(delta(1, 0));
    shard.planned(behind, plan(1, 0));
    let planning = shard.complete(Start {
        module: "sca".to_owned(),
        ..delta(1, 0)
    });
    shard.pass(3_599_999);
    assert_eq!(shard.manager.figures().sessions, 3);
    shard.pass(1);
    for id in [held, behind, planning] {
        let late = Some((Status::Error, Reason::SessionTimeout));
        assert_eq!(verdict(&shard, id), late);
    }
    assert_eq!(shard.manager.pending(), None);
}
