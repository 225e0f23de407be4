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
mod page;
mod picture;
mod recorder;
mod recording;
mod transcript;

pub(crate) use labels::Describe;
pub use page::{data, html};
pub use picture::picture;
pub(crate) use recorder::{Film, Recorder};
pub use recording::{
    Class, Gap, GapKind, Lifeline, LifelineKind, Message, Moment, Passage, Phase, Recording,
    Session, Verdict,
};
pub use transcript::{transcript, whole};

/// A recording in the form that a file's name asks for: a page if it ends in `.html`, else a transcript.
#[must_use]
pub fn written(recording: &Recording, file_name: &str) -> String {
    if file_name.ends_with(".html") {
        html(recording)
    } else {
        whole(recording)
    }
}
