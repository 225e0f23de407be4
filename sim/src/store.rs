//! The manager's store: staged frames, written in groups without a sync, and `meta`, which is synced.
//!
//! What survives a crash is `meta` as far as it was synced; of staged frames any part may survive, and is
//! cleaned when the process starts, since nothing is resumed.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use inventory_sync_core::coordinator::Record;
use inventory_sync_core::document::{Chunks, FrameTable, Run};
use inventory_sync_core::id::{AgentId, SessionId, StageId, Version};
use inventory_sync_core::manager::AgentFloor;

use crate::network::Packet;

/// A frame on its way from the connection to the store, with what its scan kept: the machine's payload.
#[derive(Clone)]
pub struct Scanned {
    packet: Packet,
    table: Rc<FrameTable>,
}

impl Scanned {
    /// A frame and its scan.
    pub(crate) fn new(packet: Packet, table: FrameTable) -> Self {
        Self {
            packet,
            table: Rc::new(table),
        }
    }

    /// The frame.
    pub(crate) fn packet(&self) -> &Packet {
        &self.packet
    }

    /// Its scan.
    pub(crate) fn table(&self) -> &FrameTable {
        &self.table
    }
}

impl PartialEq for Scanned {
    fn eq(&self, other: &Self) -> bool {
        self.packet == other.packet
    }
}

impl Eq for Scanned {}

impl Hash for Scanned {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.packet.hash(state);
    }
}

impl fmt::Debug for Scanned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.packet.fmt(f)
    }
}

/// A write that is not yet answered.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) stage: StageId,
    pub(crate) session: SessionId,
    pub(crate) key: u32,
    pub(crate) fresh: Vec<Run>,
    pub(crate) frame: Scanned,
    /// Whether it is going to fail.
    pub(crate) fails: bool,
}

/// What is durable apart from staged frames.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meta {
    pub(crate) bound: Option<Version>,
    pub(crate) clean_stop: bool,
    pub(crate) floors: BTreeMap<AgentId, AgentFloor>,
}

/// The store of one manager.
#[derive(Debug)]
pub(crate) struct Store {
    /// The writer's id, which lives in `meta`.
    pub(crate) writer: &'static str,
    pub(crate) meta: Meta,
    frames: BTreeMap<(SessionId, u32), Packet>,
}

impl Store {
    /// An empty store of a writer.
    pub(crate) fn new(writer: &'static str) -> Self {
        Self {
            writer,
            meta: Meta::default(),
            frames: BTreeMap::new(),
        }
    }

    /// Makes a record of the coordinator durable.
    pub(crate) fn record(&mut self, what: Record) {
        match what {
            Record::Bound(bound) => self.meta.bound = self.meta.bound.max(Some(bound)),
            Record::CleanStop => self.meta.clean_stop = true,
        }
    }

    /// Keeps a frame.
    pub(crate) fn put(&mut self, session: SessionId, key: u32, packet: Packet) {
        self.frames.insert((session, key), packet);
    }

    /// Forgets the frames of a session.
    pub(crate) fn discard(&mut self, session: SessionId) {
        while let Some(found) = self
            .frames
            .range((session, 0)..=(session, u32::MAX))
            .next()
            .map(|(place, _)| *place)
        {
            self.frames.remove(&found);
        }
    }

    /// Forgets all frames, as a process does when it starts.
    pub(crate) fn clean(&mut self) {
        self.frames.clear();
    }

    /// How many frames are kept.
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    /// The store as the document functions read it; `broken` reads fail.
    pub(crate) fn reader(&self, broken: bool) -> Reader<'_> {
        Reader {
            store: self,
            broken,
        }
    }
}

/// Reads frames back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    store: &'a Store,
    broken: bool,
}

impl Chunks for Reader<'_> {
    type Bytes = Packet;

    fn chunk(&self, session: SessionId, key: u32) -> Option<Packet> {
        if self.broken {
            return None;
        }
        self.store.frames.get(&(session, key)).cloned()
    }
}
