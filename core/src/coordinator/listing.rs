//! Listings shared by those that wait: one refresh, one query for up to 64 agents (`docs/protocol.md`
//! section 6).

use std::collections::VecDeque;

use super::{
    Ask, Command, Coordinator, ListingReport, ListingTarget, Out, RefreshOutcome, ShardId, Timer,
};
use crate::bug::{Bug, if_planted};
use crate::id::{AgentId, IndexId, SessionId};
use crate::manager::{self, ListingOutcome};
use crate::time::Tick;

/// Who waits, and who is being served.
#[derive(Debug, Clone, Default)]
pub(super) struct Listings {
    waiting: VecDeque<Want>,
    serving: Vec<Want>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Want {
    target: ListingTarget,
    indices: Vec<IndexId>,
    since: Tick,
    /// It waits no longer, but is part of what is out.
    is_cancelled: bool,
}

impl Listings {
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.serving.is_empty()
    }

    /// The indices that those who are served need.
    fn indices(&self) -> Vec<IndexId> {
        let mut indices: Vec<IndexId> = self
            .serving
            .iter()
            .flat_map(|want| want.indices.iter().copied())
            .collect();
        indices.sort_unstable();
        indices.dedup();
        indices
    }

    /// Moves up to so many of those that wait, each agent once, so that a row has one owner.
    fn serve(&mut self, most: usize) {
        let mut agents: Vec<AgentId> = Vec::new();
        let mut later = VecDeque::new();
        while let Some(want) = self.waiting.pop_front() {
            if self.serving.len() < most && !agents.contains(&want.target.agent) {
                agents.push(want.target.agent);
                self.serving.push(want);
            } else {
                later.push_back(want);
            }
        }
        self.waiting = later;
    }
}

impl Coordinator {
    pub(super) fn on_listing_wanted(
        &mut self,
        target: ListingTarget,
        indices: Vec<IndexId>,
        out: &mut Out,
    ) {
        let since = self.now;
        self.listings.waiting.push_back(Want {
            target,
            indices,
            since,
            is_cancelled: false,
        });
        self.start_listing(out);
    }

    pub(super) fn on_listing_cancelled(&mut self, shard: ShardId, session: SessionId) {
        let is_it = |want: &Want| want.target.shard == shard && want.target.session == session;
        self.listings.waiting.retain(|want| !is_it(want));
        // The answer to what is out must not be taken for that to a later question of the same session.
        for want in self.listings.serving.iter_mut().filter(|want| is_it(want)) {
            want.is_cancelled = true;
        }
    }

    /// Begins a listing when none is out and the first of those that wait has lingered.
    pub(super) fn start_listing(&mut self, out: &mut Out) {
        if !self.listings.serving.is_empty() || self.is_barred() {
            return;
        }
        let Some(first) = self.listings.waiting.front() else {
            return;
        };
        let most = self.config.listing_targets_max.clamp(1, 64);
        let until = first.since + self.config.listing_linger_ms;
        if self.now < until && self.listings.waiting.len() < most {
            return self.arm(Timer::Listing, until);
        }
        self.listings.serve(most);
        self.refresh(out);
    }

    fn refresh(&mut self, out: &mut Out) {
        let indices = self.listings.indices();
        let request = self.ask(Ask::Refresh);
        out.push(Command::Refresh { request, indices });
    }

    pub(super) fn on_refreshed(&mut self, outcome: RefreshOutcome, out: &mut Out) {
        match if_planted(Bug::FailedRefreshIgnored, RefreshOutcome::Done, outcome) {
            RefreshOutcome::Done => {
                let indices = self.listings.indices();
                let targets = self
                    .listings
                    .serving
                    .iter()
                    .map(|want| want.target)
                    .collect();
                let request = self.ask(Ask::List);
                out.push(Command::List {
                    request,
                    indices,
                    targets,
                });
            }
            RefreshOutcome::Paused { indices } => self.without(&indices, out),
            RefreshOutcome::Failed => self.answer_all(&ListingOutcome::Failed, out),
        }
    }

    pub(super) fn on_list_report(&mut self, report: ListingReport, out: &mut Out) {
        match report {
            ListingReport::Complete { targets } if targets.len() == self.listings.serving.len() => {
                for (want, outcome) in std::mem::take(&mut self.listings.serving)
                    .iter()
                    .zip(targets)
                {
                    self.answer(want, outcome, out);
                }
            }
            ListingReport::Paused { indices } => self.without(&indices, out),
            ListingReport::Complete { .. } | ListingReport::Failed => {
                self.answer_all(&ListingOutcome::Failed, out);
            }
        }
    }

    /// Those that need a paused index are told; the others are asked for again without it.
    fn without(&mut self, paused: &[IndexId], out: &mut Out) {
        let needs = |want: &Want| want.indices.iter().any(|index| paused.contains(index));
        let (told, rest): (Vec<Want>, Vec<Want>) = std::mem::take(&mut self.listings.serving)
            .into_iter()
            .partition(needs);
        if told.is_empty() {
            // An index in the way that nobody asked for: the answer makes no sense.
            self.listings.serving = rest;
            return self.answer_all(&ListingOutcome::Failed, out);
        }
        for want in &told {
            let indices = want.indices.iter().filter(|index| paused.contains(index));
            let outcome = ListingOutcome::Paused {
                indices: indices.copied().collect(),
            };
            self.answer(want, outcome, out);
        }
        for want in rest.into_iter().rev().filter(|want| !want.is_cancelled) {
            self.listings.waiting.push_front(want);
        }
    }

    fn answer_all(&mut self, outcome: &ListingOutcome, out: &mut Out) {
        for want in std::mem::take(&mut self.listings.serving) {
            self.answer(&want, outcome.clone(), out);
        }
    }

    fn answer(&self, want: &Want, outcome: ListingOutcome, out: &mut Out) {
        if want.is_cancelled {
            return;
        }
        let event = manager::Event::Listed {
            session: want.target.session,
            outcome,
        };
        self.tell(Some(want.target.shard), event, out);
    }
}
