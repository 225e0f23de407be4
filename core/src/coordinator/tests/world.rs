//! What answers the coordinator's questions in tests: an Indexer with one writer document, and `meta`.

use crate::coordinator::{
    Command, CountOutcome, Event, HealthOutcome, IndexOutcome, ListingReport, Record,
    RefreshOutcome, TemplateOutcome, WriteOutcome, WriterCondition, WriterDocument, WriterOutcome,
};
use crate::id::Version;
use crate::manager::ListingOutcome;

/// What becomes of a write of the writer document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// Compared and set.
    Honest,
    /// Refused, whatever the condition.
    Refused,
    /// Never arrives.
    RequestLost,
    /// Is applied, but nobody hears of it.
    AnswerLost,
}

pub(super) struct World {
    pub(super) health: HealthOutcome,
    pub(super) writer_index: IndexOutcome,
    /// The writer document, and its `_seq_no`.
    pub(super) document: Option<(WriterDocument, u64)>,
    pub(super) seq_no: u64,
    /// Whether reading the writer document is answered.
    pub(super) is_readable: bool,
    pub(super) write: Write,
    pub(super) count: CountOutcome,
    pub(super) templates: Vec<TemplateOutcome>,
    pub(super) create: IndexOutcome,
    pub(super) durable: bool,
    pub(super) bound_in_meta: Version,
    pub(super) refresh: RefreshOutcome,
    /// `None`: complete, ten documents each.
    pub(super) listing: Option<ListingReport>,
}

impl World {
    pub(super) fn new(indices: usize) -> Self {
        Self {
            health: HealthOutcome::Ready,
            writer_index: IndexOutcome::Exists,
            document: None,
            seq_no: 0,
            is_readable: true,
            write: Write::Honest,
            count: CountOutcome::Documents(0),
            templates: vec![TemplateOutcome::IndexFits; indices],
            create: IndexOutcome::Exists,
            durable: true,
            bound_in_meta: Version(0),
            refresh: RefreshOutcome::Done,
            listing: None,
        }
    }

    /// Someone writes the writer document, without asking.
    pub(super) fn put(&mut self, document: WriterDocument) {
        self.seq_no += 1;
        self.document = Some((document, self.seq_no));
    }

    fn write(&mut self, condition: WriterCondition, document: &WriterDocument) -> WriteOutcome {
        match self.write {
            Write::Refused => return WriteOutcome::Refused,
            Write::RequestLost => return WriteOutcome::Unknown,
            Write::Honest | Write::AnswerLost => {}
        }
        let holds = match (condition, &self.document) {
            (WriterCondition::Absent, document) => document.is_none(),
            (WriterCondition::Unchanged { seq_no, .. }, Some((_, at))) => seq_no == *at,
            (WriterCondition::Unchanged { .. }, None) => false,
        };
        if holds {
            self.put(document.clone());
        }
        match (self.write, holds) {
            (Write::AnswerLost, _) => WriteOutcome::Unknown,
            (_, false) => WriteOutcome::Conflict,
            (_, true) => WriteOutcome::Written {
                seq_no: self.seq_no,
                primary_term: 1,
            },
        }
    }

    /// Does what is asked. `None`: it was no question.
    pub(super) fn answer(&mut self, command: &Command) -> Option<Event> {
        let event = match command {
            Command::Health { request } => Event::Health {
                request: *request,
                outcome: self.health,
            },
            Command::CreateWriterIndex { request } => Event::IndexCreated {
                request: *request,
                outcome: self.writer_index.clone(),
            },
            Command::ReadWriter { request } => Event::WriterRead {
                request: *request,
                outcome: match &self.document {
                    _ if !self.is_readable => WriterOutcome::Unknown,
                    None => WriterOutcome::Absent,
                    Some((document, seq_no)) => WriterOutcome::Found {
                        document: document.clone(),
                        seq_no: *seq_no,
                        primary_term: 1,
                    },
                },
            },
            Command::WriteWriter {
                request,
                condition,
                document,
            } => Event::WriterWritten {
                request: *request,
                outcome: self.write(*condition, document),
            },
            Command::CheckTemplate { request, index } => Event::TemplateChecked {
                request: *request,
                outcome: self.templates[usize::from(index.0)].clone(),
            },
            Command::CreateIndex { request, .. } => Event::IndexCreated {
                request: *request,
                outcome: self.create.clone(),
            },
            Command::CountDocuments { request } => Event::Counted {
                request: *request,
                outcome: self.count,
            },
            Command::Refresh { request, .. } => Event::Refreshed {
                request: *request,
                outcome: self.refresh.clone(),
            },
            Command::List {
                request, targets, ..
            } => Event::Listed {
                request: *request,
                report: self.listing.clone().unwrap_or_else(|| {
                    let complete = ListingOutcome::Complete {
                        highest: Version::from_unix_ms(900_000),
                        documents: 10,
                    };
                    ListingReport::Complete {
                        targets: vec![complete; targets.len()],
                    }
                }),
            },
            Command::Record { request, what } => {
                if let (Record::Bound(bound), true) = (what, self.durable) {
                    self.bound_in_meta = *bound;
                }
                Event::Recorded {
                    request: *request,
                    durable: self.durable,
                }
            }
            Command::Tell { .. }
            | Command::Observe(_)
            | Command::Abort { .. }
            | Command::Stopped { .. } => return None,
        };
        Some(event)
    }
}
