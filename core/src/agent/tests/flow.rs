//! Rules of time and flow: backoff, limits, windows, what goes wrong locally.

use super::desk::{Desk, changes_nothing, loaded};
use super::{config, job, missing, opened, refused, verdict};
use crate::agent::{
    Answer, Cause, Command, Config, Contradiction, Event, Frame, JobId, LoadId, Outcome, Pending,
    Stale, Timer,
};
use crate::document::Run;
use crate::id::{ConnectionId, SessionId, Version};
use crate::time::Tick;
use crate::wire::{EndAck, Hello, Reason, StartAck, Status};

#[test]
fn retry_after_is_honoured_within_what_is_believed_and_outlives_the_job() {
    let mut desk = Desk::connected(config());
    desk.sync(job(1, 5));
    desk.start_ack(refused(Status::Offline, Reason::Overloaded, 60_000));
    assert_eq!(
        desk.agent.next_deadline(),
        Some((Tick(60_000), Timer::Retry))
    );

    let mut desk = Desk::connected(config());
    desk.sync(job(1, 5));
    desk.start_ack(refused(Status::Offline, Reason::Overloaded, u32::MAX));
    assert_eq!(
        desk.agent.next_deadline(),
        Some((Tick(3_600_000), Timer::Retry))
    );

    let mut desk = Desk::connected(config());
    desk.sync(job(1, 5));
    desk.start_ack(refused(Status::Error, Reason::IndexNotAllowed, 60_000));
    desk.sync(job(2, 5));
    assert_eq!(
        desk.starts().len(),
        1,
        "a refused job does not open a way around the backoff"
    );
    assert_eq!(
        desk.agent.next_deadline(),
        Some((Tick(60_000), Timer::Retry))
    );
}

#[test]
fn backoff_grows_up_to_the_interval_and_ends_with_success() {
    let mut desk = Desk::connected(config());
    desk.sync(job(1, 1));
    let mut waited = Vec::new();
    for _ in 0..12 {
        let before = desk.now;
        desk.start_ack(refused(Status::Offline, Reason::Overloaded, 0));
        desk.sleep();
        waited.push(desk.now.since(before));
    }
    for (failures, delay_ms) in waited.into_iter().enumerate() {
        let whole = (1_000 << failures).min(300_000);
        assert!(
            (whole / 2..=whole).contains(&delay_ms),
            "{delay_ms} after {failures}"
        );
    }
    desk.start_ack(opened(5));
    desk.end_ack(verdict(5, Status::Ok, Reason::None));
    desk.sync(job(2, 1));
    assert_eq!(desk.starts().last().unwrap().nonce & 0xFF, 14, "at once");
}

#[test]
fn success_ends_the_backoff() {
    let mut desk = Desk::connected(config());
    desk.sync(job(1, 1));
    for _ in 0..6 {
        desk.start_ack(refused(Status::Offline, Reason::Overloaded, 0));
        desk.sleep();
    }
    desk.start_ack(opened(5));
    desk.end_ack(verdict(5, Status::Ok, Reason::None));
    desk.sync(job(2, 1));
    desk.start_ack(refused(Status::Offline, Reason::Overloaded, 0));
    let (at, timer) = desk.agent.next_deadline().unwrap();
    assert_eq!(timer, Timer::Retry);
    assert!(at.since(desk.now) <= 1_000, "as after a first failure");
}

#[test]
fn lost_connections_are_made_again_ever_more_slowly_until_the_manager_speaks() {
    let mut desk = Desk::ended(config(), 1, 5);
    let wait = |desk: &mut Desk| {
        desk.disconnect();
        let before = desk.now;
        desk.sleep();
        desk.connect();
        desk.now.since(before)
    };
    for whole in [1_000, 2_000, 4_000, 8_000] {
        let delay_ms = wait(&mut desk);
        assert!(
            (whole / 2..=whole).contains(&delay_ms),
            "{delay_ms} of {whole}"
        );
    }
    desk.start_ack(opened(5));
    assert!(wait(&mut desk) <= 1_000);
    desk.start_ack(opened(5));
    assert!(wait(&mut desk) <= 1_000, "each answer counts");
}

#[test]
fn an_end_by_a_new_connection_or_after_gaps_is_repeated_soon() {
    let mut moved = Desk::ended(config(), 5, 5);
    moved.end_ack(verdict(5, Status::Processing, Reason::None));
    moved.disconnect();
    moved.connect();
    moved.start_ack(opened(5));
    let mut gaps = Desk::ended(config(), 5, 5);
    gaps.end_ack(verdict(5, Status::Processing, Reason::None));
    gaps.req_ret(missing(5, &[(0, 0)]));
    for desk in [moved, gaps] {
        assert_eq!(
            desk.agent.next_deadline(),
            Some((Tick(10_000), Timer::EndAck))
        );
    }
}

#[test]
fn the_managers_limit_is_honoured() {
    let mut desk = Desk::connected(config());
    desk.sync(job(1, 50));
    desk.start_ack(StartAck {
        max_items: 20,
        ..refused(Status::Error, Reason::SizeInvalid, 0)
    });
    assert_eq!(desk.outcomes(), [Outcome::TooLarge { max_items: 20 }]);
    assert_eq!(desk.agent.max_items(), Some(20));
    desk.sync(job(2, 21));
    assert_eq!(desk.outcomes().len(), 2, "known to be too large");
    desk.sync(job(3, 20));
    assert_eq!(desk.agent.pending(), Some(Pending::Backoff));
}

#[test]
fn one_job_at_a_time() {
    let mut desk = Desk::ended(config(), 5, 5);
    desk.sync(job(2, 1));
    assert_eq!(desk.outcomes(), [Outcome::Busy]);
    desk.end_ack(verdict(5, Status::Ok, Reason::None));
    assert_eq!(desk.outcomes(), [Outcome::Busy, Outcome::Acknowledged]);
}

#[test]
fn a_job_can_be_described_anew_between_two_sessions() {
    let mut desk = Desk::ended(config(), 5, 5);
    desk.end_ack(verdict(5, Status::Error, Reason::VersionConflict));
    desk.sync(job(1, 8));
    assert_eq!(desk.starts().len(), 1, "the backoff goes on");
    desk.sleep();
    assert_eq!(desk.starts()[1].size, 8);
    desk.start_ack(opened(6));
    assert_eq!(desk.sent().last(), Some(&Run::new(4, 7)));
}

#[test]
fn exactly_the_rows_asked_for_are_sent_again() {
    let mut desk = Desk::ended(config(), 100, 5);
    let (sent, ends) = (desk.sent().len(), desk.ends());
    desk.req_ret(missing(
        5,
        &[(3, 5), (9, 9), (99, 99), (50, 100), (100, 100), (8, 7)],
    ));
    assert_eq!(
        desk.sent()[sent..],
        [Run::new(3, 5), Run::one(9), Run::one(99)]
    );
    assert_eq!(desk.ends(), ends, "no End after a ReqRet");
    desk.sleep();
    assert_eq!(desk.ends(), ends + 1, "but one when nothing is heard");
}

#[test]
fn requests_without_sense_or_end_are_not_obeyed_for_ever() {
    let mut desk = Desk::ended(config(), 5, 5);
    desk.req_ret(missing(5, &[(5, 9), (3, 2), (u64::MAX, u64::MAX)]));
    assert!(desk.commands.iter().any(|command| matches!(
        command,
        Command::RollBack {
            cause: Cause::Contradiction(Contradiction::EmptyRequest),
            ..
        }
    )));
    let mut desk = Desk::ended(config(), 100, 5);
    let mut rounds = 0;
    while desk.roll_backs() == 0 {
        desk.req_ret(missing(5, &[(0, 99)]));
        rounds += 1;
        assert!(rounds < 100);
    }
    assert_eq!(rounds, 19, "8 × 100 and 1024 rows");
}

#[test]
fn the_window_of_loads_is_kept_and_answers_in_part_are_completed() {
    let mut desk = Desk::connected(config());
    desk.is_diligent = false;
    desk.sync(job(1, 20));
    desk.start_ack(opened(5));
    let loads = |desk: &Desk| {
        let runs = desk.commands.iter().filter_map(|command| match command {
            Command::Load { run, .. } => Some(*run),
            _ => None,
        });
        runs.collect::<Vec<_>>()
    };
    assert_eq!(loads(&desk), [Run::new(0, 3), Run::new(4, 7)]);
    assert_eq!(desk.agent.pending(), Some(Pending::Rows));
    desk.say(loaded(LoadId(1), SessionId(5), Run::new(0, 1)));
    assert_eq!(
        loads(&desk)[2..],
        [Run::new(2, 3)],
        "what was left out comes next"
    );
    // A frame outside what was asked for is not sent.
    desk.say(Event::Loaded {
        load: LoadId(2),
        frames: vec![
            Frame {
                run: Run::new(4, 7),
                payload: (SessionId(5), Run::new(4, 7)),
            },
            Frame {
                run: Run::new(7, 8),
                payload: (SessionId(5), Run::new(7, 8)),
            },
        ],
    });
    assert_eq!(desk.sent(), [Run::new(0, 1), Run::new(4, 7)]);
    desk.say(Event::Loaded {
        load: LoadId(3),
        frames: vec![],
    });
    assert_eq!(desk.outcomes(), [Outcome::LoadFailed]);
}

#[test]
fn a_local_store_that_fails_ends_the_job_visibly() {
    let mut desk = Desk::connected(config());
    desk.is_diligent = false;
    desk.sync(job(1, 5));
    desk.start_ack(opened(5));
    desk.say(Event::LoadFailed { load: LoadId(1) });
    assert_eq!(desk.outcomes(), [Outcome::LoadFailed]);
    assert_eq!(desk.roll_backs(), 1);

    let mut desk = Desk::ended(config(), 5, 5);
    desk.is_diligent = false;
    desk.end_ack(verdict(5, Status::Ok, Reason::None));
    for attempt in 1..=3 {
        assert_eq!(desk.commits().len(), attempt);
        assert_eq!(desk.agent.pending(), Some(Pending::Commit));
        desk.say(Event::CommitFailed { job: JobId(1) });
        changes_nothing(&mut desk, Event::Committed { job: JobId(1) }, Stale::Commit);
        if attempt < 3 {
            desk.sleep();
        }
    }
    assert_eq!(desk.outcomes(), [Outcome::CommitFailed]);
}

#[test]
fn a_session_ends_at_its_longest_time_and_the_job_goes_on() {
    let mut desk = Desk::ended(config(), 5, 5);
    while desk.starts().len() == 1 {
        desk.end_ack(verdict(5, Status::Processing, Reason::None));
        desk.sleep();
    }
    assert!(desk.now >= Tick(3_600_000) && desk.now <= Tick(3_601_000));
    let is_max = |command: &Command<_>| {
        matches!(
            command,
            Command::RollBack {
                cause: Cause::SessionMax,
                ..
            }
        )
    };
    assert!(desk.commands.iter().any(is_max));
}

#[test]
fn who_gives_up_before_the_last_repetition_leaves_a_silent_connection_too() {
    let asks = |desk: &Desk| {
        let is_ask = |command: &&Command<_>| matches!(command, Command::Reconnect { .. });
        desk.commands.iter().filter(is_ask).count()
    };
    // The longest time of a session is over before a third Start goes unanswered.
    let mut desk = Desk::connected(Config {
        session_max_ms: 15_000,
        processing_poll_ms: 15_000,
        ..config()
    });
    desk.sync(job(1, 5));
    while desk.roll_backs() == 0 {
        desk.sleep();
    }
    desk.sleep();
    assert_eq!((desk.starts().len(), asks(&desk)), (2, 1));

    // So is that of a job.
    let hasty = |id| crate::agent::Job {
        give_up_after_ms: Some(100),
        ..job(id, 1)
    };
    let mut desk = Desk::connected(config());
    desk.sync(hasty(1));
    desk.sleep();
    assert_eq!(desk.outcomes(), [Outcome::GaveUp { last: None }]);
    desk.sync(hasty(2));
    assert_eq!((desk.starts().len(), asks(&desk)), (1, 1));

    // Who was answered stays.
    let mut desk = Desk::connected(config());
    desk.is_diligent = false;
    desk.sync(hasty(1));
    desk.start_ack(opened(5));
    desk.sleep();
    assert_eq!(desk.roll_backs(), 1);
    desk.sync(hasty(2));
    assert_eq!((desk.starts().len(), asks(&desk)), (2, 0));
}

#[test]
fn the_verdict_is_asked_for_every_thirty_seconds() {
    let mut desk = Desk::ended(config(), 5, 5);
    desk.end_ack(verdict(5, Status::Processing, Reason::None));
    for polls in 1..=4 {
        desk.sleep();
        assert_eq!(
            (desk.now, desk.ends()),
            (Tick(polls * 30_000), 1 + usize::try_from(polls).unwrap())
        );
        desk.end_ack(verdict(5, Status::Processing, Reason::None));
    }
}

#[test]
fn giving_up_leaves_a_verdict_alone() {
    let mut desk = Desk::connected(config());
    desk.is_diligent = false;
    desk.sync(crate::agent::Job {
        give_up_after_ms: Some(100),
        ..job(1, 0)
    });
    desk.start_ack(opened(5));
    desk.end_ack(verdict(5, Status::Ok, Reason::None));
    desk.sleep();
    assert_eq!(desk.outcomes(), []);
    desk.say(Event::Committed { job: JobId(1) });
    assert_eq!(desk.outcomes(), [Outcome::Acknowledged]);

    let mut desk = Desk::new(config());
    desk.sync(crate::agent::Job {
        give_up_after_ms: Some(100),
        ..job(1, 1)
    });
    desk.sleep();
    assert_eq!(
        (desk.now, desk.outcomes()),
        (Tick(100), vec![Outcome::GaveUp { last: None }])
    );
    assert_eq!(desk.agent.next_deadline(), None);
}

#[test]
fn the_floor_only_grows_and_nonsense_is_not_remembered() {
    let mut desk = Desk::connected(Config {
        version_floor: Version(50),
        ..config()
    });
    desk.sync(job(1, 1));
    desk.start_ack(StartAck {
        version: 40,
        ..opened(5)
    });
    assert_eq!(desk.agent.version_floor(), Version(50));
    desk.end_ack(EndAck {
        version: u64::MAX,
        ..verdict(5, Status::Processing, Reason::None)
    });
    assert_eq!(desk.agent.version_floor(), Version(50));
    desk.end_ack(EndAck {
        version: 60,
        ..verdict(5, Status::Ok, Reason::None)
    });
    let remembered: Vec<_> = desk
        .commands
        .iter()
        .filter(|command| matches!(command, Command::Remember { .. }))
        .collect();
    assert_eq!(remembered, [&Command::Remember { floor: Version(60) }]);
    desk.sync(job(2, 1));
    assert_eq!(desk.starts().last().unwrap().version_floor, 60);
}

#[test]
fn a_rate_limit_does_not_let_the_session_fall_asleep() {
    let mut desk = Desk::connected(Config {
        items_per_second: 1,
        load_items_max: 512,
        ..config()
    });
    desk.sync(job(1, 40));
    desk.start_ack(opened(5));
    let (mut last, mut rows) = (desk.now, 0);
    while desk.ends() == 0 {
        desk.sleep();
        let sent: u64 = desk.sent().iter().map(|run| run.count()).sum();
        if sent > rows {
            assert!(desk.now.since(last) < 5_000, "half the idle timeout");
            (last, rows) = (desk.now, sent);
        }
    }
    assert!(
        desk.now >= Tick(38_000) && desk.now <= Tick(41_000),
        "{}",
        desk.now
    );
}

#[test]
fn an_old_connection_is_not_taken_for_a_new_one() {
    let mut desk = Desk::ended(config(), 5, 5);
    let before = desk.agent.clone();
    for connection in [0, 1] {
        desk.say(Event::Connected {
            connection: ConnectionId(connection),
        });
    }
    desk.say(Event::Disconnected {
        connection: ConnectionId(0),
    });
    desk.say(Event::ConnectFailed);
    assert_eq!(desk.agent, before);
}

#[test]
fn messages_find_their_machine() {
    let mut desk = Desk::ended(config(), 5, 5);
    let other = |mut ack: EndAck| {
        ack.module = "fim".to_owned();
        Answer::EndAck(Box::new(ack))
    };
    assert!(
        desk.agent
            .concerns(&other(verdict(5, Status::Ok, Reason::None)))
    );
    assert!(
        !desk
            .agent
            .concerns(&other(verdict(6, Status::Ok, Reason::None)))
    );
    assert!(!desk.agent.concerns(&Answer::Hello(Box::default())));
    assert!(desk.agent.concerns(&Answer::StartAck(Box::new(opened(9)))));
    assert!(
        desk.agent
            .concerns(&Answer::ReqRet(Box::new(missing(9, &[]))))
    );
    desk.end_ack(verdict(5, Status::Ok, Reason::None));
    assert!(
        !desk
            .agent
            .concerns(&other(verdict(5, Status::Ok, Reason::None)))
    );
    let greeter = Desk::new(Config {
        hello: Some(Hello::default()),
        ..config()
    });
    assert!(greeter.agent.concerns(&Answer::Hello(Box::default())));
}

#[test]
fn a_configuration_that_contradicts_itself_is_refused() {
    assert_eq!(config().validate(), Ok(()));
    let zero = Config {
        loads_max: 0,
        ..config()
    };
    assert_eq!(
        zero.validate(),
        Err("loads_max must be at least 1".to_owned())
    );
    let reversed = Config {
        backoff_max_ms: 10,
        ..config()
    };
    assert!(
        reversed
            .validate()
            .unwrap_err()
            .contains("backoff_max_ms (10)")
    );
    assert!(
        Config {
            module: String::new(),
            ..config()
        }
        .validate()
        .is_err()
    );
}
