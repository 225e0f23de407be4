//! Frames that come again: of a finished session, of an earlier connection, of another agent, and whole sessions
//! (`docs/protocol.md` sections 2, 3.1 and 3.2). None of them writes anything twice, or at all.

use inventory_sync_core::wire::{
    EndAck, NO_SESSION, Reason, Start, StartAck, Status, encode_start,
};
use inventory_tests::World;
use inventory_tests::connection::Connection;
use inventory_tests::counts::{Counts, counted};
use inventory_tests::daemon::Daemon;
use inventory_tests::document::{Document, PACKAGES, packages};
use inventory_tests::forged::{self, RawItem};
use inventory_tests::session::{end, start};

/// Everything that an agent sent in a session, and what it was answered.
struct Recorded {
    start: Start,
    ack: StartAck,
    data: Vec<Vec<u8>>,
    verdict: EndAck,
}

impl Recorded {
    fn session(&self) -> u64 {
        self.ack.session
    }
}

/// Runs an honest session to its end.
async fn record(connection: &mut Connection, start: Start, rows: &[Document]) -> Recorded {
    connection.send(&encode_start(&start)).await;
    let ack = connection.start_ack().await;
    assert_eq!(ack.status, Status::Ok, "{ack:?}");
    let data = (0..).zip(rows);
    let data: Vec<_> = data
        .map(|(seq, row)| forged::data(ack.session, RawItem::of(seq, row)))
        .collect();
    for frame in &data {
        connection.send(frame).await;
    }
    connection.send(&end(ack.session)).await;
    let verdict = connection.verdict().await;
    assert_eq!(verdict.status, Status::Ok, "{verdict:?}");
    Recorded {
        start,
        ack,
        data,
        verdict,
    }
}

/// What the daemon and the Indexer have done so far.
#[derive(Debug, PartialEq)]
struct Work {
    bulks: u64,
    opened: u64,
    versions: Vec<(String, u64)>,
}

async fn work(world: &World, daemon: &Daemon) -> Work {
    let found = world
        .indexer
        .documents(&[PACKAGES], &world.cluster, 1)
        .await;
    let whole = async |name: &str| daemon.metric(name).await.round() as u64;
    Work {
        bulks: whole("inventory_sync_bulk_requests_total").await,
        opened: whole("inventory_sync_sessions_opened_total").await,
        versions: found
            .into_iter()
            .map(|((_, id), stored)| (id, stored.version))
            .collect(),
    }
}

/// Plays a finished session again, on whatever connection of its agent.
async fn play_again(connection: &mut Connection, recorded: &Recorded, what: &str) {
    connection.send(&encode_start(&recorded.start)).await;
    let again = connection.start_ack().await;
    let wanted = StartAck {
        // The highest that was given meanwhile.
        version: again.version,
        ..recorded.ack.clone()
    };
    assert_eq!(again, wanted, "{what}");
    for frame in &recorded.data {
        connection.send(frame).await;
    }
    connection.send(&end(recorded.session())).await;
    assert_eq!(connection.end_ack().await, recorded.verdict, "{what}");
}

fn not_found(session: u64) -> EndAck {
    EndAck {
        status: Status::Error,
        session,
        reason: Reason::SessionNotFound,
        detail: "no such session".to_owned(),
        ..EndAck::default()
    }
}

#[tokio::test]
async fn what_is_sent_again_is_not_done_again() {
    let world = World::new("replay");
    let daemon = world.setup().start_ready().await;
    let mut first = Connection::open(&world.endpoint(1)).await.unwrap();
    let old = packages(0..5, "1");
    let nonce = 9_u64 << 32 | 100;
    let recorded = record(&mut first, start(1, 5, nonce), &old).await;
    let done = work(&world, &daemon).await;

    play_again(&mut first, &recorded, "on its own connection").await;
    drop(first);
    let mut second = Connection::open(&world.endpoint(1)).await.unwrap();
    play_again(&mut second, &recorded, "on a newer connection").await;
    assert_eq!(work(&world, &daemon).await, done);

    // A newer session is open: frames of the finished one are not its own.
    let new = packages(0..5, "2");
    let next = Start {
        nonce: nonce + 1,
        ..recorded.start.clone()
    };
    second.send(&encode_start(&next)).await;
    let opened = second.start_ack().await;
    assert_eq!(opened.status, Status::Ok, "{opened:?}");
    assert_ne!(opened.session, recorded.session());
    play_again(&mut second, &recorded, "beside a newer session").await;
    second.send(&end(opened.session)).await;
    let asked = second.req_ret().await;
    let all = [inventory_sync_core::wire::Pair { begin: 0, end: 4 }];
    assert_eq!(asked.seq, all, "nothing of it has arrived");
    for (seq, row) in (0..).zip(&new) {
        let right = RawItem::of(seq, row);
        second.send(&forged::data(opened.session, right)).await;
        // The same sequence of the old session comes right behind.
        second
            .send(&recorded.data[usize::try_from(seq).unwrap()])
            .await;
    }
    let verdict = second.verdict().await;
    assert_eq!(
        (verdict.status, verdict.session),
        (Status::Ok, opened.session)
    );
    world.check(&[PACKAGES], 1, &new).await;

    for (count, rows) in (2..).zip([&new; 3]) {
        let begin = start(1, 5, nonce + count);
        record(&mut second, begin, rows).await;
    }
    let before = (work(&world, &daemon).await, Counts::of(&daemon).await);
    a_forgotten_session_is_refused(&mut second, &recorded).await;
    another_agent_plays_it(&world, &recorded).await;
    let grown = Counts::of(&daemon).await.since(&before.1);
    let wanted = [
        ("starts_refused{SessionReplaced}", 1),
        ("starts_refused{IdentityMismatch}", 1),
        ("identity_mismatches", 1),
        ("unknown_sessions", 12),
    ];
    assert_eq!(grown, counted(&wanted));
    assert_eq!(work(&world, &daemon).await, before.0);
    world.check(&[PACKAGES], 1, &new).await;
    world.check(&[PACKAGES], 2, &[]).await;
}

/// Its verdict is no longer kept, and its nonce is lower than what the lane has seen.
async fn a_forgotten_session_is_refused(connection: &mut Connection, recorded: &Recorded) {
    connection.send(&encode_start(&recorded.start)).await;
    let ack = connection.start_ack().await;
    assert_eq!(
        (ack.status, ack.reason, ack.session),
        (Status::Error, Reason::SessionReplaced, NO_SESSION)
    );
    let end = end(recorded.session());
    for frame in recorded.data.iter().chain([&end]) {
        connection.send(frame).await;
        let told = connection.end_ack().await;
        assert_eq!(told, not_found(recorded.session()));
    }
}

/// Somebody who has recorded the frames, and has a certificate of its own.
async fn another_agent_plays_it(world: &World, recorded: &Recorded) {
    let mut thief = Connection::open(&world.endpoint(2)).await.unwrap();
    thief.send(&encode_start(&recorded.start)).await;
    let ack = thief.start_ack().await;
    assert_eq!(ack.reason, Reason::IdentityMismatch, "{ack:?}");
    let end = end(recorded.session());
    for frame in recorded.data.iter().chain([&end]) {
        thief.send(frame).await;
        assert_eq!(thief.end_ack().await, not_found(recorded.session()));
    }
}

/// A session that is open belongs to the connection of its Start: what the older connection still sends, or
/// sends again, does not reach it.
#[tokio::test]
async fn an_older_connection_has_no_say_any_more() {
    let world = World::new("older-connection");
    let daemon = world.setup().start_ready().await;
    let rows = packages(0..3, "1");
    let begin = start(1, 3, 4 << 32 | 1);
    let mut old = Connection::open(&world.endpoint(1)).await.unwrap();
    let session = old.open_session(&begin).await;
    let frame = |seq: u64| {
        let row = &rows[usize::try_from(seq).unwrap()];
        forged::data(session, RawItem::of(seq, row))
    };
    old.send(&frame(0)).await;
    daemon
        .until_status("the first frame is staged", |status| {
            (status["sessions"]["bytes"].as_u64() > Some(0)).then_some(())
        })
        .await;
    let mut new = Connection::open(&world.endpoint(1)).await.unwrap();
    assert_eq!(new.open_session(&begin).await, session);
    let refusal = EndAck {
        detail: "the session belongs to another connection".to_owned(),
        ..not_found(session)
    };
    let changed = packages(0..3, "changed");
    for message in [
        forged::data(session, RawItem::of(1, &changed[1])),
        forged::data(session, RawItem::of(99, &changed[1])),
        end(session),
    ] {
        old.send(&message).await;
        assert_eq!(old.end_ack().await, refusal);
    }
    // Its Start, sent again, is answered and does not take the session back.
    assert_eq!(old.open_session(&begin).await, session);
    old.send(&frame(2)).await;
    assert_eq!(old.end_ack().await, refusal);
    for seq in [1, 2] {
        new.send(&frame(seq)).await;
    }
    new.send(&end(session)).await;
    let ack = new.verdict().await;
    assert_eq!(ack.status, Status::Ok, "{ack:?}");
    world.check(&[PACKAGES], 1, &rows).await;
    daemon
        .until_status("no session is left", |status| {
            (status["sessions"]["receiving"] == 0).then_some(())
        })
        .await;
}
