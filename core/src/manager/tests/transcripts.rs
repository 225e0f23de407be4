//! Whole sessions as text: what the shard says, line by line. Regenerate with `INSTA_UPDATE=always` and
//! read the difference.

use super::harness::{AGENT, Shard, peer};
use super::{config, delta, diff, plan, start};
use crate::id::{ConnectionId, SessionId, Version};
use crate::manager::{ConnectionKind, Event, ListingOutcome};
use crate::wire::{Mode, Start};

/// Two sessions of one lane whose items are all stored: one planned and sent, one behind it.
fn busy_lane() -> (Shard, SessionId, SessionId) {
    let mut shard = Shard::ready(config());
    let first = shard.complete(delta(2, 1));
    shard.planned(first, plan(2, 0));
    let second = shard.complete(delta(1, 2));
    shard.linger();
    shard.log.clear();
    (shard, first, second)
}

#[test]
fn delta_is_stored() {
    let mut shard = Shard::ready(config());
    let id = shard.session(delta(5, 1));
    shard.data(id, 0, 2);
    shard.data(id, 2, 4);
    shard.end(id);
    shard.staged();
    shard.end(id);
    shard.planned(id, plan(3, 2));
    shard.linger();
    shard.store();
    shard.end(id);
    shard.data(id, 0, 2);
    insta::assert_snapshot!(shard.log);
}

#[test]
fn full_is_listed_compared_and_removes_last() {
    let mut shard = Shard::ready(config());
    let id = shard.complete(Start {
        indices: vec!["packages".to_owned()],
        ..start(Mode::Full, 4, 1)
    });
    shard.planned(id, plan(4, 0));
    shard.say(Event::Listed {
        session: id,
        outcome: ListingOutcome::Complete {
            highest: Version(5_000_000 * 1024),
            documents: 6,
        },
    });
    shard.say(Event::Diffed {
        session: id,
        diff: Some(Box::new(diff(2, 3))),
    });
    shard.linger();
    shard.store();
    shard.linger();
    shard.store();
    insta::assert_snapshot!(shard.log);
}

#[test]
fn empty_full_is_complete_at_its_end() {
    let mut shard = Shard::ready(config());
    let id = shard.session(Start {
        indices: vec!["ports".to_owned()],
        ..start(Mode::Full, 0, 1)
    });
    shard.end(id);
    shard.planned(id, plan(0, 0));
    shard.say(Event::Listed {
        session: id,
        outcome: ListingOutcome::Complete {
            highest: Version(0),
            documents: 0,
        },
    });
    shard.say(Event::Diffed {
        session: id,
        diff: Some(Box::default()),
    });
    insta::assert_snapshot!(shard.log);
}

#[test]
fn gaps_are_asked_for_and_close_without_another_end() {
    let mut config = config();
    config.ranges_per_request_max = 2;
    let mut shard = Shard::ready(config);
    let id = shard.session(delta(10, 1));
    for seq in [1, 3, 5, 7, 9] {
        shard.data(id, seq, seq);
    }
    shard.end(id);
    shard.staged();
    shard.data(id, 0, 2);
    shard.staged();
    shard.end(id);
    shard.data(id, 4, 4);
    shard.staged();
    shard.data(id, 6, 8);
    shard.staged();
    insta::assert_snapshot!(shard.log);
}

#[test]
fn base_peer_hears_one_start_ack_and_one_end_ack() {
    let mut shard = Shard::ready(config());
    let base = |size| Start {
        protocol_version: 0,
        ..delta(size, 0)
    };
    let id = shard.session(base(2));
    shard.data(id, 0, 0);
    shard.end(id);
    shard.staged();
    shard.data(id, 1, 1);
    shard.staged();
    shard.end(id);
    shard.planned(id, plan(2, 0));
    shard.linger();
    shard.store();
    let late = shard.session(base(2));
    shard.end(late);
    shard.pass(10_000);
    shard.say(Event::Shutdown);
    shard.start(AGENT, base(2), 0);
    insta::assert_snapshot!(shard.log);
}

#[test]
fn retransmitted_start_finds_its_session() {
    let mut shard = Shard::ready(config());
    let id = shard.session(delta(1, 9));
    shard.start(AGENT, delta(1, 9), 0);
    shard.start(AGENT, delta(2, 9), 1);
    shard.start(AGENT, delta(1, 8), 2);
    // An older connection does not take the session over, a newer one does.
    shard.open(2, ConnectionKind::Agent);
    shard.start(peer(1, 2), delta(1, 9), 0);
    shard.start(AGENT, delta(1, 9), 0);
    shard.say(Event::Closed {
        connection: ConnectionId(1),
    });
    shard.data(id, 0, 0);
    shard.items(peer(1, 2), super::harness::frame(id, 0, 0, 10));
    shard.staged();
    shard.say(Event::End {
        peer: peer(1, 2),
        session: id,
    });
    shard.planned(id, plan(1, 0));
    shard.linger();
    shard.store();
    shard.start(peer(1, 2), delta(1, 9), 0);
    shard.start(peer(1, 2), delta(2, 9), 1);
    // Another incarnation begins anew, with any counter.
    shard.start(peer(1, 2), delta(1, (5 << 32) + 1), 3);
    insta::assert_snapshot!(shard.log);
}

#[test]
fn newer_start_replaces_what_is_collecting() {
    let mut shard = Shard::ready(config());
    let first = shard.session(delta(3, 1));
    shard.data(first, 0, 1);
    let second = shard.session(delta(1, 2));
    shard.staged();
    shard.end(first);
    shard.data(second, 0, 0);
    insta::assert_snapshot!(shard.log);
}

#[test]
fn lane_takes_two_complete_sessions_and_sends_one_after_the_other() {
    let (mut shard, first, second) = busy_lane();
    shard.start(AGENT, delta(1, 3), 0);
    shard.planned(second, plan(1, 0));
    shard.end(first);
    shard.store();
    shard.start(AGENT, delta(1, 4), 0);
    shard.linger();
    shard.store();
    insta::assert_snapshot!(shard.log);
}
