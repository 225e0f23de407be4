use serde_json::Value as Json;

use super::*;

/// A source that answers what it was given.
struct Given {
    category: Category,
    outcome: Outcome,
}

impl Source for Given {
    fn category(&self) -> Category {
        self.category
    }

    fn scan(&self, _roots: &Roots) -> Outcome {
        self.outcome.clone()
    }
}

fn given(category: Category, rows: Vec<Row>) -> CategoryInventory {
    let mut scan = Scan::new();
    scan.rows = rows;
    let outcome = Outcome::Scanned(scan);
    collect_from(&Given { category, outcome }, &options())
}

fn options() -> Options {
    Options {
        modified_at_ms: 1_779_267_395_784,
        ..Options::now()
    }
}

fn group(name: &str, gid: i64) -> Row {
    Row::new().text("group_name", name).integer("group_id", gid)
}

#[test]
fn unavailable_is_not_empty() {
    let source = Given {
        category: Category::Packages,
        outcome: Outcome::Unavailable {
            reason: "gone".into(),
        },
    };
    let packages = collect_from(&source, &options());
    assert_eq!(
        packages.state,
        State::Unavailable {
            reason: "gone".into()
        }
    );
    assert_eq!(given(Category::Packages, vec![]).state, State::Complete);
}

#[test]
fn documents_are_sorted_by_id_whatever_the_order_of_rows() {
    let rows = |reversed: bool| {
        let mut rows: Vec<Row> = (0..20).map(|n| group(&format!("g{n}"), n)).collect();
        if reversed {
            rows.reverse();
        }
        given(Category::Groups, rows).documents
    };
    let documents = rows(false);
    assert_eq!(documents.len(), 20);
    assert!(documents.windows(2).all(|pair| pair[0].id < pair[1].id));
    assert_eq!(documents, rows(true));
}

#[test]
fn duplicate_ids_are_resolved_alike_in_any_order_and_reported() {
    let one = given(Category::Groups, vec![group("a", 1), group("a", 2)]);
    let other = given(Category::Groups, vec![group("a", 2), group("a", 1)]);
    assert_eq!(one.documents.len(), 1);
    assert_eq!(one.documents, other.documents);
    assert_eq!(one.problems.len(), 1);
    assert_eq!(one.problems[0].entry, "dbsync_groups:a");
    assert_eq!(one.state, State::Complete);
}

#[test]
fn neither_time_nor_version_change_the_checksum() {
    let mut later = options();
    later.modified_at_ms += 1;
    later.document_version = 7;
    let source = || {
        let mut scan = Scan::new();
        scan.rows.push(group("adm", 4));
        let outcome = Outcome::Scanned(scan);
        Given {
            category: Category::Groups,
            outcome,
        }
    };
    let first = collect_from(&source(), &options()).documents.remove(0);
    let second = collect_from(&source(), &later).documents.remove(0);
    assert_eq!(first.checksum, second.checksum);
    assert_ne!(first.body, second.body);
    let body: Json = serde_json::from_slice(&second.body).unwrap();
    assert_eq!(body["checksum"]["hash"]["sha1"], second.checksum.as_str());
    assert_eq!(body["state"]["document_version"], 7);
    assert_eq!(body["state"]["modified_at"], "2026-05-20T08:56:35.785Z");
}

#[test]
fn what_was_cut_or_does_not_fit_is_reported_and_the_document_stays() {
    let row = group("g", -1).text(
        "group_description",
        "x".repeat(provider::MAX_TEXT_BYTES + 1),
    );
    let groups = given(Category::Groups, vec![row]);
    assert_eq!(groups.documents.len(), 1);
    let problems: Vec<_> = groups.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("was cut"), "{problems:?}");
    assert!(problems[1].contains("group.id"), "{problems:?}");
}

/// Every document of this machine fits its index, whatever runs and is installed here.
#[test]
fn this_machine() {
    let inventory = collect(&Options::now());
    assert_eq!(inventory.categories.len(), Category::ALL.len());
    for category in &inventory.categories {
        for problem in &category.problems {
            assert!(
                !problem.what.contains("left out, the index would refuse it")
                    && !problem.what.contains("no field takes"),
                "{problem}"
            );
        }
        for document in &category.documents {
            let body: Json = serde_json::from_slice(&document.body).unwrap();
            assert_eq!(document::check(category.index, &body), Ok(()));
            assert_eq!(document.id.len(), 40);
            assert_eq!(body["checksum"]["hash"]["sha1"], document.checksum.as_str());
        }
    }
    let documents = |category| {
        let found = inventory.categories.iter().find(|c| c.category == category);
        &found.unwrap().documents
    };
    // Whoever runs this test is a process of this machine.
    let own_pid = u64::from(std::process::id());
    assert!(documents(Category::Processes).iter().any(|document| {
        let body: Json = serde_json::from_slice(&document.body).unwrap();
        body["process"]["pid"] == own_pid
    }));
    assert_eq!(documents(Category::System).len(), 1);
    assert_eq!(documents(Category::Hardware).len(), 1);
}

/// Two collections agree on everything that does not run: what an unchanged machine would send again.
#[test]
fn an_unchanged_machine_looks_unchanged() {
    let options = Options {
        categories: vec![
            Category::System,
            Category::Hardware,
            Category::Packages,
            Category::Users,
            Category::Groups,
        ],
        ..Options::now()
    };
    let checksums = || {
        let inventory = collect(&options);
        let pairs = inventory
            .documents()
            .map(|d| (d.id.clone(), d.checksum.clone()));
        pairs.collect::<Vec<_>>()
    };
    assert_eq!(checksums(), checksums());
}

/// What listens here is found by the search that asks for it.
#[test]
fn a_listening_socket_is_found_with_its_process() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let inventory = collect(&Options {
        categories: vec![Category::Ports],
        ..Options::now()
    });
    let found = inventory.documents().any(|document| {
        let body: Json = serde_json::from_slice(&document.body).unwrap();
        body["source"]["port"] == port
            && body["source"]["ip"][0] == "127.0.0.1"
            && body["interface"]["state"] == "listening"
            && body["process"]["pid"] == std::process::id()
    });
    assert!(found, "{:?}", inventory.categories[0]);
}
