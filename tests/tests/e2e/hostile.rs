//! Hostile clients (`docs/protocol.md` sections 1 and 2): slow, half-open, flooding, oversized, too many. Whatever
//! one of them does, honest agents are served meanwhile, and the daemon's memory stays where it is.

use inventory_sync_core::agent::Answer;
use inventory_sync_core::wire::{EndAck, NO_SESSION, Reason, Status, encode_start};
use inventory_tests::World;
use inventory_tests::connection::{Connection, Endpoint, Writer, greet, open_tcp};
use inventory_tests::counts::{Counts, counted};
use inventory_tests::daemon::Daemon;
use inventory_tests::document::{Document, PACKAGES, agent_info, packages};
use inventory_tests::forged::{self, RawItem};
use inventory_tests::peer::relay;
use inventory_tests::session::{end, start};
use inventory_tests::wait::{LONG, until, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the daemon's memory may grow by whatever hostile clients do: threads, caches and the allocator's pools
/// need some of it, a single believed announcement of 16 MiB for each of them far more.
const GROWTH_MAX_BYTES: u64 = 64 << 20;

/// A daemon that takes this process for a relay, and more.
async fn daemon(world: &World, settings: &[(&'static str, u64)]) -> Daemon {
    let own = nix::unistd::geteuid().as_raw();
    let setup = world.setup().with("router.relay_uids", own);
    setup.with_all(settings).start_ready().await
}

/// An honest agent is served, and what it sent is there.
async fn check_served(world: &World, agent: u64) {
    let documents = packages(0..5, "1");
    world.agent(agent).full(&[PACKAGES], &documents).await.all();
    world.check(&[PACKAGES], agent, &documents).await;
}

async fn until_connections(daemon: &Daemon, count: u64, what: &str) {
    let what = format!("{what}: {count} connections");
    daemon
        .until_status(&what, |status| {
            (status["sessions"]["connections"].as_u64() == Some(count)).then_some(())
        })
        .await;
}

/// Reads until the other end hangs up, in whatever way.
async fn hung_up(stream: &mut TcpStream, what: &str) {
    within(what, LONG, async {
        let mut read = vec![0; 4 << 10];
        while stream.read(&mut read).await.is_ok_and(|count| count > 0) {}
    })
    .await;
}

/// A frame, with the length that stands before it on TLS.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&length.to_le_bytes(), message].concat()
}

/// The same with the agent's id, as on the Unix socket.
fn framed_for(agent: u64, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len() + 8).unwrap();
    [&length.to_le_bytes()[..], &agent.to_le_bytes(), message].concat()
}

async fn trickle(writer: &mut Writer, bytes: &[u8]) {
    for byte in bytes {
        writer.send_bytes(&[*byte]).await.unwrap();
    }
}

#[tokio::test]
async fn slow_and_half_open_clients_hold_nobody_up() {
    let world = World::new("slow");
    let daemon = daemon(&world, &[("router.handshake_timeout_ms", 5_000)]).await;
    let before = Counts::of(&daemon).await;
    // Those who say nothing, and those who stop in the middle of a handshake: the head of a record of 512
    // bytes, and the beginning of a ClientHello.
    let mut half_open = Vec::new();
    for bytes in [
        &b""[..],
        b"\x16",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        for _ in 0..5 {
            let mut stream = open_tcp(&world.address).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            half_open.push(stream);
        }
    }
    check_served(&world, 1).await;
    // Those who speak something else.
    for text in [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        &framed(&end(1)),
        &[0xff; 64],
    ] {
        let mut stream = open_tcp(&world.address).await.unwrap();
        stream.write_all(text).await.unwrap();
        hung_up(&mut stream, "the end of what is no TLS").await;
    }
    for stream in &mut half_open {
        hung_up(stream, "the end of a handshake that takes too long").await;
    }
    let grown = Counts::of(&daemon).await.since(&before);
    let wanted = [
        ("sessions_ended{Ok,None}", 1),
        ("connections_refused{timeout}", 15),
        ("connections_refused{tls}", 3),
    ];
    assert_eq!(grown, counted(&wanted));

    // Those who shake hands and are never heard of again, and those who leave in the middle of a frame.
    let idle = Connection::open(&world.endpoint(2)).await.unwrap();
    for part in [3, 4, 50] {
        let mut connection = Connection::open(&world.endpoint(3)).await.unwrap();
        let frame = framed(&encode_start(&start(3, 1, 0)));
        connection.writer.send_bytes(&frame[..part]).await.unwrap();
    }
    until_connections(&daemon, 1, "those who left are gone").await;
    drop(idle);

    // One byte at a time is slow, and served like any other: on TLS and on the Unix socket.
    let rows = packages(0..1, "1");
    for agent in [4, 5] {
        let is_relay = agent == 5;
        let framed = |message: &[u8]| {
            if is_relay {
                framed_for(agent, message)
            } else {
                framed(message)
            }
        };
        let mut connection = if is_relay {
            Connection::open(&relay(&daemon, agent)).await.unwrap()
        } else {
            Connection::open(&world.endpoint(agent)).await.unwrap()
        };
        let begin = framed(&encode_start(&start(agent, 1, 0)));
        trickle(&mut connection.writer, &begin).await;
        let session = connection.start_ack().await.session;
        for message in [
            forged::data(session, RawItem::of(0, &rows[0])),
            end(session),
        ] {
            trickle(&mut connection.writer, &framed(&message)).await;
        }
        let ack = connection.verdict().await;
        assert_eq!(ack.status, Status::Ok, "agent {agent}: {ack:?}");
        world.check(&[PACKAGES], agent, &rows).await;
    }
    until_connections(&daemon, 0, "at the end").await;
}

#[tokio::test]
async fn connections_beyond_the_maximum_are_closed_at_once() {
    let world = World::new("too-many");
    let daemon = daemon(&world, &[("router.connections_max", 4)]).await;
    let mut held = Vec::new();
    for agent in 1..=4 {
        let mut connection = Connection::open(&world.endpoint(agent)).await.unwrap();
        let session = connection.open_session(&start(agent, 1, 0)).await;
        held.push((connection, session));
    }
    let before = Counts::of(&daemon).await;
    for _ in 0..10 {
        let mut stream = open_tcp(&world.address).await.unwrap();
        hung_up(&mut stream, "one too many, on TLS").await;
    }
    assert!(greet(&world.endpoint(9)).await.is_err());
    assert!(greet(&relay(&daemon, 9)).await.is_err());
    let grown = Counts::of(&daemon).await.since(&before);
    assert_eq!(grown, counted(&[("connections_refused{maximum}", 12)]));
    // Those who were there are served, and one who leaves makes room.
    let rows = packages(0..1, "1");
    for (connection, session) in &mut held {
        let row = RawItem::of(0, &rows[0]);
        connection.send(&forged::data(*session, row)).await;
        connection.send(&end(*session)).await;
        let ack = connection.verdict().await;
        assert_eq!(ack.status, Status::Ok, "{ack:?}");
    }
    drop(held.pop());
    until_connections(&daemon, 3, "one has left").await;
    until("a place is free again", LONG, async || {
        greet(&relay(&daemon, 9)).await.ok()
    })
    .await;
}

/// A length, and where nothing may follow it.
fn oversized(max: u32) -> Vec<(&'static str, bool, Vec<u8>)> {
    let length = |length: u32| length.to_le_bytes().to_vec();
    let mut all = Vec::new();
    for (what, is_relay, own) in [("TLS", false, 0), ("Unix", true, 8)] {
        all.push((what, is_relay, length(max + own + 1)));
        all.push((what, is_relay, length(1 << 31)));
        all.push((what, is_relay, length(u32::MAX)));
    }
    // No room for the agent's id.
    all.push(("Unix, 0 bytes", true, length(0)));
    all.push(("Unix, 7 bytes", true, length(7)));
    all
}

#[tokio::test]
async fn an_oversized_announcement_costs_nothing() {
    let world = World::new("oversized");
    let max: u32 = 4 << 20;
    let daemon = daemon(&world, &[("router.max_message_bytes", max.into())]).await;
    check_served(&world, 1).await;
    let before = daemon.resident_bytes();
    let open = async |is_relay| {
        let endpoint: Endpoint = if is_relay {
            relay(&daemon, 2)
        } else {
            world.endpoint(2)
        };
        Connection::open(&endpoint).await.unwrap()
    };
    for (what, is_relay, bytes) in oversized(max) {
        // The length alone: nothing of the frame itself is sent.
        let mut connection = open(is_relay).await;
        connection.writer.send_bytes(&bytes).await.unwrap();
        let closed = within(what, LONG, connection.closed());
        closed.await;
    }
    // The largest that is allowed, announced by many who send a little of it.
    let mut waiting = Vec::new();
    for count in 0..150 {
        let is_relay = count % 2 == 1;
        let mut connection = open(is_relay).await;
        let header = if is_relay {
            framed_for(2, b"").len()
        } else {
            4
        };
        let mut bytes = vec![0; header + 1];
        let length = if is_relay { max + 8 } else { max };
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        connection.writer.send_bytes(&bytes).await.unwrap();
        waiting.push(connection);
    }
    until_connections(&daemon, 150, "all who wait").await;
    check_served(&world, 3).await;
    let grown = daemon.resident_bytes().saturating_sub(before);
    assert!(
        grown < 150 * (128 << 10),
        "150 announcements of 4 MiB cost {grown} bytes"
    );
    drop(waiting);
    // One of just the largest size is served.
    let mut connection = open(false).await;
    let session = connection.open_session(&start(2, 1, 0)).await;
    let row = Document::upsert(PACKAGES, "long", document_of(max as usize, session));
    let frame = forged::data(session, RawItem::of(0, &row));
    assert_eq!(frame.len(), max as usize);
    connection.send(&frame).await;
    connection.send(&end(session)).await;
    let ack = connection.verdict().await;
    assert_eq!(ack.status, Status::Ok, "{ack:?}");
    world.check(&[PACKAGES], 2, &[row]).await;
}

/// A document whose Data message has so many bytes.
fn document_of(frame_bytes: usize, session: u64) -> String {
    let text = |bytes: usize| {
        let description = "x".repeat(bytes);
        format!(r#"{{"package":{{"description":"{description}"}}}}"#)
    };
    let frame = |bytes: usize| {
        let row = Document::upsert(PACKAGES, "long", text(bytes));
        forged::data(session, RawItem::of(0, &row)).len()
    };
    // What the frame has beside the text is padded to whole words.
    let about = frame_bytes - frame(0);
    let bytes = (about..about + 16).find(|bytes| frame(*bytes) == frame_bytes);
    text(bytes.expect("a frame of that size"))
}

#[tokio::test]
async fn a_flood_is_answered_or_cut_off_and_the_others_are_served() {
    let world = World::new("flood");
    let small = 64 << 10;
    let settings = [
        ("router.max_message_bytes", small),
        ("router.connection_max_bytes", small),
    ];
    let daemon = daemon(&world, &settings).await;
    check_served(&world, 1).await;
    let before = daemon.resident_bytes();
    thousands_of_starts(&world, &daemon).await;
    answers_that_are_never_read(&world, &daemon).await;
    frames_faster_than_the_share(&world, &daemon).await;
    let grown = daemon.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_MAX_BYTES, "memory grew by {grown} bytes");
    until_connections(&daemon, 0, "at the end").await;
}

/// Each Start without a nonce is a new session and ends the one before it: all are answered, one is left.
async fn thousands_of_starts(world: &World, daemon: &Daemon) {
    const STARTS: usize = 3_000;
    let Connection {
        mut writer,
        mut reader,
    } = Connection::open(&world.endpoint(2)).await.unwrap();
    let message = encode_start(&start(2, 1_000, 0));
    let flooding = async {
        for _ in 0..STARTS {
            writer.send(&message).await.unwrap();
        }
    };
    let reading = async {
        let (mut opened, mut replaced) = (0, 0);
        while opened < STARTS || replaced < STARTS - 1 {
            let next = within("an answer to a flood", LONG, reader.next()).await;
            let (_, message) = next.unwrap().expect("a connection that stays");
            let message = inventory_sync_core::wire::decode(&message).unwrap();
            match Answer::from_message(message).unwrap() {
                Answer::StartAck(ack) if ack.status == Status::Ok => opened += 1,
                Answer::EndAck(ack) if ack.reason == Reason::SessionReplaced => replaced += 1,
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::join!(flooding, reading, check_served(world, 3));
    daemon
        .until_status("one session is left of the flood", |status| {
            (status["sessions"]["items"].as_u64() == Some(1_000)).then_some(())
        })
        .await;
    drop((writer, reader));
}

/// A peer that asks and asks and does not read the answers loses its connection, soon.
async fn answers_that_are_never_read(world: &World, daemon: &Daemon) {
    let Connection { mut writer, reader } = Connection::open(&world.endpoint(4)).await.unwrap();
    let message = end(4711);
    let asking = async {
        let mut asked = 0_u64;
        while asked < 3_000_000 && writer.send(&message).await.is_ok() {
            asked += 1;
        }
        asked
    };
    let (asked, ()) = tokio::join!(
        within("the end of one who does not read", LONG, asking),
        check_served(world, 5)
    );
    assert!(asked < 3_000_000, "it could ask {asked} times");
    drop(reader);
    until_connections(daemon, 0, "it is cut off").await;
}

/// On TLS the connection is held back, and all arrives. On the relay nobody else may be held back: the agent is
/// served as well as it can be, and the others as if it were not there.
async fn frames_faster_than_the_share(world: &World, daemon: &Daemon) {
    let rows: Vec<Document> = (0..200)
        .map(|number| {
            let text = "x".repeat(30 << 10);
            let data = format!(r#"{{"package":{{"description":"{text}"}}}}"#);
            Document::upsert(PACKAGES, &format!("large-{number}"), data)
        })
        .collect();
    let size = rows.len() as u64;
    let mut agent = Connection::open(&world.endpoint(6)).await.unwrap();
    let session = agent.open_session(&start(6, size, 0)).await;
    for (seq, row) in (0..).zip(&rows) {
        agent
            .send(&forged::data(session, RawItem::of(seq, row)))
            .await;
    }
    agent.send(&end(session)).await;
    let ack = agent.verdict().await;
    assert_eq!(ack.status, Status::Ok, "{ack:?}");
    world.check(&[PACKAGES], 6, &rows).await;
    drop(agent);

    let mut connection = Connection::open(&relay(daemon, 8)).await.unwrap();
    let honest = connection.open_session(&start(8, 1, 0)).await;
    connection.speak_for(7);
    let session = connection.open_session(&start(7, size, 0)).await;
    for (seq, row) in (0..).zip(&rows) {
        connection
            .send(&forged::data(session, RawItem::of(seq, row)))
            .await;
    }
    connection.send(&end(session)).await;
    connection.speak_for(8);
    let own = packages(0..1, "1");
    connection
        .send(&forged::data(honest, RawItem::of(0, &own[0])))
        .await;
    connection.send(&end(honest)).await;
    let mut verdicts: Vec<EndAck> = Vec::new();
    while !verdicts.iter().any(|ack| ack.session == honest)
        || !verdicts.iter().any(|ack| ack.session == session)
    {
        let ack = connection.verdict().await;
        assert_ne!(ack.session, NO_SESSION, "{ack:?}");
        verdicts.push(ack);
    }
    for ack in &verdicts {
        let told = (ack.status, ack.reason);
        let is_flood = ack.session == session && told == (Status::Offline, Reason::Overloaded);
        assert!(told == (Status::Ok, Reason::None) || is_flood, "{ack:?}");
    }
    world.check(&[PACKAGES], 8, &own).await;
    let of_flood = verdicts.iter().find(|ack| ack.session == session).unwrap();
    let arrived: &[Document] = if of_flood.status == Status::Ok {
        &rows
    } else {
        &[]
    };
    world
        .check_with(&[PACKAGES], 7, &agent_info(7), arrived)
        .await;
}
