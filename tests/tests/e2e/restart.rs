//! The daemon ends, by force or by a signal, and comes back; two daemons want the same documents.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use inventory_sync_core::wire::{End, Mode, Reason, Start, Status, encode_end};
use inventory_tests::World;
use inventory_tests::agent::TestAgent;
use inventory_tests::connection::Connection;
use inventory_tests::document::{PACKAGES, package, packages};
use inventory_tests::wait::{LONG, until};

#[tokio::test]
async fn a_session_survives_the_death_of_the_daemon() {
    let world = World::new("killed");
    let setup = world.hurried();
    let mut daemon = setup.start_ready().await;
    // Slow enough to be in the middle of it when the daemon dies.
    let mut agent = TestAgent::new(world.endpoint(1), 1, "syscollector", |config| {
        config.items_per_second = 300;
    });
    let documents = packages(0..450, "1");
    let syncing = async { agent.full(&[PACKAGES], &documents).await.all() };
    let killing = async {
        daemon
            .until_status("a part is staged", |status| {
                status["sessions"]["bytes"]
                    .as_u64()
                    .filter(|bytes| *bytes > 0)
            })
            .await;
        daemon.kill();
        setup.start_ready().await
    };
    let (synced, _daemon) = tokio::join!(syncing, killing);
    assert!(
        synced.sessions.len() >= 2,
        "the first session was lost: {synced:?}"
    );
    world.check(&[PACKAGES], 1, &documents).await;
}

/// A daemon that was killed cannot know what of its requests is still on the way.
#[tokio::test]
async fn after_a_kill_deletes_wait_and_after_a_clean_stop_they_do_not() {
    let world = World::new("taint");
    // Long, so that no busy machine can be confused with it.
    let setup = world
        .hurried()
        .with("indexer.late_write_bound_ms", 10_000)
        .with("indexer.delivery_deadline_ms", 50_000);
    let bound = setup.time("indexer.late_write_bound_ms");
    let mut daemon = setup.start_ready().await;
    let mut agent = world.agent(1);
    let mut documents = packages(0..20, "1");
    agent.full(&[PACKAGES], &documents).await.all();
    daemon.kill();

    let restarted = Instant::now();
    let mut daemon = setup.start_ready().await;
    documents[3] = package(3, "2");
    agent.delta(&[package(3, "2")]).await.all();
    assert!(
        restarted.elapsed() < bound,
        "upserts go on: {:?}",
        restarted.elapsed()
    );
    agent.delta(&[documents.remove(0).deleted()]).await.all();
    assert!(
        restarted.elapsed() >= bound,
        "a delete did not wait: {:?}",
        restarted.elapsed()
    );

    daemon.stop().await;
    assert!(
        daemon.log().contains("every request was answered"),
        "a clean stop"
    );
    let restarted = Instant::now();
    let _daemon = setup.start_ready().await;
    agent.delta(&[documents.remove(0).deleted()]).await.all();
    assert!(
        restarted.elapsed() < bound,
        "waited for nothing: {:?}",
        restarted.elapsed()
    );
    world.check(&[PACKAGES], 1, &documents).await;
}

#[tokio::test]
async fn a_stop_under_load_answers_everything() {
    let world = World::new("stop-under-load");
    let setup = world
        .setup()
        .with("indexer.bulk_operations_max", 50)
        .with("session.shards", 2);
    let mut daemon = setup.start_ready().await;
    let (is_over, rounds) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU32::new(0)),
    );
    let agents = 1..=4_u64;
    let syncing: Vec<_> = agents
        .clone()
        .map(|id| {
            let (is_over, rounds) = (Arc::clone(&is_over), Arc::clone(&rounds));
            let mut agent = world.agent(id);
            tokio::spawn(async move {
                let mut round = 0;
                loop {
                    let last = is_over.load(Ordering::Relaxed);
                    let documents = packages(round..round + 120, &format!("{round}"));
                    agent.full(&[PACKAGES], &documents).await.all();
                    rounds.fetch_add(1, Ordering::Relaxed);
                    if last {
                        return documents;
                    }
                    round += 1;
                }
            })
        })
        .collect();
    until("the load is there", LONG, async || {
        (rounds.load(Ordering::Relaxed) > 6).then_some(())
    })
    .await;
    daemon.stop().await;
    let log = daemon.log();
    assert!(log.contains("every request was answered"), "a clean stop");
    let _daemon = setup.start_ready().await;
    is_over.store(true, Ordering::Relaxed);
    for (id, syncing) in agents.zip(syncing) {
        let documents = syncing.await.unwrap();
        world.check(&[PACKAGES], id, &documents).await;
    }
}

#[tokio::test]
async fn a_stop_tells_agents_that_it_stops() {
    let world = World::new("stop");
    let mut daemon = world.setup().start_ready().await;
    let mut agent = Connection::open(&world.endpoint(1)).await.unwrap();
    let start = Start {
        mode: Some(Mode::Delta),
        size: 9,
        module: "syscollector".to_owned(),
        agent_id: 1,
        protocol_version: 1,
        ..Start::default()
    };
    let session = agent.open_session(&start).await;
    daemon.terminate();
    let ack = agent.end_ack().await;
    assert_eq!(
        (ack.session, ack.status, ack.reason),
        (session, Status::Offline, Reason::ShuttingDown)
    );
    agent.closed().await;
    assert!(daemon.ended().await.success());
    assert!(!daemon.setup.socket().exists(), "the socket is gone");

    // The session is not there any more; the store is free for the next process.
    let _daemon = world.setup().start_ready().await;
    let mut agent = Connection::open(&world.endpoint(1)).await.unwrap();
    agent.send(&encode_end(&End { session })).await;
    assert_eq!(agent.end_ack().await.reason, Reason::SessionNotFound);
}

#[tokio::test]
async fn of_two_writers_the_second_does_not_start() {
    let world = World::new("two-writers");
    let mut first = world
        .setup()
        .with("writer.id", "the-first")
        .start_ready()
        .await;
    // It takes over from one that stands still for so long: longer than a busy machine holds the first one up.
    let mut second = world
        .hurried_in("second")
        .with("writer.lease_ms", 15_000)
        .with("writer.id", "the-second")
        .spawn();
    let status = second.ended().await;
    assert!(!status.success(), "two daemons write");
    let complaint = second.log();
    let last = complaint.lines().last().unwrap_or_default();
    assert!(last.contains("the-first"), "names the other one: {last}");
    // The first one has noticed nothing.
    let mut agent = world.agent(1);
    let documents = packages(0..5, "1");
    agent.delta(&documents).await.all();
    world.check(&[PACKAGES], 1, &documents).await;
    assert_eq!(first.status()["writer"]["id"], "the-first");
    // When it has stopped, another one may.
    first.stop().await;
    let _second = world
        .setup_in("second")
        .with("writer.id", "the-second")
        .start_ready()
        .await;
    agent.full(&[PACKAGES], &documents[..2]).await.all();
    world.check(&[PACKAGES], 1, &documents[..2]).await;
}

#[tokio::test]
async fn a_store_is_used_by_one_daemon() {
    let world = World::new("one-store");
    let _first = world.setup().start_ready().await;
    let setup = world
        .setup()
        .with("router.socket", "")
        .with("admin.socket", "");
    let output = setup.run(&["serve"]);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(complaint.contains("store"), "{complaint}");
}
