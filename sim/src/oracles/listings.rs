//! Listings shared by those that wait: who is in one, when it begins, and that each that asked is answered once
//! (`docs/protocol.md` section 6).
//!
//! ```text
//!  wanted ─▶ waiting ──────────────────▶ serving ──▶ told: its documents, a pause, a failure
//!    │          │   lingers for company     │ │
//!    │          ▼                           │ └─────▶ waits again, first: others needed a paused index
//!    └────▶ cancelled ◀─────────────────────┘         and hears nothing
//! ```

use std::collections::VecDeque;

use inventory_sync_core::coordinator::{
    Command, Event, ListingReport, ListingTarget, RefreshOutcome, ShardId,
};
use inventory_sync_core::id::{AgentId, IndexId, SessionId};
use inventory_sync_core::manager::{self, Health, ListingOutcome, Unready};
use inventory_sync_core::time::Tick;

use super::Oracles;

/// One that asked.
#[derive(Debug, Clone)]
struct Want {
    target: ListingTarget,
    indices: Vec<IndexId>,
    since: Tick,
    is_cancelled: bool,
}

/// Those that the coordinator of the present process has to serve.
#[derive(Debug, Default)]
pub(super) struct Listings {
    waiting: VecDeque<Want>,
    serving: Vec<Want>,
    /// Whether the event at hand answers those that are served.
    answers: Option<Answer>,
}

/// What the answer to a refresh or a listing says to those that are served.
#[derive(Debug)]
enum Answer {
    /// Each has its own outcome.
    Listed(Vec<ListingOutcome>),
    /// These indices are in the way.
    Paused(Vec<IndexId>),
    Failed,
}

/// How listings are shared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sharing {
    /// How long one waits for company, in milliseconds.
    pub(crate) linger_ms: u64,
    /// Agents in one listing.
    pub(crate) targets_max: usize,
}

impl Listings {
    /// Those that the next listing serves: as many as there is room for, each agent once.
    fn serve(&mut self, most: usize) {
        let mut agents: Vec<AgentId> = Vec::new();
        for want in std::mem::take(&mut self.waiting) {
            let agent = want.target.agent;
            if agents.len() == most || agents.contains(&agent) {
                self.waiting.push_back(want);
            } else {
                agents.push(agent);
                self.serving.push(want);
            }
        }
    }

    /// What each that is served must hear; `None`: it hears nothing and waits again.
    fn due(&self, answer: &Answer) -> Vec<Option<ListingOutcome>> {
        let blocks = |indices: &[IndexId], want: &Want| -> Vec<IndexId> {
            let needed = want.indices.iter();
            needed
                .filter(|index| indices.contains(index))
                .copied()
                .collect()
        };
        match answer {
            Answer::Listed(outcomes) if outcomes.len() == self.serving.len() => {
                outcomes.iter().cloned().map(Some).collect()
            }
            Answer::Paused(indices)
                if self
                    .serving
                    .iter()
                    .any(|want| !blocks(indices, want).is_empty()) =>
            {
                let told = self.serving.iter().map(|want| blocks(indices, want));
                told.map(|indices| {
                    (!indices.is_empty()).then_some(ListingOutcome::Paused { indices })
                })
                .collect()
            }
            _ => vec![Some(ListingOutcome::Failed); self.serving.len()],
        }
    }

    /// When the first of those that wait has waited long enough for company.
    fn begins(&self, sharing: Sharing) -> Option<Tick> {
        let first = self.waiting.front()?;
        if self.waiting.len() >= sharing.targets_max {
            return Some(Tick(0));
        }
        Some(first.since + sharing.linger_ms)
    }
}

impl Oracles {
    /// The coordinator is about to hear something of listings.
    pub(super) fn listings_heard(&mut self, event: &Event) {
        let since = self.now;
        let listings = &mut self.listings;
        listings.answers = None;
        match event {
            Event::ListingWanted {
                shard,
                session,
                agent,
                indices,
            } => listings.waiting.push_back(Want {
                target: ListingTarget {
                    shard: *shard,
                    session: *session,
                    agent: *agent,
                },
                indices: indices.clone(),
                since,
                is_cancelled: false,
            }),
            Event::ListingCancelled { shard, session } => {
                let is_it = |want: &Want| is_target(want, *shard, *session);
                listings.waiting.retain(|want| !is_it(want));
                for want in listings.serving.iter_mut().filter(|want| is_it(want)) {
                    want.is_cancelled = true;
                }
            }
            Event::Refreshed { outcome, .. } => {
                listings.answers = match outcome {
                    RefreshOutcome::Done => None,
                    RefreshOutcome::Paused { indices } => Some(Answer::Paused(indices.clone())),
                    RefreshOutcome::Failed => Some(Answer::Failed),
                }
            }
            Event::Listed { report, .. } => {
                listings.answers = Some(match report {
                    ListingReport::Complete { targets } => Answer::Listed(targets.clone()),
                    ListingReport::Paused { indices } => Answer::Paused(indices.clone()),
                    ListingReport::Failed => Answer::Failed,
                });
            }
            _ => {}
        }
    }

    /// The coordinator has heard it, and says this; it is in that state now.
    pub(crate) fn listings_judged(
        &mut self,
        commands: &[Command],
        health: Health,
        sharing: Sharing,
    ) {
        let told: Vec<(Option<ShardId>, SessionId, &ListingOutcome)> = commands
            .iter()
            .filter_map(|command| match command {
                Command::Tell { shard, event } => match &**event {
                    manager::Event::Listed { session, outcome } => {
                        Some((*shard, *session, outcome))
                    }
                    _ => None,
                },
                _ => None,
            })
            .collect();
        let expected = self.answered();
        let is_right = told.len() == expected.len()
            && told
                .iter()
                .zip(&expected)
                .all(|((shard, session, outcome), (target, due))| {
                    *shard == Some(target.shard) && *session == target.session && *outcome == due
                });
        if !is_right {
            let seen = format!("{told:?}");
            self.fail("P-6 shared listing", format!("{expected:?} is told"), seen);
        }
        for command in commands {
            match command {
                Command::Refresh { indices, .. } => self.judge_begin(indices, sharing),
                Command::List {
                    indices, targets, ..
                } => self.judge_targets(indices, targets),
                _ => {}
            }
        }
        let is_barred = health == Health::Unready(Unready::Unauthorized);
        if self.listings.serving.is_empty()
            && !is_barred
            && let Some(begins) = self.listings.begins(sharing)
            && self.now >= begins
        {
            let expected = format!(
                "a listing for {:?} from {begins} on",
                self.listings.waiting.front()
            );
            self.fail("P-6 shared listing", expected, "none begins");
        }
    }

    /// Takes the answer to those that are served; what each that still waits must hear, in their order.
    fn answered(&mut self) -> Vec<(ListingTarget, ListingOutcome)> {
        let Some(answer) = self.listings.answers.take() else {
            return Vec::new();
        };
        let due = self.listings.due(&answer);
        let mut told = Vec::new();
        let mut again = Vec::new();
        for (want, outcome) in std::mem::take(&mut self.listings.serving)
            .into_iter()
            .zip(due)
            .filter(|(want, _)| !want.is_cancelled)
        {
            match outcome {
                Some(outcome) => told.push((want.target, outcome)),
                None => again.push(want),
            }
        }
        for want in again.into_iter().rev() {
            self.listings.waiting.push_front(want);
        }
        told
    }

    /// A refresh begins a listing.
    fn judge_begin(&mut self, indices: &[IndexId], sharing: Sharing) {
        let begins = self.listings.begins(sharing);
        let is_free = self.listings.serving.is_empty();
        self.listings.serve(sharing.targets_max);
        if !is_free || begins.is_none_or(|begins| self.now < begins) {
            let expected = format!("a listing after another one, from {begins:?} on");
            return self.fail("P-6 shared listing", expected, "one begins");
        }
        let due = self.indices_of_served();
        if indices != due {
            let expected = format!("a refresh of {due:?}");
            self.fail("P-6 shared listing", expected, format!("of {indices:?}"));
        }
    }

    fn judge_targets(&mut self, indices: &[IndexId], targets: &[ListingTarget]) {
        let due: Vec<ListingTarget> = self
            .listings
            .serving
            .iter()
            .map(|each| each.target)
            .collect();
        if targets != due || indices != self.indices_of_served() {
            let expected = format!("a listing of {:?} for {due:?}", self.indices_of_served());
            let seen = format!("of {indices:?} for {targets:?}");
            self.fail("P-6 shared listing", expected, seen);
        }
    }

    fn indices_of_served(&self) -> Vec<IndexId> {
        let served = self.listings.serving.iter();
        let mut indices: Vec<IndexId> = served.flat_map(|want| want.indices.clone()).collect();
        indices.sort_unstable();
        indices.dedup();
        indices
    }
}

fn is_target(want: &Want, shard: ShardId, session: SessionId) -> bool {
    want.target.shard == shard && want.target.session == session
}
