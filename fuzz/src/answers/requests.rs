//! The requests whose answers are read: a session's operations, planned from real frames.

use std::sync::{Arc, OnceLock};

use inventory_sync_core::document::{
    Chunks, Class, Items, Part, Runs, Scheme, SessionTable, plan, scan,
};
use inventory_sync_core::id::{AgentId, SessionId, Version};
use inventory_sync_core::wire::{AgentInfo, BatchBuilder, Item, Message, Operation, decode};

use crate::scan::scheme as all_modules;

const SESSION: SessionId = SessionId(7);
const AGENT: AgentId = AgentId(1);

struct Nothing;

impl Chunks for Nothing {
    type Bytes = &'static [u8];

    fn chunk(&self, _session: SessionId, _key: u32) -> Option<&'static [u8]> {
        Some(frame())
    }
}

pub(super) fn scheme() -> &'static Arc<Scheme> {
    static SCHEME: OnceLock<Arc<Scheme>> = OnceLock::new();
    SCHEME.get_or_init(|| Arc::new(all_modules()))
}

/// Upserts and deletes in two indices; documents 0 and 1 are written three times, so that the earlier
/// operations share a verdict.
fn frame() -> &'static [u8] {
    static FRAME: OnceLock<Vec<u8>> = OnceLock::new();
    FRAME.get_or_init(|| {
        let mut builder = BatchBuilder::new(SESSION.0, usize::MAX);
        for seq in 0..12_u64 {
            let is_delete = seq % 4 == 3;
            let item = Item {
                seq,
                operation: if is_delete {
                    Operation::Delete
                } else {
                    Operation::Upsert
                },
                id: &format!("d{}", if seq < 6 { seq % 2 } else { seq }),
                index: inventory_sync_schemas::fields::indices()[usize::from(seq % 3 == 2)].name,
                data: (!is_delete).then_some(b"{\"a\":1}"),
                version: 0,
            };
            if let Err(error) = builder.push(&item) {
                panic!("an item does not fit: {error:?}");
            }
        }
        builder.finish()
    })
}

pub(super) fn table() -> &'static SessionTable {
    static TABLE: OnceLock<SessionTable> = OnceLock::new();
    TABLE.get_or_init(|| {
        let Ok(message) = decode(frame()) else {
            panic!("our own frame cannot be read");
        };
        let Message::DataBatch(batch) = message else {
            panic!("our own frame is something else");
        };
        let items = Items::Batch(batch);
        let (summary, rows) = scan(scheme(), AGENT, &items, frame().len() as u64);
        let info = AgentInfo::default();
        let mut table = SessionTable::new(Arc::clone(scheme()), SESSION, AGENT, &info);
        table.stage(0, summary.sequences.as_slice(), &rows);
        let allowed: Vec<_> = scheme()
            .catalogue()
            .modules()
            .iter()
            .flat_map(|module| module.indices.clone())
            .collect();
        let planned = plan(&mut table, &Nothing, &allowed, false, 1_000);
        assert!(planned.is_some_and(|plan| plan.failures.total == 0));
        table
    })
}

/// The parts of a request: all upserts, then all deletes; or some of them.
pub(super) fn parts(upserts: &Runs, deletes: &Runs) -> Vec<Part> {
    let part = |class, ordinals: &Runs| Part {
        session: SESSION,
        agent: AGENT,
        version: Version(1 << 40),
        class,
        ordinals: ordinals.clone(),
    };
    let parts = [part(Class::Upsert, upserts), part(Class::Delete, deletes)];
    parts
        .into_iter()
        .filter(|part| !part.ordinals.is_empty())
        .collect()
}

/// How many operations of a class there are.
pub(super) fn count(class: Class) -> u32 {
    let all = Runs::up_to(64);
    u32::try_from(table().operations(class, &all).count()).unwrap_or(0)
}
