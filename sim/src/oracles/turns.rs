//! Whose turn it is: of two requests in a row, one goes on with the session that was begun first, if nothing keeps
//! it from going on (`docs/protocol.md` section 5).
//!
//! ```text
//!  begun   a, b, c      a goes on      b, c, d … in turn
//!  sent    ──────────── a ──────────── b ──────────── a ──────────── c ──────────── a ──▶
//! ```
//!
//! Judged are sessions that nothing happened to: what was refused or lost, what waits for an index or for the end
//! of a taint goes on when it may, and the others meanwhile.

use std::collections::BTreeMap;

use inventory_sync_core::document::{Class, Part};
use inventory_sync_core::id::SessionId;

use super::Oracles;

/// A session of which something was sent.
#[derive(Debug)]
struct Begun {
    session: SessionId,
    /// Upserts that were in a request.
    sent: u64,
    /// Something may keep it from going on, or did.
    troubled: bool,
}

#[derive(Debug, Default)]
struct Shard {
    /// In the order of their first requests.
    begun: Vec<Begun>,
    /// Who should go on, and whether the last request passed it over.
    passed_over: Option<SessionId>,
    /// Halves of what was refused are sent before all else.
    splits: bool,
}

/// What the shards of the present process have begun.
#[derive(Debug, Default)]
pub(super) struct Turns {
    shards: BTreeMap<u16, Shard>,
}

impl Turns {
    /// Something of the session was not simply stored.
    pub(super) fn trouble(&mut self, shard: u16, session: SessionId) {
        let begun = self.shards.entry(shard).or_default().begun.iter_mut();
        for one in begun.filter(|one| one.session == session) {
            one.troubled = true;
        }
    }

    /// Something may keep any of the shard's sessions from going on.
    pub(super) fn trouble_all(&mut self, shard: u16) {
        for one in &mut self.shards.entry(shard).or_default().begun {
            one.troubled = true;
        }
    }

    /// A request was refused whole, and is sent in halves.
    pub(super) fn splits(&mut self, shard: u16) {
        self.shards.entry(shard).or_default().splits = true;
    }

    /// A session has its verdict.
    pub(super) fn decided(&mut self, session: SessionId) {
        for shard in self.shards.values_mut() {
            shard.begun.retain(|one| one.session != session);
        }
    }
}

impl Oracles {
    /// A request is about to be sent.
    pub(super) fn judge_turn(&mut self, shard: u16, parts: &[Part]) {
        let mut turns = std::mem::take(&mut self.turns);
        let turn = turns.shards.entry(shard).or_default();
        let first = turn.begun.iter().position(|one| self.can_go_on(one));
        let passed_over = first.and_then(|place| {
            let is_served = |one: &Begun| parts.iter().any(|part| part.session == one.session);
            // One that came before it may go on, after all.
            (!turn.begun[..=place].iter().any(is_served)).then(|| turn.begun[place].session)
        });
        if let Some(session) = passed_over
            && turn.passed_over == passed_over
            && !turn.splits
        {
            let expected = format!("one of two requests in a row goes on with session {session}");
            self.fail("P-8 turn", expected, format!("{parts:?}"));
        }
        turn.passed_over = passed_over;
        for part in parts {
            let known = turn
                .begun
                .iter()
                .position(|one| one.session == part.session);
            let place = known.unwrap_or_else(|| {
                turn.begun.push(Begun {
                    session: part.session,
                    sent: 0,
                    troubled: false,
                });
                turn.begun.len() - 1
            });
            if part.class == Class::Upsert {
                turn.begun[place].sent += part.ordinals.count();
            }
        }
        self.turns = turns;
    }

    /// Whether nothing keeps a session from going on with upserts that were never sent.
    fn can_go_on(&self, begun: &Begun) -> bool {
        let Some(known) = self.sessions.get(&begun.session) else {
            return false;
        };
        let is_in_time = !known.has_stood_still(self.now, self.config.delivery_deadline_ms)
            && self.now.since(known.opened) < self.config.session_max_ms;
        let upserts = self.loads.operations(begun.session, Class::Upsert);
        !begun.troubled && known.open && is_in_time && begun.sent < upserts
    }
}
