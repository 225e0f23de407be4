//! Documents to frames.

use inventory_sync_core::agent::Frame;
use inventory_sync_core::document::Run;
use inventory_sync_core::id::SessionId;
use inventory_sync_core::wire::{BatchBuilder, Item, NotAdded, Operation, framing};

use crate::inventory::Document;

/// Size of a frame that carries many documents.
const FRAME_BYTES: usize = 64 * 1024;

/// Largest frame that carries one: what a manager accepts unless it was told otherwise.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Largest document; the rest of its message is id, index and structure.
pub(super) const DOCUMENT_BYTES_MAX: usize = MESSAGE_BYTES_MAX - 4 * 1024;

/// A frame as it goes over the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packed {
    /// The message with its length before it.
    pub(super) bytes: Vec<u8>,
    /// How many rows it carries.
    pub(super) items: u64,
}

/// Frames as they go over the connection, each with its length before it, for a run of rows. Stops near
/// `bytes_max`, but brings one frame at least. `None` when the run is not of these rows, or a row is
/// larger than [`DOCUMENT_BYTES_MAX`].
pub(super) fn pack(
    rows: &[&Document],
    session: SessionId,
    run: Run,
    bytes_max: u64,
) -> Option<Vec<Frame<Packed>>> {
    let mut frames: Vec<Frame<Packed>> = Vec::new();
    let mut bytes = 0_u64;
    let mut first = run.first;
    while first <= run.last && (frames.is_empty() || bytes < bytes_max) {
        let frame = batch(rows, session, Run::new(first, run.last))?;
        bytes = bytes.saturating_add(frame.payload.bytes.len() as u64);
        first = frame.run.last.checked_add(1)?;
        frames.push(frame);
    }
    Some(frames)
}

/// One frame with as many rows from the run's beginning as fit.
fn batch(rows: &[&Document], session: SessionId, run: Run) -> Option<Frame<Packed>> {
    let mut builder = BatchBuilder::new(session.0, FRAME_BYTES);
    let mut last = None;
    for seq in run.first..=run.last {
        let row = rows.get(usize::try_from(seq).ok()?)?;
        match push(&mut builder, seq, row) {
            Ok(()) => last = Some(seq),
            Err(NotAdded::Full) => break,
            Err(NotAdded::TooLarge) => {
                builder = BatchBuilder::new(session.0, MESSAGE_BYTES_MAX);
                push(&mut builder, seq, row).ok()?;
                last = Some(seq);
                break;
            }
        }
    }
    let run = Run::new(run.first, last?);
    let message = builder.finish();
    let mut bytes = Vec::with_capacity(message.len() + framing::MAX_HEADER_BYTES);
    framing::write_tls(&mut bytes, &message).ok()?;
    let items = run.count();
    Some(Frame {
        run,
        payload: Packed { bytes, items },
    })
}

fn push(builder: &mut BatchBuilder, seq: u32, row: &Document) -> Result<(), NotAdded> {
    builder.push(&Item {
        seq: u64::from(seq),
        operation: Operation::Upsert,
        id: &row.id,
        index: row.index,
        data: Some(&row.body),
        version: 0,
    })
}

#[cfg(test)]
mod tests {
    use inventory_sync_core::wire::framing::{Framing, Splitter};
    use inventory_sync_core::wire::{Message, decode};

    use super::*;

    const SESSION: SessionId = SessionId(77);

    fn documents(sizes: &[usize]) -> Vec<Document> {
        let body = |size: &usize| format!("{{\"a\":\"{}\"}}", "x".repeat(*size)).into_bytes();
        sizes
            .iter()
            .enumerate()
            .map(|(n, size)| Document {
                id: format!("{n:040x}"),
                index: "wazuh-states-inventory-packages",
                body: body(size),
                checksum: String::new(),
            })
            .collect()
    }

    /// Every sequence that the frames carry, and that each frame carries the run it says.
    fn sequences(documents: &[Document], frames: &[Frame<Packed>]) -> Vec<u64> {
        let mut all = Vec::new();
        for frame in frames {
            let mut input = frame.payload.bytes.as_slice();
            let mut splitter = Splitter::new(Framing::Tls, MESSAGE_BYTES_MAX);
            let message = splitter.next_frame(&mut input).unwrap().unwrap().message;
            assert!(input.is_empty());
            let Message::DataBatch(batch) = decode(&message).unwrap() else {
                panic!("not a batch");
            };
            assert_eq!(batch.session(), SESSION.0);
            let mut own = Vec::new();
            for item in batch.iter() {
                let document = &documents[usize::try_from(item.seq()).unwrap()];
                assert_eq!(item.id(), Some(document.id.as_str()));
                assert_eq!(item.data(), Some(document.body.as_slice()));
                own.push(item.seq());
            }
            let run = u64::from(frame.run.first)..=u64::from(frame.run.last);
            assert_eq!(own, run.collect::<Vec<_>>());
            assert_eq!(frame.payload.items, own.len() as u64);
            all.append(&mut own);
        }
        all
    }

    #[test]
    fn frames_carry_each_row_of_the_run_once_and_in_order() {
        let documents = documents(&[100; 1_000]);
        let rows: Vec<_> = documents.iter().collect();
        let frames = pack(&rows, SESSION, Run::new(10, 999), u64::MAX).unwrap();
        assert!(frames.len() > 1);
        assert_eq!(
            sequences(&documents, &frames),
            (10..1_000).collect::<Vec<_>>()
        );
        for frame in &frames {
            assert!(frame.payload.bytes.len() <= FRAME_BYTES + 4);
        }
    }

    #[test]
    fn a_load_stops_near_its_bytes_but_brings_something() {
        let documents = documents(&[30_000; 20]);
        let rows: Vec<_> = documents.iter().collect();
        let frames = pack(&rows, SESSION, Run::new(0, 19), 100_000).unwrap();
        assert_eq!(sequences(&documents, &frames), (0..4).collect::<Vec<_>>());
        let frames = pack(&rows, SESSION, Run::new(7, 19), 1).unwrap();
        assert_eq!(sequences(&documents, &frames), [7, 8]);
    }

    #[test]
    fn a_large_document_gets_a_frame_of_its_own() {
        let documents = documents(&[10, DOCUMENT_BYTES_MAX - 8, 10]);
        let rows: Vec<_> = documents.iter().collect();
        let frames = pack(&rows, SESSION, Run::new(0, 2), u64::MAX).unwrap();
        assert_eq!(frames.len(), 3);
        assert_eq!(sequences(&documents, &frames), [0, 1, 2]);
    }

    #[test]
    fn rows_that_are_not_there_are_no_frames() {
        let documents = documents(&[10]);
        let rows: Vec<_> = documents.iter().collect();
        assert_eq!(pack(&rows, SESSION, Run::new(0, 1), u64::MAX), None);
    }
}
