//! The load client against a real daemon: what it says was acknowledged is in the Indexer, whatever was done to
//! it on the way; and it notices when something is not.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use inventory_tests::World;
use inventory_tests::daemon::Setup;
use inventory_tests::document::PACKAGES;
use inventory_tests::wait::{LONG, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
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

/// The command line over TLS.
fn over_tls(world: &World, setup: &Setup, arguments: &str) -> Command {
    let mut command = setup.command(&["replay", "--json", "--certs"]);
    command
        .arg(world.pki.authority_file().parent().unwrap())
        .arg("--to")
        .arg(format!("tls://localhost:{}", world.address.get().port()))
        .args(arguments.split_whitespace());
    command
}

/// The command line of a relay.
fn over_unix(socket: &Path, setup: &Setup, arguments: &str) -> Command {
    let mut command = setup.command(&["replay", "--json", "--to"]);
    command
        .arg(format!("unix:{}", socket.display()))
        .args(arguments.split_whitespace());
    command
}

/// Exit code and report.
async fn report(mut command: Command) -> (Option<i32>, Value) {
    let run = move || command.output().unwrap();
    let output: Output = tokio::task::spawn_blocking(run).await.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    println!("{printed}{complaint}");
    let report = serde_json::from_str(&printed).unwrap_or(Value::Null);
    (output.status.code(), report)
}

fn count(value: &Value) -> u64 {
    match value {
        Value::Object(counts) => counts.values().map(count).sum(),
        other => other.as_u64().unwrap(),
    }
}

#[tokio::test]
async fn every_document_arrives_whatever_is_done_on_the_way_and_a_lost_one_is_named() {
    let world = World::new("harm");
    let daemon = world.setup().start_ready().await;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let arguments = format!(
        "--agents 8 --documents 120 --rounds 4 --changed-percent 20 --deleted-percent 5 --loss 10 \
         --duplicates 10 --shuffle --cut 25 --crash 15 --frame-bytes 2048 --answer-timeout-ms 500 \
         --verify documents --state {}",
        state.display()
    );
    let (code, told) = report(over_tls(&world, &daemon.setup, &arguments)).await;
    assert_eq!((code, &told["outcome"]), (Some(0), &json!("ok")));
    let sessions = &told["sessions"];
    assert_eq!(count(&sessions["ok"]), 32);
    for harm in ["req_rets", "reconnects", "crashes"] {
        assert!(
            count(&sessions[harm]) > 0,
            "no {harm}: the harm was not done"
        );
    }
    // 120 rows at first; then 24 changed, 6 deleted and 6 added, three times.
    assert_eq!(count(&told["documents"]), 8 * (120 + 3 * 36));
    let verified = &told["verify"];
    assert_eq!(
        (count(&verified["documents"]), count(&verified["missing"])),
        (960, 0)
    );
    assert_eq!(count(&told["latency_ms"]["count"]), 32);

    // Behind its back.
    let stored = world
        .indexer
        .documents(&[PACKAGES], &world.cluster, 3)
        .await;
    let (_, id) = stored.keys().next().unwrap();
    let path = format!("/{PACKAGES}/_doc/{id}");
    let (status, answer) = world.indexer.ask("DELETE", &path, "").await;
    assert_eq!(status, 200, "{answer}");
    let (code, told) = report(over_tls(&world, &daemon.setup, &arguments)).await;
    assert_eq!((code, &told["outcome"]), (Some(1), &json!("wrong")));
    assert_eq!(
        count(&told["sessions"]["opened"]),
        0,
        "all was acknowledged"
    );
    assert_eq!(
        told["verify"]["examples"],
        json!([format!("missing: {id} in {PACKAGES}")])
    );
}

#[tokio::test]
async fn a_relay_carries_many_agents() {
    let world = World::new("load-relay");
    let own = nix::unistd::geteuid().as_raw();
    let setup = world.setup().with("router.relay_uids", own);
    let daemon = setup.start_ready().await;
    let socket = daemon.setup.socket();
    let (code, told) = report(over_unix(
        &socket,
        &daemon.setup,
        "--agents 200 --connections 3 --documents 10 --rounds 3 --deleted-percent 10 --active 50 \
         --cut 1 --crash 2 --verify documents",
    ))
    .await;
    assert_eq!((code, &told["outcome"]), (Some(0), &json!("ok")));
    assert_eq!(count(&told["sessions"]["ok"]), 600);
    assert_eq!(count(&told["verify"]["documents"]), 2_000);
    assert!(count(&told["sessions"]["crashes"]) > 0);
}

#[tokio::test]
async fn a_client_that_was_killed_goes_on_where_it_ended() {
    let world = World::new("load-killed");
    let daemon = world.setup().start_ready().await;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let arguments = format!(
        "--agents 6 --documents 20 --rounds 20 --deleted-percent 10 --pause-ms 20 --verify documents --state {}",
        state.display()
    );
    let acknowledged = || {
        let text = std::fs::read_to_string(&state).unwrap_or_default();
        text.lines()
            .filter(|line| line.starts_with("acknowledged "))
            .count() as u64
    };
    {
        let child = over_tls(&world, &daemon.setup, &arguments)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut running = Running(child);
        until("some rounds are acknowledged", LONG, async || {
            (acknowledged() > 20).then_some(())
        })
        .await;
        running.0.kill().unwrap();
        running.0.wait().unwrap();
    }
    let before = acknowledged();
    assert!(before < 120, "it was killed too late");
    // Torn, as if it had died while it wrote.
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&state)
        .unwrap();
    file.write_all(b"acknowledged 1 syscol").unwrap();
    drop(file);
    let (code, told) = report(over_tls(&world, &daemon.setup, &arguments)).await;
    assert_eq!((code, &told["outcome"]), (Some(0), &json!("ok")));
    assert_eq!(count(&told["sessions"]["ok"]), 120 - before);
    assert_eq!(acknowledged(), 120);
    // Another plan is not what the file remembers.
    let other = arguments.replace("--documents 20", "--documents 21");
    let output = over_tls(&world, &daemon.setup, &other).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another plan"));
}

#[tokio::test]
async fn idle_agents_hold_their_sessions_until_they_are_told_to_end() {
    let world = World::new("load-idle");
    let own = nix::unistd::geteuid().as_raw();
    let setup = world
        .setup()
        .with("router.relay_uids", own)
        .with("session.idle_timeout_ms", 60_000);
    let daemon = setup.start_ready().await;
    let mut child = over_unix(
        &daemon.setup.socket(),
        &daemon.setup,
        "--agents 50 --connections 2 --documents 30 --idle",
    )
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let out = child.stdout.take().unwrap();
    let mut running = Running(child);
    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).unwrap();
        line
    });
    let told: Value = serde_json::from_str(&line.await.unwrap()).unwrap();
    assert_eq!(told, json!({"holding": 50, "connections": 2}));
    daemon
        .until_status("all but one item of each is staged", |status| {
            (status["sessions"]["receiving"] == json!(50)).then_some(())
        })
        .await;
    kill(
        Pid::from_raw(i32::try_from(running.0.id()).unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    let ended = until("the client ends", LONG, async || {
        running.0.try_wait().unwrap()
    })
    .await;
    assert_eq!(ended.code(), Some(0));
}

#[tokio::test]
async fn captured_sessions_are_brought_by_many_agents() {
    let Some(folder) = std::env::var_os("INVENTORY_TEST_SESSIONS") else {
        println!("skipped: INVENTORY_TEST_SESSIONS names no folder with captured sessions");
        return;
    };
    let world = World::new("load-captured");
    let daemon = world.setup().start_ready().await;
    let mut command = over_tls(
        &world,
        &daemon.setup,
        "--agents 5 --rounds 2 --loss 5 --shuffle --cut 10 --answer-timeout-ms 500 --verify documents",
    );
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).expect("INVENTORY_TEST_SESSIONS is a folder") {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            command.arg("--session").arg(path);
            files += 1;
        }
    }
    assert!(files > 0, "no session in {}", folder.display());
    let (code, told) = report(command).await;
    assert_eq!((code, &told["outcome"]), (Some(0), &json!("ok")));
    assert_eq!(count(&told["sessions"]["ok"]), 5 * 2 * files);
    assert!(count(&told["verify"]["documents"]) > 0);
}

#[tokio::test]
async fn a_document_that_is_refused_is_a_wrong_verdict() {
    let Some(world) = World::with_faults("load-refused") else {
        return;
    };
    let daemon = world.setup().start_ready().await;
    world.indexer.faults(&json!([
        {"kind": "item_status", "status": 400, "index": PACKAGES, "probability_percent": 20}
    ]));
    let (code, told) = report(over_tls(
        &world,
        &daemon.setup,
        "--agents 3 --documents 20 --verify none",
    ))
    .await;
    assert_eq!((code, &told["outcome"]), (Some(1), &json!("wrong")));
    assert!(count(&told["sessions"]["partially_rejected"]) > 0);
    assert!(
        told["complaints"][0]
            .as_str()
            .unwrap()
            .contains("were refused")
    );
    assert_eq!(told["verify"], Value::Null);
}

#[tokio::test]
async fn without_a_daemon_it_gives_up_and_says_so() {
    let Some(world) = World::without_indexer("load-alone") else {
        return;
    };
    let setup = world.setup();
    let arguments = "--agents 2 --give-up-after-s 1 --verify none";
    let (code, told) = report(over_unix(&setup.socket(), &setup, arguments)).await;
    assert_eq!((code, &told["outcome"]), (Some(3), &json!("unfinished")));
    assert!(count(&told["connection_troubles"]) > 0);
    let (code, _) = report(over_unix(&setup.socket(), &setup, "--connections 5")).await;
    assert_eq!(code, Some(2), "more connections than agents");
}
