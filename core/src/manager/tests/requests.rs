//! What a shard makes of an answer to a whole request (`docs/protocol.md` section 8).

use super::harness::{Shard, all_stored, refused, run};
use super::{PACKAGES, config, delta, failures, plan};
use crate::answer::{BulkOutcome, PartOutcome, Refusal};
use crate::document::{Class, Runs};
use crate::id::{BulkId, SessionId};
use crate::manager::{Command, Event, Observation};
use crate::wire::{Reason, Status};

fn verdict(shard: &Shard, id: SessionId) -> Option<(Status, Reason)> {
    let verdict = shard.verdict(id)?;
    Some((verdict.status, verdict.reason))
}

const STORED: Option<(Status, Reason)> = Some((Status::Ok, Reason::None));

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
fn request_that_is_too_large_is_halved_and_the_size_remembered() {
    let mut shard = Shard::ready(config());
    let id = sent(&mut shard, 4);
    shard.whole(refused(Refusal::TooLarge));
    assert_eq!(
        shard.last_parts(),
        [(Class::Upsert, "0-1".to_owned())],
        "at once"
    );
    shard.store();
    assert_eq!(shard.last_parts(), [(Class::Upsert, "2-3".to_owned())]);
    shard.store();
    assert_eq!(verdict(&shard, id), STORED);
    assert_eq!(shard.manager.figures().bulk_bytes_limit, 200);
    assert!(!is_tainted(&shard));
}

#[test]
fn request_that_is_refused_for_load_waits_and_shrinks_alone() {
    let mut shard = Shard::ready(config());
    let id = sent(&mut shard, 4);
    shard.whole(refused(Refusal::Overloaded));
    assert_eq!(shard.manager.figures().bulk_bytes_limit, 200);
    shard.pass(124);
    assert_eq!(shard.bulks().len(), 1, "the upper half of the backoff");
    shard.pass(126);
    assert_eq!(shard.last_parts(), [(Class::Upsert, "0-1".to_owned())]);
    shard.store();
    assert!(
        shard.manager.figures().bulk_bytes_limit > 200,
        "grows again"
    );
    shard.linger();
    shard.store();
    assert_eq!(verdict(&shard, id), STORED);
    assert!(!is_tainted(&shard));
}

#[test]
fn refusal_of_the_credentials_or_an_unsent_request_only_waits() {
    for outcome in [
        refused(Refusal::Unauthorized),
        refused(Refusal::Forbidden),
        BulkOutcome::NotSent,
    ] {
        let mut shard = Shard::ready(config());
        let id = sent(&mut shard, 4);
        let limit = shard.manager.figures().bulk_bytes_limit;
        shard.whole(outcome);
        assert_eq!(shard.bulks().len(), 1);
        shard.pass(260);
        assert_eq!(shard.last_parts(), [(Class::Upsert, "0-3".to_owned())]);
        assert_eq!(shard.manager.figures().bulk_bytes_limit, limit);
        shard.store();
        assert_eq!(verdict(&shard, id), STORED);
        assert!(!is_tainted(&shard));
    }
}

/// Between sessions first, then between operations; each piece alone.
#[test]
fn malformed_request_is_bisected_to_one_operation() {
    let mut shard = Shard::ready(config());
    let mut ids = Vec::new();
    for module in ["syscollector", "sca"] {
        let id = shard.complete(crate::wire::Start {
            module: module.to_owned(),
            ..delta(4, 0)
        });
        ids.push(id);
        shard.planned(id, plan(4, 0));
    }
    shard.linger();
    assert_eq!(shard.last_bulk().1.len(), 2);
    shard.whole(refused(Refusal::Malformed));
    let mut pieces = Vec::new();
    for _ in 0..6 {
        let (bulk, parts) = shard.last_bulk();
        assert_eq!(parts.len(), 1);
        let part = &parts[0];
        pieces.push((part.session, super::text::runs(&part.ordinals)));
        let is_bad = part.session == ids[0] && part.ordinals.contains(2);
        if !is_bad {
            shard.answer(bulk, all_stored(&parts));
        } else if part.ordinals.count() > 1 {
            shard.answer(bulk, refused(Refusal::Malformed));
        } else {
            shard.part(PartOutcome {
                refused: vec![(PACKAGES, run(2, 2))],
                failures: failures(&[2], Reason::IndexerRejected),
                ..PartOutcome::default()
            });
        }
    }
    shard.say(Event::RefusalsJudged {
        session: ids[0],
        held: Vec::new(),
    });
    let of = |id: SessionId| {
        let of_one = pieces.iter().filter(|(session, _)| *session == id);
        of_one.map(|(_, runs)| runs.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of(ids[0]), ["0-3", "0-1", "2-3", "2", "3"]);
    assert_eq!(of(ids[1]), ["0-3"]);
    assert_eq!(verdict(&shard, ids[1]), STORED);
    let partial = Some((Status::Error, Reason::PartiallyRejected));
    assert_eq!(verdict(&shard, ids[0]), partial);
    assert_eq!(shard.verdict(ids[0]).unwrap().failed[0].seq, 2);
    assert!(!is_tainted(&shard));
}

#[test]
fn frame_that_cannot_be_read_back_fails_its_own_session_only() {
    let mut shard = Shard::ready(config());
    let first = shard.planned_delta(2, 0);
    let mut sca = delta(1, 0);
    sca.module = "sca".to_owned();
    let second = shard.complete(sca);
    shard.planned(second, plan(1, 0));
    shard.linger();
    let (bulk, parts) = shard.last_bulk();
    let place = parts.iter().position(|part| part.session == first).unwrap();
    shard.answer(bulk, BulkOutcome::ReadFailed { parts: vec![place] });
    let told = Some((Status::Error, Reason::StorageFailure));
    assert_eq!(verdict(&shard, first), told);
    shard.linger();
    shard.store();
    assert_eq!(verdict(&shard, second), STORED);
    assert!(!is_tainted(&shard));
}

#[test]
fn answer_that_fits_no_request_is_stale_and_one_that_fits_badly_unknown() {
    let mut shard = Shard::ready(config());
    let id = sent(&mut shard, 1);
    shard.answer(BulkId(99), all_stored(&[]));
    assert_eq!(
        shard.last,
        [Command::Observe(Observation::StaleAnswer)],
        "nobody waits for it"
    );
    shard.whole(BulkOutcome::Answered { parts: Vec::new() });
    assert!(is_tainted(&shard));
    shard.pass(260);
    let (bulk, parts) = shard.last_bulk();
    shard.store();
    assert_eq!(verdict(&shard, id), STORED);
    shard.answer(bulk, all_stored(&parts));
    assert_eq!(shard.last, [Command::Observe(Observation::StaleAnswer)]);
}

#[test]
fn backoff_doubles_with_each_request_and_not_with_its_parts() {
    let mut shard = Shard::ready(config());
    let id = shard.planned_delta(2, 2);
    shard.linger();
    for longest in [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000] {
        let before = shard.bulks().len();
        let again = shard
            .last_bulk()
            .1
            .iter()
            .map(|part| PartOutcome {
                overloaded: vec![(PACKAGES, part.ordinals.clone())],
                ..PartOutcome::default()
            })
            .collect();
        shard.whole(BulkOutcome::Answered { parts: again });
        shard.pass(longest / 2 - 1);
        assert_eq!(shard.bulks().len(), before);
        shard.pass(longest / 2 + 6);
        assert_eq!(shard.bulks().len(), before + 1, "within {longest} ms");
    }
    shard.store();
    assert_eq!(verdict(&shard, id), STORED);
    assert_eq!(Runs::up_to(2), shard.last_bulk().1[0].ordinals);
}

/// What a refused request carried is undecided, also when its session is about to end.
#[test]
fn end_of_a_session_does_not_take_unsent_pieces_for_stored() {
    let late = Some((Status::Offline, Reason::IndexerUnavailable));
    for operations in [1, 4] {
        let mut shard = Shard::ready(config());
        let id = sent(&mut shard, operations);
        shard.pass(130_000);
        shard.whole(refused(Refusal::Malformed));
        assert_eq!(verdict(&shard, id), late, "{operations} operations");
    }

    let mut shard = Shard::ready(config());
    let id = sent(&mut shard, 4);
    shard.whole(refused(Refusal::Malformed));
    assert_eq!(shard.last_parts(), [(Class::Upsert, "0-1".to_owned())]);
    shard.say(Event::Shutdown);
    shard.store();
    let shut = Some((Status::Offline, Reason::ShuttingDown));
    assert_eq!(verdict(&shard, id), shut, "two were never sent again");
}
