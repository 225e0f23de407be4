//! A session on the wire: gaps, duplicates, retransmissions, base peers, and what no honest agent sends.

use std::time::Duration;

use inventory_sync_core::agent::Answer;
use inventory_sync_core::wire::{
    BatchBuilder, End, EndAck, Hello, Mode, NO_SESSION, Pair, Reason, Start, Status,
    encode_checksum_module, encode_data, encode_data_clean, encode_end, encode_end_ack,
    encode_hello, encode_start,
};
use inventory_tests::World;
use inventory_tests::agent::item;
use inventory_tests::connection::Connection;
use inventory_tests::document::{Document, PACKAGES, agent_info, packages};

/// Nothing comes for so long: then nothing was sent. Longer than a daemon needs for an answer.
const SILENCE: Duration = Duration::from_millis(500);

fn start(agent: u64, size: u64, nonce: u64) -> Start {
    Start {
        mode: Some(Mode::Delta),
        size,
        module: "syscollector".to_owned(),
        agent_id: agent,
        protocol_version: 1,
        nonce,
        agent: Some(agent_info(agent)),
        ..Start::default()
    }
}

/// What peers sent before there was an extension.
fn base_start(agent: u64, size: u64) -> Start {
    Start {
        protocol_version: 0,
        nonce: 0,
        agent: None,
        ..start(agent, size, 0)
    }
}

fn end(session: u64) -> Vec<u8> {
    encode_end(&End { session })
}

/// The verdict behind an optional Processing.
async fn verdict(connection: &mut Connection) -> EndAck {
    loop {
        let ack = connection.end_ack().await;
        if ack.status != Status::Processing {
            return ack;
        }
    }
}

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
    let ack = verdict(&mut new).await;
    assert_eq!(ack.status, Status::Ok, "{ack:?}");
    // A Start that comes late is answered with the session that is over.
    assert_eq!(new.open_session(&begin).await, session);
    new.send(&end(session)).await;
    assert_eq!(verdict(&mut new).await, ack);
    world.check(&[PACKAGES], 1, &rows).await;
}

#[tokio::test]
async fn a_base_peer_gets_ok_and_error_only() {
    let world = World::new("base-peer");
    let _daemon = world
        .setup()
        .with("session.idle_timeout_ms", 1_500)
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
async fn what_is_not_built_or_not_allowed_is_refused() {
    let world = World::new("refused");
    let _daemon = world.setup().start_ready().await;
    let mut agent = Connection::open(&world.endpoint(1)).await.unwrap();
    let base = |change: &dyn Fn(&mut Start)| {
        let mut start = start(1, 1, 0);
        change(&mut start);
        start
    };
    let cases = [
        (base(&|start| start.module = "no-module".into()), None),
        (
            base(&|start| start.mode = Some(Mode::Check)),
            Some(Reason::InvalidOperation),
        ),
        (base(&|start| start.mode = None), None),
        (
            base(&|start| start.id_from = Some("a".into())),
            Some(Reason::InvalidOperation),
        ),
        (base(&|start| start.size = 0), Some(Reason::SizeInvalid)),
        (
            base(&|start| start.size = u64::MAX),
            Some(Reason::SizeInvalid),
        ),
        (
            base(&|start| start.indices = vec!["wazuh-states-sca".into()]),
            Some(Reason::IndexNotAllowed),
        ),
        (
            base(&|start| start.cluster_name = "elsewhere".into()),
            Some(Reason::ClusterMismatch),
        ),
    ];
    for (start, reason) in cases {
        agent.send(&encode_start(&start)).await;
        let ack = agent.start_ack().await;
        assert_eq!(ack.status, Status::Error, "{start:?}: {ack:?}");
        assert_eq!(ack.session, NO_SESSION);
        if let Some(reason) = reason {
            assert_eq!(ack.reason, reason, "{start:?}: {ack:?}");
        }
    }
    // Members of the union that are not built are answered, and drop nothing.
    let session = agent.open_session(&start(1, 1, 0)).await;
    let unknown = [
        encode_data_clean(&Default::default()),
        encode_checksum_module(&Default::default()),
        encode_end_ack(&EndAck::default()),
    ];
    for message in unknown {
        agent.send(&message).await;
        let ack = agent.end_ack().await;
        assert_eq!(
            (ack.status, ack.reason),
            (Status::Error, Reason::InvalidMessage)
        );
        assert_eq!(ack.session, NO_SESSION);
    }
    let row = &packages(0..1, "1")[0];
    agent.send(&encode_data(session, &item(0, row))).await;
    agent.send(&end(session)).await;
    assert_eq!(verdict(&mut agent).await.status, Status::Ok);
    // Sessions that are not there.
    agent.send(&end(4711)).await;
    let ack = agent.end_ack().await;
    assert_eq!((ack.session, ack.reason), (4711, Reason::SessionNotFound));
}

#[tokio::test]
async fn a_wrong_message_ends_its_session() {
    let world = World::new("wrong-message");
    let _daemon = world.setup().start_ready().await;
    let mut agent = Connection::open(&world.endpoint(1)).await.unwrap();
    let row = &packages(0..1, "1")[0];
    let session = agent.open_session(&start(1, 3, 0)).await;
    agent.send(&encode_data(session, &item(3, row))).await;
    let ack = agent.end_ack().await;
    assert_eq!(
        (ack.status, ack.reason),
        (Status::Error, Reason::SequenceOutOfRange)
    );
    assert!(ack.detail.contains('3'), "{}", ack.detail);
    agent.send(&end(session)).await;
    let ack = agent.end_ack().await;
    assert_eq!(ack.status, Status::Error, "{ack:?}");
    world.check(&[PACKAGES], 1, &[]).await;
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

#[tokio::test]
async fn an_oversize_frame_is_refused_before_it_is_read() {
    let world = World::new("oversize");
    let daemon = world
        .setup()
        .with("router.max_message_bytes", 64 << 10)
        .start_ready()
        .await;
    let mut agent = Connection::open(&world.endpoint(1)).await.unwrap();
    // The length alone: nothing of the frame itself is sent.
    agent
        .writer
        .send_bytes(&(64_u32 << 10 | 1).to_le_bytes())
        .await
        .unwrap();
    agent.closed().await;
    // One of just that length is served.
    let mut agent = Connection::open(&world.endpoint(1)).await.unwrap();
    let session = agent.open_session(&start(1, 1, 0)).await;
    let text = "x".repeat(60 << 10);
    let data = format!(r#"{{"package":{{"description":"{text}"}}}}"#);
    let row = Document::upsert(PACKAGES, "long", data);
    agent.send(&encode_data(session, &item(0, &row))).await;
    agent.send(&end(session)).await;
    let ack = verdict(&mut agent).await;
    assert_eq!(ack.status, Status::Ok, "{ack:?}");
    daemon.until_ready().await;
}

#[tokio::test]
async fn garbage_closes_the_connection_after_a_few_frames() {
    let world = World::new("garbage");
    let daemon = world
        .setup()
        .with("router.bad_frames_max", 4)
        .start_ready()
        .await;
    let mut agent = Connection::open(&world.endpoint(1)).await.unwrap();
    for _ in 0..3 {
        agent.send(b"no message at all, but in a frame").await;
        let ack = agent.end_ack().await;
        assert_eq!(
            (ack.session, ack.reason),
            (NO_SESSION, Reason::InvalidMessage)
        );
    }
    // Something sensible in between, and the count begins anew.
    let session = agent.open_session(&start(1, 1, 0)).await;
    assert!(agent.is_silent(SILENCE).await);
    for _ in 0..4 {
        agent.send(&[0xff; 100]).await;
    }
    agent.closed().await;
    assert!(daemon.metric("inventory_sync_bad_frames_total").await >= 7.0);
    // The agent itself is not banned.
    let mut agent = Connection::open(&world.endpoint(1)).await.unwrap();
    let row = &packages(0..1, "1")[0];
    agent.send(&encode_data(session, &item(0, row))).await;
    assert_eq!(agent.end_ack().await.reason, Reason::SessionNotFound);
}
