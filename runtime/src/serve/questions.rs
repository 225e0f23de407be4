//! The coordinator's questions, asked of the Indexer and of the store. Each is answered exactly once.

use std::sync::Arc;

use bytes::Bytes;
use inventory_sync_core::answer::{self, Collector, Page, request};
use inventory_sync_core::coordinator::{
    Command, CountOutcome, Event, HealthOutcome, IndexOutcome, ListingReport, ListingTarget,
    RefreshOutcome, TemplateOutcome, WriteOutcome, WriterOutcome,
};
use inventory_sync_core::document::{Listing, Scheme};
use inventory_sync_core::id::{IndexId, RequestId};
use inventory_sync_core::manager::Unready;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::clock::MonotonicClock;
use super::coordinator::Message;
use super::status::Shared;
use super::{facts, observe};
use crate::config::Config;
use crate::indexer::{Connector, HttpOutcome, HttpRequest};
use crate::store::Store;
use crate::templates::remote::Remote;
use crate::templates::{Basis, Verdict};

/// Documents on one page of a listing.
const PAGE_DOCUMENTS: usize = 5_000;

/// Pages of one listing: beyond it the listing is given up rather than memory.
const PAGES_MAX: usize = 20_000;

/// Asks questions, each in a task of its own.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) config: Arc<Config>,
    pub(super) connector: Arc<Connector>,
    pub(super) scheme: Arc<Scheme>,
    pub(super) store: Arc<Store>,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: MonotonicClock,
}

/// What the Indexer says to what it refuses to do; `None` where it may have done it, or has nothing of that name.
fn refusal(status: u16, body: &[u8]) -> Option<String> {
    let is_refused = (400..=499).contains(&status) && !matches!(status, 404 | 408);
    is_refused.then(|| answer::sentence(status, body))
}

impl Asker {
    /// Asks one question and sends the answer's event.
    pub(super) fn ask(&self, question: Command, answers: mpsc::UnboundedSender<Message>) {
        let asker = self.clone();
        tokio::spawn(async move {
            if let Some(event) = asker.answer(question).await {
                // Nobody waits for it any more when the process ends.
                let _ = answers.send(Message::Event(event));
            }
        });
    }

    /// Lists, and sends what was gathered.
    pub(super) fn list(
        &self,
        request: RequestId,
        indices: Vec<IndexId>,
        targets: Vec<ListingTarget>,
        collectors: Vec<Collector>,
        answers: mpsc::UnboundedSender<Message>,
    ) {
        let asker = self.clone();
        tokio::spawn(async move {
            let started = asker.clock.now();
            observe::listing(request, targets.len());
            let outcome = asker.scroll(&indices, &targets, collectors).await;
            observe::listing_answered(request, asker.clock.now().since(started), &outcome);
            // Nobody waits for it any more when the process ends.
            let _ = answers.send(Message::Listed {
                request,
                targets,
                outcome,
            });
        });
    }

    async fn send(&self, asked: request::Request) -> HttpOutcome {
        let deadline = Instant::now() + self.config.indexer.request_deadline;
        let request = HttpRequest::asked(asked, deadline);
        self.connector.execute(request).await
    }

    /// Status and body, or `None` without an answer.
    async fn read(&self, asked: request::Request) -> Option<(u16, Bytes)> {
        let what = asked.target.clone();
        match self.send(asked).await {
            HttpOutcome::Answer { status, body } => Some((status, body)),
            HttpOutcome::NotSent { reason } | HttpOutcome::Unknown { reason } => {
                tracing::debug!(request = what, %reason, "no answer from the Indexer");
                None
            }
        }
    }

    async fn answer(&self, question: Command) -> Option<Event> {
        let catalogue = self.scheme.catalogue();
        let cluster = self.scheme.cluster();
        Some(match question {
            Command::Health { request } => {
                let outcome = match self.read(request::health()).await {
                    Some((status, body)) => answer::health(status, &body),
                    None => HealthOutcome::Unready(Unready::Unreachable),
                };
                Event::Health { request, outcome }
            }
            Command::CreateWriterIndex { request } => {
                let outcome = self.create(request::create_writer_index()).await;
                if let IndexOutcome::Refused(why) = &outcome {
                    observe::lease_refused(&self.shared, why);
                }
                Event::IndexCreated { request, outcome }
            }
            Command::CreateIndex { request, index } => {
                let outcome = self.create(request::create_index(catalogue, index)).await;
                Event::IndexCreated { request, outcome }
            }
            Command::ReadWriter { request } => {
                let outcome = match self.read(request::read_writer(cluster)).await {
                    Some((status, body)) => {
                        let outcome = answer::writer_read(status, &body);
                        if outcome == WriterOutcome::Unknown {
                            self.lease_refused(refusal(status, &body));
                        }
                        outcome
                    }
                    None => WriterOutcome::Unknown,
                };
                Event::WriterRead { request, outcome }
            }
            Command::WriteWriter {
                request,
                condition,
                document,
            } => {
                let timeout = self.config.indexer.request_timeout.as_millis();
                let timeout_ms = u64::try_from(timeout).unwrap_or(u64::MAX);
                let asked = request::write_writer(cluster, condition, &document, timeout_ms);
                let outcome = match self.read(asked).await {
                    Some((status, body)) => {
                        let outcome = answer::writer_written(status, &body);
                        match outcome {
                            WriteOutcome::Written { .. } => observe::lease_held(&self.shared),
                            WriteOutcome::Refused => self.lease_refused(refusal(status, &body)),
                            WriteOutcome::Conflict | WriteOutcome::Unknown => {}
                        }
                        outcome
                    }
                    None => WriteOutcome::Unknown,
                };
                Event::WriterWritten { request, outcome }
            }
            Command::CheckTemplate { request, index } => {
                let outcome = self.template(catalogue.index_name(index)).await;
                Event::TemplateChecked { request, outcome }
            }
            Command::CountDocuments { request } => Event::Counted {
                request,
                outcome: self.count().await,
            },
            Command::Refresh { request, indices } => {
                let (outcome, refusal) = self.refresh(&indices).await;
                if let Some(why) = refusal {
                    tracing::warn!(why, "a refresh is refused");
                }
                Event::Refreshed { request, outcome }
            }
            Command::Record { request, what } => {
                let store = Arc::clone(&self.store);
                // An fsync: not on a thread that others wait for.
                let done = tokio::task::spawn_blocking(move || facts::record(&store, what)).await;
                let durable = match done {
                    Ok(Ok(())) => true,
                    Ok(Err(error)) => {
                        tracing::error!(%error, "a record is not durable");
                        false
                    }
                    Err(error) => {
                        tracing::error!(%error, "a record is not durable");
                        false
                    }
                };
                Event::Recorded { request, durable }
            }
            Command::List { .. }
            | Command::Tell { .. }
            | Command::Observe(_)
            | Command::Abort { .. }
            | Command::Stopped { .. } => return None,
        })
    }

    async fn create(&self, asked: request::Request) -> IndexOutcome {
        match self.read(asked).await {
            Some((status, body)) => answer::index_created(status, &body),
            None => IndexOutcome::Unknown,
        }
    }

    /// What keeps the lease from being held.
    fn lease_refused(&self, refusal: Option<String>) {
        if let Some(why) = refusal {
            observe::lease_refused(&self.shared, &why);
        }
    }

    /// What became of a refresh, and what the Indexer says where it refuses one.
    async fn refresh(&self, indices: &[IndexId]) -> (RefreshOutcome, Option<String>) {
        let catalogue = self.scheme.catalogue();
        let Some((status, body)) = self.read(request::refresh(catalogue, indices)).await else {
            return (RefreshOutcome::Failed, None);
        };
        if let Some(reached) = answer::refreshed_copies(status, &body) {
            let health = self.read(request::health_of(catalogue, indices)).await;
            if health.is_some_and(|(status, body)| answer::covers_primaries(status, &body, reached))
            {
                return (RefreshOutcome::Done, None);
            }
        }
        match answer::refreshed(status, &body, catalogue, indices) {
            RefreshOutcome::Failed => (RefreshOutcome::Failed, refusal(status, &body)),
            outcome => (outcome, None),
        }
    }

    /// Refreshes and counts each index alone: one that does not exist has no documents.
    async fn count(&self) -> CountOutcome {
        let catalogue = self.scheme.catalogue();
        let mut documents = 0;
        for place in 0..catalogue.indices().len() {
            let Ok(place) = u16::try_from(place) else {
                return CountOutcome::Unknown;
            };
            let index = IndexId(place);
            match self.refresh(&[index]).await {
                // One that does not exist, or is closed, tells by itself when it is counted.
                (RefreshOutcome::Done | RefreshOutcome::Paused { .. }, _) => {}
                (RefreshOutcome::Failed, refusal) => {
                    self.lease_refused(refusal);
                    return CountOutcome::Unknown;
                }
            }
            let asked = request::count(catalogue, index, self.scheme.cluster());
            let Some((status, body)) = self.read(asked).await else {
                return CountOutcome::Unknown;
            };
            match answer::counted(status, &body) {
                CountOutcome::Documents(count) => documents += count,
                CountOutcome::Unknown => {
                    self.lease_refused(refusal(status, &body));
                    return CountOutcome::Unknown;
                }
            }
        }
        CountOutcome::Documents(documents)
    }

    async fn template(&self, index: &str) -> TemplateOutcome {
        let remote = Remote::new(&self.connector, 0, self.config.indexer.request_deadline);
        let reports = match remote.inspect(&[index.to_owned()]).await {
            Ok(reports) => reports,
            Err(error) => {
                tracing::warn!(index, %error, "the index's template cannot be judged");
                return TemplateOutcome::Unknown;
            }
        };
        let Some(report) = reports.into_iter().next() else {
            return TemplateOutcome::Unknown;
        };
        match (report.verdict, &report.basis) {
            (Verdict::Fits, Basis::Index) => TemplateOutcome::IndexFits,
            (Verdict::Fits, Basis::Template(_) | Basis::Nothing) | (Verdict::Unknown, _) => {
                TemplateOutcome::TemplateFits
            }
            (Verdict::Missing, _) => TemplateOutcome::Different(
                "no template: `inventory-sync templates install` makes it".to_owned(),
            ),
            (Verdict::Different, _) => {
                let fields: Vec<String> = report
                    .differences
                    .iter()
                    .take(3)
                    .map(ToString::to_string)
                    .collect();
                TemplateOutcome::Different(format!(
                    "its mapping does not take our documents ({}); `inventory-sync templates diff` \
                     shows all",
                    fields.join(", ")
                ))
            }
        }
    }

    async fn scroll(
        &self,
        indices: &[IndexId],
        targets: &[ListingTarget],
        mut collectors: Vec<Collector>,
    ) -> Result<Vec<Listing>, ListingReport> {
        let catalogue = self.scheme.catalogue();
        let agents: Vec<_> = targets.iter().map(|target| target.agent).collect();
        let mut asked = request::list(
            catalogue,
            indices,
            self.scheme.cluster(),
            &agents,
            PAGE_DOCUMENTS,
        );
        for _ in 0..PAGES_MAX {
            let Some((status, body)) = self.read(asked).await else {
                return Err(ListingReport::Failed);
            };
            match answer::page(status, &body, catalogue, indices, &mut collectors) {
                Page::Hits {
                    scroll_id, hits: 0, ..
                } => {
                    // Whatever the answer, the Indexer frees it after a while.
                    let _ = self.read(request::list_close(&scroll_id)).await;
                    let listings: Vec<Listing> =
                        collectors.into_iter().map(Collector::finish).collect();
                    return Ok(listings);
                }
                Page::Hits {
                    scroll_id, foreign, ..
                } => {
                    if foreign > 0 {
                        tracing::warn!(foreign, "documents that are nobody's are left alone");
                    }
                    asked = request::list_on(&scroll_id);
                }
                Page::Paused { indices } => return Err(ListingReport::Paused { indices }),
                Page::Failed => return Err(ListingReport::Failed),
            }
        }
        Err(ListingReport::Failed)
    }
}
