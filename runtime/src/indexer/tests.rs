use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::body::{BodyError, GuardedBody, SendRecord};
use super::test_server::{Pki, Presentation, Reply, Script, TestServer};
use super::{Connector, HttpOutcome, HttpRequest, JSON, Method, NDJSON};
use crate::certs::{Authority, Subject, Validity};
use crate::config::{Credentials, IndexerConfig};

fn answers(status: u16, body: &'static str) -> Script {
    Arc::new(move |_| Reply::Answer(status, "application/json", body.to_owned()))
}

fn always(reply: Reply) -> Script {
    Arc::new(move |_| reply.clone())
}

fn post(parts: &[&'static [u8]]) -> HttpRequest {
    HttpRequest {
        host_index: 0,
        method: Method::Post,
        path_and_query: "/_bulk?timeout=8s".to_owned(),
        body: parts.iter().map(|part| Bytes::from_static(part)).collect(),
        content_type: NDJSON,
        deadline: Instant::now() + Duration::from_secs(10),
        not_after: None,
    }
}

async fn send(config: &IndexerConfig, request: HttpRequest) -> HttpOutcome {
    Connector::new(config).unwrap().execute(request).await
}

fn not_sent(outcome: &HttpOutcome) -> &str {
    match outcome {
        HttpOutcome::NotSent { reason } => &reason.text,
        other => panic!("{other:?}"),
    }
}

fn unknown(outcome: &HttpOutcome) -> &str {
    match outcome {
        HttpOutcome::Unknown { reason } => &reason.text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn parts_arrive_under_one_content_length() {
    let pki = Pki::new();
    let server = TestServer::start(pki.server(), answers(200, "{\"errors\":false}")).await;
    let outcome = send(
        &pki.config(server.address.port()),
        post(&[b"{\"a\":1}\n", b"", b"{\"b\":2}\n"]),
    )
    .await;
    assert!(
        matches!(&outcome, HttpOutcome::Answer { status: 200, body } if body == "{\"errors\":false}"),
        "{outcome:?}"
    );
    let seen = &server.seen()[0];
    assert_eq!(seen.line(), "POST /_bulk?timeout=8s");
    assert_eq!(seen.body, b"{\"a\":1}\n{\"b\":2}\n");
    assert_eq!(seen.header("content-length").as_deref(), Some("16"));
    assert_eq!(seen.header("transfer-encoding"), None);
    assert_eq!(seen.header("content-type").as_deref(), Some(NDJSON));
    assert_eq!(
        seen.head.to_lowercase().matches("content-length").count(),
        1
    );
}

#[tokio::test]
async fn credentials_are_sent_and_never_shown() {
    let pki = Pki::new();
    let server = TestServer::start(pki.server(), answers(200, "{}")).await;
    let mut config = pki.config(server.address.port());
    config.credentials = Some(Credentials {
        user: "inventory".into(),
        password: "pa:ss".into(),
    });
    send(&config, post(&[b"x"])).await;
    assert_eq!(
        server.seen()[0].header("authorization").as_deref(),
        Some("Basic aW52ZW50b3J5OnBhOnNz")
    );
    assert!(!format!("{config:?}").contains("pa:ss"));
}

#[tokio::test]
async fn a_request_without_body_has_length_zero_where_one_is_expected() {
    let pki = Pki::new();
    let server = TestServer::start(pki.server(), answers(200, "{}")).await;
    let config = pki.config(server.address.port());
    let mut request = post(&[]);
    request.content_type = JSON;
    send(&config, request.clone()).await;
    request.method = Method::Get;
    send(&config, request).await;
    let seen = server.seen();
    assert_eq!(seen[0].header("content-length").as_deref(), Some("0"));
    assert_eq!(seen[1].header("content-length"), None);
    assert_eq!(seen[1].line(), "GET /_bulk?timeout=8s");
}

#[tokio::test]
async fn an_error_status_is_an_answer_and_a_redirect_is_not_followed() {
    let pki = Pki::new();
    let server = TestServer::start(pki.server(), answers(413, "")).await;
    let outcome = send(&pki.config(server.address.port()), post(&[b"x"])).await;
    assert!(
        matches!(&outcome, HttpOutcome::Answer { status: 413, body } if body.is_empty()),
        "{outcome:?}"
    );
    let server = TestServer::start(pki.server(), answers(302, "")).await;
    let outcome = send(&pki.config(server.address.port()), post(&[b"x"])).await;
    assert!(
        matches!(outcome, HttpOutcome::Answer { status: 302, .. }),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let pki = Pki::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let outcome = send(&pki.config(free), post(&[b"x"])).await;
    assert!(not_sent(&outcome).contains("refused"), "{outcome:?}");

    let mut config = pki.config(free);
    config.hosts[0].name = "does-not-exist.invalid".into();
    not_sent(&send(&config, post(&[b"x"])).await);
}

#[tokio::test]
async fn a_server_that_cannot_be_trusted_gets_nothing() {
    let pki = Pki::new();
    let other = Authority::new("another authority", Validity::days(1)).unwrap();
    let issued = other
        .issue(
            &Subject::Server(vec!["localhost".into()]),
            Validity::days(1),
        )
        .unwrap();
    let stranger = Presentation {
        issued,
        client_ca: None,
        only_tls12: false,
    };
    for presentation in [
        stranger,
        pki.server_for("localhost", Validity::ended()),
        pki.server_for("elsewhere", Validity::days(1)),
    ] {
        let server = TestServer::start(presentation, answers(200, "{}")).await;
        let outcome = send(&pki.config(server.address.port()), post(&[b"x"])).await;
        not_sent(&outcome);
        assert!(
            matches!(&outcome, HttpOutcome::NotSent { reason } if reason.tls.is_some()),
            "{outcome:?}"
        );
        assert!(server.seen().is_empty());
    }
}

#[tokio::test]
async fn a_listener_that_never_answers_the_handshake_is_not_sent_in_time() {
    let pki = Pki::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = pki.config(listener.local_addr().unwrap().port());
    config.connect_timeout = Duration::from_secs(30);
    let began = Instant::now();
    let mut request = post(&[b"x"]);
    request.deadline = began + Duration::from_millis(200);
    let outcome = send(&config, request).await;
    assert!(
        not_sent(&outcome).contains("no connection before"),
        "{outcome:?}"
    );
    assert!(
        began.elapsed() < config.connect_timeout,
        "the earlier of both limits"
    );
}

#[tokio::test]
async fn after_the_body_was_sent_the_outcome_is_unknown() {
    let pki = Pki::new();
    for reply in [Reply::Hang, Reply::BreaksOff] {
        let server = TestServer::start(pki.server(), always(reply)).await;
        let outcome = send(&pki.config(server.address.port()), post(&[b"x"])).await;
        unknown(&outcome);
        assert_eq!(server.seen().len(), 1, "it was sent once and not again");
    }
    let server = TestServer::start(pki.server(), always(Reply::Silence)).await;
    let mut request = post(&[b"x"]);
    // Later than the slowest connection to it.
    request.deadline = Instant::now() + Duration::from_secs(3);
    let outcome = send(&pki.config(server.address.port()), request).await;
    assert!(
        unknown(&outcome).contains("no whole answer before"),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn an_answer_longer_than_the_limit_is_unknown() {
    let pki = Pki::new();
    let server = TestServer::start(
        pki.server(),
        Arc::new(|_| Reply::Answer(200, JSON, "x".repeat(5_000))),
    )
    .await;
    let mut config = pki.config(server.address.port());
    config.response_max_bytes = 4_999;
    assert!(unknown(&send(&config, post(&[b"x"])).await).contains("longer than 4999 bytes"));
    config.response_max_bytes = 5_000;
    let outcome = send(&config, post(&[b"x"])).await;
    assert!(
        matches!(outcome, HttpOutcome::Answer { status: 200, .. }),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_missing_client_certificate_is_never_an_answer() {
    let pki = Pki::new();
    for only_tls12 in [true, false] {
        let presentation = Presentation {
            client_ca: Some(pki.authority.certificate_pem().to_owned()),
            only_tls12,
            ..pki.server()
        };
        let server = TestServer::start(presentation, answers(200, "{}")).await;
        let mut config = pki.config(server.address.port());
        let outcome = send(&config, post(&[b"x"])).await;
        let reason = match &outcome {
            HttpOutcome::NotSent { reason } | HttpOutcome::Unknown { reason } => reason,
            HttpOutcome::Answer { .. } => panic!("{outcome:?}"),
        };
        assert!(!reason.text.is_empty());
        assert!(server.seen().is_empty());

        let client = pki
            .authority
            .issue(&Subject::Client("inventory".into()), Validity::days(1))
            .unwrap();
        let name = format!("client-{only_tls12}");
        let files = client.save(pki.path(), &name).unwrap();
        config.client_certificate = Some((files[0].clone(), files[1].clone()));
        let outcome = send(&config, post(&[b"x"])).await;
        assert!(
            matches!(outcome, HttpOutcome::Answer { status: 200, .. }),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn after_the_lease_nothing_is_sent() {
    let pki = Pki::new();
    let server = TestServer::start(pki.server(), answers(200, "{}")).await;
    let config = pki.config(server.address.port());
    for body in [&[b"x".as_slice()][..], &[]] {
        let mut request = post(body);
        request.not_after = Some(Instant::now());
        let outcome = send(&config, request).await;
        assert!(not_sent(&outcome).contains("lease"), "{outcome:?}");
    }
    assert!(server.seen().iter().all(|seen| seen.body.is_empty()));
}

#[tokio::test]
async fn changed_certificates_are_read_again_and_bad_ones_are_not_taken() {
    let pki = Pki::new();
    let server = TestServer::start(pki.server(), answers(200, "{}")).await;
    let mut config = pki.config(server.address.port());
    let authority = pki.path().join("trusted.pem");
    let stranger = Authority::new("another authority", Validity::days(1)).unwrap();
    std::fs::write(&authority, stranger.certificate_pem()).unwrap();
    config.certificate_authorities = vec![authority.clone()];
    let connector = Connector::new(&config).unwrap();
    not_sent(&connector.execute(post(&[b"x"])).await);
    assert!(!connector.reload_if_changed().unwrap());

    std::fs::write(&authority, format!("{}\n", pki.authority.certificate_pem())).unwrap();
    assert!(connector.reload_if_changed().unwrap());
    assert!(matches!(
        connector.execute(post(&[b"x"])).await,
        HttpOutcome::Answer { .. }
    ));

    std::fs::write(&authority, "not a certificate").unwrap();
    let error = connector.reload_if_changed().unwrap_err().to_string();
    insta::assert_snapshot!(error.replace(&pki.path().display().to_string(), "DIR"), @"DIR/trusted.pem: holds no certificate authority in PEM form (-----BEGIN …)");
    assert!(
        !connector.reload_if_changed().unwrap(),
        "one complaint per change"
    );
    assert!(matches!(
        connector.execute(post(&[b"x"])).await,
        HttpOutcome::Answer { .. }
    ));
}

#[test]
fn a_certificate_and_a_strange_key_are_both_named() {
    let pki = Pki::new();
    let issue = || {
        pki.authority
            .issue(&Subject::Client("inventory".into()), Validity::days(1))
            .unwrap()
    };
    let one = issue().save(pki.path(), "one").unwrap();
    let two = issue().save(pki.path(), "two").unwrap();
    let mut config = pki.config(9200);
    config.client_certificate = Some((one[0].clone(), two[1].clone()));
    let error = Connector::new(&config).err().unwrap().to_string();
    insta::assert_snapshot!(error.replace(&pki.path().display().to_string(), "DIR"), @"DIR/one.pem and DIR/two-key.pem do not belong together: the key is not that certificate's");
}

#[test]
fn a_revoked_body_gives_nothing_and_a_started_one_cannot_be_revoked() {
    use http_body::Body as _;
    use std::pin::pin;
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let body = |record: &Arc<SendRecord>| {
        GuardedBody::new(vec![Bytes::from_static(b"x")], Arc::clone(record), None)
    };

    let record = Arc::new(SendRecord::default());
    let mut revoked = pin!(body(&record));
    assert!(record.revoke() && record.revoke());
    match revoked.as_mut().poll_frame(&mut context) {
        std::task::Poll::Ready(Some(Err(error))) => assert_eq!(error, BodyError::Revoked),
        other => panic!("{other:?}"),
    }
    assert!(!record.started());

    let record = Arc::new(SendRecord::default());
    let mut started = pin!(body(&record));
    assert!(matches!(
        started.as_mut().poll_frame(&mut context),
        std::task::Poll::Ready(Some(Ok(_)))
    ));
    assert!(record.started() && !record.revoke());
}
