//! Versions, their bound, and the lease (`docs/protocol.md` section 5).

use super::harness::{AGENT, Shard, UNIX_MS};
use super::{config, delta, plan};
use crate::id::{AgentId, SessionId, VERSION_STEP, Version};
use crate::manager::{AgentFloor, Command, Event, Record};
use crate::time::Tick;
use crate::wire::{Reason, Start, Status};

fn verdict(shard: &Shard, id: SessionId) -> Option<(Status, Reason)> {
    let verdict = shard.verdict(id)?;
    Some((verdict.status, verdict.reason))
}

const STORED: Option<(Status, Reason)> = Some((Status::Ok, Reason::None));
fn is_bulk(command: &Command<u32>) -> bool {
    matches!(command, Command::Bulk { .. })
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
