//! Rows to frames.

use inventory_sync_core::agent::Frame;
use inventory_sync_core::document::Run;
use inventory_sync_core::id::SessionId;
use inventory_sync_core::wire::{BatchBuilder, Item, NotAdded, Operation, encode_data};

use super::captured::{CapturedItem, CapturedSession};
use super::content::{Generator, INDEX};
use super::rounds::{Book, Row, Shape};

/// Largest frame that carries one document: what a manager accepts unless it was told otherwise.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A message that is ready to be sent but for the length before it.
pub(super) type Payload = Vec<u8>;

/// Frames, and how many bytes of documents they carry.
pub(super) type Packed = (Vec<Frame<Payload>>, u64);

/// What the rows of a generated round are made with.
#[derive(Clone, Copy)]
pub(super) struct Generated<'a> {
    pub(super) generator: &'a Generator,
    pub(super) shape: &'a Shape,
    pub(super) book: &'a Book,
    pub(super) agent: u64,
}

impl Generated<'_> {
    /// Frames for the beginning of a run, near `bytes_max` but one at least.
    pub(super) fn pack(
        self,
        session: SessionId,
        run: Run,
        frame_bytes: usize,
        bytes_max: u64,
        scratch: &mut Vec<u8>,
    ) -> Option<Packed> {
        let (mut frames, mut sent, mut carried) = (Vec::new(), 0, 0);
        let mut first = run.first;
        while first <= run.last && (frames.is_empty() || sent < bytes_max) {
            let rest = Run::new(first, run.last);
            let (frame, bytes) = self.frame(session, rest, frame_bytes, scratch)?;
            sent += frame.payload.len() as u64;
            carried += bytes;
            first = frame.run.last.checked_add(1)?;
            frames.push(frame);
        }
        Some((frames, carried))
    }

    fn frame(
        self,
        session: SessionId,
        run: Run,
        frame_bytes: usize,
        scratch: &mut Vec<u8>,
    ) -> Option<(Frame<Payload>, u64)> {
        let mut builder = BatchBuilder::new(session.0, frame_bytes);
        let (mut carried, mut last) = (0, None);
        for seq in run.first..=run.last {
            let (id, operation) = self.render(seq, scratch);
            let data = (operation == Operation::Upsert).then_some(scratch.as_slice());
            let bytes = data.map_or(0, |data| data.len() as u64);
            let item = Item {
                seq: u64::from(seq),
                operation,
                id: &id,
                index: INDEX,
                data,
                version: 0,
            };
            // One alone is smaller as a message of its own.
            let pushed = if run.first == run.last {
                Err(NotAdded::TooLarge)
            } else {
                builder.push(&item)
            };
            match pushed {
                Ok(()) => {
                    last = Some(seq);
                    carried += bytes;
                }
                Err(NotAdded::Full) => break,
                Err(NotAdded::TooLarge) => {
                    let payload = encode_data(session.0, &item);
                    let run = Run::one(seq);
                    return Some((Frame { run, payload }, bytes));
                }
            }
        }
        let frame = Frame {
            run: Run::new(run.first, last?),
            payload: builder.finish(),
        };
        Some((frame, carried))
    }

    /// The body into `scratch`; the id and the operation of the row.
    fn render(self, seq: u32, scratch: &mut Vec<u8>) -> (String, Operation) {
        let row = self.book.row(self.shape, seq);
        let (slot, born) = match row {
            Row::Upsert(document) => {
                self.generator.body(self.agent, document, scratch);
                (document.slot, document.born)
            }
            Row::Delete { slot, born } => (slot, born),
        };
        (self.generator.id(self.agent, slot, born), row.operation())
    }
}

/// A frame of a captured session, for any session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    /// The rows that it carries.
    pub(super) run: Run,
    bytes: Vec<u8>,
    /// Where the session's number stands.
    session_at: usize,
    /// Bytes of documents in it.
    carried: u64,
}

impl Template {
    fn instance(&self, session: SessionId) -> Frame<Payload> {
        let mut payload = self.bytes.clone();
        let end = self.session_at + size_of::<u64>();
        if let Some(place) = payload.get_mut(self.session_at..end) {
            place.copy_from_slice(&session.0.to_le_bytes());
        }
        Frame {
            run: self.run,
            payload,
        }
    }
}

/// The items as frames; `None` when one is too large for any.
pub(super) fn templates(items: &[CapturedItem], frame_bytes: usize) -> Option<Vec<Template>> {
    /// Every byte differs, so that the number is found as a whole.
    const MARKS: [SessionId; 2] = [
        SessionId(0x0102_0304_0506_0708),
        SessionId(0x1112_1314_1516_1718),
    ];
    let mut all = Vec::new();
    let mut first = 0;
    let count = u32::try_from(items.len()).ok()?;
    while first < count {
        let run = Run::new(first, count - 1);
        let (one, carried) = captured_frame(items, MARKS[0], run, frame_bytes)?;
        let (other, _) = captured_frame(items, MARKS[1], run, frame_bytes)?;
        let differs = |(a, b): (&u8, &u8)| a != b;
        let session_at = one.payload.iter().zip(&other.payload).position(differs)?;
        first = one.run.last + 1;
        all.push(Template {
            run: one.run,
            bytes: one.payload,
            session_at,
            carried,
        });
    }
    Some(all)
}

/// Frames for the beginning of a run of a captured session.
pub(super) fn captured(
    captured: &CapturedSession,
    session: SessionId,
    run: Run,
    frame_bytes: usize,
    bytes_max: u64,
) -> Option<Packed> {
    let (mut frames, mut sent, mut carried) = (Vec::new(), 0, 0);
    let mut first = run.first;
    while first <= run.last && (frames.is_empty() || sent < bytes_max) {
        let rest = Run::new(first, run.last);
        let (frame, bytes) = match captured.frame(rest) {
            Some(template) => (template.instance(session), template.carried),
            None => captured_frame(&captured.items, session, rest, frame_bytes)?,
        };
        sent += frame.payload.len() as u64;
        carried += bytes;
        first = frame.run.last.checked_add(1)?;
        frames.push(frame);
    }
    Some((frames, carried))
}

fn captured_frame(
    items: &[CapturedItem],
    session: SessionId,
    run: Run,
    frame_bytes: usize,
) -> Option<(Frame<Payload>, u64)> {
    let mut builder = BatchBuilder::new(session.0, frame_bytes);
    let mut carried = 0;
    let mut last = None;
    for seq in run.first..=run.last {
        let captured = items.get(usize::try_from(seq).ok()?)?;
        let bytes = captured.data.as_ref().map_or(0, |data| data.len() as u64);
        match builder.push(&captured.item(seq)) {
            Ok(()) => {
                last = Some(seq);
                carried += bytes;
            }
            Err(NotAdded::Full) => break,
            Err(NotAdded::TooLarge) => {
                let payload = encode_data(session.0, &captured.item(seq));
                let run = Run::one(seq);
                let fits = payload.len() <= MESSAGE_BYTES_MAX;
                return fits.then_some((Frame { run, payload }, bytes));
            }
        }
    }
    let frame = Frame {
        run: Run::new(run.first, last?),
        payload: builder.finish(),
    };
    Some((frame, carried))
}

#[cfg(test)]
mod tests {
    use inventory_sync_core::wire::{Message, Mode, decode};

    use super::*;

    const SESSION: SessionId = SessionId(0x7788_99AA_BBCC_DDEE);

    /// Sequences, ids and bytes of documents that frames carry, each frame for [`SESSION`].
    fn read(frames: &[Frame<Payload>]) -> (Vec<u64>, u64) {
        let (mut sequences, mut bytes) = (Vec::new(), 0);
        for frame in frames {
            let from = sequences.len();
            match decode(&frame.payload).unwrap() {
                Message::DataBatch(batch) => {
                    assert_eq!(batch.session(), SESSION.0);
                    for item in batch.iter() {
                        sequences.push(item.seq());
                        bytes += item.data().map_or(0, |data| data.len() as u64);
                    }
                }
                Message::Data(item) => {
                    assert_eq!(item.session(), SESSION.0);
                    sequences.push(item.seq());
                    bytes += item.data().map_or(0, |data| data.len() as u64);
                }
                _ => panic!("no rows"),
            }
            let run = u64::from(frame.run.first)..=u64::from(frame.run.last);
            assert_eq!(sequences[from..], run.collect::<Vec<_>>());
        }
        (sequences, bytes)
    }

    fn shape(documents: u32) -> Shape {
        Shape {
            seed: 1,
            documents,
            first: Mode::Full,
            later: Mode::Delta,
            changed_percent: 20,
            deleted_percent: 10,
        }
    }

    #[test]
    fn frames_carry_each_row_once_within_their_bounds() {
        let (generator, shape) = (Generator::new(1, 540), shape(1_000));
        let mut book = Book::default();
        for (round, size) in [(0, 1_000), (1, 400)] {
            book.advance(&shape, 4, round);
            assert_eq!(book.size(&shape), size);
            let generated = Generated {
                generator: &generator,
                shape: &shape,
                book: &book,
                agent: 4,
            };
            let mut scratch = Vec::new();
            let run = Run::new(0, size - 1);
            let pack = |run, bytes_max, scratch: &mut Vec<u8>| {
                generated
                    .pack(SESSION, run, 8_192, bytes_max, scratch)
                    .unwrap()
            };
            let (frames, carried) = pack(run, u64::MAX, &mut scratch);
            assert!(frames.iter().all(|frame| frame.payload.len() <= 8_192));
            let (sequences, bytes) = read(&frames);
            assert_eq!(sequences, (0..u64::from(size)).collect::<Vec<_>>());
            assert_eq!(carried, bytes);
            let (frames, _) = pack(Run::new(7, size - 1), 1, &mut scratch);
            assert_eq!((frames.len(), frames[0].run.first), (1, 7));
            let (frames, _) = pack(Run::one(9), 1, &mut scratch);
            assert!(matches!(decode(&frames[0].payload), Ok(Message::Data(_))));
            read(&frames);
        }
    }

    #[test]
    fn a_document_above_a_frame_goes_alone() {
        let (generator, shape) = (Generator::new(1, 8_192), shape(3));
        let generated = Generated {
            generator: &generator,
            shape: &shape,
            book: &Book::default(),
            agent: 1,
        };
        let mut scratch = Vec::new();
        let packed = generated.pack(SESSION, Run::new(0, 2), 2_048, u64::MAX, &mut scratch);
        let (frames, _) = packed.unwrap();
        assert_eq!(frames.len(), 3);
        assert_eq!(read(&frames).0, [0, 1, 2]);
    }

    #[test]
    fn frames_of_a_capture_are_the_same_whether_packed_before_or_now() {
        let items: Vec<CapturedItem> = (0..200)
            .map(|number| CapturedItem {
                operation: Operation::Upsert,
                id: format!("{number:040x}"),
                index: INDEX.to_owned(),
                data: Some(format!("{{\"a\":\"{}\"}}", "x".repeat(number)).into_bytes()),
            })
            .collect();
        let session = CapturedSession {
            mode: Mode::Delta,
            indices: vec![INDEX.to_owned()],
            frames: templates(&items, 4_096).unwrap(),
            items,
        };
        assert!(session.frames.len() > 5);
        let all = Run::new(0, 199);
        let (before, carried) = captured(&session, SESSION, all, 4_096, u64::MAX).unwrap();
        let (sequences, bytes) = read(&before);
        assert_eq!((sequences.len(), carried), (200, bytes));
        let now = CapturedSession {
            frames: Vec::new(),
            ..session
        };
        let (now, _) = captured(&now, SESSION, all, 4_096, u64::MAX).unwrap();
        assert_eq!(before, now);
    }
}
