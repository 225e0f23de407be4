//! A run that people can look at: recorded as it happens, drawn afterwards.
//!
//! ```text
//!  world ──notes, hooks──▶ Recorder ──▶ Recording ──▶ html        a chart to walk through
//!                                           ├───────▶ transcript  lines to read
//!                                           └───────▶ picture     one short run as an image
//! ```
//!
//! # Invariants
//!
//! * A recording changes nothing in the run: the recorder draws nothing, decides nothing, touches no hash.
//! * Without a recording nothing is rendered: each hook is a test of one pointer.

mod hooks;
mod labels;
mod recorder;
mod recording;

pub(crate) use labels::Describe;
pub(crate) use recorder::Recorder;
pub use recording::{
    Class, Gap, GapKind, Lifeline, LifelineKind, Message, Moment, Passage, Phase, Recording,
    Session, Verdict,
};
