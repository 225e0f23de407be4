//! A stop answers every session, in whatever phase it finds it.

use super::harness::{Shard, refused, run};
use super::{PACKAGES, config, delta, diff, failures, plan, start};
use crate::answer::{BulkOutcome, PartOutcome, Refusal};
use crate::id::{SessionId, Version};
use crate::manager::{Command, Event, IndexState, ListingOutcome};
use crate::wire::{Mode, Reason, Status};

fn verdict(shard: &Shard, id: SessionId) -> Option<(Status, Reason)> {
    let verdict = shard.verdict(id)?;
    Some((verdict.status, verdict.reason))
}

const SHUT: Option<(Status, Reason)> = Some((Status::Offline, Reason::ShuttingDown));

fn stopped(shard: &Shard) -> Vec<bool> {
    let stops = shard.commands.iter().filter_map(|command| match command {
        Command::Stopped { clean } => Some(*clean),
        _ => None,
    });
    stops.collect()
}

fn listing(shard: &mut Shard) -> SessionId {
    let id = shard.complete(start(Mode::Full, 1, 0));
    shard.planned(id, plan(1, 0));
    id
}

fn diffing(shard: &mut Shard) -> SessionId {
    let id = listing(shard);
    let outcome = ListingOutcome::Complete {
        highest: Version(0),
        documents: 0,
    };
    shard.say(Event::Listed {
        session: id,
        outcome,
    });
    id
}

/// Phases in which nothing is out: the verdict comes at once.
#[test]
fn session_without_a_request_out_ends_at_once() {
    let phases: [fn(&mut Shard) -> SessionId; 9] = [
        |shard| shard.session(delta(2, 0)),
        |shard| shard.complete(delta(2, 0)),
        |shard| shard.planned_delta(1, 0),
        |shard| {
            shard.index(PACKAGES, IndexState::Held);
            shard.planned_delta(1, 0)
        },
        listing,
        |shard| {
            let id = listing(shard);
            shard.say(Event::Listed {
                session: id,
                outcome: ListingOutcome::Failed,
            });
            id
        },
        diffing,
        |shard| {
            let id = shard.planned_delta(1, 0);
            shard.linger();
            shard.part(PartOutcome {
                refused: vec![(PACKAGES, run(0, 0))],
                failures: failures(&[0], Reason::IndexerRejected),
                ..PartOutcome::default()
            });
            id
        },
        |shard| {
            let id = shard.planned_delta(1, 0);
            shard.linger();
            shard.whole(refused(Refusal::Overloaded));
            id
        },
    ];
    for phase in phases {
        let mut shard = Shard::ready(config());
        let id = phase(&mut shard);
        shard.say(Event::Shutdown);
        assert_eq!(verdict(&shard, id), SHUT);
        assert_eq!(stopped(&shard), [true]);
        assert!(shard.last.contains(&Command::Discard { session: id }));
        // Answers that come late are nobody's.
        shard.planned(id, plan(1, 0));
        let diff = Some(Box::new(diff(1, 0)));
        shard.say(Event::Diffed { session: id, diff });
        let held = vec![PACKAGES];
        shard.say(Event::RefusalsJudged { session: id, held });
        shard.say(Event::Shutdown);
        assert_eq!(stopped(&shard), [true], "said once");
        let ack = shard.start(super::harness::AGENT, delta(1, 0), 0);
        assert_eq!(ack.reason, Reason::ShuttingDown);
    }
}

#[test]
fn open_write_is_waited_for() {
    let mut shard = Shard::ready(config());
    let id = shard.session(delta(2, 0));
    shard.data(id, 0, 1);
    shard.say(Event::Shutdown);
    assert_eq!(verdict(&shard, id), SHUT);
    assert!(stopped(&shard).is_empty());
    shard.staged();
    assert_eq!(stopped(&shard), [true]);
}

#[test]
fn request_that_is_out_decides_and_then_whether_the_stop_is_clean() {
    type Answer = fn(&mut Shard);
    type Told = Option<(Status, Reason)>;
    let ends: [(Answer, Told, bool); 3] = [
        (Shard::store, Some((Status::Ok, Reason::None)), true),
        (|shard| shard.whole(BulkOutcome::NotSent), SHUT, true),
        (|shard| shard.whole(BulkOutcome::Unknown), SHUT, false),
    ];
    for (answer, told, clean) in ends {
        let mut shard = Shard::ready(config());
        let id = shard.planned_delta(2, 0);
        shard.linger();
        let behind = shard.complete(delta(1, 0));
        shard.planned(behind, plan(1, 0));
        shard.say(Event::Shutdown);
        assert_eq!(verdict(&shard, behind), SHUT);
        assert_eq!(verdict(&shard, id), None, "a request is out");
        answer(&mut shard);
        assert_eq!(verdict(&shard, id), told);
        assert_eq!(stopped(&shard), [clean]);
        assert_eq!(shard.bulks().len(), 1);
    }
}
