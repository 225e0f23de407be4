//! The body of a bulk request, read as an Indexer reads it, and the answer as an Indexer writes it (I-13).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use inventory_indexer::model::engine::{Condition, ItemResult, Operation};
use inventory_sync_core::config::Catalogue;
use inventory_sync_core::id::{AgentId, SessionId, Version};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::agent_node::{AGENT_VERSIONS, agent_info};
use crate::content::{Content, DocKey};
use crate::oracles::{Rendered, judge_source};

/// What an overlay must say, and the last one that was seen to say it.
#[derive(Debug, Clone, Default)]
pub(crate) struct OverlayCheck {
    known: Option<(AgentId, Vec<u8>)>,
}

impl OverlayCheck {
    /// Whether the manager-owned fields name this agent and this cluster, and say what the agent said of itself.
    fn holds(&mut self, agent: AgentId, cluster: &str, is_ours: bool, overlay: &[u8]) -> bool {
        if let Some((known_agent, known)) = &self.known
            && *known_agent == agent
            && known == overlay
        {
            return true;
        }
        let Ok(read) = serde_json::from_slice::<Value>(overlay) else {
            return false;
        };
        let text = |pointer: &str| {
            read.pointer(pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let holds = text("/agent/id") == Some(format!("{:03}", agent.0))
            && text("/cluster/name").as_deref() == Some(cluster)
            && (!is_ours || says_all(&read, agent, cluster));
        if holds {
            self.known = Some((agent, overlay.to_vec()));
        }
        holds
    }
}

/// Whether an overlay says of an agent of this world all that is known, and nothing else. Its version changes.
fn says_all(overlay: &Value, agent: AgentId, cluster: &str) -> bool {
    let info = agent_info(agent);
    let groups: Vec<&String> = info
        .groups
        .iter()
        .filter(|group| !group.is_empty())
        .collect();
    AGENT_VERSIONS.iter().any(|version| {
        *overlay
            == json!({
                "agent": {
                    "groups": groups,
                    "host": {"os": {"name": info.os_name, "version": info.os_version}},
                    "id": format!("{:03}", agent.0),
                    "name": info.name,
                    "version": version,
                },
                "cluster": {"name": cluster},
            })
    })
}

/// What a part of a request is expected to be about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartOf<'a> {
    pub(crate) session: SessionId,
    pub(crate) agent: AgentId,
    /// Whether it says of itself what agents of this world say; a hostile peer may call itself what it likes.
    pub(crate) is_ours: bool,
    pub(crate) cluster: &'a str,
}

/// The line before a document: exactly one of the two actions.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action<'a> {
    #[serde(borrow)]
    Index(Target<'a>),
    #[serde(borrow)]
    Delete(Target<'a>),
}

/// What an action is about, and under which condition.
#[derive(Deserialize)]
struct Target<'a> {
    #[serde(borrow)]
    _index: Cow<'a, str>,
    #[serde(borrow)]
    _id: Cow<'a, str>,
    version: u64,
    #[serde(borrow)]
    version_type: Cow<'a, str>,
}

/// Reads the lines of one part: operations for the Indexer, and the same as facts for the oracles.
///
/// # Errors
/// A sentence that says what is not as a bulk body must be.
pub(crate) fn read(
    body: &[u8],
    part: PartOf<'_>,
    catalogue: &Catalogue,
    check: &mut OverlayCheck,
) -> Result<Vec<(Operation, Rendered)>, String> {
    let Some(body) = body.strip_suffix(b"\n") else {
        return if body.is_empty() {
            Ok(Vec::new())
        } else {
            Err("no line break at the end".to_owned())
        };
    };
    let mut lines = body.split(|byte| *byte == b'\n');
    let mut operations = Vec::new();
    while let Some(line) = lines.next() {
        let shown = || String::from_utf8_lossy(line);
        let read: Action<'_> = serde_json::from_slice(line)
            .map_err(|error| format!("no action of ours: {error}: {}", shown()))?;
        let (Action::Index(target) | Action::Delete(target)) = &read;
        if target.version_type != "external_gte" {
            return Err(format!("not by external_gte: {}", shown()));
        }
        let (index_name, id, version) = (&*target._index, &*target._id, target.version);
        let index = catalogue
            .index(index_name)
            .ok_or_else(|| format!("an unknown index: {}", shown()))?;
        let key = DocKey::of_stored(part.cluster, index, id)?;
        let (content, source) = match &read {
            Action::Delete(_) => (None, None),
            Action::Index(_) => {
                let source = lines
                    .next()
                    .ok_or_else(|| format!("no source behind {}", shown()))?;
                judge_source(source)
                    .map_err(|(expected, seen)| format!("not {expected}: {seen}"))?;
                let (content, overlay) = Content::of_stored(source)?;
                if !check.holds(part.agent, part.cluster, part.is_ours, overlay) {
                    return Err(format!(
                        "agent {}'s fields are {}",
                        part.agent,
                        String::from_utf8_lossy(overlay)
                    ));
                }
                (Some(content), Some(Arc::from(source)))
            }
        };
        let operation = Operation {
            index: index_name.into(),
            id: id.into(),
            condition: Condition::external_gte(version),
            source,
        };
        operations.push((
            operation,
            Rendered {
                session: part.session,
                key,
                version: Version(version),
                content,
            },
        ));
    }
    Ok(operations)
}

/// The same answer with a hundred times its length of members that nobody asked for.
pub(crate) fn inflate(answer: Vec<u8>) -> Vec<u8> {
    let filler = "x".repeat(100 * answer.len());
    let mut inflated = format!("{{\"ingest_took\":0,\"filler\":\"{filler}\",").into_bytes();
    inflated.extend_from_slice(&answer[1..]);
    inflated
}

/// What became of one operation, for the answer.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// What the Indexer says of it.
    Judged(ItemResult),
    /// What a fault says of it: status and error type.
    Injected(u16, &'static str),
}

impl Item {
    fn status(&self) -> u16 {
        match self {
            Self::Judged(Ok(applied)) => applied.status(),
            Self::Judged(Err(refusal)) => refusal.status,
            Self::Injected(status, _) => *status,
        }
    }

    fn is_error(&self) -> bool {
        !matches!(self, Self::Judged(Ok(_)))
    }
}

/// The answer to a request, in the form that our filter asks for.
pub(crate) fn answer(operations: &[(Operation, Rendered)], items: &[Item]) -> Vec<u8> {
    let errors = items.iter().any(Item::is_error);
    let mut text = String::with_capacity(40 + items.len() * 40);
    // Writing to a string cannot fail.
    let _ = write!(text, "{{\"took\":1,\"errors\":{errors},\"items\":[");
    for (place, ((operation, _), item)) in operations.iter().zip(items).enumerate() {
        let action = if operation.source.is_some() {
            "index"
        } else {
            "delete"
        };
        let comma = if place == 0 { "" } else { "," };
        let _ = write!(text, "{comma}{{\"{action}\":{{\"status\":{}", item.status());
        let error = match item {
            Item::Judged(Ok(_)) => None,
            Item::Judged(Err(refusal)) => Some((refusal.kind, refusal.reason.clone())),
            Item::Injected(_, kind) => Some((*kind, "injected".to_owned())),
        };
        if let Some((kind, reason)) = error {
            let _ = write!(
                text,
                ",\"error\":{}",
                serde_json::json!({ "type": kind, "reason": reason })
            );
        }
        text.push_str("}}");
    }
    text.push_str("]}");
    text.into_bytes()
}
