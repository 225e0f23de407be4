//! Answers to what the shard asked, and to what it did not.

use inventory_sync_core::answer::{BulkOutcome, PartOutcome, Refusal};
use inventory_sync_core::document::{
    ChunkLoad, DiffSummary, Failure, Failures, Part, PlanSummary, Runs,
};
use inventory_sync_core::id::{BulkId, IndexId, RecordId, SessionId, StageId, Version};
use inventory_sync_core::manager::{Event, ListingOutcome};
use inventory_sync_core::wire::Reason;

use super::{Desk, Question};
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
    /// Answers a question in one of the ways in which the world may.
    pub(super) fn answer(&mut self, question: Question, choices: &mut Choices<'_>) {
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
    pub(super) fn stale(&mut self, choices: &mut Choices<'_>) {
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
}
