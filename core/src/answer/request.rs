//! The requests whose answers are read here, so that runtime and simulator send the same ones.

use std::fmt::Write as _;

use serde_json::json;

use super::writer::render_writer;
use crate::config::Catalogue;
use crate::coordinator::{WriterCondition, WriterDocument};
use crate::id::{AgentId, IndexId};

/// The index of the writer document.
pub const WRITER_INDEX: &str = "inventory-sync-writer";

/// Most documents on a page of a listing: more is refused by the Indexer.
pub const PAGE_MAX: usize = 10_000;

/// How long the Indexer keeps a listing's snapshot between two pages.
const SCROLL_KEPT: &str = "1m";

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET
    Get,
    /// PUT
    Put,
    /// POST
    Post,
    /// DELETE
    Delete,
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// `application/json`
    Json,
    /// `application/x-ndjson`
    Ndjson,
}

impl Method {
    /// The method as HTTP writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

impl Content {
    /// The value of `Content-Type`.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// A request, but for the host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query, percent-encoded.
    pub target: String,
    /// What the body is; meaningless without one.
    pub content: Content,
    /// The body; empty for none.
    pub body: Vec<u8>,
}

impl Request {
    fn new(method: Method, target: String, body: &[u8]) -> Self {
        Self {
            method,
            target,
            content: Content::Json,
            body: body.to_vec(),
        }
    }
}

/// `GET /_cluster/health`. Read by [`health`](super::health).
#[must_use]
pub fn health() -> Request {
    Request::new(Method::Get, "/_cluster/health".to_owned(), b"")
}

/// A bulk request, still without its body, which [`render`](crate::document::render) writes. `timeout_ms` is
/// the Indexer's own limit, below our deadline. The answer is cut to what [`bulk`](super::bulk) reads; the
/// status of every item stays, for positions count.
#[must_use]
pub fn bulk(timeout_ms: u64) -> Request {
    Request {
        method: Method::Post,
        target: format!(
            "/_bulk?timeout={timeout_ms}ms&filter_path=took,errors,items.*.status,items.*.error.type,items.*.error.reason"
        ),
        content: Content::Ndjson,
        body: Vec::new(),
    }
}

/// The explicit creation of the writer index. Read by [`index_created`](super::index_created).
#[must_use]
pub fn create_writer_index() -> Request {
    let body = json!({
        "settings": {"index": {"number_of_shards": 1}},
        "mappings": {
            "dynamic": "strict",
            "properties": {
                "writer": {"type": "keyword"},
                "nonce": {"type": "keyword"},
                "bound": {"type": "long"},
            },
        },
    });
    Request::new(
        Method::Put,
        format!("/{WRITER_INDEX}"),
        body.to_string().as_bytes(),
    )
}

/// Reads the writer document, realtime. Read by [`writer_read`](super::writer_read).
#[must_use]
pub fn read_writer(cluster: &str) -> Request {
    Request::new(
        Method::Get,
        format!("/{WRITER_INDEX}/_doc/{}", encoded(cluster)),
        b"",
    )
}

/// Writes the writer document by compare-and-set. Read by [`writer_written`](super::writer_written).
#[must_use]
pub fn write_writer(
    cluster: &str,
    condition: WriterCondition,
    document: &WriterDocument,
    timeout_ms: u64,
) -> Request {
    let condition = match condition {
        WriterCondition::Absent => "op_type=create".to_owned(),
        WriterCondition::Unchanged {
            seq_no,
            primary_term,
        } => {
            format!("if_seq_no={seq_no}&if_primary_term={primary_term}")
        }
    };
    Request::new(
        Method::Put,
        format!(
            "/{WRITER_INDEX}/_doc/{}?{condition}&timeout={timeout_ms}ms",
            encoded(cluster)
        ),
        &render_writer(document),
    )
}

/// Creates an index as its template says. Read by [`index_created`](super::index_created).
#[must_use]
pub fn create_index(catalogue: &Catalogue, index: IndexId) -> Request {
    Request::new(Method::Put, format!("/{}", names(catalogue, &[index])), b"")
}

/// Refreshes indices. Read by [`refreshed`](super::refreshed).
#[must_use]
pub fn refresh(catalogue: &Catalogue, indices: &[IndexId]) -> Request {
    Request::new(
        Method::Post,
        format!("/{}/_refresh", names(catalogue, indices)),
        b"",
    )
}

/// The health of these indices alone. Read by [`covers_primaries`](super::covers_primaries).
#[must_use]
pub fn health_of(catalogue: &Catalogue, indices: &[IndexId]) -> Request {
    let target = format!("/_cluster/health/{}", names(catalogue, indices));
    Request::new(Method::Get, target, b"")
}

/// Counts this cluster's documents in one index. Read by [`counted`](super::counted).
#[must_use]
pub fn count(catalogue: &Catalogue, index: IndexId, cluster: &str) -> Request {
    let body = json!({"query": {"bool": {"filter": [{"term": {"wazuh.cluster.name": cluster}}]}}});
    Request::new(
        Method::Post,
        format!("/{}/_count", names(catalogue, &[index])),
        body.to_string().as_bytes(),
    )
}

/// Begins the listing of these agents' documents. Read by [`page`](super::page).
#[must_use]
pub fn list(
    catalogue: &Catalogue,
    indices: &[IndexId],
    cluster: &str,
    agents: &[AgentId],
    page: usize,
) -> Request {
    let agents: Vec<String> = agents
        .iter()
        .map(|agent| format!("{:03}", agent.0))
        .collect();
    let body = json!({
        "size": page.clamp(1, PAGE_MAX),
        "sort": ["_doc"],
        "version": true,
        "_source": ["checksum.hash.sha1", "wazuh"],
        "query": {"bool": {"filter": [
            {"term": {"wazuh.cluster.name": cluster}},
            {"terms": {"wazuh.agent.id": agents}},
        ]}},
    });
    Request::new(
        Method::Post,
        format!(
            "/{}/_search?scroll={SCROLL_KEPT}&allow_partial_search_results=false",
            names(catalogue, indices)
        ),
        body.to_string().as_bytes(),
    )
}

/// The next page of a listing. Read by [`page`](super::page).
#[must_use]
pub fn list_on(scroll_id: &str) -> Request {
    let body = json!({"scroll": SCROLL_KEPT, "scroll_id": scroll_id});
    Request::new(
        Method::Post,
        "/_search/scroll".to_owned(),
        body.to_string().as_bytes(),
    )
}

/// Frees a listing's snapshot. Whatever the answer, it is freed after a while.
#[must_use]
pub fn list_close(scroll_id: &str) -> Request {
    let body = json!({"scroll_id": [scroll_id]});
    Request::new(
        Method::Delete,
        "/_search/scroll".to_owned(),
        body.to_string().as_bytes(),
    )
}

/// Names of indices for a path, separated by commas.
fn names(catalogue: &Catalogue, indices: &[IndexId]) -> String {
    let names: Vec<String> = indices
        .iter()
        .map(|index| encoded(catalogue.index_name(*index)))
        .collect();
    names.join(",")
}

/// A text as one segment of a path.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests;
