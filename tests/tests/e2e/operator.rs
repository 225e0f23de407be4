//! What operators ask, see and do.

use std::os::unix::fs::PermissionsExt;

use inventory_sync_core::agent::Cause;
use inventory_sync_core::wire::Status;
use inventory_tests::World;
use inventory_tests::agent::TestAgent;
use inventory_tests::document::{PACKAGES, PORTS, packages, port};
use inventory_tests::wait::{LONG, until};
use serde_json::json;

#[tokio::test]
async fn status_and_metrics_show_what_happens() {
    let world = World::new("status");
    let daemon = world.setup().start_ready().await;
    let admin = daemon.setup.get("admin.socket").to_owned();
    let mode = std::fs::metadata(&admin).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(daemon.http("/healthz").await, (200, "ready\n".to_owned()));
    let mut agent = world.agent(1);
    agent.full(&[PACKAGES], &packages(0..30, "1")).await.all();

    let status = daemon.status();
    assert_eq!(status["pid"], json!(daemon.pid()));
    assert_eq!(status["cluster"], json!(world.cluster));
    assert_eq!(status["hosts"][0]["url"], json!(world.indexer.access().url));
    assert_eq!(status["hosts"][0]["health"], "ready");
    assert!(
        status["writer"]["lease_left_ms"].as_u64() > Some(0),
        "{status}"
    );
    assert!(
        status["writer"]["bound_ahead_ms"].as_i64() > Some(0),
        "{status}"
    );
    assert_eq!(status["sessions"]["connections"], json!(1));
    for empty in ["receiving", "delivering", "items", "bytes", "tainted_lanes"] {
        assert_eq!(status["sessions"][empty], json!(0), "{status}");
    }
    assert_eq!(status["counters"]["sessions_ok"], json!(1));
    assert_eq!(status["counters"]["operations_stored"], json!(30));
    assert_eq!(
        (&status["paused"], &status["alerts"]),
        (&json!([]), &json!([]))
    );
    let text = daemon.setup.ask(&["status"]);
    assert!(
        text.contains(&world.cluster) && text.contains("ready"),
        "{text}"
    );

    let (code, metrics) = daemon.http("/metrics").await;
    assert_eq!(code, 200);
    for name in [
        "inventory_sync_sessions_opened_total 1",
        "inventory_sync_sessions_ended_total{status=\"Ok\",reason=\"None\"} 1",
        "inventory_sync_operations_stored_total 30",
        "inventory_sync_staged_bytes_total ",
        "inventory_sync_bulk_duration_seconds_bucket",
    ] {
        assert!(metrics.contains(name), "{name} is not in\n{metrics}");
    }
    assert!(!metrics.contains("agent="), "no label names an agent");
}

#[tokio::test]
async fn without_a_daemon_status_says_so() {
    let world = World::new("no-daemon");
    let output = world.setup().run(&["status"]);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint.contains("inventory-sync serve"), "{complaint}");
}

#[tokio::test]
async fn nothing_is_written_without_templates() {
    let Some(world) = World::without_templates("no-templates") else {
        return;
    };
    let daemon = world.setup().start().await;
    let mut agent = world.agent(1);
    let documents = packages(0..25, "1");
    let syncing = agent.delta(&documents);
    let installing = async {
        let paused = daemon
            .until_status("the index is not written to", |status| {
                let paused = status["paused"].as_array()?;
                let of_packages = paused.iter().find(|paused| paused["index"] == PACKAGES)?;
                let refused = status["counters"]["starts_refused"].as_u64();
                let ended = status["counters"]["sessions_not_ok"].as_u64();
                let is_told = of_packages["reason"]
                    .as_str()?
                    .contains("templates install");
                let is_felt = refused > Some(0) || ended > Some(0);
                (is_told && is_felt).then(|| of_packages.clone())
            })
            .await;
        assert_eq!(paused["needs_operator"], json!(false));
        assert!(
            !world
                .commands()
                .run(&["templates", "diff"])
                .status
                .success()
        );
        let (status, _) = world.indexer.ask("GET", &format!("/{PACKAGES}"), "").await;
        assert_eq!(status, 404, "nothing was created");
        world.install_templates();
        assert!(
            world
                .commands()
                .run(&["templates", "diff"])
                .status
                .success()
        );
    };
    let (synced, ()) = tokio::join!(syncing, installing);
    for cause in &synced.all().causes {
        let Cause::Refused { status, .. } = cause else {
            panic!("{cause:?}");
        };
        assert_eq!(*status, Status::Offline, "{cause:?}");
    }
    world.check(&[PACKAGES], 1, &documents).await;
    daemon
        .until_status("no index is paused", |status| {
            status["paused"].as_array()?.is_empty().then_some(())
        })
        .await;
}

/// Most documents of one index are refused: that is the index's fault, and no document is given up.
#[tokio::test]
async fn an_index_that_refuses_most_is_held_until_an_operator_resumes_it() {
    let Some(world) = World::with_faults("held") else {
        return;
    };
    let daemon = world.setup().start_ready().await;
    let resume = |name: &str| daemon.setup.run(&["index", "resume", name]);
    assert!(!resume(PACKAGES).status.success(), "nothing to resume yet");
    assert!(!resume("no-such-index").status.success());
    world
        .indexer
        .faults(&json!({"kind": "item_status", "status": 400, "index": PACKAGES}));
    let mut agent = world.agent(1);
    let documents = packages(0..80, "1");
    let syncing = agent.delta(&documents);
    let operating = async {
        let held = daemon
            .until_status("the index is held", |status| {
                let paused = status["paused"].as_array()?;
                paused
                    .iter()
                    .find(|index| index["needs_operator"] == true)
                    .cloned()
            })
            .await;
        assert_eq!(held["index"], PACKAGES);
        let alerts = daemon.status()["alerts"].to_string();
        assert!(alerts.contains(PACKAGES), "{alerts}");
        // Other indices go on.
        let mut other = TestAgent::new(world.endpoint(2), 2, "syscollector", |_| {});
        other.delta(&[port(22)]).await.all();
        world.check(&[PORTS], 2, &[port(22)]).await;
        world.indexer.heal();
        let resumed = resume(PACKAGES);
        assert!(resumed.status.success(), "{resumed:?}");
    };
    let (synced, ()) = tokio::join!(syncing, operating);
    synced.all();
    world.check(&[PACKAGES], 1, &documents).await;
}

#[tokio::test]
async fn check_finds_nothing_wrong_where_everything_is_right() {
    let world = World::new("check");
    let output = world.commands().run(&["check"]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
}

/// A right that is gone stops everything when it is the one to renew the lease: the operator is told so.
#[tokio::test]
async fn a_lease_that_is_refused_is_an_alert() {
    let Some(world) = World::with_faults("lease-refused") else {
        return;
    };
    let daemon = world.setup().start_ready().await;
    // Load passes by itself, and is none.
    world.indexer.faults(&json!({
        "kind": "status", "status": 429, "type": "rejected_execution_exception",
        "reason": "queue capacity = 1", "path": "/inventory-sync-writer", "count": 1,
    }));
    until("a renewal was refused for load", LONG, async || {
        daemon.logged("the lease was refused for load and is tried again")
    })
    .await;
    assert_eq!(daemon.status()["alerts"], json!([]));
    let reason = "no permissions for [indices:data/write/index] and User [name=inventory]";
    world.indexer.faults(&json!({
        "kind": "status", "status": 403, "type": "security_exception", "reason": reason,
        "path": "/inventory-sync-writer",
    }));
    let alert = daemon
        .until_status("an alert", |status| {
            status["alerts"][0].as_str().map(str::to_owned)
        })
        .await;
    assert!(
        alert.contains("the lease cannot be taken or renewed") && alert.contains(reason),
        "{alert}"
    );
    let told = daemon
        .log()
        .matches("\"the lease cannot be taken or renewed\"")
        .count();
    assert_eq!(told, 1, "once, not at each attempt");
    world.indexer.heal();
    daemon
        .until_status("no alert", |status| {
            status["alerts"].as_array()?.is_empty().then_some(())
        })
        .await;
    let mut agent = world.agent(1);
    agent.delta(&packages(0..3, "1")).await.all();
}

/// A right that was never there: whichever step towards the first lease it stops, the operator is told.
#[tokio::test]
async fn each_step_that_is_refused_on_the_way_to_a_lease_is_an_alert() {
    for path in [
        "/inventory-sync-writer",
        "/inventory-sync-writer/_doc",
        "/wazuh-states-inventory-packages/_refresh",
        "/wazuh-states-inventory-packages/_count",
    ] {
        // Each begins with nothing there: only then are documents counted.
        let Some(world) = World::with_faults("no-lease") else {
            return;
        };
        let reason = format!("no permissions for what is asked of {path}");
        world.indexer.faults(&json!({
            "kind": "status", "status": 403, "type": "security_exception", "reason": reason,
            "path": path,
        }));
        let daemon = world.setup().start().await;
        daemon
            .until_status(&format!("an alert: {path}"), |status| {
                let alerts = status["alerts"].to_string();
                let is_told = alerts.contains("the lease cannot be taken");
                (is_told && alerts.contains(&reason)).then_some(())
            })
            .await;
        world.indexer.heal();
        daemon.until_ready().await;
        daemon
            .until_status("no alert", |status| {
                status["alerts"].as_array()?.is_empty().then_some(())
            })
            .await;
    }
}
