//! From a frame to a bulk body.

use std::sync::Arc;

use inventory_sync_core::config::{Catalogue, Config};
use inventory_sync_core::document::{
    Chunks, Class, Items, Part, Runs, Scheme, SessionTable, check_payload, plan, render,
    scan as scan_frame,
};
use inventory_sync_core::id::{AgentId, SessionId, Version};
use inventory_sync_core::wire::{AgentInfo, Item, Message, Operation, decode, encode_data};
use inventory_sync_schemas::fields::{indices, module_indices, modules};

const SESSION: SessionId = SessionId(7);
const AGENT: AgentId = AgentId(1);
const FAILED_ITEMS_MAX: usize = 4;

/// Bytes that are a message with items are a frame; all others are the payload of one item.
///
/// The scan is total and its table no longer than its frame. What it lets through becomes lines of JSON,
/// one for a delete and two for an upsert, in which a payload appears as its own members.
///
/// # Panics
/// When that does not hold.
pub fn scan(bytes: &[u8]) {
    if let Ok(message) = decode(bytes)
        && let Some(items) = Items::of(&message)
    {
        return deliver(bytes, &items);
    }
    if check_payload(bytes).is_ok() {
        let value: serde_json::Result<&serde_json::value::RawValue> = serde_json::from_slice(bytes);
        assert!(value.is_ok(), "a payload that passed is no JSON");
    }
    let item = Item {
        seq: 0,
        operation: Operation::Upsert,
        id: "one",
        index: indices()[0].name,
        data: Some(bytes),
        version: 0,
    };
    let frame = encode_data(SESSION.0, &item);
    match decode(&frame) {
        Ok(Message::Data(data)) => deliver(&frame, &Items::One(data)),
        other => panic!("an item reads as {other:?}"),
    }
}

/// One staged frame.
struct Staged<'a>(&'a [u8]);

impl<'a> Chunks for Staged<'a> {
    type Bytes = &'a [u8];

    fn chunk(&self, _session: SessionId, _key: u32) -> Option<&'a [u8]> {
        Some(self.0)
    }
}

fn deliver(frame: &[u8], items: &Items<'_>) {
    let scheme = Arc::new(scheme());
    let (summary, table) = scan_frame(&scheme, AGENT, items, frame.len() as u64);
    assert!(table.len() <= items.len(), "more rows than items");
    assert_eq!(
        summary.sequences.count(),
        table.len() as u64,
        "a row for each sequence"
    );
    let Some(key) = summary.sequences.as_slice().first().map(|run| run.first) else {
        return;
    };

    let session = SessionId(items.session());
    let mut rows = SessionTable::new(Arc::clone(&scheme), session, AGENT, &AgentInfo::default());
    rows.stage(key, summary.sequences.as_slice(), &table);
    assert_eq!(rows.items(), table.len() as u64);
    let allowed = &scheme.catalogue().modules()[0].indices;
    let plan = plan(&mut rows, &Staged(frame), allowed, false, FAILED_ITEMS_MAX);
    let plan = plan.unwrap_or_else(|| panic!("a staged frame could not be read back"));
    assert!(plan.failures.lowest.len() <= FAILED_ITEMS_MAX);
    let planned: u64 = plan.operations.iter().map(|(_, count)| count).sum();
    assert!(
        planned + plan.failures.total <= table.len() as u64,
        "more decided than staged"
    );

    let load = plan.chunks.first().copied().unwrap_or_default();
    assert_eq!(planned, u64::from(load.upserts) + u64::from(load.deletes));
    for (class, count, bytes_max, lines) in [
        (Class::Upsert, load.upserts, load.upsert_bytes, 2),
        (Class::Delete, load.deletes, load.delete_bytes, 1),
    ] {
        if count == 0 {
            continue;
        }
        let part = Part {
            session,
            agent: AGENT,
            version: Version(1 << 40),
            class,
            ordinals: Runs::up_to(count),
        };
        let mut body = Vec::new();
        let rendered = render(&part, &rows, &Staged(frame), &mut body);
        assert_eq!(rendered, Some(count), "{class:?}");
        assert!(
            body.len() as u64 <= bytes_max,
            "{} bytes, {bytes_max} promised",
            body.len()
        );
        check_lines(&body, u64::from(count) * lines);
        let mut again = Vec::new();
        assert_eq!(
            render(&part, &rows, &Staged(frame), &mut again),
            Some(count)
        );
        assert_eq!(body, again, "a retry is another request");
    }
}

/// Each line is one JSON object, and nothing else breaks a line.
fn check_lines(body: &[u8], wanted: u64) {
    assert_eq!(body.last(), Some(&b'\n'));
    assert!(!body.contains(&b'\r'), "a raw carriage return");
    let mut lines = 0;
    for line in body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let value: serde_json::Result<&serde_json::value::RawValue> = serde_json::from_slice(line);
        let is_object = value.is_ok_and(|value| value.get().starts_with('{'));
        assert!(is_object, "no object: {}", String::from_utf8_lossy(line));
        lines += 1;
    }
    assert_eq!(lines, wanted, "lines");
}

/// All modules, so that some indices are known and not allowed.
pub(crate) fn scheme() -> Scheme {
    let modules = modules().iter().map(|module| {
        (
            (*module).to_owned(),
            module_indices(module).map(|index| index.name.to_owned()),
        )
    });
    match Catalogue::new(modules) {
        Ok(catalogue) => Scheme::new(&Config::new(catalogue), 1),
        Err(error) => panic!("the table of indices contradicts itself: {error}"),
    }
}
