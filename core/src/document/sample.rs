//! What the tests of documents and answers share: frames of any items, a store in memory, a small catalogue.

use std::collections::BTreeMap;
use std::sync::Arc;

use flatbuffers::FlatBufferBuilder;
use inventory_sync_schemas::wire as generated;

use super::{Chunks, FrameSummary, FrameTable, Items, Run, Scheme, SessionTable, scan};
use crate::config::{Catalogue, Config};
use crate::id::{AgentId, IndexId, SessionId};
use crate::wire::{self, AgentInfo};

pub(crate) const SESSION: SessionId = SessionId(77);
pub(crate) const AGENT: AgentId = AgentId(1);

/// Two modules: `a` owns the indices 0 and 1, `b` owns 2.
pub(crate) fn config() -> Config {
    let modules = [
        (
            "a".to_owned(),
            vec!["states-zero".to_owned(), "states-one".to_owned()],
        ),
        ("b".to_owned(), vec!["states-two".to_owned()]),
    ];
    Config::new(Catalogue::new(modules).unwrap())
}

pub(crate) const INDICES: [IndexId; 2] = [IndexId(0), IndexId(1)];

pub(crate) fn scheme() -> Arc<Scheme> {
    Arc::new(Scheme::new(&config(), 99))
}

pub(crate) fn info() -> AgentInfo {
    AgentInfo {
        name: "näme \"quoted\"".to_owned(),
        version: "5.0.0".to_owned(),
        os_type: "linux".to_owned(),
        groups: vec!["default".to_owned(), String::new(), "web".to_owned()],
        ..AgentInfo::default()
    }
}

/// An item of any kind, right or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    pub seq: u64,
    pub session: u64,
    pub operation: i8,
    pub id: Option<String>,
    pub index: Option<String>,
    pub data: Option<Vec<u8>>,
}

impl Sample {
    pub(crate) fn upsert(seq: u64, index: &str, id: &str, data: &str) -> Self {
        Self {
            seq,
            session: 0,
            operation: 0,
            id: Some(id.to_owned()),
            index: Some(index.to_owned()),
            data: Some(data.as_bytes().to_vec()),
        }
    }

    pub(crate) fn delete(seq: u64, index: &str, id: &str) -> Self {
        Self {
            operation: 1,
            data: None,
            ..Self::upsert(seq, index, id, "")
        }
    }
}

/// A `DataBatch` of these items.
pub(crate) fn frame(items: &[Sample]) -> Vec<u8> {
    let mut fbb = FlatBufferBuilder::new();
    let values: Vec<_> = items
        .iter()
        .map(|item| {
            let args = generated::DataArgs {
                seq: item.seq,
                session: item.session,
                operation: generated::Operation(item.operation),
                id: item.id.as_ref().map(|id| fbb.create_string(id)),
                index: item.index.as_ref().map(|index| fbb.create_string(index)),
                data: item.data.as_ref().map(|data| {
                    let data: Vec<i8> = data.iter().map(|byte| byte.cast_signed()).collect();
                    fbb.create_vector(&data)
                }),
                version: 0,
            };
            generated::Data::create(&mut fbb, &args)
        })
        .collect();
    let values = fbb.create_vector(&values);
    let args = generated::DataBatchArgs {
        session: SESSION.0,
        values: Some(values),
    };
    let batch = generated::DataBatch::create(&mut fbb, &args);
    let message = generated::Message::create(
        &mut fbb,
        &generated::MessageArgs {
            content_type: generated::MessageContent::DataBatch,
            content: Some(batch.as_union_value()),
        },
    );
    fbb.finish(message, None);
    fbb.finished_data().to_vec()
}

pub(crate) fn scanned(scheme: &Scheme, frame: &[u8]) -> (FrameSummary, FrameTable) {
    let message = wire::decode(frame).unwrap();
    scan(
        scheme,
        AGENT,
        &Items::of(&message).unwrap(),
        frame.len() as u64,
    )
}

/// A store in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frames(pub BTreeMap<u32, Vec<u8>>);

impl<'f> Chunks for &'f Frames {
    type Bytes = &'f [u8];

    fn chunk(&self, session: SessionId, key: u32) -> Option<&'f [u8]> {
        assert_eq!(session, SESSION);
        self.0.get(&key).map(Vec::as_slice)
    }
}

/// A staged session: each frame brings what no earlier one brought.
pub(crate) fn staged(scheme: &Arc<Scheme>, batches: &[Vec<Sample>]) -> (SessionTable, Frames) {
    let mut table = SessionTable::new(scheme.clone(), SESSION, AGENT, &info());
    let mut frames = Frames::default();
    let mut received = super::Runs::new();
    for batch in batches {
        let frame = frame(batch);
        let (summary, rows) = scanned(scheme, &frame);
        let mut fresh = summary.sequences.clone();
        for run in received.as_slice() {
            fresh.remove(*run);
        }
        received.extend(&fresh);
        if let Some(Run { first, .. }) = fresh.as_slice().first().copied() {
            table.stage(first, fresh.as_slice(), &rows);
            frames.0.insert(first, frame);
        }
    }
    (table, frames)
}

/// A session in staged batches, with copies, and what a naive reading of it says.
pub(crate) mod sessions {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::Sample;
    use crate::document::json::tests::{spread, value};

    /// Ids that meet often; one needs escapes.
    pub(crate) const IDS: [&str; 4] = ["a", "b", "q\"\\\n\u{e4}", "a b"];
    pub(crate) const NAMES: [&str; 3] = ["states-zero", "states-one", "states-two"];
    pub(crate) const SUMS: [&str; 2] = [
        "0123456789abcdef0123456789abcdef01234567",
        "ffff456789abcdef0123456789abcdef01234567",
    ];

    /// An object as text: members in any order, perhaps with a `wazuh` and a checksum among them.
    pub(crate) fn payload() -> impl Strategy<Value = String> {
        (
            prop::collection::btree_map("[a-v\u{e4}\"\\\\]{0,8}", value(2), 0..4),
            prop::option::of((any::<prop::sample::Index>(), value(1), any::<bool>())),
            prop::option::of((any::<prop::sample::Index>(), 0..SUMS.len())),
            prop::sample::select(vec!["", "", " ", "\n", "\r\n\t"]),
        )
            .prop_map(|(members, overlay, sum, space)| {
                let mut texts: Vec<String> = members
                    .iter()
                    .filter(|(key, _)| *key != "checksum")
                    .map(|(key, value)| format!("{}:{value}", serde_json::json!(key)))
                    .collect();
                if let Some((place, sum)) = sum {
                    let text = format!("\"checksum\":{{\"hash\":{{\"sha1\":\"{}\"}}}}", SUMS[sum]);
                    texts.insert(place.index(texts.len() + 1), text);
                }
                if let Some((place, value, escaped)) = overlay {
                    let key = if escaped {
                        "\\u0077a\\u007auh"
                    } else {
                        "wazuh"
                    };
                    texts.insert(place.index(texts.len() + 1), format!("\"{key}\":{value}"));
                }
                spread(&format!("{{{}}}", texts.join(",")), space)
            })
    }

    fn item() -> impl Strategy<Value = Sample> {
        (0..NAMES.len(), 0..IDS.len(), 0..12, payload()).prop_map(|(index, id, kind, payload)| {
            let (index, id) = (NAMES[index], IDS[id]);
            let upsert = Sample::upsert(0, index, id, &payload);
            match kind {
                0 => Sample {
                    data: None,
                    ..upsert
                },
                1 => Sample {
                    data: Some(b"{\"a\":}".to_vec()),
                    ..upsert
                },
                2 => Sample { id: None, ..upsert },
                3 => Sample {
                    index: Some("states-nine".to_owned()),
                    ..upsert
                },
                4..=6 => Sample::delete(0, index, id),
                _ => upsert,
            }
        })
    }

    /// Items 0..n, and the batches in which they come: in any order, some of them again with other content.
    pub(crate) fn sessions() -> impl Strategy<Value = (Vec<Sample>, Vec<Vec<Sample>>)> {
        (
            prop::collection::vec(item(), 0..24),
            prop::collection::vec((any::<prop::sample::Index>(), item()), 0..8),
        )
            .prop_flat_map(|(mut items, copies)| {
                for (seq, item) in (0..).zip(&mut items) {
                    item.seq = seq;
                }
                let count = items.len();
                let order: Vec<usize> = (0..count).collect();
                let cuts = prop::collection::vec(0..=count, 0..6);
                (Just(items), Just(copies), Just(order).prop_shuffle(), cuts)
            })
            .prop_map(|(items, copies, order, mut cuts)| {
                let mut sent: Vec<Sample> =
                    order.iter().map(|place| items[*place].clone()).collect();
                for (place, copy) in copies {
                    // A copy goes to the end, so it always comes after the first one.
                    if !items.is_empty() {
                        let seq = place.index(items.len()) as u64;
                        sent.push(Sample { seq, ..copy });
                    }
                }
                cuts.sort_unstable();
                let mut batches = Vec::new();
                let mut rest = sent.as_slice();
                let mut begun = 0;
                for cut in cuts {
                    let (head, tail) = rest.split_at(cut - begun);
                    batches.push(head.to_vec());
                    (rest, begun) = (tail, cut);
                }
                batches.push(rest.to_vec());
                (items, batches)
            })
    }

    /// What is wrong with an item, by a naive reading.
    pub(crate) fn is_sound(item: &Sample) -> bool {
        item.operation == 1
            || item
                .data
                .as_ref()
                .is_some_and(|data| serde_json::from_slice::<serde_json::Value>(data).is_ok())
    }

    /// The document of an item, if it names one in an allowed index.
    pub(crate) fn document(item: &Sample) -> Option<(String, String)> {
        let index = item
            .index
            .clone()
            .filter(|index| NAMES[..2].contains(&index.as_str()))?;
        Some((index, item.id.clone()?))
    }

    /// For each document its items, ascending by sequence.
    pub(crate) fn documents(items: &[Sample]) -> BTreeMap<(String, String), Vec<&Sample>> {
        let mut documents: BTreeMap<_, Vec<&Sample>> = BTreeMap::new();
        for item in items {
            if let Some(document) = document(item) {
                documents.entry(document).or_default().push(item);
            }
        }
        documents
    }
}
