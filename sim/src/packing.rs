//! The rows of an agent as they travel: as many to a frame as its limit of bytes allows.

use inventory_sync_core::agent::Frame;
use inventory_sync_core::document::Run;
use inventory_sync_core::id::SessionId;
use inventory_sync_core::wire::{self, BatchBuilder, Item, NotAdded, Operation};

use crate::network::Packet;
use crate::odd_json::no_document;
use crate::oracles::{Body, OfferedItem};
use crate::world::World;

impl World {
    /// Packs rows into frames.
    pub(crate) fn pack(
        &self,
        agent: usize,
        module: usize,
        session: SessionId,
        run: Run,
        bytes_max: u64,
    ) -> Vec<Frame<Packet>> {
        let lane = &self.agents[agent].lanes[module];
        let limit = usize::try_from(self.options.frame_bytes_max).unwrap_or(usize::MAX);
        let mut frames = Vec::new();
        let mut bytes = 0;
        let mut first = run.first;
        while first <= run.last && (frames.is_empty() || bytes < bytes_max) {
            let mut batch = BatchBuilder::new(session.0, limit);
            let mut next = first;
            let mut single = None;
            while next <= run.last {
                let Some(item) = lane.outbox.row(next) else {
                    break;
                };
                let texts = self.item_texts(*item, next);
                let wired = wire_item(*item, next, &texts);
                if batch.is_empty() && run.first == run.last {
                    single = Some(wire::encode_data(session.0, &wired));
                    next += 1;
                    break;
                }
                match batch.push(&wired) {
                    Ok(()) => next += 1,
                    Err(NotAdded::Full | NotAdded::TooLarge) => break,
                }
            }
            if next == first {
                break;
            }
            let packet = Packet::new(single.unwrap_or_else(|| batch.finish()));
            bytes += packet.bytes().len() as u64;
            frames.push(Frame {
                run: Run::new(first, next - 1),
                payload: packet,
            });
            first = next;
        }
        frames
    }

    /// Id, index and payload of an item as they are sent.
    fn item_texts(&self, item: OfferedItem, seq: u32) -> (String, String, Option<Vec<u8>>) {
        let index = self
            .options
            .config
            .catalogue
            .index_name(item.key.index())
            .to_owned();
        match item.body {
            Body::Upsert(content) => (item.key.id(), index, Some(content.payload())),
            Body::Delete => (item.key.id(), index, None),
            Body::BadPayload => {
                let payload = no_document(self.options.seed ^ u64::from(seq));
                (item.key.id(), index, Some(payload.to_vec()))
            }
            Body::BadName if seq.is_multiple_of(2) => (
                item.key.id(),
                "no-such-index".to_owned(),
                Some(b"{}".to_vec()),
            ),
            Body::BadName => (String::new(), index, Some(b"{}".to_vec())),
        }
    }
}

fn wire_item<'a>(
    item: OfferedItem,
    seq: u32,
    texts: &'a (String, String, Option<Vec<u8>>),
) -> Item<'a> {
    Item {
        seq: u64::from(seq),
        operation: if item.body == Body::Delete {
            Operation::Delete
        } else {
            Operation::Upsert
        },
        id: &texts.0,
        index: &texts.1,
        data: texts.2.as_deref(),
        version: 0,
    }
}
