//! What is told at the end: a text for people, or one JSON object.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::Serialize;

use super::statistics::{Counted, Percentiles, Sessions};
use super::verify::Findings;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// Every verdict right, everything verified.
    Ok,
    /// A verdict or a document is wrong.
    Wrong,
    /// It gave up, was interrupted, or could not verify.
    Unfinished,
}

impl Outcome {
    /// The process's exit code.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Wrong => 1,
            Self::Unfinished => 3,
        }
    }
}

/// What is told at the end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Report {
    pub(super) agents: u32,
    pub(super) rounds: u32,
    pub(super) sessions: Sessions,
    /// Operations acknowledged by this process.
    pub(super) documents: u64,
    /// Bytes of their documents.
    pub(super) bytes: u64,
    /// From the moment when every agent had tried to connect to the last verdict.
    pub(super) seconds: f64,
    /// What connecting took before.
    pub(super) connect_seconds: f64,
    pub(super) documents_per_second: f64,
    pub(super) sessions_per_second: f64,
    /// From an End that has gone out to its verdict.
    pub(super) latency_ms: Percentiles,
    /// From a session's first Start to its verdict.
    pub(super) session_ms: Percentiles,
    pub(super) verify: Option<Findings>,
    /// Why connections were lost or not made.
    pub(super) connection_troubles: BTreeMap<String, u64>,
    /// What is wrong, in sentences: the first few.
    pub(super) complaints: Vec<String>,
    pub(super) outcome: Outcome,
}

/// What the report needs beside what was counted.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) agents: u32,
    pub(super) rounds: u32,
    pub(super) seconds: f64,
    pub(super) connect_seconds: f64,
    pub(super) is_interrupted: bool,
    /// `Err` with a sentence when the Indexer could not be asked.
    pub(super) verify: Option<Result<Findings, String>>,
}

impl Report {
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
    pub(super) fn new(frame: Frame, counted: &Counted) -> Self {
        let seconds = frame.seconds.max(0.001);
        let mut complaints = counted.complaints.clone();
        let mut is_unfinished = frame.is_interrupted || counted.given_up > 0;
        let verify = match frame.verify {
            None => None,
            Some(Ok(findings)) => Some(findings),
            Some(Err(why)) => {
                complaints.push(why);
                is_unfinished = true;
                None
            }
        };
        let is_wrong = counted.wrong > 0 || verify.as_ref().is_some_and(|found| !found.is_right());
        Self {
            agents: frame.agents,
            rounds: frame.rounds,
            sessions: counted.sessions.clone(),
            documents: counted.documents,
            bytes: counted.bytes,
            seconds: frame.seconds,
            connect_seconds: frame.connect_seconds,
            documents_per_second: counted.documents as f64 / seconds,
            sessions_per_second: counted.sessions.ok as f64 / seconds,
            latency_ms: counted.latency(),
            session_ms: counted.session(),
            verify,
            connection_troubles: counted.connection_troubles.clone(),
            complaints,
            outcome: if is_wrong {
                Outcome::Wrong
            } else if is_unfinished {
                Outcome::Unfinished
            } else {
                Outcome::Ok
            },
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sessions = &self.sessions;
        let mut rows: Vec<(&str, String)> = vec![
            (
                "agents",
                format!("{}, {} rounds each", self.agents, self.rounds),
            ),
            (
                "sessions",
                format!(
                    "{} opened, {} Ok, {} partially rejected, {} rolled back{}, {} Starts refused{}",
                    sessions.opened,
                    sessions.ok,
                    sessions.partially_rejected,
                    sessions.rolled_back.values().sum::<u64>(),
                    reasons(&sessions.rolled_back),
                    sessions.refused_starts.values().sum::<u64>(),
                    reasons(&sessions.refused_starts),
                ),
            ),
            (
                "on the way",
                format!(
                    "{} ReqRets, {} reconnects, {} crashes",
                    sessions.req_rets, sessions.reconnects, sessions.crashes
                ),
            ),
            (
                "acknowledged",
                format!("{} documents, {} bytes", self.documents, self.bytes),
            ),
            (
                "time",
                format!(
                    "{:.3} s: {:.0} documents/s, {:.1} sessions/s (connecting took {:.3} s before)",
                    self.seconds,
                    self.documents_per_second,
                    self.sessions_per_second,
                    self.connect_seconds
                ),
            ),
            ("End to verdict", times(&self.latency_ms)),
            ("Start to verdict", times(&self.session_ms)),
        ];
        if let Some(found) = &self.verify {
            let mut text = format!(
                "{}: {} documents, {} missing, {} unexpected, {} different",
                found.mode, found.documents, found.missing, found.unexpected, found.different
            );
            if found.agents_left_out > 0 {
                let _ = write!(
                    text,
                    "; {} agents left out, for of their last round nothing is known",
                    found.agents_left_out
                );
            }
            rows.push(("Indexer", text));
        }
        rows.push((
            "outcome",
            match self.outcome {
                Outcome::Ok => "ok".to_owned(),
                Outcome::Wrong => "WRONG".to_owned(),
                Outcome::Unfinished => "not finished".to_owned(),
            },
        ));
        for (name, text) in rows {
            writeln!(f, "{name:<17} {text}")?;
        }
        let examples = self.verify.iter().flat_map(|found| &found.examples);
        for sentence in self.complaints.iter().chain(examples) {
            writeln!(f, "  {sentence}")?;
        }
        for (trouble, count) in &self.connection_troubles {
            writeln!(f, "  {count} × a connection: {trouble}")?;
        }
        Ok(())
    }
}

fn reasons(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return String::new();
    }
    let each: Vec<String> = counts
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    format!(" ({})", each.join(", "))
}

fn times(times: &Percentiles) -> String {
    if times.count == 0 {
        return "–".to_owned();
    }
    format!(
        "p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, max {:.1} ms",
        times.p50, times.p90, times.p99, times.p999, times.max
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::statistics::Verdict;
    use super::*;

    fn frame(verify: Option<Result<Findings, String>>) -> Frame {
        Frame {
            agents: 2,
            rounds: 3,
            seconds: 2.0,
            connect_seconds: 0.25,
            is_interrupted: false,
            verify,
        }
    }

    fn counted() -> Counted {
        let mut counted = Counted::default();
        counted.sessions.opened = 7;
        counted
            .sessions
            .rolled_back
            .insert("Overloaded".to_owned(), 1);
        counted.sessions.req_rets = 2;
        for ms in 1..=6 {
            counted.acknowledged(Verdict {
                documents: 100,
                bytes: 54_000,
                latency: Some(Duration::from_millis(ms)),
                session: Some(Duration::from_millis(2 * ms)),
            });
        }
        counted
    }

    #[test]
    fn a_report_for_people() {
        let findings = Findings {
            mode: "ids",
            documents: 200,
            missing: 1,
            examples: vec!["missing: x in i".to_owned()],
            ..Findings::default()
        };
        let mut counted = counted();
        counted
            .connection_troubles
            .insert("the daemon closed it".to_owned(), 4);
        let report = Report::new(frame(Some(Ok(findings))), &counted);
        insta::assert_snapshot!(report);
        assert_eq!(report.outcome.code(), 1);
    }

    #[test]
    fn a_report_for_programs() {
        let report = Report::new(frame(None), &counted());
        insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap());
        assert_eq!(report.outcome.code(), 0);
    }

    #[test]
    fn what_is_wrong_is_worse_than_what_is_not_finished() {
        let outcome = |frame: Frame, counted: &Counted| Report::new(frame, counted).outcome;
        let mut counted = counted();
        let interrupted = Frame {
            is_interrupted: true,
            ..frame(None)
        };
        assert_eq!(outcome(interrupted.clone(), &counted), Outcome::Unfinished);
        assert_eq!(
            outcome(frame(Some(Err("no answer".to_owned()))), &counted),
            Outcome::Unfinished
        );
        counted.wrong = 1;
        assert_eq!(outcome(interrupted, &counted), Outcome::Wrong);
    }
}
