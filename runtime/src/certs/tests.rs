use std::os::unix::fs::PermissionsExt;

use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::GeneralName;

use super::{Authority, CertsError, Subject, Validity, default_file_name};

fn authority() -> Authority {
    Authority::new("test authority", Validity::days(2)).unwrap()
}

fn hide(text: &str, dir: &std::path::Path) -> String {
    text.replace(&dir.display().to_string(), "DIR")
}

#[test]
fn an_agents_common_name_is_its_number_in_decimal() {
    let issued = authority()
        .issue(&Subject::Agent(1), Validity::days(1))
        .unwrap();
    let (_, pem) = parse_x509_pem(issued.certificate_pem.as_bytes()).unwrap();
    let certificate = pem.parse_x509().unwrap();
    let names: Vec<_> = certificate
        .subject()
        .iter_common_name()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert_eq!(names, ["1"]);
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth);
    assert!(matches!(
        authority().issue(&Subject::Agent(0), Validity::days(1)),
        Err(CertsError::AgentZero)
    ));
}

#[test]
fn a_server_gets_names_and_addresses() {
    let subject = Subject::Server(vec!["localhost".into(), "127.0.0.1".into()]);
    let issued = authority().issue(&subject, Validity::days(1)).unwrap();
    let (_, pem) = parse_x509_pem(issued.certificate_pem.as_bytes()).unwrap();
    let certificate = pem.parse_x509().unwrap();
    let names = &certificate
        .subject_alternative_name()
        .unwrap()
        .unwrap()
        .value
        .general_names;
    assert_eq!(names[0], GeneralName::DNSName("localhost"));
    assert_eq!(names[1], GeneralName::IPAddress(&[127, 0, 0, 1]));
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth);
}

#[test]
fn a_saved_authority_signs_as_the_one_that_was_made() {
    let dir = tempfile::tempdir().unwrap();
    let made = authority();
    made.save(dir.path()).unwrap();
    let loaded = Authority::load(dir.path()).unwrap();
    assert_eq!(made.certificate_pem(), loaded.certificate_pem());
    let issued = loaded
        .issue(&Subject::Client("inventory".into()), Validity::days(1))
        .unwrap();
    let (_, ca) = parse_x509_pem(made.certificate_pem().as_bytes()).unwrap();
    let (_, leaf) = parse_x509_pem(issued.certificate_pem.as_bytes()).unwrap();
    let ca = ca.parse_x509().unwrap();
    assert_eq!(leaf.parse_x509().unwrap().issuer(), ca.subject());
    assert!(ca.is_ca());
}

#[test]
fn keys_are_private_and_nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    authority().save(dir.path()).unwrap();
    let mode = |name: &str| {
        std::fs::metadata(dir.path().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("ca-key.pem"), 0o600);
    let before = std::fs::read(dir.path().join("ca.pem")).unwrap();
    let error = authority().save(dir.path()).unwrap_err();
    insta::assert_snapshot!(hide(&error.to_string(), dir.path()), @"DIR/ca.pem exists already and is left as it is; remove it or choose another directory or --file name");
    assert_eq!(std::fs::read(dir.path().join("ca.pem")).unwrap(), before);
}

#[test]
fn a_missing_authority_says_how_to_make_one() {
    let dir = tempfile::tempdir().unwrap();
    let error = Authority::load(dir.path()).err().unwrap();
    insta::assert_snapshot!(hide(&error.to_string(), dir.path()), @"DIR/ca.pem is missing: make an authority first, with `inventory-sync certs init --dir DIR`");
}

#[test]
fn file_names_follow_their_subject() {
    assert_eq!(default_file_name(&Subject::Agent(1)), "agent-001");
    assert_eq!(default_file_name(&Subject::Server(vec![])), "server");
    assert_eq!(
        default_file_name(&Subject::Client("a/../b".into())),
        "a____b"
    );
}
