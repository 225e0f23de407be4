//! The HTTPS server, asked over real connections: certificates, users, limits and faults.

use base64::Engine;
use inventory_indexer::server::development::{Authority, Identity};
use inventory_indexer::server::{Handle, Options, StartError, User, spawn};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long something that must happen soon may take.
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    handle: Handle,
    authority: Authority,
}

/// What came back: a status, the head's lines in lower case, and the body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

struct Client<'a> {
    world: &'a World,
    user: Option<(&'a str, &'a str)>,
    identity: Option<Identity>,
}

fn start(change: impl FnOnce(&mut Options, &Authority)) -> World {
    let authority = Authority::new("test authority").unwrap();
    let identity = authority.server(&["localhost", "127.0.0.1"]).unwrap();
    let mut options = Options::new(identity.certificate_pem, identity.key_pem);
    options.users = vec![User {
        name: "writer".to_owned(),
        password: "se:cret".to_owned(),
    }];
    options.refresh_interval_ms = 50;
    change(&mut options, &authority);
    World {
        handle: spawn(options).unwrap(),
        authority,
    }
}

impl World {
    fn writer(&self) -> Client<'_> {
        Client {
            world: self,
            user: Some(("writer", "se:cret")),
            identity: None,
        }
    }

    fn nobody(&self) -> Client<'_> {
        Client {
            world: self,
            user: None,
            identity: None,
        }
    }
}

impl Client<'_> {
    fn config(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(
                CertificateDer::from_pem_slice(self.world.authority.certificate_pem().as_bytes())
                    .unwrap(),
            )
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = vec![
                    CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap(),
                ];
                let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        })
    }

    /// Everything the server sends until it closes, and the error it ends with, if any.
    fn exchange(
        &self,
        request: &[u8],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> (Vec<u8>, Option<ErrorKind>) {
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(self.config(versions), name).unwrap();
        let tcp = TcpStream::connect(self.world.handle.address()).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = StreamOwned::new(connection, tcp);
        let mut received = Vec::new();
        let ended = stream
            .write_all(request)
            .and_then(|()| stream.read_to_end(&mut received).map(|_| ()));
        (received, ended.err().map(|error| error.kind()))
    }

    fn request(&self, method: &str, target: &str, body: &str) -> Vec<u8> {
        let mut text =
            format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        if let Some((name, password)) = self.user {
            let encoded =
                base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
            text += &format!("authorization: Basic {encoded}\r\n");
        }
        text += &format!(
            "content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        text.into_bytes()
    }

    /// The bytes of the answer; how much of it arrived is the caller's to judge.
    fn bytes(&self, method: &str, target: &str, body: &str) -> (Vec<u8>, Option<ErrorKind>) {
        self.exchange(&self.request(method, target, body), rustls::ALL_VERSIONS)
    }

    fn ask(&self, method: &str, target: &str, body: &str) -> Answer {
        answer(&self.bytes(method, target, body).0)
    }
}

fn answer(bytes: &[u8]) -> Answer {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

fn document(index: &str, id: &str, version: u64) -> String {
    let action = json!({"index": {"_index": index, "_id": id, "version": version, "version_type": "external_gte"}});
    format!("{action}\n{{\"name\":\"{id}\"}}\n")
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_bulk_is_stored_and_becomes_visible_by_itself() {
    let world = start(|_, _| {});
    let client = world.writer();
    let stored = client.ask(
        "POST",
        "/_bulk",
        &(document("a", "1", 7) + &document("a", "2", 7)),
    );
    assert_eq!(
        (stored.status, &stored.json()["errors"]),
        (200, &json!(false))
    );
    assert!(
        stored.body.starts_with("{\"took\":1,\"errors\":false"),
        "{}",
        stored.body
    );
    eventually("the writes never became visible", || {
        client.ask("GET", "/a/_count", "").json()["count"] == 2
    });
    let found = client
        .ask(
            "POST",
            "/a/_search",
            "{\"query\":{\"term\":{\"name.keyword\":\"2\"}}}",
        )
        .json();
    assert_eq!(found["hits"]["hits"][0]["_source"], json!({"name": "2"}));
    let stale = client.ask("POST", "/_bulk", &document("a", "1", 6)).json();
    assert_eq!(stale["items"][0]["index"]["status"], 409);
    let stats = client.ask("GET", "/_inventory/stats", "").json();
    assert_eq!(
        (
            &stats["bulk_requests"],
            &stats["items_applied"],
            &stats["items_refused"]
        ),
        (&json!(2), &json!(2), &json!(1))
    );
    assert_eq!(
        world
            .handle
            .with_indexer(|indexer| indexer.get_index("a").unwrap().documents().len()),
        2
    );
}

#[test]
fn both_versions_of_tls_are_spoken_and_plain_text_is_not() {
    let world = start(|_, _| {});
    let client = world.writer();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (bytes, _) = client.exchange(&client.request("GET", "/", ""), &[version]);
        assert_eq!(answer(&bytes).status, 200, "{version:?}");
    }
    let mut plain = TcpStream::connect(world.handle.address()).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain
        .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    let mut received = Vec::new();
    let _ = plain.read_to_end(&mut received);
    assert!(!received.starts_with(b"HTTP"), "{received:?}");
}

#[test]
fn who_may_not_ask_is_told_in_plain_text() {
    let world = start(|_, _| {});
    let wrong = Client {
        user: Some(("writer", "wrong")),
        ..world.nobody()
    };
    for client in [world.nobody(), wrong] {
        for target in ["/", "/_inventory/faults", "/_inventory/stats"] {
            let refused = client.ask("GET", target, "");
            assert_eq!(
                (refused.status, refused.body.as_str()),
                (401, "Unauthorized"),
                "{target}"
            );
            assert!(
                refused.head.contains("www-authenticate: basic"),
                "{}",
                refused.head
            );
            assert!(
                refused.head.contains("content-type: text/plain"),
                "{}",
                refused.head
            );
        }
    }
    assert_eq!(world.handle.stats().answers.get(&401), Some(&2));
}

#[test]
fn a_certificate_of_the_authority_is_a_user_and_an_unknown_name_is_not() {
    let world = start(|options, authority| {
        options.client_ca_pem = Some(authority.certificate_pem().into());
        options.certificate_users = vec!["manager".to_owned()];
    });
    let with = |authority: &Authority, name: &str| authority.client(name).unwrap();
    let manager = Client {
        identity: Some(with(&world.authority, "manager")),
        ..world.nobody()
    };
    assert_eq!(manager.ask("GET", "/", "").status, 200);
    let unknown = Client {
        identity: Some(with(&world.authority, "other")),
        ..world.writer()
    };
    let refused = unknown.ask("GET", "/", "");
    assert_eq!(
        (refused.status, &refused.json()["error"]["type"]),
        (403, &json!("security_exception"))
    );
    assert_eq!(world.writer().ask("GET", "/", "").status, 200);
    let foreign = Authority::new("somebody else").unwrap();
    let stranger = Client {
        identity: Some(with(&foreign, "manager")),
        ..world.nobody()
    };
    let (bytes, ended) = stranger.bytes("GET", "/", "");
    assert!(bytes.is_empty() && ended.is_some(), "{bytes:?} {ended:?}");
    eventually("the failed handshake was not counted", || {
        world.handle.stats().failed_handshakes == 1
    });
}

#[test]
fn a_required_certificate_ends_the_handshake_without_one() {
    let world = start(|options, authority| {
        options.client_ca_pem = Some(authority.certificate_pem().into());
        options.require_client_certificate = true;
        options.users.clear();
    });
    let (bytes, ended) = world.nobody().bytes("GET", "/", "");
    assert!(bytes.is_empty() && ended.is_some(), "{bytes:?} {ended:?}");
    let known = Client {
        identity: Some(world.authority.client("anybody").unwrap()),
        ..world.nobody()
    };
    assert_eq!(known.ask("GET", "/", "").status, 200);
}

#[test]
fn a_body_beyond_the_limit_gets_413_without_a_body() {
    let world = start(|options, _| options.content_length_max = 1000);
    let client = world.writer();
    let limit = client.ask("GET", "/_nodes/http", "").json();
    assert_eq!(
        limit["nodes"]["stand-in"]["http"]["max_content_length_in_bytes"],
        1000
    );
    let large: String = (0..20)
        .map(|id| document("a", &id.to_string(), 1))
        .collect();
    assert!(large.len() > 1000);
    let refused = client.ask("POST", "/_bulk", &large);
    assert_eq!((refused.status, refused.body.as_str()), (413, ""));
    assert!(!refused.head.contains("content-type"), "{}", refused.head);
    assert_eq!(
        client.ask("POST", "/_bulk", &document("a", "1", 1)).status,
        200
    );
}

#[test]
fn several_requests_share_a_connection() {
    let world = start(|_, _| {});
    let client = world.writer();
    let first = String::from_utf8(client.request("GET", "/", ""))
        .unwrap()
        .replace("connection: close\r\n", "");
    let both = first + &String::from_utf8(client.request("GET", "/_cluster/health", "")).unwrap();
    let (bytes, ended) = client.exchange(both.as_bytes(), rustls::ALL_VERSIONS);
    assert_eq!(
        String::from_utf8(bytes)
            .unwrap()
            .matches("HTTP/1.1 200 OK")
            .count(),
        2
    );
    assert_eq!(ended, None);
}

#[test]
fn a_request_is_refused_as_often_as_asked() {
    let world = start(|_, _| {});
    let client = world.writer();
    let fault = r#"{"kind":"status","status":429,"path":"/_bulk","count":2}"#;
    assert_eq!(client.ask("PUT", "/_inventory/faults", fault).status, 200);
    assert_eq!(client.ask("GET", "/", "").status, 200);
    for _ in 0..2 {
        let refused = client.ask("POST", "/_bulk", &document("a", "1", 1));
        assert_eq!(
            (refused.status, &refused.json()["error"]["type"]),
            (429, &json!("rejected_execution_exception"))
        );
        assert!(
            refused.body.contains("coordinating_operation_bytes="),
            "{}",
            refused.body
        );
    }
    assert_eq!(
        client.ask("POST", "/_bulk", &document("a", "1", 1)).status,
        200
    );
    assert_eq!(
        client.ask("GET", "/_inventory/faults", "").json()[0]["hits"],
        2
    );
    assert_eq!(world.handle.stats().faults_injected, 2);
    assert_eq!(
        client
            .ask("PUT", "/_inventory/faults", r#"{"kind":"bogus"}"#)
            .status,
        400
    );
    assert_eq!(client.ask("DELETE", "/_inventory/faults", "").status, 200);
    assert_eq!(
        client.ask("GET", "/_inventory/faults", "").json(),
        json!([])
    );
}

#[test]
fn single_operations_are_refused_and_the_others_done() {
    let world = start(|_, _| {});
    let client = world.writer();
    world
        .handle
        .set_faults(r#"{"kind":"item_status","status":429,"index":"a","every":2}"#)
        .unwrap();
    let body = document("a", "1", 1)
        + &document("a", "2", 1)
        + &document("b", "1", 1)
        + &document("a", "3", 1);
    let answer = client.ask("POST", "/_bulk", &body).json();
    let statuses: Vec<_> = answer["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["index"]["status"])
        .collect();
    assert_eq!(statuses, [201, 429, 201, 201]);
    assert_eq!(
        answer["items"][1]["index"]["error"]["type"],
        "rejected_execution_exception"
    );
    assert_eq!(client.ask("GET", "/a/_doc/2", "").status, 404);
}

#[test]
fn an_answer_can_be_lost_although_the_write_was_done() {
    let world = start(|_, _| {});
    let client = world.writer();
    world
        .handle
        .set_faults(r#"{"kind":"drop_answer","path":"/_bulk","count":1}"#)
        .unwrap();
    let (bytes, ended) = client.bytes("POST", "/_bulk", &document("a", "1", 1));
    assert_eq!((bytes.len(), ended), (0, Some(ErrorKind::UnexpectedEof)));
    assert_eq!(client.ask("GET", "/a/_doc/1", "").status, 200);
    assert_eq!(world.handle.stats().answers.get(&0), Some(&1));
}

#[test]
fn a_write_can_land_after_its_connection_is_gone() {
    let world = start(|_, _| {});
    let client = world.writer();
    world
        .handle
        .set_faults(r#"{"kind":"delay_apply","ms":300,"path":"/_bulk","count":1}"#)
        .unwrap();
    let (bytes, ended) = client.bytes("POST", "/_bulk", &document("a", "1", 1));
    assert_eq!((bytes.len(), ended), (0, Some(ErrorKind::UnexpectedEof)));
    assert_eq!(client.ask("GET", "/a/_doc/1", "").status, 404);
    eventually("the late write never landed", || {
        client.ask("GET", "/a/_doc/1", "").status == 200
    });
}

#[test]
fn an_answer_can_end_in_the_middle() {
    let world = start(|_, _| {});
    let client = world.writer();
    let whole = client.ask("POST", "/_bulk", &document("a", "1", 1));
    world
        .handle
        .set_faults(r#"{"kind":"truncate_answer","path":"/_bulk"}"#)
        .unwrap();
    let (bytes, ended) = client.bytes("POST", "/_bulk", &document("a", "1", 1));
    let cut = answer(&bytes);
    assert_eq!((cut.status, ended), (200, Some(ErrorKind::UnexpectedEof)));
    assert!(
        !cut.body.is_empty() && cut.body.len() < whole.body.len(),
        "{}",
        cut.body
    );
    assert_eq!(
        client
            .ask("GET", "/a/_doc/1?filter_path=_version,_seq_no", "")
            .json(),
        json!({"_version": 1, "_seq_no": 1})
    );
}

#[test]
fn a_node_can_be_down_starting_slow_or_red() {
    let world = start(|_, _| {});
    let client = world.writer();
    world.handle.set_faults(r#"{"kind":"down"}"#).unwrap();
    assert_eq!(
        client.bytes("GET", "/", ""),
        (Vec::new(), Some(ErrorKind::UnexpectedEof))
    );
    // The stand-in's own routes answer all the same, so that it can be healed from outside.
    assert_eq!(
        client
            .ask("PUT", "/_inventory/faults", r#"{"kind":"starting"}"#)
            .status,
        200
    );
    let starting = world.nobody().ask("GET", "/", "");
    assert_eq!(
        (starting.status, starting.body.as_str()),
        (503, "OpenSearch Security not initialized.")
    );
    assert!(
        starting.head.contains("content-type: text/plain"),
        "{}",
        starting.head
    );

    client.ask("PUT", "/a", "");
    client.ask(
        "PUT",
        "/_inventory/faults",
        r#"[{"kind":"red"},{"kind":"slow_ms","ms":200,"path":"/_cluster"}]"#,
    );
    let asked_at = Instant::now();
    assert_eq!(
        client.ask("GET", "/_cluster/health", "").json()["status"],
        "red"
    );
    assert!(asked_at.elapsed() >= Duration::from_millis(200));

    client.ask(
        "PUT",
        "/a?wait_for_active_shards=0",
        r#"{"settings":{"number_of_replicas":0}}"#,
    );
    client.ask("PUT", "/_inventory/faults", r#"{"kind":"red","index":"a"}"#);
    let refused = client
        .ask("POST", "/_bulk?timeout=100ms", &document("a", "1", 1))
        .json();
    assert_eq!(
        refused["items"][0]["index"]["error"]["type"],
        "unavailable_shards_exception"
    );
    assert_eq!(
        client.ask("GET", "/_cluster/health", "").json()["status"],
        "red"
    );
    client.ask("DELETE", "/_inventory/faults", "");
    assert_eq!(
        client.ask("GET", "/_cluster/health", "").json()["status"],
        "green"
    );
    assert_eq!(
        client.ask("POST", "/_bulk", &document("a", "1", 1)).json()["errors"],
        false
    );
}

#[test]
fn what_cannot_start_says_why() {
    let authority = Authority::new("test authority").unwrap();
    let identity = authority.server(&["localhost"]).unwrap();
    let good = Options::new(identity.certificate_pem.clone(), identity.key_pem.clone());
    let fault = |change: &dyn Fn(&mut Options)| {
        let mut options = good.clone();
        change(&mut options);
        spawn(options).err().expect("it started")
    };
    assert!(matches!(
        fault(&|options| options.listen = "0.0.0.0:0".parse().unwrap()),
        StartError::Open(_)
    ));
    assert!(matches!(
        fault(&|options| options.certificate_pem.clear()),
        StartError::Tls(_)
    ));
    assert!(matches!(
        fault(&|options| options.require_client_certificate = true),
        StartError::Tls(_)
    ));
    let other_key = authority.server(&["localhost"]).unwrap().key_pem;
    assert!(matches!(
        fault(&|options| options.key_pem = other_key.clone().into()),
        StartError::Tls(_)
    ));

    let running = spawn(good.clone()).unwrap();
    let taken = running.address();
    assert!(matches!(
        fault(&|options| options.listen = taken),
        StartError::Listen(..)
    ));
    running.stop();
    let mut again = good;
    again.listen = taken;
    assert_eq!(spawn(again).unwrap().address(), taken);
}
