//! Which actions the Indexer does not let us do, and how to ask without doing anything.

use super::Finding;
use crate::indexer::{HttpOutcome, JSON, Method, NDJSON};
use crate::templates::remote::Remote;

/// The writer document's index (`docs/protocol.md` section 8).
const WRITER_INDEX: &str = "inventory-sync-writer";

/// An action that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The action, as the Indexer names it; without a name, the request.
    pub action: String,
    /// Who it takes us for.
    pub user: Option<String>,
}

impl Refusal {
    /// Reads every sentence `no permissions for [ACTION] and User [name=NAME, …]`, wherever in the
    /// answer it stands: refresh answers have it deep inside, bulk answers once an item, a HEAD not
    /// at all; then the request itself stands for the action.
    pub(super) fn read_all(request: &str, body: &str) -> Vec<Self> {
        let mut found: Vec<Self> = body
            .split("no permissions for [")
            .skip(1)
            .filter_map(Self::read_one)
            .collect();
        found.dedup();
        if found.is_empty() {
            found.push(Refusal {
                action: request.to_owned(),
                user: None,
            });
        }
        found
    }

    /// What follows on `no permissions for [`.
    fn read_one(rest: &str) -> Option<Self> {
        // Actions contain brackets themselves: `indices:data/write/bulk[s]`.
        let end = rest.find("] and User [").or_else(|| rest.find(']'))?;
        let user = rest.split_once("[name=").and_then(|(_, rest)| {
            // A certificate's name has commas in it.
            let end = rest
                .find(", backend_roles")
                .or_else(|| rest.find([',', ']']))?;
            rest.get(..end)
        });
        Some(Refusal {
            action: rest.get(..end)?.to_owned(),
            user: user.map(str::to_owned),
        })
    }

    fn is_cluster_wide(&self) -> bool {
        let action = self.action.as_str();
        action.starts_with("cluster:")
            || action == "indices:data/write/bulk"
            || action.starts_with("indices:data/read/scroll")
            || action.starts_with("indices:admin/index_template")
    }
}

/// Tries what reads do and, with a condition nothing can meet, what writes do.
pub(super) async fn try_actions(
    remote: &Remote<'_>,
    index: Option<&str>,
    cluster: &str,
) -> Vec<Refusal> {
    // What no document has: so high a sequence number is never reached.
    let never = "\"if_seq_no\":9007199254740991,\"if_primary_term\":1";
    let mut requests = vec![(
        Method::Get,
        format!("/{WRITER_INDEX}/_doc/{cluster}"),
        JSON,
        String::new(),
    )];
    // The privilege is looked at before the scroll id, which names nothing.
    let scroll = "inventory-sync-check";
    requests.push((
        Method::Post,
        "/_search/scroll".to_owned(),
        JSON,
        format!("{{\"scroll\":\"1s\",\"scroll_id\":\"{scroll}\"}}"),
    ));
    requests.push((
        Method::Delete,
        "/_search/scroll".to_owned(),
        JSON,
        format!("{{\"scroll_id\":[\"{scroll}\"]}}"),
    ));
    if let Some(index) = index {
        requests.push((
            Method::Post,
            format!("/{index}/_search"),
            JSON,
            "{\"size\":0,\"query\":{\"match_all\":{}}}".into(),
        ));
        requests.push((
            Method::Post,
            format!("/{index}/_refresh"),
            JSON,
            String::new(),
        ));
        let bulk = format!(
            "{{\"index\":{{\"_index\":\"{index}\",\"_id\":\"inventory-sync-check\",{never}}}}}\n{{}}\n\
             {{\"delete\":{{\"_index\":\"{index}\",\"_id\":\"inventory-sync-check\",{never}}}}}\n"
        );
        requests.push((Method::Post, "/_bulk".to_owned(), NDJSON, bulk));
    }
    let mut refused = Vec::new();
    for (method, path, content_type, body) in requests {
        let request = format!("{} {path}", method.name());
        if let HttpOutcome::Answer { status, body } =
            remote.send(method, &path, content_type, body).await
        {
            let body = String::from_utf8_lossy(&body);
            // A bulk answer is 200 whatever its items say.
            if status == 403 || path == "/_bulk" && body.contains("security_exception") {
                for refusal in Refusal::read_all(&request, &body) {
                    if !refused.contains(&refusal) {
                        refused.push(refusal);
                    }
                }
            }
        }
    }
    refused
}

/// The line about privileges.
pub(super) fn judge(refused: &[Refusal], tried_index: Option<&str>) -> Finding {
    if refused.is_empty() {
        return Finding::ok(match tried_index {
            Some(index) => {
                format!("health, templates, and reading, writing and refreshing {index}")
            }
            None => "health and templates; writing can be tried once an index exists".to_owned(),
        });
    }
    let names = |cluster_wide: bool| {
        let names: Vec<_> = refused
            .iter()
            .filter(|refusal| refusal.is_cluster_wide() == cluster_wide)
            .map(|refusal| refusal.action.as_str())
            .collect();
        names.join(", ")
    };
    let user = refused.iter().find_map(|refusal| refusal.user.as_deref());
    let who = user.map_or_else(|| "this user".to_owned(), |user| format!("user {user:?}"));
    let all: Vec<_> = refused
        .iter()
        .map(|refusal| refusal.action.as_str())
        .collect();
    let (cluster, index) = (names(true), names(false));
    let mut remedy = format!("add to a role of {who}: ");
    if !cluster.is_empty() {
        remedy += &format!("the cluster permissions {cluster}");
    }
    if !index.is_empty() {
        let and = if cluster.is_empty() { "" } else { "; " };
        remedy +=
            &format!("{and}on wazuh-states-* and {WRITER_INDEX} the index permissions {index}");
    }
    Finding::failed(format!("{who} may not (403): {}", all.join(", ")), remedy)
}
