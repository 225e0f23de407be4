//! Counters, so that a test can see what reached the Indexer and what did not.

use crate::model::json::Json;
use std::collections::BTreeMap;

/// Counters since the start, or since `DELETE /_inventory/stats`. Requests to the stand-in's own routes do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests that were read whole, whatever became of them.
    pub requests: u64,
    /// Those to `_bulk`.
    pub bulk_requests: u64,
    /// Operations carried out by bulk and document requests, deletes that found nothing included.
    pub items_applied: u64,
    /// Operations refused, by the model or by an injected fault.
    pub items_refused: u64,
    /// Bytes of request bodies.
    pub request_bytes: u64,
    /// Bytes of the bodies of requests to `_bulk`.
    pub bulk_bytes: u64,
    /// All other requests by what they are for.
    pub others: BTreeMap<&'static str, u64>,
    /// Bytes of answers' bodies, whether they arrived or were cut.
    pub answer_bytes: u64,
    /// Answers by status; a connection cut without an answer counts as 0.
    pub answers: BTreeMap<u16, u64>,
    /// How often a fault was injected.
    pub faults_injected: u64,
    /// TLS handshakes that failed.
    pub failed_handshakes: u64,
}

impl Stats {
    /// Counts a request that was read.
    pub fn count(&mut self, method: &str, path: &str, bytes: u64) {
        self.requests += 1;
        self.request_bytes += bytes;
        match kind(method, path) {
            Some(kind) => *self.others.entry(kind).or_default() += 1,
            None => {
                self.bulk_requests += 1;
                self.bulk_bytes += bytes;
            }
        }
    }

    /// The counters as `GET /_inventory/stats` shows them, with the documents there are, and for a sink those of each
    /// index with a sum over them.
    pub fn json(&self, documents: u64, sink: Option<Json>) -> Json {
        let others = self
            .others
            .iter()
            .map(|(kind, count)| ((*kind).to_owned(), Json::int(*count)));
        let answers = self
            .answers
            .iter()
            .map(|(status, count)| (status.to_string(), Json::int(*count)))
            .collect();
        let mut shown = Json::object([
            ("requests", Json::int(self.requests)),
            ("bulk_requests", Json::int(self.bulk_requests)),
            ("items_applied", Json::int(self.items_applied)),
            ("items_refused", Json::int(self.items_refused)),
            ("request_bytes", Json::int(self.request_bytes)),
            ("bulk_bytes", Json::int(self.bulk_bytes)),
            ("other_requests", Json::Object(others.collect())),
            ("documents", Json::int(documents)),
            ("answer_bytes", Json::int(self.answer_bytes)),
            ("answers", Json::Object(answers)),
            ("faults_injected", Json::int(self.faults_injected)),
            ("failed_handshakes", Json::int(self.failed_handshakes)),
        ]);
        if let (Json::Object(members), Some(sink)) = (&mut shown, sink) {
            members.push(("sink".to_owned(), sink));
        }
        shown
    }
}

/// What a request is for; nothing for a bulk request.
fn kind(method: &str, path: &str) -> Option<&'static str> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    Some(match parts.as_slice() {
        [.., "_bulk"] => return None,
        ["_cluster", "health", ..] => "health",
        ["_search", "scroll", ..] if method == "DELETE" => "scroll_close",
        ["_search", "scroll", ..] => "scroll",
        [.., "_search"] => "search",
        [.., "_count"] => "count",
        [.., "_refresh"] => "refresh",
        ["_index_template", ..] => "template",
        [.., "_mapping" | "_mappings" | "_settings"] => "index",
        [_, "_doc" | "_create" | "_source", ..] => "document",
        [name] if !name.starts_with('_') => "index",
        _ => "other",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_they_are_for() {
        let mut stats = Stats::default();
        for (method, path) in [
            ("POST", "/_bulk"),
            ("POST", "/some/_bulk"),
            ("GET", "/_cluster/health/a,b"),
            ("POST", "/a,b/_search"),
            ("POST", "/_search/scroll"),
            ("DELETE", "/_search/scroll"),
            ("PUT", "/a"),
            ("GET", "/"),
        ] {
            stats.count(method, path, 3);
        }
        assert_eq!((stats.requests, stats.bulk_requests), (8, 2));
        assert_eq!((stats.request_bytes, stats.bulk_bytes), (24, 6));
        let kinds: Vec<_> = stats.others.into_iter().collect();
        let once = [
            "health",
            "index",
            "other",
            "scroll",
            "scroll_close",
            "search",
        ];
        assert_eq!(kinds, once.map(|kind| (kind, 1)));
    }
}
