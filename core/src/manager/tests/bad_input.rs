//! The tables of bad input in `docs/protocol.md` sections 3.1 and 3.2, and frames that are no messages.

use super::harness::{AGENT, Shard, frame, peer};
use super::{config, delta, plan, start};
use crate::config::Config;
use crate::document::FrameSummary;
use crate::id::{ConnectionId, NO_SESSION, SessionId};
use crate::manager::{Command, ConnectionKind, Event, FrameFlaw, Health, Observation, Unready};
use crate::time::Tick;
use crate::wire::{Hello, Mode, Reason, Start, Status};

/// The answer to a Start on a shard of this configuration, after some preparation.
fn refusal(config: Config, prepare: impl FnOnce(&mut Shard), start: Start) -> (Status, Reason) {
    let mut shard = Shard::ready(config);
    prepare(&mut shard);
    let before = shard.manager.figures().sessions;
    let ack = shard.start(AGENT, start, 9);
    if ack.status != Status::Ok {
        assert_eq!(ack.session, NO_SESSION.0);
        assert!(ack.retry_after_ms >= 5_000, "a refusal says when to return");
        assert_eq!(shard.manager.figures().sessions, before);
    }
    assert!(ack.max_items > 0, "every StartAck tells the largest size");
    (ack.status, ack.reason)
}

fn nothing(_: &mut Shard) {}

#[test]
fn each_objection_to_a_start_has_its_answer() {
    let other = |change: fn(&mut Start)| {
        let mut start = delta(1, 1);
        change(&mut start);
        refusal(config(), nothing, start)
    };
    let error = |reason| (Status::Error, reason);
    assert_eq!(other(|_| {}), (Status::Ok, Reason::None));
    assert_eq!(
        other(|start| start.agent_id = 2),
        error(Reason::IdentityMismatch)
    );
    assert_eq!(
        other(|start| start.module = "vd".to_owned()),
        error(Reason::InvalidMessage)
    );
    assert_eq!(
        other(|start| start.cluster_name = "elsewhere".to_owned()),
        error(Reason::ClusterMismatch)
    );
    assert_eq!(
        other(|start| start.mode = None),
        error(Reason::InvalidOperation)
    );
    for mode in Mode::ALL {
        if !matches!(mode, Mode::Full | Mode::Delta) {
            let answer = refusal(config(), nothing, start(*mode, 1, 1));
            assert_eq!(answer, error(Reason::InvalidOperation), "{mode}");
        }
    }
    assert_eq!(
        other(|start| start.id_to = Some("z".to_owned())),
        error(Reason::InvalidOperation)
    );
    assert_eq!(
        other(|start| start.id_from = Some(String::new())),
        (Status::Ok, Reason::None)
    );
    assert_eq!(
        other(|start| start.indices = vec!["sca".to_owned()]),
        error(Reason::IndexNotAllowed)
    );
    assert_eq!(other(|start| start.size = 0), error(Reason::SizeInvalid));
    assert_eq!(
        other(|start| {
            start.size = 0;
            start.mode = Some(Mode::Full);
        }),
        error(Reason::SizeInvalid)
    );
    assert_eq!(
        other(|start| start.size = u64::MAX),
        error(Reason::SizeInvalid)
    );
    assert_eq!(
        other(|start| start.cluster_name = "wazuh".to_owned()),
        (Status::Ok, Reason::None)
    );
}

#[test]
fn start_below_the_lowest_version_is_refused_unless_it_is_a_base_peers() {
    let strict = Config {
        protocol_version_min: 2,
        ..config()
    };
    let of_version = |protocol_version| Start {
        protocol_version,
        ..delta(1, 1)
    };
    let of = |version| refusal(strict.clone(), nothing, of_version(version));
    assert_eq!(of(1), (Status::Error, Reason::UnsupportedVersion));
    assert_eq!(of(2), (Status::Ok, Reason::None));
    assert_eq!(of(7), (Status::Ok, Reason::None));
    assert_eq!(of(0), (Status::Ok, Reason::None));
}

#[test]
fn start_waits_for_indexer_lease_bound_and_room() {
    let offline = |reason| (Status::Offline, reason);
    let after = |event: Event<u32>| refusal(config(), |shard| shard.say(event), delta(1, 1));
    assert_eq!(
        after(Event::Health {
            health: Health::Unready(Unready::Red),
        }),
        offline(Reason::IndexerUnavailable)
    );
    assert_eq!(
        after(Event::LeaseUntil { until: Tick(0) }),
        offline(Reason::IndexerUnavailable)
    );
    assert_eq!(after(Event::Shutdown), offline(Reason::ShuttingDown));
    assert_eq!(
        after(Event::QuotaSlice { items: 0, bytes: 9 }),
        offline(Reason::Overloaded)
    );
    let few = Config {
        sessions_max: 1,
        ..config()
    };
    let mut sca = delta(1, 1);
    sca.module = "sca".to_owned();
    let open_one = |shard: &mut Shard| {
        shard.session(sca);
    };
    assert_eq!(
        refusal(few, open_one, delta(1, 1)),
        offline(Reason::Overloaded)
    );
    // A shard that was told of no bound, no clock, no lease.
    let mut shard = Shard::new(config());
    let ack = shard.start(AGENT, delta(1, 1), 0);
    assert_eq!(ack.reason, Reason::IndexerUnavailable);
    shard.say(Event::Health {
        health: Health::Ready,
    });
    shard.say(Event::LeaseUntil { until: Tick(100) });
    let ack = shard.start(AGENT, delta(1, 1), 0);
    assert_eq!(ack.reason, Reason::IndexerUnavailable);
}

#[test]
fn identity_comes_first_and_nonce_before_content() {
    let mut shard = Shard::ready(config());
    shard.session(delta(1, 5));
    let wrong = |nonce| Start {
        mode: None,
        module: "syscollector".to_owned(),
        ..delta(1, nonce)
    };
    let mut foreign = wrong(5);
    foreign.agent_id = 3;
    assert_eq!(
        shard.start(AGENT, foreign, 1).reason,
        Reason::IdentityMismatch
    );
    assert_eq!(
        shard.start(AGENT, wrong(5), 1).reason,
        Reason::SessionExists
    );
    assert_eq!(
        shard.start(AGENT, wrong(4), 1).reason,
        Reason::SessionReplaced
    );
    assert_eq!(
        shard.start(AGENT, wrong(6), 1).reason,
        Reason::InvalidOperation
    );
    assert_eq!(shard.manager.figures().sessions, 1);
}

#[test]
fn session_that_is_not_the_senders_is_answered_and_left_alone() {
    let mut shard = Shard::ready(config());
    let id = shard.session(delta(2, 1));
    shard.open(2, ConnectionKind::Agent);
    let end = |shard: &mut Shard, peer, session| {
        shard.say(Event::End { peer, session });
        shard.end_acks(session).pop().unwrap().reason
    };
    let unknown = SessionId(12);
    assert_eq!(end(&mut shard, AGENT, unknown), Reason::SessionNotFound);
    assert_eq!(end(&mut shard, AGENT, NO_SESSION), Reason::SessionNotFound);
    assert_eq!(end(&mut shard, peer(2, 2), id), Reason::IdentityMismatch);
    assert_eq!(end(&mut shard, peer(1, 2), id), Reason::SessionNotFound);
    let seen = shard.count(|command| {
        matches!(
            command,
            Command::Observe(Observation::IdentityMismatch { session, .. }) if *session == id
        )
    });
    assert_eq!(seen, 1, "a security event");
    shard.items(peer(2, 2), frame(id, 0, 0, 10));
    assert_eq!(
        shard.count(|command| matches!(command, Command::Stage { .. })),
        0
    );
    shard.end(id);
    assert_eq!(shard.requests().len(), 1, "the session goes on");
}

fn flawed(id: SessionId) -> [(FrameSummary, Reason, &'static str); 4] {
    let good = frame(id, 0, 0, 10);
    [
        (
            FrameSummary {
                foreign_element: true,
                ..good.clone()
            },
            Reason::InvalidMessage,
            "another session",
        ),
        (frame(id, 1, 2, 10), Reason::SequenceOutOfRange, "2"),
        (
            FrameSummary {
                beyond: Some(1 << 40),
                ..good.clone()
            },
            Reason::SequenceOutOfRange,
            "1099511627776",
        ),
        (
            FrameSummary {
                unknown_operation: Some(1),
                ..good
            },
            Reason::InvalidOperation,
            "sequence 1",
        ),
    ]
}

#[test]
fn wrong_message_ends_its_session() {
    for row in 0..4 {
        let mut shard = Shard::ready(config());
        let id = shard.session(delta(2, 1));
        shard.data(id, 0, 0);
        let (frame, reason, named) = flawed(id)[row].clone();
        shard.items(AGENT, frame);
        let verdict = shard.verdict(id).unwrap();
        assert_eq!((verdict.status, verdict.reason), (Status::Error, reason));
        assert!(verdict.detail.contains(named), "{}", verdict.detail);
        shard.staged();
        assert_eq!(shard.manager.pending(), None);
    }
}

/// A wrong message may come late: then the session's requests are waited for.
#[test]
fn wrong_message_ends_a_session_on_its_way_too() {
    for row in 0..4 {
        let mut shard = Shard::ready(config());
        let id = shard.planned_delta(2, 0);
        shard.linger();
        let (frame, reason, _) = flawed(id)[row].clone();
        shard.items(AGENT, frame.clone());
        assert_eq!(shard.verdict(id), None, "a request is out");
        shard.store();
        assert_eq!(shard.verdict(id).unwrap().reason, reason);

        let planning = shard.complete(delta(2, 0));
        let (frame, reason, _) = flawed(planning)[row].clone();
        shard.items(AGENT, frame);
        assert_eq!(shard.verdict(planning).unwrap().reason, reason);
        shard.planned(planning, plan(2, 0));
        assert_eq!(shard.manager.pending(), None);
    }
}

#[test]
fn frame_that_is_no_message_is_answered_for_no_session() {
    let flaws = [
        FrameFlaw::Unverifiable,
        FrameFlaw::UnknownMember(8),
        FrameFlaw::WrongDirection,
    ];
    let mut shard = Shard::ready(config());
    let id = shard.session(delta(1, 1));
    for (place, flaw) in flaws.into_iter().enumerate() {
        shard.say(Event::BadFrame { peer: AGENT, flaw });
        let acks = shard.end_acks(NO_SESSION);
        assert_eq!(acks.len(), place + 1);
        let ack = acks.last().unwrap();
        assert_eq!(
            (ack.status, ack.reason),
            (Status::Error, Reason::InvalidMessage)
        );
    }
    assert_eq!(shard.verdict(id), None, "nothing is dropped for it");
}

#[test]
fn unverifiable_frames_in_a_row_close_an_agents_connection_only() {
    let bad = |shard: &mut Shard, peer, flaw| shard.say(Event::BadFrame { peer, flaw });
    let closed = |shard: &Shard, connection: u64| {
        shard.count(|command| {
            *command
                == Command::Close {
                    connection: ConnectionId(connection),
                }
        })
    };
    let mut shard = Shard::ready(config());
    for _ in 0..4 {
        bad(&mut shard, AGENT, FrameFlaw::Unverifiable);
    }
    // A good frame begins the count anew.
    shard.say(Event::Hello {
        peer: AGENT,
        hello: Box::new(Hello::default()),
    });
    for _ in 0..4 {
        bad(&mut shard, AGENT, FrameFlaw::Unverifiable);
        bad(&mut shard, AGENT, FrameFlaw::UnknownMember(99));
    }
    assert_eq!(closed(&shard, 1), 0);
    bad(&mut shard, AGENT, FrameFlaw::Unverifiable);
    bad(&mut shard, AGENT, FrameFlaw::Unverifiable);
    assert_eq!(closed(&shard, 1), 1, "closed once");

    shard.open(4, ConnectionKind::Relay);
    for _ in 0..20 {
        bad(&mut shard, peer(4, 4), FrameFlaw::Unverifiable);
    }
    assert_eq!(closed(&shard, 4), 0, "a relay carries others");
}
