//! What a run was found to do wrong, with a name by which the same fault is known again in another run.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::chart::Recording;
use crate::options::Options;
use crate::run::{Conduct, Ending, Extent, Report, Stage};

/// A kind of finding; each has an exit code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An assertion of a machine failed.
    Assertion,
    /// An oracle found a violation.
    Safety,
    /// The world did not come to rest after it was healed.
    Liveness,
    /// The same options gave two different runs.
    Nondeterminism,
    /// The simulator contradicts itself.
    Simulator,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Assertion,
        Self::Safety,
        Self::Liveness,
        Self::Nondeterminism,
        Self::Simulator,
    ];

    /// Its name in replay files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Assertion => "assertion",
            Self::Safety => "safety",
            Self::Liveness => "liveness",
            Self::Nondeterminism => "nondeterminism",
            Self::Simulator => "simulator",
        }
    }

    /// The exit code of a process that found it.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Assertion => 10,
            Self::Safety => 11,
            Self::Liveness => 12,
            Self::Nondeterminism => 13,
            Self::Simulator => 14,
        }
    }
}

/// Something found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind it is.
    pub kind: Kind,
    /// What is the same in every run that shows it: the oracle, the message without its numbers, or what kind of
    /// thing the world waits for.
    pub name: String,
    /// What was expected and what was seen.
    pub detail: String,
}

impl Finding {
    /// Whether another run shows the same fault.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.kind == other.kind && self.name == other.name
    }

    /// What a report says, if it says that something is wrong.
    #[must_use]
    pub fn of(ending: &Ending) -> Option<Self> {
        let (kind, name, detail) = match ending {
            Ending::Sound | Ending::Stopped => return None,
            Ending::Unsafe(violation) => (
                Kind::Safety,
                violation.oracle.to_owned(),
                violation.to_string(),
            ),
            Ending::Stuck { reason } => (
                Kind::Liveness,
                format!("not at rest: {}", reason.kind()),
                format!("expected  rest after healing\nseen      {reason}"),
            ),
            Ending::SimulatorFault(reason) => (
                Kind::Simulator,
                without_numbers(reason),
                format!("the simulator contradicts itself: {reason}"),
            ),
        };
        Some(Self { kind, name, detail })
    }

    fn of_panic(payload: &(dyn Any + Send)) -> Self {
        let message = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a message".to_owned());
        Self {
            kind: Kind::Assertion,
            name: without_numbers(&message),
            detail: message,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.name)
    }
}

/// The first line of a message, each number in it replaced by `#`.
fn without_numbers(message: &str) -> String {
    let mut name = String::new();
    for letter in message.lines().next().unwrap_or_default().chars().take(120) {
        if !letter.is_ascii_digit() {
            name.push(letter);
        } else if !name.ends_with('#') {
            name.push('#');
        }
    }
    name.trim().to_owned()
}

/// What came of a run that may have panicked.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What is wrong, if anything is.
    pub finding: Option<Finding>,
    /// How far it came, also if it panicked.
    pub extent: Extent,
    /// The report; a run that panicked has none.
    pub report: Option<Report>,
    /// The recording, if it was wanted; of a run that panicked, up to there.
    pub recording: Option<Recording>,
}

/// Runs a world; a failed assertion of a machine is a finding like others.
#[must_use]
pub fn attempt(options: &Options, conduct: Conduct) -> Outcome {
    // After a panic only counters of the world are read, and a tape is only appended to: nothing half done is
    // seen again.
    let mut stage = Stage::default();
    let result = catch_unwind(AssertUnwindSafe(|| stage.run(options, conduct)));
    let extent = stage.extent();
    match result {
        Ok(mut report) => Outcome {
            finding: Finding::of(&report.ending),
            extent,
            recording: report.recording.take(),
            report: Some(report),
        },
        Err(payload) => {
            let finding = Finding::of_panic(&*payload);
            Outcome {
                recording: stage.cut(&finding.detail),
                finding: Some(finding),
                extent,
                report: None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use inventory_sync_core::id::AgentId;

    use super::*;
    use crate::pending::Pending;

    #[test]
    fn standstills_are_alike_when_they_wait_for_the_same_kind_of_thing() {
        let stuck = |reason| Finding::of(&Ending::Stuck { reason }).unwrap();
        let owed = |agent, documents| {
            stuck(Pending::Owed {
                agent: AgentId(agent),
                module: 0,
                documents,
                waits: None,
            })
        };
        assert!(owed(1, 3).is_like(&owed(2, 70)));
        assert!(!owed(1, 3).is_like(&stuck(Pending::ManagerDown)));
        let shard = |shard, reason| stuck(Pending::Shard { shard, reason });
        assert!(shard(0, "a timer is armed").is_like(&shard(1, "a session has no verdict")));
        let coordinator = |reason| stuck(Pending::Coordinator { reason });
        assert!(!coordinator("one").is_like(&coordinator("another")));
        assert_eq!(
            owed(1, 3).to_string(),
            "liveness not at rest: an agent owes documents and has no job"
        );
    }

    #[test]
    fn the_name_of_a_panic_is_the_same_in_other_runs() {
        assert_eq!(
            without_numbers("session 17 holds 204 bytes\nleft: 1"),
            "session # holds # bytes"
        );
        let payload: Box<dyn Any + Send> = Box::new("order 5".to_owned());
        let finding = Finding::of_panic(&*payload);
        assert_eq!(finding.to_string(), "assertion order #");
        assert_eq!(finding.detail, "order 5");
    }
}
