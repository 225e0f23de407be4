//! What is said of a run that failed.

use inventory_sim::{Finding, Outcome};

use super::say;

/// Prints a finding and the one line that repeats it.
pub(crate) fn print(what: &str, outcome: &Outcome, finding: &Finding, again: &str) {
    say(text(what, outcome, finding, again));
}

/// The same as text.
pub(crate) fn text(what: &str, outcome: &Outcome, finding: &Finding, again: &str) -> String {
    let step = outcome.extent.steps;
    format!(
        "FAILED      {what} at step {step}: {finding}\n{}\nagain       {again}",
        finding.detail
    )
}
