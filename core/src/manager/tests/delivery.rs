//! Versions, bound, lease, taint, the order of a Full, and deadlines (`docs/protocol.md` sections 5 and 6).

use super::harness::{AGENT, Shard, UNIX_MS};
use super::{PACKAGES, PORTS, config, delta, diff, load, plan, start};
use crate::answer::{BulkOutcome, PartOutcome};
use crate::config::Config;
use crate::document::{Class, PlanSummary};
use crate::id::{AgentId, IndexId, SessionId, VERSION_STEP, Version};
use crate::manager::{
    AgentFloor, Command, Event, Health, IndexState, IndexTrouble, ListingOutcome, Record, Timer,
    Unready,
};
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

fn is_listing(command: &Command<u32>) -> bool {
    matches!(command, Command::Listing { .. })
}

fn listed(shard: &mut Shard, session: SessionId, outcome: ListingOutcome) {
    shard.say(Event::Listed { session, outcome });
}

const LISTED: ListingOutcome = ListingOutcome::Complete {
    highest: Version(0),
    documents: 9,
};

/// A Full of agent 1 whose plan is made.
fn full(shard: &mut Shard, size: u64) -> SessionId {
    let id = shard.complete(start(Mode::Full, size, 0));
    shard.planned(id, plan(u32::try_from(size).unwrap(), 0));
    id
}

/// A Full that is compared: so many upserts and removals are left.
fn compared(shard: &mut Shard, upserts: u32, removals: u32) -> SessionId {
    let id = full(shard, 4);
    listed(shard, id, LISTED);
    shard.say(Event::Diffed {
        session: id,
        diff: Some(Box::new(diff(upserts, removals))),
    });
    shard.linger();
    id
}

/// Sends and stores one session, and returns its version.
fn version_of_one(shard: &mut Shard, start: Start) -> u64 {
    let id = shard.complete(start);
    shard.planned(id, plan(1, 0));
    shard.linger();
    let (_, parts) = shard.last_bulk();
    shard.store();
    assert_eq!(verdict(shard, id), STORED);
    parts[0].version.0
}

#[test]
fn grants_of_an_agent_lie_a_step_apart_whatever_the_clock_does() {
    let mut shard = Shard::ready(config());
    let mut highest = version_of_one(&mut shard, delta(1, 0));
    for unix_ms in [0, UNIX_MS + 50_000, 3, UNIX_MS + 50_001] {
        shard.say(Event::WallClock { unix_ms });
        for _ in 0..2 {
            let version = version_of_one(&mut shard, delta(1, 0));
            assert!(version >= highest + VERSION_STEP, "{version} {highest}");
            highest = version;
        }
        let ack = shard.start(AGENT, delta(1, 0), 0);
        assert_eq!(ack.version, highest, "told at the next Start");
    }
}

#[test]
fn grant_lies_above_what_the_agent_heard_of() {
    let mut shard = Shard::ready(config());
    let floor = (UNIX_MS + 500_000) * VERSION_STEP + 17;
    let version = version_of_one(
        &mut shard,
        Start {
            version_floor: floor,
            ..delta(1, 0)
        },
    );
    assert!(version > floor && version < floor + 2 * VERSION_STEP);
    // Another agent is not concerned: floors never move the clock.
    let other = shard.session(Start {
        version_floor: u64::MAX,
        module: "sca".to_owned(),
        ..delta(1, 0)
    });
    shard.data(other, 0, 0);
    shard.staged();
    shard.end(other);
    shard.planned(other, plan(1, 0));
    shard.linger();
    let day_ahead = (shard.now.0 + UNIX_MS + 24 * 3_600_000) * VERSION_STEP;
    let version = shard.last_bulk().1[0].version.0;
    assert!(
        version > floor && version <= day_ahead + VERSION_STEP,
        "a stated floor counts up to a day ahead"
    );
}

#[test]
fn nothing_is_sent_at_or_above_the_bound() {
    let mut shard = Shard::bounded(config(), UNIX_MS);
    let id = shard.planned_delta(1, 0);
    shard.linger();
    let wanted = Version(UNIX_MS * VERSION_STEP);
    assert!(
        shard
            .commands
            .contains(&Command::BoundWanted { beyond: wanted })
    );
    assert_eq!(shard.count(is_bulk), 0);
    shard.raise_bound(UNIX_MS + 5);
    shard.linger();
    assert_eq!(shard.count(is_bulk), 0, "the clock went on too");
    shard.raise_bound(UNIX_MS + 1_000);
    shard.linger();
    let (_, parts) = shard.last_bulk();
    assert!(parts[0].version.0 < (UNIX_MS + 1_000) * VERSION_STEP);
    shard.store();
    assert_eq!(verdict(&shard, id), STORED);
}

#[test]
fn nothing_is_sent_after_the_lease() {
    let mut shard = Shard::ready(config());
    let id = shard.planned_delta(1, 0);
    shard.say(Event::LeaseUntil { until: Tick(5) });
    shard.pass(60_000);
    assert_eq!(shard.count(is_bulk), 0);
    let until = shard.now + 10;
    shard.say(Event::LeaseUntil { until });
    let not_after = shard.commands.iter().find_map(|command| match command {
        Command::Bulk {
            not_after,
            deadline,
            ..
        } => Some((*not_after, *deadline)),
        _ => None,
    });
    assert_eq!(not_after, Some((until, shard.now + 10_000)));
    shard.store();
    assert_eq!(verdict(&shard, id), STORED);
}

#[test]
fn floor_above_the_bound_is_durable_before_it_is_used() {
    let mut shard = Shard::bounded(config(), UNIX_MS + 100_000);
    let floor = Version((UNIX_MS + 300_000) * VERSION_STEP);
    let id = shard.complete(Start {
        version_floor: floor.0,
        ..delta(1, 0)
    });
    shard.planned(id, plan(1, 0));
    shard.linger();
    let records = |shard: &Shard| {
        let records = shard.commands.iter().filter_map(|command| match command {
            Command::Record {
                record,
                what: Record::Floor(floor),
            } => Some((*record, *floor)),
            _ => None,
        });
        records.collect::<Vec<_>>()
    };
    let (record, first) = records(&shard)[0];
    assert_eq!((first.agent, first.floor), (AgentId(1), floor));
    assert!(first.bound > floor);
    shard.say(Event::RecordFailed { record });
    shard.say(Event::WallClock { unix_ms: UNIX_MS });
    assert_eq!(shard.count(is_bulk), 0);
    let (record, _) = records(&shard)[1];
    assert_ne!(record, records(&shard)[0].0, "asked for again");
    shard.say(Event::Recorded { record });
    shard.linger();
    let version = shard.last_bulk().1[0].version;
    assert!(version > floor && version < first.bound);
    shard.store();
    assert_eq!(verdict(&shard, id), STORED);
}

/// Below an agent's own durable bound anything may have been sent before the restart.
#[test]
fn recovered_floor_lies_below_the_next_grant() {
    let mut shard = Shard::ready(config());
    let bound = Version((UNIX_MS + 40_000) * VERSION_STEP);
    shard.say(Event::Floors {
        floors: vec![AgentFloor {
            agent: AgentId(1),
            floor: Version(9),
            bound,
        }],
    });
    assert!(version_of_one(&mut shard, delta(1, 0)) > bound.0);
}

/// Two upserts and two deletes, of which one delete is not in the first request; it fails unknown.
fn tainted(shard: &mut Shard) -> (SessionId, Tick) {
    let id = shard.planned_delta(2, 2);
    shard.linger();
    let first = [
        (Class::Upsert, "0-1".to_owned()),
        (Class::Delete, "0".to_owned()),
    ];
    assert_eq!(shard.last_parts(), first);
    shard.pass(1_000);
    shard.whole(BulkOutcome::Unknown);
    let at = shard.now;
    shard.pass(300);
    assert_eq!(shard.bulks().len(), 2, "sent again after a backoff");
    assert_eq!(
        shard.last_parts(),
        first,
        "what was sent before goes on in the taint"
    );
    (id, at)
}

fn three_a_request() -> Config {
    Config {
        bulk_operations_max: 3,
        ..config()
    }
}

#[test]
fn fresh_deletes_wait_for_exactly_the_late_write_bound() {
    let mut shard = Shard::ready(three_a_request());
    let (id, at) = tainted(&mut shard);
    let versions = |shard: &Shard| shard.last_bulk().1[0].version;
    let version = versions(&shard);
    shard.store();
    assert_eq!(
        shard.manager.next_deadline(),
        Some((at + 30_000, Timer::TaintEnd(id)))
    );
    assert_eq!(shard.manager.figures().tainted_lanes, 1);
    shard.until(at.0 + 29_999);
    assert_eq!(shard.bulks().len(), 2);
    shard.until(at.0 + 30_005);
    assert_eq!(shard.last_parts(), [(Class::Delete, "1".to_owned())]);
    assert_eq!(versions(&shard), version, "one version for all");
    shard.store();
    assert_eq!(verdict(&shard, id), STORED);
}

/// In a tainted lane the next session's upserts go, its deletes and its listing wait.
#[test]
fn taint_outlives_its_session() {
    let mut shard = Shard::ready(three_a_request());
    let (first, at) = tainted(&mut shard);
    shard.say(Event::Shutdown);
    shard.store();
    let shut = Some((Status::Offline, Reason::ShuttingDown));
    assert_eq!(
        verdict(&shard, first),
        shut,
        "a stop does not wait for a taint"
    );
    assert!(
        shard.last.contains(&Command::Stopped { clean: false }),
        "and is not clean"
    );

    let mut shard = Shard::ready(config());
    shard.planned_delta(1, 0);
    shard.linger();
    shard.whole(BulkOutcome::Unknown);
    let taint_end = shard.now + 30_000;
    shard.pass(300);
    shard.store();
    let second = shard.planned_delta(1, 1);
    shard.linger();
    assert_eq!(shard.last_parts(), [(Class::Upsert, "0".to_owned())]);
    shard.store();
    shard.until(taint_end.0 - 1);
    assert_eq!(verdict(&shard, second), None);
    // Another lane is not concerned.
    let sca = shard.complete(Start {
        module: "sca".to_owned(),
        ..delta(1, 0)
    });
    shard.planned(
        sca,
        PlanSummary {
            chunks: vec![load(0, 1)],
            operations: vec![(IndexId(2), 1)],
            ..PlanSummary::default()
        },
    );
    shard.until(taint_end.0 + 5);
    let mut sessions = Vec::new();
    while verdict(&shard, second).is_none() || verdict(&shard, sca).is_none() {
        sessions.extend(
            shard
                .last_bulk()
                .1
                .iter()
                .map(|part| (part.session, part.class)),
        );
        shard.store();
        shard.linger();
    }
    sessions.sort_unstable();
    let mut expected = vec![(second, Class::Delete), (sca, Class::Delete)];
    expected.sort_unstable();
    assert_eq!(sessions, expected);
    assert!(at < taint_end);
}

#[test]
fn listing_waits_for_the_taint_of_an_unclean_start() {
    let mut shard = Shard::ready(config());
    let until = Tick(200_000);
    shard.say(Event::TaintAll { until });
    let id = full(&mut shard, 1);
    assert_eq!(shard.count(is_listing), 0);
    shard.until(until.0 - 1);
    assert_eq!(shard.count(is_listing), 0);
    assert_eq!(verdict(&shard, id), None, "the wait does not count");
    shard.until(until.0);
    assert_eq!(shard.count(is_listing), 1);
    // The delivery deadline begins here.
    shard.until(until.0 + 119_999);
    assert_eq!(verdict(&shard, id), None);
    shard.until(until.0 + 120_000);
    assert_eq!(verdict(&shard, id), UNAVAILABLE);
    assert!(
        shard
            .last
            .contains(&Command::ListingCancelled { session: id })
    );
}

/// The taint may come when deletes are ready to go.
#[test]
fn taint_of_everything_holds_deletes_that_linger() {
    let mut shard = Shard::ready(config());
    let id = shard.planned_delta(0, 1);
    shard.say(Event::TaintAll {
        until: Tick(150_000),
    });
    shard.until(149_999);
    assert_eq!(shard.count(is_bulk), 0);
    shard.until(150_005);
    shard.store();
    assert_eq!(verdict(&shard, id), STORED);
}

#[test]
fn removals_go_when_every_upsert_is_answered() {
    let mut shard = Shard::ready(Config {
        bulk_operations_max: 1,
        concurrency: 2,
        ..config()
    });
    let id = compared(&mut shard, 2, 1);
    let two = shard.bulks();
    assert_eq!(two.len(), 2);
    shard.answer(two[0].0, super::harness::all_stored(&two[0].1));
    shard.pass(100);
    assert_eq!(shard.bulks().len(), 2, "an upsert is out");
    let again = PartOutcome {
        overloaded: vec![(PACKAGES, two[1].1[0].ordinals.clone())],
        ..PartOutcome::default()
    };
    shard.answer(two[1].0, BulkOutcome::Answered { parts: vec![again] });
    shard.pass(400);
    assert_eq!(shard.last_parts(), [(Class::Upsert, "1".to_owned())]);
    assert_eq!(shard.bulks().len(), 3);
    shard.store();
    shard.linger();
    assert_eq!(shard.last_parts(), [(Class::Removal, "0".to_owned())]);
    shard.store();
    assert_eq!(verdict(&shard, id), STORED);
}

#[test]
fn listing_that_fails_is_asked_for_again() {
    let mut shard = Shard::ready(config());
    let id = full(&mut shard, 1);
    listed(&mut shard, id, ListingOutcome::Failed);
    assert_eq!(shard.count(is_listing), 1);
    shard.pass(250);
    assert_eq!(shard.count(is_listing), 2);
    let indices = vec![PORTS];
    listed(&mut shard, id, ListingOutcome::Paused { indices });
    assert!(shard.last.contains(&Command::IndexTrouble {
        index: PORTS,
        trouble: IndexTrouble::Blocked,
    }));
    shard.index(
        PORTS,
        IndexState::Paused {
            until: shard.now + 5_000,
        },
    );
    shard.pass(4_999);
    assert_eq!(shard.count(is_listing), 2);
    shard.pass(1);
    assert_eq!(shard.count(is_listing), 3);
    listed(&mut shard, id, LISTED);
    shard.say(Event::Diffed {
        session: id,
        diff: None,
    });
    let unread = Some((Status::Error, Reason::StorageFailure));
    assert_eq!(verdict(&shard, id), unread);
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
