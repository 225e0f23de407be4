//! From a planned session to its operations: order, taint, listing, diff (`docs/protocol.md` sections
//! 5 and 6).

use super::session::{CLASSES, Delivery, Doom, Loads, Phase, Plan, Queue, Session, Step, place};
use super::{Command, IndexState, ListingOutcome, Manager, Observation, Out, Stopping, Timer};
use crate::bug::{Bug, if_planted, is_planted};
use crate::document::{ChunkLoad, Class, DiffSummary, Failures, PlanSummary, Runs};
use crate::id::{AgentId, IndexId, ModuleId, SessionId};
use crate::time::Tick;
use crate::wire::{Mode, Reason, Status};

/// What keeps a delivery from going on, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Nothing: its deadline runs.
    None,
    /// Its lane is tainted, up to this tick.
    Taint(Tick),
    /// An index it needs is paused or not ready.
    Index,
    /// An index it needs is held for an operator.
    Held,
}

/// The classes of which a session may send something now, in their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sendable([Option<Class>; CLASSES]);

impl Sendable {
    pub(super) fn is_empty(self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    pub(super) fn classes(self) -> impl Iterator<Item = Class> {
        self.0.into_iter().flatten()
    }
}

impl<P> Manager<P> {
    pub(super) fn on_planned(
        &mut self,
        id: SessionId,
        plan: Option<Box<PlanSummary>>,
        out: &mut Out<P>,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return out.push(Command::Observe(Observation::StaleAnswer));
        };
        if !matches!(session.phase, Phase::Planning) {
            return out.push(Command::Observe(Observation::StaleAnswer));
        }
        let Some(plan) = plan else {
            let detail = "staged data could not be read back".to_owned();
            return self.finish(id, Status::Error, Reason::StorageFailure, detail, out);
        };
        let PlanSummary {
            chunks,
            operations,
            failures,
        } = *plan;
        session.phase = Phase::Queued(Plan {
            chunks,
            operations,
            failures,
        });
        let lane = (session.agent, session.module);
        self.start_lane(lane, out);
    }

    /// Begins with the session at the head of a lane, if it is planned.
    pub(super) fn start_lane(&mut self, lane: (AgentId, ModuleId), out: &mut Out<P>) {
        let Some(id) = self.lanes.get(&lane).and_then(|lane| {
            let last = lane.sessions.len().saturating_sub(1);
            let place = if_planted(Bug::LaneOvertaken, last, 0);
            lane.sessions.get(place).copied()
        }) else {
            return;
        };
        let budget_ms = self.config.delivery_deadline_ms;
        let patience_ms = self.config.paused_index_deadline_ms;
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let Phase::Queued(plan) = &mut session.phase else {
            return;
        };
        let is_full = session.mode == Mode::Full;
        let chunks = std::mem::take(&mut plan.chunks);
        let mut delivery = Delivery {
            step: if is_full {
                Step::Unlisted
            } else {
                Step::Sending
            },
            version: None,
            loads: Default::default(),
            queues: Default::default(),
            operations: std::mem::take(&mut plan.operations),
            stored: Default::default(),
            failures: std::mem::take(&mut plan.failures),
            refusals: Failures::default(),
            refused: Default::default(),
            conflicts: 0,
            unchanged: 0,
            in_flight: 0,
            isolated: 0,
            attempts: 0,
            backing_off: false,
            ready_bytes: None,
            begun: None,
            budget_ms,
            budget_since: None,
            patience_ms,
            patience_since: None,
            doom: None,
        };
        if !is_full {
            delivery.load(&chunks, (0, 0));
        }
        session.phase = Phase::Delivering(Box::new(delivery));
        self.delivering.insert(id);
        self.advance(id, out);
    }

    pub(super) fn advance_all(&mut self, out: &mut Out<P>) {
        let ids: Vec<SessionId> = self.delivering.iter().copied().collect();
        for id in ids {
            self.advance(id, out);
        }
    }

    /// Takes the next step of a delivery, if there is one to take now. Calling it too often is harmless.
    pub(super) fn advance(&mut self, id: SessionId, out: &mut Out<P>) {
        let Some((session, delivery)) = self.delivery(id) else {
            return;
        };
        let is_early = is_planted(Bug::VerdictBeforeLastAnswer);
        if (delivery.in_flight == 0 || is_early) && delivery.isolated == 0 {
            if delivery.doom.is_some() {
                return self.conclude(id, out);
            }
            if delivery.step == Step::Sending && delivery.queues.iter().all(Queue::is_empty) {
                return self.conclude(id, out);
            }
        }
        if delivery.doom.is_some() {
            return;
        }
        let (lane, full) = ((session.agent, session.module), session.mode == Mode::Full);
        let wait = self.wait_of(id, lane, full);
        self.account(id, wait);
        let Some((session, delivery)) = self.delivery(id) else {
            return;
        };
        if wait != Wait::None && !matches!(wait, Wait::Taint(_)) {
            return;
        }
        match delivery.step {
            Step::Unlisted if wait == Wait::None => {
                delivery.step = Step::Listing;
                let (agent, indices) = (session.agent, session.scope.clone());
                out.push(Command::Listing {
                    session: id,
                    agent,
                    indices,
                });
            }
            Step::Unlisted
            | Step::Listing
            | Step::ListingFailed
            | Step::Diffing
            | Step::Judging => {}
            Step::Sending => self.make_ready(id, out),
        }
    }

    /// Puts a session into the ready queue, with a version, if it has something to send now.
    fn make_ready(&mut self, id: SessionId, out: &mut Out<P>) {
        if self.sendable(id).is_empty() {
            return;
        }
        let Some((session, delivery)) = self.delivery(id) else {
            return;
        };
        if delivery.version.is_none() {
            let agent = session.agent;
            let Some(version) = self.grant(agent, out) else {
                return;
            };
            if let Some((_, delivery)) = self.delivery(id) {
                delivery.version = Some(version);
            }
        }
        self.enqueue(id);
    }

    /// The classes of which something may be sent now, in order. A Full deletes only after its upserts
    /// are answered: no document in the old and the new set ever vanishes.
    pub(super) fn sendable(&self, id: SessionId) -> Sendable {
        let nothing = Sendable::default();
        let Some(session) = self.sessions.get(&id) else {
            return nothing;
        };
        let Phase::Delivering(delivery) = &session.phase else {
            return nothing;
        };
        if delivery.step != Step::Sending || delivery.backing_off || delivery.doom.is_some() {
            return nothing;
        }
        let [upserts, deletes, removals] = &delivery.queues;
        if (upserts.is_empty() && deletes.is_empty() && removals.is_empty())
            || self.index_wait(&delivery.operations) != Wait::None
        {
            return nothing;
        }
        let is_only_upserts = deletes.is_empty() && removals.is_empty();
        let gated = !is_only_upserts
            && self.taint_of((session.agent, session.module)).is_some()
            && !is_planted(Bug::DeletesDuringTaint);
        let may_delete =
            |queue: &Queue| !queue.again.is_empty() || (!gated && !queue.fresh.is_empty());
        let upserts_done = upserts.is_empty() && delivery.in_flight == 0 && delivery.isolated == 0;
        let upserts_done = upserts_done || is_planted(Bug::RemovalsBeforeUpserts);
        let removes = (upserts_done || delivery.removing()) && may_delete(removals);
        Sendable([
            (!upserts.is_empty()).then_some(Class::Upsert),
            may_delete(deletes).then_some(Class::Delete),
            removes.then_some(Class::Removal),
        ])
    }

    /// Whether fresh deletes of a lane must wait.
    pub(super) fn taint_of(&self, lane: (AgentId, ModuleId)) -> Option<Tick> {
        let of_lane = self
            .lanes
            .get(&lane)
            .map_or(Tick(0), |lane| lane.tainted_until);
        let until = of_lane.max(self.tainted_until);
        (self.now < until).then_some(until)
    }

    fn wait_of(&self, id: SessionId, lane: (AgentId, ModuleId), full: bool) -> Wait {
        let Some(session) = self.sessions.get(&id) else {
            return Wait::None;
        };
        let Phase::Delivering(delivery) = &session.phase else {
            return Wait::None;
        };
        let lists = matches!(delivery.step, Step::Unlisted | Step::ListingFailed);
        let waits = if full && lists {
            let scope: Vec<(IndexId, u64)> =
                session.scope.iter().map(|index| (*index, 0)).collect();
            self.index_wait(&scope)
        } else {
            self.index_wait(&delivery.operations)
        };
        if waits != Wait::None {
            return waits;
        }
        let Some(until) = self.taint_of(lane) else {
            return Wait::None;
        };
        let waits_for_taint = match delivery.step {
            Step::Unlisted | Step::ListingFailed => !is_planted(Bug::ListingsDuringTaint),
            Step::Sending => delivery.in_flight == 0 && self.sendable(id).is_empty(),
            Step::Listing | Step::Diffing | Step::Judging => false,
        };
        if waits_for_taint && !delivery.backing_off {
            Wait::Taint(until)
        } else {
            Wait::None
        }
    }

    fn index_wait(&self, operations: &[(IndexId, u64)]) -> Wait {
        let mut wait = Wait::None;
        for (index, _) in operations {
            match self.indices.get(usize::from(index.0)) {
                Some(IndexState::Open) => {}
                Some(IndexState::Held) => return Wait::Held,
                Some(IndexState::NotReady | IndexState::Paused { .. }) | None => wait = Wait::Index,
            }
        }
        wait
    }

    /// Runs the deadlines that count now, and stops those that do not.
    pub(super) fn account(&mut self, id: SessionId, wait: Wait) {
        let now = self.now;
        let Some((_, delivery)) = self.delivery(id) else {
            return;
        };
        delivery.stop_clocks(now);
        let mut taint_end = None;
        match wait {
            Wait::None => delivery.budget_since = Some(now),
            Wait::Index => delivery.patience_since = Some(now),
            Wait::Taint(until) => taint_end = Some(until),
            Wait::Held => {}
        }
        let budget = delivery
            .budget_since
            .map(|since| since + delivery.budget_ms);
        let patience = delivery
            .patience_since
            .map(|since| since + delivery.patience_ms);
        for (timer, at) in [
            (Timer::Delivery(id), budget),
            (Timer::PausedIndex(id), patience),
            (Timer::TaintEnd(id), taint_end),
        ] {
            match at {
                Some(at) => self.timers.arm(timer, at),
                None => self.timers.disarm(timer),
            }
        }
    }

    pub(super) fn on_listed(&mut self, id: SessionId, outcome: ListingOutcome, out: &mut Out<P>) {
        let Some((session, delivery)) = self.delivery(id) else {
            return out.push(Command::Observe(Observation::StaleAnswer));
        };
        if delivery.step != Step::Listing {
            return out.push(Command::Observe(Observation::StaleAnswer));
        }
        match outcome {
            ListingOutcome::Complete { highest, .. } => {
                delivery.step = Step::Diffing;
                let (agent, indices) = (session.agent, session.scope.clone());
                self.raise_floor(agent, highest);
                self.renew_budget(id);
                self.advance(id, out);
                out.push(Command::Diff {
                    session: id,
                    indices,
                });
            }
            ListingOutcome::Paused { indices } => {
                delivery.step = Step::ListingFailed;
                for index in indices {
                    let trouble = super::IndexTrouble::Blocked;
                    out.push(Command::IndexTrouble { index, trouble });
                }
                self.back_off(id);
                self.advance(id, out);
            }
            ListingOutcome::Failed => {
                delivery.step = Step::ListingFailed;
                self.back_off(id);
                self.advance(id, out);
            }
        }
    }

    pub(super) fn on_diffed(
        &mut self,
        id: SessionId,
        diff: Option<Box<DiffSummary>>,
        out: &mut Out<P>,
    ) {
        let Some((_, delivery)) = self.delivery(id) else {
            return out.push(Command::Observe(Observation::StaleAnswer));
        };
        if delivery.step != Step::Diffing {
            return out.push(Command::Observe(Observation::StaleAnswer));
        }
        let Some(diff) = diff else {
            let detail = "staged data could not be read back".to_owned();
            return self.doom(id, Status::Error, Reason::StorageFailure, detail, out);
        };
        delivery.step = Step::Sending;
        delivery.operations = diff.operations;
        delivery.unchanged = diff.unchanged;
        delivery.load(&diff.chunks, (diff.removals, diff.removal_bytes));
        self.advance(id, out);
    }

    /// Waits before the next attempt of one session; others go on. Several parts of one request are one
    /// attempt.
    pub(super) fn back_off(&mut self, id: SessionId) {
        let attempts = match self.delivery(id) {
            Some((_, delivery)) if delivery.backing_off => return,
            Some((_, delivery)) => {
                delivery.attempts = delivery.attempts.saturating_add(1);
                delivery.backing_off = true;
                delivery.attempts - 1
            }
            None => return,
        };
        let delay_ms = self.backoff_ms(attempts);
        let delay_ms = if_planted(Bug::RetryWithoutBackoff, 0, delay_ms);
        self.timers.arm(Timer::Retry(id), self.now + delay_ms);
    }

    pub(super) fn on_retry(&mut self, id: SessionId, out: &mut Out<P>) {
        if let Some((_, delivery)) = self.delivery(id) {
            delivery.backing_off = false;
            if delivery.step == Step::ListingFailed {
                delivery.step = Step::Unlisted;
            }
            self.advance(id, out);
        }
    }

    /// A delivery has come nearer to its end: its deadline counts anew. Without this, deliveries that share
    /// an Indexer too slow for all of them would all be given up short of their ends, and for ever. The caller
    /// advances the session afterwards.
    pub(super) fn renew_budget(&mut self, id: SessionId) {
        if is_planted(Bug::ProgressIgnored) {
            return;
        }
        let (now, budget_ms) = (self.now, self.config.delivery_deadline_ms);
        if let Some((_, delivery)) = self.delivery(id) {
            delivery.budget_ms = budget_ms;
            delivery.budget_since = delivery.budget_since.map(|_| now);
        }
    }

    pub(super) fn on_delivery_deadline(&mut self, id: SessionId, out: &mut Out<P>) {
        let detail = format!(
            "nothing was delivered for {} ms",
            self.config.delivery_deadline_ms
        );
        self.doom(id, Status::Offline, Reason::IndexerUnavailable, detail, out);
    }

    pub(super) fn on_patience_end(&mut self, id: SessionId, out: &mut Out<P>) {
        let names: Vec<&str> = match self
            .sessions
            .get(&id)
            .map(|session| (session, &session.phase))
        {
            Some((session, Phase::Delivering(delivery))) => {
                let operations = delivery.operations.iter().map(|(index, _)| index);
                let is_shut = |index: &&IndexId| {
                    self.indices.get(usize::from(index.0)) != Some(&IndexState::Open)
                };
                let mut shut: Vec<IndexId> = operations
                    .chain(&session.scope)
                    .filter(is_shut)
                    .copied()
                    .collect();
                shut.sort_unstable();
                shut.dedup();
                shut.iter()
                    .map(|index| self.config.catalogue.index_name(*index))
                    .take(3)
                    .collect()
            }
            _ => return,
        };
        let detail = format!("the Indexer takes nothing for {}", names.join(", "));
        self.doom(id, Status::Offline, Reason::IndexerUnavailable, detail, out);
    }

    pub(super) fn on_session_max(&mut self, id: SessionId, out: &mut Out<P>) {
        let detail = format!(
            "no verdict within {} ms of its Start",
            self.config.session_max_ms
        );
        self.end_session(id, Status::Error, Reason::SessionTimeout, detail, out);
    }

    pub(super) fn doom_for_shutdown(&mut self, id: SessionId, out: &mut Out<P>) {
        debug_assert!(self.stopping != Stopping::No);
        let detail = "the manager is stopping".to_owned();
        self.end_session(id, Status::Offline, Reason::ShuttingDown, detail, out);
    }

    /// Ends a session, in whatever phase it is: at once, or when its last request is answered.
    pub(super) fn end_session(
        &mut self,
        id: SessionId,
        status: Status,
        reason: Reason,
        detail: String,
        out: &mut Out<P>,
    ) {
        match self.delivery(id) {
            Some(_) => self.doom(id, status, reason, detail, out),
            None => self.finish(id, status, reason, detail, out),
        }
    }

    /// Sends nothing more of a session; its verdict comes when the last request is answered. The first
    /// reason stays.
    fn doom(
        &mut self,
        id: SessionId,
        status: Status,
        reason: Reason,
        detail: String,
        out: &mut Out<P>,
    ) {
        self.condemn(id, status, reason, detail);
        self.advance(id, out);
    }

    /// The same without its verdict: for the middle of an answer, of which the rest must still be taken
    /// in (what it leaves unknown taints). The caller advances the session afterwards.
    pub(super) fn condemn(
        &mut self,
        id: SessionId,
        status: Status,
        reason: Reason,
        detail: String,
    ) {
        let Some((_, delivery)) = self.delivery(id) else {
            return;
        };
        if delivery.doom.is_none() {
            delivery.doom = Some(Doom {
                status,
                reason,
                detail,
            });
        }
        self.drop_isolated(id);
    }

    pub(super) fn on_index_changed(&mut self, index: IndexId, state: IndexState, out: &mut Out<P>) {
        let Some(slot) = self.indices.get_mut(usize::from(index.0)) else {
            return;
        };
        *slot = state;
        match state {
            IndexState::Paused { until } => self.timers.arm(Timer::Index(index), until),
            IndexState::Open | IndexState::NotReady | IndexState::Held => {
                self.timers.disarm(Timer::Index(index));
            }
        }
        self.advance_all(out);
    }

    /// A paused index is tried again with whatever waits for it.
    pub(super) fn on_index_timer(&mut self, index: IndexId, out: &mut Out<P>) {
        if is_planted(Bug::PausedIndexNeverTried) {
            return;
        }
        if let Some(slot) = self.indices.get_mut(usize::from(index.0)) {
            *slot = IndexState::Open;
        }
        self.advance_all(out);
    }

    /// A session in delivery, with its parts apart.
    pub(super) fn delivery(&mut self, id: SessionId) -> Option<(SessionFacts<'_>, &mut Delivery)> {
        let session = self.sessions.get_mut(&id)?;
        let Session {
            agent,
            module,
            mode,
            scope,
            phase,
            ..
        } = session;
        match phase {
            Phase::Delivering(delivery) => {
                let facts = SessionFacts {
                    agent: *agent,
                    module: *module,
                    mode: *mode,
                    scope,
                };
                Some((facts, delivery))
            }
            Phase::Collecting | Phase::Planning | Phase::Queued(_) => None,
        }
    }
}

/// What a delivery needs of its session.
pub(super) struct SessionFacts<'a> {
    pub(super) agent: AgentId,
    pub(super) module: ModuleId,
    pub(super) mode: Mode,
    pub(super) scope: &'a Vec<IndexId>,
}

impl Delivery {
    /// Fills the queues from a plan or a diff.
    fn load(&mut self, chunks: &[ChunkLoad], removals: (u32, u64)) {
        self.loads = [
            Loads::new(
                chunks
                    .iter()
                    .map(|chunk| (chunk.upserts, chunk.upsert_bytes)),
            ),
            Loads::new(
                chunks
                    .iter()
                    .map(|chunk| (chunk.deletes, chunk.delete_bytes)),
            ),
            Loads::new(std::iter::once(removals)),
        ];
        for class in 0..CLASSES {
            self.queues[class] = Queue {
                fresh: Runs::up_to(self.loads[class].operations()),
                again: Runs::new(),
            };
        }
    }

    /// Whether removals were begun: then they go on beside their own requests in flight.
    fn removing(&self) -> bool {
        let place = place(Class::Removal);
        let waiting = self.queues[place].fresh.count() + self.queues[place].again.count();
        self.queues[self::place(Class::Upsert)].is_empty()
            && waiting < u64::from(self.loads[place].operations())
    }

    fn stop_clocks(&mut self, now: Tick) {
        if let Some(since) = self.budget_since.take() {
            self.budget_ms = self.budget_ms.saturating_sub(now.since(since));
        }
        if let Some(since) = self.patience_since.take() {
            self.patience_ms = self.patience_ms.saturating_sub(now.since(since));
        }
    }
}
