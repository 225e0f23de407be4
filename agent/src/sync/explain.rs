//! Outcomes and reasons in the terms of whoever runs the command: what failed, on what, what to do.

use inventory_sync_core::agent::{Cause, Outcome};
use inventory_sync_core::wire::Reason;

use super::driver::PartEnd;

/// Why a part is not stored, or not wholly; `None` if it is.
pub(super) fn problem(end: &PartEnd, manager: &str) -> Option<String> {
    if end.is_interrupted {
        return Some(format!(
            "interrupted before {manager} gave a verdict; what it has not stored it stores at the next run"
        ));
    }
    if let Some(error) = &end.connect_error
        && !end.is_stored()
    {
        return Some(error.clone());
    }
    match &end.outcome {
        Outcome::Acknowledged | Outcome::PartiallyAcknowledged { .. } => None,
        Outcome::Refused { cause } => Some(format!("{cause}{}", advice(cause))),
        Outcome::GaveUp { last: Some(cause) } => Some(format!(
            "no verdict of {manager} within the timeout; the last attempt failed: {cause}{}",
            advice(cause)
        )),
        Outcome::GaveUp { last: None } => Some(format!(
            "no verdict of {manager} within the timeout; give it more with --timeout, and look at \
             `inventory-sync status` there"
        )),
        Outcome::TooLarge { max_items } => Some(format!(
            "{manager} accepts at most {max_items} documents in a session"
        )),
        Outcome::LoadFailed => Some("a document could not be put into a message".to_owned()),
        Outcome::CommitFailed => Some("the verdict could not be kept".to_owned()),
        Outcome::Stopped | Outcome::Reset | Outcome::Busy => {
            Some("the run was ended before the verdict".to_owned())
        }
    }
}

fn advice(cause: &Cause) -> String {
    match cause {
        Cause::Refused { reason, .. } => match to_do(*reason) {
            Some(what) => format!(" — {what}"),
            None => String::new(),
        },
        Cause::NoAnswer => " — is it a manager of this protocol that listens there?".to_owned(),
        Cause::SessionMax | Cause::Contradiction(_) | Cause::LoadFailed | Cause::Abandoned => {
            String::new()
        }
    }
}

/// What whoever runs the command can do about a refusal.
pub(super) const fn to_do(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::None
        | Reason::SessionNotFound
        | Reason::SessionExists
        | Reason::SequenceOutOfRange => None,
        Reason::InvalidMessage => {
            Some("the manager may not serve the module syscollector, or is of another version")
        }
        Reason::UnsupportedVersion => Some("this agent is too old for the manager: update it"),
        Reason::IdentityMismatch => Some("use the certificate of the agent that --agent names"),
        Reason::SessionReplaced | Reason::AgentBusy => {
            Some("something else synchronises as this agent: run one at a time")
        }
        Reason::InvalidOperation => Some("the manager does not serve Full sessions like this one"),
        Reason::InvalidPayload => {
            Some("the document is not one that may be stored; report it as an error of this agent")
        }
        Reason::IndexNotAllowed => Some(
            "the manager's modules.syscollector does not list that index: add it, or leave the category out",
        ),
        Reason::SizeInvalid => Some("bring less at once with --category"),
        Reason::Overloaded => Some("run again later, or raise the manager's quotas"),
        Reason::IndexerUnavailable => {
            Some("`inventory-sync check` at the manager shows where the way to the Indexer ends")
        }
        Reason::IndexerRejected => Some(
            "the index would not take it: `inventory-sync templates diff` at the manager shows whether the \
             mapping fits",
        ),
        Reason::SessionTimeout => Some("the connection was too slow or silent: run again"),
        Reason::StorageFailure => Some("look at the manager's disk and its log"),
        Reason::ShuttingDown => Some("the manager stops: run again when it is back"),
        Reason::ClusterMismatch => Some("this agent belongs to another cluster's manager"),
        Reason::PartiallyRejected => Some("the documents that were refused are listed"),
        Reason::VersionConflict => Some(
            "something else writes this agent's documents: find it (a second manager, a restore), then run \
             again",
        ),
        Reason::AgentRemoved => Some("the agent was removed at the manager: readmit it there"),
        Reason::ResyncRequired => Some("run again: every run brings the whole content"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use inventory_sync_core::wire::Status;

    use super::*;

    fn end(outcome: Outcome) -> PartEnd {
        PartEnd {
            outcome,
            failed: Vec::new(),
            session: None,
            rolled_back: 0,
            connect_error: None,
            is_interrupted: false,
            took: Duration::ZERO,
        }
    }

    fn refused(reason: Reason, detail: &str) -> Outcome {
        let cause = Cause::Refused {
            status: Status::Error,
            reason,
            detail: detail.to_owned(),
        };
        Outcome::Refused { cause }
    }

    #[test]
    fn problems_say_what_and_what_to_do() {
        let mut told = Vec::new();
        for outcome in [
            refused(Reason::ClusterMismatch, "this is cluster wazuh"),
            Outcome::GaveUp {
                last: Some(Cause::Refused {
                    status: Status::Offline,
                    reason: Reason::IndexerUnavailable,
                    detail: String::new(),
                }),
            },
            Outcome::GaveUp { last: None },
            Outcome::GaveUp {
                last: Some(Cause::NoAnswer),
            },
        ] {
            told.push(problem(&end(outcome), "m:1").unwrap());
        }
        insta::assert_snapshot!(told.join("\n"), @"
        the manager answered Error/ClusterMismatch: this is cluster wazuh — this agent belongs to another cluster's manager
        no verdict of m:1 within the timeout; the last attempt failed: the manager answered Offline/IndexerUnavailable — `inventory-sync check` at the manager shows where the way to the Indexer ends
        no verdict of m:1 within the timeout; give it more with --timeout, and look at `inventory-sync status` there
        no verdict of m:1 within the timeout; the last attempt failed: the manager does not answer — is it a manager of this protocol that listens there?
        ");
    }

    #[test]
    fn a_connection_that_never_was_is_the_reason() {
        let mut failed = end(Outcome::GaveUp { last: None });
        failed.connect_error = Some("cannot connect to m:1: refused".to_owned());
        assert_eq!(
            problem(&failed, "m:1").unwrap(),
            "cannot connect to m:1: refused"
        );
        failed.outcome = Outcome::Acknowledged;
        assert_eq!(problem(&failed, "m:1"), None);
    }
}
