//! An Indexer that is down, slow, or refuses a part: nothing is lost, nothing is acknowledged too early.

use std::time::{Duration, Instant};

use inventory_sync_core::agent::{Cause, Outcome};
use inventory_sync_core::wire::{Reason, Status};
use inventory_tests::World;
use inventory_tests::document::{Document, PACKAGES, package, packages, port};
use inventory_tests::wait::{LONG, until, within};
use serde_json::json;

#[tokio::test]
async fn an_indexer_that_is_down_at_the_start_is_waited_for() {
    let Some(mut world) = World::without_indexer("down-at-start") else {
        return;
    };
    let daemon = world.setup().start().await;
    daemon.until_unready("no answer").await;
    let mut agent = world.agent(1);
    let documents = packages(0..40, "1");
    let (sent, ours) = tokio::sync::oneshot::channel();
    let rows = documents.clone();
    let syncing = tokio::spawn(async move {
        let synced = agent.full(&[PACKAGES], &rows).await;
        // The test waits for it.
        let _ = sent.send(synced);
    });
    until("a Start is refused", LONG, async || {
        let refused = daemon.status()["counters"]["starts_refused"].as_u64();
        refused.filter(|count| *count > 0)
    })
    .await;
    world.indexer.start();
    world.install_templates();
    let synced = within("the sync", LONG, ours).await.unwrap().all();
    syncing.await.unwrap();
    let offline = synced.causes.iter().all(|cause| {
        matches!(
            cause,
            Cause::Refused {
                status: Status::Offline,
                ..
            }
        )
    });
    assert!(offline && !synced.causes.is_empty(), "{:?}", synced.causes);
    world.check(&[PACKAGES], 1, &documents).await;
}

#[tokio::test]
async fn an_outage_in_the_middle_of_a_session_ends_well() {
    let Some(world) = World::with_faults("outage") else {
        return;
    };
    let daemon = world
        .hurried()
        .with("indexer.bulk_operations_max", 20)
        .with("writer.lease_ms", 1_500)
        .with("writer.renew_ms", 300)
        .start_ready()
        .await;
    let mut agent = world.agent(1);
    agent.full(&[PACKAGES], &packages(0..3, "0")).await.all();
    world
        .indexer
        .faults(&json!({"kind": "slow_ms", "ms": 30, "path": "/_bulk"}));
    let before = world.indexer.stats().items_applied;
    let documents = packages(0..400, "1");
    let syncing = async {
        let synced = agent.full(&[PACKAGES], &documents).await;
        assert!(world.indexer.stats().faults_injected > 0);
        synced.all()
    };
    let breaking = async {
        until("a part has arrived", LONG, async || {
            (world.indexer.stats().items_applied > before + 40).then_some(())
        })
        .await;
        world.indexer.faults(&json!({"kind": "down"}));
        daemon.until_unready("no answer").await;
        // Long enough that the writer's lease has ended, too.
        daemon
            .until_status("the lease has ended", |status| {
                (status["writer"]["lease_left_ms"] == 0).then_some(())
            })
            .await;
        world.indexer.heal();
        daemon.until_ready().await;
    };
    let (_, ()) = tokio::join!(syncing, breaking);
    world.check(&[PACKAGES], 1, &documents).await;
}

/// A session that takes longer than the delivery deadline, but never stands still for so long, ends Ok, at once.
#[tokio::test]
async fn a_session_that_moves_outlasts_the_delivery_deadline() {
    let Some(world) = World::with_faults("moves") else {
        return;
    };
    let deadline_ms = 6_000;
    let _daemon = world
        .setup()
        .with("indexer.bulk_operations_max", 4)
        .with("indexer.connect_timeout_ms", 4_000)
        .with("indexer.request_timeout_ms", 4_000)
        .with("indexer.request_deadline_ms", 4_500)
        .with("indexer.late_write_bound_ms", 5_000)
        .with("indexer.paused_index_deadline_ms", deadline_ms)
        .with("indexer.delivery_deadline_ms", deadline_ms)
        .start_ready()
        .await;
    world
        .indexer
        .faults(&json!({"kind": "slow_ms", "ms": 220, "path": "/_bulk"}));
    let documents = packages(0..120, "1");
    let mut agent = world.agent(1);
    let synced = agent.full(&[PACKAGES], &documents).await.all();
    assert!(synced.causes.is_empty(), "{:?}", synced.causes);
    assert!(synced.took > Duration::from_millis(deadline_ms));
    world.check(&[PACKAGES], 1, &documents).await;
}

#[tokio::test]
async fn a_slow_indexer_is_waited_for() {
    let Some(world) = World::with_faults("slow") else {
        return;
    };
    let daemon = world.hurried().start_ready().await;
    let mut agent = world.agent(1);
    // Below the deadline: an answer, late.
    world
        .indexer
        .faults(&json!({"kind": "slow_ms", "ms": 300, "path": "/_bulk"}));
    let documents = packages(0..50, "1");
    let synced = agent.full(&[PACKAGES], &documents).await.all();
    assert!(synced.took >= Duration::from_millis(300));
    // Beyond it: the outcome is unknown, and the request is sent again.
    world
        .indexer
        .faults(&json!({"kind": "slow_ms", "ms": 2_600, "path": "/_bulk", "count": 1}));
    let documents = packages(0..50, "2");
    agent.full(&[PACKAGES], &documents).await.all();
    assert!(daemon.metric("inventory_sync_taints_total").await >= 1.0);
    assert!(
        daemon
            .metric("inventory_sync_operations_retried_total")
            .await
            >= 50.0
    );
    world.check(&[PACKAGES], 1, &documents).await;
}

#[tokio::test]
async fn items_that_are_refused_for_now_are_sent_again() {
    let Some(world) = World::with_faults("partly") else {
        return;
    };
    let _daemon = world.hurried().start_ready().await;
    let mut agent = world.agent(1);
    let documents = packages(0..200, "1");
    let faults = json!([
        {"kind": "item_status", "status": 429, "probability_percent": 40, "count": 200},
        {"kind": "item_status", "status": 503, "probability_percent": 20, "count": 60},
        {"kind": "status", "status": 429, "path": "/_bulk", "every": 3, "count": 2},
        {"kind": "status", "status": 503, "path": "/_bulk", "every": 4, "count": 2},
        {"kind": "truncate_answer", "path": "/_bulk", "every": 5, "count": 1},
    ]);
    world.indexer.faults(&faults);
    agent.full(&[PACKAGES], &documents).await.all();
    assert!(world.indexer.stats().items_refused > 50);
    world.check(&[PACKAGES], 1, &documents).await;
    world.indexer.faults(&faults);
    agent.full(&[PACKAGES], &documents[..20]).await.all();
    world.check(&[PACKAGES], 1, &documents[..20]).await;
}

#[tokio::test]
async fn documents_that_are_refused_for_good_are_named() {
    let Some(world) = World::with_faults("for-good") else {
        return;
    };
    let _daemon = world.setup().start_ready().await;
    let mut agent = world.agent(1);
    let documents = packages(0..60, "1");
    world
        .indexer
        .faults(&json!({"kind": "item_status", "status": 400, "count": 3}));
    let synced = agent.delta(&documents).await;
    assert_eq!(
        synced.outcome,
        Outcome::PartiallyAcknowledged {
            acknowledged: 57,
            retryable: 0,
            quarantined: 3,
            unlisted: 0
        }
    );
    let failed = &synced.verdicts[0].failed;
    assert!(
        failed
            .iter()
            .all(|row| row.status == 400 && row.reason == Reason::IndexerRejected)
    );
    let refused: Vec<usize> = failed.iter().map(|row| row.seq as usize).collect();
    let stored: Vec<_> = (0..documents.len())
        .filter(|seq| !refused.contains(seq))
        .map(|seq| documents[seq].clone())
        .collect();
    world.check(&[PACKAGES], 1, &stored).await;
}

/// A request whose answer is lost may still be applied: until that is out of the question a delete would
/// be undone by it.
#[tokio::test]
async fn after_a_lost_answer_deletes_wait() {
    let Some(world) = World::with_faults("lost-answer") else {
        return;
    };
    let setup = world.hurried().with("indexer.late_write_bound_ms", 10_000);
    let bound = setup.time("indexer.late_write_bound_ms");
    let daemon = setup.start_ready().await;
    let mut agent = world.agent(1);
    let mut documents = packages(0..10, "1");
    agent.delta(&documents).await.all();
    let quick = agent.delta(&[documents.remove(0).deleted()]).await.all();
    assert!(quick.took < bound, "no taint, no wait: {:?}", quick.took);

    let faults = json!({"kind": "drop_answer", "path": "/_bulk", "count": 1});
    world.indexer.faults(&faults);
    let began = Instant::now();
    agent.delta(&[package(1, "2")]).await.all();
    assert_eq!(world.indexer.stats().faults_injected, 1);
    assert!(
        began.elapsed() < bound,
        "upserts go on: {:?}",
        began.elapsed()
    );
    assert_eq!(daemon.status()["sessions"]["tainted_lanes"], json!(1));
    // Upserts do not wait, deletes do.
    agent.delta(&[package(2, "2")]).await.all();
    assert!(
        began.elapsed() < bound,
        "upserts go on: {:?}",
        began.elapsed()
    );
    agent.delta(&[documents.remove(0).deleted()]).await.all();
    assert!(
        began.elapsed() >= bound,
        "a delete overtook: {:?}",
        began.elapsed()
    );
    documents[0] = package(2, "2");
    world.check(&[PACKAGES], 1, &documents).await;
}

/// The write lands after the retry, and even after a newer version: the version decides.
#[tokio::test]
async fn a_late_write_changes_nothing() {
    let Some(world) = World::with_faults("late-write") else {
        return;
    };
    let setup = world.hurried().with("indexer.late_write_bound_ms", 3_000);
    let _daemon = setup.start_ready().await;
    let mut agent = world.agent(1);
    agent.delta(&packages(0..10, "0")).await.all();
    let faults = json!({"kind": "delay_apply", "ms": 1_200, "path": "/_bulk", "count": 1});
    world.indexer.faults(&faults);
    agent.delta(&packages(0..10, "1")).await.all();
    agent.delta(&packages(0..10, "2")).await.all();
    agent.full(&[PACKAGES], &packages(3..8, "2")).await.all();
    world.check(&[PACKAGES], 1, &packages(3..8, "2")).await;
    let stats = world.indexer.stats();
    assert_eq!(stats.faults_injected, 1);
}

#[tokio::test]
async fn a_red_cluster_takes_nothing_until_it_is_not() {
    let Some(world) = World::with_faults("red") else {
        return;
    };
    let daemon = world.setup().start_ready().await;
    world.indexer.faults(&json!({"kind": "red"}));
    daemon.until_unready("red").await;
    let mut agent = world.agent(1);
    let documents = packages(0..5, "1");
    let syncing = agent.delta(&documents);
    let healing = async {
        daemon
            .until_status("a Start is refused", |status| {
                status["counters"]["starts_refused"].as_u64()
            })
            .await;
        world.indexer.heal();
    };
    let (synced, ()) = tokio::join!(syncing, healing);
    assert!(!synced.all().causes.is_empty());
    world.check(&[PACKAGES], 1, &documents).await;
}

/// A block is the index's: its sessions end Offline, those of other indices go on.
#[tokio::test]
async fn a_blocked_index_is_paused_and_probed() {
    let Some(world) = World::with_faults("blocked") else {
        return;
    };
    let daemon = world
        .setup()
        .with("indexer.paused_index_deadline_ms", 600)
        .start_ready()
        .await;
    world.indexer.faults(&json!({
        "kind": "item_status", "status": 403, "type": "cluster_block_exception",
        "reason": "index [it] blocked by: [FORBIDDEN/8/index write (api)];", "index": PACKAGES,
    }));
    let mut agent = world.agent(1);
    let documents = packages(0..30, "1");
    let syncing = agent.delta(&documents);
    let operating = async {
        let paused = daemon
            .until_status("the index is paused and a session has ended", |status| {
                let ended = status["counters"]["sessions_not_ok"].as_u64();
                let paused = status["paused"].as_array()?.first().cloned();
                paused.filter(|_| ended > Some(0))
            })
            .await;
        assert_eq!(
            (&paused["index"], &paused["needs_operator"]),
            (&json!(PACKAGES), &json!(false))
        );
        let mut other = world.agent(2);
        other.delta(&[port(22)]).await.all();
        world.indexer.heal();
    };
    let (synced, ()) = tokio::join!(syncing, operating);
    let synced = synced.all();
    let offline = |cause: &Cause| {
        matches!(
            cause,
            Cause::Refused {
                status: Status::Offline,
                ..
            }
        )
    };
    assert!(synced.causes.iter().any(offline), "{:?}", synced.causes);
    world.check(&[PACKAGES], 1, &documents).await;
}

#[tokio::test]
async fn requests_that_are_too_large_are_split() {
    let Some(mut world) = World::without_indexer("too-large") else {
        return;
    };
    world.indexer.limit_bodies(20 << 10);
    world.indexer.start();
    world.install_templates();
    let _daemon = world.setup().start_ready().await;
    let mut documents = packages(0..200, "1");
    // One that is too large alone fails alone.
    let text = "x".repeat(21 << 10);
    let large = format!(r#"{{"package":{{"description":"{text}"}}}}"#);
    documents.insert(100, Document::upsert(PACKAGES, "large", large));
    let mut agent = world.agent(1);
    let synced = agent.delta(&documents).await;
    assert_eq!(
        synced.outcome,
        Outcome::PartiallyAcknowledged {
            acknowledged: 200,
            retryable: 0,
            quarantined: 1,
            unlisted: 0
        },
        "{synced:?}"
    );
    assert_eq!(
        (
            synced.verdicts[0].failed[0].seq,
            synced.verdicts[0].failed[0].status
        ),
        (100, 413)
    );
    documents.remove(100);
    world.check(&[PACKAGES], 1, &documents).await;
}
