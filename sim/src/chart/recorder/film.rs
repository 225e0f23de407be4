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

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use inventory_sync_core::time::Tick;

    use super::*;
    use crate::chart::recorder::Recorder;
    use crate::options::Options;
    use crate::trace::Node;

    #[test]
    fn what_was_recorded_survives_a_panic() {
        let film = Film::default();
        let told = film.clone();
        let run = || {
            let mut recorder = Recorder::new(&Options::calm(1), Tick(1_000), told);
            recorder.note(7, Tick(1_500), Node::World, '*', &"something");
            assert_eq!(recorder.recording.moments.len(), 2, "an assertion");
        };
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        let recording = film.cut("an assertion").unwrap();
        assert_eq!(recording.moments.len(), 1);
        assert_eq!((recording.steps, recording.end_ms), (7, 1_500));
        assert!(!recording.verdict.sound);
        assert_eq!(recording.verdict.seen, "an assertion");
        assert_eq!(film.cut("again"), None);
    }
}
