//! The end of a run in words.

use inventory_sync_core::time::Tick;

use crate::chart::recording::Verdict;
use crate::run::Ending;

/// How a run ended.
pub(super) fn verdict(ending: &Ending, steps: u64, now: Tick) -> Verdict {
    let failed = |headline: String, expected: &str, seen: &str, at: Tick| Verdict {
        sound: false,
        headline,
        expected: expected.to_owned(),
        seen: seen.to_owned(),
        at_ms: at.0,
        step: steps,
    };
    match ending {
        Ending::Stopped => Verdict {
            sound: true,
            headline: "stopped before its end".to_owned(),
            at_ms: now.0,
            step: steps,
            ..Verdict::default()
        },
        Ending::Sound => Verdict {
            sound: true,
            headline: "sound".to_owned(),
            at_ms: now.0,
            step: steps,
            ..Verdict::default()
        },
        Ending::Unsafe(violation) => failed(
            format!("{} is violated", violation.oracle),
            &violation.expected,
            &violation.seen,
            violation.now,
        ),
        Ending::Stuck { reason } => failed(
            "the world does not come to rest".to_owned(),
            "rest after healing",
            &reason.to_string(),
            now,
        ),
        Ending::SimulatorFault(reason) => failed(
            "the simulator contradicts itself".to_owned(),
            "",
            reason,
            now,
        ),
    }
}
