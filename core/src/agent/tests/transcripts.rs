//! Corner cases as text: what the agent does, line by line. Regenerate with `INSTA_UPDATE=always` and
//! read the difference.

use super::desk::{Desk, loaded};
use super::{config, job, missing, opened, partial, refused, verdict};
use crate::agent::{Config, Event, Job, LoadId};
use crate::document::Run;
use crate::id::SessionId;
use crate::wire::{Hello, Mode, Reason, Status};

#[test]
fn delta_is_acknowledged() {
    let mut desk = Desk::new(Config {
        hello: Some(Hello::default()),
        ..config()
    });
    desk.sync(job(1, 10));
    desk.connect();
    desk.start_ack(crate::wire::StartAck {
        version: 4_096,
        max_items: 100,
        ..opened(5)
    });
    desk.end_ack(verdict(5, Status::Processing, Reason::None));
    desk.sleep();
    desk.end_ack(verdict(5, Status::Processing, Reason::None));
    desk.end_ack(crate::wire::EndAck {
        version: 8_192,
        ..verdict(5, Status::Ok, Reason::None)
    });
    desk.sync(job(2, 1));
    insta::assert_snapshot!(desk.log);
}

#[test]
fn empty_full_is_complete_at_its_end() {
    let mut desk = Desk::connected(config());
    desk.sync(Job {
        mode: Mode::Full,
        ..job(1, 0)
    });
    desk.start_ack(opened(5));
    let mut ack = verdict(5, Status::Ok, Reason::None);
    ack.resync = vec!["wazuh-states-inventory-ports".to_owned()];
    desk.end_ack(ack);
    insta::assert_snapshot!(desk.log);
}

#[test]
fn silence_repeats_the_start_then_backs_off_and_reconnects() {
    let mut desk = Desk::connected(config());
    desk.sync(job(1, 3));
    desk.sleep();
    desk.sleep();
    desk.sleep();
    desk.sleep();
    desk.sleep();
    desk.connect();
    desk.start_ack(opened(5));
    insta::assert_snapshot!(desk.log);
}

#[test]
fn busy_manager_is_visited_again_with_a_new_session() {
    let mut desk = Desk::connected(config());
    desk.sync(job(1, 3));
    desk.start_ack(refused(Status::Offline, Reason::AgentBusy, 7_000));
    desk.sleep();
    desk.start_ack(refused(Status::Offline, Reason::IndexerUnavailable, 0));
    desk.sleep();
    desk.start_ack(refused(Status::Error, Reason::SessionReplaced, 0));
    desk.sleep();
    desk.start_ack(opened(5));
    desk.end_ack(verdict(5, Status::Ok, Reason::None));
    insta::assert_snapshot!(desk.log);
}

#[test]
fn gaps_are_filled_without_another_end() {
    let mut desk = Desk::ended(config(), 20, 5);
    desk.req_ret(missing(5, &[(3, 3), (8, 14), (19, 20), (7, 6)]));
    desk.req_ret(missing(5, &[(14, 14)]));
    desk.sleep();
    desk.end_ack(verdict(5, Status::Processing, Reason::None));
    desk.end_ack(verdict(5, Status::Ok, Reason::None));
    insta::assert_snapshot!(desk.log);
}

#[test]
fn lost_connection_moves_the_session() {
    let mut desk = Desk::connected(config());
    desk.is_diligent = false;
    desk.sync(job(1, 10));
    desk.start_ack(opened(5));
    desk.say(loaded(LoadId(1), SessionId(5), Run::new(0, 3)));
    desk.disconnect();
    desk.say(loaded(LoadId(2), SessionId(5), Run::new(4, 7)));
    desk.sleep();
    desk.say(Event::ConnectFailed);
    desk.sleep();
    desk.is_diligent = true;
    desk.connect();
    desk.start_ack(opened(5));
    desk.req_ret(missing(5, &[(0, 3)]));
    desk.end_ack(verdict(5, Status::Ok, Reason::None));
    insta::assert_snapshot!(desk.log);
}

#[test]
fn restarted_manager_gets_everything_again() {
    let mut desk = Desk::ended(config(), 4, 5);
    desk.disconnect();
    desk.connect();
    // It has lost the session and opens another one for the same Start.
    desk.start_ack(opened(6));
    desk.end_ack(verdict(5, Status::Ok, Reason::None));
    // It is restarted behind a relay, so that the connection stays.
    desk.end_ack(verdict(6, Status::Error, Reason::SessionNotFound));
    desk.sleep();
    desk.start_ack(opened(7));
    desk.end_ack(verdict(7, Status::Ok, Reason::None));
    insta::assert_snapshot!(desk.log);
}

#[test]
fn partial_rejection_keeps_what_it_does_not_speak_of() {
    let mut desk = Desk::ended(config(), 10, 5);
    desk.end_ack(partial(5, &[(2, true), (6, false)], true));
    desk.sync(job(2, 2));
    desk.sleep();
    desk.start_ack(opened(6));
    desk.end_ack(partial(6, &[(0, false)], false));
    desk.sync(job(3, 1));
    insta::assert_snapshot!(desk.log);
}

#[test]
fn conflict_is_tried_again_until_the_job_gives_up() {
    let mut desk = Desk::connected(config());
    desk.sync(Job {
        give_up_after_ms: Some(2_500),
        ..job(1, 2)
    });
    desk.start_ack(opened(5));
    desk.end_ack(verdict(5, Status::Error, Reason::VersionConflict));
    desk.sleep();
    desk.start_ack(opened(6));
    desk.end_ack(verdict(6, Status::Error, Reason::SessionTimeout));
    desk.sleep();
    desk.start_ack(opened(7));
    desk.sleep();
    insta::assert_snapshot!(desk.log);
}

#[test]
fn silence_after_the_end_changes_the_connection() {
    let mut desk = Desk::ended(config(), 2, 5);
    desk.sleep();
    desk.sleep();
    desk.sleep();
    desk.connect();
    desk.start_ack(opened(5));
    desk.end_ack(verdict(5, Status::Ok, Reason::None));
    insta::assert_snapshot!(desk.log);
}

#[test]
fn stop_gives_up_a_session_but_not_a_verdict() {
    let mut desk = Desk::ended(config(), 2, 5);
    desk.say(Event::Stop);
    desk.sync(job(2, 2));
    desk.say(Event::Reset);
    desk.sync(job(3, 2));
    desk.connect();
    desk.start_ack(opened(6));
    desk.is_diligent = false;
    desk.end_ack(verdict(6, Status::Ok, Reason::None));
    desk.say(Event::Stop);
    desk.say(Event::CommitFailed {
        job: crate::agent::JobId(3),
    });
    desk.sleep();
    desk.say(Event::Committed {
        job: crate::agent::JobId(3),
    });
    insta::assert_snapshot!(desk.log);
}

#[test]
fn rate_limit_spreads_the_loads() {
    let mut desk = Desk::connected(Config {
        items_per_second: 2,
        ..config()
    });
    desk.sync(job(1, 9));
    desk.start_ack(opened(5));
    desk.sleep();
    desk.sleep();
    desk.req_ret(missing(5, &[(0, 8)]));
    desk.sleep();
    desk.end_ack(verdict(5, Status::Ok, Reason::None));
    insta::assert_snapshot!(desk.log);
}
