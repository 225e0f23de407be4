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
    /// The counters as `GET /_inventory/stats` shows them.
    pub fn json(&self) -> Json {
        let answers = self
            .answers
            .iter()
            .map(|(status, count)| (status.to_string(), Json::int(*count)))
            .collect();
        Json::object([
            ("requests", Json::int(self.requests)),
            ("bulk_requests", Json::int(self.bulk_requests)),
            ("items_applied", Json::int(self.items_applied)),
            ("items_refused", Json::int(self.items_refused)),
            ("request_bytes", Json::int(self.request_bytes)),
            ("answer_bytes", Json::int(self.answer_bytes)),
            ("answers", Json::Object(answers)),
            ("faults_injected", Json::int(self.faults_injected)),
            ("failed_handshakes", Json::int(self.failed_handshakes)),
        ])
    }
}
