use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use super::client::ask;
use super::server::{AdminSocket, Handler};
use super::{
    HostStatus, LINE_MAX_BYTES, PausedIndex, Request, Response, SessionStatus, Status,
    WriterStatus, size, span,
};

struct Daemon;

impl Handler for Daemon {
    async fn status(&self) -> Status {
        Status {
            version: "0.1.0".into(),
            ..Status::default()
        }
    }

    async fn resume_index(&self, index: &str) -> Result<String, String> {
        if index == "paused" {
            Ok("going on".into())
        } else {
            Err(format!("{index} is not paused"))
        }
    }
}

fn hide(text: &impl ToString, dir: &Path) -> String {
    text.to_string().replace(&dir.display().to_string(), "DIR")
}

async fn asked(path: &Path, request: Request) -> Response {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || ask(&path, &request))
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn a_daemon_answers_its_operator() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/admin.sock");
    let socket = AdminSocket::bind(&path).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let server = tokio::spawn(socket.serve(Arc::new(Daemon)));
    match asked(&path, Request::Status).await {
        Response::Status(status) => assert_eq!(status.version, "0.1.0"),
        other => panic!("{other:?}"),
    }
    let resume = |index: &str| Request::IndexResume {
        index: index.into(),
    };
    assert_eq!(
        asked(&path, resume("paused")).await,
        Response::Done {
            message: "going on".into()
        }
    );
    assert_eq!(
        asked(&path, resume("other")).await,
        Response::Refused {
            message: "other is not paused".into()
        }
    );
    server.abort();
    let _ = server.await;
    assert!(!path.exists(), "a stopped daemon leaves no socket");
}

#[tokio::test]
async fn nonsense_is_refused_and_too_much_of_it_hung_up_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    tokio::spawn(AdminSocket::bind(&path).unwrap().serve(Arc::new(Daemon)));
    let raw = |bytes: Vec<u8>| {
        let path = path.clone();
        tokio::task::spawn_blocking(move || {
            let mut stream = UnixStream::connect(path).unwrap();
            stream.write_all(&bytes).unwrap();
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            answer
        })
    };
    assert!(
        raw(b"{\"command\":\"reboot\"}\n".to_vec())
            .await
            .unwrap()
            .contains("does not understand")
    );
    assert_eq!(
        raw(vec![b'x'; usize::try_from(LINE_MAX_BYTES).unwrap() + 10])
            .await
            .unwrap(),
        ""
    );
}

#[tokio::test]
async fn a_socket_in_use_is_never_taken_and_a_stale_one_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let first = AdminSocket::bind(&path).unwrap();
    insta::assert_snapshot!(hide(&AdminSocket::bind(&path).unwrap_err(), dir.path()), @"DIR/admin.sock: another daemon answers on this admin socket; stop it, or give this one its own admin.socket");
    drop(first);
    // A killed daemon leaves its socket behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(AdminSocket::bind(&path).unwrap());
    std::fs::write(&path, "a file").unwrap();
    insta::assert_snapshot!(hide(&AdminSocket::bind(&path).unwrap_err(), dir.path()), @"DIR/admin.sock exists and is not a socket; it is left as it is: choose another admin.socket");
    assert_eq!(std::fs::read(&path).unwrap(), b"a file");
}

#[test]
fn without_a_daemon_the_client_says_what_to_look_at() {
    let dir = tempfile::tempdir().unwrap();
    let error = ask(&dir.path().join("admin.sock"), &Request::Status).unwrap_err();
    insta::assert_snapshot!(hide(&error, dir.path()), @"no daemon answers on DIR/admin.sock: is `inventory-sync serve` running, with the same admin.socket?");
}

#[test]
fn a_status_is_told_in_lines() {
    let status = Status {
        version: "0.1.0".into(),
        pid: 4711,
        uptime_ms: 3_723_000,
        cluster: "wazuh".into(),
        writer: WriterStatus {
            id: "host-a".into(),
            lease_left_ms: 27_000,
            bound_ahead_ms: 60_000,
        },
        hosts: vec![HostStatus {
            url: "https://indexer:9200".into(),
            health: "yellow".into(),
        }],
        sessions: SessionStatus {
            receiving: 3,
            delivering: 2,
            items: 12_345,
            bytes: 7 << 20,
            tainted_lanes: 1,
            connections: 9,
        },
        paused: vec![PausedIndex {
            index: "wazuh-states-sca".into(),
            reason: "more than half of its documents were refused".into(),
            for_ms: 61_000,
            needs_operator: true,
        }],
        alerts: vec!["the version bound is 25 h ahead of the clock".into()],
        ..Status::default()
    };
    insta::assert_snapshot!(status);
    let text = serde_json::to_string(&Response::Status(Box::new(status.clone()))).unwrap();
    assert_eq!(
        serde_json::from_str::<Response>(&text).unwrap(),
        Response::Status(Box::new(status))
    );
    insta::assert_snapshot!(Status::default());
}

#[test]
fn spans_and_sizes_are_short() {
    let spans: Vec<_> = [0, 999, 1_000, 61_000, 3_600_000, 90_000_000]
        .map(span)
        .into();
    assert_eq!(
        spans,
        ["0 ms", "999 ms", "1 s", "1 min 1 s", "1 h 0 min", "1 d 1 h"]
    );
    let sizes: Vec<_> = [0, 1_023, 1_024, 1_536, 1 << 30, u64::MAX].map(size).into();
    assert_eq!(
        sizes,
        [
            "0 B",
            "1023 B",
            "1.0 KiB",
            "1.5 KiB",
            "1.0 GiB",
            "16777215.9 TiB"
        ]
    );
}
