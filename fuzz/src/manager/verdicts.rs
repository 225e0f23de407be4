//! What the shard says to agents.

use inventory_sync_core::id::{NO_SESSION, Peer, SessionId};
use inventory_sync_core::manager::{Command, Event, Observation, Reply};
use inventory_sync_core::wire::{EndAck, Reason, ReqRet, StartAck, Status};

use super::books::{Books, Known};

/// A sentence is at most so long (`docs/protocol.md` section 3).
const DETAIL_BYTES_MAX: usize = 256;

impl Books {
    /// One StartAck to each Start, and to nothing else.
    pub(super) fn check_start(&self, told: &Event<u8>, out: &[Command<u8>]) {
        let ack = |command: &Command<u8>| match command {
            Command::Reply {
                peer,
                message: Reply::StartAck(ack),
            } => Some((*peer, ack.clone())),
            _ => None,
        };
        let acks: Vec<(Peer, Box<StartAck>)> = out.iter().filter_map(ack).collect();
        let Event::Start { peer, start, .. } = told else {
            assert!(acks.is_empty(), "a StartAck to {told:?}");
            return;
        };
        let [(to, ack)] = acks.as_slice() else {
            panic!("{} answers to a Start", acks.len());
        };
        assert_eq!(to, peer, "answered to somebody else");
        assert_eq!((ack.nonce, &ack.module), (start.nonce, &start.module));
        assert!(ack.detail.len() <= DETAIL_BYTES_MAX);
        let opened = out.iter().find_map(|command| match command {
            Command::Open { session, .. } => Some(*session),
            _ => None,
        });
        assert!(
            start.protocol_version > 0 || ack.status != Status::Offline,
            "a word that a base peer does not know"
        );
        match (ack.status, opened) {
            (Status::Ok, Some(session)) => assert_eq!(ack.session, session.0),
            (Status::Ok, None) => {
                let known = self.sessions.get(&SessionId(ack.session));
                let is_same = |known: &Known| {
                    known.peer.agent == peer.agent
                        && known.module == start.module
                        && known.nonce == start.nonce
                };
                assert!(start.nonce != 0, "no nonce, and yet known");
                assert!(known.is_some_and(is_same), "another Start's session");
            }
            (_, opened) => {
                assert_eq!(opened, None, "opened and refused");
                assert_eq!(ack.session, NO_SESSION.0);
                assert_ne!(ack.reason, Reason::None, "refused for no reason");
            }
        }
    }

    /// Of a session's end it is said first that it has ended; its verdict follows in the same breath.
    pub(super) fn note_end(&mut self, observation: &Observation, ended: &mut Option<SessionId>) {
        if let Observation::SessionEnded { session, .. } = observation {
            assert_eq!(*ended, None, "an end without its verdict");
            let known = self.sessions.get(session);
            assert!(
                known.is_some_and(|known| known.verdict.is_none()),
                "a session ends that is not live"
            );
            *ended = Some(*session);
        }
    }

    pub(super) fn check_reply(
        &mut self,
        to: Peer,
        message: &Reply,
        told: &Event<u8>,
        ended: &mut Option<SessionId>,
    ) {
        match message {
            Reply::StartAck(ack) => {
                // A retransmitted Start moves its session to a newer connection.
                let known = self.sessions.get_mut(&SessionId(ack.session));
                if let Some(known) = known
                    && known.verdict.is_none()
                    && to.connection > known.peer.connection
                {
                    known.peer = to;
                }
            }
            Reply::EndAck(ack) => self.check_end_ack(to, ack, told, ended),
            Reply::ReqRet(request) => self.check_request(to, request),
            Reply::Hello(hello) => {
                assert!(matches!(told, Event::Hello { .. }));
                assert_eq!(hello.agent_id, to.agent.0);
            }
        }
    }

    fn check_end_ack(
        &mut self,
        to: Peer,
        ack: &EndAck,
        told: &Event<u8>,
        ended: &mut Option<SessionId>,
    ) {
        assert!(ack.detail.len() <= DETAIL_BYTES_MAX);
        let session = SessionId(ack.session);
        let most = self.config.failed_items_max;
        let known = self.sessions.get_mut(&session);
        if let Some(expected) = ended.take() {
            assert_eq!(session, expected, "the verdict of another session");
            let Some(known) = known else {
                panic!("a verdict of nobody's session");
            };
            assert_eq!(to, known.peer, "a verdict to somebody else");
            known.check_verdict(ack, most);
            known.verdict = Some(ack.clone());
            return;
        }
        if ack.status == Status::Processing {
            let is_complete = |known: &mut Known| {
                known.verdict.is_none()
                    && !known.is_base
                    && known.end_heard
                    && known.stored.count() == u64::from(known.size)
                    && known.peer == to
            };
            assert!(
                known.is_some_and(is_complete),
                "not complete, yet Processing"
            );
            return;
        }
        // The same verdict again, or an error that belongs to no session of the one who asks.
        if let Some(known) = known
            && known.verdict.as_ref() == Some(ack)
        {
            assert_eq!(known.peer.agent, to.agent, "told to another agent");
            assert!(matches!(told, Event::End { session: asked, .. } if *asked == session));
            return;
        }
        assert_eq!(ack.status, Status::Error, "a second verdict: {ack:?}");
        assert!(
            matches!(
                ack.reason,
                Reason::SessionNotFound | Reason::IdentityMismatch | Reason::InvalidMessage
            ),
            "a second verdict: {ack:?}"
        );
        assert!(ack.failed.is_empty());
        let from = match told {
            Event::Items { peer, .. } | Event::End { peer, .. } | Event::BadFrame { peer, .. } => {
                *peer
            }
            other => panic!("{ack:?} to {other:?}"),
        };
        assert_eq!(to, from, "an error to somebody else");
    }

    fn check_request(&self, to: Peer, request: &ReqRet) {
        let Some(known) = self.sessions.get(&SessionId(request.session)) else {
            panic!("gaps of nobody's session");
        };
        assert_eq!(to, known.peer);
        assert_eq!(known.verdict, None, "gaps after the verdict");
        assert!(known.end_heard && !known.is_base, "gaps before an End");
        let missing = self.missing(SessionId(request.session));
        let asked: Vec<(u64, u64)> = request
            .seq
            .iter()
            .map(|pair| (pair.begin, pair.end))
            .collect();
        let runs = missing.as_slice().iter();
        let wanted: Vec<(u64, u64)> = runs
            .map(|run| (u64::from(run.first), u64::from(run.last)))
            .take(self.config.ranges_per_request_max)
            .collect();
        assert!(!asked.is_empty(), "asks for nothing");
        assert_eq!(asked, wanted, "asks for other than the first gaps");
    }
}

impl Known {
    /// Ok only when the Indexer took everything, and nothing was set aside.
    fn check_verdict(&self, ack: &EndAck, failed_items_max: usize) {
        assert_eq!(ack.module, self.module);
        assert!(
            !(self.is_base && ack.status == Status::Offline),
            "a word a base peer does not know"
        );
        assert!(ack.failed.len() <= failed_items_max);
        let count = |runs: fn(&super::operations::Operations) -> u64| -> u64 {
            self.operations.iter().map(runs).sum()
        };
        let planned = count(|each| u64::from(each.count));
        let stored = count(|each| each.stored.count());
        let refused = count(|each| each.refused.count());
        let conflicts = count(|each| each.conflicts.count());
        assert_eq!(
            count(|each| each.flying.count()),
            0,
            "while a request is out"
        );
        match (ack.status, ack.reason) {
            (Status::Ok, reason) => {
                assert_eq!(reason, Reason::None);
                assert_eq!(
                    self.stored.count(),
                    u64::from(self.size),
                    "Ok without all items"
                );
                assert_eq!(stored, planned, "Ok, and not everything is stored");
                assert_eq!(self.set_aside, 0, "Ok, and items were set aside");
                assert!(ack.failed.is_empty() && !ack.failed_more);
            }
            (_, Reason::PartiallyRejected) => {
                assert_eq!(stored + refused, planned, "a part is undecided");
                assert!(self.set_aside + refused > 0, "rejected without a rejection");
            }
            (_, Reason::VersionConflict) => assert!(conflicts > 0, "a conflict nobody saw"),
            (Status::Processing | Status::ChecksumMismatch, _) => panic!("no verdict: {ack:?}"),
            (_, reason) => assert_ne!(reason, Reason::None, "refused for no reason"),
        }
    }
}
