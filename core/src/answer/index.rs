//! Answers about indices as a whole: creation, refresh, count.

use serde::Deserialize;

use super::error::{ErrorBody, sentence};
use crate::bug::{Bug, is_planted};
use crate::config::Catalogue;
use crate::coordinator::{CountOutcome, IndexOutcome, RefreshOutcome};
use crate::id::IndexId;

/// How many shards were asked and how many answered.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Shards {
    total: u64,
    successful: u64,
    #[serde(default)]
    failed: u64,
}

impl Shards {
    /// A missing shard answers 200 and `failed: 0`: only these two numbers tell.
    pub const fn all(self) -> bool {
        self.successful == self.total
    }
}

#[derive(Deserialize)]
struct Created {
    acknowledged: bool,
}

/// The answer to the `PUT` of an index. Already there is success.
#[must_use]
pub fn index_created(status: u16, body: &[u8]) -> IndexOutcome {
    match status {
        200..=299 => match serde_json::from_slice::<Created>(body) {
            Ok(Created { acknowledged: true }) => IndexOutcome::Exists,
            _ => IndexOutcome::Unknown,
        },
        408 | 429 => IndexOutcome::Unknown,
        400..=499 => match ErrorBody::of_request(body) {
            Some(error) if error.kind == "resource_already_exists_exception" => {
                IndexOutcome::Exists
            }
            _ => IndexOutcome::Refused(sentence(status, body)),
        },
        _ => IndexOutcome::Unknown,
    }
}

#[derive(Deserialize)]
struct Refreshed {
    _shards: Shards,
}

/// How many copies of shards a refresh reached when it did not reach all and none failed. The Indexer
/// counts replicas that are not assigned, as on a single yellow node, among those it should have reached:
/// whether every primary was among the reached ones, [`covers_primaries`](super::covers_primaries) tells.
#[must_use]
pub fn refreshed_copies(status: u16, body: &[u8]) -> Option<u64> {
    let answer: Refreshed = serde_json::from_slice(body).ok()?;
    let reached = answer._shards.successful;
    ((200..=299).contains(&status) && !answer._shards.all() && answer._shards.failed == 0)
        .then_some(reached)
}

/// The answer to a refresh of these indices.
#[must_use]
pub fn refreshed(
    status: u16,
    body: &[u8],
    catalogue: &Catalogue,
    asked: &[IndexId],
) -> RefreshOutcome {
    if (200..=299).contains(&status) {
        return match serde_json::from_slice::<Refreshed>(body) {
            Ok(_) if is_planted(Bug::PartialRefreshTaken) => RefreshOutcome::Done,
            Ok(answer) if answer._shards.all() => RefreshOutcome::Done,
            _ => RefreshOutcome::Failed,
        };
    }
    match in_the_way(body, catalogue, asked) {
        Some(indices) => RefreshOutcome::Paused { indices },
        None => RefreshOutcome::Failed,
    }
}

/// The indices whose state made a request fail; `None` when it failed for another reason.
pub(super) fn in_the_way(
    body: &[u8],
    catalogue: &Catalogue,
    asked: &[IndexId],
) -> Option<Vec<IndexId>> {
    let error = ErrorBody::of_request(body).filter(ErrorBody::is_index_state)?;
    Some(error.indices(catalogue, asked)).filter(|indices| !indices.is_empty())
}

#[derive(Deserialize)]
struct Counted {
    count: u64,
    _shards: Shards,
}

/// The answer to a count in one index. An index that does not exist has no documents, which is why each
/// is asked alone.
#[must_use]
pub fn counted(status: u16, body: &[u8]) -> CountOutcome {
    match status {
        200..=299 => match serde_json::from_slice::<Counted>(body) {
            Ok(answer) if answer._shards.all() => CountOutcome::Documents(answer.count),
            _ => CountOutcome::Unknown,
        },
        404 => match ErrorBody::of_request(body) {
            Some(error) if error.kind == "index_not_found_exception" => CountOutcome::Documents(0),
            _ => CountOutcome::Unknown,
        },
        _ => CountOutcome::Unknown,
    }
}

#[cfg(test)]
mod tests;
