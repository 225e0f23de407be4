//! What must hold for any bytes: the fuzz targets, as ordinary functions.
//!
//! ```text
//!  cargo fuzz run ─┐                       ┌─ wire_decode   decode ∘ encode is the identity
//!  corpus/TARGET/ ─┼──▶ TARGET(bytes) ─────┼─ frames        a stream may be cut anywhere
//!  tests/replay ───┘    panics on a bug    └─ scan          what is sound becomes a sound bulk body
//! ```
//!
//! `cargo fuzz run --features libfuzzer -s none TARGET` hunts; an ordinary test replays each file of the
//! corpora and bytes near to it, and needs nothing but Rust. `cargo xtask corpus` writes the first inputs,
//! which [`seeds`] makes from messages of another FlatBuffers encoder.
//!
//! # Invariants
//!
//! * A target is a function of its bytes: a file that fails once fails always.
//! * Every target is total: what is no message is no failure.
//! * Deliberately absent: expectations about single inputs. Those stand beside the code they are about.

mod frames;
mod scan;
pub mod seeds;
mod wire;

pub use frames::frames;
pub use scan::scan;
pub use wire::wire_decode;

/// A target: its name, which is also its corpus's folder, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 3] = [
    ("wire_decode", wire_decode),
    ("frames", frames),
    ("scan", scan),
];
