//! Renewals: the bound stands in `meta`, then in the document, then a shard hears of it; the lease is
//! counted from before the request. What must hold of every command the desk checks itself.

use super::desk::Desk;
use super::world::Write;
use super::{FRESH, config, recovered};
use crate::coordinator::{Config, Event, HealthOutcome};
use crate::id::Version;
use crate::manager::Unready;
use crate::time::Tick;

#[test]
fn renewal_comes_every_ten_seconds() {
    let mut desk = Desk::writing();
    desk.run(20_000);
    insta::assert_snapshot!(desk.log);
}

#[test]
fn lease_is_counted_from_before_the_request_was_sent() {
    let mut desk = Desk::writing();
    desk.is_diligent = false;
    desk.run(10_000);
    desk.now = Tick(12_000);
    while desk.times("write") == 0 {
        desk.answer();
    }
    desk.now = Tick(19_000);
    desk.say(Event::Tick);
    assert_eq!(desk.coordinator.lease_until(), Tick(30_000));
    while desk.times("tell all: lease") == 0 {
        desk.answer();
    }
    assert_eq!(desk.coordinator.lease_until(), Tick(42_000));
    let renewal = desk.coordinator.next_deadline();
    desk.open.clear();
    desk.run(3_000);
    assert_eq!(
        desk.times("record bound"),
        2,
        "the next comes at 22 s: {renewal:?}"
    );
}

#[test]
fn no_bound_is_told_before_it_is_durable_in_both_places() {
    let mut desk = Desk::new(config());
    desk.is_diligent = false;
    desk.start(FRESH);
    let mut steps = String::new();
    while desk.times("tell all: bound") == 0 {
        assert_eq!(desk.coordinator.bound(), Version(0));
        desk.answer();
        steps.clone_from(&desk.log);
    }
    let place = |text: &str| steps.find(text).unwrap();
    assert!(place("record bound") < place("durable"));
    assert!(place("durable") < place("write alpha/7"));
    assert!(place("Written") < place("tell all: bound"));
}

#[test]
fn bound_that_is_not_durable_is_neither_written_nor_told() {
    let mut desk = Desk::writing();
    desk.world.durable = false;
    desk.run(60_000);
    assert_eq!(desk.times("write"), 0);
    assert_eq!(desk.times("tell all: bound"), 0);
    assert_eq!(desk.times("tell all: lease"), 0);
    assert_eq!(desk.times("tell all: health Unready(NoLease)"), 1);
    desk.world.durable = true;
    desk.run(10_000);
    assert_eq!(desk.times("tell all: bound"), 1);
    assert_eq!(desk.times("tell all: health Ready"), 1);
}

#[test]
fn bound_is_reckoned_when_it_is_recorded_not_when_it_was_first_tried() {
    let mut desk = Desk::writing();
    desk.world.durable = false;
    desk.run(100_000);
    desk.world.durable = true;
    desk.run(10_000);
    // The clock reads 1 100 000 ms or more by now.
    assert!(desk.coordinator.bound().unix_ms() >= 1_160_000);
}

#[test]
fn failing_renewals_let_the_lease_end_and_a_later_one_resumes_it() {
    let mut desk = Desk::writing();
    desk.world.write = Write::Refused;
    desk.run(40_000);
    assert_eq!(desk.times("tell all: lease"), 0);
    assert!(desk.coordinator.lease_until() < desk.now);
    desk.forget();
    desk.world.write = Write::Honest;
    desk.run(10_000);
    insta::assert_snapshot!(desk.log);
}

#[test]
fn clock_does_not_run_ahead_because_answers_are_lost() {
    let mut desk = Desk::writing();
    desk.world.write = Write::AnswerLost;
    desk.run(600_000);
    desk.world.write = Write::Honest;
    desk.run(11_000);
    let latest_ms = super::START_UNIX_MS + desk.now.0 + 60_000;
    assert!(desk.coordinator.bound().unix_ms() <= latest_ms);
}

#[test]
fn shards_do_not_send_while_an_extension_of_the_bound_has_failed() {
    let mut desk = Desk::writing();
    desk.world.write = Write::RequestLost;
    desk.run(10_000);
    assert_eq!(desk.told(), "tell all: health Unready(NoLease)");
    desk.forget();
    desk.world.write = Write::Honest;
    desk.run(1_000);
    insta::assert_snapshot!(desk.told());
}

#[test]
fn bound_wanted_is_raised_at_once_and_once() {
    let mut desk = Desk::writing();
    let bound = desk.coordinator.bound();
    desk.run(3_000);
    desk.is_diligent = false;
    desk.say(Event::BoundWanted { beyond: bound });
    desk.say(Event::BoundWanted { beyond: bound });
    desk.say(Event::BoundWanted {
        beyond: Version(bound.0 - 1),
    });
    assert_eq!(desk.times("record bound"), 1);
    desk.answer();
    desk.answer();
    assert!(desk.coordinator.bound() > bound);
    desk.say(Event::BoundWanted { beyond: bound });
    assert_eq!(desk.times("record bound"), 1);
}

#[test]
fn bound_wanted_by_a_shard_whose_wall_clock_is_ahead_of_ours_lies_below_the_next() {
    let mut desk = Desk::writing();
    let beyond = Version::from_unix_ms(5_000_000);
    desk.say(Event::BoundWanted { beyond });
    assert!(desk.coordinator.bound() > beyond);
    assert_eq!(desk.times("record bound"), 1);
}

#[test]
fn bound_wanted_again_and_again_does_not_put_off_the_renewal() {
    let mut desk = Desk::writing();
    desk.world.health = HealthOutcome::Unready(Unready::Red);
    desk.run(5_000);
    let beyond = desk.coordinator.bound();
    for _ in 0..100 {
        desk.say(Event::BoundWanted { beyond });
        desk.run(100);
    }
    assert!(desk.times("tell all: lease") >= 1, "{}", desk.log);
}

#[test]
fn bound_wanted_before_the_first_lease_changes_nothing() {
    let mut desk = Desk::new(config());
    desk.say(Event::BoundWanted {
        beyond: Version(1 << 40),
    });
    assert!(desk.commands.is_empty());
    assert_eq!(desk.coordinator.next_deadline(), None);
}

#[test]
fn wall_clock_that_steps_back_lowers_nothing_and_is_told_beyond_a_day() {
    let mut desk = Desk::writing();
    let bound = desk.coordinator.bound();
    desk.say(Event::WallClock { unix_ms: 0 });
    assert_eq!(desk.times("observe ClockAhead"), 0);
    desk.say(Event::BoundWanted { beyond: bound });
    assert!(desk.coordinator.bound() >= bound);

    const DAY_MS: u64 = 86_400_000;
    let mut desk = Desk::new(config());
    desk.start(recovered(2 * DAY_MS, true));
    desk.say(Event::WallClock { unix_ms: 1_000_000 });
    assert_eq!(desk.times("observe ClockAhead"), 1, "an alert, once");
    assert_eq!(desk.times("tell all: health Ready"), 1, "and it serves");
}

#[test]
fn answer_of_a_wrong_kind_or_a_second_one_changes_nothing() {
    let mut desk = Desk::new(Config {
        shards: 1,
        ..config()
    });
    desk.is_diligent = false;
    desk.start(FRESH);
    let request = desk.request_ids()[0];
    desk.say(Event::Recorded {
        request,
        durable: true,
    });
    desk.answer();
    desk.say(Event::Health {
        request,
        outcome: HealthOutcome::Unready(Unready::Red),
    });
    assert_eq!(desk.coordinator.health(), crate::manager::Health::Ready);
    desk.is_diligent = true;
    desk.answer();
    assert_eq!(desk.times("tell all: lease"), 1);
}
