//! Against a scripted manager: TLS with certificates, the wire's own codec, and answers that the test says.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use inventory_sync_core::wire::framing::{self, Framing, Splitter};
use inventory_sync_core::wire::{
    self, EndAck, FailedItem, Message, Mode, NO_SESSION, Pair, Reason, ReqRet, Start, StartAck,
    Status,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::*;

const SESSION: u64 = 0x5e55;

/// An authority, and who it signed.
struct Certificates {
    directory: tempfile::TempDir,
}

impl Certificates {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test");
        let authority = params.self_signed(&key).unwrap();
        fs::write(directory.path().join("ca.pem"), authority.pem()).unwrap();
        let issuer = Issuer::from_params(&params, &key);
        for (file, name, usage) in [
            ("server", "localhost", ExtendedKeyUsagePurpose::ServerAuth),
            ("agent", "001", ExtendedKeyUsagePurpose::ClientAuth),
            ("nobody", "somebody", ExtendedKeyUsagePurpose::ClientAuth),
        ] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![usage];
            let signed = params.signed_by(&key, &issuer).unwrap();
            let write = |kind: &str, text: String| {
                let path = directory.path().join(format!("{file}{kind}.pem"));
                fs::write(path, text).unwrap();
            };
            write("", signed.pem());
            write("-key", key.serialize_pem());
        }
        Self { directory }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    fn server(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap())
            .unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![CertificateDer::from_pem_file(self.path("server.pem")).unwrap()],
                PrivateKeyDer::from_pem_file(self.path("server-key.pem")).unwrap(),
            )
            .unwrap();
        Arc::new(config)
    }
}

/// A tree with two groups and three users; nothing else can be read.
fn machine() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let etc = directory.path().join("etc");
    fs::create_dir(&etc).unwrap();
    fs::write(
        etc.join("passwd"),
        "root:x:0:0:root:/root:/bin/bash\nweb:x:33:33::/srv:/usr/sbin/nologin\nann:x:1000:1000::/home/ann:/bin/sh\n",
    )
    .unwrap();
    fs::write(etc.join("group"), "root:x:0:\nweb:x:33:ann\n").unwrap();
    directory
}

fn settings(certificates: &Certificates, root: &Path, manager: &str) -> Settings {
    Settings {
        manager: manager.parse().unwrap(),
        server_name: None,
        ca: certificates.path("ca.pem"),
        certificate: certificates.path("agent.pem"),
        key: certificates.path("agent-key.pem"),
        agent: Some(1),
        categories: vec![Category::Users, Category::Groups],
        all_ports: false,
        roots: Roots::at(root),
        state: None,
        timeout: Duration::from_secs(60),
    }
}

/// One agent's connection, as the manager sees it.
struct Peer {
    stream: StreamOwned<ServerConnection, TcpStream>,
    splitter: Splitter,
    waiting: Vec<u8>,
}

impl Peer {
    fn next(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let mut input = self.waiting.as_slice();
            let frame = self.splitter.next_frame(&mut input).unwrap();
            let used = self.waiting.len() - input.len();
            self.waiting.drain(..used);
            if let Some(frame) = frame {
                return Ok(frame.message);
            }
            let mut bytes = [0; 4_096];
            let count = self.stream.read(&mut bytes)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.waiting.extend_from_slice(&bytes[..count]);
        }
    }

    fn start(&mut self) -> Start {
        let message = self.next().unwrap();
        match wire::decode(&message).unwrap() {
            Message::Start(start) => *start,
            other => panic!("not a Start: {other:?}"),
        }
    }

    /// Sequences and ids up to the End.
    fn rows(&mut self) -> Vec<(u64, String, String)> {
        let mut rows = Vec::new();
        loop {
            let message = self.next().unwrap();
            match wire::decode(&message).unwrap() {
                Message::DataBatch(batch) => {
                    assert_eq!(batch.session(), SESSION);
                    rows.extend(batch.iter().map(|item| {
                        let data = item.data().unwrap();
                        let _: serde_json::Value = serde_json::from_slice(data).unwrap();
                        (
                            item.seq(),
                            item.index().unwrap().to_owned(),
                            item.id().unwrap().to_owned(),
                        )
                    }));
                }
                Message::End(end) => {
                    assert_eq!(end.session, SESSION);
                    return rows;
                }
                other => panic!("neither rows nor an End: {other:?}"),
            }
        }
    }

    fn say(&mut self, message: &[u8]) {
        let mut frame = Vec::new();
        framing::write_tls(&mut frame, message).unwrap();
        self.stream.write_all(&frame).unwrap();
        self.stream.flush().unwrap();
    }

    fn open(&mut self, start: &Start, max_items: u64) {
        self.say(&wire::encode_start_ack(&StartAck {
            session: SESSION,
            module: start.module.clone(),
            nonce: start.nonce,
            idle_timeout_ms: 10_000,
            max_items,
            version: 5 << 10,
            ..StartAck::default()
        }));
    }

    fn refuse(&mut self, start: &Start, reason: Reason, max_items: u64) {
        self.say(&wire::encode_start_ack(&StartAck {
            status: Status::Error,
            session: NO_SESSION,
            module: start.module.clone(),
            nonce: start.nonce,
            reason,
            detail: "said the test".to_owned(),
            max_items,
            ..StartAck::default()
        }));
    }

    fn verdict(&mut self, ack: EndAck) {
        self.say(&wire::encode_end_ack(&EndAck {
            session: SESSION,
            module: "syscollector".to_owned(),
            version: 7 << 10,
            ..ack
        }));
    }
}

/// A manager that serves connections one after another as the scripts say, then ends.
fn manager(
    certificates: &Certificates,
    scripts: Vec<Box<dyn FnOnce(Peer) + Send>>,
) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("localhost:{}", listener.local_addr().unwrap().port());
    let config = certificates.server();
    let thread = std::thread::spawn(move || {
        for script in scripts {
            let (stream, _) = listener.accept().unwrap();
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            script(Peer {
                stream: StreamOwned::new(connection, stream),
                splitter: Splitter::new(Framing::Tls, 1 << 20),
                waiting: Vec::new(),
            });
        }
    });
    (address, thread)
}

fn run(scripts: Vec<Box<dyn FnOnce(Peer) + Send>>, adapt: impl FnOnce(&mut Settings)) -> Report {
    let certificates = Certificates::new();
    let machine = machine();
    let (address, thread) = manager(&certificates, scripts);
    let mut settings = settings(&certificates, machine.path(), &address);
    adapt(&mut settings);
    let report = once(&settings, &mut Silent).unwrap();
    thread.join().unwrap();
    report
}

const INDICES: [&str; 2] = [
    "wazuh-states-inventory-users",
    "wazuh-states-inventory-groups",
];

#[test]
fn a_full_brings_everything_and_names_exactly_its_indices() {
    let state = tempfile::tempdir().unwrap();
    let kept = state.path().join("agent");
    let script = |peer: &mut Peer| {
        let start = peer.start();
        assert_eq!(start.mode, Some(Mode::Full));
        assert_eq!((start.agent_id, start.size), (1, 5));
        assert_eq!(start.indices, INDICES);
        assert!(
            start
                .agent
                .as_ref()
                .is_some_and(|info| info.groups == ["default"])
        );
        peer.open(&start, 0);
        let rows = peer.rows();
        assert_eq!(
            rows.iter().map(|row| row.0).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4]
        );
        peer.verdict(EndAck {
            status: Status::Processing,
            ..EndAck::default()
        });
        peer.verdict(EndAck::default());
        start.version_floor
    };
    let first: Box<dyn FnOnce(Peer) + Send> = Box::new(move |mut peer| {
        assert_eq!(script(&mut peer), 0);
    });
    let report = run(vec![first], |settings| settings.state = Some(kept.clone()));
    assert_eq!(report.ending(), Ending::Stored);
    assert_eq!((report.documents(), report.stored()), (5, 5));
    assert_eq!(report.sessions[0].session, Some(SESSION));
    assert!(
        report
            .to_string()
            .starts_with("stored: all 5 documents of agent 001")
    );

    // The next run says what it has heard.
    let second: Box<dyn FnOnce(Peer) + Send> = Box::new(move |mut peer| {
        assert_eq!(script(&mut peer), 7 << 10);
    });
    let report = run(vec![second], |settings| settings.state = Some(kept));
    assert_eq!(report.ending(), Ending::Stored);
}

#[test]
fn rows_asked_for_again_are_sent_again_over_the_next_connection() {
    let lost: Box<dyn FnOnce(Peer) + Send> = Box::new(|mut peer| {
        let start = peer.start();
        peer.open(&start, 0);
        peer.rows();
        // The connection ends without a goodbye.
    });
    let kept: Box<dyn FnOnce(Peer) + Send> = Box::new(|mut peer| {
        let start = peer.start();
        peer.open(&start, 0);
        // Nothing was lost with the connection but the answer.
        peer.say(&wire::encode_req_ret(&ReqRet {
            seq: vec![Pair { begin: 1, end: 2 }],
            session: SESSION,
            module: start.module.clone(),
        }));
        let mut again = Vec::new();
        while !(again.contains(&1) && again.contains(&2)) {
            let message = peer.next().unwrap();
            match wire::decode(&message).unwrap() {
                Message::DataBatch(batch) => again.extend(batch.iter().map(|item| item.seq())),
                Message::End(_) => {}
                other => panic!("{other:?}"),
            }
        }
        peer.verdict(EndAck::default());
    });
    let report = run(vec![lost, kept], |_| {});
    assert_eq!(report.ending(), Ending::Stored, "{report}");
}

#[test]
fn refused_documents_are_listed_and_the_others_stored() {
    let script: Box<dyn FnOnce(Peer) + Send> = Box::new(|mut peer| {
        let start = peer.start();
        peer.open(&start, 0);
        peer.rows();
        peer.verdict(EndAck {
            status: Status::Error,
            reason: Reason::PartiallyRejected,
            failed: vec![FailedItem {
                seq: 3,
                status: 400,
                kind: "mapper_parsing_exception".to_owned(),
                reason: Reason::IndexerRejected,
                retryable: false,
                detail: "failed to parse field [group.id]".to_owned(),
            }],
            ..EndAck::default()
        });
    });
    let report = run(vec![script], |_| {});
    assert_eq!(report.ending(), Ending::Partially);
    assert_eq!((report.documents(), report.stored()), (5, 4));
    assert_eq!(report.refused.len(), 1);
    assert_eq!(report.refused[0].index, INDICES[1]);
    let text = report.to_string();
    assert!(
        text.contains("mapper_parsing_exception") && text.contains("templates diff"),
        "{text}"
    );
    assert_eq!(report.to_json()["refused"][0]["status"], 400);
}

#[test]
fn more_than_a_session_may_carry_is_split_by_index() {
    let script: Box<dyn FnOnce(Peer) + Send> = Box::new(|mut peer| {
        let start = peer.start();
        peer.refuse(&start, Reason::SizeInvalid, 3);
        for index in INDICES {
            let start = peer.start();
            assert_eq!(start.indices, [index]);
            peer.open(&start, 3);
            let rows = peer.rows();
            assert!(rows.iter().all(|row| row.1 == index));
            peer.verdict(EndAck::default());
        }
    });
    let report = run(vec![script], |_| {});
    assert_eq!(report.ending(), Ending::Stored, "{report}");
    assert_eq!(report.sessions.len(), 2);
    assert_eq!(report.stored(), 5);
}

#[test]
fn an_index_that_is_too_large_alone_is_told() {
    let script: Box<dyn FnOnce(Peer) + Send> = Box::new(|mut peer| {
        let start = peer.start();
        peer.refuse(&start, Reason::SizeInvalid, 2);
        let start = peer.start();
        assert_eq!(start.indices, [INDICES[1]]);
        peer.open(&start, 2);
        peer.rows();
        peer.verdict(EndAck::default());
    });
    let report = run(vec![script], |_| {});
    assert_eq!(report.ending(), Ending::Partially, "{report}");
    assert_eq!(report.stored(), 2);
    assert_eq!(report.left_out[0].index, INDICES[0]);
}

#[test]
fn a_refusal_for_good_ends_the_run_with_its_reason() {
    let script: Box<dyn FnOnce(Peer) + Send> = Box::new(|mut peer| {
        let start = peer.start();
        peer.refuse(&start, Reason::ClusterMismatch, 0);
    });
    let report = run(vec![script], |_| {});
    assert_eq!(report.ending(), Ending::NotStored);
    let problem = report.problem.unwrap();
    assert!(
        problem.contains("ClusterMismatch") && problem.contains("said the test"),
        "{problem}"
    );
}

#[test]
fn a_category_that_cannot_be_read_is_left_out_and_told() {
    let script: Box<dyn FnOnce(Peer) + Send> = Box::new(|mut peer| {
        let start = peer.start();
        assert_eq!(start.indices, [INDICES[0]]);
        peer.open(&start, 0);
        peer.rows();
        peer.verdict(EndAck::default());
    });
    let report = run(vec![script], |settings| {
        settings.categories = vec![Category::Users, Category::Processes];
    });
    assert_eq!(report.ending(), Ending::Partially);
    assert_eq!(report.stored(), 3);
    assert_eq!(report.left_out[0].index, "wazuh-states-inventory-processes");
}

#[test]
fn a_manager_with_the_wrong_certificate_ends_the_run_at_once() {
    let certificates = Certificates::new();
    let machine = machine();
    let refuses: Box<dyn FnOnce(Peer) + Send> = Box::new(|mut peer| {
        assert!(peer.next().is_err());
    });
    let (address, thread) = manager(&certificates, vec![refuses]);
    let mut settings = settings(&certificates, machine.path(), &address);
    settings.server_name = Some("other.example".to_owned());
    let report = once(&settings, &mut Silent).unwrap();
    thread.join().unwrap();
    assert_eq!(report.ending(), Ending::NotStored);
    assert!(report.took < settings.timeout);
    let problem = report.problem.unwrap();
    assert!(problem.contains("--server-name"), "{problem}");
}

#[test]
fn a_manager_that_refuses_our_certificate_ends_the_run_at_once() {
    let certificates = Certificates::new();
    let other = Certificates::new();
    let machine = machine();
    let refuses: Box<dyn FnOnce(Peer) + Send> = Box::new(|mut peer| {
        assert!(peer.next().is_err());
    });
    let (address, thread) = manager(&certificates, vec![refuses]);
    let mut settings = settings(&certificates, machine.path(), &address);
    settings.certificate = other.path("agent.pem");
    settings.key = other.path("agent-key.pem");
    let report = once(&settings, &mut Silent).unwrap();
    thread.join().unwrap();
    let problem = report.problem.unwrap();
    assert!(problem.contains("refuses our certificate"), "{problem}");
    assert!(report.took < settings.timeout);
}

#[test]
fn nobody_who_listens_is_told_after_the_timeout() {
    let certificates = Certificates::new();
    let machine = machine();
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let mut settings = settings(&certificates, machine.path(), &format!("127.0.0.1:{port}"));
    settings.server_name = Some("localhost".to_owned());
    settings.timeout = Duration::from_secs(1);
    let report = once(&settings, &mut Silent).unwrap();
    assert_eq!(report.ending(), Ending::NotStored);
    let problem = report.problem.unwrap();
    assert!(problem.contains("cannot connect to 127.0.0.1"), "{problem}");
}

#[test]
fn settings_that_contradict_each_other_are_refused_before_anything_is_sent() {
    let certificates = Certificates::new();
    let machine = machine();
    let refused = |adapt: &dyn Fn(&mut Settings)| {
        let mut settings = settings(&certificates, machine.path(), "localhost:1");
        adapt(&mut settings);
        once(&settings, &mut Silent).unwrap_err().to_string()
    };
    let error = refused(&|settings| settings.agent = Some(2));
    assert!(error.contains("agent 1's"), "{error}");
    let error = refused(&|settings| {
        settings.certificate = certificates.path("nobody.pem");
        settings.key = certificates.path("nobody-key.pem");
    });
    assert!(error.contains("\"somebody\""), "{error}");
    let error = refused(&|settings| settings.key = certificates.path("nobody-key.pem"));
    assert!(error.contains("does not belong"), "{error}");
    let error = refused(&|settings| settings.ca = certificates.path("server-key.pem"));
    assert!(error.contains("BEGIN CERTIFICATE"), "{error}");
    let error = refused(&|settings| settings.ca = certificates.path("nothing.pem"));
    assert!(error.contains("nothing.pem"), "{error}");
    let error = refused(&|settings| settings.server_name = Some("a b".to_owned()));
    assert!(error.contains("--server-name"), "{error}");
}
