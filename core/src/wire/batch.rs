//! Packs items into batches of bounded size.

use super::encode::{data, finish};
use super::messages::Item;
use flatbuffers::{FlatBufferBuilder, WIPOffset};
use generated::MessageContent as Content;
use inventory_sync_schemas::wire as generated;
use std::fmt;

/// Most that an item takes besides its texts and payload: its table with all fields and padding
/// (60), its vtable (18), its place in the list (4), length, terminator and padding of three vectors
/// (33), rounded up.
const ITEM_OVERHEAD_BYTES: usize = 128;

/// Most that the batch and the message around the items take: two tables, two vtables, the root
/// offset, the length of the list and padding, rounded up.
const BATCH_OVERHEAD_BYTES: usize = 128;

/// Largest limit that is honoured; far above any frame, far below what offsets can express.
const MAX_LIMIT_BYTES: usize = 1 << 30;

/// Why an item was not added. The batch is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotAdded {
    /// It does not fit behind what is there already: finish the batch and begin another.
    Full,
    /// It does not fit into an empty batch either, so it can never be sent under this limit.
    TooLarge,
}

/// Collects items of one session until a limit of bytes is reached.
///
/// The frame never exceeds the limit. It may end up to about 260 bytes below the next item that would
/// just have fitted, since what padding costs is known only afterwards.
pub struct BatchBuilder {
    fbb: FlatBufferBuilder<'static>,
    session: u64,
    limit_bytes: usize,
    items: Vec<WIPOffset<generated::Data<'static>>>,
}

// The builder inside has no Debug, and its bytes would say nothing.
impl fmt::Debug for BatchBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchBuilder")
            .field("session", &self.session)
            .field("limit_bytes", &self.limit_bytes)
            .field("items", &self.items.len())
            .finish_non_exhaustive()
    }
}

impl BatchBuilder {
    /// An empty batch whose frame, without its length prefix, will have at most `limit_bytes`.
    #[must_use]
    pub fn new(session: u64, limit_bytes: usize) -> Self {
        Self {
            fbb: FlatBufferBuilder::new(),
            session,
            limit_bytes: limit_bytes.min(MAX_LIMIT_BYTES),
            items: Vec::new(),
        }
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds an item. Its session is left out, for the batch names it.
    ///
    /// # Errors
    ///
    /// [`NotAdded`], when the frame could grow beyond the limit.
    pub fn push(&mut self, item: &Item<'_>) -> Result<(), NotAdded> {
        let payload = item.data.map_or(0, <[u8]>::len);
        let most = [
            item.id.len(),
            item.index.len(),
            payload,
            ITEM_OVERHEAD_BYTES,
        ]
        .into_iter()
        .fold(self.frame_bytes_at_most(), usize::saturating_add);
        if most > self.limit_bytes {
            return Err(if self.is_empty() {
                NotAdded::TooLarge
            } else {
                NotAdded::Full
            });
        }
        // Few indices, many items: the text is written once.
        let index = self.fbb.create_shared_string(item.index);
        let table = data(&mut self.fbb, 0, item, index);
        self.items.push(table);
        Ok(())
    }

    /// The batch as a frame. An empty batch is a valid one.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        let values = self.fbb.create_vector(&self.items);
        let args = generated::DataBatchArgs {
            session: self.session,
            values: Some(values),
        };
        let table = generated::DataBatch::create(&mut self.fbb, &args);
        finish(&mut self.fbb, Content::DataBatch, table.as_union_value())
    }

    /// What the frame has at most, if nothing is added any more.
    fn frame_bytes_at_most(&self) -> usize {
        self.fbb.unfinished_data().len()
            + self.items.len() * size_of::<u32>()
            + BATCH_OVERHEAD_BYTES
    }
}
