//! What answers behind the server: the model, or the sink.

use crate::model::api::{self, Intercept, Request, Response};
use crate::model::engine::Indexer;
use crate::model::json::Json;
use crate::sink::Sink;

/// What answers.
#[derive(Debug)]
pub enum Engine {
    /// The model: every document is kept.
    Model(Box<Indexer>),
    /// The sink: of a state document its id, version and checksum are kept.
    Sink(Box<Sink>),
}

impl Engine {
    /// The model: all there is, or all but the state documents.
    pub fn indexer(&mut self) -> &mut Indexer {
        match self {
            Engine::Model(indexer) => indexer,
            Engine::Sink(sink) => sink.model(),
        }
    }

    /// Answers one request.
    pub fn handle(
        &mut self,
        now_ms: u64,
        request: &Request<'_>,
        intercept: Intercept<'_>,
    ) -> Response {
        match self {
            Engine::Model(indexer) => api::handle_with(indexer, now_ms, request, intercept),
            Engine::Sink(sink) => sink.handle(now_ms, request, intercept),
        }
    }

    /// The periodic refresh.
    pub fn refresh_due(&mut self, now_ms: u64, default_interval_ms: u64) {
        match self {
            Engine::Model(indexer) => indexer.refresh_due(now_ms, default_interval_ms),
            Engine::Sink(sink) => sink.refresh_due(now_ms, default_interval_ms),
        }
    }

    /// How many documents there are, refreshed or not.
    pub fn documents(&mut self) -> u64 {
        let kept: usize = self
            .indexer()
            .indices()
            .map(|index| index.documents().len())
            .sum();
        let kept = u64::try_from(kept).unwrap_or(u64::MAX);
        match self {
            Engine::Model(_) => kept,
            Engine::Sink(sink) => kept + sink.documents(),
        }
    }

    /// What only a sink can say.
    pub fn sink_json(&self) -> Option<Json> {
        match self {
            Engine::Model(_) => None,
            Engine::Sink(sink) => Some(sink.json()),
        }
    }
}
