//! What is under way in the daemon, read off its debug log.
//!
//! ```text
//!  session opened ─▶ frame staged ─▶ gaps are asked for │ session complete ─▶ listing ─▶ listed
//!                                                                          ─▶ bulk ─▶ bulk answered
//!                                                                          ─▶ session stored │ not stored
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::plan::Phase;

/// An End or a verdict is a moment: it counts as under way for so long.
const MOMENT: Duration = Duration::from_millis(5);

/// What one line tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A session is open.
    Opened(String),
    /// A frame of it is staged.
    Staged(String),
    /// Its End was judged: something is missing.
    Gaps(String),
    /// Its End was judged: it is complete.
    Complete(String),
    /// A listing is asked for.
    Listing,
    /// It is answered, or given up.
    Listed,
    /// A bulk request is handed to the network.
    Bulk,
    /// It is answered, or given up.
    BulkAnswered,
    /// A verdict is given.
    Verdict(String, bool),
    /// The daemon listens, there for agents.
    Listening(String),
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
    #[serde(default)]
    session: String,
    #[serde(default)]
    agents: serde_json::Value,
}

impl Mark {
    /// What a line of the JSON log tells, if it tells of a phase.
    #[must_use]
    pub fn of(line: &str) -> Option<Self> {
        let Line {
            message,
            session,
            agents,
        } = serde_json::from_str(line).ok()?;
        Some(match &*message {
            "session opened" => Self::Opened(session),
            "frame staged" => Self::Staged(session),
            "gaps are asked for" => Self::Gaps(session),
            "session complete" => Self::Complete(session),
            "listing" => Self::Listing,
            "listed" | "not listed" => Self::Listed,
            "bulk" => Self::Bulk,
            "bulk answered" => Self::BulkAnswered,
            "session stored" => Self::Verdict(session, true),
            "session not stored" => Self::Verdict(session, false),
            "listening" => Self::Listening(agents.as_str()?.to_owned()),
            _ => return None,
        })
    }

    /// The phase that begins with it.
    #[must_use]
    pub const fn begins(&self) -> Option<Phase> {
        Some(match self {
            Self::Opened(_) => Phase::Start,
            Self::Staged(_) => Phase::Data,
            Self::Gaps(_) | Self::Complete(_) => Phase::End,
            Self::Listing => Phase::Listing,
            Self::Bulk => Phase::Bulk,
            Self::Verdict(..) => Phase::Verdict,
            Self::Listed | Self::BulkAnswered | Self::Listening(_) => return None,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Opened,
    Receiving,
    Complete,
}

/// What is under way in one process.
#[derive(Clone, Debug, Default)]
pub struct Underway {
    sessions: BTreeMap<String, Stage>,
    listings: u64,
    bulks: u64,
    judged: Option<Instant>,
    decided: Option<Instant>,
    /// Sessions opened so far.
    pub opened: u64,
    /// Sessions stored so far.
    pub stored: u64,
    /// Sessions that ended otherwise so far.
    pub not_stored: u64,
}

impl Underway {
    /// Takes in what a line told, read at this time.
    pub fn take(&mut self, mark: &Mark, now: Instant) {
        match mark {
            Mark::Opened(session) => {
                self.opened += 1;
                self.sessions.insert(session.clone(), Stage::Opened);
            }
            Mark::Staged(session) => {
                if let Some(stage) = self.sessions.get_mut(session)
                    && *stage == Stage::Opened
                {
                    *stage = Stage::Receiving;
                }
            }
            Mark::Gaps(_) => self.judged = Some(now),
            Mark::Complete(session) => {
                self.judged = Some(now);
                self.sessions.insert(session.clone(), Stage::Complete);
            }
            Mark::Listing => self.listings += 1,
            Mark::Listed => self.listings = self.listings.saturating_sub(1),
            Mark::Bulk => self.bulks += 1,
            Mark::BulkAnswered => self.bulks = self.bulks.saturating_sub(1),
            Mark::Verdict(session, stored) => {
                self.decided = Some(now);
                self.sessions.remove(session);
                if *stored {
                    self.stored += 1;
                } else {
                    self.not_stored += 1;
                }
            }
            Mark::Listening(_) => {}
        }
    }

    /// The phases that sessions are in.
    #[must_use]
    pub fn phases(&self, now: Instant) -> Vec<Phase> {
        let has = |wanted: Stage| self.sessions.values().any(|stage| *stage == wanted);
        let is_fresh =
            |at: Option<Instant>| at.is_some_and(|at| now.saturating_duration_since(at) <= MOMENT);
        let under_way = |phase: &Phase| match phase {
            Phase::Start => has(Stage::Opened),
            Phase::Data => has(Stage::Receiving),
            Phase::End => is_fresh(self.judged),
            Phase::Listing => self.listings > 0,
            Phase::Bulk => self.bulks > 0,
            Phase::Verdict => is_fresh(self.decided),
        };
        Phase::ALL.into_iter().filter(under_way).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str, rest: &str) -> String {
        format!(
            r#"{{"timestamp":"2026-01-01T00:00:00Z","level":"DEBUG","message":"{message}"{rest},"target":"t"}}"#
        )
    }

    #[test]
    fn lines_are_read() {
        let opened = line("session opened", r#","session":"00ab","agent":"7""#);
        assert_eq!(Mark::of(&opened), Some(Mark::Opened("00ab".to_owned())));
        let listening = line("listening", r#","agents":"127.0.0.1:4","metrics":"x""#);
        assert_eq!(
            Mark::of(&listening),
            Some(Mark::Listening("127.0.0.1:4".to_owned()))
        );
        let listing = line("listing", r#","request":"4","agents":2"#);
        assert_eq!(Mark::of(&listing), Some(Mark::Listing));
        assert_eq!(Mark::of(&line("the lease is renewed", "")), None);
        assert_eq!(Mark::of("inventory-sync: cannot"), None);
    }

    #[test]
    fn a_session_goes_through_its_phases() {
        let now = Instant::now();
        let session = || "1".to_owned();
        let mut underway = Underway::default();
        for (mark, expected) in [
            (Mark::Opened(session()), vec![Phase::Start]),
            (Mark::Staged(session()), vec![Phase::Data]),
            (Mark::Gaps(session()), vec![Phase::Data, Phase::End]),
            (Mark::Complete(session()), vec![Phase::End]),
            (Mark::Listing, vec![Phase::End, Phase::Listing]),
            (Mark::Listed, vec![Phase::End]),
            (Mark::Bulk, vec![Phase::End, Phase::Bulk]),
            (Mark::BulkAnswered, vec![Phase::End]),
            (
                Mark::Verdict(session(), true),
                vec![Phase::End, Phase::Verdict],
            ),
        ] {
            underway.take(&mark, now);
            assert_eq!(underway.phases(now), expected, "{mark:?}");
        }
        assert!(underway.phases(now + 2 * MOMENT).is_empty());
        assert_eq!((underway.opened, underway.stored), (1, 1));
    }
}
