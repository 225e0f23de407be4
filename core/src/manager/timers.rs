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
    /// A session's delivery has stood still for `delivery_deadline_ms`.
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

/// How many timers a session has.
const OF_SESSION: usize = 6;

/// A session's timers, in the order in which they go off at the same tick.
const fn of_session(session: SessionId) -> [Timer; OF_SESSION] {
    [
        Timer::Idle(session),
        Timer::SessionMax(session),
        Timer::Delivery(session),
        Timer::PausedIndex(session),
        Timer::Retry(session),
        Timer::TaintEnd(session),
    ]
}

/// Whose timer it is, and its place among them.
enum Owner {
    Session(SessionId, usize),
    Index(IndexId),
    Shard(usize),
}

const fn owner(timer: Timer) -> Owner {
    match timer {
        Timer::Idle(session) => Owner::Session(session, 0),
        Timer::SessionMax(session) => Owner::Session(session, 1),
        Timer::Delivery(session) => Owner::Session(session, 2),
        Timer::PausedIndex(session) => Owner::Session(session, 3),
        Timer::Retry(session) => Owner::Session(session, 4),
        Timer::TaintEnd(session) => Owner::Session(session, 5),
        Timer::Index(index) => Owner::Index(index),
        Timer::Linger => Owner::Shard(0),
        Timer::Dispatch => Owner::Shard(1),
        Timer::Sweep => Owner::Shard(2),
    }
}

/// The timers of one session.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    armed: [Option<Tick>; OF_SESSION],
    /// Where it stands in the order of time: at or before its earliest timer.
    queued: Option<Tick>,
}

impl Row {
    /// The earliest timer's time and place.
    fn earliest(&self) -> Option<(Tick, usize)> {
        let places = self.armed.iter().enumerate();
        places.filter_map(|(place, at)| Some(((*at)?, place))).min()
    }
}

/// Armed timers, by whose they are and by time.
///
/// A session stands in the order of time once, and moves there only when it must be looked at earlier. A
/// timer that is stopped or put off leaves it where it is: in the life of a session most are, and few go
/// off. When its time comes, it is put where it belongs.
#[derive(Debug, Clone, Default)]
pub(super) struct Timers {
    own: [Option<Tick>; OWN.len()],
    indices: BTreeMap<IndexId, Tick>,
    sessions: BTreeMap<SessionId, Row>,
    by_time: BTreeSet<(Tick, SessionId)>,
}

impl Timers {
    /// Arms a timer, moving it if it is armed already.
    pub(super) fn arm(&mut self, timer: Timer, at: Tick) {
        match owner(timer) {
            Owner::Shard(place) => self.own[place] = Some(at),
            Owner::Index(index) => {
                self.indices.insert(index, at);
            }
            Owner::Session(session, place) => {
                let row = self.sessions.entry(session).or_default();
                row.armed[place] = Some(at);
                if row.queued.is_none_or(|queued| at < queued) {
                    if let Some(queued) = row.queued.replace(at) {
                        self.by_time.remove(&(queued, session));
                    }
                    self.by_time.insert((at, session));
                }
            }
        }
    }

    /// Arms a timer unless it is armed already.
    pub(super) fn arm_once(&mut self, timer: Timer, at: Tick) {
        if !self.is_armed(timer) {
            self.arm(timer, at);
        }
    }

    pub(super) fn disarm(&mut self, timer: Timer) {
        match owner(timer) {
            Owner::Shard(place) => self.own[place] = None,
            Owner::Index(index) => {
                self.indices.remove(&index);
            }
            Owner::Session(session, place) => {
                if let Some(row) = self.sessions.get_mut(&session) {
                    row.armed[place] = None;
                }
            }
        }
    }

    /// Disarms all timers of a session that is over.
    pub(super) fn forget(&mut self, session: SessionId) {
        if let Some(queued) = self.sessions.remove(&session).and_then(|row| row.queued) {
            self.by_time.remove(&(queued, session));
        }
    }

    pub(super) fn is_armed(&self, timer: Timer) -> bool {
        match owner(timer) {
            Owner::Shard(place) => self.own[place].is_some(),
            Owner::Index(index) => self.indices.contains_key(&index),
            Owner::Session(session, place) => self
                .sessions
                .get(&session)
                .is_some_and(|row| row.armed[place].is_some()),
        }
    }

    /// When to look next, and what for. Never later than the earliest deadline; earlier where a timer was
    /// stopped or put off since.
    pub(super) fn next(&self) -> Option<(Tick, Timer)> {
        let of_sessions = self.by_time.first().map(|(at, session)| {
            let earliest = self.sessions.get(session).and_then(Row::earliest);
            let place = earliest.map_or(0, |(_, place)| place);
            (*at, of_session(*session)[place])
        });
        self.next_but_sessions()
            .into_iter()
            .chain(of_sessions)
            .min()
    }

    fn next_but_sessions(&self) -> Option<(Tick, Timer)> {
        let own = OWN.into_iter().zip(self.own);
        let own = own.filter_map(|(timer, at)| Some((at?, timer)));
        let indices = self.indices.iter();
        own.chain(indices.map(|(index, at)| (*at, Timer::Index(*index))))
            .min()
    }

    /// Takes one timer that is due.
    pub(super) fn take_due(&mut self, now: Tick) -> Option<Timer> {
        let others = self.next_but_sessions();
        while let Some((queued, session)) = self.by_time.first().copied() {
            if queued > now || others.is_some_and(|(at, _)| at < queued) {
                break;
            }
            self.by_time.pop_first();
            let Some(row) = self.sessions.get_mut(&session) else {
                continue;
            };
            let due = row.earliest().filter(|(at, _)| *at == queued);
            if let Some((_, place)) = due {
                row.armed[place] = None;
            }
            row.queued = row.earliest().map(|(at, _)| at);
            if let Some(at) = row.queued {
                self.by_time.insert((at, session));
            }
            if let Some((_, place)) = due {
                return Some(of_session(session)[place]);
            }
        }
        let (_, timer) = others.filter(|(at, _)| *at <= now)?;
        self.disarm(timer);
        Some(timer)
    }

    /// Whether anything but the sweep is armed.
    pub(super) fn only_sweep(&self) -> bool {
        let is_armed = |row: &Row| row.earliest().is_some();
        !self.sessions.values().any(is_armed)
            && self.indices.is_empty()
            && !self.is_armed(Timer::Linger)
            && !self.is_armed(Timer::Dispatch)
    }

    /// Whether the two views agree.
    pub(super) fn is_consistent(&self) -> bool {
        let is_queued = |(session, row): (&SessionId, &Row)| {
            let in_order = row
                .queued
                .is_none_or(|queued| self.by_time.contains(&(queued, *session)));
            let in_time = row
                .earliest()
                .is_none_or(|(at, _)| row.queued.is_some_and(|queued| queued <= at));
            in_order && in_time
        };
        let queued = self.sessions.values().filter(|row| row.queued.is_some());
        queued.count() == self.by_time.len() && self.sessions.iter().all(is_queued)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SessionId = SessionId(7);
    const B: SessionId = SessionId(3);

    fn due(timers: &mut Timers, now: u64) -> Vec<Timer> {
        let due = std::iter::from_fn(|| timers.take_due(Tick(now))).collect();
        assert!(timers.is_consistent());
        due
    }

    #[test]
    fn timers_go_off_in_order_of_time_each_once() {
        let mut timers = Timers::default();
        timers.arm(Timer::SessionMax(A), Tick(50));
        timers.arm(Timer::Idle(A), Tick(20));
        timers.arm(Timer::Idle(B), Tick(30));
        timers.arm(Timer::Index(IndexId(1)), Tick(25));
        timers.arm(Timer::Sweep, Tick(60));
        assert_eq!(timers.next(), Some((Tick(20), Timer::Idle(A))));
        assert_eq!(due(&mut timers, 19), []);
        let all = [
            Timer::Idle(A),
            Timer::Index(IndexId(1)),
            Timer::Idle(B),
            Timer::SessionMax(A),
        ];
        assert_eq!(due(&mut timers, 59), all);
        assert!(timers.only_sweep());
        assert_eq!(due(&mut timers, 60), [Timer::Sweep]);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_timer_that_is_put_off_or_stopped_does_not_go_off_at_its_old_time() {
        let mut timers = Timers::default();
        timers.arm(Timer::Idle(A), Tick(10));
        timers.arm(Timer::Idle(A), Tick(40));
        timers.arm(Timer::Retry(B), Tick(10));
        timers.disarm(Timer::Retry(B));
        assert_eq!(due(&mut timers, 39), []);
        assert_eq!(timers.next(), Some((Tick(40), Timer::Idle(A))));
        assert_eq!(due(&mut timers, 40), [Timer::Idle(A)]);
        assert!(timers.only_sweep());
    }

    #[test]
    fn a_session_that_is_over_leaves_nothing_behind() {
        let mut timers = Timers::default();
        timers.arm(Timer::Idle(A), Tick(10));
        timers.arm(Timer::Delivery(A), Tick(5));
        timers.forget(A);
        timers.forget(B);
        assert_eq!(due(&mut timers, 100), []);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn every_timer_has_a_place_of_its_own() {
        for (place, timer) in of_session(A).into_iter().enumerate() {
            assert!(matches!(owner(timer), Owner::Session(A, at) if at == place));
        }
        for (place, timer) in OWN.into_iter().enumerate() {
            assert!(matches!(owner(timer), Owner::Shard(at) if at == place));
        }
    }
}
