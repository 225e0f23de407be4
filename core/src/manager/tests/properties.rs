//! Any events in any order: the shard never panics, its books agree, and early ticks change nothing.

use proptest::prelude::*;

use super::harness::{Shard, UNIX_MS, all_stored, frame, peer, refused};
use super::{PACKAGES, config, failures, plan, start};
use crate::answer::{BulkOutcome, PartOutcome, Refusal};
use crate::config::Config;
use crate::id::{
    BulkId, ConnectionId, IndexId, NO_SESSION, RecordId, SessionId, StageId, VERSION_STEP, Version,
};
use crate::manager::{
    Command, ConnectionKind, Event, FrameFlaw, Health, IndexState, ListingOutcome, Unready,
};
use crate::wire::{Mode, Reason, Start};

/// A step: what, and three small numbers that say which.
type Step = (u8, u8, u8, u8);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0_u8..40, any::<u8>(), any::<u8>(), any::<u8>()), 1..120)
}

/// Small limits, so that each is met.
fn tight() -> Config {
    Config {
        sessions_max: 4,
        items_per_agent_max: 12,
        bytes_per_session_max: 9_000,
        bytes_max: 20_000,
        runs_per_session_max: 4,
        open_bytes_per_connection_max: 3_000,
        ranges_per_request_max: 2,
        failed_items_max: 2,
        verdicts_per_lane: 2,
        bulk_bytes_max: 500,
        concurrency: 2,
        ..config()
    }
}

/// One of the sessions that were opened, or none.
fn session(shard: &Shard, which: u8) -> SessionId {
    let opened = &shard.names.opened;
    match usize::from(which) % (opened.len() + 2) {
        0 => NO_SESSION,
        1 => SessionId(1),
        place => opened[opened.len() + 1 - place],
    }
}

fn bulk(shard: &Shard, kind: u8, which: u8) -> Event<u32> {
    let bulks = shard.bulks();
    let Some((bulk, parts)) = bulks
        .len()
        .checked_sub(1 + usize::from(which % 3))
        .map(|place| bulks[place].clone())
    else {
        return Event::BulkDone {
            bulk: BulkId(0),
            outcome: BulkOutcome::Unknown,
        };
    };
    let each = |make: fn(&crate::document::Part) -> PartOutcome| BulkOutcome::Answered {
        parts: parts.iter().map(make).collect(),
    };
    let outcome = match kind % 14 {
        0..=3 => all_stored(&parts),
        4 => BulkOutcome::Unknown,
        5 => BulkOutcome::NotSent,
        6 => refused(Refusal::TooLarge),
        7 => refused(Refusal::Overloaded),
        8 => refused(Refusal::Malformed),
        9 => BulkOutcome::ReadFailed { parts: vec![0, 9] },
        10 => each(|part| PartOutcome {
            unknown: part.ordinals.clone(),
            ..PartOutcome::default()
        }),
        11 => each(|part| PartOutcome {
            blocked: vec![(PACKAGES, part.ordinals.clone())],
            ..PartOutcome::default()
        }),
        12 => each(|part| PartOutcome {
            refused: vec![(PACKAGES, part.ordinals.clone())],
            failures: failures(&[0], Reason::IndexerRejected),
            ..PartOutcome::default()
        }),
        _ => each(|part| PartOutcome {
            conflicts: part.ordinals.clone(),
            conflict_version: Version((1 << 62) + part.ordinals.count() - 2),
            ..PartOutcome::default()
        }),
    };
    Event::BulkDone { bulk, outcome }
}

fn a_start(a: u8, b: u8, c: u8) -> Event<u32> {
    let mode = if c.is_multiple_of(4) {
        Mode::Full
    } else {
        Mode::Delta
    };
    Event::Start {
        peer: peer(u64::from(a % 2) + 1, u64::from(b % 3) + 1),
        start: Box::new(Start {
            agent_id: u64::from(a % 2) + 1,
            protocol_version: u16::from(c % 8 != 1),
            module: if b.is_multiple_of(2) {
                "sca"
            } else {
                "syscollector"
            }
            .to_owned(),
            indices: if c == 0 {
                vec!["sca".to_owned()]
            } else {
                Vec::new()
            },
            version_floor: (UNIX_MS + u64::from(c) * 1_000) * VERSION_STEP,
            ..start(mode, u64::from(c % 7), u64::from(b % 5))
        }),
        digest: [a & 1; 16],
    }
}

fn event(shard: &Shard, (kind, a, b, c): Step) -> Event<u32> {
    let id = session(shard, a);
    let from = peer(u64::from(b % 2) + 1, u64::from(c % 3) + 1);
    match kind {
        0..=4 => a_start(a, b, c),
        5..=9 => {
            let first = u32::from(b % 7);
            let mut items = frame(id, first, first + u32::from(c % 3), u64::from(c) * 20);
            items.foreign_element = c == 7;
            items.unknown_operation = (c == 9).then_some(u64::from(first));
            Event::Items {
                peer: from,
                frame: items,
                payload: 0,
            }
        }
        10..=13 => Event::End {
            peer: from,
            session: id,
        },
        14..=17 => Event::Staged {
            upto: StageId(stages(shard).saturating_sub(u64::from(a % 2))),
        },
        18 => Event::StageFailed {
            stage: StageId(stages(shard)),
        },
        19..=22 => Event::Planned {
            session: id,
            plan: (b != 0).then(|| Box::new(plan(u32::from(b % 5), u32::from(c % 4)))),
        },
        23 => Event::Listed {
            session: id,
            outcome: match c % 3 {
                0 => ListingOutcome::Failed,
                1 => ListingOutcome::Paused {
                    indices: vec![PACKAGES],
                },
                _ => ListingOutcome::Complete {
                    highest: Version(u64::from(c)),
                    documents: 1,
                },
            },
        },
        24 => Event::Diffed {
            session: id,
            diff: (b != 0).then(|| Box::new(super::diff(u32::from(b % 4), u32::from(c % 4)))),
        },
        25..=30 => bulk(shard, a, b),
        31 => Event::RefusalsJudged {
            session: id,
            held: if c % 2 == 0 {
                vec![PACKAGES, IndexId(77)]
            } else {
                Vec::new()
            },
        },
        32 | 33 => Event::IndexChanged {
            index: IndexId(u16::from(a % 4)),
            state: match c % 6 {
                0 => IndexState::NotReady,
                1 => IndexState::Held,
                2 => IndexState::Paused {
                    until: shard.now + u64::from(b) * 10,
                },
                _ => IndexState::Open,
            },
        },
        _ => rare(shard, kind, a, b, c),
    }
}

fn rare(shard: &Shard, kind: u8, a: u8, b: u8, c: u8) -> Event<u32> {
    let flaws = [
        FrameFlaw::Unverifiable,
        FrameFlaw::UnknownMember(b),
        FrameFlaw::WrongDirection,
    ];
    match (kind, a % 6) {
        (34, 0..=2) => Event::WallClock {
            unix_ms: UNIX_MS + u64::from(b) * 1_000,
        },
        (34, _) => Event::LeaseUntil {
            until: shard.now + u64::from(b) * 400,
        },
        (35, 0) => Event::Health {
            health: Health::Unready(Unready::Red),
        },
        (35, _) => Event::Health {
            health: Health::Ready,
        },
        (36, 0..=2) => Event::BoundRaised {
            bound: Version((UNIX_MS + u64::from(b) * 10_000) * VERSION_STEP),
        },
        (36, _) => Event::Recorded {
            record: RecordId(u64::from(b % 4)),
        },
        (37, 0) => Event::TaintAll {
            until: shard.now + u64::from(b) * 100,
        },
        (37, 1) => Event::RecordFailed {
            record: RecordId(u64::from(b % 4)),
        },
        (37, _) => Event::QuotaSlice {
            items: u64::from(b),
            bytes: u64::from(c) * 500,
        },
        (38, 0) => Event::Shutdown,
        (38, 1) => Event::Closed {
            connection: ConnectionId(u64::from(b % 3) + 1),
        },
        _ => Event::BadFrame {
            peer: peer(1, u64::from(b % 3) + 1),
            flaw: flaws[usize::from(c % 3)],
        },
    }
}

fn stages(shard: &Shard) -> u64 {
    shard.count(|command| matches!(command, Command::Stage { .. })) as u64
}

/// How far the clock moves before a step.
fn pause_of((kind, a, b, c): Step) -> u64 {
    match (u32::from(kind) + u32::from(a) + u32::from(b) + u32::from(c)) % 9 {
        0..=5 => u64::from(c % 7),
        6 => u64::from(c) * 10,
        7 => u64::from(c) * 200,
        _ => 0,
    }
}

/// Lets any events happen; `ticks` says how many early ticks come before each.
fn play(steps: &[Step], ticks: u64) -> Shard {
    let mut shard = Shard::ready(tight());
    shard.open(2, ConnectionKind::Agent);
    shard.open(3, ConnectionKind::Relay);
    // Begins in the midst of things: a request is out, a session waits behind it, a Full is listed.
    shard.planned_delta(3, 2);
    shard.linger();
    let behind = shard.complete(super::delta(2, 3));
    shard.planned(behind, plan(1, 1));
    let full = shard.complete(Start {
        module: "sca".to_owned(),
        ..start(Mode::Full, 3, 2)
    });
    shard.planned(full, plan(3, 0));
    for step in steps {
        let end = shard.now + pause_of(*step);
        loop {
            let due = shard.manager.next_deadline().map(|(at, _)| at);
            let next = due.filter(|at| *at <= end).unwrap_or(end);
            let span = next.since(shard.now);
            for early in 1..=ticks {
                shard.now = shard.now.max(crate::time::Tick(
                    (next.0 - span + span * early / (ticks + 1)).min(next.0.saturating_sub(1)),
                ));
                shard.say(Event::Tick);
            }
            shard.now = shard.now.max(next);
            if due != Some(next) {
                break;
            }
            shard.say(Event::Tick);
        }
        let event = event(&shard, *step);
        shard.say(event);
    }
    shard
}

proptest! {
    #[test]
    fn any_events_keep_the_books_and_end_in_one_verdict_each(steps in steps()) {
        let mut shard = play(&steps, 0);
        // A stop, and every question answered, ends everything.
        let upto = StageId(stages(&shard));
        shard.say(Event::Shutdown);
        shard.say(Event::Staged { upto });
        for (bulk, _) in shard.bulks() {
            shard.answer(bulk, BulkOutcome::NotSent);
        }
        prop_assert_eq!(shard.manager.figures().sessions, 0);
        let stops = shard.count(|command| matches!(command, Command::Stopped { .. }));
        prop_assert_eq!(stops, 1);
        prop_assert_eq!(shard.manager.figures().bytes, 0);
        for id in shard.names.opened.clone() {
            let discards = shard.count(|command| *command == Command::Discard { session: id });
            prop_assert_eq!(discards, 1);
            let ended = shard.count(|command| matches!(
                command,
                Command::Observe(crate::manager::Observation::SessionEnded { session, .. })
                    if *session == id
            ));
            prop_assert_eq!(ended, 1);
        }
    }

    #[test]
    fn early_ticks_change_nothing(steps in steps(), ticks in 1_u64..4) {
        let (plain, ticked) = (play(&steps, 0), play(&steps, ticks));
        for (without, with) in plain.commands.iter().zip(&ticked.commands) {
            prop_assert_eq!(without, with);
        }
        prop_assert_eq!(plain.commands.len(), ticked.commands.len());
    }
}
