//! Verdicts: what one acknowledges is in the Indexer at that instant (I-2), and what it lists as failed was.

use inventory_sync_core::id::{SessionId, Version};
use inventory_sync_core::wire::{EndAck, Reason, Status};

use super::documents::Acknowledged;
use super::{Body, Oracles};
use crate::content::{Content, DocKey};

/// A detail has at most so many bytes (`docs/protocol.md` section 3.3).
const DETAIL_BYTES_MAX: usize = 256;

/// Whether a detail says something, and not more than there is room for.
fn is_sentence(detail: &str) -> bool {
    !detail.is_empty() && detail.len() <= DETAIL_BYTES_MAX
}

impl Oracles {
    /// A verdict: what it acknowledges is in the Indexer at this instant.
    pub(super) fn judge_verdict(&mut self, session: SessionId, ack: &EndAck) {
        let owner = self.sessions.get(&session).map(|known| known.birth.agent);
        if owner.is_some_and(|owner| self.is_hostile(owner)) {
            return;
        }
        let in_part = ack.status == Status::Error && ack.reason == Reason::PartiallyRejected;
        if ack.status == Status::Ok {
            self.counts.ok += 1;
        } else if in_part {
            self.counts.partial += 1;
        } else {
            self.counts.failed += 1;
            return;
        }
        let Some(known) = self.sessions.get(&session) else {
            return;
        };
        let Some(offer) = known.offer.clone() else {
            return;
        };
        let (grant, order) = (known.grant, known.completed);
        let Some(order) = order else {
            self.fail(
                "I-6 staging",
                "a verdict on its items only for a complete session",
                format!("session {session}"),
            );
            return;
        };
        self.judge_failed(session, ack);
        // What lies behind the end of a cut list is not acknowledged.
        let listed_to = match ack.failed.last() {
            Some(last) if ack.failed_more => usize::try_from(last.seq).unwrap_or(usize::MAX),
            Some(_) | None => usize::MAX,
        };
        let failed = |seq: usize| {
            seq > listed_to
                || ack
                    .failed
                    .binary_search_by_key(&(seq as u64), |item| item.seq)
                    .is_ok()
        };
        let acknowledged = Acknowledged { order, session };
        for (key, seq, body) in offer.finals() {
            if failed(seq) {
                continue;
            }
            self.counts.acknowledged += 1;
            let content = match body {
                Body::Upsert(content) => Some(content),
                Body::Delete => None,
                Body::BadPayload | Body::BadName => {
                    let seen = format!("sequence {seq} of session {session} is acknowledged");
                    self.fail(
                        "O-7 failed is exact",
                        "an item that cannot be stored is listed as failed",
                        seen,
                    );
                    continue;
                }
            };
            self.judge_stored(session, key, content, grant);
            self.documents
                .acknowledged
                .insert(key, (acknowledged, content));
        }
        if offer.full && !ack.failed_more {
            self.judge_replaced(session, ack, acknowledged);
        }
        let bad_names = offer
            .items
            .iter()
            .enumerate()
            .filter(|(_, item)| item.body == Body::BadName);
        for (seq, _) in bad_names {
            if !failed(seq) {
                let seen = format!("sequence {seq} of session {session} is acknowledged");
                self.fail(
                    "O-7 failed is exact",
                    "an item that cannot be stored is listed as failed",
                    seen,
                );
            }
        }
    }

    /// The document is what the session made it, or a later session of the agent changed it since.
    fn judge_stored(
        &mut self,
        session: SessionId,
        key: DocKey,
        content: Option<Content>,
        grant: Option<Version>,
    ) {
        let stored = self.documents.stored.get(&key).copied();
        if stored.map(|stored| stored.content) == content {
            let foreign_at = self.documents.foreign.get(&key);
            let opened = self.sessions.get(&session).map(|known| known.opened);
            let came_before =
                foreign_at.is_some_and(|at| opened.is_some_and(|opened| *at < opened));
            if came_before && stored.is_some_and(|stored| stored.foreign) {
                let expected =
                    format!("{key:?} with our overlay when session {session} is told so");
                self.fail("O-8 source", expected, format!("{stored:?}"));
            }
            return;
        }
        if self.is_excused(session, key) {
            return;
        }
        let later = stored
            .filter(|stored| grant.is_none_or(|grant| stored.version > grant))
            .and_then(|stored| self.versions.owner(key.agent(), stored.version))
            .is_some_and(|owner| {
                let order = |session: SessionId| {
                    self.sessions
                        .get(&session)
                        .and_then(|known| known.completed)
                };
                order(owner) > order(session)
            });
        if !later {
            let expected = format!("{key:?} is {content:?} when session {session} is told so");
            self.fail(
                "I-2 ok is true",
                expected,
                format!("{stored:?}, the session's grant is {grant:?}"),
            );
        }
    }

    /// After a Full its indices hold its items and nothing else of the agent.
    fn judge_replaced(&mut self, session: SessionId, ack: &EndAck, acknowledged: Acknowledged) {
        let Some(offer) = self
            .sessions
            .get(&session)
            .and_then(|known| known.offer.clone())
        else {
            return;
        };
        let listed = |seq: usize| ack.failed.iter().any(|item| item.seq == seq as u64);
        for index in &offer.indices {
            let extra = self
                .documents
                .stored
                .range(DocKey::all_of(offer.agent, *index))
                .filter(|(key, _)| !self.is_excused(session, **key))
                .find(|(key, _)| {
                    offer
                        .last_on(**key)
                        .is_none_or(|(seq, body)| body == Body::Delete && !listed(seq))
                });
            // A removal that was refused has no sequence to be listed by: then the Full is not Ok.
            if let Some((key, stored)) = extra
                && ack.status == Status::Ok
            {
                let seen = format!("{key:?} is {stored:?}");
                self.fail(
                    "I-2 replacement",
                    format!("only items of the Full {session} in its indices"),
                    seen,
                );
            }
            if ack.status == Status::Ok {
                self.documents
                    .replaced
                    .insert((offer.agent, *index), acknowledged);
            }
        }
    }

    /// The list of failed items: exactly those that cannot be stored or were refused, the lowest first, each
    /// with its reason.
    fn judge_failed(&mut self, session: SessionId, ack: &EndAck) {
        let Some(known) = self.sessions.get(&session) else {
            return;
        };
        let Some(offer) = &known.offer else { return };
        let mut due = Vec::new();
        for (seq, item) in offer.items.iter().enumerate() {
            let last = offer.last_on(item.key).map(|(_, body)| body);
            let is_outside = offer.full && !offer.indices.contains(&item.key.index());
            let reason = match (item.body, last) {
                _ if is_outside => (0, Reason::IndexNotAllowed),
                (Body::BadName, _) if seq % 2 == 0 => (0, Reason::IndexNotAllowed),
                (Body::BadName, _) | (_, Some(Body::BadPayload)) => (0, Reason::InvalidPayload),
                _ if known.refused_for_good.contains(&item.key) => {
                    let status = known.refused.get(&item.key).copied();
                    (status.unwrap_or(0), Reason::IndexerRejected)
                }
                _ => continue,
            };
            due.push((seq as u64, reason.0, reason.1));
        }
        let most = self.config.failed_items_max;
        let more = due.len() > most;
        due.truncate(most);
        let listed = ack
            .failed
            .iter()
            .map(|item| (item.seq, item.status, item.reason));
        let is_ok = ack.status == Status::Ok;
        let is_exact = listed.eq(due.iter().copied())
            && more == ack.failed_more
            && is_ok == due.is_empty()
            && ack
                .failed
                .iter()
                .all(|item| !item.retryable && is_sentence(&item.detail));
        if !is_exact {
            let expected = format!(
                "session {session} lists exactly {due:?}{}",
                if more {
                    " and says that there are more"
                } else {
                    ""
                }
            );
            self.fail("O-7 failed is exact", expected, format!("{ack:?}"));
        }
    }
}
