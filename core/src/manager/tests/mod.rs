//! Tests of one shard: transcripts to be read, tables of bad input, rules to be kept, and any events at
//! all in a world that answers honestly.

mod bad_input;
mod deadlines;
mod delivery;
mod harness;
mod honest;
mod outcomes;
mod packing;
mod properties;
mod requests;
mod staging;
mod stop;
mod text;
mod transcripts;
mod turns;
mod versions;
mod world;

use crate::config::{Catalogue, Config};
use crate::document::{ChunkLoad, DiffSummary, Failure, Failures, PlanSummary};
use crate::id::IndexId;
use crate::wire::{Mode, Reason, Start};

const PACKAGES: IndexId = IndexId(0);
const PORTS: IndexId = IndexId(1);

/// The defaults, for two modules.
fn config() -> Config {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let catalogue = Catalogue::new([
        ("syscollector".to_owned(), names(&["packages", "ports"])),
        ("sca".to_owned(), names(&["sca"])),
    ]);
    Config::new(catalogue.unwrap())
}

/// A Start of agent 1 for its module `syscollector`.
fn start(mode: Mode, size: u64, nonce: u64) -> Start {
    Start {
        mode: Some(mode),
        size,
        module: "syscollector".to_owned(),
        agent_id: 1,
        protocol_version: 1,
        nonce,
        ..Start::default()
    }
}

fn delta(size: u64, nonce: u64) -> Start {
    start(Mode::Delta, size, nonce)
}

/// So many operations of 100 bytes each, in one frame.
fn load(upserts: u32, deletes: u32) -> ChunkLoad {
    ChunkLoad {
        upserts,
        upsert_bytes: u64::from(upserts) * 100,
        deletes,
        delete_bytes: u64::from(deletes) * 100,
    }
}

/// A plan of one frame whose operations are all packages.
fn plan(upserts: u32, deletes: u32) -> PlanSummary {
    PlanSummary {
        chunks: vec![load(upserts, deletes)],
        operations: vec![(PACKAGES, u64::from(upserts + deletes))],
        failures: Failures::default(),
    }
}

/// A diff of one frame, with removals; all packages.
fn diff(upserts: u32, removals: u32) -> DiffSummary {
    DiffSummary {
        chunks: vec![load(upserts, 0)],
        removals,
        removal_bytes: u64::from(removals) * 100,
        operations: vec![(PACKAGES, u64::from(upserts + removals))],
        unchanged: 0,
    }
}

/// Failures of these sequences.
fn failures(sequences: &[u32], reason: Reason) -> Failures {
    Failures {
        lowest: sequences
            .iter()
            .map(|seq| Failure {
                seq: *seq,
                status: 400,
                kind: "mapper_parsing_exception".to_owned(),
                reason,
                retryable: false,
                detail: "failed to parse".to_owned(),
            })
            .collect(),
        total: sequences.len() as u64,
    }
}
