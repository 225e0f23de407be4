//! The end: recorded as clean only if nothing is left that could still be applied.

use super::desk::Desk;
use super::world::Write;
use super::{FRESH, WRITER, config, document, recovered, stopped};
use crate::coordinator::{Event, HealthOutcome};
use crate::manager::Unready;

#[test]
fn clean_stop_is_recorded_before_it_is_said() {
    let mut desk = Desk::writing();
    desk.is_diligent = false;
    desk.say(Event::Shutdown);
    desk.say(Event::Shutdown);
    desk.say(stopped(0, true));
    desk.say(stopped(0, true));
    desk.say(stopped(7, true));
    assert_eq!(desk.times("record"), 0, "the other shard is still at work");
    desk.say(stopped(1, true));
    desk.say(stopped(1, true));
    assert!(!desk.is_stopped);
    desk.answer();
    insta::assert_snapshot!(desk.log);
}

#[test]
fn one_shard_with_an_unknown_outcome_makes_it_unclean() {
    let mut desk = Desk::writing();
    desk.say(Event::Shutdown);
    desk.say(stopped(0, true));
    desk.say(stopped(1, false));
    assert_eq!(desk.times("record a clean stop"), 0);
    assert_eq!(desk.times("stopped, not clean"), 1);
}

#[test]
fn stop_that_is_not_durable_is_not_clean() {
    let mut desk = Desk::writing();
    desk.world.durable = false;
    desk.say(Event::Shutdown);
    desk.say(stopped(0, true));
    desk.say(stopped(1, true));
    assert_eq!(desk.times("stopped, not clean"), 1);
}

#[test]
fn stop_waits_for_the_renewal_that_is_out_and_begins_no_other() {
    let mut desk = Desk::writing();
    desk.is_diligent = false;
    desk.run(10_000);
    while desk.times("write") == 0 {
        desk.answer();
    }
    desk.say(Event::Shutdown);
    desk.say(stopped(0, true));
    desk.say(stopped(1, true));
    assert_eq!(desk.times("record a clean stop"), 0);
    desk.is_diligent = true;
    while !desk.open.is_empty() {
        desk.answer();
    }
    assert_eq!(desk.times("stopped, clean"), 1);
    desk.forget();
    desk.run(60_000);
    assert_eq!(desk.times("record bound") + desk.times("write"), 0);
}

#[test]
fn lease_is_renewed_while_shards_are_still_at_work() {
    let mut desk = Desk::writing();
    desk.say(Event::Shutdown);
    desk.run(60_000);
    assert_eq!(desk.times("tell all: lease"), 6);
}

#[test]
fn process_that_never_wrote_is_as_clean_as_the_one_before() {
    for clean in [true, false] {
        let mut desk = Desk::new(config());
        desk.world.health = HealthOutcome::Unready(Unready::Unreachable);
        desk.start(recovered(1_050_000, clean));
        desk.say(Event::Shutdown);
        desk.say(stopped(0, true));
        desk.say(stopped(1, true));
        assert_eq!(desk.times("stopped, clean"), usize::from(clean));
        assert!(desk.is_stopped);
    }
}

#[test]
fn stop_before_the_store_was_read_is_not_clean() {
    let mut desk = Desk::new(config());
    desk.say(Event::Shutdown);
    desk.say(stopped(0, true));
    desk.say(stopped(1, true));
    assert_eq!(desk.times("stopped, not clean"), 1);
}

#[test]
fn stop_within_the_taint_of_an_unclean_start_is_not_clean() {
    // The shards stopped before they could hear of the taint.
    let mut desk = Desk::new(config());
    desk.is_diligent = false;
    desk.world.put(document(WRITER, 3, 1_050_000));
    desk.start(recovered(1_050_000, false));
    while desk.times("write") == 0 {
        desk.answer();
    }
    desk.say(Event::Shutdown);
    desk.say(stopped(0, true));
    desk.say(stopped(1, true));
    desk.answer();
    while !desk.is_stopped {
        desk.answer();
    }
    assert_eq!(desk.times("tell all: tainted"), 1);
    assert_eq!(desk.times("stopped, not clean"), 1, "{}", desk.log);
}

#[test]
fn stop_after_the_taint_is_clean() {
    let mut desk = Desk::new(config());
    desk.start(recovered(1_050_000, false));
    desk.run(30_000);
    desk.say(Event::Shutdown);
    desk.say(stopped(0, true));
    desk.say(stopped(1, true));
    assert_eq!(desk.times("stopped, clean"), 1);
}

#[test]
fn stop_while_a_dead_writer_is_waited_for_is_not_clean() {
    let mut desk = Desk::new(config());
    desk.world.put(document("beta", 9, 1_020_000));
    desk.start(recovered(1_050_000, true));
    desk.run(5_000);
    desk.say(Event::Shutdown);
    desk.say(stopped(0, true));
    desk.say(stopped(1, true));
    assert_eq!(desk.times("stopped, not clean"), 1);
}

#[test]
fn stop_ends_while_the_start_still_fails() {
    let mut desk = Desk::new(config());
    desk.world.write = Write::RequestLost;
    desk.start(FRESH);
    desk.run(10_000);
    desk.say(Event::Shutdown);
    desk.say(stopped(0, true));
    desk.say(stopped(1, true));
    assert!(desk.is_stopped);
}
