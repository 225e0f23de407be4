//! What the store, the idle limit and the quotas make of a session on its way to completeness
//! (`docs/protocol.md` sections 3.2, 3.4 and 3.5).

use super::harness::{AGENT, Shard, frame, peer};
use super::{config, delta, plan, start};
use crate::config::Config;
use crate::id::{ConnectionId, SessionId, StageId};
use crate::manager::{Command, ConnectionKind, Event, Observation};
use crate::wire::{Mode, Reason, Start, Status};

fn fail_last(shard: &mut Shard) {
    let stage = shard.last_stage();
    shard.say(Event::StageFailed { stage });
}

fn reason(shard: &Shard, id: SessionId) -> Option<Reason> {
    shard.verdict(id).map(|verdict| verdict.reason)
}

fn stages(shard: &Shard) -> usize {
    shard.count(|command| matches!(command, Command::Stage { .. }))
}

#[test]
fn failed_write_leaves_its_gap_open() {
    let mut shard = Shard::ready(config());
    let id = shard.session(delta(4, 1));
    shard.data(id, 0, 1);
    shard.data(id, 2, 3);
    shard.end(id);
    fail_last(&mut shard);
    assert!(shard.requests().is_empty(), "a write is still open");
    shard.staged();
    let asked = &shard.requests()[0].seq;
    assert_eq!((asked.len(), asked[0].begin, asked[0].end), (1, 2, 3));
    assert_eq!(
        shard.manager.figures().bytes,
        1_000,
        "a failed write is given back"
    );
    shard.data(id, 2, 3);
    shard.staged();
    assert_eq!(shard.end_acks(id)[0].status, Status::Processing);
}

/// The gap was asked for; the write that should close it fails: it is asked for anew.
#[test]
fn failed_write_of_what_was_asked_for_is_asked_for_again() {
    let mut shard = Shard::ready(config());
    let id = shard.session(delta(2, 1));
    shard.end(id);
    shard.data(id, 0, 1);
    fail_last(&mut shard);
    assert_eq!(shard.requests().len(), 2);
    assert_eq!(shard.requests()[0], shard.requests()[1]);
}

#[test]
fn third_store_failure_ends_the_session() {
    let mut shard = Shard::ready(config());
    let id = shard.session(delta(3, 1));
    for _ in 0..2 {
        shard.data(id, 0, 0);
        fail_last(&mut shard);
        assert_eq!(reason(&shard, id), None);
    }
    shard.data(id, 0, 0);
    shard.data(id, 1, 1);
    let first = StageId(shard.last_stage().0 - 1);
    shard.say(Event::StageFailed { stage: first });
    assert_eq!(reason(&shard, id), Some(Reason::StorageFailure));
    // The write that is still open is answered to nobody.
    shard.staged();
    assert_eq!(shard.manager.pending(), None);
    assert_eq!(shard.manager.figures().bytes, 0);
}

#[test]
fn idle_limit_runs_from_the_last_thing_the_agent_owed() {
    let mut shard = Shard::ready(config());
    let id = shard.session(delta(3, 1));
    shard.pass(6_000);
    shard.data(id, 0, 0);
    shard.staged();
    shard.pass(9_999);
    assert_eq!(reason(&shard, id), None);
    shard.pass(1);
    assert_eq!(reason(&shard, id), Some(Reason::SessionTimeout));
    let detail = shard.verdict(id).unwrap().detail;
    assert!(
        detail.contains("1 of 3 items arrived, End not received"),
        "{detail}"
    );
}

#[test]
fn duplicates_do_not_renew_the_idle_limit() {
    let mut shard = Shard::ready(config());
    let id = shard.session(delta(3, 1));
    shard.data(id, 0, 0);
    shard.staged();
    for _ in 0..9 {
        shard.pass(1_000);
        shard.data(id, 0, 0);
        // Nor does the Start, again on the same connection.
        shard.start(AGENT, delta(3, 1), 0);
    }
    assert_eq!(reason(&shard, id), None);
    shard.pass(1_000);
    assert_eq!(reason(&shard, id), Some(Reason::SessionTimeout));
    assert_eq!(stages(&shard), 1);
}

#[test]
fn open_write_stops_the_idle_limit() {
    let mut shard = Shard::ready(config());
    let id = shard.session(delta(3, 1));
    shard.data(id, 0, 0);
    shard.pass(60_000);
    assert_eq!(reason(&shard, id), None, "the store is slow, not the agent");
    shard.staged();
    shard.pass(9_999);
    assert_eq!(reason(&shard, id), None);
    shard.pass(1);
    assert_eq!(reason(&shard, id), Some(Reason::SessionTimeout));
}

/// A shard in which agent 1 has two sessions: one idle, one whose writes pause their connection.
fn paused() -> (Shard, SessionId) {
    let mut shard = Shard::ready(config());
    let idle = shard.session(Start {
        module: "sca".to_owned(),
        ..delta(2, 1)
    });
    let busy = shard.session(delta(10, 1));
    shard.items(AGENT, frame(busy, 0, 0, 8 << 20));
    assert_eq!(paused_and_resumed(&shard), (0, 0), "at the limit");
    shard.items(AGENT, frame(busy, 1, 1, 1));
    shard.items(AGENT, frame(busy, 2, 2, 5 << 20));
    assert_eq!(paused_and_resumed(&shard), (1, 0), "paused once");
    (shard, idle)
}

fn paused_and_resumed(shard: &Shard) -> (usize, usize) {
    (
        shard.count(|command| matches!(command, Command::Pause { .. })),
        shard.count(|command| matches!(command, Command::Resume { .. })),
    )
}

#[test]
fn idle_limit_stands_still_while_the_connection_is_not_read() {
    let (mut shard, idle) = paused();
    shard.pass(60_000);
    assert_eq!(reason(&shard, idle), None);
    let last = shard.last_stage();
    shard.say(Event::Staged {
        upto: StageId(last.0 - 1),
    });
    assert_eq!(
        paused_and_resumed(&shard),
        (1, 0),
        "more than half is still open"
    );
    shard.staged();
    assert_eq!(paused_and_resumed(&shard), (1, 1));
    shard.pass(9_999);
    assert_eq!(reason(&shard, idle), None);
    shard.pass(1);
    assert_eq!(reason(&shard, idle), Some(Reason::SessionTimeout));
}

#[test]
fn closed_connection_counts_as_read() {
    let (mut shard, idle) = paused();
    shard.pass(60_000);
    shard.say(Event::Closed {
        connection: ConnectionId(1),
    });
    shard.pass(10_000);
    assert_eq!(reason(&shard, idle), Some(Reason::SessionTimeout));
    shard.staged();
    assert_eq!(
        paused_and_resumed(&shard),
        (1, 0),
        "there is nothing to resume"
    );
}

#[test]
fn relay_is_not_paused_and_its_agent_is_overloaded() {
    let mut shard = Shard::ready(config());
    shard.open(5, ConnectionKind::Relay);
    let relayed = |agent| Start {
        agent_id: agent,
        ..delta(9, 1)
    };
    let mut open = |agent| {
        let ack = shard.start(peer(agent, 5), relayed(agent), 0);
        SessionId(ack.session)
    };
    let (fast, slow) = (open(6), open(7));
    for seq in 0..4 {
        shard.items(peer(6, 5), frame(fast, seq, seq, 5 << 20));
    }
    assert_eq!(paused_and_resumed(&shard), (0, 0));
    let verdict = shard.verdict(fast).unwrap();
    assert_eq!(
        (verdict.status, verdict.reason),
        (Status::Offline, Reason::Overloaded)
    );
    shard.items(peer(7, 5), frame(slow, 0, 0, 10));
    assert_eq!(reason(&shard, slow), None, "others go on");
}

#[test]
fn frame_that_never_fits_ends_its_session() {
    let limits: [fn(&mut Config); 4] = [
        |config| config.bytes_per_session_max = 1_500,
        |config| config.bytes_per_agent_max = 1_500,
        |config| config.bytes_max = 1_500,
        |config| config.runs_per_session_max = 1,
    ];
    for limit in limits {
        let mut config = config();
        limit(&mut config);
        let mut shard = Shard::ready(config);
        let id = shard.session(delta(9, 1));
        shard.data(id, 0, 0);
        shard.staged();
        assert_eq!(reason(&shard, id), None);
        shard.data(id, 4, 4);
        assert_eq!(reason(&shard, id), Some(Reason::Overloaded));
        assert_eq!(shard.verdict(id).unwrap().status, Status::Offline);
        assert_eq!(shard.manager.figures().bytes, 0, "everything is given back");
        assert_eq!(shard.manager.figures().items, 0);
    }
}

/// A limit is what may be had, to the last byte and gap.
#[test]
fn frame_that_fits_exactly_is_taken() {
    let limits: [fn(&mut Config); 4] = [
        |config| config.bytes_per_session_max = 2_000,
        |config| config.bytes_per_agent_max = 2_000,
        |config| config.bytes_max = 2_000,
        |config| config.runs_per_session_max = 2,
    ];
    for limit in limits {
        let mut config = config();
        limit(&mut config);
        let mut shard = Shard::ready(config);
        let id = shard.session(delta(9, 1));
        for seq in [0, 4] {
            shard.data(id, seq, seq);
            shard.staged();
        }
        assert_eq!((stages(&shard), reason(&shard, id)), (2, None));
        shard.data(id, 8, 8);
        assert_eq!(reason(&shard, id), Some(Reason::Overloaded));
    }
}

#[test]
fn share_of_a_relayed_agent_is_what_may_be_open() {
    let mut shard = Shard::ready(Config {
        open_bytes_per_connection_max: 1_000,
        ..config()
    });
    shard.open(5, ConnectionKind::Relay);
    let ack = shard.start(peer(1, 5), delta(9, 1), 0);
    let id = SessionId(ack.session);
    for (seq, expected) in [(0, None), (1, None), (2, Some(Reason::Overloaded))] {
        shard.items(peer(1, 5), frame(id, seq, seq, 1_000));
        assert_eq!(reason(&shard, id), expected, "frame {seq}");
    }
}

/// Only what will free room is waited for: a complete session that holds nothing will not.
#[test]
fn session_without_bytes_is_not_waited_for() {
    let mut shard = Shard::ready(Config {
        bytes_max: 1_500,
        ..config()
    });
    let empty = shard.complete(Start {
        module: "sca".to_owned(),
        indices: vec!["sca".to_owned()],
        ..start(Mode::Full, 0, 0)
    });
    assert_eq!(reason(&shard, empty), None, "it is complete, and waits");
    let id = shard.session(delta(9, 1));
    shard.data(id, 0, 0);
    shard.staged();
    shard.data(id, 4, 4);
    assert_eq!(reason(&shard, id), Some(Reason::Overloaded));
}

/// While a complete session will free room, what does not fit is left out and asked for again.
#[test]
fn frame_that_will_fit_later_leaves_its_gap() {
    let mut shard = Shard::ready(Config {
        bytes_max: 1_500,
        ..config()
    });
    let first = shard.planned_delta(2, 0);
    shard.linger();
    let second = shard.session(delta(2, 0));
    shard.data(second, 0, 1);
    assert_eq!(stages(&shard), 1);
    assert_eq!(reason(&shard, second), None);
    shard.store();
    assert_eq!(reason(&shard, first), Some(Reason::None));
    shard.end(second);
    assert_eq!(shard.requests().len(), 1);
    shard.data(second, 0, 1);
    assert_eq!(stages(&shard), 2);
}

#[test]
fn announced_items_are_counted_and_given_back() {
    let mut shard = Shard::ready(Config {
        items_per_agent_max: 10,
        ..config()
    });
    let other = |size| Start {
        module: "sca".to_owned(),
        ..delta(size, 0)
    };
    let first = shard.session(delta(6, 0));
    let ack = shard.start(AGENT, other(5), 0);
    assert_eq!(ack.reason, Reason::Overloaded);
    assert_eq!(ack.max_items, 10);
    let second = shard.session(other(4));
    assert_eq!(shard.manager.figures().items, 10);
    shard.pass(10_000);
    assert_eq!(reason(&shard, first), Some(Reason::SessionTimeout));
    assert_eq!(reason(&shard, second), Some(Reason::SessionTimeout));
    assert_eq!(shard.manager.figures().items, 0);
    shard.say(Event::QuotaSlice {
        items: 3,
        bytes: 100,
    });
    let ack = shard.start(AGENT, other(4), 0);
    assert_eq!(ack.reason, Reason::Overloaded);
    let third = shard.session(other(3));
    shard.data(third, 0, 0);
    assert_eq!(
        reason(&shard, third),
        Some(Reason::Overloaded),
        "the slice of bytes"
    );
}

#[test]
fn late_and_unknown_answers_of_the_store_change_nothing() {
    let mut shard = Shard::ready(config());
    shard.say(Event::Staged { upto: StageId(9) });
    shard.say(Event::StageFailed { stage: StageId(9) });
    let stale = |shard: &Shard| {
        shard.count(|command| matches!(command, Command::Observe(Observation::StaleAnswer)))
    };
    assert_eq!(stale(&shard), 2);
    let id = shard.complete(delta(1, 1));
    shard.planned(SessionId(1), plan(1, 0));
    assert_eq!(stale(&shard), 3);
    shard.say(Event::Planned {
        session: id,
        plan: None,
    });
    assert_eq!(reason(&shard, id), Some(Reason::StorageFailure));
    shard.planned(id, plan(1, 0));
    assert_eq!(stale(&shard), 4);
}
