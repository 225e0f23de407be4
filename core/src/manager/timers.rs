//! The named timers of a shard: a fixed table, never a callback.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{IndexId, SessionId};
use crate::time::Tick;

/// Why a shard wants to be woken. Each deadline has exactly one of these reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// An agent owes its session data or an End.
    Idle(SessionId),
    /// A session has lived for `session_max_ms`.
    SessionMax(SessionId),
    /// A session's delivery has used up `delivery_deadline_ms`.
    Delivery(SessionId),
    /// A session has waited `paused_index_deadline_ms` for an index.
    PausedIndex(SessionId),
    /// A session tries again after a backoff.
    Retry(SessionId),
    /// The taint that a session waits for ends.
    TaintEnd(SessionId),
    /// A paused index may be tried again.
    Index(IndexId),
    /// A bulk that is not full has waited for company long enough.
    Linger,
    /// The shard sends again after a request-level refusal.
    Dispatch,
    /// What is kept without a session (verdicts, idle lanes) is looked through.
    Sweep,
}

/// The shard's own timers, of which there is one each.
const OWN: [Timer; 3] = [Timer::Linger, Timer::Dispatch, Timer::Sweep];

/// The place among the shard's own timers; those of sessions and indices have none.
fn own(timer: Timer) -> Option<usize> {
    OWN.iter().position(|own| *own == timer)
}

/// Armed timers, by name and by time. The shard's own are looked at with every event, and so stand apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Timers {
    own: [Option<Tick>; OWN.len()],
    by_name: BTreeMap<Timer, Tick>,
    by_time: BTreeSet<(Tick, Timer)>,
}

impl Timers {
    /// Arms a timer, moving it if it is armed already.
    pub(super) fn arm(&mut self, timer: Timer, at: Tick) {
        if let Some(place) = own(timer) {
            self.own[place] = Some(at);
            return;
        }
        if let Some(before) = self.by_name.insert(timer, at) {
            if before == at {
                return;
            }
            self.by_time.remove(&(before, timer));
        }
        self.by_time.insert((at, timer));
    }

    /// Arms a timer unless it is armed already.
    pub(super) fn arm_once(&mut self, timer: Timer, at: Tick) {
        if !self.is_armed(timer) {
            self.arm(timer, at);
        }
    }

    pub(super) fn disarm(&mut self, timer: Timer) {
        if let Some(place) = own(timer) {
            self.own[place] = None;
        } else if let Some(at) = self.by_name.remove(&timer) {
            self.by_time.remove(&(at, timer));
        }
    }

    pub(super) fn is_armed(&self, timer: Timer) -> bool {
        match own(timer) {
            Some(place) => self.own[place].is_some(),
            None => self.by_name.contains_key(&timer),
        }
    }

    /// The earliest deadline and its reason.
    pub(super) fn next(&self) -> Option<(Tick, Timer)> {
        let own = OWN.into_iter().zip(self.own);
        let armed = own.filter_map(|(timer, at)| Some((at?, timer)));
        armed.chain(self.by_time.first().copied()).min()
    }

    /// Takes one timer that is due.
    pub(super) fn take_due(&mut self, now: Tick) -> Option<Timer> {
        let (at, timer) = self.next()?;
        if at > now {
            return None;
        }
        self.disarm(timer);
        Some(timer)
    }

    /// Whether anything but the sweep is armed.
    pub(super) fn only_sweep(&self) -> bool {
        self.by_name.is_empty() && !self.is_armed(Timer::Linger) && !self.is_armed(Timer::Dispatch)
    }

    /// Whether the two views agree.
    pub(super) fn is_consistent(&self) -> bool {
        self.by_name.len() == self.by_time.len()
            && self
                .by_name
                .iter()
                .all(|(timer, at)| own(*timer).is_none() && self.by_time.contains(&(*at, *timer)))
    }
}
