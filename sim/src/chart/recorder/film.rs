//! What is left of a recording when its run ends in a panic.

use std::cell::RefCell;
use std::rc::Rc;

use crate::chart::recording::{Recording, Verdict};

/// Keeps the recording of a run that did not come to an end, for the one who caught its panic.
#[derive(Debug, Clone, Default)]
pub(crate) struct Film(Rc<RefCell<Option<Recording>>>);

impl Film {
    /// This is all there is.
    pub(super) fn keep(&self, recording: Recording) {
        self.0.replace(Some(recording));
    }

    /// What there is, ended by a failed assertion with this message.
    pub(crate) fn cut(&self, message: &str) -> Option<Recording> {
        let mut recording = self.0.take()?;
        recording.verdict = Verdict {
            sound: false,
            headline: "an assertion failed".to_owned(),
            expected: "every assertion of the machines holds".to_owned(),
            seen: message.to_owned(),
            at_ms: recording.end_ms,
            step: recording.steps,
        };
        Some(recording)
    }
}
