use clap::{CommandFactory, Parser};

use super::{Cli, Ending};

fn run(arguments: &[&str]) -> Ending {
    let mut all = vec!["inventory-sync"];
    all.extend(arguments);
    Cli::try_parse_from(all)
        .map_err(|error| error.to_string())?
        .execute()
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
    insta::assert_snapshot!(Cli::command().render_long_help());
}

#[test]
fn the_effective_configuration_is_printed() {
    let (text, is_ok) = run(&["--print-config", "--set", "session.shards=2"]).unwrap();
    assert!(is_ok && text.contains("shards = 2  # --set"));
    let (text, is_ok) = run(&["check", "--print-config", "--set", "session.shards=200"]).unwrap();
    assert!(
        !is_ok && text.contains("shards = 1  # default"),
        "what is wrong is left out, the rest is shown"
    );
}

#[test]
fn without_a_command_or_a_daemon_it_says_what_to_do() {
    insta::assert_snapshot!(run(&[]).unwrap_err(), @"what shall be done? `inventory-sync --help` lists the commands");
    let dir = tempfile::tempdir().unwrap();
    let socket = format!("admin.socket={}", dir.path().join("none").display());
    let error = run(&["status", "--set", &socket]).unwrap_err();
    assert!(error.starts_with("no daemon answers on "), "{error}");
    let error = run(&["index", "resume", "x", "--set", "admin.socket="]).unwrap_err();
    assert!(error.starts_with("admin.socket is empty"), "{error}");
    let error = run(&["templates", "diff", "--set", "indexer.hosts=http://a"]).unwrap_err();
    assert!(error.contains("is not encrypted"), "{error}");
}

#[test]
fn certificates_are_made_step_by_step() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display().to_string();
    let certs = |arguments: &[&str]| {
        let mut all = vec!["certs"];
        all.extend(arguments);
        all.extend(["--dir", &path]);
        run(&all)
            .map(|(text, _)| text.replace(&path, "DIR"))
            .map_err(|text| text.replace(&path, "DIR"))
    };
    let told = [
        certs(&["issue", "--agent", "1"]),
        certs(&["init", "--name", "test"]),
        certs(&["init"]),
        certs(&["issue", "--server", "localhost", "127.0.0.1"]),
        certs(&["issue", "--agent", "1"]),
        certs(&["issue", "--agent", "0"]),
        certs(&["issue", "--admin"]),
        certs(&["issue", "--indexer-client"]),
        certs(&["issue", "--indexer-client", "writer", "--file", "w"]),
    ];
    let told: Vec<_> = told
        .into_iter()
        .map(|told| told.unwrap_or_else(|error| format!("ERROR {error}")))
        .collect();
    insta::assert_snapshot!(told.join("\n\n"));
    assert!(certs(&["issue"]).unwrap_err().contains("required"));
    assert!(certs(&["issue", "--admin", "--agent", "1"]).is_err());
}
