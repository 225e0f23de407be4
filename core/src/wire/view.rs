//! Received items, read in place: nothing is copied out of the frame.

use super::codes::Operation;
use inventory_sync_schemas::wire as generated;

/// One received item. Borrows the frame it was decoded from.
#[derive(Debug, Clone, Copy)]
pub struct DataView<'a> {
    data: generated::Data<'a>,
}

impl<'a> DataView<'a> {
    pub(super) const fn new(data: generated::Data<'a>) -> Self {
        Self { data }
    }

    /// Its sequence.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.data.seq()
    }

    /// The session it names; in a batch 0 means the batch's.
    #[must_use]
    pub fn session(&self) -> u64 {
        self.data.session()
    }

    /// The operation's byte, known or not.
    #[must_use]
    pub fn operation_byte(&self) -> i8 {
        self.data.operation().0
    }

    /// The operation; `None` when this build does not know it.
    #[must_use]
    pub fn operation(&self) -> Option<Operation> {
        Operation::from_wire(self.operation_byte())
    }

    /// The document's id; `None` when absent, which differs from empty.
    #[must_use]
    pub fn id(&self) -> Option<&'a str> {
        self.data.id()
    }

    /// The document's index; `None` when absent.
    #[must_use]
    pub fn index(&self) -> Option<&'a str> {
        self.data.index()
    }

    /// The document's bytes, as sent; `None` when absent.
    #[must_use]
    pub fn data(&self) -> Option<&'a [u8]> {
        self.data.data().map(|bytes| bytes.bytes())
    }

    /// The row's version at the agent; informational.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.data.version()
    }
}

/// A received batch of items. Borrows the frame it was decoded from.
#[derive(Debug, Clone, Copy)]
pub struct BatchView<'a> {
    batch: generated::DataBatch<'a>,
}

impl<'a> BatchView<'a> {
    pub(super) const fn new(batch: generated::DataBatch<'a>) -> Self {
        Self { batch }
    }

    /// The session of the batch.
    #[must_use]
    pub fn session(&self) -> u64 {
        self.batch.session()
    }

    /// How many items it carries; an absent list has none.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.values().map_or(0, |values| values.len())
    }

    /// Whether it carries none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items, in the order of the message.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = DataView<'a>> + use<'a> {
        self.batch
            .values()
            .unwrap_or_default()
            .iter()
            .map(DataView::new)
    }
}
