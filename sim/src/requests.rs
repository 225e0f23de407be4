//! Bulk requests on their way: their fates, their deadlines, and who hears of them.

use inventory_indexer::model::engine::Operation;
use inventory_sync_core::answer::BulkOutcome;
use inventory_sync_core::document::Part;
use inventory_sync_core::id::BulkId;
use inventory_sync_core::manager::Unready;
use inventory_sync_core::time::Tick;

use crate::faults::Fault;
use crate::indexer_node::{Fate, Request};
use crate::oracles::Rendered;
use crate::trace::Node;
use crate::world::{Occurrence, World};

impl World {
    /// A shard's request has been rendered and is sent.
    pub(crate) fn send_request(
        &mut self,
        (life, shard, bulk, deadline): (u32, u16, BulkId, Tick),
        parts: Vec<Part>,
        operations: Vec<(Operation, Rendered)>,
        bytes: u64,
    ) {
        let fate = self.draw_fate(operations.len(), bytes);
        self.trace
            .note(self.now(), Node::Indexer, '*', &(bulk, fate));
        self.indexer.requests_made += 1;
        let key = self.indexer.requests_made;
        let request = Request {
            life,
            shard,
            bulk,
            parts,
            operations,
            fate,
            answered: false,
            settled: false,
            not_before: Tick(0),
        };
        let arrival = self.now() + self.indexer_latency_ms();
        self.record_request(key, &request);
        self.indexer.requests.insert(key, request);
        match fate {
            Fate::NotSent => self.schedule.at(arrival, Occurrence::RequestArrives(key)),
            Fate::Lost => {
                self.settle(key);
                self.schedule.at(deadline, Occurrence::RequestGivenUp(key));
            }
            Fate::Late(after_ms) | Fate::LateInPart(after_ms, _) => {
                self.schedule.at(deadline, Occurrence::RequestGivenUp(key));
                self.schedule
                    .at(deadline + after_ms, Occurrence::RequestArrives(key));
            }
            Fate::Reset(after_ms) => {
                self.schedule.at(arrival, Occurrence::RequestGivenUp(key));
                self.schedule
                    .at(arrival + after_ms, Occurrence::RequestArrives(key));
            }
            Fate::Sound
            | Fate::AnswerLost
            | Fate::Garbled
            | Fate::Empty
            | Fate::NotJson
            | Fate::Huge
            | Fate::Refused(_) => {
                self.schedule.at(deadline, Occurrence::RequestGivenUp(key));
                self.schedule.at(arrival, Occurrence::RequestArrives(key));
            }
        }
    }

    pub(crate) fn indexer_latency_ms(&mut self) -> u64 {
        let slowest_ms = self.options.indexer_ms;
        self.latency.between(1, slowest_ms)
    }

    fn draw_fate(&mut self, operations: usize, bytes: u64) -> Fate {
        if let Some(fate) = self.indexer.scripted.pop_front() {
            return fate;
        }
        if !self.indexer.reachable {
            return Fate::NotSent;
        }
        if let Some(why) = self.indexer.refuses {
            return Fate::Refused(match why {
                Unready::Unauthorized => 401,
                Unready::Forbidden => 403,
                _ => 503,
            });
        }
        let latest_ms = self.options.config.late_write_bound_ms - 1;
        let faults = &mut self.faults;
        if faults.strikes(Fault::RequestNotSent) {
            Fate::NotSent
        } else if faults.strikes(Fault::RequestLost) {
            Fate::Lost
        } else if faults.strikes(Fault::AnswerLost) {
            Fate::AnswerLost
        } else if faults.strikes(Fault::WriteLate) {
            let stream = faults.stream(Fault::WriteLate);
            let after_ms = late_ms(stream, latest_ms);
            if stream.chance(500_000) {
                Fate::Late(after_ms)
            } else {
                Fate::Reset(after_ms)
            }
        } else if operations > 1 && faults.strikes(Fault::WriteLateInPart) {
            let stream = faults.stream(Fault::WriteLateInPart);
            Fate::LateInPart(late_ms(stream, latest_ms), stream.bits())
        } else if faults.strikes(Fault::AnswerGarbled) {
            Fate::Garbled
        } else if faults.strikes(Fault::RequestRefused429) {
            Fate::Refused(429)
        } else if faults.strikes(Fault::RequestRefused413) {
            Fate::Refused(413)
        } else if faults.strikes(Fault::RequestRefused400) {
            Fate::Refused(400)
        } else if faults.strikes(Fault::RequestRefused503) {
            Fate::Refused(503)
        } else if faults.strikes(Fault::RequestRefused401) {
            Fate::Refused(401)
        } else if faults.strikes(Fault::RequestRefused403) {
            Fate::Refused(403)
        } else if faults.strikes(Fault::RequestRefused408) {
            Fate::Refused(408)
        } else if faults.strikes(Fault::AnswerEmpty) {
            Fate::Empty
        } else if faults.strikes(Fault::AnswerNotJson) {
            Fate::NotJson
        } else if faults.strikes(Fault::AnswerHuge) {
            Fate::Huge
        } else {
            self.fate_by_size(bytes)
        }
    }

    /// What is too large is refused each time, healed or not.
    fn fate_by_size(&self, bytes: u64) -> Fate {
        let exceeds = |most: u64| most > 0 && bytes > most;
        if exceeds(self.options.takes_bytes_max) {
            Fate::Refused(413)
        } else if exceeds(self.options.spares_bytes_max) {
            Fate::Refused(429)
        } else {
            Fate::Sound
        }
    }

    /// Nobody waits any longer.
    pub(crate) fn request_given_up(&mut self, key: u64) {
        self.tell_outcome(key, BulkOutcome::Unknown);
    }

    /// The answer is on its way back.
    pub(crate) fn hear(&mut self, key: u64, status: u16, body: &[u8]) {
        let Some(request) = self.indexer.requests.get(&key) else {
            return;
        };
        let current = self
            .process
            .as_ref()
            .filter(|process| process.life == request.life);
        let outcome = match current {
            None => BulkOutcome::Unknown,
            Some(process) => process.bulk_outcome(
                &request.parts,
                status,
                body,
                self.options.config.failed_items_max,
            ),
        };
        let delay_ms = self.indexer_latency_ms();
        self.record_answer(key, status, &outcome);
        self.schedule.after(
            delay_ms,
            Occurrence::RequestAnswered(key, Box::new(outcome)),
        );
    }

    /// The answer reaches the manager, unless its deadline came first.
    pub(crate) fn tell_outcome(&mut self, key: u64, outcome: BulkOutcome) {
        let Some(request) = self.indexer.requests.get_mut(&key) else {
            return;
        };
        let is_first = !request.answered;
        if is_first
            && matches!(outcome, BulkOutcome::Answered { .. })
            && self.faults.strikes(Fault::CrashBeforeVerdict)
        {
            // The answer is there, and nobody has read it.
            self.crash_process();
            let down_ms = self
                .faults
                .stream(Fault::CrashBeforeVerdict)
                .between(1, 20_000);
            self.schedule.after(down_ms, Occurrence::StartManager);
            return;
        }
        let Some(request) = self.indexer.requests.get_mut(&key) else {
            return;
        };
        if !std::mem::replace(&mut request.answered, true) {
            let (life, shard, bulk) = (request.life, request.shard, request.bulk);
            self.tell_shard(
                life,
                shard,
                inventory_sync_core::manager::Event::BulkDone { bulk, outcome },
            );
        }
        self.bury_request(key);
    }

    fn settle(&mut self, key: u64) {
        if let Some(request) = self.indexer.requests.get_mut(&key) {
            request.settled = true;
        }
    }

    pub(crate) fn bury_request(&mut self, key: u64) {
        if self
            .indexer
            .requests
            .get(&key)
            .is_some_and(|request| request.settled && request.answered)
        {
            self.indexer.requests.remove(&key);
        }
    }

    /// The manager is gone: nobody waits for its requests, and none of them lands later than the bound.
    pub(crate) fn orphan_requests(&mut self) {
        let latest = self.now() + (self.options.config.late_write_bound_ms - 1);
        let orphans: Vec<u64> = self.indexer.requests.keys().copied().collect();
        for key in orphans {
            let is_held_up = self.faults.strikes_often(Fault::WriteLate);
            let left_ms = latest.since(self.schedule.now());
            if let Some(request) = self.indexer.requests.get_mut(&key) {
                request.answered = true;
                if is_held_up {
                    let held_up_ms = late_ms(self.faults.stream(Fault::WriteLate), left_ms);
                    request.not_before = self.schedule.now() + held_up_ms;
                    self.schedule
                        .at(request.not_before, Occurrence::RequestArrives(key));
                }
            }
            self.schedule.at(latest, Occurrence::RequestArrives(key));
            self.bury_request(key);
        }
    }
}

/// When a late write lands: anywhere within the bound, and often at its very ends, where mistakes live.
pub(crate) fn late_ms(stream: &mut crate::streams::Stream, latest_ms: u64) -> u64 {
    match stream.below(8) {
        1 => latest_ms,
        2 => 0,
        _ => stream.between(0, latest_ms),
    }
}
