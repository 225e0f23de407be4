//! Texts and tables, and what is written before anything starts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::act::Work;
use super::place::{AGENTS, Place, Ports, shell_word};
use super::show::{self, Question};
use super::sync::{self, Synced};
use crate::admin::{HostStatus, Status, WriterStatus};
use crate::config::{Config, Need, Sources};

const PORTS: Ports = Ports {
    indexer: 19_200,
    agents: 11_517,
    metrics: 19_601,
};

fn place() -> (tempfile::TempDir, Place) {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::create(&dir.path().join("demo")).unwrap();
    (dir, place)
}

fn without(place: &Place, text: &str) -> String {
    text.replace(&place.dir().display().to_string(), "DIR")
}

#[test]
fn what_is_written_is_ours_alone_and_a_sound_configuration() {
    let (_dir, place) = place();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(place.dir()), 0o700);
    place.write_certificates().unwrap();
    place
        .write_settings(PORTS, "secret", Path::new("/bin/inventory-agent"))
        .unwrap();
    for path in [place.password_file(), place.curl_config(), place.config()] {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    for agent in AGENTS {
        assert!(place.key(&format!("agent-{agent:03}")).is_file());
    }
    let sources = Sources {
        file: Some(place.config()),
        ossec_conf: None,
        environment: Vec::new(),
        set: Vec::new(),
    };
    let config = Config::load(&sources, Need::Indexer).unwrap();
    assert_eq!(config.warnings, Vec::<String>::new());
    let tls = config.router.tls.unwrap();
    assert!(tls.listen.ip().is_loopback() && tls.listen.port() == PORTS.agents);
    let script = fs::read_to_string(place.sync_script()).unwrap();
    insta::assert_snapshot!(without(&place, &script));
}

#[test]
fn a_directory_of_others_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Place::existing(&dir.path().join("none")).unwrap(), None);
    assert_eq!(Place::existing(dir.path()).unwrap(), None, "it is empty");
    fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
    for error in [
        Place::existing(dir.path()).unwrap_err(),
        Place::create(dir.path()).unwrap_err(),
    ] {
        assert!(
            error.to_string().contains("choose another --dir"),
            "{error}"
        );
    }
    assert!(dir.path().join("thesis.txt").is_file());
}

#[test]
fn a_second_run_begins_anew_and_clean_removes() {
    let (_dir, place) = place();
    fs::write(place.dir().join("store"), "old").unwrap();
    let again = Place::create(place.dir()).unwrap();
    assert!(!again.dir().join("store").exists());
    again.remove().unwrap();
    assert_eq!(Place::existing(place.dir()).unwrap(), None);
}

#[test]
fn a_directory_too_deep_for_a_socket_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("x".repeat(120));
    let error = Place::create(&deep).unwrap_err().to_string();
    assert!(error.contains("shorter --dir"), "{error}");
}

#[test]
fn ports_are_free_and_three() {
    let ports = Ports::free().unwrap();
    assert_ne!(ports.indexer, ports.agents);
    assert_ne!(ports.agents, ports.metrics);
}

#[test]
fn questions_and_their_answers() {
    let mut told = String::new();
    let mut show = |question: &Question, hits: &[serde_json::Value]| {
        told.push_str(&show::asked(question));
        told.push('\n');
        told.push_str(&show::table(question, hits, Some(100)));
        told.push_str("\n\n");
    };
    let [ports, packages, users] = show::questions();
    let listener = json!({
        "network": {"transport": "tcp"},
        "source": {"ip": ["0.0.0.0"], "port": 22},
        "process": {"name": null},
    });
    show(&ports, &[listener]);
    let package =
        json!({"package": {"name": "a\u{1b}[2Jb", "version": "1.0", "size": 522_488_832_u64}});
    show(&packages, &[package]);
    show(&users, &[]);
    show(&show::who_listens(4_711), &[]);
    insta::assert_snapshot!(told);
}

#[test]
fn texts() {
    let (_dir, place) = place();
    let done = Synced {
        documents: 912,
        stored: 912,
        took: Duration::from_millis(530),
        attempts_before: 0,
        left_out: 0,
    };
    let partly = Synced {
        left_out: 2,
        ..done
    };
    let status = Status {
        version: "0.1.0".to_owned(),
        pid: 7,
        cluster: "wazuh".to_owned(),
        writer: WriterStatus {
            id: "writer-1".to_owned(),
            lease_left_ms: 9_000,
            bound_ahead_ms: 0,
        },
        hosts: vec![HostStatus {
            url: "https://127.0.0.1:19200".to_owned(),
            health: "no answer".to_owned(),
        }],
        alerts: vec!["the Indexer takes nothing: no answer".to_owned()],
        ..Status::default()
    };
    let first = Work {
        written: 911,
        unchanged: 0,
    };
    let second = Work {
        written: 3,
        unchanged: 910,
    };
    let texts = [
        show::introduction(Path::new("target/demo")),
        show::synced(&done, first),
        show::synced(&partly, second),
        show::down(&place, PORTS),
        show::seen_by_the_operator(&status),
        show::survived(&done, 912),
        show::survived(
            &Synced {
                attempts_before: 1,
                ..done
            },
            912,
        ),
        show::where_to_look(&place, PORTS, Path::new("/bin/inventory-sync")),
    ];
    insta::assert_snapshot!(without(&place, &texts.join("\n\n")));
}

#[test]
fn words_for_a_shell() {
    assert_eq!(shell_word("/usr/bin/a-b_c.d"), "/usr/bin/a-b_c.d");
    assert_eq!(shell_word("it's here"), r"'it'\''s here'");
    assert_eq!(shell_word(""), "''");
}

#[test]
fn results_of_the_agent() {
    let read = |text: &str| sync::read(text.as_bytes());
    assert_eq!(
        read(
            r#"{"documents": 3, "stored": 3, "took_ms": 5, "problem": null, "refused": [], "left_out": [{}],
                "sessions": [{"attempts_before": 2}, {"attempts_before": 0}]}"#
        ),
        Ok(Synced {
            documents: 3,
            stored: 3,
            took: Duration::from_millis(5),
            attempts_before: 2,
            left_out: 1,
        })
    );
    let problem = read(r#"{"documents": 3, "stored": 0, "problem": "no route"}"#).unwrap_err();
    assert!(problem.to_string().contains("no route"));
    let refused = read(r#"{"refused": [{"reason": "IndexerRejected"}]}"#).unwrap_err();
    assert!(refused.to_string().contains("IndexerRejected"));
    let nothing = read("").unwrap_err();
    assert!(nothing.to_string().contains("without a result"));
}
