//! Reads the items of a frame that was decoded before, without verifying it a second time.
//!
//! ```text
//!  root ─▶ Message ─▶ content ─▶ Data
//!                        └─────▶ DataBatch ─▶ values ─▶ Data, Data, …
//! ```
//!
//! What was staged was verified when it came, so delivery needs three fields of each item and no proof. Every
//! access is still bounded by the frame: bytes that are not what was staged give `None`, never a panic.

use std::str;

use inventory_sync_schemas::wire as generated;

use generated::{Data, DataBatch, Message, MessageContent};

/// Positions of FlatBuffers are 32 bits wide.
const WORD: usize = size_of::<u32>();

/// An item of a staged frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StagedItem<'a> {
    /// Its sequence.
    pub seq: u64,
    /// The document's id; `None` when absent.
    pub id: Option<&'a str>,
    /// The document's bytes; `None` when absent.
    pub data: Option<&'a [u8]>,
}

/// The items of a staged frame, in the order of the message.
#[derive(Debug, Clone)]
pub struct StagedItems<'a> {
    frame: &'a [u8],
    /// Where the next offset to an item stands, and how many are left.
    next: usize,
    left: usize,
    /// The item of a `Data` message, which has no list.
    single: Option<usize>,
    /// Items of a batch share their vtable: the one read last, and what it says.
    shape: Option<(usize, Shape)>,
}

/// Where an item's fields stand in its table; 0 is absent.
#[derive(Debug, Clone, Copy)]
struct Shape {
    seq: usize,
    id: usize,
    data: usize,
}

impl<'a> StagedItems<'a> {
    /// The items of a frame; `None` when it is no `Data` or `DataBatch` message.
    #[must_use]
    pub fn of(frame: &'a [u8]) -> Option<Self> {
        let message = follow(frame, 0)?;
        let kind = byte(frame, field(frame, message, Message::VT_CONTENT_TYPE)?)?;
        let content = follow(frame, field(frame, message, Message::VT_CONTENT)?)?;
        let mut items = Self {
            frame,
            next: 0,
            left: 0,
            single: None,
            shape: None,
        };
        match MessageContent(kind) {
            MessageContent::Data => items.single = Some(content),
            MessageContent::DataBatch => {
                if let Some(values) = field(frame, content, DataBatch::VT_VALUES) {
                    let values = follow(frame, values)?;
                    items.left = word(frame, values)?;
                    items.next = values + WORD;
                }
            }
            _ => return None,
        }
        Some(items)
    }

    fn shape(&mut self, table: usize) -> Option<Shape> {
        let vtable = vtable(self.frame, table)?;
        if let Some((known, shape)) = self.shape
            && known == vtable
        {
            return Some(shape);
        }
        let shape = Shape {
            seq: slot(self.frame, vtable, Data::VT_SEQ),
            id: slot(self.frame, vtable, Data::VT_ID),
            data: slot(self.frame, vtable, Data::VT_DATA),
        };
        self.shape = Some((vtable, shape));
        Some(shape)
    }

    fn item(&mut self, table: usize) -> Option<StagedItem<'a>> {
        let frame = self.frame;
        let shape = self.shape(table)?;
        let vector = |slot: usize| match slot {
            0 => Some(None),
            slot => {
                let at = follow(frame, table.checked_add(slot)?)?;
                let begin = at + WORD;
                let bytes = frame.get(begin..begin.checked_add(word(frame, at)?)?)?;
                Some(Some(bytes))
            }
        };
        let seq = match shape.seq {
            0 => 0,
            slot => {
                let bytes = frame.get(table.checked_add(slot)?..)?.first_chunk::<8>()?;
                u64::from_le_bytes(*bytes)
            }
        };
        let id = match vector(shape.id)? {
            Some(bytes) => Some(str::from_utf8(bytes).ok()?),
            None => None,
        };
        Some(StagedItem {
            seq,
            id,
            data: vector(shape.data)?,
        })
    }
}

/// `Some(None)`: what stands there is no item.
impl<'a> Iterator for StagedItems<'a> {
    type Item = Option<StagedItem<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let table = match self.single.take() {
            Some(table) => Some(table),
            None => {
                self.left = self.left.checked_sub(1)?;
                let at = self.next;
                self.next += WORD;
                follow(self.frame, at)
            }
        };
        let item = table.and_then(|table| self.item(table));
        if item.is_none() {
            self.left = 0;
        }
        Some(item)
    }
}

fn byte(frame: &[u8], at: usize) -> Option<u8> {
    frame.get(at).copied()
}

#[inline]
fn word(frame: &[u8], at: usize) -> Option<usize> {
    let bytes = frame.get(at..)?.first_chunk::<WORD>()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

/// Where the offset that stands at `at` leads.
#[inline]
fn follow(frame: &[u8], at: usize) -> Option<usize> {
    at.checked_add(word(frame, at)?)
}

/// Where the vtable of a table stands: its offset goes backwards, and may be negative.
#[inline]
fn vtable(frame: &[u8], table: usize) -> Option<usize> {
    let bytes = frame.get(table..)?.first_chunk::<WORD>()?;
    let back = isize::try_from(i32::from_le_bytes(*bytes)).ok()?;
    table.checked_add_signed(back.checked_neg()?)
}

/// Where a field stands in its table, by the vtable; 0 when it is absent.
fn slot(frame: &[u8], vtable: usize, name: flatbuffers::VOffsetT) -> usize {
    let short = |at: usize| {
        let bytes = frame.get(at..)?.first_chunk::<2>()?;
        Some(u16::from_le_bytes(*bytes))
    };
    let found = short(vtable)
        .filter(|size| name < *size)
        .and_then(|_| short(vtable.checked_add(usize::from(name))?));
    usize::from(found.unwrap_or(0))
}

/// Where a table's field stands.
fn field(frame: &[u8], table: usize, name: flatbuffers::VOffsetT) -> Option<usize> {
    match slot(frame, vtable(frame, table)?, name) {
        0 => None,
        slot => table.checked_add(slot),
    }
}
