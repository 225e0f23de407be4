//! The live sessions of a shard.
//!
//! An event is about one session, which the machine looks up at each of its steps: so the session that was
//! looked up last is found again without a search.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Index;

use super::session::Session;
use crate::id::SessionId;

/// Live sessions, by id.
#[derive(Clone, Default)]
pub(super) struct Sessions {
    /// Boxed: they come and go, and a place is used again.
    slots: Vec<Option<Box<Session>>>,
    free: Vec<usize>,
    by_id: BTreeMap<SessionId, usize>,
    /// The place of a session that was looked up last; it may be gone.
    last: Cell<usize>,
}

impl Sessions {
    fn place(&self, id: SessionId) -> Option<usize> {
        let last = self.last.get();
        let seen = self.slots.get(last)?.as_deref();
        if seen.is_some_and(|session| session.id == id) {
            return Some(last);
        }
        let place = *self.by_id.get(&id)?;
        self.last.set(place);
        Some(place)
    }

    pub(super) fn get(&self, id: &SessionId) -> Option<&Session> {
        self.slots[self.place(*id)?].as_deref()
    }

    pub(super) fn get_mut(&mut self, id: &SessionId) -> Option<&mut Session> {
        let place = self.place(*id)?;
        self.slots[place].as_deref_mut()
    }

    pub(super) fn contains_key(&self, id: &SessionId) -> bool {
        self.place(*id).is_some()
    }

    /// Adds a session. Its id must be new.
    pub(super) fn insert(&mut self, session: Box<Session>) {
        let id = session.id;
        let place = match self.free.pop() {
            Some(place) => {
                self.slots[place] = Some(session);
                place
            }
            None => {
                self.slots.push(Some(session));
                self.slots.len() - 1
            }
        };
        let before = self.by_id.insert(id, place);
        debug_assert!(before.is_none(), "a session id is used once");
        self.last.set(place);
    }

    pub(super) fn remove(&mut self, id: &SessionId) -> Option<Box<Session>> {
        let place = self.by_id.remove(id)?;
        self.free.push(place);
        self.slots[place].take()
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Their ids, ascending.
    pub(super) fn ids(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.by_id.keys().copied()
    }

    /// They, in ascending order of their ids.
    pub(super) fn values(&self) -> impl Iterator<Item = &Session> {
        let places = self.by_id.values();
        places.filter_map(|place| self.slots[*place].as_deref())
    }
}

impl Index<&SessionId> for Sessions {
    type Output = Session;

    /// # Panics
    /// When there is no such session.
    fn index(&self, id: &SessionId) -> &Session {
        match self.get(id) {
            Some(session) => session,
            None => panic!("session {id} is not live"),
        }
    }
}

/// What they are, not how they were found.
impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.values().map(|session| (session.id, session));
        f.debug_map().entries(all).finish()
    }
}
