//! Deadlines of a delivery: what counts, and what they make of it (`docs/protocol.md` section 4).

use super::harness::Shard;
use super::{PACKAGES, config, delta, plan};
use crate::answer::BulkOutcome;
use crate::id::SessionId;
use crate::manager::{Command, Event, Health, IndexState, Unready};
use crate::time::Tick;
use crate::wire::{Reason, Start, Status};

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
