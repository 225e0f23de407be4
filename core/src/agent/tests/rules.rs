//! One test for each rule of `docs/protocol.md` sections 3 and 4 that concerns the agent.

use super::desk::{Desk, changes_nothing, loaded};
use super::{config, job, missing, opened, partial, refused, verdict};
use crate::agent::{
    Agent, Answer, Cause, Command, Event, JobId, LoadId, Observation, Outcome, Pending, Stale,
    Timer,
};
use crate::document::Run;
use crate::id::{ConnectionId, SessionId};
use crate::time::Tick;
use crate::wire::{AgentInfo, EndAck, Reason, StartAck, Status};

/// Failed rows and whether each is retryable.
type Failed = &'static [(u64, bool)];

fn received(connection: u64, answer: Answer) -> Event<super::desk::Payload> {
    Event::Received {
        connection: ConnectionId(connection),
        answer,
    }
}

#[test]
fn a_retransmitted_start_is_the_same_and_a_new_one_has_a_higher_counter() {
    let mut desk = Desk::connected(config());
    desk.sync(job(1, 1));
    // News of the floor and of ourselves belong to the next new Start.
    desk.say(Event::Describe {
        info: Box::new(AgentInfo {
            hostname: "new".to_owned(),
            ..AgentInfo::default()
        }),
    });
    desk.sleep();
    desk.disconnect();
    desk.connect();
    let starts = desk.starts();
    assert_eq!(starts.len(), 3);
    assert!(starts.iter().all(|start| *start == starts[0]));
    assert_eq!(starts[0].agent.as_ref().unwrap().hostname, "");

    desk.start_ack(StartAck {
        version: 99,
        ..refused(Status::Offline, Reason::Overloaded, 0)
    });
    desk.sleep();
    let new = desk.starts()[3].clone();
    assert_eq!(new.nonce, starts[0].nonce + 1);
    assert_eq!(new.version_floor, 99);
    assert_eq!(new.agent.unwrap().hostname, "new");
}

#[test]
fn two_process_starts_have_two_incarnations() {
    let nonce = |seed: u8| {
        let mut agent = Agent::new(config(), [seed; 32]);
        let mut out: Vec<Command<()>> = Vec::new();
        agent.handle(
            Tick(0),
            Event::Connected {
                connection: ConnectionId(1),
            },
            &mut out,
        );
        agent.handle(
            Tick(0),
            Event::Sync {
                job: Box::new(job(1, 1)),
            },
            &mut out,
        );
        let start = out.iter().find_map(|command| match command {
            Command::Observe(Observation::Started { nonce, .. }) => Some(*nonce),
            _ => None,
        });
        start.unwrap()
    };
    assert_ne!(nonce(1) >> 32, nonce(2) >> 32);
    assert_eq!(nonce(1) & 0xFFFF_FFFF, 1);
}

#[test]
fn a_counter_at_its_end_takes_a_new_incarnation() {
    let mut desk = Desk::connected(config());
    desk.agent.counter = u32::MAX;
    let before = desk.agent.incarnation;
    desk.sync(job(1, 1));
    let nonce = desk.starts()[0].nonce;
    assert_eq!(nonce & 0xFFFF_FFFF, 1);
    assert_ne!(nonce >> 32, u64::from(before));
}

#[test]
fn foreign_and_late_messages_change_nothing() {
    let mut desk = Desk::connected(config());
    let ok = |session| Answer::EndAck(Box::new(verdict(session, Status::Ok, Reason::None)));
    let gaps = |session| Answer::ReqRet(Box::new(missing(session, &[(0, 0)])));
    changes_nothing(&mut desk, received(1, ok(5)), Stale::EndAck);

    desk.sync(job(1, 3));
    let nonce = desk.starts()[0].nonce;
    let ack = |ack: StartAck| Answer::StartAck(Box::new(ack));
    let foreign = [
        StartAck {
            nonce: nonce - 1,
            ..opened(5)
        },
        StartAck {
            nonce: nonce ^ 1 << 32,
            ..opened(5)
        },
        StartAck {
            nonce,
            module: "fim".to_owned(),
            ..opened(5)
        },
        StartAck { nonce, ..opened(0) },
        StartAck {
            nonce,
            ..opened(u64::MAX)
        },
        StartAck {
            nonce,
            status: Status::Processing,
            ..opened(5)
        },
    ];
    for foreign in foreign {
        changes_nothing(&mut desk, received(1, ack(foreign)), Stale::StartAck);
    }
    let good = StartAck { nonce, ..opened(5) };
    changes_nothing(&mut desk, received(2, ack(good.clone())), Stale::Connection);
    changes_nothing(&mut desk, received(1, ok(5)), Stale::EndAck);

    desk.start_ack(good.clone());
    changes_nothing(
        &mut desk,
        received(1, ack(StartAck { session: 6, ..good })),
        Stale::StartAck,
    );
    changes_nothing(&mut desk, received(1, ok(6)), Stale::EndAck);
    changes_nothing(&mut desk, received(1, ok(u64::MAX)), Stale::EndAck);
    changes_nothing(&mut desk, received(1, gaps(6)), Stale::ReqRet);
    changes_nothing(&mut desk, received(0, ok(5)), Stale::Connection);
    changes_nothing(&mut desk, Event::Committed { job: JobId(1) }, Stale::Commit);
    changes_nothing(
        &mut desk,
        Event::LoadFailed { load: LoadId(77) },
        Stale::Loaded,
    );
    changes_nothing(
        &mut desk,
        loaded(LoadId(1), SessionId(5), Run::one(0)),
        Stale::Loaded,
    );
    changes_nothing(
        &mut desk,
        Event::Sync {
            job: Box::new(job(1, 9)),
        },
        Stale::Job,
    );
    assert_eq!(desk.outcomes(), []);

    desk.is_diligent = false;
    desk.end_ack(verdict(5, Status::Ok, Reason::None));
    changes_nothing(&mut desk, received(1, ok(5)), Stale::EndAck);
    changes_nothing(&mut desk, received(1, gaps(5)), Stale::ReqRet);
    changes_nothing(&mut desk, Event::Committed { job: JobId(2) }, Stale::Commit);
    assert_eq!(desk.commits().len(), 1);
}

#[test]
fn nothing_is_acknowledged_before_everything_was_sent() {
    let mut desk = Desk::connected(config());
    desk.is_diligent = false;
    desk.sync(job(1, 3));
    desk.start_ack(opened(5));
    let early = [
        Answer::EndAck(Box::new(verdict(5, Status::Ok, Reason::None))),
        Answer::EndAck(Box::new(partial(5, &[(0, true)], false))),
        Answer::EndAck(Box::new(partial(5, &[(9, true)], false))),
        Answer::EndAck(Box::new(verdict(5, Status::Processing, Reason::None))),
    ];
    for answer in early {
        changes_nothing(&mut desk, received(1, answer), Stale::EndAck);
    }
    let request = Answer::ReqRet(Box::new(missing(5, &[(0, 2)])));
    changes_nothing(&mut desk, received(1, request), Stale::ReqRet);
    // But the manager may end the session at any time.
    desk.end_ack(verdict(5, Status::Error, Reason::SessionTimeout));
    assert_eq!((desk.roll_backs(), desk.commits().len()), (1, 0));
    changes_nothing(
        &mut desk,
        loaded(LoadId(1), SessionId(5), Run::new(0, 2)),
        Stale::Loaded,
    );
}

#[test]
fn a_session_opened_anew_is_acknowledged_only_after_its_own_end() {
    let mut desk = Desk::ended(config(), 3, 5);
    desk.disconnect();
    desk.connect();
    desk.is_diligent = false;
    desk.start_ack(opened(6));
    let early = Answer::EndAck(Box::new(verdict(6, Status::Ok, Reason::None)));
    changes_nothing(&mut desk, received(2, early), Stale::EndAck);
    let old = Answer::EndAck(Box::new(verdict(5, Status::Ok, Reason::None)));
    changes_nothing(&mut desk, received(2, old), Stale::EndAck);
}

#[test]
fn a_verdict_may_overtake_the_answer_to_a_repeated_start() {
    let mut desk = Desk::ended(config(), 3, 5);
    desk.disconnect();
    desk.connect();
    desk.end_ack(verdict(5, Status::Ok, Reason::None));
    assert_eq!(desk.outcomes(), [Outcome::Acknowledged]);
}

#[test]
fn a_partial_rejection_acknowledges_exactly_what_it_may() {
    let cases: [(Failed, bool, &[u32]); 5] = [
        (&[(1, true)], false, &[0, 2, 3, 4]),
        (&[(1, true), (3, false)], true, &[0, 2]),
        (&[(3, false), (1, true), (3, true)], true, &[0, 2]),
        (&[(0, true)], true, &[]),
        (&[(4, true)], true, &[0, 1, 2, 3]),
    ];
    for (failed, more, acknowledged) in cases {
        let mut desk = Desk::ended(config(), 5, 5);
        desk.end_ack(partial(5, failed, more));
        let commit = desk.commits().remove(0);
        let covered: Vec<u32> = (0..8).filter(|seq| commit.covers(*seq)).collect();
        assert_eq!(covered, acknowledged, "{failed:?} {more}");
        let Outcome::PartiallyAcknowledged {
            acknowledged: count,
            retryable,
            quarantined,
            unlisted,
        } = desk.outcomes().remove(0)
        else {
            panic!("not a partial acknowledgement");
        };
        assert_eq!(usize::try_from(count).unwrap(), acknowledged.len());
        assert_eq!(count + retryable + quarantined + unlisted, 5);
    }
}

#[test]
fn an_ok_that_lists_failures_is_believed_only_in_part() {
    let mut desk = Desk::ended(config(), 5, 5);
    desk.end_ack(EndAck {
        status: Status::Ok,
        ..partial(5, &[(2, false)], false)
    });
    assert!(!desk.commits()[0].covers(2));
    let mut desk = Desk::ended(config(), 5, 5);
    desk.end_ack(EndAck {
        failed_more: true,
        ..verdict(5, Status::Ok, Reason::None)
    });
    assert_eq!((desk.commits().len(), desk.roll_backs()), (0, 1));
}

#[test]
fn contradictions_acknowledge_nothing() {
    let contradictions = [
        partial(5, &[], false),
        partial(5, &[], true),
        partial(5, &[(5, true)], false),
        partial(5, &[(0, true), (1 << 40, true)], true),
        verdict(5, Status::ChecksumMismatch, Reason::None),
        verdict(5, Status::Offline, Reason::PartiallyRejected),
    ];
    for ack in contradictions {
        let mut desk = Desk::ended(config(), 5, 5);
        desk.end_ack(ack.clone());
        assert_eq!((desk.commits().len(), desk.roll_backs()), (0, 1), "{ack:?}");
        assert_eq!(desk.agent.pending(), Some(Pending::Backoff));
    }
}

#[test]
fn every_reason_is_tried_again_or_told() {
    let permanent_at_end = [
        Reason::UnsupportedVersion,
        Reason::IdentityMismatch,
        Reason::SequenceOutOfRange,
        Reason::InvalidOperation,
        Reason::InvalidPayload,
        Reason::IndexNotAllowed,
        Reason::SizeInvalid,
        Reason::ClusterMismatch,
        Reason::AgentRemoved,
        Reason::ResyncRequired,
    ];
    for reason in Reason::ALL
        .iter()
        .filter(|reason| **reason != Reason::PartiallyRejected)
    {
        let mut at_end = Desk::ended(config(), 5, 5);
        at_end.end_ack(verdict(5, Status::Error, *reason));
        let mut at_start = Desk::connected(config());
        at_start.sync(job(1, 5));
        at_start.start_ack(refused(Status::Error, *reason, 0));

        let is_told = permanent_at_end.contains(reason);
        let is_told_at_start = is_told || *reason == Reason::InvalidMessage;
        for (desk, is_told) in [(at_end, is_told), (at_start, is_told_at_start)] {
            assert_eq!(
                (desk.commits().len(), desk.roll_backs()),
                (0, 1),
                "{reason}"
            );
            let outcomes = desk.outcomes();
            if is_told {
                let cause = Cause::Refused {
                    status: Status::Error,
                    reason: *reason,
                    detail: String::new(),
                };
                assert_eq!(outcomes, [Outcome::Refused { cause }]);
                assert_eq!(desk.agent.pending(), None);
            } else {
                assert_eq!(outcomes, [], "{reason}");
                assert_eq!(desk.agent.next_deadline().unwrap().1, Timer::Retry);
            }
        }
    }
}
