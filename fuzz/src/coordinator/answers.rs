//! Answers to what the coordinator asked, and to what it did not.

use inventory_sync_core::coordinator::{
    Command, CountOutcome, Event, HealthOutcome, IndexOutcome, ListingReport, RefreshOutcome,
    TemplateOutcome, WriteOutcome, WriterOutcome,
};
use inventory_sync_core::id::{IndexId, RequestId, Version};
use inventory_sync_core::manager::{ListingOutcome, Unready};

use super::{Desk, request_of};
use crate::choices::Choices;

impl Desk {
    /// An answer that the world may give.
    pub(super) fn answer(&mut self, question: &Command, choices: &mut Choices<'_>) -> Event {
        let mut event = self.kind_answer(question);
        let how = choices.byte();
        match &mut event {
            Event::Health { outcome, .. } => *outcome = health(how),
            Event::IndexCreated { outcome, .. } => *outcome = created(how),
            Event::TemplateChecked { outcome, .. } => *outcome = template(how),
            Event::WriterRead { outcome, .. } => match how % 6 {
                0 => *outcome = WriterOutcome::Malformed("a word".to_owned()),
                1 | 2 => *outcome = WriterOutcome::Unknown,
                _ => {}
            },
            // Written or not: the answer may be lost. A refusal was applied nowhere.
            Event::WriterWritten { outcome, .. } => *outcome = WriteOutcome::Unknown,
            Event::Counted { outcome, .. } => *outcome = CountOutcome::Unknown,
            Event::Refreshed { outcome, .. } => *outcome = refreshed(how),
            Event::Listed { report, .. } => *report = listed(how, report),
            Event::Recorded { durable, .. } => *durable = false,
            _ => {}
        }
        event
    }

    /// The answer of a world that works.
    pub(super) fn kind_answer(&mut self, question: &Command) -> Event {
        match question {
            Command::Health { request } => Event::Health {
                request: *request,
                outcome: HealthOutcome::Ready,
            },
            Command::CreateWriterIndex { request } | Command::CreateIndex { request, .. } => {
                Event::IndexCreated {
                    request: *request,
                    outcome: IndexOutcome::Exists,
                }
            }
            Command::ReadWriter { request } => Event::WriterRead {
                request: *request,
                outcome: self.indexer.read(),
            },
            Command::WriteWriter {
                request,
                condition,
                document,
            } => Event::WriterWritten {
                request: *request,
                outcome: self.indexer.write(*condition, document),
            },
            Command::CheckTemplate { request, .. } => Event::TemplateChecked {
                request: *request,
                outcome: TemplateOutcome::IndexFits,
            },
            Command::CountDocuments { request } => Event::Counted {
                request: *request,
                outcome: CountOutcome::Documents(self.indexer.documents),
            },
            Command::Refresh { request, .. } => Event::Refreshed {
                request: *request,
                outcome: RefreshOutcome::Done,
            },
            Command::List {
                request, targets, ..
            } => {
                let complete = ListingOutcome::Complete {
                    highest: Version(9),
                    documents: 2,
                };
                Event::Listed {
                    request: *request,
                    report: ListingReport::Complete {
                        targets: vec![complete; targets.len()],
                    },
                }
            }
            Command::Record { request, .. } => Event::Recorded {
                request: *request,
                durable: true,
            },
            other => panic!("{other:?} is no question"),
        }
    }

    /// An answer to what was not asked, or of another kind than was asked for.
    pub(super) fn stray(&mut self, choices: &mut Choices<'_>) {
        let out = self.questions.iter().filter_map(request_of);
        let highest = out.map(|request| request.0).max().unwrap_or(0);
        let request = RequestId(u64::from(choices.below(8)) + highest.saturating_sub(4));
        let how = choices.byte();
        let event = match choices.below(7) {
            0 => Event::Health {
                request,
                outcome: health(how),
            },
            1 => Event::IndexCreated {
                request,
                outcome: created(how),
            },
            2 => Event::TemplateChecked {
                request,
                outcome: template(how),
            },
            3 => Event::WriterWritten {
                request,
                outcome: WriteOutcome::Written {
                    seq_no: 1,
                    primary_term: 1,
                },
            },
            4 => Event::Refreshed {
                request,
                outcome: refreshed(how),
            },
            5 => Event::Listed {
                request,
                report: ListingReport::Failed,
            },
            _ => Event::Recorded {
                request,
                durable: true,
            },
        };
        let asked = self
            .questions
            .iter()
            .find(|question| request_of(question) == Some(request))
            .cloned();
        let is_meant = asked.is_some_and(|question| {
            let meant = self.clone_indexer_answer(&question);
            std::mem::discriminant(&meant) == std::mem::discriminant(&event)
        });
        if !is_meant {
            self.say(event);
        }
    }

    /// What kind of answer a question wants, without the world taking note.
    fn clone_indexer_answer(&mut self, question: &Command) -> Event {
        let before = self.indexer.clone();
        let answer = self.kind_answer(question);
        self.indexer = before;
        answer
    }
}

fn health(how: u8) -> HealthOutcome {
    HealthOutcome::Unready(match how % 7 {
        0 => return HealthOutcome::Ready,
        1 => Unready::Unreachable,
        2 => Unready::Red,
        3 => Unready::Unauthorized,
        4 => Unready::Forbidden,
        5 => Unready::Initializing,
        _ => Unready::Starting,
    })
}

fn created(how: u8) -> IndexOutcome {
    match how % 3 {
        0 => IndexOutcome::Exists,
        1 => IndexOutcome::Refused("no".to_owned()),
        _ => IndexOutcome::Unknown,
    }
}

fn template(how: u8) -> TemplateOutcome {
    match how % 4 {
        0 => TemplateOutcome::IndexFits,
        1 => TemplateOutcome::TemplateFits,
        2 => TemplateOutcome::Different("no".to_owned()),
        _ => TemplateOutcome::Unknown,
    }
}

fn refreshed(how: u8) -> RefreshOutcome {
    match how % 3 {
        0 => RefreshOutcome::Done,
        1 => RefreshOutcome::Paused {
            indices: vec![IndexId(u16::from(how >> 4))],
        },
        _ => RefreshOutcome::Failed,
    }
}

fn listed(how: u8, kind: &ListingReport) -> ListingReport {
    match how % 4 {
        0 => kind.clone(),
        1 => ListingReport::Paused {
            indices: vec![IndexId(u16::from(how >> 4))],
        },
        // Not as many as were asked for.
        2 => ListingReport::Complete {
            targets: vec![ListingOutcome::Failed; usize::from(how >> 6)],
        },
        _ => ListingReport::Failed,
    }
}
