//! Asks the stand-in, over HTTPS as anybody would.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::DemoError;
use super::place::Place;
use crate::config::{Config, Need, Sources};
use crate::indexer::{Connector, HttpOutcome, HttpRequest, JSON, Method};

/// From a question to its answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// A connection to the stand-in's search.
pub(super) struct Search {
    connector: Connector,
    runtime: Runtime,
}

impl Search {
    /// With what the daemon's configuration says of the Indexer.
    pub(super) fn new(place: &Place) -> Result<Self, DemoError> {
        let sources = Sources {
            file: Some(place.config()),
            ossec_conf: None,
            environment: Vec::new(),
            set: Vec::new(),
        };
        let config = Config::load(&sources, Need::Indexer)
            .map_err(|errors| DemoError::new(errors.to_string()))?;
        let connector =
            Connector::new(&config.indexer).map_err(|error| DemoError::new(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| {
                DemoError::new(format!("the network cannot be waited for: {error}"))
            })?;
        Ok(Self { connector, runtime })
    }

    /// Sends a request and reads its answer.
    pub(super) fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json>,
    ) -> Result<Json, DemoError> {
        let failed = |what: String| {
            DemoError::new(format!(
                "the stand-in did not answer {} {path}: {what}",
                method.name()
            ))
        };
        let outcome = self.runtime.block_on(async {
            self.connector
                .execute(HttpRequest {
                    host_index: 0,
                    method,
                    path_and_query: path.to_owned(),
                    body: body
                        .map(|body| Bytes::from(body.to_string()))
                        .into_iter()
                        .collect(),
                    content_type: JSON,
                    deadline: Instant::now() + DEADLINE,
                    not_after: None,
                })
                .await
        });
        match outcome {
            HttpOutcome::Answer {
                status: 200..=299,
                body,
            } => serde_json::from_slice(&body).map_err(|error| failed(error.to_string())),
            HttpOutcome::Answer { status, body } => Err(failed(format!(
                "status {status}: {}",
                String::from_utf8_lossy(&body)
            ))),
            HttpOutcome::NotSent { reason } | HttpOutcome::Unknown { reason } => {
                Err(failed(reason.to_string()))
            }
        }
    }

    /// The documents that a query finds in an index, as of now.
    pub(super) fn hits(&self, index: &str, query: &Json) -> Result<Vec<Json>, DemoError> {
        self.refresh(index)?;
        let answer = self.ask(Method::Post, &format!("/{index}/_search"), Some(query))?;
        let hits = answer
            .pointer("/hits/hits")
            .and_then(Json::as_array)
            .ok_or_else(|| DemoError::new(format!("the answer of {index} has no hits")))?;
        Ok(hits
            .iter()
            .filter_map(|hit| hit.get("_source").cloned())
            .collect())
    }

    /// How many documents an agent has, in all indices of the inventory.
    pub(super) fn count(&self, agent: u64) -> Result<u64, DemoError> {
        let indices = "wazuh-states-inventory-*";
        self.refresh(indices)?;
        let query = json!({"query": {"term": {"wazuh.agent.id": format!("{agent:03}")}}});
        let answer = self.ask(Method::Post, &format!("/{indices}/_count"), Some(&query))?;
        answer
            .get("count")
            .and_then(Json::as_u64)
            .ok_or_else(|| DemoError::new("the answer to a count has no count"))
    }

    /// What was written becomes visible to searches at once, not within a second.
    fn refresh(&self, index: &str) -> Result<(), DemoError> {
        self.ask(Method::Post, &format!("/{index}/_refresh"), None)
            .map(drop)
    }

    /// What goes wrong from now on; an empty list heals.
    pub(super) fn set_faults(&self, faults: &Json) -> Result<(), DemoError> {
        self.ask(Method::Put, "/_inventory/faults", Some(faults))
            .map(drop)
    }
}
