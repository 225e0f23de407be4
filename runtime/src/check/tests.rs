use std::sync::Arc;
use std::time::{Duration, SystemTime};

use inventory_sync_schemas::{fields, templates};
use serde_json::{Value, json};

use super::privileges::{Refusal, judge};
use super::{Report, run};
use crate::certs::{Authority, Subject, Validity};
use crate::config::{Config, Need, Sources};
use crate::indexer::test_server::{Pki, Presentation, Reply, Script, Seen, TestServer};
use crate::indexer::{JSON, NDJSON};

/// The report on that port, with what differs from run to run replaced.
async fn report_with(pki: &Pki, port: u16, set: &[&str]) -> (Report, String) {
    let mut all = vec![
        format!("indexer.hosts=https://localhost:{port}"),
        format!(
            "indexer.certificate_authorities={}",
            pki.path().join("ca.pem").display()
        ),
    ];
    all.extend(set.iter().map(|set| (*set).to_owned()));
    let environment = vec![(
        "INVENTORY_SYNC_INDEXER_PASSWORD".to_owned(),
        "secret".to_owned(),
    )];
    let with_user = set.iter().any(|set| set.starts_with("indexer.user="));
    let sources = Sources {
        set: all,
        environment: if with_user { environment } else { vec![] },
        ..Sources::default()
    };
    let report = run(Config::load(&sources, Need::Indexer)).await;
    let text = report
        .to_string()
        .replace(&format!(":{port}"), ":PORT")
        .replace(&pki.path().display().to_string(), "DIR")
        .replace("127.0.0.1, ::1", "ADDRESS")
        .replace("::1, 127.0.0.1", "ADDRESS")
        .replace("[::1]:PORT", "127.0.0.1:PORT")
        .lines()
        .map(|line| {
            if line.starts_with("  dns ") && line.contains(" ok ") {
                "  dns           ok       ADDRESS"
            } else {
                line
            }
        })
        .collect::<Vec<_>>()
        .join("\n");
    (report, text)
}

async fn report(pki: &Pki, server: &TestServer, set: &[&str]) -> String {
    report_with(pki, server.address.port(), set).await.1
}

fn forbidden(action: &str) -> Reply {
    let reason = format!(
        "no permissions for [{action}] and User [name=inventory, backend_roles=[], requestedTenant=null]"
    );
    let error = json!({"type": "security_exception", "reason": reason});
    Reply::Answer(
        403,
        JSON,
        json!({"error": error, "status": 403}).to_string(),
    )
}

fn health(status: &str) -> Reply {
    Reply::Answer(
        200,
        JSON,
        json!({"cluster_name": "t", "status": status, "unassigned_shards": 4}).to_string(),
    )
}

/// A healthy Indexer in which every index exists with our mapping, but for what `other` answers.
fn indexer(other: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> Script {
    Arc::new(move |seen| {
        if let Some(reply) = other(seen) {
            return reply;
        }
        let line = seen.line();
        if line == "GET /_cluster/health" {
            return health("green");
        }
        if line == "GET /_index_template/*" {
            return Reply::Answer(200, JSON, json!({"index_templates": []}).to_string());
        }
        if let Some(schema) = line.strip_prefix("GET /").and_then(fields::index) {
            let created: Value = serde_json::from_str(&templates::create_body(schema)).unwrap();
            return Reply::Answer(200, JSON, json!({schema.name: created}).to_string());
        }
        if line == "POST /_bulk" {
            let item =
                json!({"status": 409, "error": {"type": "version_conflict_engine_exception"}});
            return Reply::Answer(
                200,
                JSON,
                json!({"errors": true, "items": [{"index": item}]}).to_string(),
            );
        }
        if line.ends_with("/_search") || line.ends_with("/_refresh") {
            return Reply::Answer(200, JSON, "{}".into());
        }
        Reply::Answer(404, JSON, json!({"found": false}).to_string())
    })
}

fn healthy() -> Script {
    indexer(|_| None)
}

fn only(line: &'static str, reply: Reply) -> Script {
    indexer(move |seen| (seen.line() == line).then(|| reply.clone()))
}

async fn serve(pki: &Pki, script: Script) -> TestServer {
    TestServer::start(pki.server(), script).await
}

#[tokio::test]
async fn all_is_well() {
    let pki = Pki::new();
    let server = serve(&pki, healthy()).await;
    let (report, text) =
        report_with(&pki, server.address.port(), &["indexer.user=inventory"]).await;
    insta::assert_snapshot!(text);
    assert!(report.is_ok());
    // What was tried to learn about privileges cannot have changed anything.
    for seen in server.seen() {
        let body = String::from_utf8(seen.body.clone()).unwrap();
        assert!(!seen.line().starts_with("PUT"));
        assert!(!seen.line().starts_with("DELETE") || seen.line() == "DELETE /_search/scroll");
        if seen.line() == "POST /_bulk" {
            assert_eq!(seen.header("content-type").as_deref(), Some(NDJSON));
            let actions: Vec<_> = body
                .lines()
                .filter(|line| line.contains("_index"))
                .collect();
            assert_eq!(actions.len(), 2);
            assert!(
                actions
                    .iter()
                    .all(|line| line.contains("\"if_seq_no\":9007199254740991"))
            );
        }
    }
}

#[tokio::test]
async fn wrong_authority() {
    let pki = Pki::new();
    let other = Authority::new("another authority", Validity::days(1)).unwrap();
    let issued = other
        .issue(
            &Subject::Server(vec!["localhost".into()]),
            Validity::days(1),
        )
        .unwrap();
    let server = TestServer::start(
        Presentation {
            issued,
            client_ca: None,
            only_tls12: false,
        },
        healthy(),
    )
    .await;
    let (report, text) = report_with(&pki, server.address.port(), &[]).await;
    insta::assert_snapshot!(text);
    assert!(!report.is_ok());
}

#[tokio::test]
async fn expired() {
    let pki = Pki::new();
    let day = |day: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400);
    // 2026-01-01 and the day after.
    let validity = Validity {
        from: day(20_454),
        until: day(20_455),
    };
    let server = TestServer::start(pki.server_for("localhost", validity), healthy()).await;
    insta::assert_snapshot!(report(&pki, &server, &[]).await);
}

#[tokio::test]
async fn wrong_name() {
    let pki = Pki::new();
    let server = TestServer::start(
        pki.server_for("node-1.example", Validity::days(1)),
        healthy(),
    )
    .await;
    insta::assert_snapshot!(report(&pki, &server, &[]).await);
}

#[tokio::test]
async fn client_certificate_missing() {
    let pki = Pki::new();
    let client_ca = Some(pki.authority.certificate_pem().to_owned());
    let server = TestServer::start(
        Presentation {
            client_ca,
            ..pki.server()
        },
        healthy(),
    )
    .await;
    insta::assert_snapshot!(report(&pki, &server, &[]).await);
}

#[tokio::test]
async fn client_certificate_of_a_stranger() {
    let pki = Pki::new();
    let client_ca = Some(pki.authority.certificate_pem().to_owned());
    let server = TestServer::start(
        Presentation {
            client_ca,
            ..pki.server()
        },
        healthy(),
    )
    .await;
    let other = Authority::new("another authority", Validity::days(1)).unwrap();
    let files = other
        .issue(&Subject::Client("x".into()), Validity::days(1))
        .unwrap()
        .save(pki.path(), "x")
        .unwrap();
    let set = [
        format!("indexer.certificate={}", files[0].display()),
        format!("indexer.key={}", files[1].display()),
    ];
    insta::assert_snapshot!(report(&pki, &server, &[&set[0], &set[1]]).await);
}

#[tokio::test]
async fn wrong_password() {
    let pki = Pki::new();
    let server = serve(
        &pki,
        Arc::new(|_| Reply::Answer(401, "text/plain", "Unauthorized".into())),
    )
    .await;
    insta::assert_snapshot!(report(&pki, &server, &["indexer.user=inventory"]).await);
    assert_eq!(
        server.seen().len(),
        1,
        "after a 401 there is no hammering: accounts lock"
    );
    insta::assert_snapshot!("no_credentials_at_all", report(&pki, &server, &[]).await);
    let server = serve(
        &pki,
        Arc::new(|_| Reply::Answer(401, "text/plain", "Authentication finally failed".into())),
    )
    .await;
    insta::assert_snapshot!(
        "locked_out",
        report(&pki, &server, &["indexer.user=inventory"]).await
    );
}

#[tokio::test]
async fn health_is_forbidden() {
    let pki = Pki::new();
    let server = serve(
        &pki,
        only("GET /_cluster/health", forbidden("cluster:monitor/health")),
    )
    .await;
    insta::assert_snapshot!(report(&pki, &server, &["indexer.user=inventory"]).await);
}

#[tokio::test]
async fn templates_are_forbidden() {
    let pki = Pki::new();
    let server = serve(
        &pki,
        only(
            "GET /_index_template/*",
            forbidden("indices:admin/index_template/get"),
        ),
    )
    .await;
    insta::assert_snapshot!(report(&pki, &server, &["indexer.user=inventory"]).await);
}

#[tokio::test]
async fn writing_and_refreshing_are_forbidden() {
    let pki = Pki::new();
    let script = indexer(|seen| {
        let line = seen.line();
        let reason = |action: &str| json!({"type": "security_exception", "reason": format!("no permissions for [{action}] and User [name=CN=writer,O=x, backend_roles=[], requestedTenant=null]")});
        if line == "POST /_bulk" {
            let item = json!({"status": 403, "error": reason("indices:data/write/bulk[s]")});
            return Some(Reply::Answer(
                200,
                JSON,
                json!({"errors": true, "items": [{"index": item}]}).to_string(),
            ));
        }
        // Without an `error`, as real ones answer.
        line.ends_with("/_refresh").then(|| {
            let failures = json!([{"shard": 0, "reason": reason("indices:admin/refresh[s]")}]);
            Reply::Answer(
                403,
                JSON,
                json!({"_shards": {"total": 1, "failed": 1, "failures": failures}}).to_string(),
            )
        })
    });
    let server = serve(&pki, script).await;
    insta::assert_snapshot!(report(&pki, &server, &["indexer.user=inventory"]).await);
}

#[tokio::test]
async fn starting() {
    let pki = Pki::new();
    let body = "OpenSearch Security not initialized.";
    let server = serve(
        &pki,
        Arc::new(move |_| Reply::Answer(503, "text/plain", body.into())),
    )
    .await;
    insta::assert_snapshot!(report(&pki, &server, &[]).await);
}

#[tokio::test]
async fn red() {
    let pki = Pki::new();
    let server = serve(&pki, only("GET /_cluster/health", health("red"))).await;
    insta::assert_snapshot!(report(&pki, &server, &[]).await);
    let server = serve(&pki, only("GET /_cluster/health", health("yellow"))).await;
    assert!(
        report(&pki, &server, &[])
            .await
            .contains("health        ok       yellow")
    );
}

#[tokio::test]
async fn missing_templates() {
    let pki = Pki::new();
    let nothing = |seen: &Seen| {
        let line = seen.line();
        line.starts_with("GET /wazuh").then(|| {
            Reply::Answer(
                404,
                JSON,
                json!({"error": {"type": "index_not_found_exception"}}).to_string(),
            )
        })
    };
    let server = serve(&pki, indexer(nothing)).await;
    insta::assert_snapshot!(report(&pki, &server, &[]).await);
    assert!(
        server
            .seen()
            .iter()
            .all(|seen| seen.line() != "POST /_bulk"),
        "no write is tried where an index would be made"
    );
    let text = report(&pki, &server, &["indexer.write_without_template=true"]).await;
    assert!(
        text.ends_with("All is well.") && text.contains("templates     warning  17 of 17"),
        "{text}"
    );
}

#[tokio::test]
async fn a_different_template() {
    let pki = Pki::new();
    let sca = "wazuh-states-sca";
    let script = indexer(move |seen| {
        (seen.line() == format!("GET /{sca}")).then(|| {
            let created = templates::create_body(fields::index(sca).unwrap()).replace(
                "\"sha1\":{\"type\":\"keyword\"",
                "\"sha1\":{\"type\":\"text\"",
            );
            let created: Value = serde_json::from_str(&created).unwrap();
            Reply::Answer(200, JSON, json!({sca: created}).to_string())
        })
    });
    let server = serve(&pki, script).await;
    insta::assert_snapshot!(report(&pki, &server, &[]).await);
}

#[tokio::test]
async fn refused_connection() {
    let pki = Pki::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    insta::assert_snapshot!(report_with(&pki, port, &[]).await.1);
}

#[tokio::test]
async fn a_port_without_tls() {
    use tokio::io::AsyncWriteExt;
    let pki = Pki::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                .await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    });
    insta::assert_snapshot!(report_with(&pki, port, &[]).await.1);
}

#[tokio::test]
async fn hosts_that_are_none() {
    let pki = Pki::new();
    insta::assert_snapshot!(
        "listen_address",
        report_with(&pki, 9200, &["indexer.hosts=https://0.0.0.0:9200"])
            .await
            .1
    );
    insta::assert_snapshot!(
        "plaintext",
        report_with(&pki, 9200, &["indexer.hosts=http://localhost:9200"])
            .await
            .1
    );
    let (_, text) = report_with(&pki, 9200, &["indexer.hosts=https://no-such-host.invalid"]).await;
    assert!(
        text.contains("the name no-such-host.invalid has no address"),
        "{text}"
    );
}

#[tokio::test]
async fn something_else_on_the_port() {
    let pki = Pki::new();
    let server = serve(
        &pki,
        Arc::new(|_| Reply::Answer(404, "text/html", "<h1>nginx</h1>".into())),
    )
    .await;
    insta::assert_snapshot!(report(&pki, &server, &[]).await);
    let server = serve(
        &pki,
        Arc::new(|_| Reply::Answer(200, "text/html", "<h1>Dashboard</h1>".into())),
    )
    .await;
    assert!(
        report(&pki, &server, &[])
            .await
            .contains("does not say green, yellow or red")
    );
    let server = serve(&pki, Arc::new(|_| Reply::Hang)).await;
    assert!(
        report(&pki, &server, &[])
            .await
            .contains("http          FAILED   no answer: ")
    );
}

#[test]
fn a_refusal_names_action_and_user() {
    let read = |text| Refusal::read_all("GET /x", text).remove(0);
    let refusal = read(
        "no permissions for [indices:data/write/bulk[s]] and User [name=a, backend_roles=[b]]",
    );
    assert_eq!(
        (refusal.action.as_str(), refusal.user.as_deref()),
        ("indices:data/write/bulk[s]", Some("a"))
    );
    let refusal = read("no permissions for [cluster:monitor/health]");
    assert_eq!(
        (refusal.action.as_str(), refusal.user),
        ("cluster:monitor/health", None)
    );
    assert_eq!(
        read(""),
        Refusal {
            action: "GET /x".into(),
            user: None
        }
    );
    let two = "no permissions for [a] and User [name=u, x] … no permissions for [b[s]] and User [name=u, x]";
    let actions: Vec<_> = Refusal::read_all("GET /x", two)
        .into_iter()
        .map(|refusal| refusal.action)
        .collect();
    assert_eq!(actions, ["a", "b[s]"]);
    let refused = [
        read("no permissions for [cluster:monitor/health]"),
        read("no permissions for [indices:admin/get]"),
    ];
    match judge(&refused, None) {
        super::Finding::Failed { remedy, .. } => {
            insta::assert_snapshot!(remedy, @"add to a role of this user: the cluster permissions cluster:monitor/health; on wazuh-states-* and inventory-sync-writer the index permissions indices:admin/get")
        }
        other => panic!("{other:?}"),
    }
}
