//! The trace of a run as a file; its ending says in which form.

use std::path::Path;

use inventory_sim::Report;

use super::{Refusal, write_file};

/// Refuses a name whose ending is no form of a trace, before anything is run.
pub(crate) fn check(path: &Path) -> Result<(), Refusal> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("txt") => Ok(()),
        _ => Err(Refusal(format!(
            "{}: a trace is written as .txt",
            path.display()
        ))),
    }
}

/// Writes the trace. A run that panicked has none.
pub(crate) fn write(path: &Path, report: Option<&Report>) -> Result<(), Refusal> {
    match report.and_then(|report| report.trace.as_ref()) {
        Some(text) => write_file(path, text),
        None => Err(Refusal(format!(
            "{} is not written: the run ended in a panic and left no trace",
            path.display()
        ))),
    }
}
