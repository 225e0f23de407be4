//! Taint, and the order of a Full (`docs/protocol.md` sections 5 and 6).

use super::harness::Shard;
use super::{PACKAGES, PORTS, config, delta, diff, load, plan, start};
use crate::answer::{BulkOutcome, PartOutcome};
use crate::config::Config;
use crate::document::{Class, PlanSummary};
use crate::id::{IndexId, SessionId, Version};
use crate::manager::{Command, Event, IndexState, IndexTrouble, ListingOutcome, Timer};
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
    let before = shard.bulks().len();
    for sent in before..=before + 1 {
        if shard.bulks().len() < sent {
            break;
        }
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
            .commands
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
