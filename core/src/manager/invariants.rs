//! What must hold after every event. The simulator and the fuzzer ask after each one.

use super::Manager;
use super::session::{Phase, Step};
use crate::id::NO_SESSION;

impl<P> Manager<P> {
    /// Checks the shard's own books against each other. Costs time in proportion to what is live, so it is
    /// for tests, simulator and fuzzers.
    ///
    /// # Panics
    /// When one does not hold: that is our bug, never the world's.
    pub fn check_invariants(&self) {
        assert!(
            self.timers.is_consistent(),
            "timers by name and by time agree"
        );
        assert!(
            self.sessions.len() <= self.config.sessions_max,
            "sessions are bounded"
        );
        assert!(
            self.dispatch.in_flight.len() <= self.config.concurrency,
            "requests in flight are bounded"
        );
        self.check_quota_books();
        self.check_lanes();
        for session in self.sessions.values() {
            assert!(
                session.id != NO_SESSION && session.id.0 != 0,
                "a reserved session id"
            );
            self.check_session(session);
        }
    }

    fn check_quota_books(&self) {
        let items: u64 = self
            .sessions
            .values()
            .map(|session| u64::from(session.size))
            .sum();
        let bytes: u64 = self
            .sessions
            .values()
            .map(|session| session.intake.bytes)
            .sum();
        assert_eq!(self.items, items, "announced items are conserved");
        assert_eq!(self.bytes, bytes, "staged bytes are conserved");
        for (id, agent) in &self.agents {
            let of_agent = || {
                self.sessions
                    .values()
                    .filter(|session| session.agent == *id)
            };
            let items: u64 = of_agent().map(|session| u64::from(session.size)).sum();
            let bytes: u64 = of_agent().map(|session| session.intake.bytes).sum();
            assert_eq!(
                agent.items, items,
                "an agent's announced items are conserved"
            );
            assert_eq!(agent.bytes, bytes, "an agent's staged bytes are conserved");
            assert_eq!(
                agent.sessions as usize,
                of_agent().count(),
                "an agent's sessions"
            );
        }
        let kept: usize = self.lanes.values().map(|lane| lane.finished.len()).sum();
        assert_eq!(kept, self.finished.len(), "each kept verdict is known once");
        assert!(
            self.finished_bytes <= self.config.verdict_bytes_max,
            "the memory of verdicts is bounded"
        );
        let ready = |id: &crate::id::SessionId| match &self.sessions.get(id)?.phase {
            Phase::Delivering(delivery) => delivery.ready_bytes,
            _ => None,
        };
        assert_eq!(
            self.dispatch.ready.iter().filter_map(ready).sum::<u64>(),
            self.dispatch.ready_bytes,
            "bytes that wait to be sent are conserved"
        );
        for (place, id) in &self.dispatch.begun {
            let begun = match self.sessions.get(id).map(|session| &session.phase) {
                Some(Phase::Delivering(delivery)) => delivery.begun,
                _ => None,
            };
            assert_eq!(begun, Some(*place), "what goes on is being delivered");
        }
    }

    fn check_lanes(&self) {
        let mut in_lanes = 0;
        for (lane, entry) in &self.lanes {
            assert!(
                entry.sessions.len() <= 2,
                "a lane holds at most two sessions"
            );
            assert!(
                self.now >= entry.tainted_until || self.tainted.contains(lane),
                "a tainted lane is known as one"
            );
            in_lanes += entry.sessions.len();
            let mut deciding = 0;
            for (place, id) in entry.sessions.iter().enumerate() {
                let session = &self.sessions[id];
                assert_eq!(
                    (session.agent, session.module),
                    *lane,
                    "a session is in its own lane"
                );
                if matches!(session.phase, Phase::Delivering(_)) {
                    deciding += 1;
                    assert_eq!(place, 0, "only the head of a lane has undecided operations");
                }
            }
            assert!(
                deciding <= 1,
                "one session per lane has undecided operations"
            );
            for finished in &entry.finished {
                let known = self.finished.get(&finished.id);
                assert_eq!(known, Some(lane), "a lane's verdict can be found");
            }
        }
        assert_eq!(in_lanes, self.sessions.len(), "every session is in a lane");
    }

    fn check_session(&self, session: &super::session::Session) {
        let intake = &session.intake;
        if let Some(last) = intake.received.last() {
            assert!(last < session.size, "stored sequences are in range");
        }
        let open = self
            .stages
            .values()
            .filter(|stage| stage.session == session.id)
            .count();
        assert_eq!(open, intake.open_writes as usize, "open writes are counted");
        match &session.phase {
            Phase::Collecting => {}
            Phase::Planning | Phase::Queued(_) => {
                assert!(
                    intake.is_complete(session.size),
                    "what is planned is complete"
                );
            }
            Phase::Delivering(delivery) => {
                assert!(
                    self.delivering.contains(&session.id),
                    "deliveries are listed"
                );
                assert!(
                    intake.is_complete(session.size),
                    "what is delivered is complete"
                );
                let flying = self
                    .dispatch
                    .in_flight
                    .values()
                    .flat_map(|flight| &flight.parts)
                    .filter(|sent| sent.part.session == session.id)
                    .count();
                assert_eq!(
                    flying, delivery.in_flight as usize,
                    "parts in flight are counted"
                );
                let isolated = self
                    .dispatch
                    .isolated
                    .iter()
                    .flatten()
                    .filter(|part| part.session == session.id)
                    .count();
                assert_eq!(
                    isolated, delivery.isolated as usize,
                    "isolated parts are counted"
                );
                if delivery.step == Step::Judging {
                    assert_eq!(flying, 0, "nothing is judged while a request is out");
                }
            }
        }
    }
}
