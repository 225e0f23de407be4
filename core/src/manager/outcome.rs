//! What becomes of a bulk request: stored, tried again, split, tainted (`docs/protocol.md` sections 5
//! and 8).

use super::dispatch::{Flight, Sent};
use super::session::place;
use super::verdict::merge;
use super::{Command, IndexTrouble, Manager, Observation, Out};
use crate::answer::{BulkOutcome, PartOutcome, Refusal};
use crate::bug::{Bug, is_planted};
use crate::document::{Class, Part, Runs};
use crate::id::{AgentId, BulkId, ModuleId, SessionId, VERSION_CEILING};
use crate::wire::{Reason, Status};

impl<P> Manager<P> {
    pub(super) fn on_bulk_done(&mut self, bulk: BulkId, outcome: BulkOutcome, out: &mut Out<P>) {
        let Some(flight) = self.dispatch.in_flight.remove(&bulk) else {
            return out.push(Command::Observe(Observation::StaleAnswer));
        };
        let mut sessions = Vec::new();
        for sent in &flight.parts {
            sessions.push(sent.part.session);
            if let Some((_, delivery)) = self.delivery(sent.part.session) {
                assert!(delivery.in_flight > 0, "a part was answered twice");
                delivery.in_flight -= 1;
            }
        }
        match outcome {
            BulkOutcome::Answered { parts } if parts.len() == flight.parts.len() => {
                self.dispatch.attempts = 0;
                let step = (self.dispatch.ceiling_bytes / 16).max(1);
                let grown = self.dispatch.limit_bytes.saturating_add(step);
                self.dispatch.limit_bytes = grown.min(self.dispatch.ceiling_bytes);
                for (sent, outcome) in flight.parts.iter().zip(parts) {
                    self.apply(sent, outcome, out);
                }
            }
            BulkOutcome::Answered { .. } | BulkOutcome::Unknown => self.unknown(&flight, out),
            BulkOutcome::NotSent => {
                self.requeue(&flight);
                self.pause_dispatch();
            }
            BulkOutcome::Refused { refusal, .. } => self.refused(flight, refusal, out),
            BulkOutcome::ReadFailed { .. } if is_planted(Bug::UnreadFrameSkipped) => {}
            BulkOutcome::ReadFailed { parts } => {
                self.requeue(&flight);
                for place in parts {
                    if let Some(sent) = flight.parts.get(place) {
                        let detail = "staged data could not be read back".to_owned();
                        let (status, reason) = (Status::Error, Reason::StorageFailure);
                        self.condemn(sent.part.session, status, reason, detail);
                    }
                }
            }
        }
        sessions.dedup();
        for id in sessions {
            self.advance(id, out);
        }
    }

    /// Nothing of a request was applied: its operations wait again, as they did before it.
    fn requeue(&mut self, flight: &Flight) {
        for sent in &flight.parts {
            self.return_part(&sent.part, &sent.again);
        }
    }

    fn return_part(&mut self, part: &Part, again: &Runs) {
        if let Some((_, delivery)) = self.delivery(part.session) {
            delivery.queues[place(part.class)].take_back(&part.ordinals, again);
        }
    }

    /// A byte was sent and there is no answer: each lane in it is tainted, each operation sent again.
    fn unknown(&mut self, flight: &Flight, out: &mut Out<P>) {
        let is_noticed = |_: &&Sent| !is_planted(Bug::UnknownTakenAsStored);
        for sent in flight.parts.iter().filter(is_noticed) {
            let part = &sent.part;
            out.push(Command::Observe(Observation::Retried {
                operations: part.ordinals.count(),
            }));
            self.taint(part.session, out);
            if let Some((_, delivery)) = self.delivery(part.session) {
                delivery.queues[place(part.class)]
                    .again
                    .extend(&part.ordinals);
            }
            self.back_off(part.session);
        }
    }

    /// From now on, and for `late_write_bound_ms`, something of this lane may still be applied.
    fn taint(&mut self, id: SessionId, out: &mut Out<P>) {
        if is_planted(Bug::GivenUpAttemptForgotten) {
            return;
        }
        let Some(lane) = self
            .delivery(id)
            .map(|(session, _)| (session.agent, session.module))
        else {
            return;
        };
        let until = self.now + self.config.late_write_bound_ms;
        let entry = self.lanes.entry(lane).or_default();
        if entry.tainted_until < until {
            entry.tainted_until = until;
            self.tainted.insert(lane);
            let (agent, module): (AgentId, ModuleId) = lane;
            out.push(Command::Observe(Observation::Tainted {
                agent,
                module,
                until,
            }));
        }
    }

    /// A request was refused whole: nothing of it was applied.
    fn refused(&mut self, flight: Flight, refusal: Refusal, out: &mut Out<P>) {
        let operations: u64 = flight
            .parts
            .iter()
            .map(|sent| sent.part.ordinals.count())
            .sum();
        match refusal {
            Refusal::TooLarge => {
                let size = self.dispatch.limit_bytes.min(flight.bytes);
                self.dispatch.ceiling_bytes = (size / 2).max(1);
                self.dispatch.limit_bytes = self.dispatch.ceiling_bytes;
                out.push(Command::Observe(Observation::Split { operations }));
                self.requeue(&flight);
            }
            Refusal::Overloaded => {
                // A lone 429 means that this request is too large for what the server has left.
                if self.dispatch.in_flight.is_empty() {
                    let size = self.dispatch.limit_bytes.min(flight.bytes.max(1));
                    self.dispatch.limit_bytes = (size / 2).max(1);
                }
                out.push(Command::Observe(Observation::Retried { operations }));
                self.requeue(&flight);
                self.pause_dispatch();
            }
            Refusal::Unauthorized | Refusal::Forbidden => {
                out.push(Command::Observe(Observation::Retried { operations }));
                self.requeue(&flight);
                self.pause_dispatch();
            }
            Refusal::Malformed => {
                out.push(Command::Observe(Observation::Split { operations }));
                self.bisect(flight);
            }
        }
    }

    /// Cuts a refused request in two: between its parts if it has several, else between operations.
    fn bisect(&mut self, flight: Flight) {
        let mut parts: Vec<Part> = flight.parts.into_iter().map(|sent| sent.part).collect();
        let second = if parts.len() > 1 {
            parts.split_off(parts.len() / 2)
        } else if let Some(only) = parts.first_mut() {
            let half = only.ordinals.count() / 2;
            if half == 0 {
                // The I/O side answers for a lone operation; a request without one is its fault.
                let id = only.session;
                let part = only.clone();
                self.return_part(&part, &Runs::new());
                let detail = "the Indexer refused a request of one operation".to_owned();
                return self.condemn(id, Status::Error, Reason::IndexerRejected, detail);
            }
            let first = only.ordinals.take_lowest(half);
            let rest = std::mem::replace(&mut only.ordinals, first);
            vec![Part {
                ordinals: rest,
                ..only.clone()
            }]
        } else {
            Vec::new()
        };
        let is_kept = !is_planted(Bug::SplitLosesHalf);
        for half in [second, parts].into_iter().skip(usize::from(!is_kept)) {
            let live: Vec<Part> = half.into_iter().filter(|part| self.isolate(part)).collect();
            if !live.is_empty() {
                self.dispatch.isolated.push_front(live);
            }
        }
    }

    /// Counts a part that is to be sent alone; `false` if its session sends nothing more: then it goes
    /// back, undecided.
    fn isolate(&mut self, part: &Part) -> bool {
        match self.delivery(part.session) {
            Some((_, delivery)) if delivery.doom.is_none() => {
                delivery.isolated += 1;
                true
            }
            Some(_) => {
                self.return_part(part, &Runs::new());
                false
            }
            None => false,
        }
    }

    /// Takes in what the Indexer said of one part.
    fn apply(&mut self, sent: &Sent, outcome: PartOutcome, out: &mut Out<P>) {
        let id = sent.part.session;
        let class = sent.part.class;
        let most = self.config.failed_items_max;
        let conflict_counts = !is_planted(Bug::ConflictTakenAsStored);
        let Some((session, delivery)) = self.delivery(id) else {
            return;
        };
        let agent = session.agent;
        for (index, count) in &outcome.stored {
            *delivery.stored.entry(*index).or_default() += count;
            delivery.attempts = 0;
        }
        let decides = !outcome.stored.is_empty()
            || !outcome.refused.is_empty()
            || !outcome.conflicts.is_empty();
        let mut retried = 0;
        let mut troubles = Vec::new();
        let queue = &mut delivery.queues[place(class)];
        for (runs, trouble) in [
            (&outcome.overloaded, None),
            (&outcome.blocked, Some(IndexTrouble::Blocked)),
            (&outcome.missing, Some(IndexTrouble::Missing)),
            (&outcome.forbidden, Some(IndexTrouble::Forbidden)),
        ] {
            let is_dropped = trouble.is_none() && is_planted(Bug::OverloadedItemDropped);
            for (index, ordinals) in runs.iter().filter(|_| !is_dropped) {
                retried += ordinals.count();
                queue.take_back(ordinals, &sent.again);
                troubles.extend(trouble.map(|trouble| (*index, trouble)));
            }
        }
        queue.again.extend(&outcome.unknown);
        for (index, ordinals) in &outcome.refused {
            delivery
                .refused
                .entry((*index, class))
                .or_default()
                .extend(ordinals);
        }
        merge(&mut delivery.refusals, outcome.failures, most);
        let conflicts = outcome.conflicts.count();
        if conflict_counts {
            delivery.conflicts += conflicts;
        }
        if conflicts > 0 && conflict_counts {
            let version = outcome.conflict_version;
            out.push(Command::Observe(Observation::Conflict {
                agent,
                version,
                operations: conflicts,
            }));
            self.raise_floor(agent, version);
            if version > VERSION_CEILING {
                let detail = format!("the Indexer holds a document at version {version}");
                self.condemn(id, Status::Error, Reason::IndexerRejected, detail);
            }
        }
        if class == Class::Removal && !outcome.refused.is_empty() {
            let detail = "the Indexer refused to delete a document".to_owned();
            self.condemn(id, Status::Error, Reason::IndexerRejected, detail);
        }
        for (index, trouble) in troubles {
            out.push(Command::IndexTrouble { index, trouble });
        }
        if !outcome.unknown.is_empty() {
            retried += outcome.unknown.count();
            self.taint(id, out);
        }
        if decides {
            self.renew_budget(id);
        }
        if retried > 0 {
            out.push(Command::Observe(Observation::Retried {
                operations: retried,
            }));
            self.back_off(id);
        }
    }
}
