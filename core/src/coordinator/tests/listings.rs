//! Listings: shared, told to each once, never kept from those that can be served.

use super::desk::Desk;
use super::{cancelled, config, wanted};
use crate::coordinator::{Command, Config, ListingReport, RefreshOutcome};
use crate::id::IndexId;
use crate::manager::ListingOutcome;

#[test]
fn those_that_come_together_are_served_together() {
    let mut desk = Desk::writing();
    desk.say(wanted(0, 1, 1, &[0, 1]));
    desk.run(10);
    desk.say(wanted(1, 2, 2, &[2]));
    desk.say(wanted(1, 3, 3, &[1]));
    assert_eq!(desk.times("refresh"), 0, "company is waited for");
    desk.run(10);
    insta::assert_snapshot!(desk.log);
}

#[test]
fn at_most_sixty_four_agents_are_served_at_once() {
    let mut desk = Desk::writing();
    desk.is_diligent = false;
    for agent in 1..=130 {
        desk.say(wanted(0, agent, agent, &[0]));
    }
    assert_eq!(
        desk.times("refresh"),
        1,
        "sixty-four need not wait for more"
    );
    desk.run(20);
    desk.is_diligent = true;
    desk.answer();
    let served: Vec<usize> = desk
        .commands
        .iter()
        .filter_map(|command| match command {
            Command::List { targets, .. } => Some(targets.len()),
            _ => None,
        })
        .collect();
    assert_eq!(served, [64, 64, 2]);
    assert!(desk.wanted.is_empty());
}

#[test]
fn an_agent_is_listed_for_one_session_at_a_time() {
    let mut desk = Desk::writing();
    desk.say(wanted(0, 1, 1, &[0]));
    desk.say(wanted(0, 2, 1, &[2]));
    desk.say(wanted(0, 3, 2, &[2]));
    desk.run(20);
    insta::assert_snapshot!(desk.log);
}

#[test]
fn a_session_that_waits_no_longer_is_not_listed() {
    let mut desk = Desk::writing();
    desk.say(wanted(0, 1, 1, &[0]));
    desk.say(wanted(1, 1, 2, &[1]));
    desk.say(cancelled(0, 1));
    desk.say(cancelled(0, 77));
    desk.run(20);
    assert_eq!(desk.times("list packages for 1/1 (agent 2)"), 1);
    assert!(desk.wanted.is_empty());
    assert_eq!(desk.coordinator.pending(), None);
}

#[test]
fn answer_to_a_cancelled_question_is_not_taken_for_that_to_the_next() {
    let mut desk = Desk::writing();
    desk.is_diligent = false;
    desk.say(wanted(0, 1, 1, &[0]));
    desk.run(20);
    desk.answer();
    desk.say(cancelled(0, 1));
    desk.say(wanted(0, 1, 1, &[0]));
    desk.answer();
    assert_eq!(desk.times("tell shard 0: session 1"), 0);
    desk.run(20);
    desk.is_diligent = true;
    desk.answer();
    assert_eq!(desk.times("tell shard 0: session 1: 10 documents"), 1);
}

#[test]
fn paused_index_is_told_to_those_that_need_it_and_the_others_are_asked_for_again() {
    let mut desk = Desk::writing();
    desk.is_diligent = false;
    desk.say(wanted(0, 1, 1, &[0, 1]));
    desk.say(wanted(0, 2, 2, &[1]));
    desk.say(wanted(1, 3, 3, &[2]));
    desk.say(wanted(1, 4, 4, &[1]));
    desk.run(20);
    desk.world.refresh = RefreshOutcome::Paused {
        indices: vec![IndexId(0)],
    };
    desk.answer();
    desk.world.refresh = RefreshOutcome::Done;
    desk.world.listing = Some(ListingReport::Paused {
        indices: vec![IndexId(2)],
    });
    desk.answer();
    desk.answer();
    desk.say(cancelled(1, 4));
    desk.world.listing = None;
    desk.answer();
    desk.answer();
    assert!(desk.open.is_empty());
    insta::assert_snapshot!(desk.log);
}

#[test]
fn one_that_is_cancelled_while_it_is_listed_is_not_listed_again() {
    let mut desk = Desk::writing();
    desk.is_diligent = false;
    desk.say(wanted(0, 1, 1, &[0]));
    desk.say(wanted(0, 2, 2, &[1]));
    desk.run(20);
    desk.say(cancelled(0, 2));
    desk.world.refresh = RefreshOutcome::Paused {
        indices: vec![IndexId(0)],
    };
    desk.answer();
    assert!(desk.open.is_empty());
    assert_eq!(desk.times("tell shard 0"), 1);
}

#[test]
fn failure_is_told_to_all() {
    for (refresh, listing) in [
        (RefreshOutcome::Failed, None),
        (RefreshOutcome::Done, Some(ListingReport::Failed)),
        (
            RefreshOutcome::Done,
            Some(ListingReport::Complete {
                targets: vec![ListingOutcome::Failed],
            }),
        ),
        (
            RefreshOutcome::Done,
            Some(ListingReport::Paused {
                indices: vec![IndexId(1)],
            }),
        ),
    ] {
        let mut desk = Desk::writing();
        desk.world.refresh = refresh;
        desk.world.listing = listing;
        desk.say(wanted(0, 1, 1, &[0]));
        desk.say(wanted(1, 2, 2, &[2]));
        desk.run(20);
        assert_eq!(desk.times("tell shard 0: session 1: not listed"), 1);
        assert_eq!(desk.times("tell shard 1: session 2: not listed"), 1);
        assert_eq!(desk.coordinator.pending(), None);
    }
}

#[test]
fn linger_of_zero_asks_at_once() {
    let mut desk = Desk::writing_as(Config {
        listing_linger_ms: 0,
        ..config()
    });
    desk.say(wanted(0, 1, 1, &[0]));
    assert_eq!(desk.times("tell shard 0: session 1: 10 documents"), 1);
}
