//! What must hold for any bytes: the fuzz targets, as ordinary functions.
//!
//! ```text
//!  cargo xtask fuzz ─┐                       ┌─ wire_decode, frames, scan   bytes of agents
//!  corpus/TARGET/ ───┼──▶ TARGET(bytes) ─────┼─ manager_, coordinator_,
//!  crashes/TARGET/ ──┤    panics on a bug    │  agent_choices               bytes as choices: events, answers, time
//!  tests/replay ─────┘                       ├─ world_choices               bytes as the simulator's choices
//!                                            ├─ diff_choices                what changes nothing is not written
//!                                            ├─ indexer_answers             bytes of an Indexer
//!                                            └─ configuration, ossec_conf   bytes of an operator
//! ```
//!
//! `cargo xtask fuzz` hunts, with libFuzzer on the stable compiler; an ordinary test replays each file of the
//! corpora and of the crashes, and bytes near to them, and needs nothing but Rust. `cargo xtask corpus` writes
//! the first inputs, which [`seeds`] makes from messages of another FlatBuffers encoder and from answers as a
//! real Indexer gives them.
//!
//! # Invariants
//!
//! * A target is a function of its bytes: a file that fails once fails always.
//! * Every target is total: what is no message is no failure.
//! * Deliberately absent: expectations about single inputs. Those stand beside the code they are about.

mod agent;
mod answers;
pub mod choices;
mod configuration;
mod coordinator;
mod diff;
mod frames;
mod manager;
mod scan;
pub mod seeds;
mod wire;
mod world;

pub use agent::agent_choices;
pub use answers::indexer_answers;
pub use configuration::{configuration, ossec_conf};
pub use coordinator::coordinator_choices;
pub use diff::diff_choices;
pub use frames::frames;
pub use manager::manager_choices;
pub use scan::scan;
pub use wire::wire_decode;
pub use world::world_choices;

/// A target: its name, which is also its corpus's folder, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 11] = [
    ("wire_decode", wire_decode),
    ("frames", frames),
    ("scan", scan),
    ("manager_choices", manager_choices),
    ("coordinator_choices", coordinator_choices),
    ("agent_choices", agent_choices),
    ("world_choices", world_choices),
    ("diff_choices", diff_choices),
    ("indexer_answers", indexer_answers),
    ("configuration", configuration),
    ("ossec_conf", ossec_conf),
];
