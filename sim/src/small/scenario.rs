//! What the agents have to say.

use inventory_sync_core::wire::Mode;

/// One row of a job: a document, and its content; `None` deletes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    /// The document, of its agent's.
    pub document: u8,
    /// Its content from now on.
    pub content: Option<u8>,
}

/// A job of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sync {
    /// Full or Delta.
    pub mode: Mode,
    /// The rows; each leaves in a frame of its own.
    pub rows: &'static [Row],
}

/// A small world: what is there, and what its agents bring, one job after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scenario {
    /// For people, and to choose it by.
    pub name: &'static str,
    /// Documents that the Indexer holds of each agent, with their content.
    pub held: &'static [(u8, u8)],
    /// The jobs of each agent; of one with none nothing is heard.
    pub agents: [&'static [Sync]; 2],
}

const fn put(document: u8, content: u8) -> Row {
    Row {
        document,
        content: Some(content),
    }
}

const fn delete(document: u8) -> Row {
    Row {
        document,
        content: None,
    }
}

const fn delta(rows: &'static [Row]) -> Sync {
    Sync {
        mode: Mode::Delta,
        rows,
    }
}

const fn full(rows: &'static [Row]) -> Sync {
    Sync {
        mode: Mode::Full,
        rows,
    }
}

/// All of them.
pub const SCENARIOS: [Scenario; 4] = [
    Scenario {
        name: "written, then deleted",
        held: &[],
        agents: [&[delta(&[put(0, 1)]), delta(&[delete(0)])], &[]],
    },
    Scenario {
        name: "written, then replaced",
        held: &[(1, 1)],
        agents: [&[delta(&[put(0, 1), put(1, 2)]), full(&[put(1, 3)])], &[]],
    },
    Scenario {
        name: "two deltas",
        held: &[(1, 1)],
        agents: [&[delta(&[put(0, 2), delete(1)])], &[delta(&[put(0, 3)])]],
    },
    Scenario {
        name: "a full beside a delta",
        held: &[(0, 1), (1, 1)],
        agents: [&[full(&[put(0, 2)])], &[delta(&[delete(1)])]],
    },
];
