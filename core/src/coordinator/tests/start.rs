//! The order of a start: who may write, what must be waited for, and what is tainted.

use super::desk::Desk;
use super::world::Write;
use super::{FRESH, NONCE, START_UNIX_MS, WRITER, config, document, recovered};
use crate::coordinator::{Config, CountOutcome, Event, HealthOutcome, IndexOutcome, WriterOutcome};
use crate::manager::Unready;
use crate::time::Tick;

#[test]
fn fresh_store_and_no_documents_are_untainted() {
    let mut desk = Desk::new(config());
    desk.start(FRESH);
    assert_eq!(desk.times("tell all: tainted"), 0);
    insta::assert_snapshot!(desk.log);
}

#[test]
fn nothing_begins_before_the_store_was_read_and_the_clock_is_known() {
    let mut desk = Desk::new(config());
    desk.say(Event::Tick);
    desk.say(FRESH);
    desk.run(60_000);
    assert_eq!(desk.times("health"), 0);
    desk.say(Event::WallClock {
        unix_ms: START_UNIX_MS,
    });
    assert_eq!(desk.times("health"), 1);
}

#[test]
fn fresh_store_among_documents_waits_for_late_writes_and_is_tainted() {
    let mut desk = Desk::new(config());
    desk.world.count = CountOutcome::Documents(3);
    desk.start(FRESH);
    desk.run(29_999);
    assert_eq!(desk.times("tell all: lease"), 0);
    assert_eq!(desk.times("write"), 0);
    desk.run(1);
    insta::assert_snapshot!(desk.log);
}

#[test]
fn wait_of_a_lost_bound_is_not_begun_anew_by_a_failure() {
    let mut desk = Desk::new(config());
    desk.world.count = CountOutcome::Documents(3);
    desk.world.write = Write::RequestLost;
    desk.start(FRESH);
    desk.run(30_000);
    desk.world.write = Write::Honest;
    desk.run(1_000);
    assert_eq!(desk.times("tell all: lease"), 1);
}

#[test]
fn clean_restart_is_untainted() {
    let mut desk = Desk::new(config());
    desk.world.put(document(WRITER, 3, 1_300_000));
    desk.start(recovered(1_300_000, true));
    assert_eq!(desk.times("tell all: tainted"), 0);
    insta::assert_snapshot!(desk.log);
}

#[test]
fn unclean_restart_is_tainted() {
    let mut desk = Desk::new(config());
    desk.world.put(document(WRITER, 3, 1_040_000));
    desk.start(recovered(1_050_000, false));
    insta::assert_snapshot!(desk.told());
}

#[test]
fn clean_restart_after_a_copy_of_the_store_has_run_is_tainted() {
    let mut desk = Desk::new(config());
    desk.world.put(document(WRITER, 3, 1_050_001));
    desk.start(recovered(1_050_000, true));
    assert_eq!(desk.times("tell all: tainted until 30000 ms"), 1);
}

#[test]
fn live_writer_ends_the_start_and_is_named() {
    let mut desk = Desk::new(config());
    desk.world.put(document("beta", 9, 1_020_000));
    desk.start(FRESH);
    desk.run(15_000);
    desk.world.put(document("beta", 9, 1_030_000));
    desk.run(60_000);
    assert_eq!(desk.times("write"), 0);
    insta::assert_snapshot!(desk.log);
}

#[test]
fn dead_writer_is_succeeded_after_one_lease_and_its_late_writes_are_awaited() {
    let mut desk = Desk::new(config());
    desk.world.put(document("beta", 9, 1_900_000));
    desk.start(FRESH);
    desk.run(29_999);
    assert_eq!(desk.times("record bound"), 0);
    desk.run(1);
    insta::assert_snapshot!(desk.log);
}

#[test]
fn dead_writer_taints_even_after_our_own_clean_stop() {
    let mut desk = Desk::new(config());
    desk.world.put(document("beta", 9, 1_020_000));
    desk.start(recovered(1_010_000, true));
    desk.run(30_000);
    assert_eq!(desk.times("tell all: tainted until 60000 ms"), 1);
}

#[test]
fn dead_writer_that_came_between_count_and_write_taints() {
    let mut desk = Desk::new(config());
    desk.is_diligent = false;
    desk.start(FRESH);
    while desk.times("write") == 0 {
        desk.answer();
    }
    desk.world.put(document("beta", 9, 1_020_000));
    desk.is_diligent = true;
    desk.answer();
    desk.run(40_000);
    assert_eq!(desk.times("tell all: lease"), 1, "{}", desk.log);
    assert_eq!(desk.times("tell all: tainted"), 1);
}

#[test]
fn copied_store_ends_the_process_that_notices() {
    let mut desk = Desk::writing();
    desk.world.put(document(WRITER, 8, 1_200_000));
    desk.run(11_000);
    insta::assert_snapshot!(desk.log);
}

#[test]
fn another_writer_that_has_taken_over_ends_us_and_no_shard_sends_any_more() {
    let mut desk = Desk::writing();
    desk.world.put(document("beta", 9, 1_200_000));
    desk.run(11_000);
    assert_eq!(desk.times("abort: writer \"beta\" has taken over"), 1);
    assert!(
        desk.told().contains("\ntell all: lease until 102"),
        "{}",
        desk.told()
    );
    assert!(desk.coordinator.lease_until() < desk.now, "it is withdrawn");
    desk.run(60_000);
    assert_eq!(desk.times("tell all: lease"), 1);
}

#[test]
fn own_document_is_adopted_after_a_write_of_unknown_outcome() {
    let mut desk = Desk::new(config());
    desk.world.write = Write::AnswerLost;
    desk.start(FRESH);
    assert_eq!(desk.times("tell all: lease"), 0);
    desk.world.write = Write::Honest;
    desk.run(1_000);
    assert_eq!(desk.world.document.as_ref().unwrap().0.nonce, NONCE);
    insta::assert_snapshot!(desk.log);
}

#[test]
fn late_write_of_our_own_makes_a_conflict_that_is_adopted() {
    let mut desk = Desk::writing();
    desk.is_diligent = false;
    desk.run(10_000);
    while desk.times("write") == 0 {
        desk.answer();
    }
    let (own, _) = desk.world.document.clone().unwrap();
    desk.world.put(own);
    desk.is_diligent = true;
    desk.answer();
    desk.run(2_000);
    assert_eq!(desk.times("tell all: lease"), 1);
    assert!(!desk.is_aborted);
    insta::assert_snapshot!(desk.log);
}

#[test]
fn malformed_document_ends_the_start() {
    let mut desk = Desk::new(config());
    desk.is_diligent = false;
    desk.start(FRESH);
    desk.answer();
    desk.answer();
    let request = desk.request_ids()[0];
    desk.say(Event::WriterRead {
        request,
        outcome: WriterOutcome::Malformed("no bound".to_owned()),
    });
    assert!(desk.is_aborted);
    desk.run(60_000);
    assert_eq!(desk.times("write"), 0);
}

#[test]
fn failing_start_is_tried_again_ever_more_rarely() {
    let mut desk = Desk::new(config());
    desk.world.writer_index = IndexOutcome::Refused("forbidden".to_owned());
    desk.start(FRESH);
    desk.run(5_000);
    let early = desk.times("create the writer index");
    desk.run(115_000);
    let all = desk.times("create the writer index");
    assert!((4..=8).contains(&early), "{early}");
    assert!((10..=26).contains(&(all - early)), "{}", all - early);
    desk.world.writer_index = IndexOutcome::Exists;
    desk.run(10_000);
    assert_eq!(desk.times("tell all: lease until"), 1);
}

#[test]
fn later_steps_that_fail_are_backed_off_too() {
    let mut desk = Desk::new(config());
    desk.world.write = Write::RequestLost;
    desk.start(FRESH);
    desk.run(120_000);
    let writes = desk.times("write");
    assert!((10..=30).contains(&writes), "{writes}");
}

#[test]
fn start_without_an_indexer_waits_for_it() {
    let mut desk = Desk::new(config());
    desk.world.health = HealthOutcome::Unready(Unready::Unreachable);
    desk.start(FRESH);
    desk.run(100_000);
    assert_eq!(desk.times("create the writer index"), 0);
    desk.world.health = HealthOutcome::Ready;
    desk.run(5_000);
    assert_eq!(desk.times("tell all: lease"), 1);
    assert_eq!(desk.times("tell all: health Ready"), 1);
}

#[test]
fn writer_index_that_vanishes_is_created_again() {
    let mut desk = Desk::writing();
    desk.world.is_readable = false;
    desk.world.document = None;
    desk.run(11_000);
    desk.world.is_readable = true;
    desk.run(20_000);
    assert!(desk.times("create the writer index") >= 1);
    assert!(desk.coordinator.lease_until() > desk.now);
    assert_eq!(desk.world.document.as_ref().unwrap().0.writer, WRITER);
}

#[test]
fn clock_starts_at_the_highest_bound_that_is_known() {
    for (meta_ms, document_ms) in [(5_000_000, 4_000_000), (4_000_000, 5_000_000)] {
        let mut desk = Desk::new(Config {
            bound_ahead_ms: 100,
            ..config()
        });
        desk.world.put(document(WRITER, 3, document_ms));
        desk.start(recovered(meta_ms, false));
        assert_eq!(desk.now, Tick(0));
        assert_eq!(
            desk.times("tell all: clock floor 5000000 ms"),
            1,
            "{}",
            desk.log
        );
        assert!(desk.coordinator.bound().unix_ms() >= 5_000_100);
    }
}
