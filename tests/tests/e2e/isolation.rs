//! One agent's trouble is its own: healthy agents get their verdicts beside stuck, trickling and flooding ones, and
//! beside an index that takes nothing.
//!
//! Every limit that could end the trouble is a minute or more: a healthy agent that had to wait for one of them
//! would be late by so much that no slow machine is mistaken for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use inventory_sync_core::agent::Answer;
use inventory_sync_core::wire::{Reason, Status, decode, encode_start};
use inventory_tests::World;
use inventory_tests::agent::TestAgent;
use inventory_tests::connection::{Connection, Endpoint, Reader};
use inventory_tests::daemon::{Daemon, Setup};
use inventory_tests::document::{PACKAGES, PORTS, packages, port};
use inventory_tests::forged::{self, RawItem};
use inventory_tests::peer::relay;
use inventory_tests::session::{end, start};
use inventory_tests::wait::{LONG, until, within};
use serde_json::json;
use tokio::task::JoinSet;

/// The limits of those in trouble.
const LIMIT: Duration = Duration::from_secs(60);

/// No healthy agent may need so long, on any machine: a fraction of the limit.
const SLOW: Duration = Duration::from_secs(20);

/// Healthy agents.
const HEALTHY: std::ops::Range<u64> = 100..120;

fn setup(world: &World) -> Setup {
    let limit = LIMIT.as_millis();
    let own = nix::unistd::geteuid().as_raw();
    world
        .setup()
        .with("session.idle_timeout_ms", limit)
        .with("router.relay_uids", own)
}

/// All healthy agents have something new, at the same time. The time of the slowest to its verdict.
async fn round(
    world: &World,
    healthy: Vec<TestAgent>,
    version: &str,
) -> (Vec<TestAgent>, Duration) {
    let mut syncing = JoinSet::new();
    for mut agent in healthy {
        let documents = packages(0..10, version);
        syncing.spawn(async move {
            let synced = agent.delta(&documents).await.all();
            assert!(synced.causes.is_empty(), "refused on the way: {synced:?}");
            (agent, synced.took)
        });
    }
    let (healthy, times): (Vec<_>, Vec<_>) = syncing.join_all().await.into_iter().unzip();
    for agent in HEALTHY {
        world
            .check(&[PACKAGES], agent, &packages(0..10, version))
            .await;
    }
    (healthy, times.into_iter().max().unwrap())
}

/// Opens a session of many items, sends half of them and of a frame, and does nothing more, not even read.
async fn stuck(endpoint: &Endpoint, agent: u64) -> Connection {
    let mut connection = Connection::open(endpoint).await.unwrap();
    let session = connection.open_session(&start(agent, 100, 0)).await;
    for (seq, row) in (0..).zip(&packages(0..50, "1")) {
        let row = RawItem::of(seq, row);
        connection.send(&forged::data(session, row)).await;
    }
    let frame = forged::data(session, RawItem::of(50, &packages(50..51, "1")[0]));
    let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
    let bytes = [&length[..], &frame[..frame.len() / 2]].concat();
    connection.writer.send_bytes(&bytes).await.unwrap();
    connection
}

/// Sends one item after the other, each only after the daemon has seen the one before it, for ever.
async fn trickle(mut connection: Connection, agent: u64) {
    let size = 1_000_000;
    let session = connection.open_session(&start(agent, size, 0)).await;
    for seq in 0..size {
        let number = u32::try_from(seq).unwrap();
        let row = &packages(number..number + 1, "1")[0];
        connection
            .send(&forged::data(session, RawItem::of(seq, row)))
            .await;
        // Answered behind the item: one that is there asks for what is missing.
        connection.send(&end(session)).await;
        let asked = connection.req_ret().await;
        assert_eq!(asked.seq[0].begin, seq + 1, "its own items arrive");
    }
}

/// Opens sessions as fast as it can, and reads what it is told.
async fn flood(connection: Connection, agent: u64) {
    let Connection {
        mut writer,
        mut reader,
    } = connection;
    let message = encode_start(&start(agent, 1_000, 0));
    let flooding = async { while writer.send(&message).await.is_ok() {} };
    let reading = async { while let Ok(Some(_)) = reader.next().await {} };
    tokio::join!(flooding, reading);
}

async fn until_counter(daemon: &Daemon, name: &str, least: f64) {
    let what = format!("{name} is {least} or more");
    until(&what, LONG, async || {
        (daemon.metric(name).await >= least).then_some(())
    })
    .await;
}

#[tokio::test]
async fn healthy_agents_do_not_wait_for_those_in_trouble() {
    let world = World::new("isolation");
    let daemon = setup(&world).start_ready().await;
    let healthy: Vec<_> = HEALTHY.map(|id| world.agent(id)).collect();
    let (healthy, _) = round(&world, healthy, "1").await;
    let (healthy, before) = round(&world, healthy, "2").await;

    let began = Instant::now();
    let on_tls = stuck(&world.endpoint(1), 1).await;
    let trickling = Connection::open(&world.endpoint(2)).await.unwrap();
    let flooding = Connection::open(&world.endpoint(3)).await.unwrap();
    let trouble = async { tokio::join!(trickle(trickling, 2), flood(flooding, 3)) };
    let rounds = async {
        // 40 healthy sessions before; then the flood has begun.
        until_counter(&daemon, "inventory_sync_sessions_opened_total", 200.0).await;
        let (healthy, during) = round(&world, healthy, "3").await;
        let (_, again) = round(&world, healthy, "4").await;
        // Those in trouble were so all the time.
        let status = daemon.status();
        let receiving = status["sessions"]["receiving"].as_u64();
        assert!(receiving >= Some(3), "{status}");
        during.max(again)
    };
    let slowest = tokio::select! {
        slowest = rounds => slowest,
        _ = trouble => panic!("the trouble has ended early"),
    };
    println!(
        "slowest of 20: {before:?} before, {slowest:?} beside a stuck, a trickling and a flooding agent"
    );
    assert!(slowest < SLOW, "{before:?} before, {slowest:?} beside them");
    assert!(began.elapsed() < LIMIT, "no limit was reached meanwhile");
    drop(on_tls);
}

/// What waits for one index waits alone.
#[tokio::test]
async fn an_index_that_takes_nothing_stops_its_own_sessions_only() {
    let Some(world) = World::with_faults("stuck-index") else {
        return;
    };
    let limit = LIMIT.as_millis();
    let daemon = setup(&world)
        .with("indexer.paused_index_deadline_ms", limit)
        .with("indexer.delivery_deadline_ms", 2 * limit)
        .with("session.session_max_ms", 4 * limit)
        .start_ready()
        .await;
    let healthy: Vec<_> = HEALTHY.map(|id| world.agent(id)).collect();
    let (healthy, before) = round(&world, healthy, "1").await;
    world.indexer.faults(&json!({
        "kind": "item_status", "status": 403, "type": "cluster_block_exception",
        "reason": "index [it] blocked by: [FORBIDDEN/8/index write (api)];", "index": PORTS,
    }));
    let began = Instant::now();
    let mut waiting = Connection::open(&world.endpoint(1)).await.unwrap();
    let session = waiting.open_session(&start(1, 1, 0)).await;
    let row = port(22);
    waiting
        .send(&forged::data(session, RawItem::of(0, &row)))
        .await;
    waiting.send(&end(session)).await;
    assert_eq!(waiting.end_ack().await.status, Status::Processing);
    daemon
        .until_status("the index is paused", |status| {
            let paused = status["paused"].as_array()?.first()?;
            (paused["index"] == json!(PORTS)).then_some(())
        })
        .await;
    let (_, during) = round(&world, healthy, "2").await;
    println!("slowest of 20: {before:?} before, {during:?} beside an index that takes nothing");
    assert!(during < SLOW, "{before:?} before, {during:?} beside it");
    assert!(began.elapsed() < LIMIT, "no limit was reached meanwhile");
    assert_eq!(daemon.status()["sessions"]["delivering"], json!(1));
    world.indexer.heal();
    let ack = waiting.verdict().await;
    assert_eq!((ack.status, ack.session), (Status::Ok, session), "{ack:?}");
    world.check(&[PORTS], 1, &[row]).await;
}

/// The next answer on a relay's connection, and the agent that it is for.
async fn read(reader: &mut Reader, what: &str) -> (u64, Answer) {
    let next = within(what, LONG, reader.next()).await.unwrap();
    let (named, message) = next.unwrap_or_else(|| panic!("hung up on: {what}"));
    let answer = Answer::from_message(decode(&message).unwrap()).unwrap();
    (named.expect("an agent"), answer)
}

/// A relay's connection is everybody's: hundreds of agents may be answered at the same moment, and none of them
/// may cost the others their connection.
#[tokio::test]
async fn a_relay_takes_the_answers_of_very_many_agents() {
    const AGENTS: u64 = 2_000;
    let Some(world) = World::with_faults("many-agents") else {
        return;
    };
    let daemon = setup(&world).start_ready().await;
    // All of them wait for one and the same request, so that their verdicts come at once.
    let slow = json!({"kind": "slow_ms", "ms": 500, "path": "/_bulk", "count": 1});
    let Connection {
        mut writer,
        mut reader,
    } = Connection::open(&relay(&daemon, 1)).await.unwrap();
    let rows = packages(0..1, "1");
    // Everything is sent before the first answer is read.
    for agent in 1..=AGENTS {
        writer.speak_for(agent);
        let begin = start(agent, 1, 0);
        writer.send(&encode_start(&begin)).await.unwrap();
    }
    let mut sessions = BTreeMap::new();
    for count in 0..AGENTS {
        let (named, answer) = read(&mut reader, &format!("after {count} answers")).await;
        let Answer::StartAck(ack) = answer else {
            panic!("a StartAck was due, this came: {answer:?}");
        };
        assert_eq!(ack.status, Status::Ok, "{ack:?}");
        sessions.insert(named, ack.session);
    }
    assert_eq!(sessions.len() as u64, AGENTS, "one answer for each agent");
    world.indexer.faults(&slow);
    let sending = async {
        for (agent, session) in &sessions {
            writer.speak_for(*agent);
            let data = forged::data(*session, RawItem::of(0, &rows[0]));
            writer.send(&data).await.unwrap();
            writer.send(&end(*session)).await.unwrap();
        }
    };
    let reading = async {
        let mut waiting = sessions.clone();
        while !waiting.is_empty() {
            let what = format!("{} agents still wait", waiting.len());
            let (named, answer) = read(&mut reader, &what).await;
            let Answer::EndAck(ack) = answer else {
                panic!("an EndAck was due, this came: {answer:?}");
            };
            if ack.status != Status::Processing {
                assert_eq!(
                    (ack.status, ack.reason),
                    (Status::Ok, Reason::None),
                    "{ack:?}"
                );
                let session = waiting.remove(&named);
                assert_eq!(session, Some(ack.session), "{ack:?}");
            }
        }
    };
    tokio::join!(sending, reading);
    world.check(&[PACKAGES], AGENTS, &rows).await;
}
