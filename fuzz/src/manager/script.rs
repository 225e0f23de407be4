//! From choices to events.

use inventory_sync_core::document::{FrameSummary, Run, Runs};
use inventory_sync_core::id::{
    AgentId, ConnectionId, IndexId, NO_SESSION, Peer, SessionId, Version,
};
use inventory_sync_core::manager::{
    AgentFloor, ConnectionKind, Event, FrameFlaw, Health, IndexState, Unready,
};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire::{AgentInfo, Hello, Mode, Start};

use super::{Desk, UNIX_MS};
use crate::choices::Choices;

impl Desk {
    /// One event, or one answer.
    pub(super) fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(32) {
            0..=3 => self.start(choices),
            4..=7 => self.items(choices),
            8..=10 => {
                let (peer, session) = self.peer_and_session(choices);
                self.say(Event::End { peer, session });
            }
            11..=18 => {
                if let Some(place) = choices.place(self.questions.len()) {
                    let question = self.questions.remove(place);
                    self.answer(question, choices);
                }
            }
            19 | 20 => {
                if let Some(question) = self.questions.pop() {
                    self.answer_kindly(question);
                }
            }
            21 => self.stale(choices),
            22 | 23 => {
                let pass_ms = *choices.pick(&[1, 10, 300, 5_000, 12_000, 31_000, 130_000]);
                self.until(self.now + pass_ms);
            }
            24 => {
                if let Some((at, _)) = self.manager.next_deadline() {
                    self.until(at);
                }
            }
            25 => self.tick_early(),
            26 | 27 => self.slice(choices),
            28 => match choices.below(4) {
                0 => self.open(ConnectionKind::Agent),
                1 => self.open(ConnectionKind::Relay),
                _ => {
                    let connection = ConnectionId(u64::from(choices.below(6)) + 1);
                    self.say(Event::Closed { connection });
                }
            },
            29 => self.bad_frame(choices),
            30 => {
                // A clock that goes back counts as one that stands.
                let now = self.now;
                self.now = Tick(now.0 / 2);
                self.say_at_an_earlier_time(now);
            }
            _ => {
                if choices.rarely(8) {
                    self.say(Event::Shutdown);
                }
            }
        }
    }

    fn say_at_an_earlier_time(&mut self, now: Tick) {
        let mut out = Vec::new();
        let early = std::mem::replace(&mut self.now, now);
        self.manager.handle(early, Event::Tick, &mut out);
        self.manager.check_invariants();
        assert!(out.is_empty(), "an early tick causes {out:?}");
    }

    /// Mostly an agent by its own connection, and a session that was opened.
    pub(super) fn peer_and_session(&mut self, choices: &mut Choices<'_>) -> (Peer, SessionId) {
        let opened = self.books.opened();
        let session = match choices.place(opened.len() + 2) {
            Some(0) | None => opened.last().copied().unwrap_or(NO_SESSION),
            Some(1) => *choices.pick(&[NO_SESSION, SessionId(0), SessionId(1)]),
            Some(place) => opened[place - 2],
        };
        let peer = match self.books.peer_of(session) {
            Some(peer) if !choices.rarely(6) => peer,
            _ => self.any_peer(choices),
        };
        (peer, session)
    }

    /// Mostly an agent by its own connection; always by one that was accepted, open or not.
    fn any_peer(&self, choices: &mut Choices<'_>) -> Peer {
        let agent = u64::from(choices.below(3)) + 1;
        let connection = match choices.below(8) {
            0..=4 => agent,
            other => u64::from(other) - 2,
        };
        Peer {
            connection: ConnectionId(connection.min(self.connections)),
            agent: AgentId(agent),
        }
    }

    fn start(&mut self, choices: &mut Choices<'_>) {
        let peer = self.any_peer(choices);
        let mode = *choices.pick(&[
            Some(Mode::Delta),
            Some(Mode::Full),
            Some(Mode::Full),
            Some(Mode::Delta),
            Some(Mode::Check),
            None,
        ]);
        let incarnation = u64::from(choices.below(2)) + 1;
        let nonce = match choices.below(7) {
            0 => 0,
            counter => incarnation << 32 | u64::from(counter),
        };
        let known = ["packages", "ports", "sca"].map(str::to_owned);
        let ahead_ms = *choices.pick(&[0, 1_000, 90_000_000, 200_000_000]);
        let odd = choices.byte();
        let start = Start {
            mode,
            size: *choices.pick(&[1, 2, 0, 3, 5, 9, 13, u64::MAX, 1 << 32]),
            module: (*choices.pick(&["syscollector", "syscollector", "sca", "nobody"])).to_owned(),
            agent_id: if odd & 15 == 15 { 9 } else { peer.agent.0 },
            protocol_version: *choices.pick(&[1, 1, 1, 0, u16::MAX]),
            nonce,
            indices: match odd >> 4 & 3 {
                0 | 1 => Vec::new(),
                2 => known[..usize::from(odd & 3)].to_vec(),
                _ => known.to_vec(),
            },
            agent: (odd & 16 > 0).then(AgentInfo::default),
            cluster_name: match odd >> 6 {
                0 => "wazuh".to_owned(),
                3 => "other".to_owned(),
                _ => String::new(),
            },
            version_floor: match odd & 7 {
                0..=4 => 0,
                5 => u64::MAX,
                _ => Version::from_unix_ms(UNIX_MS + self.now.0 + ahead_ms).0,
            },
            id_from: (odd & 63 == 63).then(|| "a".to_owned()),
            ..Start::default()
        };
        self.say(Event::Start {
            peer,
            start: Box::new(start),
            digest: [choices.below(2); 16],
        });
    }

    fn items(&mut self, choices: &mut Choices<'_>) {
        let (peer, session) = self.peer_and_session(choices);
        let mut sequences: Runs = self.books.missing(session);
        match choices.below(8) {
            0..=3 => {}
            4 => sequences = sequences.take_lowest(1),
            5 => {
                let first = u32::from(choices.below(14));
                sequences.insert(Run::new(first, first + u32::from(choices.below(3))));
            }
            6 => {
                let first = u32::from(choices.below(14));
                sequences = Runs::from_iter([Run::one(first), Run::one(first + 2)]);
            }
            _ => sequences = Runs::from_iter([Run::one(*choices.pick(&[u32::MAX, 0, 9]))]),
        }
        let odd = choices.byte();
        let frame = FrameSummary {
            session,
            beyond: (odd == 255).then_some(1 << 32),
            unknown_operation: (odd == 254).then_some(1),
            foreign_element: odd == 253,
            bytes: *choices.pick(&[100, 1_000, 4_000, 0]),
            sequences,
        };
        self.say(Event::Items {
            peer,
            frame,
            payload: 0,
        });
    }

    /// A slice of the coordinator.
    fn slice(&mut self, choices: &mut Choices<'_>) {
        let unix_ms = UNIX_MS + self.now.0;
        let index = IndexId(u16::from(choices.below(4)));
        let event = match choices.below(9) {
            0..=2 => Event::IndexChanged {
                index,
                state: match choices.below(5) {
                    0 | 1 => IndexState::Open,
                    2 => IndexState::NotReady,
                    3 => IndexState::Held,
                    _ => IndexState::Paused {
                        until: self.now + *choices.pick(&[0, 100, 40_000]),
                    },
                },
            },
            3 => Event::Health {
                health: match choices.below(3) {
                    0 => Health::Ready,
                    1 => Health::Unready(Unready::Red),
                    _ => Health::Unready(Unready::NoLease),
                },
            },
            4 => Event::LeaseUntil {
                until: *choices.pick(&[Tick::NEVER, self.now, self.now + 20_000]),
            },
            5 => Event::WallClock {
                unix_ms: *choices.pick(&[unix_ms, 0, unix_ms / 2, unix_ms + 90_000_000]),
            },
            6 => Event::BoundRaised {
                bound: Version::from_unix_ms(unix_ms + *choices.pick(&[60_000, 0, 300_000_000])),
            },
            7 => Event::QuotaSlice {
                items: *choices.pick(&[64_000_000, 3, 0]),
                bytes: *choices.pick(&[64 << 30, 5_000, 0]),
            },
            _ => match choices.below(4) {
                0 | 1 => Event::TaintAll {
                    until: self.now + 30_000,
                },
                2 => Event::ClockFloor {
                    floor: Version::from_unix_ms(unix_ms + 1_000),
                },
                _ => {
                    let floor = Version::from_unix_ms(unix_ms + *choices.pick(&[5, 1 << 40]));
                    let bound = Version(floor.0 + (60_000 << 10));
                    let agent = AgentId(u64::from(choices.below(3)) + 1);
                    let floors = vec![AgentFloor {
                        agent,
                        floor,
                        bound,
                    }];
                    Event::Floors { floors }
                }
            },
        };
        self.say(event);
    }

    fn bad_frame(&mut self, choices: &mut Choices<'_>) {
        let peer = self.any_peer(choices);
        let event = match choices.below(4) {
            0 => Event::Hello {
                peer,
                hello: Box::new(Hello::default()),
            },
            1 => Event::BadFrame {
                peer,
                flaw: FrameFlaw::UnknownMember(choices.byte()),
            },
            2 => Event::BadFrame {
                peer,
                flaw: FrameFlaw::WrongDirection,
            },
            _ => Event::BadFrame {
                peer,
                flaw: FrameFlaw::Unverifiable,
            },
        };
        self.say(event);
    }
}
