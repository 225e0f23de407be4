//! What the Indexer holds of some agents: asked page by page.

use std::time::Duration;

use inventory_sync_core::answer::{self, request};
use inventory_sync_core::config::Catalogue;
use inventory_sync_core::coordinator::RefreshOutcome;
use inventory_sync_core::id::{AgentId, IndexId};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::indexer::{Connector, HttpOutcome, HttpRequest};

/// Attempts of a request that may be repeated.
const ATTEMPTS: u32 = 5;

/// Between two of them.
const PAUSE: Duration = Duration::from_secs(1);

/// Most documents of a page, and about the most bytes.
const PAGE_DOCUMENTS: usize = 5_000;
const PAGE_BYTES: usize = 8 << 20;

/// Why the Indexer could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{request}: {why}")]
pub struct ListingError {
    /// What was asked.
    pub request: String,
    /// Why there is no answer.
    pub why: String,
}

/// One document as it is stored.
#[derive(Debug)]
pub(super) struct Hit<'a> {
    /// The index.
    pub(super) index: &'a str,
    /// The whole id.
    pub(super) id: &'a str,
    /// What was asked for of it.
    pub(super) source: &'a str,
}

/// Asks one Indexer.
pub(super) struct Lister<'a> {
    pub(super) connector: &'a Connector,
    pub(super) deadline: Duration,
    pub(super) catalogue: &'a Catalogue,
    pub(super) cluster: &'a str,
}

#[derive(Deserialize)]
struct Page<'a> {
    _scroll_id: String,
    timed_out: bool,
    _shards: Shards,
    #[serde(borrow)]
    hits: Hits<'a>,
}

#[derive(Deserialize)]
struct Shards {
    failed: u64,
}

#[derive(Deserialize)]
struct Hits<'a> {
    #[serde(borrow)]
    hits: Vec<RawHit<'a>>,
}

#[derive(Deserialize)]
struct RawHit<'a> {
    _index: String,
    _id: String,
    #[serde(borrow)]
    _source: &'a RawValue,
}

impl Lister<'_> {
    /// Makes what was written visible to searches.
    pub(super) async fn refresh(&self, indices: &[IndexId]) -> Result<(), ListingError> {
        let mut why = String::new();
        for _ in 0..ATTEMPTS {
            let asked = request::refresh(self.catalogue, indices);
            let (status, body) = self.ask(asked).await?;
            if let Some(reached) = answer::refreshed_copies(status, &body) {
                let asked = request::health_of(self.catalogue, indices);
                let (status, health) = self.ask(asked).await?;
                if answer::covers_primaries(status, &health, reached) {
                    return Ok(());
                }
            }
            match answer::refreshed(status, &body, self.catalogue, indices) {
                RefreshOutcome::Done => return Ok(()),
                RefreshOutcome::Paused { .. } | RefreshOutcome::Failed => {
                    why = answer::sentence(status, &body);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        let request = request::refresh(self.catalogue, indices).target;
        Err(ListingError { request, why })
    }

    /// Tells every document of these agents in these indices: its ids and checksums, or all of it. A page
    /// that cannot be had ends it: nothing is told twice.
    pub(super) async fn list(
        &self,
        indices: &[IndexId],
        agents: &[AgentId],
        is_whole: bool,
        document_bytes: usize,
        tell: &mut dyn FnMut(Hit<'_>),
    ) -> Result<(), ListingError> {
        let page = if is_whole {
            (PAGE_BYTES / document_bytes.max(1)).clamp(10, PAGE_DOCUMENTS)
        } else {
            PAGE_DOCUMENTS
        };
        let mut asked = request::list(self.catalogue, indices, self.cluster, agents, page);
        if is_whole {
            asked.body = whole(&asked.body);
        }
        loop {
            let request = asked.target.clone();
            let (status, body) = self.ask(asked).await?;
            let failed = |why: String| ListingError {
                request: request.clone(),
                why,
            };
            if status != 200 {
                return Err(failed(answer::sentence(status, &body)));
            }
            let page: Page<'_> = serde_json::from_slice(&body)
                .map_err(|error| failed(format!("the answer is not understood: {error}")))?;
            if page.timed_out || page._shards.failed > 0 {
                return Err(failed("not every shard answered".to_owned()));
            }
            for hit in &page.hits.hits {
                tell(Hit {
                    index: &hit._index,
                    id: &hit._id,
                    source: hit._source.get(),
                });
            }
            if page.hits.hits.is_empty() {
                // Whatever the answer, the Indexer frees it after a while.
                let _ = self.ask(request::list_close(&page._scroll_id)).await;
                return Ok(());
            }
            asked = request::list_on(&page._scroll_id);
        }
    }

    /// Status and body. What may be asked again is tried again: all but the next page of a listing, which
    /// may have been turned.
    async fn ask(&self, asked: request::Request) -> Result<(u16, bytes::Bytes), ListingError> {
        let request = HttpRequest::asked(asked, Instant::now());
        let is_next_page = request.path_and_query == request::list_on("").target;
        let mut why = String::new();
        for _ in 0..ATTEMPTS {
            let deadline = Instant::now() + self.deadline;
            let request = HttpRequest {
                deadline,
                ..request.clone()
            };
            let outcome = self.connector.execute(request).await;
            match outcome {
                HttpOutcome::Answer {
                    status: status @ (429 | 503),
                    body,
                } => why = answer::sentence(status, &body),
                HttpOutcome::Answer { status, body } => return Ok((status, body)),
                HttpOutcome::NotSent { reason } => why = format!("no answer: {reason}"),
                HttpOutcome::Unknown { reason } => {
                    why = format!("no answer: {reason}");
                    if is_next_page {
                        break;
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(ListingError {
            request: request.path_and_query,
            why,
        })
    }
}

/// The same question, for documents as they are.
fn whole(body: &[u8]) -> Vec<u8> {
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(serde_json::Value::Object(mut question)) => {
            question.insert("_source".to_owned(), true.into());
            serde_json::Value::Object(question).to_string().into_bytes()
        }
        _ => body.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_documents_are_asked_for_with_the_same_query() {
        let body = br#"{"_source":["a"],"query":{"x":1},"size":5}"#;
        let text = String::from_utf8(whole(body)).unwrap();
        assert_eq!(text, r#"{"_source":true,"query":{"x":1},"size":5}"#);
    }
}
