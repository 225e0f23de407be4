//! The answer to a bulk request: one verdict per operation, mapped to the part that sent it.

use serde::Deserialize;

use super::error::{ErrorBody, clip, sentence};
use super::{BulkOutcome, PartOutcome, Refusal};
use crate::bug::{Bug, if_planted, is_planted};
use crate::document::{Class, Failure, Lowest, Operation, Part, Run, Runs, SessionTable};
use crate::id::{IndexId, Version};
use crate::wire::Reason;

/// A part of a request that was sent, with the table of its session.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// The part.
    pub part: &'a Part,
    /// Its session's table; `None` when the session has ended meanwhile. The outcome then knows neither
    /// indices nor sequences, and nobody waits for them.
    pub table: Option<&'a SessionTable>,
}

/// What became of a request that was answered with a status and a body.
///
/// An answer that is not understood to its end, or that does not speak about exactly the operations
/// sent, is an unknown outcome (`docs/protocol.md` section 5). The lists of failures keep the lowest
/// `failed_items_max`.
#[must_use]
pub fn bulk(sent: &[Sent<'_>], status: u16, body: &[u8], failed_items_max: usize) -> BulkOutcome {
    let refusal = match status {
        200..=299 => return answered(sent, body, failed_items_max).unwrap_or(BulkOutcome::Unknown),
        401 => Refusal::Unauthorized,
        403 => Refusal::Forbidden,
        413 => Refusal::TooLarge,
        429 => Refusal::Overloaded,
        // A timeout that somebody on the way reports: the Indexer may be at work all the same.
        408 => return BulkOutcome::Unknown,
        400..=499 => Refusal::Malformed,
        _ => return BulkOutcome::Unknown,
    };
    let detail = sentence(status, body);
    let operations: u64 = sent.iter().map(|sent| sent.part.ordinals.count()).sum();
    if operations == 1 && matches!(refusal, Refusal::TooLarge | Refusal::Malformed) {
        let kind = ErrorBody::of_request(body)
            .map(|error| error.kind)
            .unwrap_or_default();
        return refuse_alone(sent, status, &kind, &detail, failed_items_max);
    }
    BulkOutcome::Refused {
        refusal,
        status,
        detail,
    }
}

/// A request of one operation that cannot be split any further: the operation is refused for good.
fn refuse_alone(
    sent: &[Sent<'_>],
    status: u16,
    kind: &str,
    detail: &str,
    failed_items_max: usize,
) -> BulkOutcome {
    let parts = sent.iter().map(|sent| {
        let mut part = PartBuilder::new(sent, failed_items_max);
        for operation in operations(sent) {
            part.refuse(operation, status, kind, detail);
        }
        part.finish()
    });
    BulkOutcome::Answered {
        parts: parts.collect(),
    }
}

/// `None` when the answer is not understood.
fn answered(sent: &[Sent<'_>], body: &[u8], failed_items_max: usize) -> Option<BulkOutcome> {
    let parts = if all_stored(sent, body).is_some() || is_planted(Bug::ItemErrorsIgnored) {
        sent.iter().map(count_stored).collect()
    } else {
        let body: Body = serde_json::from_slice(body).ok()?;
        let mut items = body.items.into_iter();
        let mut parts = Vec::with_capacity(sent.len());
        for sent in sent {
            let mut part = PartBuilder::new(sent, failed_items_max);
            for operation in operations(sent) {
                let item = items.next()?.of(sent.part.class)?;
                part.judge(operation, &item);
            }
            parts.push(part.finish());
        }
        if items.next().is_some() {
            return None;
        }
        parts
    };
    Some(BulkOutcome::Answered { parts })
}

/// Recognizes the answer that says, for each operation sent and in its order, that it is done, in the
/// form that our `filter_path` asks for. Anything else is `None` and is parsed.
fn all_stored(sent: &[Sent<'_>], body: &[u8]) -> Option<()> {
    let rest = body.trim_ascii().strip_prefix(b"{\"took\":")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = rest
        .get(digits..)?
        .strip_prefix(b",\"errors\":false,\"items\":[")?;
    let mut first = true;
    for sent in sent {
        let (head, deletes): (&[u8], bool) = match sent.part.class {
            Class::Upsert => (b"{\"index\":{\"status\":", false),
            Class::Delete | Class::Removal => (b"{\"delete\":{\"status\":", true),
        };
        for _ in 0..sent.part.ordinals.count() {
            if !first {
                rest = rest.strip_prefix(b",")?;
            }
            first = false;
            let (status, behind) = rest.strip_prefix(head)?.split_first_chunk::<3>()?;
            match status {
                [b'2', b'0'..=b'9', b'0'..=b'9'] => {}
                b"404" if deletes => {}
                _ => return None,
            }
            rest = behind.strip_prefix(b"}}")?;
        }
    }
    (rest == b"]}").then_some(())
}

fn count_stored(sent: &Sent<'_>) -> PartOutcome {
    let mut outcome = PartOutcome::default();
    for operation in operations(sent) {
        count(&mut outcome.stored, operation.index);
    }
    outcome
}

/// The operations of a part, with what the table knows of them.
fn operations<'a>(sent: &Sent<'a>) -> Box<dyn Iterator<Item = Operation> + 'a> {
    let part = sent.part;
    let mut known = sent
        .table
        .map(|table| table.operations(part.class, &part.ordinals).peekable());
    Box::new(part.ordinals.iter().map(move |ordinal| {
        let found = known
            .as_mut()
            .and_then(|known| known.next_if(|next| next.ordinal == ordinal));
        found.unwrap_or(Operation {
            ordinal,
            index: IndexId::UNKNOWN,
            seq: None,
        })
    }))
}

#[derive(Deserialize)]
struct Body {
    items: Vec<Action>,
}

#[derive(Deserialize)]
enum Action {
    #[serde(rename = "index")]
    Index(Item),
    #[serde(rename = "delete")]
    Delete(Item),
}

impl Action {
    /// The item, if it speaks of an operation of that class.
    fn of(self, class: Class) -> Option<Item> {
        match (self, class) {
            (Self::Index(item), Class::Upsert)
            | (Self::Delete(item), Class::Delete | Class::Removal) => Some(item),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    #[serde(default)]
    error: Option<ErrorBody>,
}

/// What an item says of its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Stored,
    Overloaded,
    Blocked,
    Missing,
    Forbidden,
    Unknown,
    Refused,
    Conflict(Version),
}

/// By the error's type first, by the status second (`docs/protocol.md` section 8). What a server error
/// calls itself does not make it certain: 5xx stays unknown.
fn verdict(item: &Item, class: Class) -> Verdict {
    let Some(error) = &item.error else {
        return match item.status {
            200..=299 => Verdict::Stored,
            404 if class != Class::Upsert => Verdict::Stored,
            _ => Verdict::Unknown,
        };
    };
    if item.status == 503 && is_planted(Bug::ServerErrorTakenAsOverload) {
        return Verdict::Overloaded;
    }
    if !(400..=499).contains(&item.status) || item.status == 408 {
        return Verdict::Unknown;
    }
    match error.kind.as_str() {
        "version_conflict_engine_exception" => Verdict::Conflict(current_version(error.reason())),
        "circuit_breaking_exception" => Verdict::Overloaded,
        kind if kind.ends_with("rejected_execution_exception") => Verdict::Overloaded,
        "cluster_block_exception" | "index_closed_exception" => Verdict::Blocked,
        "index_not_found_exception" => Verdict::Missing,
        "validation_exception" if error.reason().contains("shards open") => Verdict::Missing,
        "security_exception" => Verdict::Forbidden,
        _ => match item.status {
            401 | 403 => Verdict::Forbidden,
            409 => Verdict::Conflict(current_version(error.reason())),
            429 => Verdict::Overloaded,
            _ => Verdict::Refused,
        },
    }
}

/// The version that a conflict reports; 0 when it says none. The document's id stands before it and may
/// look like it: the last one counts.
fn current_version(reason: &str) -> Version {
    const BEFORE: &str = "current version [";
    let version = reason.rfind(BEFORE).and_then(|at| {
        let digits = reason.get(at + BEFORE.len()..)?;
        digits.get(..digits.find(']')?)?.parse().ok()
    });
    Version(version.unwrap_or(0))
}

/// Collects the verdicts of a part.
struct PartBuilder<'a> {
    table: Option<&'a SessionTable>,
    class: Class,
    outcome: PartOutcome,
    failures: Lowest,
}

impl<'a> PartBuilder<'a> {
    fn new(sent: &Sent<'a>, failed_items_max: usize) -> Self {
        Self {
            table: sent.table,
            class: sent.part.class,
            outcome: PartOutcome::default(),
            failures: Lowest::new(failed_items_max),
        }
    }

    fn judge(&mut self, operation: Operation, item: &Item) {
        let Operation { ordinal, index, .. } = operation;
        let outcome = &mut self.outcome;
        match verdict(item, self.class) {
            Verdict::Stored => count(&mut outcome.stored, index),
            Verdict::Overloaded => add(&mut outcome.overloaded, index, ordinal),
            Verdict::Blocked => add(&mut outcome.blocked, index, ordinal),
            Verdict::Missing => add(&mut outcome.missing, index, ordinal),
            Verdict::Forbidden => add(&mut outcome.forbidden, index, ordinal),
            Verdict::Unknown => outcome.unknown.insert(Run::one(ordinal)),
            Verdict::Conflict(version) => {
                outcome.conflicts.insert(Run::one(ordinal));
                outcome.conflict_version = outcome.conflict_version.max(version);
            }
            Verdict::Refused if is_planted(Bug::RefusalTakenAsStored) => {
                count(&mut outcome.stored, index)
            }
            Verdict::Refused => {
                let (kind, reason) = item
                    .error
                    .as_ref()
                    .map_or(("", ""), |error| (&error.kind, error.reason()));
                self.refuse(operation, item.status, kind, &clip(reason));
            }
        }
    }

    fn refuse(&mut self, operation: Operation, status: u16, kind: &str, detail: &str) {
        add(
            &mut self.outcome.refused,
            operation.index,
            operation.ordinal,
        );
        let Some(seq) = operation.seq else { return };
        let seq = if_planted(Bug::FailedByOrdinal, operation.ordinal, seq);
        let table = self
            .table
            .filter(|_| !is_planted(Bug::SharedFailureUnlisted));
        let shares = table.into_iter().flat_map(|table| table.sharing(seq));
        for seq in std::iter::once(seq).chain(shares) {
            self.failures.offer(seq, || Failure {
                seq,
                status,
                kind: clip(kind),
                reason: Reason::IndexerRejected,
                retryable: false,
                detail: detail.to_owned(),
            });
        }
    }

    fn finish(self) -> PartOutcome {
        PartOutcome {
            failures: self.failures.finish(),
            ..self.outcome
        }
    }
}

/// Counts one for an index; the list is ascending by index.
fn count(list: &mut Vec<(IndexId, u64)>, index: IndexId) {
    match list.binary_search_by_key(&index, |(index, _)| *index) {
        Ok(place) => list[place].1 += 1,
        Err(place) => list.insert(place, (index, 1)),
    }
}

fn add(list: &mut Vec<(IndexId, Runs)>, index: IndexId, ordinal: u32) {
    let place = list
        .binary_search_by_key(&index, |(index, _)| *index)
        .unwrap_or_else(|place| {
            list.insert(place, (index, Runs::new()));
            place
        });
    list[place].1.insert(Run::one(ordinal));
}

#[cfg(test)]
mod tests;
