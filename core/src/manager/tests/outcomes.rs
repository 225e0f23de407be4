//! What a shard makes of the answer to each operation (`docs/protocol.md` sections 4, 5 and 8).

use super::harness::{Shard, UNIX_MS, run};
use super::{PACKAGES, PORTS, config, delta, failures, plan};
use crate::answer::{BulkOutcome, PartOutcome};
use crate::config::Config;
use crate::document::{Class, PlanSummary};
use crate::id::{SessionId, VERSION_CEILING, VERSION_STEP, Version};
use crate::manager::{Command, Event, IndexState, IndexTrouble, Observation, Tally};
use crate::wire::{Mode, Reason, Status};

fn verdict(shard: &Shard, id: SessionId) -> Option<(Status, Reason)> {
    let verdict = shard.verdict(id)?;
    Some((verdict.status, verdict.reason))
}

const STORED: Option<(Status, Reason)> = Some((Status::Ok, Reason::None));

fn some(count: u64, rest: PartOutcome) -> PartOutcome {
    PartOutcome {
        stored: vec![(PACKAGES, count)],
        ..rest
    }
}

/// A session of so many upserts whose one request is out.
fn sent(shard: &mut Shard, upserts: u32) -> SessionId {
    let id = shard.planned_delta(upserts, 0);
    shard.linger();
    id
}

fn is_tainted(shard: &Shard) -> bool {
    shard.manager.figures().tainted_lanes > 0
}

#[test]
fn item_refused_for_load_is_sent_again_while_others_go_on() {
    let mut shard = Shard::ready(config());
    let id = sent(&mut shard, 3);
    shard.part(some(
        2,
        PartOutcome {
            overloaded: vec![(PACKAGES, run(1, 1))],
            ..PartOutcome::default()
        },
    ));
    let mut sca = delta(1, 0);
    sca.module = "sca".to_owned();
    let other = shard.complete(sca);
    shard.planned(other, plan(1, 0));
    shard.linger();
    shard.store();
    assert_eq!(verdict(&shard, other), STORED);
    assert_eq!(verdict(&shard, id), None);
    shard.pass(260);
    assert_eq!(shard.last_parts(), [(Class::Upsert, "1".to_owned())]);
    shard.store();
    assert_eq!(verdict(&shard, id), STORED);
    assert!(!is_tainted(&shard));
}

#[test]
fn item_of_unknown_outcome_taints_and_is_sent_again() {
    let mut shard = Shard::ready(config());
    let id = sent(&mut shard, 3);
    shard.part(some(
        2,
        PartOutcome {
            unknown: run(2, 2),
            ..PartOutcome::default()
        },
    ));
    assert!(is_tainted(&shard));
    shard.pass(260);
    assert_eq!(shard.last_parts(), [(Class::Upsert, "2".to_owned())]);
    shard.store();
    assert_eq!(verdict(&shard, id), STORED);
    assert!(is_tainted(&shard), "whatever a later attempt decides");
}

/// A delete of unknown outcome that then meets a refusal for load was still sent before.
#[test]
fn delete_that_was_sent_before_goes_on_after_a_refusal_for_load() {
    let mut shard = Shard::ready(config());
    let id = shard.planned_delta(0, 2);
    shard.linger();
    shard.whole(BulkOutcome::Unknown);
    shard.pass(260);
    shard.part(some(
        1,
        PartOutcome {
            overloaded: vec![(PACKAGES, run(1, 1))],
            ..PartOutcome::default()
        },
    ));
    shard.pass(260);
    assert_eq!(shard.last_parts(), [(Class::Delete, "1".to_owned())]);
    shard.store();
    assert_eq!(verdict(&shard, id), STORED);
}

#[test]
fn trouble_of_an_index_is_told_and_its_operations_wait() {
    type Change = fn(&mut PartOutcome);
    let troubles: [(Change, IndexTrouble); 3] = [
        (
            |part| part.blocked = vec![(PORTS, run(0, 0))],
            IndexTrouble::Blocked,
        ),
        (
            |part| part.missing = vec![(PORTS, run(0, 0))],
            IndexTrouble::Missing,
        ),
        (
            |part| part.forbidden = vec![(PORTS, run(0, 0))],
            IndexTrouble::Forbidden,
        ),
    ];
    for (set, trouble) in troubles {
        let mut shard = Shard::ready(config());
        let id = shard.complete(delta(2, 0));
        let mut summary = plan(2, 0);
        summary.operations = vec![(PACKAGES, 1), (PORTS, 1)];
        shard.planned(id, summary);
        shard.linger();
        let mut part = some(1, PartOutcome::default());
        set(&mut part);
        shard.part(part);
        let told = Command::IndexTrouble {
            index: PORTS,
            trouble,
        };
        assert!(shard.last.contains(&told));
        let until = shard.now + 10_000;
        shard.index(PORTS, IndexState::Paused { until });
        shard.pass(9_999);
        assert_eq!(shard.bulks().len(), 1);
        shard.pass(6);
        assert_eq!(shard.last_parts(), [(Class::Upsert, "0".to_owned())]);
        shard.store();
        assert_eq!(verdict(&shard, id), STORED);
        assert!(!is_tainted(&shard));
    }
}

fn conflict(version: Version) -> PartOutcome {
    some(
        1,
        PartOutcome {
            conflicts: run(1, 1),
            conflict_version: version,
            ..PartOutcome::default()
        },
    )
}

#[test]
fn conflict_is_not_stored_and_raises_the_floor() {
    let mut shard = Shard::ready(config());
    let id = sent(&mut shard, 2);
    let met = Version((UNIX_MS + 77_000) * VERSION_STEP + 3);
    shard.part(conflict(met));
    let told = Some((Status::Error, Reason::VersionConflict));
    assert_eq!(verdict(&shard, id), told);
    assert_eq!(
        shard.count(|command| matches!(
            command,
            Command::Observe(Observation::Conflict { version, operations: 1, .. }) if *version == met
        )),
        1,
        "an alarm"
    );
    sent(&mut shard, 1);
    assert!(shard.last_bulk().1[0].version > met);
}

/// The session ends for good; what is unknown in the same answer taints all the same.
#[test]
fn conflict_beyond_the_ceiling_is_a_rejection() {
    let mut shard = Shard::ready(config());
    let id = sent(&mut shard, 3);
    shard.part(PartOutcome {
        unknown: run(2, 2),
        ..conflict(Version(VERSION_CEILING.0 + 1))
    });
    let told = Some((Status::Error, Reason::IndexerRejected));
    assert_eq!(verdict(&shard, id), told);
    assert!(is_tainted(&shard));
    sent(&mut shard, 1);
    assert!(
        shard.last_bulk().1[0].version < VERSION_CEILING,
        "no floor from it"
    );
}

#[test]
fn refused_removal_ends_a_full() {
    let mut shard = Shard::ready(config());
    let id = shard.complete(super::start(Mode::Full, 1, 0));
    shard.planned(id, plan(1, 0));
    shard.say(Event::Listed {
        session: id,
        outcome: crate::manager::ListingOutcome::Complete {
            highest: Version(1),
            documents: 2,
        },
    });
    shard.say(Event::Diffed {
        session: id,
        diff: Some(Box::new(super::diff(0, 2))),
    });
    shard.linger();
    shard.part(some(
        1,
        PartOutcome {
            refused: vec![(PACKAGES, run(1, 1))],
            ..PartOutcome::default()
        },
    ));
    let told = Some((Status::Error, Reason::IndexerRejected));
    assert_eq!(verdict(&shard, id), told);
}

/// Set aside by the plan and refused by the Indexer, in one list by sequence, cut at its limit.
#[test]
fn partial_rejection_lists_the_lowest_sequences() {
    for (most, listed) in [(10, vec![1, 2, 4, 5]), (3, vec![1, 2, 4])] {
        let mut shard = Shard::ready(Config {
            failed_items_max: most,
            ..config()
        });
        let id = shard.complete(delta(6, 0));
        let mut summary = plan(4, 0);
        summary.failures = failures(&[2, 5], Reason::InvalidPayload);
        shard.planned(id, summary);
        shard.linger();
        shard.part(some(
            2,
            PartOutcome {
                refused: vec![(PACKAGES, run(1, 2))],
                failures: failures(&[1, 4], Reason::IndexerRejected),
                ..PartOutcome::default()
            },
        ));
        let tallies = vec![Tally {
            index: PACKAGES,
            stored: 2,
            refused: 2,
        }];
        assert!(shard.last.iter().any(|command| matches!(
            command,
            Command::Refusals { tallies: asked, .. } if *asked == tallies
        )));
        assert_eq!(
            verdict(&shard, id),
            None,
            "not before the refusals are judged"
        );
        let held = Vec::new();
        shard.say(Event::RefusalsJudged { session: id, held });
        let ack = shard.verdict(id).unwrap();
        assert_eq!(
            (ack.status, ack.reason),
            (Status::Error, Reason::PartiallyRejected)
        );
        let sequences: Vec<u64> = ack.failed.iter().map(|item| item.seq).collect();
        assert_eq!(sequences, listed);
        assert_eq!(ack.failed_more, listed.len() < 4);
        assert_eq!(ack.detail, "4 of 6 items were not stored");
        // Repeated identically.
        shard.end(id);
        assert_eq!(shard.end_acks(id).last(), Some(&ack));
    }
}

#[test]
fn index_at_fault_holds_its_operations_which_are_sent_again() {
    let mut shard = Shard::ready(config());
    let id = sent(&mut shard, 3);
    let version = shard.last_bulk().1[0].version;
    shard.part(some(
        1,
        PartOutcome {
            refused: vec![(PACKAGES, run(1, 2))],
            failures: failures(&[1, 2], Reason::IndexerRejected),
            ..PartOutcome::default()
        },
    ));
    let held = vec![PACKAGES];
    shard.say(Event::RefusalsJudged { session: id, held });
    shard.pass(600_000);
    assert_eq!(verdict(&shard, id), None, "waits for the operator");
    assert_eq!(shard.bulks().len(), 1);
    shard.index(PACKAGES, IndexState::Open);
    shard.linger();
    assert_eq!(shard.last_parts(), [(Class::Upsert, "1-2".to_owned())]);
    assert_eq!(shard.last_bulk().1[0].version, version);
    shard.store();
    assert_eq!(verdict(&shard, id), STORED);
    assert!(shard.verdict(id).unwrap().failed.is_empty());
}

/// A detail is cut where a letter ends, at 256 bytes at most.
#[test]
fn detail_is_cut_between_letters() {
    for (detail, expected) in [
        ("é".repeat(128), 256),
        ("é".repeat(129), 256),
        (format!("a{}", "é".repeat(128)), 255),
        (format!("{}€", "a".repeat(254)), 254),
    ] {
        let mut shard = Shard::ready(config());
        let id = shard.complete(delta(2, 0));
        let mut set_aside = failures(&[0], Reason::InvalidPayload);
        set_aside.lowest[0].detail.clone_from(&detail);
        shard.planned(
            id,
            PlanSummary {
                failures: set_aside,
                ..plan(1, 0)
            },
        );
        shard.linger();
        shard.store();
        let told = shard.verdict(id).unwrap().failed[0].detail.clone();
        assert_eq!(told.len(), expected, "{detail}");
        assert!(detail.starts_with(&told));
    }
}
