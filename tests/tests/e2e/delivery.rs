//! Full and Delta: what agents send is what searches find.

use inventory_sync_core::agent::{Cause, Outcome};
use inventory_sync_core::wire::Reason;
use inventory_tests::World;
use inventory_tests::document::{Document, PACKAGES, PORTS, package, packages, port};
use serde_json::json;

const INDICES: &[&str] = &[PACKAGES, PORTS];

#[tokio::test]
async fn full_and_delta_are_found_by_searches() {
    let world = World::new("full-and-delta");
    let _daemon = world.setup().start_ready().await;
    let mut agent = world.agent(7);
    let mut documents = packages(0..150, "1.0");
    documents.extend((1..=20).map(port));
    agent.full(INDICES, &documents).await.all();
    world.check(INDICES, 7, &documents).await;

    // One is new, one changes, one goes; one comes and goes in the same session.
    let passing = package(999, "1.0");
    let changes = [
        package(500, "0.1"),
        package(3, "2.0"),
        package(4, "1.0").deleted(),
        passing.clone(),
        port(7).deleted(),
        passing.deleted(),
    ];
    agent.delta(&changes).await.all();
    documents.retain(|document| {
        ![package(4, "1.0").id, port(7).id, package(3, "1.0").id].contains(&document.id)
    });
    documents.extend([package(500, "0.1"), package(3, "2.0")]);
    world.check(INDICES, 7, &documents).await;
}

#[tokio::test]
async fn agents_and_clusters_do_not_touch_each_other() {
    let world = World::new("neighbours");
    let _daemon = world.setup().with("session.shards", 3).start_ready().await;
    let (mut first, mut second) = (world.agent(1), world.agent(1_002));
    let (of_first, of_second) = (packages(0..60, "1"), packages(30..90, "2"));
    let (one, two) = tokio::join!(
        first.full(&[PACKAGES], &of_first),
        second.full(&[PACKAGES], &of_second)
    );
    one.all();
    two.all();
    world.check(&[PACKAGES], 1, &of_first).await;
    world.check(&[PACKAGES], 1_002, &of_second).await;
    first.full(&[PACKAGES], &of_first[..1]).await.all();
    world.check(&[PACKAGES], 1, &of_first[..1]).await;
    world.check(&[PACKAGES], 1_002, &of_second).await;
}

#[tokio::test]
async fn a_full_that_changes_nothing_writes_nothing() {
    let world = World::new("unchanged");
    let daemon = world.setup().start_ready().await;
    let mut agent = world.agent(2);
    let documents = packages(0..80, "1.0");
    agent.full(&[PACKAGES], &documents).await.all();
    let before = world
        .indexer
        .documents(&[PACKAGES], &world.cluster, 2)
        .await;
    let bulks = daemon.metric("inventory_sync_bulk_requests_total").await;
    assert!(bulks > 0.0);
    agent.full(&[PACKAGES], &documents).await.all();
    let after = world
        .indexer
        .documents(&[PACKAGES], &world.cluster, 2)
        .await;
    assert!(before == after, "a version or a byte has changed");
    assert_eq!(
        daemon
            .metric("inventory_sync_bulk_requests_total")
            .await
            .to_bits(),
        bulks.to_bits(),
        "a bulk request was sent"
    );
    assert_eq!(daemon.status()["counters"]["items_unchanged"], json!(80));
    // One row changes: one document is written.
    let mut documents = documents;
    documents[5] = package(5, "1.1");
    agent.full(&[PACKAGES], &documents).await.all();
    let changed = world
        .indexer
        .documents(&[PACKAGES], &world.cluster, 2)
        .await;
    let written = changed
        .iter()
        .filter(|(key, stored)| before[*key] != **stored);
    assert_eq!(written.count(), 1);
    world.check(&[PACKAGES], 2, &documents).await;
}

#[tokio::test]
async fn a_full_removes_what_is_gone_and_only_in_its_indices() {
    let world = World::new("removal");
    let _daemon = world.setup().start_ready().await;
    let mut agent = world.agent(3);
    let mut documents = packages(0..100, "1.0");
    documents.extend((1..=10).map(port));
    agent.full(INDICES, &documents).await.all();
    let fewer: Vec<Document> = documents[60..100].to_vec();
    agent.full(&[PACKAGES], &fewer).await.all();
    world.check(INDICES, 3, &documents[60..]).await;
    // Complete at its End, and empty.
    agent.full(&[PACKAGES], &[]).await.all();
    world.check(INDICES, 3, &documents[100..]).await;
    // What was removed can come back.
    agent.full(INDICES, &documents[..5]).await.all();
    world.check(INDICES, 3, &documents[..5]).await;
}

#[tokio::test]
async fn a_bad_document_does_not_hurt_its_neighbours() {
    let world = World::new("bad-neighbour");
    let _daemon = world.setup().start_ready().await;
    let mut agent = world.agent(4);
    let mut documents = packages(0..30, "1.0");
    // The mapping is strict: the Indexer refuses the field. The others are found here.
    documents[3].data = br#"{"no_such_field":1}"#.to_vec();
    documents[7].data = b"{\"package\":".to_vec();
    documents[9].data = br#"{"package":{"name":"x"},"wazuh.agent.id":"000"}"#.to_vec();
    documents[11].index = "wazuh-states-fim-files".to_owned();
    let synced = agent.delta(&documents).await;
    assert_eq!(
        synced.outcome,
        Outcome::PartiallyAcknowledged {
            acknowledged: 26,
            retryable: 0,
            quarantined: 4,
            unlisted: 0
        },
        "{synced:?}"
    );
    let failed = &synced.verdicts[0].failed;
    let seqs: Vec<u32> = failed.iter().map(|row| row.seq).collect();
    assert_eq!(seqs, [3, 7, 9, 11]);
    assert_eq!(failed[0].kind, "strict_dynamic_mapping_exception");
    assert_eq!(
        (failed[0].status, failed[0].reason),
        (400, Reason::IndexerRejected)
    );
    assert_eq!(failed[1].reason, Reason::InvalidPayload);
    assert_eq!(failed[2].reason, Reason::InvalidPayload);
    assert_eq!(failed[3].reason, Reason::IndexNotAllowed);
    for place in [11, 9, 7, 3] {
        documents.remove(place);
    }
    world
        .check(&[PACKAGES, "wazuh-states-fim-files"], 4, &documents)
        .await;
}

#[tokio::test]
async fn a_member_of_ours_in_a_document_is_replaced() {
    let world = World::new("overlay");
    let _daemon = world.setup().start_ready().await;
    let mut agent = world.agent(5);
    let data = br#"{"package":{"name":"liar"},"wa\u007auh":{"agent":{"id":"001","name":"other"}},"state":{"document_version":1}}"#;
    let documents = [Document::upsert(PACKAGES, "liar", data.as_slice())];
    agent.delta(&documents).await.all();
    world.check(&[PACKAGES], 5, &documents).await;
    world.check(&[PACKAGES], 1, &[]).await;
}

#[tokio::test]
async fn a_large_session_is_delivered_in_many_requests() {
    let world = World::new("large");
    let daemon = world
        .setup()
        .with("indexer.bulk_max_bytes", 64 << 10)
        .start_ready()
        .await;
    let mut agent = world.agent(6);
    let documents = packages(0..2_000, "1.0");
    agent.full(&[PACKAGES], &documents).await.all();
    world.check(&[PACKAGES], 6, &documents).await;
    assert!(daemon.metric("inventory_sync_bulk_requests_total").await > 5.0);
    agent.full(&[PACKAGES], &documents[..1_000]).await.all();
    world.check(&[PACKAGES], 6, &documents[..1_000]).await;
}

/// Somebody else has written our document, with a version far ahead: nothing older is written over it at a
/// higher version, but the agent, which knows what is newest, comes again and wins.
#[tokio::test]
async fn a_foreign_version_is_an_alarm_and_the_agent_comes_again() {
    let world = World::new("conflict");
    let daemon = world.setup().start_ready().await;
    let mut agent = world.agent(8);
    let mut documents = packages(0..10, "1");
    agent.delta(&documents).await.all();
    let id = format!("{}_008_{}", world.cluster, documents[4].id);
    let stored = world
        .indexer
        .documents(&[PACKAGES], &world.cluster, 8)
        .await;
    let stored = &stored[&(PACKAGES.to_owned(), id.clone())];
    // An hour ahead.
    let ahead = stored.version + (3_600_000 << 10);
    let action = json!({"index": {
        "_index": PACKAGES, "_id": id, "version": ahead, "version_type": "external_gte",
    }});
    let body = format!("{action}\n{}\n", stored.source.replace("paquet", "intrus"));
    let (status, answer) = world.indexer.ask("POST", "/_bulk", &body).await;
    assert!(
        status == 200 && answer.contains("\"errors\":false"),
        "{answer}"
    );
    documents[4] = package(4, "2");
    documents[5] = package(5, "2");
    let synced = agent.delta(&documents[4..6]).await.all();
    let is_conflict = |cause: &Cause| {
        matches!(
            cause,
            Cause::Refused {
                reason: Reason::VersionConflict,
                ..
            }
        )
    };
    assert!(synced.causes.iter().any(is_conflict), "{:?}", synced.causes);
    world.check(&[PACKAGES], 8, &documents).await;
    let status = daemon.status();
    assert_eq!(status["counters"]["conflicts"], json!(1));
    assert!(
        status["alerts"]
            .to_string()
            .contains("something else writes"),
        "{status}"
    );
    // And from now on without a conflict, also after a restart of the daemon.
    drop(daemon);
    let _daemon = world.setup().start_ready().await;
    documents[4] = package(4, "3");
    let synced = agent.delta(&documents[4..5]).await.all();
    assert!(synced.causes.is_empty(), "{:?}", synced.causes);
    world.check(&[PACKAGES], 8, &documents).await;
}

#[tokio::test]
async fn a_session_beyond_its_share_is_told_the_limit() {
    let world = World::new("share");
    let _daemon = world
        .setup()
        .with("session.session_max_items", 50)
        .start_ready()
        .await;
    let mut agent = world.agent(9);
    let synced = agent.delta(&packages(0..51, "1")).await;
    assert_eq!(synced.outcome, Outcome::TooLarge { max_items: 50 });
    agent.delta(&packages(0..50, "1")).await.all();
    world.check(&[PACKAGES], 9, &packages(0..50, "1")).await;
}
