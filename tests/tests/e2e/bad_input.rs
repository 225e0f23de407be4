//! The table of bad input (`docs/protocol.md` section 3.2) over real sockets: what the sender is told, field
//! by field, and what becomes of its session, of its neighbours and of the counters.
//!
//! ```text
//!  agent A ── right, wrong, right … ──▶ daemon ──▶ A is told, and nobody else
//!  agent B ── right, …   right     ──▶        ──▶ B ends Ok, its documents are there
//! ```
//!
//! On the relay, A and B share the connection. `docs/bad-input.md` says which test shows which row.

use std::collections::BTreeMap;

use inventory_sync_core::agent::Answer;
use inventory_sync_core::wire::{
    DataClean, DataContext, EndAck, Hello, NO_SESSION, Reason, ReqRet, StartAck, Status,
    encode_checksum_module, encode_data_clean, encode_data_context, encode_end_ack, encode_hello,
    encode_req_ret, encode_start_ack,
};
use inventory_tests::World;
use inventory_tests::connection::Connection;
use inventory_tests::counts::{Counts, counted};
use inventory_tests::daemon::Daemon;
use inventory_tests::document::{Document, PACKAGES, agent_info, packages};
use inventory_tests::forged::{self, RawItem};
use inventory_tests::peer::{Peer, relay};
use inventory_tests::session::{end, start};

/// The module of all sessions here.
pub(crate) const MODULE: &str = "syscollector";

/// A daemon that takes this process for a relay.
pub(crate) async fn daemon(world: &World) -> Daemon {
    let own = nix::unistd::geteuid().as_raw();
    let setup = world.setup().with("router.relay_uids", own);
    setup.start_ready().await
}

/// What a refusal says to be waited for: the setting, with jitter up to as much again.
#[track_caller]
pub(crate) fn check_retry_after(daemon: &Daemon, retry_after_ms: u32, what: &str) {
    let least: u32 = daemon
        .setup
        .get("session.retry_after_ms")
        .parse()
        .expect("ms");
    assert!(
        (least..=2 * least).contains(&retry_after_ms),
        "{what}: come again after {retry_after_ms} ms"
    );
}

/// What an error says that belongs to no session of the sender.
pub(crate) fn plain(session: u64, reason: Reason, detail: &str) -> EndAck {
    EndAck {
        status: Status::Error,
        session,
        reason,
        detail: detail.to_owned(),
        ..EndAck::default()
    }
}

/// Waits until the sessions that are open hold so many items.
pub(crate) async fn until_announced(daemon: &Daemon, items: u64, what: &str) {
    let what = format!("{what}: {items} items are announced");
    daemon
        .until_status(&what, |status| {
            (status["sessions"]["items"].as_u64() == Some(items)).then_some(())
        })
        .await;
}

/// The row as it is found: base peers say nothing of themselves.
pub(crate) async fn check(world: &World, peer: Peer, agent: u64, documents: &[Document]) {
    let info = if peer.is_base {
        Default::default()
    } else {
        agent_info(agent)
    };
    let indices = [PACKAGES, "wazuh-states-fim-files"];
    world.check_with(&indices, agent, &info, documents).await;
}

/// A frame that drops nothing.
struct Refused {
    what: String,
    frame: Vec<u8>,
    answer: EndAck,
    counted: BTreeMap<String, u64>,
}

impl Refused {
    fn new(
        what: impl Into<String>,
        frame: Vec<u8>,
        (session, reason, detail): (u64, Reason, &str),
        counter: &str,
    ) -> Self {
        Self {
            what: what.into(),
            frame,
            answer: plain(session, reason, detail),
            counted: counted(&[(counter, 1)]),
        }
    }
}

/// Sessions that are not there, and those of another agent, by every message that can name one.
fn of_other_sessions(own: u64, others: u64) -> Vec<Refused> {
    let row = &packages(0..1, "1")[0];
    let mut all = Vec::new();
    let unknown = [own ^ 1, 0, NO_SESSION];
    for (session, reason, detail, counter) in unknown
        .map(|session| {
            let (reason, detail) = (Reason::SessionNotFound, "no such session");
            (session, reason, detail, "unknown_sessions")
        })
        .into_iter()
        .chain([(
            others,
            Reason::IdentityMismatch,
            "the session belongs to another agent",
            "identity_mismatches",
        )])
    {
        for (name, frame) in [
            ("Data", forged::data(session, RawItem::of(0, row))),
            (
                "DataBatch",
                forged::batch(session, &[RawItem::of(0, row), RawItem::of(1, row)]),
            ),
            ("End", end(session)),
        ] {
            let what = format!("{name} for session {session}, own {own}");
            all.push(Refused::new(
                what,
                frame,
                (session, reason, detail),
                counter,
            ));
        }
    }
    all
}

/// Messages that are not for a manager, or for none of this build.
fn of_other_members() -> Vec<Refused> {
    let unknown = |number: u8| format!("this manager does not know message type {number}");
    let direction = || "only a manager sends this message".to_owned();
    let members = [
        (
            "StartAck",
            encode_start_ack(&StartAck::default()),
            direction(),
        ),
        ("EndAck", encode_end_ack(&EndAck::default()), direction()),
        ("ReqRet", encode_req_ret(&ReqRet::default()), direction()),
        (
            "DataClean",
            encode_data_clean(&DataClean::default()),
            unknown(8),
        ),
        (
            "DataContext",
            encode_data_context(&DataContext::default()),
            unknown(9),
        ),
        (
            "ChecksumModule",
            encode_checksum_module(&Default::default()),
            unknown(10),
        ),
        ("member 12", forged::unknown_member(12), unknown(12)),
        ("member 255", forged::unknown_member(255), unknown(255)),
    ];
    let refused = members.into_iter().map(|(what, frame, detail)| {
        let answer = (NO_SESSION, Reason::InvalidMessage, detail.as_str());
        Refused::new(what, frame, answer, "bad_frames")
    });
    refused.collect()
}

fn malformed() -> Vec<Refused> {
    let row = &packages(0..1, "1")[0];
    let aliased = (
        "a list of 10 000 times one item".to_owned(),
        forged::aliased_batch(7, RawItem::of(0, row), 10_000),
    );
    let all = forged::malformed().into_iter().chain([aliased]);
    let refused = all.map(|(what, frame)| {
        let detail = "the frame is not a verifiable message";
        let answer = (NO_SESSION, Reason::InvalidMessage, detail);
        Refused::new(what, frame, answer, "bad_frames")
    });
    refused.collect()
}

#[tokio::test]
async fn a_message_that_is_refused_drops_nothing() {
    let world = World::new("drops-nothing");
    let daemon = daemon(&world).await;
    for (place, peer) in (0..).zip(Peer::ALL) {
        let agents = [2 * place + 1, 2 * place + 2];
        let mut two = peer.two(&world, &daemon, agents).await;
        let size = 43;
        let rows = packages(0..size, "1");
        let size = u64::from(size);
        let own = two.open_session(0, &peer.start(agents[0], size)).await;
        let others = two.open_session(1, &peer.start(agents[1], 1)).await;
        let mut refused = of_other_sessions(own, others);
        refused.extend(of_other_members());
        refused.extend(malformed());
        assert_eq!(
            refused.len(),
            rows.len() - 1,
            "as many as there are right frames between them"
        );
        for (seq, refused) in (0..).zip(&refused) {
            let what = format!("{peer:?}, {}", refused.what);
            let before = Counts::of(&daemon).await;
            let right = RawItem::of(seq, &rows[usize::try_from(seq).unwrap()]);
            two.send(0, &forged::data(own, right)).await;
            two.send(0, &refused.frame).await;
            assert_eq!(two.end_ack(0, &what).await, refused.answer, "{what}");
            let grown = Counts::of(&daemon).await.since(&before);
            assert_eq!(grown, refused.counted, "{what}");
        }
        for (which, session, seq) in [(0, own, size - 1), (1, others, 0)] {
            let what = format!("{peer:?}, agent {}", agents[which]);
            let last = &rows[usize::try_from(seq).unwrap()];
            two.send(which, &forged::data(session, RawItem::of(seq, last)))
                .await;
            two.send(which, &end(session)).await;
            let ack = two.verdict(which, peer.is_base, &what).await;
            assert_eq!((ack.status, ack.session), (Status::Ok, session), "{what}");
        }
        check(&world, peer, agents[0], &rows).await;
        check(&world, peer, agents[1], &rows[..1]).await;
    }
    until_announced(&daemon, 0, "at the end").await;
    assert!(!daemon.kill_and_find_staged(), "nothing is left behind");
}

#[tokio::test]
async fn garbage_in_a_row_closes_an_agents_connection_and_never_a_relays() {
    let world = World::new("garbage");
    let daemon = daemon(&world).await;
    let garbage = b"no message at all, but in a frame";
    let answer = plain(
        NO_SESSION,
        Reason::InvalidMessage,
        "the frame is not a verifiable message",
    );
    let rows = packages(0..2, "1");
    let begin = start(1, 2, 1 << 32 | 1);
    let mut agent = Connection::open(&world.endpoint(1)).await.unwrap();
    let session = agent.open_session(&begin).await;
    agent
        .send(&forged::data(session, RawItem::of(0, &rows[0])))
        .await;
    for round in 0..2 {
        for _ in 0..4 {
            agent.send(garbage).await;
            assert_eq!(agent.end_ack().await, answer, "round {round}");
        }
        // Something sensible in between, and the count begins anew.
        agent.send(&encode_hello(&Hello::default())).await;
        assert!(matches!(agent.answer().await, Answer::Hello(_)));
    }
    for _ in 0..5 {
        agent.send(garbage).await;
    }
    for _ in 0..5 {
        assert_eq!(agent.end_ack().await, answer, "also to the last");
    }
    agent.closed().await;
    // The agent is not banned, and its session goes on where it was.
    let mut agent = Connection::open(&world.endpoint(1)).await.unwrap();
    assert_eq!(agent.open_session(&begin).await, session);
    agent
        .send(&forged::data(session, RawItem::of(1, &rows[1])))
        .await;
    agent.send(&end(session)).await;
    let ack = agent.verdict().await;
    assert_eq!(ack.status, Status::Ok, "{ack:?}");
    world.check(&[PACKAGES], 1, &rows).await;

    let mut connection = Connection::open(&relay(&daemon, 2)).await.unwrap();
    let session = connection.open_session(&start(2, 1, 2 << 32 | 1)).await;
    connection.speak_for(3);
    for count in 0..25 {
        connection.send(garbage).await;
        let (named, told) = connection.answer_to().await;
        let told = match told {
            Answer::EndAck(ack) => *ack,
            other => panic!("{other:?}"),
        };
        assert_eq!((named, told), (Some(3), answer.clone()), "frame {count}");
    }
    connection.speak_for(2);
    connection
        .send(&forged::data(session, RawItem::of(0, &rows[0])))
        .await;
    connection.send(&end(session)).await;
    let ack = connection.verdict().await;
    assert_eq!(ack.status, Status::Ok, "{ack:?}");
    world.check(&[PACKAGES], 2, &rows[..1]).await;
    let bad = daemon.metric("inventory_sync_bad_frames_total").await;
    assert!((bad - 38.0).abs() < 0.5, "{bad} bad frames were counted");
}

/// A message that ends its session, of three items, of which the first has arrived.
struct Ending {
    what: &'static str,
    frame: fn(u64, &[Document]) -> Vec<u8>,
    reason: Reason,
    detail: &'static str,
}

const ENDINGS: &[Ending] = &[
    Ending {
        what: "an element for another session",
        frame: |own, rows| {
            let stray = RawItem {
                session: own ^ 1,
                ..RawItem::of(2, &rows[2])
            };
            forged::batch(own, &[RawItem::of(1, &rows[1]), stray])
        },
        reason: Reason::InvalidMessage,
        detail: "an element of the batch names another session",
    },
    Ending {
        what: "an element for no session, and a sequence that is too high",
        frame: |own, rows| {
            let stray = RawItem {
                session: u64::MAX,
                ..RawItem::of(9, &rows[2])
            };
            forged::batch(own, &[stray])
        },
        reason: Reason::InvalidMessage,
        detail: "an element of the batch names another session",
    },
    Ending {
        what: "the sequence at size",
        frame: |own, rows| forged::data(own, RawItem::of(3, &rows[1])),
        reason: Reason::SequenceOutOfRange,
        detail: "sequence 3 of a session of 3",
    },
    Ending {
        what: "a sequence at size behind good ones in a batch",
        frame: |own, rows| {
            let at = |seq: u64| RawItem::of(seq, &rows[1]);
            forged::batch(own, &[at(1), at(2), at(3)])
        },
        reason: Reason::SequenceOutOfRange,
        detail: "sequence 3 of a session of 3",
    },
    Ending {
        what: "the last sequence of 32 bits",
        frame: |own, rows| forged::data(own, RawItem::of(u64::from(u32::MAX), &rows[1])),
        reason: Reason::SequenceOutOfRange,
        detail: "sequence 4294967295 of a session of 3",
    },
    Ending {
        what: "a sequence that is 1 in 32 bits",
        frame: |own, rows| forged::data(own, RawItem::of((1 << 32) + 1, &rows[1])),
        reason: Reason::SequenceOutOfRange,
        detail: "sequence 4294967297 of a session of 3",
    },
    Ending {
        what: "the last sequence of all",
        frame: |own, rows| forged::data(own, RawItem::of(u64::MAX, &rows[1])),
        reason: Reason::SequenceOutOfRange,
        detail: "sequence 18446744073709551615 of a session of 3",
    },
    Ending {
        what: "an unknown operation",
        frame: |own, rows| {
            let operation = RawItem {
                operation: 2,
                ..RawItem::of(1, &rows[1])
            };
            forged::data(own, operation)
        },
        reason: Reason::InvalidOperation,
        detail: "unknown operation at sequence 1",
    },
    Ending {
        what: "an unknown operation behind a good one in a batch",
        frame: |own, rows| {
            let operation = RawItem {
                operation: -1,
                ..RawItem::of(2, &rows[2])
            };
            forged::batch(own, &[RawItem::of(1, &rows[1]), operation])
        },
        reason: Reason::InvalidOperation,
        detail: "unknown operation at sequence 2",
    },
];

#[tokio::test]
async fn a_wrong_message_ends_its_session_and_no_other() {
    let world = World::new("wrong-message");
    let daemon = daemon(&world).await;
    let rows = packages(0..3, "1");
    let mut agents = [1, 2];
    for peer in Peer::ALL {
        for ending in ENDINGS {
            let what = format!("{peer:?}, {}", ending.what);
            let mut two = peer.two(&world, &daemon, agents).await;
            let before = Counts::of(&daemon).await;
            let own = two.open_session(0, &peer.start(agents[0], 3)).await;
            let others = two.open_session(1, &peer.start(agents[1], 2)).await;
            for (which, session) in [(0, own), (1, others)] {
                two.send(which, &forged::data(session, RawItem::of(0, &rows[0])))
                    .await;
            }
            until_announced(&daemon, 5, &what).await;
            two.send(0, &(ending.frame)(own, &rows)).await;
            let ack = two.end_ack(0, &what).await;
            check_retry_after(&daemon, ack.retry_after_ms, &what);
            let wanted = EndAck {
                module: MODULE.to_owned(),
                retry_after_ms: ack.retry_after_ms,
                version: ack.version,
                ..plain(own, ending.reason, ending.detail)
            };
            assert_eq!(ack, wanted, "{what}");
            until_announced(&daemon, 2, &what).await;
            // It is over: what comes late is ignored, and asked again, the verdict is the same.
            for (seq, row) in (0..).zip(&rows) {
                two.send(0, &forged::data(own, RawItem::of(seq, row))).await;
            }
            two.send(0, &end(own)).await;
            assert_eq!(two.end_ack(0, &what).await, ack, "{what}");
            two.send(1, &forged::data(others, RawItem::of(1, &rows[1])))
                .await;
            two.send(1, &end(others)).await;
            let verdict = two.verdict(1, peer.is_base, &what).await;
            assert_eq!(verdict.status, Status::Ok, "{what}: {verdict:?}");
            let grown = Counts::of(&daemon).await.since(&before);
            let ended = format!("sessions_ended{{Error,{}}}", ending.reason.name());
            let wanted = counted(&[(&ended, 1), ("sessions_ended{Ok,None}", 1)]);
            assert_eq!(grown, wanted, "{what}");
            check(&world, peer, agents[0], &[]).await;
            check(&world, peer, agents[1], &rows[..2]).await;
            until_announced(&daemon, 0, &what).await;
            agents = agents.map(|agent| agent + 2);
        }
    }
    assert!(!daemon.kill_and_find_staged(), "nothing is left behind");
}
