//! Messages that no honest peer builds: well-formed FlatBuffers with wrong contents, and bytes that are none.
//!
//! ```text
//!  RawItem ──▶ data, batch, aliased_batch, unknown_member   verifiable or not, the daemon decides
//!  core/src/wire/golden.json ──▶ malformed                  made with another FlatBuffers implementation
//! ```

use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, UnionWIPOffset, Vector, WIPOffset};
use inventory_sync_schemas::wire as generated;
use serde_json::Value;

use crate::document::Document;

const GOLDEN: &str = include_str!("../../core/src/wire/golden.json");

type Builder = FlatBufferBuilder<'static>;

/// An item whose every field is the test's business.
#[derive(Clone, Copy, Debug)]
pub struct RawItem<'a> {
    /// Its sequence.
    pub seq: u64,
    /// The session that the item itself names; an honest element of a batch says 0.
    pub session: u64,
    /// The operation's byte.
    pub operation: i8,
    /// The agent's id for the document.
    pub id: Option<&'a str>,
    /// The index's name.
    pub index: Option<&'a str>,
    /// The document.
    pub data: Option<&'a [u8]>,
}

impl<'a> RawItem<'a> {
    /// What an honest agent says of this row.
    #[must_use]
    pub fn of(seq: u64, document: &'a Document) -> Self {
        let honest = crate::agent::item(seq, document);
        Self {
            seq,
            session: 0,
            operation: honest.operation.to_wire(),
            id: Some(honest.id),
            index: Some(honest.index),
            data: honest.data,
        }
    }

    fn build(&self, fbb: &mut Builder) -> WIPOffset<generated::Data<'static>> {
        let id = self.id.map(|text| fbb.create_string(text));
        let index = self.index.map(|text| fbb.create_shared_string(text));
        let data = self
            .data
            .map(|bytes| WIPOffset::new(fbb.create_vector(bytes).value()));
        let args = generated::DataArgs {
            seq: self.seq,
            session: self.session,
            operation: generated::Operation(self.operation),
            id,
            index,
            data,
            version: 0,
        };
        generated::Data::create(fbb, &args)
    }
}

/// One item as a Data message.
#[must_use]
pub fn data(session: u64, item: RawItem<'_>) -> Vec<u8> {
    let mut fbb = Builder::new();
    let table = RawItem { session, ..item }.build(&mut fbb);
    finish(
        &mut fbb,
        generated::MessageContent::Data,
        table.as_union_value(),
    )
}

/// Items as a `DataBatch`.
#[must_use]
pub fn batch(session: u64, items: &[RawItem<'_>]) -> Vec<u8> {
    let mut fbb = Builder::new();
    let tables: Vec<_> = items.iter().map(|item| item.build(&mut fbb)).collect();
    let values = fbb.create_vector(&tables);
    finish_batch(&mut fbb, session, values)
}

/// A `DataBatch` whose list names one and the same item so many times: a small frame that would become a
/// large work.
#[must_use]
pub fn aliased_batch(session: u64, item: RawItem<'_>, times: usize) -> Vec<u8> {
    let mut fbb = Builder::new();
    let table = item.build(&mut fbb);
    let values = fbb.create_vector(&vec![table; times]);
    finish_batch(&mut fbb, session, values)
}

/// A message whose content is a member of the union that nobody knows.
#[must_use]
pub fn unknown_member(number: u8) -> Vec<u8> {
    let mut fbb = Builder::new();
    let table = generated::End::create(&mut fbb, &generated::EndArgs { session: 7 });
    finish(
        &mut fbb,
        generated::MessageContent(number),
        table.as_union_value(),
    )
}

fn finish_batch(
    fbb: &mut Builder,
    session: u64,
    values: WIPOffset<Vector<'static, ForwardsUOffset<generated::Data<'static>>>>,
) -> Vec<u8> {
    let args = generated::DataBatchArgs {
        session,
        values: Some(values),
    };
    let table = generated::DataBatch::create(fbb, &args);
    finish(
        fbb,
        generated::MessageContent::DataBatch,
        table.as_union_value(),
    )
}

fn finish(
    fbb: &mut Builder,
    content_type: generated::MessageContent,
    content: WIPOffset<UnionWIPOffset>,
) -> Vec<u8> {
    let args = generated::MessageArgs {
        content_type,
        content: Some(content),
    };
    let message = generated::Message::create(fbb, &args);
    generated::finish_message_buffer(fbb, message);
    fbb.finished_data().to_vec()
}

/// Bytes that are no message, each with its name.
///
/// # Panics
/// When the golden file is not what it was.
#[must_use]
pub fn malformed() -> Vec<(String, Vec<u8>)> {
    let golden: Value = serde_json::from_str(GOLDEN).expect("golden.json is JSON");
    let entries = golden["malformed"].as_array().expect("golden.json lists");
    let found: Vec<_> = entries
        .iter()
        .map(|entry| {
            let name = entry["name"].as_str().expect("a name").to_owned();
            let hex = entry["hex"].as_str().expect("bytes");
            let digit = |at: usize| hex.get(at..at + 2).expect("pairs of digits");
            let bytes = (0..hex.len()).step_by(2);
            let bytes = bytes.map(|at| u8::from_str_radix(digit(at), 16).expect("digits"));
            (name, bytes.collect())
        })
        .collect();
    assert!(found.len() >= 21, "golden.json has lost messages");
    found
}

#[cfg(test)]
mod tests {
    use inventory_sync_core::wire::{Message, decode, encode_data};

    use super::*;
    use crate::document::package;

    #[test]
    fn what_is_honest_reads_as_an_honest_peers_message() {
        let document = package(1, "1");
        let honest = encode_data(7, &crate::agent::item(3, &document));
        let (own, Message::Data(theirs)) =
            (data(7, RawItem::of(3, &document)), decode(&honest).unwrap())
        else {
            panic!("not a Data message");
        };
        let Message::Data(ours) = decode(&own).unwrap() else {
            panic!("not a Data message");
        };
        assert_eq!(
            (ours.seq(), ours.session(), ours.id(), ours.index()),
            (theirs.seq(), theirs.session(), theirs.id(), theirs.index())
        );
        assert_eq!(ours.data(), theirs.data());
        assert_eq!(ours.operation(), theirs.operation());
    }

    #[test]
    fn what_is_no_message_is_none() {
        for (name, bytes) in malformed() {
            assert!(decode(&bytes).is_err(), "{name}");
        }
        let document = package(1, "1");
        let small = aliased_batch(7, RawItem::of(0, &document), 3);
        assert!(decode(&small).is_ok(), "a few are harmless");
        let large = aliased_batch(7, RawItem::of(0, &document), 10_000);
        assert!(decode(&large).is_err());
    }
}
