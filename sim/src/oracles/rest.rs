//! The end: everything healed, everything quiet, nothing left over, and the Indexer holds what agents hold.

use std::collections::BTreeMap;

use inventory_sync_core::id::{AgentId, IndexId};

use super::Oracles;
use crate::content::{Content, DocKey};

impl Oracles {
    /// The world is at rest: every session is answered and nothing of it is left, the broken aside.
    pub(crate) fn at_rest(&mut self, store_entries: usize, judged: impl Fn(AgentId) -> bool) {
        if store_entries > 0 {
            self.fail(
                "I-7 quota",
                "an empty store at rest",
                format!("{store_entries} frames"),
            );
        }
        let open = self
            .sessions
            .iter()
            .filter(|(_, known)| judged(known.birth.agent))
            .find(|(_, known)| known.open)
            .map(|(session, _)| *session);
        if let Some(session) = open {
            self.fail(
                "I-7 quota",
                "no session at rest",
                format!("session {session} was never discarded"),
            );
        }
        let silent = self
            .sessions
            .iter()
            .filter(|(_, known)| judged(known.birth.agent))
            .find(|(_, known)| !known.is_answered())
            .map(|(session, _)| *session);
        if let Some(session) = silent {
            self.fail(
                "I-1 one answer",
                "a verdict for every session",
                format!("session {session} has none"),
            );
        }
    }

    /// What the agents hold, against the mirror: exactly equal. What hostile peers and the broken hold is
    /// theirs.
    pub(crate) fn converged(
        &mut self,
        wanted: &BTreeMap<DocKey, Content>,
        judged: impl Fn(AgentId) -> bool,
    ) {
        for (key, content) in wanted {
            let stored = self.documents.stored.get(key).map(|stored| stored.content);
            if stored != Some(*content) {
                self.fail(
                    "I-3 convergence",
                    format!("{key:?} is {content:?}, as at its agent"),
                    format!("{stored:?}"),
                );
                return;
            }
        }
        let ghost = self
            .documents
            .stored
            .iter()
            .filter(|(key, _)| judged(key.agent()) && !self.is_hostile(key.agent()))
            .find(|(key, _)| !wanted.contains_key(key))
            .map(|(key, stored)| (*key, *stored));
        if let Some((key, stored)) = ghost {
            self.fail(
                "I-3 convergence",
                format!("{key:?} does not exist, as at its agent"),
                format!("{stored:?}"),
            );
        }
    }

    /// The mirror against the Indexer itself: a difference is a fault of the simulator.
    pub(crate) fn mirrors<'a>(
        &self,
        index: IndexId,
        cluster: &str,
        documents: impl Iterator<Item = (&'a str, u64, &'a [u8])>,
    ) -> Result<(), String> {
        let mut count = 0;
        for (id, version, source) in documents {
            let key = DocKey::of_stored(cluster, index, id)?;
            let (content, _) = Content::of_stored(source)?;
            let stored = self.documents.stored.get(&key);
            if stored.map(|stored| (stored.content, stored.version.0)) != Some((content, version)) {
                return Err(format!(
                    "{key:?}: the Indexer has {content:?} at {version}, the mirror {stored:?}"
                ));
            }
            count += 1;
        }
        let mirrored = self
            .documents
            .stored
            .keys()
            .filter(|key| key.index() == index)
            .count();
        if mirrored == count {
            Ok(())
        } else {
            Err(format!(
                "the Indexer has {count} documents in index {index}, the mirror {mirrored}"
            ))
        }
    }
}
