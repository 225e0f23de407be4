//! What both ends must agree on: the FlatBuffers contract with its generated code, and the table
//! of all fields of all indices with what is generated from it.
//!
//! ```text
//!  inventory_sync.fbs ──cargo xtask codegen──▶ generated ──▶ wire (re-exported for core's codec)
//!
//!                     ┌──▶ templates   index templates and mappings, as JSON
//!  fields (one table) ┼──▶ the stand-in Indexer's mappings, the agent's documents
//!                     └──▶ docs/fields.md
//! ```
//!
//! # Evolution rules
//!
//! * Fields are appended to a table, never removed, moved, renamed in meaning or given another type
//!   or default. What became useless stays and is ignored.
//! * Values are appended to enums, members to the union. A reader meets unknown ones: they are
//!   answered or ignored, never a crash (`docs/protocol.md`, section 1).
//! * Every row is a table, never a struct, because a struct cannot grow.
//! * A peer that knows only the base fields still talks to us: nothing after the base is required.
//! * An index's field never changes its type: a live index cannot follow. A new path is added.
//!
//! # Invariants
//!
//! * `unsafe` exists in the generated module alone, and that module is written by a tool.
//! * The generated file states the hash of the schema it was made from; a test compares the two, so
//!   that no compiler is needed to know that the code is current.
//! * Nothing here does I/O, and nothing here decides anything.

pub mod fields;
pub mod templates;

// flatc writes `unsafe` readers over verified buffers; no hand-written code may.
#[allow(
    unsafe_code,
    unsafe_op_in_unsafe_fn,
    missing_docs,
    unused_imports,
    dead_code,
    mismatched_lifetime_syntaxes,
    clippy::all,
    reason = "written by flatc, whose style is not ours"
)]
#[rustfmt::skip]
mod generated {
    pub mod inventory_sync;
}

/// The generated types of `inventory_sync.fbs`, for the codec of the core; everyone else uses the
/// core's own types.
pub mod wire {
    pub use crate::generated::inventory_sync::wazuh::sync_schema::*;
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    #[test]
    fn the_generated_code_was_made_from_this_schema() {
        let schema = include_bytes!("../inventory_sync.fbs");
        let generated = include_str!("generated/inventory_sync.rs");
        let hash: String = Sha256::digest(schema)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            generated.lines().next(),
            Some(format!("// schema-sha256: {hash}").as_str()),
            "inventory_sync.fbs changed: run `cargo xtask codegen`"
        );
    }
}
