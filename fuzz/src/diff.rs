//! A Full against a listing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use inventory_sync_core::document::{
    Chunks, Class, DiffSummary, Items, Listed, Listing, Part, Runs, SessionTable, diff, plan,
    render, scan,
};
use inventory_sync_core::id::{AgentId, IndexId, SessionId, Version};
use inventory_sync_core::wire::{AgentInfo, BatchBuilder, Item, Message, Operation, decode};

use crate::choices::Choices;
use crate::scan::scheme;

const SESSION: SessionId = SessionId(7);
const AGENT: AgentId = AgentId(1);
const IDS: [&str; 7] = ["a", "b", "c \"\\\n", "é", "_", "0", "d"];

/// The Full replaces the first two indices; rows may name the third.
const SCOPE: [IndexId; 2] = [IndexId(0), IndexId(1)];
const INDICES: u8 = 3;
const ROWS_MAX: usize = 60;

/// An index and an id.
type Key = (IndexId, &'static str);

/// What a row says of its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// This content, with its checksum or without one.
    Content(u8, bool),
    Broken,
    Gone,
}

/// Staged frames, by their key.
struct Frames(BTreeMap<u32, Vec<u8>>);

impl<'a> Chunks for &'a Frames {
    type Bytes = &'a [u8];

    fn chunk(&self, _session: SessionId, key: u32) -> Option<&'a [u8]> {
        self.0.get(&key).map(Vec::as_slice)
    }
}

/// The bytes choose the rows of a Full, how they lie in frames, and what the Indexer holds. What is sent is what
/// a plain reading of the rows says: changed documents, once, with one overlay each; removals of what is not in
/// the set; and nothing when the set is what is held.
///
/// # Panics
/// When that does not hold.
pub fn diff_choices(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let (mut set, mut keys) = (BTreeMap::new(), BTreeSet::new());
    for index in 0..u16::from(INDICES) {
        keys.extend(IDS.map(|id| (IndexId(index), id)));
    }
    // What the Indexer holds comes first, so that more bytes are more rows.
    let held: BTreeMap<Key, Option<[u8; 20]>> = keys
        .iter()
        .filter_map(|key| match choices.below(6) {
            0..=2 => None,
            3 => Some((*key, None)),
            content => Some((*key, Some(checksum(content)))),
        })
        .collect();
    let (frames, mut table) = stage(&mut choices, &mut set);
    set.retain(|(index, _), _| SCOPE.contains(index));

    let summary = compare(&mut table, &frames, &held);
    let expected = Expected::of(&set, &held);
    check(&table, &frames, &summary, &expected);

    // Once more, with what would be there afterwards.
    let held: BTreeMap<Key, Option<[u8; 20]>> = set
        .iter()
        .filter_map(|(key, says)| match says {
            Says::Content(content, true) => Some((*key, Some(checksum(*content)))),
            Says::Content(_, false) | Says::Broken | Says::Gone => None,
        })
        .collect();
    let summary = compare(&mut table, &frames, &held);
    assert_eq!(summary.unchanged, held.len() as u64);
    assert_eq!(summary.removals, 0, "removed although it is in the set");
    let without_checksum = set
        .values()
        .filter(|says| matches!(says, Says::Content(_, false)));
    let written: u64 = summary.operations.iter().map(|(_, count)| count).sum();
    assert_eq!(
        written,
        without_checksum.count() as u64,
        "written although it is there"
    );
}

fn checksum(content: u8) -> [u8; 20] {
    [content; 20]
}

fn payload(says: Says) -> Option<String> {
    match says {
        Says::Content(content, true) => Some(format!(
            r#"{{"v":{content},"wazuh":{{"agent":{{"id":"9"}}}},"checksum":{{"hash":{{"sha1":"{}"}}}}}}"#,
            format!("{content:02x}").repeat(20)
        )),
        Says::Content(content, false) => Some(format!("{{\"v\":{content}}}")),
        Says::Broken => Some("{\"v\":".to_owned()),
        Says::Gone => None,
    }
}

/// Reads rows, packs and stages them; the last one on a document says what becomes of it.
fn stage(choices: &mut Choices<'_>, set: &mut BTreeMap<Key, Says>) -> (Frames, SessionTable) {
    let scheme = Arc::new(scheme());
    let info = AgentInfo::default();
    let mut table = SessionTable::new(Arc::clone(&scheme), SESSION, AGENT, &info);
    let mut frames = Frames(BTreeMap::new());
    let mut seq = 0;
    while !choices.is_done() && seq < ROWS_MAX {
        let key = u32::try_from(seq).unwrap_or(u32::MAX);
        let mut builder = BatchBuilder::new(SESSION.0, usize::MAX);
        for _ in 0..=choices.below(8) {
            let index = IndexId(u16::from(choices.below(INDICES)));
            let id = *choices.pick(&IDS);
            let says = match choices.below(8) {
                6 => Says::Broken,
                7 => Says::Gone,
                5 => Says::Content(5, false),
                content => Says::Content(content + 2, true),
            };
            let data = payload(says);
            let item = Item {
                seq: seq as u64,
                operation: match says {
                    Says::Gone => Operation::Delete,
                    Says::Content(..) | Says::Broken => Operation::Upsert,
                },
                id,
                index: scheme.catalogue().index_name(index),
                data: data.as_ref().map(String::as_bytes),
                version: 0,
            };
            if let Err(error) = builder.push(&item) {
                panic!("an item does not fit: {error:?}");
            }
            set.insert((index, id), says);
            seq += 1;
        }
        frames.0.insert(key, builder.finish());
    }
    for (key, frame) in &frames.0 {
        let Ok(Message::DataBatch(batch)) = decode(frame) else {
            panic!("our own frame cannot be read");
        };
        let (summary, rows) = scan(&scheme, AGENT, &Items::Batch(batch), frame.len() as u64);
        table.stage(*key, summary.sequences.as_slice(), &rows);
    }
    let planned = plan(&mut table, &&frames, &SCOPE, true, 8);
    assert!(planned.is_some(), "a staged frame could not be read back");
    (frames, table)
}

fn compare(
    table: &mut SessionTable,
    frames: &Frames,
    held: &BTreeMap<Key, Option<[u8; 20]>>,
) -> DiffSummary {
    let mut listing = Listing::new();
    for ((index, id), unchanged_if) in held {
        let document = Listed {
            index: *index,
            id,
            unchanged_if: *unchanged_if,
        };
        listing.push(Version(9), document);
    }
    match diff(table, &listing, &frames, &SCOPE) {
        Some(summary) => summary,
        None => panic!("a staged frame could not be read back"),
    }
}

/// What a plain reading says is sent.
#[derive(Debug, PartialEq, Eq)]
struct Expected {
    written: BTreeMap<Key, u8>,
    removed: BTreeSet<Key>,
    unchanged: u64,
}

impl Expected {
    fn of(set: &BTreeMap<Key, Says>, held: &BTreeMap<Key, Option<[u8; 20]>>) -> Self {
        let mut expected = Self {
            written: BTreeMap::new(),
            removed: BTreeSet::new(),
            unchanged: 0,
        };
        for (key, says) in set {
            if let Says::Content(content, has_checksum) = says {
                let same = *has_checksum && held.get(key) == Some(&Some(checksum(*content)));
                if same {
                    expected.unchanged += 1;
                } else {
                    expected.written.insert(*key, *content);
                }
            }
        }
        for key in held.keys().filter(|(index, _)| SCOPE.contains(index)) {
            if matches!(set.get(key), None | Some(Says::Gone)) {
                expected.removed.insert(*key);
            }
        }
        expected
    }
}

fn check(table: &SessionTable, frames: &Frames, summary: &DiffSummary, expected: &Expected) {
    assert_eq!(summary.unchanged, expected.unchanged, "unchanged");
    assert_eq!(
        summary.removals as usize,
        expected.removed.len(),
        "removals"
    );
    let upserts: u32 = summary.chunks.iter().map(|chunk| chunk.upserts).sum();
    assert_eq!(upserts as usize, expected.written.len(), "written");
    let mut written = BTreeMap::new();
    let lines = rendered(table, frames, Class::Upsert, upserts);
    for pair in lines.chunks(2) {
        let [action, source] = pair else {
            panic!("an action without its document");
        };
        let content = source["v"]
            .as_u64()
            .and_then(|content| u8::try_from(content).ok());
        assert_eq!(
            source["wazuh"]["agent"]["id"], "001",
            "whose document is it?"
        );
        written.insert(key_of(table, &action["index"]), content.unwrap_or(0));
    }
    assert_eq!(written, expected.written);
    let lines = rendered(table, frames, Class::Removal, summary.removals);
    let removed: BTreeSet<Key> = lines
        .iter()
        .map(|action| key_of(table, &action["delete"]))
        .collect();
    assert_eq!(removed, expected.removed);
}

/// All operations of a class as lines of JSON. The overlay stands in each document once.
fn rendered(
    table: &SessionTable,
    frames: &Frames,
    class: Class,
    count: u32,
) -> Vec<serde_json::Value> {
    if count == 0 {
        return Vec::new();
    }
    let part = Part {
        session: SESSION,
        agent: AGENT,
        version: Version(1 << 40),
        class,
        ordinals: Runs::up_to(count),
    };
    let mut body = Vec::new();
    assert_eq!(render(&part, table, &frames, &mut body), Some(count));
    let lines = body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let read = |line: &[u8]| {
        let text = String::from_utf8_lossy(line);
        assert!(
            text.matches("\"wazuh\":").count() <= 1,
            "two overlays: {text}"
        );
        match serde_json::from_slice(line) {
            Ok(value) => value,
            Err(error) => panic!("{error}: {text}"),
        }
    };
    lines.map(read).collect()
}

fn key_of(table: &SessionTable, action: &serde_json::Value) -> Key {
    let names = scheme();
    let name = action["_index"].as_str().unwrap_or_default();
    let id = action["_id"].as_str().unwrap_or_default();
    let own = id.strip_prefix(table.id_prefix());
    let known = IDS.into_iter().find(|known| Some(*known) == own);
    match (names.catalogue().index(name), known) {
        (Some(index), Some(id)) => (index, id),
        _ => panic!("an action on {name:?} {id:?}"),
    }
}
