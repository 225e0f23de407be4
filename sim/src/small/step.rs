//! One step of a small world.

use std::collections::BTreeMap;

use inventory_sync_core::agent;
use inventory_sync_core::answer::{BulkOutcome, PartOutcome, Refusal};
use inventory_sync_core::document::{Failure, Failures, FrameSummary, Part, Run, Runs};
use inventory_sync_core::id::{AgentId, ConnectionId, IndexId, Peer, SessionId, Version};
use inventory_sync_core::manager::{ConnectionKind, Event, ListingOutcome};
use inventory_sync_core::wire::Reason;

use super::indexer::{Applied, Operation};
use super::world::{Late, Up, World, place};
use super::{Action, Fate, Sometimes};

/// What somebody else writes, and how far above our version.
const FOREIGN_CONTENT: u8 = 99;
const FOREIGN_AHEAD: u64 = 5_000;

impl World {
    /// Takes a step.
    pub(super) fn step(&mut self, action: Action) {
        self.seen.clear();
        if self.is_fault(action) {
            self.faults_left -= 1;
        }
        match action {
            Action::Up(agent) => self.read_up(agent, true),
            Action::RepeatUp(agent) => self.read_up(agent, false),
            Action::Down(agent) => self.read_down(agent, true),
            Action::RepeatDown(agent) => self.read_down(agent, false),
            Action::LoseUp(agent) => {
                self.sides[agent].up.pop_front();
            }
            Action::LoseDown(agent) => {
                self.sides[agent].down.pop_front();
            }
            Action::Stored => self.store(true),
            Action::StoreFails => self.store(false),
            Action::Listed => self.list(true),
            Action::ListingFails => self.list(false),
            Action::Answer(place, fate) => self.answer(place, fate),
            Action::ApplyLate(place) => {
                let late = self.late.remove(place);
                for operation in late.operations {
                    let before = self.indexer.content(operation.key);
                    match self.indexer.apply(operation) {
                        Applied::Conflict(_) => self.seen.push(Sometimes::LateWriteRefused),
                        Applied::Stored if before != operation.content => {
                            self.seen.push(Sometimes::LateWriteApplied);
                        }
                        Applied::Stored => {}
                    }
                }
            }
            Action::ForgetLate(place) => {
                self.late.remove(place);
            }
            Action::TickManager => self.mail.push_back(Event::Tick),
            Action::TickAgent(agent) => self.tell_agent(agent, agent::Event::Tick),
            Action::Pass => {
                if let Some(at) = self.next_deadline() {
                    self.now = self.now.max(at);
                }
            }
            Action::Break(agent) => {
                if let Some(connection) = self.cut(agent) {
                    self.mail.push_back(Event::Closed { connection });
                    self.tell_agent(agent, agent::Event::Disconnected { connection });
                }
            }
            Action::Crash => self.crash(),
        }
        self.deliver_mail();
        self.check_always();
    }

    fn read_up(&mut self, agent: usize, is_last: bool) {
        let side = &mut self.sides[agent];
        let frame = if is_last {
            side.up.pop_front()
        } else {
            side.up.front().cloned()
        };
        let (Some(frame), Some(connection)) = (frame, side.connection) else {
            return;
        };
        let peer = Peer {
            connection,
            agent: AgentId(agent as u64 + 1),
        };
        self.mail.push_back(match frame {
            Up::Start(start) => {
                let mut digest = [0; 16];
                digest[..8].copy_from_slice(&start.nonce.to_le_bytes());
                Event::Start {
                    peer,
                    start,
                    digest,
                }
            }
            Up::Data((session, run)) => Event::Items {
                peer,
                frame: FrameSummary {
                    session,
                    sequences: Runs::from_iter([run]),
                    beyond: None,
                    unknown_operation: None,
                    foreign_element: false,
                    bytes: 100,
                },
                payload: (session, run),
            },
            Up::End(session) => Event::End { peer, session },
        });
    }

    fn read_down(&mut self, agent: usize, is_last: bool) {
        let side = &mut self.sides[agent];
        let answer = if is_last {
            side.down.pop_front()
        } else {
            side.down.front().cloned()
        };
        if let (Some(answer), Some(connection)) = (answer, side.connection) {
            self.tell_agent(agent, agent::Event::Received { connection, answer });
        }
    }

    /// Ends a connection, and loses what is on its way.
    pub(super) fn cut(&mut self, agent: usize) -> Option<ConnectionId> {
        let side = &mut self.sides[agent];
        side.up.clear();
        side.down.clear();
        side.connection.take()
    }

    /// A new connection of an agent.
    pub(super) fn connect(&mut self, agent: usize) {
        if let Some(connection) = self.cut(agent) {
            self.mail.push_back(Event::Closed { connection });
        }
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.sides[agent].connection = Some(connection);
        let kind = ConnectionKind::Agent;
        self.mail.push_back(Event::Opened { connection, kind });
        self.tell_agent(agent, agent::Event::Connected { connection });
    }

    fn store(&mut self, is_stored: bool) {
        let Some((stage, session, rows)) = self.writes.pop_front() else {
            return;
        };
        if !is_stored {
            return self.mail.push_back(Event::StageFailed { stage });
        }
        if let Some(staged) = self.sessions.get_mut(&session) {
            staged.rows.extend(&rows);
        }
        self.mail.push_back(Event::Staged { upto: stage });
    }

    fn list(&mut self, is_listed: bool) {
        let Some(session) = self.listings.pop_front() else {
            return;
        };
        let agent = self.sessions.get(&session).map(|staged| staged.agent);
        let outcome = match agent {
            Some(agent) if is_listed => {
                let (documents, highest) = self.indexer.of(agent);
                self.compare(session, &documents);
                ListingOutcome::Complete {
                    highest,
                    documents: documents.len() as u64,
                }
            }
            _ => ListingOutcome::Failed,
        };
        self.mail.push_back(Event::Listed { session, outcome });
    }

    /// What a Full sends, given what is listed.
    fn compare(&mut self, session: SessionId, listed: &BTreeMap<u8, u8>) {
        let Some(staged) = self.sessions.get(&session) else {
            return;
        };
        let rows = self.scenario.agents[staged.agent][staged.job].rows;
        let mut operations: [Vec<(u8, Option<u8>, u32)>; 3] = Default::default();
        for (seq, row) in (0..).zip(rows) {
            if listed.get(&row.document).copied() == row.content {
                self.seen.push(Sometimes::Unchanged);
            } else {
                operations[0].push((row.document, row.content, seq));
            }
        }
        let is_in_set = |document: &u8| rows.iter().any(|row| row.document == *document);
        for document in listed.keys().filter(|document| !is_in_set(document)) {
            self.seen.push(Sometimes::Removed);
            operations[2].push((*document, None, u32::MAX));
        }
        if let Some(staged) = self.sessions.get_mut(&session) {
            staged.operations = operations;
        }
    }

    /// The operations of a part, with their ordinals.
    pub(super) fn operations(&self, part: &Part) -> Vec<(u32, Operation, u32)> {
        let Some(staged) = self.sessions.get(&part.session) else {
            return Vec::new();
        };
        let of_class = &staged.operations[place(part.class)];
        let agent = usize::try_from(part.agent.0).unwrap_or(0).wrapping_sub(1);
        part.ordinals
            .iter()
            .filter_map(|ordinal| {
                let (document, content, seq) = *of_class.get(ordinal as usize)?;
                let operation = Operation {
                    key: (agent, document),
                    content,
                    version: part.version,
                };
                Some((ordinal, operation, seq))
            })
            .collect()
    }

    fn answer(&mut self, place: usize, fate: Fate) {
        let (bulk, parts) = self.bulks.remove(place);
        let until = self.now + self.config.late_write_bound_ms;
        let operations: Vec<Vec<(u32, Operation, u32)>> =
            parts.iter().map(|part| self.operations(part)).collect();
        let all = || {
            operations
                .iter()
                .flatten()
                .map(|(_, operation, _)| *operation)
        };
        if fate == Fate::Foreign
            && let Some(first) = all().next()
        {
            self.is_foreign = true;
            self.indexer.apply(Operation {
                content: Some(FOREIGN_CONTENT),
                version: Version(first.version.0 + FOREIGN_AHEAD),
                ..first
            });
        }
        let outcome = match fate {
            Fate::Stored | Fate::RefusesFirst | Fate::FirstUnknown | Fate::Foreign => {
                let mut answers = Vec::new();
                let mut is_first = matches!(fate, Fate::RefusesFirst | Fate::FirstUnknown);
                for (part, operations) in parts.iter().zip(&operations) {
                    let mut answer = PartOutcome::default();
                    for (ordinal, operation, seq) in operations {
                        let is_spared = !std::mem::take(&mut is_first);
                        let one = Runs::from_iter([Run::one(*ordinal)]);
                        if is_spared {
                            self.apply(*operation, &one, &mut answer);
                        } else if fate == Fate::FirstUnknown {
                            answer.unknown.extend(&one);
                            let operations = vec![*operation];
                            self.late.push(Late { until, operations });
                        } else {
                            answer.refused.push((IndexId(0), one));
                            answer.failures = refusal(*seq);
                            if let Some(staged) = self.sessions.get_mut(&part.session) {
                                staged.refused.insert(operation.key.1);
                            }
                        }
                    }
                    answers.push(answer);
                }
                BulkOutcome::Answered { parts: answers }
            }
            Fate::Overloaded => BulkOutcome::Refused {
                refusal: Refusal::Overloaded,
                status: 429,
                detail: String::new(),
            },
            Fate::AnswerLost => {
                for operation in all() {
                    self.indexer.apply(operation);
                }
                BulkOutcome::Unknown
            }
            Fate::RequestLost => BulkOutcome::Unknown,
            Fate::Late => {
                let operations = all().collect();
                self.late.push(Late { until, operations });
                BulkOutcome::Unknown
            }
        };
        self.mail.push_back(Event::BulkDone { bulk, outcome });
    }

    fn apply(&mut self, operation: Operation, one: &Runs, answer: &mut PartOutcome) {
        match self.indexer.apply(operation) {
            Applied::Stored => match answer.stored.first_mut() {
                Some((_, count)) => *count += 1,
                None => answer.stored.push((IndexId(0), 1)),
            },
            Applied::Conflict(version) => {
                answer.conflicts.extend(one);
                answer.conflict_version = version;
            }
        }
    }

    /// The process dies: what was on its way to the Indexer may come late, and connections break.
    fn crash(&mut self) {
        if !self.sessions.is_empty() {
            self.seen.push(Sometimes::CrashedInSession);
        }
        let until = self.now + self.config.late_write_bound_ms;
        for (_, parts) in std::mem::take(&mut self.bulks) {
            let of_part = parts.iter().flat_map(|part| self.operations(part));
            let operations = of_part.map(|(_, operation, _)| operation).collect();
            self.late.push(Late { until, operations });
        }
        self.life += 1;
        self.manager = Self::new_manager(self.life);
        self.sessions.clear();
        self.opened.clear();
        self.writes.clear();
        self.listings.clear();
        self.start_manager();
        for agent in 0..self.sides.len() {
            if let Some(connection) = self.cut(agent) {
                self.tell_agent(agent, agent::Event::Disconnected { connection });
            }
        }
    }
}

fn refusal(seq: u32) -> Failures {
    if seq == u32::MAX {
        return Failures::default();
    }
    Failures {
        lowest: vec![Failure {
            seq,
            status: 400,
            kind: "mapper_parsing_exception".to_owned(),
            reason: Reason::IndexerRejected,
            retryable: false,
            detail: String::new(),
        }],
        total: 1,
    }
}
