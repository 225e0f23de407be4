//! The way to the Indexer fails: against any Indexer, for it has no part in it.

use std::time::Instant;

use inventory_tests::World;
use inventory_tests::document::{PACKAGES, package, packages};
use inventory_tests::proxy::Proxy;
use inventory_tests::wait::{LONG, until};

#[tokio::test]
async fn a_wire_that_is_cut_and_mended_loses_nothing() {
    let world = World::new("cut");
    let proxy = Proxy::to(&world.indexer.access().url).await;
    let daemon = world
        .hurried()
        .with("indexer.hosts", proxy.url())
        .with("indexer.bulk_operations_max", 25)
        .with("writer.lease_ms", 1_500)
        .with("writer.renew_ms", 300)
        .start_ready()
        .await;
    let mut agent = world.agent(1);
    let documents = packages(0..1_000, "1");
    let syncing = async { agent.full(&[PACKAGES], &documents).await.all() };
    let cutting = async {
        for _ in 0..3 {
            let before = daemon
                .metric("inventory_sync_operations_stored_total")
                .await;
            until("a part has arrived, or all", LONG, async || {
                let status = daemon.status();
                let is_over = status["counters"]["sessions_ok"].as_u64() > Some(0);
                let stored = daemon
                    .metric("inventory_sync_operations_stored_total")
                    .await;
                (is_over || stored > before).then_some(())
            })
            .await;
            proxy.cut(true);
            daemon.until_unready("no answer").await;
            proxy.cut(false);
            daemon.until_ready().await;
        }
    };
    let (_, ()) = tokio::join!(syncing, cutting);
    world.check(&[PACKAGES], 1, &documents).await;
}

/// The requests are applied, and the daemon cannot know.
#[tokio::test]
async fn answers_that_are_lost_on_the_way_lose_nothing() {
    let world = World::new("lost-on-the-way");
    let proxy = Proxy::to(&world.indexer.access().url).await;
    let setup = world.hurried().with("indexer.hosts", proxy.url());
    let bound = setup.time("indexer.late_write_bound_ms");
    let daemon = setup.start_ready().await;
    let mut agent = world.agent(1);
    let mut documents = packages(0..200, "1");
    proxy.lose_answers(2);
    let began = Instant::now();
    agent.delta(&documents).await.all();
    assert_eq!(proxy.to_lose(), 0, "both answers were lost");
    assert!(daemon.metric("inventory_sync_taints_total").await >= 1.0);
    world.check(&[PACKAGES], 1, &documents).await;
    // What was applied twice has one version, and the deletes of a Full wait.
    documents.truncate(150);
    documents[0] = package(0, "2");
    agent.full(&[PACKAGES], &documents).await.all();
    assert!(
        began.elapsed() >= bound,
        "a listing did not wait: {:?}",
        began.elapsed()
    );
    world.check(&[PACKAGES], 1, &documents).await;
}
