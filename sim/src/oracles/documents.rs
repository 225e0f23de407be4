//! Documents: a mirror of the Indexer, what was acknowledged of it, and what may touch it (I-2, I-4, I-5,
//! I-9, "no vanish").

use std::collections::BTreeMap;

use inventory_sync_core::document::{Class, Part};
use inventory_sync_core::id::{AgentId, IndexId, ModuleId, SessionId, Version};
use inventory_sync_core::time::Tick;

use super::{Body, Offer, Oracles};
use crate::content::{Content, DocKey};

/// A document as the Indexer holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) content: Content,
    pub(super) version: Version,
    /// Whether something that is not ours wrote it.
    pub(super) foreign: bool,
}

/// What an agent was told of a document, or of a whole index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Acknowledged {
    /// The place of the session among the complete ones.
    pub(super) order: u64,
    /// The session.
    pub(super) session: SessionId,
}

/// The mirror.
#[derive(Debug, Default)]
pub(super) struct Documents {
    pub(super) stored: BTreeMap<DocKey, Stored>,
    pub(super) acknowledged: BTreeMap<DocKey, (Acknowledged, Option<Content>)>,
    pub(super) replaced: BTreeMap<(AgentId, IndexId), Acknowledged>,
    /// Documents that something else wrote, and that were not written by us since.
    pub(super) foreign: BTreeMap<DocKey, Tick>,
    /// When an index last lost what was in it, or was put back: what was true of it before is not any more.
    pub(super) disturbed: BTreeMap<IndexId, Tick>,
    /// The Full that is under way in a lane.
    fulls: BTreeMap<(AgentId, ModuleId), SessionId>,
}

/// One operation of a bulk request, as its bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Rendered {
    /// The session whose part it stands in.
    pub(crate) session: SessionId,
    /// The document.
    pub(crate) key: DocKey,
    /// The version it carries.
    pub(crate) version: Version,
    /// What it stores; nothing to delete.
    pub(crate) content: Option<Content>,
}

impl Oracles {
    /// A request was rendered: each operation must be one that its session's agent asked for.
    pub(crate) fn rendered(&mut self, part: &Part, operations: &[Rendered], bytes: usize) {
        self.economy.operations += operations.len() as u64;
        self.economy.bytes += bytes as u64;
        let counted = part.ordinals.count();
        if counted != operations.len() as u64 {
            let seen = format!("{} operations", operations.len());
            self.fail(
                "I-13 bulk body",
                format!("{counted} operations of session {}", part.session),
                seen,
            );
        }
        if self.is_hostile(part.agent) {
            return self.rendered_for_hostile(part, operations);
        }
        let Some(offer) = self
            .sessions
            .get(&part.session)
            .and_then(|known| known.offer.clone())
        else {
            self.fail(
                "I-5 identity",
                "operations of a session that an agent opened",
                format!("session {}", part.session),
            );
            return;
        };
        self.note_keys(part, operations);
        if part.class == Class::Removal {
            self.judge_removal_order(part.session, &offer);
        }
        if offer.full {
            self.documents
                .fulls
                .insert((offer.agent, offer.module), part.session);
        }
        for operation in operations {
            let key = operation.key;
            let asked = match (part.class, offer.last_on(key).map(|(_, body)| body)) {
                (Class::Upsert, Some(Body::Upsert(content))) => operation.content == Some(content),
                (Class::Delete, Some(Body::Delete)) => operation.content.is_none() && !offer.full,
                (Class::Removal, None | Some(Body::Delete)) => {
                    operation.content.is_none()
                        && offer.full
                        && offer.indices.contains(&key.index())
                }
                (Class::Upsert | Class::Delete | Class::Removal, _) => false,
            };
            if !asked
                || key.agent() != offer.agent
                || part.agent != offer.agent
                || operation.version != part.version
            {
                let expected = format!(
                    "what agent {} asked for in session {}: {:?} under {}",
                    offer.agent,
                    part.session,
                    offer.last_on(key),
                    part.version
                );
                self.fail(
                    "I-4 isolation",
                    expected,
                    format!("{:?} {operation:?}", part.class),
                );
                return;
            }
        }
    }

    /// The documents of a part's operations; what is sent once more is not refused any longer.
    fn note_keys(&mut self, part: &Part, operations: &[Rendered]) {
        let Some(known) = self.sessions.get_mut(&part.session) else {
            return;
        };
        for (ordinal, operation) in part.ordinals.iter().zip(operations) {
            known.keys.insert((part.class, ordinal), operation.key);
            known.refused_for_good.remove(&operation.key);
        }
    }

    /// A Full removes what it no longer has once each of its documents is there or refused.
    fn judge_removal_order(&mut self, session: SessionId, offer: &Offer) {
        let Some(known) = self.sessions.get(&session) else {
            return;
        };
        let is_open = |key: &DocKey, content: Content| {
            let stored = self.documents.stored.get(key);
            stored.is_none_or(|stored| stored.content != content)
                && !known.refused.contains_key(key)
                && !self.is_excused(session, *key)
        };
        let open = offer
            .finals()
            .find(|(key, _, body)| matches!(body, Body::Upsert(content) if is_open(key, *content)));
        if let Some((key, ..)) = open {
            let expected = format!("session {session} removes nothing before {key:?} is written");
            let seen = format!("{:?}", self.documents.stored.get(&key));
            self.fail("P-6 order of a Full", expected, seen);
        }
    }

    /// A hostile peer may ask for what it likes, but only among its own documents.
    fn rendered_for_hostile(&mut self, part: &Part, operations: &[Rendered]) {
        for operation in operations {
            if operation.key.agent() != part.agent || operation.version != part.version {
                let expected = format!("documents of the hostile peer {} only", part.agent);
                self.fail("I-4 isolation", expected, format!("{operation:?}"));
                return;
            }
        }
    }

    /// A listing for a Full was asked for: from now on nothing of what it keeps may vanish.
    pub(crate) fn listing_begins(&mut self, session: SessionId) {
        let lane = self
            .sessions
            .get(&session)
            .and_then(|known| known.offer.as_ref());
        if let Some(lane) = lane.map(|offer| (offer.agent, offer.module)) {
            self.documents.fulls.insert(lane, session);
        }
    }

    /// The Indexer applied an operation; `late` when nobody waited for it any more.
    pub(crate) fn applied(&mut self, operation: &Rendered, late: bool) {
        self.counts.applied += 1;
        self.counts.late += u64::from(late);
        let key = operation.key;
        self.documents.foreign.remove(&key);
        let before = match operation.content {
            Some(content) => self.documents.stored.insert(
                key,
                Stored {
                    content,
                    version: operation.version,
                    foreign: false,
                },
            ),
            None => self.documents.stored.remove(&key),
        };
        self.judge_undone(operation, late);
        if operation.content.is_none() && before.is_some() {
            self.judge_vanished(operation);
        }
    }

    /// What was acknowledged may be changed by later sessions only.
    fn judge_undone(&mut self, operation: &Rendered, late: bool) {
        let key = operation.key;
        let own = self.documents.acknowledged.get(&key).copied();
        let whole = self
            .documents
            .replaced
            .get(&(key.agent(), key.index()))
            .copied();
        let (acknowledged, content) = match (own, whole) {
            (Some((own, content)), Some(whole)) if own.order >= whole.order => (own, content),
            (Some((own, content)), None) => (own, content),
            (_, Some(whole)) => (whole, None),
            (None, None) => return,
        };
        let order = self
            .sessions
            .get(&operation.session)
            .and_then(|known| known.completed)
            .unwrap_or(0);
        if order < acknowledged.order && operation.content != content {
            let expected = format!(
                "{key:?} stays {content:?} as session {} was told, until a later session changes it",
                acknowledged.session
            );
            let seen = format!(
                "session {}, which was complete before it, made it {:?} under {}{}",
                operation.session,
                operation.content,
                operation.version,
                if late { ", late" } else { "" }
            );
            self.fail("I-9 order", expected, seen);
        }
    }

    /// A document of both the old and the new set is never absent during a Full.
    fn judge_vanished(&mut self, operation: &Rendered) {
        let key = operation.key;
        let fulls: Vec<SessionId> = self
            .documents
            .fulls
            .iter()
            .filter(|((agent, _), _)| *agent == key.agent())
            .map(|(_, session)| *session)
            .collect();
        for session in fulls {
            let Some(known) = self
                .sessions
                .get(&session)
                .filter(|known| known.is_undecided())
            else {
                continue;
            };
            let kept = known.offer.as_ref().and_then(|offer| offer.last_on(key));
            if matches!(kept, Some((_, Body::Upsert(_)))) {
                let seen = format!(
                    "session {} deleted it under {}",
                    operation.session, operation.version
                );
                self.fail(
                    "O-1 no vanish",
                    format!("{key:?} stays there during the Full {session}, which has it"),
                    seen,
                );
            }
        }
    }

    /// The Indexer refused a document for good, and the manager will hear of it.
    pub(crate) fn refused(&mut self, operation: &Rendered, status: u16) {
        if let Some(known) = self.sessions.get_mut(&operation.session) {
            known.refused.insert(operation.key, status);
        }
    }

    /// Something that is not ours wrote a document.
    pub(crate) fn written_by_others(&mut self, key: DocKey, content: Content, version: Version) {
        let stored = Stored {
            content,
            version,
            foreign: true,
        };
        self.documents.stored.insert(key, stored);
        self.documents.foreign.insert(key, self.now);
    }

    /// An index was deleted, or put back to a snapshot: this is what it holds now, and nothing that was said of
    /// it before binds.
    pub(crate) fn disturbed(&mut self, index: IndexId, stored: Vec<(DocKey, Content, Version)>) {
        let documents = &mut self.documents;
        documents.stored.retain(|key, _| key.index() != index);
        documents.acknowledged.retain(|key, _| key.index() != index);
        documents.replaced.retain(|(_, of), _| *of != index);
        documents.foreign.retain(|key, _| key.index() != index);
        documents.disturbed.insert(index, self.now);
        for (key, content, version) in stored {
            let foreign = content.is_foreign();
            let stored = Stored {
                content,
                version,
                foreign,
            };
            documents.stored.insert(key, stored);
            if foreign {
                // The snapshot has it from before.
                documents.foreign.insert(key, self.now);
            }
        }
    }

    /// Whether what a session said of a document was overtaken by what befell its index, or by someone else.
    pub(super) fn is_excused(&self, session: SessionId, key: DocKey) -> bool {
        let opened = self.sessions.get(&session).map(|known| known.opened);
        let disturbed = self.documents.disturbed.get(&key.index()).copied();
        disturbed.is_some_and(|at| opened.is_none_or(|opened| opened <= at))
            || self.documents.foreign.contains_key(&key)
    }

    /// The manager is about to hear of a conflict.
    pub(crate) fn conflict(&mut self, operation: &Rendered) {
        if self.documents.foreign.contains_key(&operation.key)
            || self.is_hostile(operation.key.agent())
        {
            return;
        }
        let seen = format!(
            "{operation:?} was refused, stored is {:?}",
            self.documents.stored.get(&operation.key)
        );
        self.fail("O-4 conflict", "no 409 without a foreign writer", seen);
    }
}
