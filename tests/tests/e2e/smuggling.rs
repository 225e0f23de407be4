//! What is smuggled in documents, ids and names of indices (`docs/protocol.md` section 7): one session with all of
//! it, and then, to the byte, what stands in the Indexer.
//!
//! ```text
//!  row ──▶ stored: `{"wazuh":OVERLAY,` + exactly this rest     (the overlay is one and the same text in all rows)
//!      ──▶ set aside by the daemon, with this reason
//!      ──▶ refused by the Indexer, which is strict
//! ```

use std::collections::BTreeMap;

use inventory_sync_core::wire::{EndAck, FailedItem, Operation, Reason};
use inventory_tests::World;
use inventory_tests::connection::Connection;
use inventory_tests::document::{PACKAGES, PORTS, overlay, packages};
use inventory_tests::forged::{self, RawItem};
use inventory_tests::session::{end, start};
use serde_json::{Value, json};

use Outcome::{Rejected, SetAside, Stored};

/// What becomes of an item.
enum Outcome {
    /// This stands behind the overlay.
    Stored(Vec<u8>),
    /// The daemon keeps it back.
    SetAside(Reason, &'static str),
    /// The Indexer does not take it.
    Rejected,
}

/// One item of the session.
struct Row {
    index: String,
    id: String,
    data: Vec<u8>,
    outcome: Outcome,
}

const NOT_JSON: &str = "the document is not valid JSON";
const NOT_OBJECT: &str = "the document is not a JSON object";
const NOT_UTF8: &str = "the document is not valid UTF-8";
const TWICE: &str = "a key stands twice at the top of the document";
const DEEP: &str = "the document nests deeper than 20 levels";
const DOTTED: &str = "a key of the document begins with \"wazuh.\": these fields are the manager's";
const INDEX: &str =
    "the item's index belongs to no configured module: add it to a module, or correct the name";
const OTHER_INDEX: &str = "the session may not write the item's index: it is another module's, or the Full does not name it";
const LONG: &str = "the item's id is too long: cluster, agent and id together may have 512 bytes";

/// What a document without tricks looks like.
const PLAIN: &str = r#"{"package":{"name":"a"}}"#;
/// What is left of it behind the overlay.
const REST: &str = r#""package":{"name":"a"}}"#;

/// A document of lists, nested so deep.
fn nested(depth: usize) -> String {
    let (open, close) = ("[".repeat(depth - 2), "]".repeat(depth - 2));
    format!(r#"{{"package":{{"name":{open}"a"{close}}}}}"#)
}

/// The line of a bulk request that deletes the victim's document.
fn delete_line(victim: &str) -> String {
    json!({"delete": {"_index": PACKAGES, "_id": victim}}).to_string()
}

/// Documents that arrive, with what is left of them.
fn taken_documents(victim: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let line = delete_line(victim);
    let in_string = Value::from(format!("\n{line}\n")).to_string();
    let deepest = nested(20);
    let pairs = [
        (PLAIN.to_owned(), REST.to_owned()),
        // A member of the manager's, however it is spelled and wherever it stands.
        (
            r#"{"wazuh":{"agent":{"id":"002"}},"package":{"name":"a"}}"#.into(),
            REST.into(),
        ),
        (
            r#"{"\u0077azuh":{"agent":{"id":"002"}},"package":{"name":"a"}}"#.into(),
            REST.into(),
        ),
        (
            r#"{"\u0077\u0061\u007a\u0075\u0068":"}\"{","package":{"name":"a"}}"#.into(),
            REST.into(),
        ),
        (
            r#"{"package":{"name":"a"},"wazuh":{"cluster":{"name":"other"}}}"#.into(),
            REST.into(),
        ),
        (
            r#"{"package":{"name":"a"},"wazuh":null}"#.into(),
            REST.into(),
        ),
        (
            "{\"wazuh\":\r\n[{},\n{}]\r,\"package\":{\"name\":\"a\"}}".into(),
            REST.into(),
        ),
        (r#"{"wazuh":{"agent":{"id":"002"}}}"#.into(), "}".into()),
        // Line breaks, which end a line of a bulk request.
        (
            format!(r#"{{"package":{{"name":{in_string}}}}}"#),
            format!(r#""package":{{"name":{in_string}}}}}"#),
        ),
        (
            "{\n\"package\"\r\n:\r{\"name\":\n\"a\"}\r\n}\n\n".into(),
            "\"package\"  : {\"name\": \"a\"}}".into(),
        ),
        (
            "{\"package\":{\"name\":\"\u{85}\u{2028}\u{2029}\\u000a\\n\\r\"}}".into(),
            "\"package\":{\"name\":\"\u{85}\u{2028}\u{2029}\\u000a\\n\\r\"}}".into(),
        ),
        // Dotted names that are not the manager's are the Indexer's business.
        (
            r#"{"package.name":"a"}"#.into(),
            r#""package.name":"a"}"#.into(),
        ),
        (deepest.clone(), deepest[1..].to_owned()),
    ];
    let bytes = |(sent, rest): (String, String)| (sent.into_bytes(), rest.into_bytes());
    pairs.into_iter().map(bytes).collect()
}

/// Documents that are set aside.
fn set_aside_documents(victim: &str) -> Vec<(Vec<u8>, &'static str)> {
    let line = delete_line(victim);
    let texts = [
        (
            r#"{"wazuh.agent.id":"002","package":{}}"#.to_owned(),
            DOTTED,
        ),
        (r#"{"wazuh\u002eagent.id":"002"}"#.to_owned(), DOTTED),
        (r#"{"\u0077azuh.agent":{"id":"002"}}"#.to_owned(), DOTTED),
        (r#"{"package":{},"wazuh.":"002"}"#.to_owned(), DOTTED),
        (r#"{"wazuh":{},"wazuh":{}}"#.to_owned(), TWICE),
        (r#"{"wazuh":{},"\u0077azuh":{}}"#.to_owned(), TWICE),
        (r#"{"package":{},"package":{}}"#.to_owned(), TWICE),
        (r#"{"package":{},"\u0070ackage":{}}"#.to_owned(), TWICE),
        // A document, and a line of a bulk request behind it or in it.
        (format!("{PLAIN}\n{line}\n"), NOT_JSON),
        (format!("{PLAIN}\n{line}\n{PLAIN}"), NOT_JSON),
        (
            format!("{{\"package\":{{\"name\":\"\n{line}\n\"}}}}"),
            NOT_JSON,
        ),
        (format!("{{\"package\":\n{line}\n{{}}}}"), NOT_JSON),
        ("{\"package\":{\"name\":\"a\rb\"}}".to_owned(), NOT_JSON),
        ("{\"package\":{\"name\":\"a\u{0}b\"}}".to_owned(), NOT_JSON),
        ("{\"package\":{}}\u{0}".to_owned(), NOT_JSON),
        (format!("\u{feff}{PLAIN}"), NOT_OBJECT),
        ("{\"package\"//\n:{}}".to_owned(), NOT_JSON),
        ("{'package':{}}".to_owned(), NOT_JSON),
        ("{\"package\":{\"size\":NaN}}".to_owned(), NOT_JSON),
        (nested(21), DEEP),
        (nested(200_000), DEEP),
        (
            format!("{{\"wazuh\":{},\"package\":{{}}}}", nested(20)),
            DEEP,
        ),
    ];
    let raw: [&[u8]; 6] = [
        b"{\"package\":{\"name\":\"\xff\"}}",
        b"{\"package\":{\"name\":\"\xc0\x80\"}}",
        b"{\"package\":{\"name\":\"\xed\xa0\x80\"}}",
        b"{\"package\":{\"name\":\"\xe2\x80\"}}",
        b"{\"\xff\":{}}",
        b"{\"package\":{}}\xfe",
    ];
    let texts = texts
        .into_iter()
        .map(|(text, why)| (text.into_bytes(), why));
    texts
        .chain(raw.into_iter().map(|bytes| (bytes.to_vec(), NOT_UTF8)))
        .collect()
}

/// Documents that look almost like what is set aside, and whose fields nobody knows.
const REJECTED: &[&str] = &[
    r#"{"Wazuh":{"agent":{"id":"002"}}}"#,
    r#"{"wazuh ":{"agent":{"id":"002"}}}"#,
    r#"{" wazuh":{"agent":{"id":"002"}}}"#,
    r#"{"wazuh\u0000":{"agent":{"id":"002"}}}"#,
    r#"{"package":{"wazuh":{"agent":{"id":"002"}}}}"#,
    r#"{"package":{"wazuh.agent.id":"002"}}"#,
    r#"{"package":{"name":"a","name":"b"}}"#,
];

/// Ids, all of them taken as they are.
const IDS: &[&str] = &[
    "a\"b",
    "a\\",
    "a\nb",
    "\r\n{\"delete\":{\"_index\":\"x\",\"_id\":\"y\"}}\r\n",
    "\",\"_index\":\"wazuh-states-fim-files",
    "a\u{0}b",
    "\u{1}\u{7f}\u{85}\u{2028}",
    "../../002_package:00000",
    "*",
    "a,b",
    " ",
    "%0a",
    "caf\u{e9} \u{65e5}\u{672c} \u{1f980}",
];

/// Names of indices that are not one, or not ours.
const INDICES: &[(&str, &str)] = &[
    ("wazuh-states-inventory-*", INDEX),
    ("*", INDEX),
    ("_all", INDEX),
    (
        "wazuh-states-inventory-packages,wazuh-states-inventory-ports",
        INDEX,
    ),
    ("WAZUH-STATES-INVENTORY-PACKAGES", INDEX),
    ("wazuh-states-inventory-packages ", INDEX),
    ("wazuh-states-inventory-packages\n", INDEX),
    ("wazuh-states-inventory-packages\u{0}", INDEX),
    ("wazuh-states-inventory-packages\"}}\n", INDEX),
    ("<wazuh-states-inventory-packages-{now/d}>", INDEX),
    ("../wazuh-states-inventory-packages", INDEX),
    (".opendistro_security", INDEX),
    ("inventory-sync-writer", INDEX),
    ("wazuh-states-sca", OTHER_INDEX),
    ("wazuh-states-fim-files", OTHER_INDEX),
];

/// All rows, in the order of their sequences.
fn rows(cluster: &str, victim: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |index: &str, id: Option<String>, data: &[u8], outcome| {
        let id = id.unwrap_or_else(|| format!("row-{:03}", rows.len()));
        rows.push(Row {
            index: index.to_owned(),
            id,
            data: data.to_vec(),
            outcome,
        });
    };
    for (data, rest) in taken_documents(victim) {
        add(PACKAGES, None, &data, Stored(rest));
    }
    for (data, why) in set_aside_documents(victim) {
        let outcome = SetAside(Reason::InvalidPayload, why);
        add(PACKAGES, None, &data, outcome);
    }
    for data in REJECTED {
        add(PACKAGES, None, data.as_bytes(), Rejected);
    }
    let plain = PLAIN.as_bytes();
    let rest = || Stored(REST.into());
    let room = 512 - format!("{cluster}_001_").len();
    for id in IDS {
        add(PACKAGES, Some((*id).to_owned()), plain, rest());
    }
    add(PACKAGES, Some("x".repeat(room)), plain, rest());
    for long in ["x".repeat(room + 1), "\u{e9}".repeat(room / 2 + 1)] {
        let outcome = SetAside(Reason::InvalidPayload, LONG);
        add(PACKAGES, Some(long), plain, outcome);
    }
    for (index, why) in INDICES {
        let outcome = SetAside(Reason::IndexNotAllowed, why);
        add(index, None, plain, outcome);
    }
    rows
}

/// Every document of the stand-in, whosoever it is: by index and id.
async fn everything(world: &World) -> BTreeMap<(String, String), u64> {
    let (_, body) = world
        .indexer
        .ask("POST", "/wazuh-states-*/_refresh", "")
        .await;
    assert!(body.contains("\"failed\":0"), "{body}");
    let query = json!({"query": {"match_all": {}}, "size": 10_000, "version": true});
    let path = "/wazuh-states-*/_search";
    let (status, body) = world.indexer.ask("POST", path, &query.to_string()).await;
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let hits = answer["hits"]["hits"].as_array().unwrap().iter();
    hits.map(|hit| {
        let text = |name: &str| hit[name].as_str().unwrap().to_owned();
        (
            (text("_index"), text("_id")),
            hit["_version"].as_u64().unwrap(),
        )
    })
    .collect()
}

fn check_failed(rows: &[Row], ack: &EndAck) {
    let mut failed = ack.failed.iter();
    for (seq, row) in rows.iter().enumerate() {
        let what = format!("row {seq}, {}", String::from_utf8_lossy(&row.data));
        let (reason, detail) = match &row.outcome {
            Stored(_) => continue,
            SetAside(reason, detail) => (*reason, *detail),
            Rejected => (Reason::IndexerRejected, ""),
        };
        let found: &FailedItem = failed
            .next()
            .unwrap_or_else(|| panic!("{what}: not listed"));
        assert_eq!(found.seq, seq as u64, "{what}: {found:?} is listed instead");
        assert_eq!((found.reason, found.retryable), (reason, false), "{what}");
        if let Rejected = row.outcome {
            assert_eq!(found.status, 400, "{what}: {found:?}");
            assert!(!found.kind.is_empty(), "{what}: {found:?}");
        } else {
            let own = (found.status, found.kind.as_str(), found.detail.as_str());
            assert_eq!(own, (0, "", detail), "{what}");
        }
    }
    assert_eq!(failed.next(), None, "listed without a cause");
    assert!(!ack.failed_more);
}

#[tokio::test]
async fn what_is_smuggled_ends_where_it_belongs_or_nowhere() {
    let Some(world) = World::with_faults("smuggling") else {
        return;
    };
    let _daemon = world.setup().start_ready().await;
    let mut victim = world.agent(2);
    let of_victim = packages(0..3, "1");
    victim.delta(&of_victim).await.all();
    let of_others = everything(&world).await;
    let victim = format!("{}_002_{}", world.cluster, of_victim[0].id);
    let rows = rows(&world.cluster, &victim);
    let mut connection = Connection::open(&world.endpoint(1)).await.unwrap();
    let size = rows.len() as u64;
    let session = connection.open_session(&start(1, size, 0)).await;
    for (seq, row) in (0..).zip(&rows) {
        let item = RawItem {
            seq,
            session: 0,
            operation: Operation::Upsert.to_wire(),
            id: Some(&row.id),
            index: Some(&row.index),
            data: Some(&row.data),
        };
        connection.send(&forged::data(session, item)).await;
    }
    connection.send(&end(session)).await;
    let ack = connection.verdict().await;
    assert_eq!(ack.reason, Reason::PartiallyRejected, "{ack:?}");
    check_failed(&rows, &ack);

    let indices = [
        "wazuh-states-inventory-*",
        "wazuh-states-fim-*",
        "wazuh-states-sca",
    ];
    let mut found = world.indexer.documents(&indices, &world.cluster, 1).await;
    let own = overlay(&world.cluster, 1, &inventory_tests::document::agent_info(1));
    let mut overlays = BTreeMap::new();
    for (seq, row) in rows.iter().enumerate() {
        let Stored(rest) = &row.outcome else { continue };
        let rest = std::str::from_utf8(rest).unwrap();
        let id = format!("{}_001_{}", world.cluster, row.id);
        let stored = found.remove(&(PACKAGES.to_owned(), id));
        let source = stored
            .unwrap_or_else(|| panic!("row {seq} is not there"))
            .source;
        let before = source.strip_suffix(rest);
        let before =
            before.unwrap_or_else(|| panic!("row {seq}: {rest} is not the end of {source}"));
        let before = before.trim_end_matches([',', ' ']).to_owned();
        overlays.entry(before).or_insert(seq);
    }
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        Vec::<&(String, String)>::new()
    );
    assert_eq!(
        overlays.len(),
        1,
        "not the same text in all rows: {overlays:?}"
    );
    let text = overlays.keys().next().unwrap();
    let parsed: Value = serde_json::from_str(&format!("{text}}}")).unwrap();
    assert_eq!(parsed, json!({"wazuh": own}));

    // Nothing of anybody else has changed, and nothing is there that nobody owns.
    let mut all = everything(&world).await;
    all.retain(|(_, id), _| !id.starts_with(&format!("{}_001_", world.cluster)));
    assert_eq!(all, of_others);
    world.check(&[PACKAGES, PORTS], 2, &of_victim).await;
}
