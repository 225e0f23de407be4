//! From choices to events.

use inventory_sync_core::answer::{BulkOutcome, PartOutcome, Refusal};
use inventory_sync_core::document::{
    ChunkLoad, DiffSummary, Failure, Failures, FrameSummary, Part, PlanSummary, Run, Runs,
};
use inventory_sync_core::id::{
    AgentId, BulkId, ConnectionId, IndexId, NO_SESSION, Peer, RecordId, SessionId, StageId, Version,
};
use inventory_sync_core::manager::{
    AgentFloor, ConnectionKind, Event, FrameFlaw, Health, IndexState, ListingOutcome, Unready,
};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire::{AgentInfo, Hello, Mode, Reason, Start};

use super::{Desk, Question, UNIX_MS};
use crate::choices::Choices;

/// Bytes that an operation is said to take.
const OPERATION_BYTES: u64 = 100;

/// A plan of two frames, all of one index, with so many items set aside.
pub(super) fn plan(upserts: u32, deletes: u32, failed: u32, index: u16) -> PlanSummary {
    let second = upserts / 2;
    let load = |upserts: u32, deletes: u32| ChunkLoad {
        upserts,
        upsert_bytes: u64::from(upserts) * OPERATION_BYTES,
        deletes,
        delete_bytes: u64::from(deletes) * OPERATION_BYTES,
    };
    let count = u64::from(upserts) + u64::from(deletes);
    PlanSummary {
        chunks: vec![load(upserts - second, deletes), load(second, 0)],
        operations: (count > 0)
            .then_some((IndexId(index), count))
            .into_iter()
            .collect(),
        failures: failures(failed, Reason::InvalidPayload),
    }
}

/// A diff of one frame, all of one index.
pub(super) fn diff(upserts: u32, removals: u32, index: u16) -> DiffSummary {
    let PlanSummary {
        chunks, operations, ..
    } = plan(upserts, removals, 0, index);
    let no_deletes = |chunk: ChunkLoad| ChunkLoad {
        deletes: 0,
        delete_bytes: 0,
        ..chunk
    };
    DiffSummary {
        chunks: chunks.into_iter().map(no_deletes).collect(),
        removals,
        removal_bytes: u64::from(removals) * OPERATION_BYTES,
        operations,
        unchanged: 1,
    }
}

fn failures(count: u32, reason: Reason) -> Failures {
    let failure = |seq| Failure {
        seq,
        status: 400,
        kind: "mapper_parsing_exception".to_owned(),
        reason,
        retryable: false,
        detail: "fałsz ".repeat(60),
    };
    Failures {
        lowest: (0..count.min(2)).map(failure).collect(),
        total: u64::from(count),
    }
}

pub(super) fn all_stored(parts: &[Part]) -> BulkOutcome {
    let stored = |part: &Part| PartOutcome {
        stored: vec![(IndexId(0), part.ordinals.count())],
        ..PartOutcome::default()
    };
    BulkOutcome::Answered {
        parts: parts.iter().map(stored).collect(),
    }
}

impl Desk {
    /// One event, or one answer.
    pub(super) fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(32) {
            0..=3 => self.start(choices),
            4..=7 => self.items(choices),
            8..=10 => {
                let (peer, session) = self.peer_and_session(choices);
                self.say(Event::End { peer, session });
            }
            11..=18 => {
                if let Some(place) = choices.place(self.questions.len()) {
                    let question = self.questions.remove(place);
                    self.answer(question, choices);
                }
            }
            19 | 20 => {
                if let Some(question) = self.questions.pop() {
                    self.answer_kindly(question);
                }
            }
            21 => self.stale(choices),
            22 | 23 => {
                let pass_ms = *choices.pick(&[1, 10, 300, 5_000, 12_000, 31_000, 130_000]);
                self.until(self.now + pass_ms);
            }
            24 => {
                if let Some((at, _)) = self.manager.next_deadline() {
                    self.until(at);
                }
            }
            25 => self.tick_early(),
            26 | 27 => self.slice(choices),
            28 => match choices.below(4) {
                0 => self.open(ConnectionKind::Agent),
                1 => self.open(ConnectionKind::Relay),
                _ => {
                    let connection = ConnectionId(u64::from(choices.below(6)) + 1);
                    self.say(Event::Closed { connection });
                }
            },
            29 => self.bad_frame(choices),
            30 => {
                // A clock that goes back counts as one that stands.
                let now = self.now;
                self.now = Tick(now.0 / 2);
                self.say_at_an_earlier_time(now);
            }
            _ => {
                if choices.rarely(8) {
                    self.say(Event::Shutdown);
                }
            }
        }
    }

    fn say_at_an_earlier_time(&mut self, now: Tick) {
        let mut out = Vec::new();
        let early = std::mem::replace(&mut self.now, now);
        self.manager.handle(early, Event::Tick, &mut out);
        self.manager.check_invariants();
        assert!(out.is_empty(), "an early tick causes {out:?}");
    }

    /// Mostly an agent by its own connection, and a session that was opened.
    fn peer_and_session(&mut self, choices: &mut Choices<'_>) -> (Peer, SessionId) {
        let opened = self.books.opened();
        let session = match choices.place(opened.len() + 2) {
            Some(0) | None => opened.last().copied().unwrap_or(NO_SESSION),
            Some(1) => *choices.pick(&[NO_SESSION, SessionId(0), SessionId(1)]),
            Some(place) => opened[place - 2],
        };
        let peer = match self.books.peer_of(session) {
            Some(peer) if !choices.rarely(6) => peer,
            _ => self.any_peer(choices),
        };
        (peer, session)
    }

    /// Mostly an agent by its own connection; always by one that was accepted, open or not.
    fn any_peer(&self, choices: &mut Choices<'_>) -> Peer {
        let agent = u64::from(choices.below(3)) + 1;
        let connection = match choices.below(8) {
            0..=4 => agent,
            other => u64::from(other) - 2,
        };
        Peer {
            connection: ConnectionId(connection.min(self.connections)),
            agent: AgentId(agent),
        }
    }

    fn start(&mut self, choices: &mut Choices<'_>) {
        let peer = self.any_peer(choices);
        let mode = *choices.pick(&[
            Some(Mode::Delta),
            Some(Mode::Full),
            Some(Mode::Full),
            Some(Mode::Delta),
            Some(Mode::Check),
            None,
        ]);
        let incarnation = u64::from(choices.below(2)) + 1;
        let nonce = match choices.below(7) {
            0 => 0,
            counter => incarnation << 32 | u64::from(counter),
        };
        let known = ["packages", "ports", "sca"].map(str::to_owned);
        let ahead_ms = *choices.pick(&[0, 1_000, 90_000_000, 200_000_000]);
        let odd = choices.byte();
        let start = Start {
            mode,
            size: *choices.pick(&[1, 2, 0, 3, 5, 9, 13, u64::MAX, 1 << 32]),
            module: (*choices.pick(&["syscollector", "syscollector", "sca", "nobody"])).to_owned(),
            agent_id: if odd & 15 == 15 { 9 } else { peer.agent.0 },
            protocol_version: *choices.pick(&[1, 1, 1, 0, u16::MAX]),
            nonce,
            indices: match odd >> 4 & 3 {
                0 | 1 => Vec::new(),
                2 => known[..usize::from(odd & 3)].to_vec(),
                _ => known.to_vec(),
            },
            agent: (odd & 16 > 0).then(AgentInfo::default),
            cluster_name: match odd >> 6 {
                0 => "wazuh".to_owned(),
                3 => "other".to_owned(),
                _ => String::new(),
            },
            version_floor: match odd & 7 {
                0..=4 => 0,
                5 => u64::MAX,
                _ => Version::from_unix_ms(UNIX_MS + self.now.0 + ahead_ms).0,
            },
            id_from: (odd & 63 == 63).then(|| "a".to_owned()),
            ..Start::default()
        };
        self.say(Event::Start {
            peer,
            start: Box::new(start),
            digest: [choices.below(2); 16],
        });
    }

    fn items(&mut self, choices: &mut Choices<'_>) {
        let (peer, session) = self.peer_and_session(choices);
        let mut sequences: Runs = self.books.missing(session);
        match choices.below(8) {
            0..=3 => {}
            4 => sequences = sequences.take_lowest(1),
            5 => {
                let first = u32::from(choices.below(14));
                sequences.insert(Run::new(first, first + u32::from(choices.below(3))));
            }
            6 => {
                let first = u32::from(choices.below(14));
                sequences = Runs::from_iter([Run::one(first), Run::one(first + 2)]);
            }
            _ => sequences = Runs::from_iter([Run::one(*choices.pick(&[u32::MAX, 0, 9]))]),
        }
        let odd = choices.byte();
        let frame = FrameSummary {
            session,
            beyond: (odd == 255).then_some(1 << 32),
            unknown_operation: (odd == 254).then_some(1),
            foreign_element: odd == 253,
            bytes: *choices.pick(&[100, 1_000, 4_000, 0]),
            sequences,
        };
        self.say(Event::Items {
            peer,
            frame,
            payload: 0,
        });
    }

    fn answer(&mut self, question: Question, choices: &mut Choices<'_>) {
        match question {
            Question::Stage(stage) if choices.rarely(4) => self.say(Event::StageFailed { stage }),
            Question::Plan { session, full } => {
                let how = choices.byte();
                let deletes = if full { 0 } else { u32::from(how >> 3 & 3) };
                let failed = u32::from(how >> 5).saturating_sub(4);
                let index = self.books.index_of(session);
                let plan = plan(u32::from(how & 7), deletes, failed, index);
                let plan = (how != 255).then(|| Box::new(plan));
                self.say(Event::Planned { session, plan });
            }
            Question::Listing(session) => {
                let outcome = match choices.below(4) {
                    0 | 1 => ListingOutcome::Complete {
                        highest: Version(*choices.pick(&[0, 1 << 30, 1 << 62, u64::MAX])),
                        documents: 1,
                    },
                    2 => ListingOutcome::Paused {
                        indices: vec![IndexId(self.books.index_of(session)), IndexId(77)],
                    },
                    _ => ListingOutcome::Failed,
                };
                self.say(Event::Listed { session, outcome });
            }
            Question::Diff(session) => {
                let how = choices.byte();
                let index = self.books.index_of(session);
                let diff = diff(u32::from(how & 3), u32::from(how >> 2 & 3), index);
                let diff = (how != 255).then(|| Box::new(diff));
                self.say(Event::Diffed { session, diff });
            }
            Question::Bulk { bulk, parts } => {
                let outcome = self.outcome(&parts, choices);
                self.say(Event::BulkDone { bulk, outcome });
            }
            Question::Record(record) if choices.rarely(2) => {
                self.say(Event::RecordFailed { record });
            }
            Question::Refusals(session) if choices.rarely(2) => {
                let held = vec![IndexId(self.books.index_of(session)), IndexId(77)];
                self.say(Event::RefusalsJudged { session, held });
            }
            Question::Stage(_) | Question::Record(_) | Question::Refusals(_) => {
                self.answer_kindly(question);
            }
        }
    }

    fn outcome(&self, parts: &[Part], choices: &mut Choices<'_>) -> BulkOutcome {
        let refused = |refusal| BulkOutcome::Refused {
            refusal,
            status: 400,
            detail: "no".to_owned(),
        };
        match choices.below(16) {
            0..=2 => all_stored(parts),
            3 | 4 => BulkOutcome::Unknown,
            5 => BulkOutcome::NotSent,
            6 => refused(Refusal::TooLarge),
            7 => refused(Refusal::Overloaded),
            8 => refused(Refusal::Malformed),
            9 => refused(*choices.pick(&[Refusal::Unauthorized, Refusal::Forbidden])),
            10 => BulkOutcome::ReadFailed { parts: vec![0, 9] },
            // Not as many parts as were sent.
            11 => BulkOutcome::Answered { parts: Vec::new() },
            _ => BulkOutcome::Answered {
                parts: parts
                    .iter()
                    .map(|part| self.part_outcome(part, choices))
                    .collect(),
            },
        }
    }

    /// Each operation has one verdict: the ordinals are cut into pieces, and each piece gets one.
    fn part_outcome(&self, part: &Part, choices: &mut Choices<'_>) -> PartOutcome {
        let index = IndexId(self.books.index_of(part.session));
        let mut outcome = PartOutcome::default();
        let mut rest = part.ordinals.clone();
        let add = |list: &mut Vec<(IndexId, Runs)>, piece: &Runs| match list.first_mut() {
            Some((_, runs)) => runs.extend(piece),
            None => list.push((index, piece.clone())),
        };
        while !rest.is_empty() {
            let piece = rest.take_lowest(u64::from(choices.below(4)) + 1);
            match choices.below(12) {
                0..=3 => match outcome.stored.first_mut() {
                    Some((_, count)) => *count += piece.count(),
                    None => outcome.stored.push((index, piece.count())),
                },
                4 => add(&mut outcome.overloaded, &piece),
                5 => add(&mut outcome.blocked, &piece),
                6 => add(&mut outcome.missing, &piece),
                7 => add(&mut outcome.forbidden, &piece),
                8 | 9 => outcome.unknown.extend(&piece),
                10 => {
                    add(&mut outcome.refused, &piece);
                    let count = u32::try_from(piece.count()).unwrap_or(u32::MAX);
                    outcome.failures.total += u64::from(count);
                    let more = failures(count, Reason::IndexerRejected);
                    outcome.failures.lowest.extend(more.lowest);
                }
                _ => {
                    outcome.conflicts.extend(&piece);
                    outcome.conflict_version =
                        Version(*choices.pick(&[0, 1 << 31, (1 << 62) - 1, 1 << 62, 1 << 63]));
                }
            }
        }
        outcome
    }

    /// Answers that nobody waits for.
    fn stale(&mut self, choices: &mut Choices<'_>) {
        let (_, session) = self.peer_and_session(choices);
        let event = match choices.below(8) {
            0 => Event::Staged { upto: StageId(0) },
            1 => Event::StageFailed {
                stage: StageId(self.stages + 1),
            },
            2 if !self.asked_plan(session) => Event::Planned {
                session,
                plan: Some(Box::new(plan(2, 1, 0, 0))),
            },
            3 if !self.asked_listing(session) => Event::Listed {
                session,
                outcome: ListingOutcome::Failed,
            },
            4 if !self.asked_diff(session) => Event::Diffed {
                session,
                diff: None,
            },
            5 => Event::BulkDone {
                bulk: BulkId(u64::MAX),
                outcome: BulkOutcome::Unknown,
            },
            6 if !self.asked_refusals(session) => Event::RefusalsJudged {
                session,
                held: vec![IndexId(0)],
            },
            _ => Event::Recorded {
                record: RecordId(u64::MAX),
            },
        };
        self.say(event);
    }

    fn asked_plan(&self, id: SessionId) -> bool {
        let is_it =
            |asked: &Question| matches!(asked, Question::Plan { session, .. } if *session == id);
        self.questions.iter().any(is_it)
    }

    fn asked_listing(&self, id: SessionId) -> bool {
        let is_it =
            |asked: &Question| matches!(asked, Question::Listing(session) if *session == id);
        self.questions.iter().any(is_it)
    }

    fn asked_diff(&self, id: SessionId) -> bool {
        let is_it = |asked: &Question| matches!(asked, Question::Diff(session) if *session == id);
        self.questions.iter().any(is_it)
    }

    fn asked_refusals(&self, id: SessionId) -> bool {
        let is_it =
            |asked: &Question| matches!(asked, Question::Refusals(session) if *session == id);
        self.questions.iter().any(is_it)
    }

    /// A slice of the coordinator.
    fn slice(&mut self, choices: &mut Choices<'_>) {
        let unix_ms = UNIX_MS + self.now.0;
        let index = IndexId(u16::from(choices.below(4)));
        let event = match choices.below(9) {
            0..=2 => Event::IndexChanged {
                index,
                state: match choices.below(5) {
                    0 | 1 => IndexState::Open,
                    2 => IndexState::NotReady,
                    3 => IndexState::Held,
                    _ => IndexState::Paused {
                        until: self.now + *choices.pick(&[0, 100, 40_000]),
                    },
                },
            },
            3 => Event::Health {
                health: match choices.below(3) {
                    0 => Health::Ready,
                    1 => Health::Unready(Unready::Red),
                    _ => Health::Unready(Unready::NoLease),
                },
            },
            4 => Event::LeaseUntil {
                until: *choices.pick(&[Tick::NEVER, self.now, self.now + 20_000]),
            },
            5 => Event::WallClock {
                unix_ms: *choices.pick(&[unix_ms, 0, unix_ms / 2, unix_ms + 90_000_000]),
            },
            6 => Event::BoundRaised {
                bound: Version::from_unix_ms(unix_ms + *choices.pick(&[60_000, 0, 300_000_000])),
            },
            7 => Event::QuotaSlice {
                items: *choices.pick(&[64_000_000, 3, 0]),
                bytes: *choices.pick(&[64 << 30, 5_000, 0]),
            },
            _ => match choices.below(4) {
                0 | 1 => Event::TaintAll {
                    until: self.now + 30_000,
                },
                2 => Event::ClockFloor {
                    floor: Version::from_unix_ms(unix_ms + 1_000),
                },
                _ => {
                    let floor = Version::from_unix_ms(unix_ms + *choices.pick(&[5, 1 << 40]));
                    let bound = Version(floor.0 + (60_000 << 10));
                    let agent = AgentId(u64::from(choices.below(3)) + 1);
                    let floors = vec![AgentFloor {
                        agent,
                        floor,
                        bound,
                    }];
                    Event::Floors { floors }
                }
            },
        };
        self.say(event);
    }

    fn bad_frame(&mut self, choices: &mut Choices<'_>) {
        let peer = self.any_peer(choices);
        let event = match choices.below(4) {
            0 => Event::Hello {
                peer,
                hello: Box::new(Hello::default()),
            },
            1 => Event::BadFrame {
                peer,
                flaw: FrameFlaw::UnknownMember(choices.byte()),
            },
            2 => Event::BadFrame {
                peer,
                flaw: FrameFlaw::WrongDirection,
            },
            _ => Event::BadFrame {
                peer,
                flaw: FrameFlaw::Unverifiable,
            },
        };
        self.say(event);
    }
}
