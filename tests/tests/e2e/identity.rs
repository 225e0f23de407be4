//! Who may speak, and for whom (`docs/protocol.md` section 2).

use std::sync::Arc;

use inventory_sync::certs::{Authority, Issued, Subject, Validity};
use inventory_sync_core::wire::{
    Mode, NO_SESSION, Reason, Start, Status, encode_data, encode_end, encode_start,
};
use inventory_tests::World;
use inventory_tests::agent::item;
use inventory_tests::certs::client_config;
use inventory_tests::connection::{Connection, Endpoint, greet};
use inventory_tests::document::{PACKAGES, packages};
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

type Versions<'a> = &'a [&'static SupportedProtocolVersion];

fn endpoint(world: &World, identity: Option<&Issued>, versions: Versions<'_>) -> Endpoint {
    Endpoint::Tls {
        address: world.address.clone(),
        config: Arc::new(client_config(world.pki.authority_pem(), identity, versions)),
    }
}

#[tokio::test]
async fn only_certificates_of_our_authority_that_name_an_agent_are_served() {
    let world = World::new("certificates");
    let daemon = world.setup().start_ready().await;
    let other = Authority::new("Other CA", Validity::days(2)).unwrap();
    let stranger = other.issue(&Subject::Agent(1), Validity::days(2)).unwrap();
    let good = world.pki.agent(1);
    greet(&endpoint(&world, Some(&good), &[&TLS13]))
        .await
        .unwrap();
    greet(&endpoint(&world, Some(&world.pki.client("001")), &[&TLS13]))
        .await
        .unwrap();

    let refused: [(&str, Option<Issued>, Versions<'_>); 8] = [
        ("another authority", Some(stranger), &[&TLS13]),
        ("no certificate", None, &[&TLS13]),
        ("an old one", Some(world.pki.ended_agent(1)), &[&TLS13]),
        ("TLS 1.2", Some(good), &[&TLS12]),
        ("a name", Some(world.pki.client("agent-1")), &[&TLS13]),
        ("a signed number", Some(world.pki.client("+1")), &[&TLS13]),
        ("agent 0", Some(world.pki.client("000")), &[&TLS13]),
        ("an empty name", Some(world.pki.client("")), &[&TLS13]),
    ];
    for (what, identity, versions) in refused {
        let served = greet(&endpoint(&world, identity.as_ref(), versions)).await;
        assert!(served.is_err(), "{what} was served");
    }
    let counted = daemon
        .metric("inventory_sync_connections_refused_total")
        .await;
    assert!(
        (counted - 8.0).abs() < 0.5,
        "{counted} refusals were counted"
    );
}

#[tokio::test]
async fn an_agent_speaks_for_itself_alone() {
    let world = World::new("impostor");
    let daemon = world.setup().start_ready().await;
    let start = |agent_id| Start {
        mode: Some(Mode::Delta),
        size: 2,
        module: "syscollector".to_owned(),
        agent_id,
        protocol_version: 1,
        nonce: 7 << 32 | 1,
        ..Start::default()
    };
    let mut one = Connection::open(&world.endpoint(1)).await.unwrap();
    one.send(&encode_start(&start(2))).await;
    let ack = one.start_ack().await;
    assert_eq!(
        (ack.status, ack.reason),
        (Status::Error, Reason::IdentityMismatch)
    );
    assert_eq!(ack.session, NO_SESSION);

    // A session of one is nobody else's business.
    let session = one.open_session(&start(1)).await;
    let mut two = Connection::open(&world.endpoint(2)).await.unwrap();
    let rows = packages(0..2, "1");
    two.send(&encode_data(session, &item(0, &rows[0]))).await;
    let refusal = two.end_ack().await;
    assert_eq!(
        (refusal.status, refusal.reason),
        (Status::Error, Reason::IdentityMismatch)
    );
    let end = inventory_sync_core::wire::End { session };
    two.send(&encode_end(&end)).await;
    assert_eq!(two.end_ack().await.reason, Reason::IdentityMismatch);
    assert!(daemon.status()["counters"]["identity_mismatches"].as_u64() >= Some(2));

    // It goes on unharmed.
    for (seq, row) in (0..).zip(&rows) {
        one.send(&encode_data(session, &item(seq, row))).await;
    }
    one.send(&encode_end(&end)).await;
    assert_eq!(one.end_ack().await.status, Status::Processing);
    assert_eq!(one.end_ack().await.status, Status::Ok);
    let documents = world
        .indexer
        .documents(&[PACKAGES], &world.cluster, 1)
        .await;
    assert_eq!(documents.len(), 2);
    world.check(&[PACKAGES], 2, &[]).await;
}

#[tokio::test]
async fn the_indexer_is_spoken_to_over_tls_only() {
    let world = World::new("plaintext");
    let plain = world
        .indexer
        .access()
        .url
        .replacen("https://", "http://", 1);
    let setup = world.setup().with("indexer.hosts", plain);
    let output = setup.run(&["serve"]);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(complaint.contains("http://"), "{complaint}");
    assert!(
        complaint.contains("https://"),
        "what to do instead: {complaint}"
    );
}

#[tokio::test]
async fn an_indexer_of_another_authority_is_not_trusted() {
    let world = World::new("untrusted");
    let folder = tempfile::tempdir().unwrap();
    let other = Authority::new("Other CA", Validity::days(2)).unwrap();
    other.save(folder.path()).unwrap();
    let authority = folder.path().join("ca.pem");
    let daemon = world
        .setup()
        .with("indexer.certificate_authorities", authority.display())
        .start()
        .await;
    daemon.until_unready("no answer").await;
}

#[tokio::test]
async fn wrong_credentials_are_told_and_not_hammered() {
    let Some(world) = World::with_faults("credentials") else {
        return;
    };
    let mut setup = world.setup();
    setup.password = Some("another password".to_owned());
    let daemon = setup.start().await;
    daemon
        .until_status("401 is told", |status| {
            let health = status["hosts"][0]["health"].as_str()?;
            health.contains("401").then_some(())
        })
        .await;
    let refused = |world: &World| world.indexer.stats().answers.get(&401).copied();
    assert!(
        refused(&world) <= Some(5),
        "accounts lock: {:?}",
        refused(&world)
    );
}
