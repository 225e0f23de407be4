//! The first inputs of the corpora: messages of another FlatBuffers encoder, streams of them, and payloads.

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
