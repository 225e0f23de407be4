//! Names for what the machines know by number.

use std::collections::BTreeMap;

use inventory_sync_core::config::Catalogue;
use inventory_sync_core::id::{NO_SESSION, SessionId};
use inventory_sync_core::time::Tick;

use crate::chart::labels::seconds;

/// Names for what the machines know by number.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(in crate::chart) catalogue: Catalogue,
    pub(super) now: Tick,
    pub(super) sessions: BTreeMap<SessionId, usize>,
}

impl Names {
    /// How long it is from now to a tick: a reader has no clock of the machines.
    pub(in crate::chart) fn until(&self, at: Tick) -> String {
        seconds(at.since(self.now))
    }

    /// The name of a module.
    pub(in crate::chart) fn module(&self, place: usize) -> &str {
        let module = self.catalogue.modules().get(place);
        module.map_or("an unknown module", |module| module.name.as_str())
    }

    /// The place of a session that was opened.
    pub(in crate::chart) fn place(&self, session: SessionId) -> Option<usize> {
        self.sessions.get(&session).copied()
    }

    /// The name of a session.
    pub(in crate::chart) fn session(&self, session: SessionId) -> String {
        match self.place(session) {
            Some(place) => format!("S{}", place + 1),
            None if session == NO_SESSION => "no session".to_owned(),
            None => "an unknown session".to_owned(),
        }
    }
}
