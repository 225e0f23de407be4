//! `inventory-agent scan` as a process: what it prints and how it exits.

use std::io::Read as _;
use std::process::{Command, Output, Stdio};

use inventory_agent::document;
use serde_json::Value as Json;

fn agent() -> Command {
    Command::new(env!("CARGO_BIN_EXE_inventory-agent"))
}

fn scan(args: &[&str]) -> Output {
    agent().arg("scan").args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn json_is_documents_that_fit_their_index() {
    let output = scan(&["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let documents: Vec<Json> = serde_json::from_slice(&output.stdout).unwrap();
    let mut indices: Vec<&str> = Vec::new();
    for document in &documents {
        let index = document["index"].as_str().unwrap();
        assert_eq!(document::check(index, &document["document"]), Ok(()));
        indices.push(index);
    }
    for index in ["system", "hardware", "processes"] {
        let index = format!("wazuh-states-inventory-{index}");
        assert!(indices.contains(&index.as_str()), "{index}");
    }
}

#[test]
fn tables_keep_to_their_width_without_a_terminal() {
    let output = scan(&["--limit", "20"]);
    assert_eq!(output.status.code(), Some(0));
    let tables = text(&output.stdout);
    for line in tables.lines().filter(|line| line.starts_with('│')) {
        let width = line.chars().count();
        assert!(width <= 120, "{width}: {line}");
    }
    assert!(tables.contains("wazuh-states-inventory-packages"));
}

#[test]
fn only_the_categories_asked_for() {
    let output = scan(&[
        "--category",
        "groups",
        "--category",
        "users",
        "--limit",
        "0",
    ]);
    let tables = text(&output.stdout);
    assert!(tables.contains("inventory-users") && tables.contains("inventory-groups"));
    assert!(!tables.contains("inventory-processes"));
}

#[test]
fn exit_codes() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("etc")).unwrap();
    std::fs::write(root.path().join("etc/passwd"), "root:x:0:0::/root:\n").unwrap();
    let dir = root.path().to_str().unwrap();

    let users = scan(&["--root", dir]);
    assert_eq!(users.status.code(), Some(0));
    assert!(text(&users.stdout).contains("unavailable: "));

    let strict = scan(&["--root", dir, "--strict", "--json"]);
    assert_eq!(strict.status.code(), Some(3));
    assert!(text(&strict.stderr).contains("hardware is unavailable: "));
    assert_eq!(
        serde_json::from_slice::<Vec<Json>>(&strict.stdout)
            .unwrap()
            .len(),
        1
    );

    let nothing = scan(&["--root", dir, "--category", "groups"]);
    assert_eq!(nothing.status.code(), Some(1));

    let unknown = scan(&["--category", "ghosts"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("known are system"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = agent()
        .args(["scan", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Reads nothing: the first write meets a closed pipe.
    drop(child.stdout.take());
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
    assert!(
        !stderr.contains("panicked") && !stderr.contains("cannot write"),
        "{stderr}"
    );
}
