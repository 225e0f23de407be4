//! Health: told apart, asked at its pace, told to shards only when it can be used.

use super::desk::Desk;
use super::world::Write;
use super::{FRESH, config, unready, wanted};
use crate::coordinator::{HealthOutcome, TemplateOutcome};
use crate::manager::Unready;

#[test]
fn every_reason_is_told_apart() {
    let mut desk = Desk::writing();
    for why in [
        Unready::Unreachable,
        Unready::Red,
        Unready::Initializing,
        Unready::Forbidden,
        Unready::Unauthorized,
    ] {
        desk.world.health = unready(why);
        desk.run(16_000);
    }
    desk.world.health = HealthOutcome::Ready;
    desk.run(16_000);
    let health: Vec<String> = desk
        .told()
        .lines()
        .filter(|line| line.contains("health"))
        .map(str::to_owned)
        .collect();
    insta::assert_snapshot!(health.join("\n"));
}

#[test]
fn ready_is_told_only_when_writing_is_possible() {
    let mut desk = Desk::new(config());
    desk.is_diligent = false;
    desk.start(FRESH);
    while desk.times("tell all: health Ready") == 0 {
        assert_eq!(desk.times("tell all: lease"), 0);
        desk.answer();
    }
    insta::assert_snapshot!(desk.told());
}

#[test]
fn refused_password_is_tried_rarely_and_by_nothing_but_health() {
    let mut desk = Desk::writing();
    desk.world.health = unready(Unready::Unauthorized);
    desk.world.write = Write::Refused;
    desk.world.is_readable = false;
    desk.world.templates[0] = TemplateOutcome::Unknown;
    desk.run(5_000);
    desk.forget();
    desk.say(wanted(0, 1, 1, &[0]));
    desk.run(150_000);
    assert_eq!(desk.times("health"), 10);
    let others = desk.commands.len() - 10;
    assert_eq!(
        others,
        desk.times("tell") + desk.times("observe"),
        "{}",
        desk.log
    );
    assert_eq!(desk.wanted.len(), 1, "the listing waits");

    desk.world.health = HealthOutcome::Ready;
    desk.world.write = Write::Honest;
    desk.world.is_readable = true;
    desk.forget();
    desk.run(16_000);
    assert!(desk.wanted.is_empty());
    insta::assert_snapshot!(desk.log);
}

#[test]
fn refused_renewal_asks_for_health_before_it_is_tried_again() {
    let mut desk = Desk::writing();
    desk.run(9_000);
    desk.world.health = unready(Unready::Unauthorized);
    desk.world.write = Write::Refused;
    desk.forget();
    desk.run(61_000);
    assert!(desk.times("write") <= 1, "{}", desk.log);
}

#[test]
fn health_that_goes_and_comes_back_resumes_what_failed_at_once() {
    let mut desk = Desk::writing();
    desk.shows_health = true;
    desk.run(9_999);
    desk.forget();
    desk.world.health = unready(Unready::Unreachable);
    desk.world.write = Write::RequestLost;
    desk.world.is_readable = false;
    desk.run(32_000);
    assert!(desk.coordinator.lease_until() < desk.now);
    desk.world.health = HealthOutcome::Ready;
    desk.world.write = Write::Honest;
    desk.world.is_readable = true;
    desk.forget();
    desk.run(5_000);
    insta::assert_snapshot!(desk.told());
}

#[test]
fn unanswered_health_is_not_asked_twice() {
    let mut desk = Desk::writing();
    desk.is_diligent = false;
    desk.run(8_000);
    assert_eq!(desk.times("health"), 1);
}
