//! A session on the wire: gaps, duplicates, retransmissions, base peers, silence and greetings.

use inventory_sync_core::agent::Answer;
use inventory_sync_core::wire::{
    BatchBuilder, Hello, Pair, Reason, Status, encode_data, encode_hello, encode_start,
};
use inventory_tests::World;
use inventory_tests::agent::item;
use inventory_tests::connection::Connection;
use inventory_tests::document::{Document, PACKAGES, packages};
use inventory_tests::session::{base_start, end, start};

#[tokio::test]
async fn gaps_are_asked_for_and_duplicates_do_no_harm() {
    let world = World::new("gaps");
    let daemon = world.setup().start_ready().await;
    let mut agent = Connection::open(&world.endpoint(1)).await.unwrap();
    let rows = packages(0..10, "1");
    let session = agent.open_session(&start(1, 10, 1 << 32 | 1)).await;
    let send = |seq: u64| encode_data(session, &item(seq, &rows[usize::try_from(seq).unwrap()]));
    for seq in [9, 1, 1, 5, 0, 9, 1] {
        agent.send(&send(seq)).await;
    }
    // A second copy with other content does not win.
    let other = &packages(1..2, "changed on the way")[0];
    agent.send(&encode_data(session, &item(1, other))).await;
    agent.send(&end(session)).await;
    let request = agent.req_ret().await;
    let gaps = |pairs: &[(u64, u64)]| -> Vec<Pair> {
        let pair = |(begin, end): &(u64, u64)| Pair {
            begin: *begin,
            end: *end,
        };
        pairs.iter().map(pair).collect()
    };
    assert_eq!(request.seq, gaps(&[(2, 4), (6, 8)]));
    assert_eq!(
        (request.session, request.module.as_str()),
        (session, "syscollector")
    );
    let mut batch = BatchBuilder::new(session, 64 << 10);
    for seq in [4, 3, 9, 2, 6] {
        batch
            .push(&item(seq, &rows[usize::try_from(seq).unwrap()]))
            .unwrap();
    }
    agent.send(&batch.finish()).await;
    agent.send(&end(session)).await;
    assert_eq!(agent.req_ret().await.seq, gaps(&[(7, 8)]));
    // The last gap closed completes the session without another End.
    agent.send(&send(8)).await;
    agent.send(&send(7)).await;
    assert_eq!(agent.end_ack().await.status, Status::Processing);
    let ack = agent.end_ack().await;
    assert_eq!((ack.status, ack.session), (Status::Ok, session));
    // Asked again, the verdict is the same.
    agent.send(&end(session)).await;
    assert_eq!(agent.end_ack().await, ack);
    world.check(&[PACKAGES], 1, &rows).await;
    assert!(daemon.metric("inventory_sync_items_duplicate_total").await >= 5.0);
}

#[tokio::test]
async fn a_retransmitted_start_moves_its_session_to_the_newer_connection() {
    let world = World::new("moved");
    let _daemon = world.setup().start_ready().await;
    let rows = packages(0..4, "1");
    let begin = start(1, 4, 9 << 32 | 5);
    let mut old = Connection::open(&world.endpoint(1)).await.unwrap();
    let session = old.open_session(&begin).await;
    old.send(&encode_data(session, &item(0, &rows[0]))).await;
    let mut new = Connection::open(&world.endpoint(1)).await.unwrap();
    new.send(&encode_data(session, &item(1, &rows[1]))).await;
    assert_eq!(new.end_ack().await.reason, Reason::SessionNotFound);
    assert_eq!(new.open_session(&begin).await, session);
    // Same nonce, other bytes; a lower counter of the same incarnation.
    let refused = [
        (start(1, 3, 9 << 32 | 5), Reason::SessionExists),
        (start(1, 4, 9 << 32 | 4), Reason::SessionReplaced),
    ];
    for (other, reason) in refused {
        new.send(&encode_start(&other)).await;
        let ack = new.start_ack().await;
        assert_eq!((ack.status, ack.reason), (Status::Error, reason));
    }
    for seq in 1..4 {
        new.send(&encode_data(
            session,
            &item(seq, &rows[usize::try_from(seq).unwrap()]),
        ))
        .await;
    }
    new.send(&end(session)).await;
    let ack = new.verdict().await;
    assert_eq!(ack.status, Status::Ok, "{ack:?}");
    // A Start that comes late is answered with the session that is over.
    assert_eq!(new.open_session(&begin).await, session);
    new.send(&end(session)).await;
    assert_eq!(new.verdict().await, ack);
    world.check(&[PACKAGES], 1, &rows).await;
}

#[tokio::test]
async fn a_base_peer_gets_ok_and_error_only() {
    let world = World::new("base-peer");
    let _daemon = world
        .setup()
        .with("session.idle_timeout_ms", 5_000)
        .start_ready()
        .await;
    let mut agent = Connection::open(&world.endpoint(1)).await.unwrap();
    let rows = packages(0..3, "1");
    let session = agent.open_session(&base_start(1, 3)).await;
    for (seq, row) in (0..).zip(&rows) {
        agent.send(&encode_data(session, &item(seq, row))).await;
    }
    agent.send(&end(session)).await;
    // One EndAck, no Processing.
    assert_eq!(agent.end_ack().await.status, Status::Ok);
    let info = Default::default();
    world.check_with(&[PACKAGES], 1, &info, &rows).await;

    // Gaps are not asked for; at the idle limit the session ends.
    let session = agent.open_session(&base_start(1, 3)).await;
    agent.send(&encode_data(session, &item(1, &rows[1]))).await;
    agent.send(&end(session)).await;
    let ack = agent.end_ack().await;
    assert_eq!((ack.status, ack.session), (Status::Error, session));

    // A refused item ends as Error, and its neighbours are stored.
    let session = agent.open_session(&base_start(1, 2)).await;
    let bad = Document::upsert(PACKAGES, "bad", "{");
    agent.send(&encode_data(session, &item(0, &bad))).await;
    let good = &packages(8..9, "1")[0];
    agent.send(&encode_data(session, &item(1, good))).await;
    agent.send(&end(session)).await;
    assert_eq!(agent.end_ack().await.status, Status::Error);
    let mut all = rows;
    all.push(good.clone());
    world.check_with(&[PACKAGES], 1, &info, &all).await;

    // A refused Start is Error, whatever the reason.
    let mut busy = base_start(1, 0);
    busy.module = "syscollector".to_owned();
    agent.send(&encode_start(&busy)).await;
    assert_eq!(agent.start_ack().await.status, Status::Error);
}

#[tokio::test]
async fn a_silent_agent_is_given_up() {
    let world = World::new("silent");
    let daemon = world
        .setup()
        .with("session.idle_timeout_ms", 700)
        .start_ready()
        .await;
    let mut agent = Connection::open(&world.endpoint(1)).await.unwrap();
    agent.send(&encode_start(&start(1, 5, 0))).await;
    let opened = agent.start_ack().await;
    assert_eq!(opened.idle_timeout_ms, 700);
    let ack = agent.end_ack().await;
    assert_eq!(
        (ack.session, ack.reason),
        (opened.session, Reason::SessionTimeout)
    );
    let sessions = &daemon.status()["sessions"];
    assert_eq!(
        (&sessions["items"], &sessions["bytes"]),
        (&0.into(), &0.into())
    );
}

#[tokio::test]
async fn a_greeting_is_answered_and_decides_nothing() {
    let world = World::new("hello");
    let _daemon = world.setup().start_ready().await;
    let mut agent = Connection::open(&world.endpoint(1)).await.unwrap();
    let hello = Hello {
        protocol_version: 9,
        agent_id: 1,
        features: u64::MAX,
        ..Hello::default()
    };
    agent.send(&encode_hello(&hello)).await;
    match agent.answer().await {
        Answer::Hello(answer) => assert_eq!((answer.protocol_version, answer.features), (1, 0)),
        other => panic!("{other:?}"),
    }
    agent.open_session(&base_start(1, 1)).await;
}
