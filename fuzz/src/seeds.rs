//! The first inputs of the corpora: messages of another FlatBuffers encoder, streams of them, payloads, answers
//! as a real Indexer gives them, files as operators write them, and lists of choices that go well.

use inventory_sync_core::wire::framing::{write_tls, write_unix};
use inventory_sync_core::wire::{BatchBuilder, Item, Operation};
use inventory_sync_schemas::fields::indices;

const GOLDEN: &str = include_str!("../../core/src/wire/golden.json");

/// Payloads that stand for a kind: each flaw, and what is easily taken for one.
const PAYLOADS: &[(&str, &[u8])] = &[
    ("object-empty", b"{}"),
    ("object-spaced", b" { \"a\" :\r\n [ 1 , -0.5e+3 , null ] } "),
    (
        "object-overlay",
        b"{\"a\":1,\"wazuh\":{\"agent\":{\"id\":\"007\"}},\"b\":\"\\u00e9\\n\"}",
    ),
    ("object-escaped-overlay", b"{\"\\u0077azuh\":1,\"a\":[]}"),
    ("object-dotted-overlay", b"{\"wazuh.agent.id\":\"007\"}"),
    ("object-duplicate", b"{\"a\":1,\"\\u0061\":2}"),
    (
        "object-depth-20",
        b"{\"a\":[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]}",
    ),
    (
        "object-depth-21",
        b"{\"a\":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]}",
    ),
    ("object-lone-surrogate", b"{\"a\":\"\\ud800\"}"),
    ("object-large-number", b"{\"a\":1e999}"),
    ("array", b"[{}]"),
    ("text", b"\"wazuh\""),
    ("trailing", b"{}{}"),
    ("cut", b"{\"a\":\"\\"),
    ("not-utf8", b"{\"a\":\"\xff\"}"),
    ("control", b"{\"a\":\"\x01\"}"),
];

/// Answers: a status's place among those that `indexer_answers` knows, and the body.
const ANSWERS: &[(&str, u8, &[u8])] = &[
    (
        "bulk-stored",
        0,
        br#"{"took":30,"errors":false,"items":[{"index":{"status":201}}]}"#,
    ),
    (
        "bulk-refused-item",
        0,
        br#"{"took":2,"errors":true,"items":[{"index":{"status":400,"error":{"type":"strict_dynamic_mapping_exception","reason":"mapping set to strict, dynamic introduction of [x] within [_doc] is not allowed"}}}]}"#,
    ),
    (
        "bulk-conflict",
        0,
        br#"{"took":2,"errors":true,"items":[{"delete":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[a]: version conflict, current version [9] is higher or equal to the one provided [8]"}}}]}"#,
    ),
    ("health", 0, br#"{"cluster_name":"c","status":"yellow","timed_out":false,"active_shards":3}"#),
    (
        "listing",
        0,
        br#"{"_scroll_id":"s","took":1,"timed_out":false,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0},"hits":{"total":{"value":1,"relation":"eq"},"max_score":null,"hits":[{"_index":"wazuh-states-inventory-packages","_id":"wazuh_001_a","_version":1024,"_score":null,"_source":{"checksum":{"hash":{"sha1":"0123456789012345678901234567890123456789"}},"wazuh":{"agent":{"id":"001"}}},"sort":[0]}]}}"#,
    ),
    ("refresh", 0, br#"{"_shards":{"total":4,"successful":4,"failed":0}}"#),
    ("count", 0, br#"{"count":7,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0}}"#),
    ("created", 0, br#"{"acknowledged":true,"shards_acknowledged":false,"index":"i"}"#),
    (
        "writer",
        0,
        br#"{"_index":"inventory-sync-writer","_id":"wazuh","_version":3,"_seq_no":7,"_primary_term":2,"found":true,"_source":{"writer":"a","nonce":"7","bound":1024}}"#,
    ),
    ("writer-absent", 5, br#"{"_index":"inventory-sync-writer","_id":"wazuh","found":false}"#),
    (
        "exists",
        2,
        br#"{"error":{"type":"resource_already_exists_exception","reason":"index [i/u] already exists"},"status":400}"#,
    ),
    (
        "closed",
        2,
        br#"{"error":{"root_cause":[{"type":"index_closed_exception","reason":"closed","index":"i","index_uuid":"u"}],"type":"index_closed_exception","reason":"closed","index":"i","index_uuid":"u"},"status":400}"#,
    ),
    ("unauthorized", 3, b"Unauthorized"),
    ("proxy", 12, b"<html><body><h1>503 Service Unavailable</h1>\n</body></html>"),
];

/// A file, a variable and an assignment.
const CONFIGURATION: &[u8] = b"# comment
[indexer]
hosts = [\"https://indexer.example:9200\", \"https://[::1]\"]
certificate_authorities = [\"ca.pem\"]
user = \"inventory\"

[router]
relay_uids = [1000]

[modules]
syscollector = [\"wazuh-states-inventory-packages\"]
\0INVENTORY_SYNC_SESSION_SHARDS=2\0log.format=json";

/// As an existing installation has it.
const OSSEC_CONF: &[u8] = b"<ossec_config>
  <!-- comment -->
  <global><email_to>a@b</email_to></global>
  <indexer>
    <enabled>yes</enabled>
    <hosts><host>https://127.0.0.1:9200</host></hosts>
    <ssl>
      <certificate_authorities><ca>/etc/filebeat/certs/root-ca.pem</ca></certificate_authorities>
      <certificate>/etc/filebeat/certs/filebeat.pem</certificate>
      <key>/etc/filebeat/certs/filebeat-key.pem</key>
    </ssl>
  </indexer>
</ossec_config>
<ossec_config><ruleset/></ossec_config>
";

/// Choices that go well: a session that is sent, staged, planned, delivered and answered.
const CHOICES: &[(&str, &str, &[u8])] = &[
    (
        "manager_choices",
        "delta-goes-well",
        &[
            0, 0, 1, 0, // limits, started up
            0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, // Start
            4, 0, 1, 0, 0, 0, // items
            19, 8, 0, 1, // stored, End
            11, 0, 11, 11, 0, 0, // planned, stored in the Indexer
        ],
    ),
    (
        "agent_choices",
        "delta-goes-well",
        &[
            0, 0, 0, 0, 0, 0, 0, 0, 0, // limits
            2, 0, 0, 0, 1, 0, // connected, a job
            9, 16, 0, 0, 0, 0, 0, 0, // opened
            5, 0, 0, 12, 0, 0, 0, 0, 0, // loaded, verdict
            5, 0, 0, // committed
        ],
    ),
    ("coordinator_choices", "first-lease", &[0; 40]),
    ("diff_choices", "nothing-held", &[0; 60]),
    ("world_choices", "calm", &[0]),
    (
        "world_choices",
        "some-trouble",
        &[3, 9, 1, 0, 1, 0, 17, 0, 0, 200, 0, 25, 2, 0, 255, 3],
    ),
];

/// An input: the target's name, the file's name, the bytes.
pub type Seed = (&'static str, String, Vec<u8>);

/// All first inputs.
///
/// # Errors
/// When the golden messages cannot be read.
pub fn seeds() -> Result<Vec<Seed>, String> {
    let golden: serde_json::Value =
        serde_json::from_str(GOLDEN).map_err(|error| format!("golden.json: {error}"))?;
    let mut seeds = Vec::new();
    let mut messages = Vec::new();
    for part in ["messages", "malformed"] {
        let entries = golden[part]
            .as_array()
            .ok_or_else(|| format!("golden.json has no {part}"))?;
        for entry in entries {
            let name = entry["name"].as_str().map(slug);
            let bytes = entry["hex"].as_str().and_then(unhex);
            let (Some(name), Some(bytes)) = (name, bytes) else {
                return Err(format!("golden.json: {entry} has no name, or no bytes"));
            };
            if matches!(entry["message"].as_str(), Some("Data" | "DataBatch")) {
                seeds.push(("scan", name.clone(), bytes.clone()));
            }
            if part == "messages" {
                messages.push(bytes.clone());
            }
            seeds.push(("wire_decode", format!("{part}-{name}"), bytes));
        }
    }
    seeds.push(("scan", "batch-of-ours".to_owned(), batch()?));
    for (name, payload) in PAYLOADS {
        seeds.push(("scan", format!("payload-{name}"), payload.to_vec()));
    }
    for (name, stream) in streams(&messages)? {
        seeds.push(("frames", name, stream));
    }
    for (name, place, body) in ANSWERS {
        let bytes = [&[0, *place], *body].concat();
        seeds.push(("indexer_answers", (*name).to_owned(), bytes));
    }
    seeds.push(("indexer_answers", "bulk-in-parts".to_owned(), vec![1; 24]));
    for (target, name, choices) in CHOICES {
        seeds.push((*target, (*name).to_owned(), choices.to_vec()));
    }
    let defaults = crate::configuration::defaults().into_bytes();
    seeds.push(("configuration", "defaults".to_owned(), defaults));
    seeds.push((
        "configuration",
        "all-sources".to_owned(),
        CONFIGURATION.to_vec(),
    ));
    seeds.push(("ossec_conf", "wazuh".to_owned(), OSSEC_CONF.to_vec()));
    Ok(seeds)
}

/// Upserts and deletes, documents named twice, an index of another module, an unknown one, an empty id.
fn batch() -> Result<Vec<u8>, String> {
    let mut builder = BatchBuilder::new(7, usize::MAX);
    let (first, last) = (indices()[0].name, indices()[indices().len() - 1].name);
    let rows = [
        (0, Operation::Upsert, "a", first, Some(&b"{\"a\":1}"[..])),
        (1, Operation::Delete, "b", first, None),
        (
            2,
            Operation::Upsert,
            "a",
            first,
            Some(&b"{\"a\":2,\"wazuh\":{}}"[..]),
        ),
        (3, Operation::Upsert, "c \"\\ \n", first, Some(&b"{\n}"[..])),
        (4, Operation::Upsert, "d", last, Some(&b"{}"[..])),
        (5, Operation::Upsert, "e", "nowhere", Some(&b"{}"[..])),
        (3, Operation::Upsert, "", first, Some(&b"{}"[..])),
    ];
    for (seq, operation, id, index, data) in rows {
        let item = Item {
            seq,
            operation,
            id,
            index,
            data,
            version: seq,
        };
        builder
            .push(&item)
            .map_err(|error| format!("an item does not fit: {error:?}"))?;
    }
    Ok(builder.finish())
}

/// Streams behind the two bytes that choose framing, limit and cuts.
fn streams(messages: &[Vec<u8>]) -> Result<Vec<(String, Vec<u8>)>, String> {
    // The upper seven bits are the limit, in sixteens: enough for every message, or for few.
    const ROOMY: u8 = 0xfe;
    const TIGHT: u8 = 6 << 1;
    let mut tls = vec![ROOMY, 3];
    let mut unix = vec![ROOMY | 1, 14];
    for (agent_id, message) in (0_u64..).zip(messages) {
        let written =
            write_tls(&mut tls, message).and_then(|()| write_unix(&mut unix, agent_id, message));
        written.map_err(|error| format!("a message does not fit: {error}"))?;
    }
    let mut tight = tls.clone();
    tight[0] = TIGHT;
    let mut cut = unix.clone();
    cut.truncate(unix.len() - 5);
    Ok(vec![
        ("tls".to_owned(), tls),
        ("tls-tight".to_owned(), tight),
        ("unix".to_owned(), unix),
        ("unix-cut".to_owned(), cut),
        (
            "unix-no-agent".to_owned(),
            vec![ROOMY | 1, 0, 7, 0, 0, 0, 1],
        ),
        (
            "empty-messages".to_owned(),
            vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
    ])
}

/// A name for a file.
fn slug(name: &str) -> String {
    let words: Vec<&str> = name
        .split(|each: char| !each.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    words.join("-")
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| {
            text.get(at..at + 2)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        })
        .collect()
}
