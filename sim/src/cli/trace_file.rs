//! The trace of a run as a file; its ending says in which form.

use std::path::Path;

use inventory_sim::Outcome;
use inventory_sim::chart::written;

use super::{Refusal, write_file};

/// Refuses a name whose ending is no form of a trace, before anything is run.
pub(crate) fn check(path: &Path) -> Result<(), Refusal> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("html" | "txt") => Ok(()),
        _ => Err(Refusal(format!(
            "{}: a trace is written as .html, a chart for a browser, or as .txt, a transcript",
            path.display()
        ))),
    }
}

/// Writes the trace under the name of the command that runs it again.
pub(crate) fn write(path: &Path, outcome: &mut Outcome, again: &str) -> Result<(), Refusal> {
    match &mut outcome.recording {
        Some(recording) => {
            again.clone_into(&mut recording.title);
            write_file(path, &written(recording, &path.to_string_lossy()))
        }
        None => Err(Refusal(format!(
            "{} is not written: the run left no recording",
            path.display()
        ))),
    }
}
