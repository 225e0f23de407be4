//! The programs together, as they are used: this machine's own inventory, brought by the agent's program.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use inventory_sync::certs::Issued;
use inventory_tests::World;
use inventory_tests::indexer::{Access, Indexer, USER};
use inventory_tests::programs::program;
use serde_json::{Value, json};

/// Ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already is no error here.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sync(
    world: &World,
    identity: &Issued,
    folder: &std::path::Path,
) -> (Option<i32>, Value, String) {
    if !folder.join("agent.pem").exists() {
        identity.save(folder, "agent").unwrap();
    }
    let output = Command::new(program("inventory-agent"))
        .args([
            "sync",
            "--once",
            "--json",
            "--quiet",
            "--category",
            "system",
        ])
        .args(["--category", "users", "--category", "packages"])
        .args(["--timeout", "60"])
        .arg("--manager")
        .arg(format!("localhost:{}", world.address.get().port()))
        .arg("--ca")
        .arg(world.pki.authority_file())
        .arg("--certificate")
        .arg(folder.join("agent.pem"))
        .arg("--key")
        .arg(folder.join("agent-key.pem"))
        .arg("--state")
        .arg(folder.join("state"))
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_str(&printed).unwrap_or(Value::Null);
    (output.status.code(), report, printed + &complaint)
}

#[tokio::test]
async fn this_machine_is_found_in_the_indexer() {
    let world = World::new("this-machine");
    let daemon = world.setup().start_ready().await;
    let folder = tempfile::tempdir().unwrap();
    let identity = world.pki.agent(1);
    let indices = [
        "wazuh-states-inventory-system",
        "wazuh-states-inventory-users",
        "wazuh-states-inventory-packages",
    ];
    let (code, _, printed) = sync(&world, &identity, folder.path());
    // 3: a category that this machine does not have, such as packages, was left out.
    assert!(matches!(code, Some(0 | 3)), "{code:?}: {printed}");
    let first = world.indexer.documents(&indices, &world.cluster, 1).await;
    assert!(!first.is_empty());
    let root = first.values().filter(|stored| {
        let source: Value = serde_json::from_str(&stored.source).unwrap();
        source["user"]["name"] == json!("root")
    });
    assert_eq!(root.count(), 1, "root is a user of every machine");
    let bulks = daemon
        .metric("inventory_sync_operations_stored_total")
        .await;

    // Again, and nothing that has not changed is written.
    let (code, _, printed) = sync(&world, &identity, folder.path());
    assert!(matches!(code, Some(0 | 3)), "{code:?}: {printed}");
    let stored = daemon
        .metric("inventory_sync_operations_stored_total")
        .await
        - bulks;
    assert!(stored <= 3.0, "{stored} documents were written again");

    // Somebody else's certificate.
    let other = tempfile::tempdir().unwrap();
    let nobody = world.pki.client("nobody");
    let (code, _, printed) = sync(&world, &nobody, other.path());
    assert!(matches!(code, Some(1 | 2)), "{code:?}: {printed}");
}

#[tokio::test]
async fn the_stand_in_as_a_program_takes_documents_and_faults() {
    let Some(mut world) = World::without_indexer("stand-in") else {
        return;
    };
    let mut child = Command::new(program("inventory-indexer"))
        .args([
            "--listen",
            "127.0.0.1:0",
            "--no-auto-create",
            "--user",
            USER.0,
        ])
        .arg("--certificate")
        .arg(world.pki.server_file())
        .arg("--key")
        .arg(world.pki.server_key_file())
        .env("INVENTORY_INDEXER_PASSWORD", USER.1)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let printed = BufReader::new(child.stdout.take().unwrap());
    let _running = Running(child);
    let line = printed
        .lines()
        .next()
        .expect("says where it listens")
        .unwrap();
    let port = line.rsplit(':').next().unwrap();
    world.indexer = Indexer::real(Access {
        url: format!("https://localhost:{port}"),
        ..world.indexer.access().clone()
    });
    world.install_templates();
    let _daemon = world.setup().start_ready().await;
    let fault = json!({"kind": "item_status", "status": 429, "count": 5}).to_string();
    let (status, body) = world.indexer.ask("PUT", "/_inventory/faults", &fault).await;
    assert_eq!(status, 200, "{body}");
    let documents = inventory_tests::document::packages(0..30, "1");
    let mut agent = world.agent(1);
    agent.delta(&documents).await.all();
    let indices = [inventory_tests::document::PACKAGES];
    world.check(&indices, 1, &documents).await;
    let (status, body) = world.indexer.ask("GET", "/_inventory/stats", "").await;
    assert_eq!(status, 200, "{body}");
    let stats: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(stats["items_refused"], json!(5));
}
