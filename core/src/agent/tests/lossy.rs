//! A world that loses and repeats messages, cuts connections and restarts the manager, with a manager
//! small enough to be right at a glance: it says Ok if and only if it holds every row of the session.

use super::desk::{Payload, answer_at_once};
use super::{config, job, missing, opened, refused, verdict};
use crate::agent::{Agent, Answer, Command, Config, Event, Message, Outcome};
use crate::id::ConnectionId;
use crate::time::Tick;
use crate::wire::{Reason, Start, StartAck, Status};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};

/// A session as the manager sees it.
struct Staged {
    start: Start,
    rows: BTreeSet<u32>,
    connection: u64,
}

#[derive(Default)]
struct SmallManager {
    sessions: BTreeMap<u64, Staged>,
    /// Sessions that were whole, with their rows: what Ok may be said of.
    stored: BTreeMap<u64, u32>,
    next: u64,
}

impl SmallManager {
    fn on_start(&mut self, start: &Start, connection: u64) -> StartAck {
        let known = self
            .sessions
            .iter_mut()
            .find(|(_, staged)| staged.start.nonce == start.nonce);
        let session = if let Some((session, staged)) = known {
            assert_eq!(staged.start, *start, "a nonce stands for the same bytes");
            staged.connection = connection;
            *session
        } else {
            if self
                .sessions
                .values()
                .any(|staged| staged.start.nonce > start.nonce)
            {
                return refused(Status::Error, Reason::SessionReplaced, 0);
            }
            self.next += 1;
            let staged = Staged {
                start: start.clone(),
                rows: BTreeSet::new(),
                connection,
            };
            self.sessions.insert(self.next, staged);
            self.next
        };
        opened(session)
    }

    fn on_message(&mut self, message: &Message<Payload>, connection: u64) -> Option<Answer> {
        match message {
            Message::Start(start) => {
                let ack = StartAck {
                    nonce: start.nonce,
                    ..self.on_start(start, connection)
                };
                Some(Answer::StartAck(Box::new(ack)))
            }
            Message::Data((session, run)) => match self.mine(session.0, connection) {
                Some(staged) => {
                    assert!(u64::from(run.last) < staged.start.size);
                    staged.rows.extend(run.first..=run.last);
                    None
                }
                None => Some(unknown(session.0)),
            },
            Message::End(end) => {
                let Some(staged) = self.mine(end.session, connection) else {
                    return Some(unknown(end.session));
                };
                let size = u32::try_from(staged.start.size).unwrap();
                let gaps: Vec<(u64, u64)> = (0..size)
                    .filter(|row| !staged.rows.contains(row))
                    .map(|row| (u64::from(row), u64::from(row)))
                    .take(3)
                    .collect();
                if !gaps.is_empty() {
                    return Some(Answer::ReqRet(Box::new(missing(end.session, &gaps))));
                }
                self.stored.insert(end.session, size);
                let ok = verdict(end.session, Status::Ok, Reason::None);
                Some(Answer::EndAck(Box::new(ok)))
            }
            Message::Hello(_) => None,
        }
    }

    fn mine(&mut self, session: u64, connection: u64) -> Option<&mut Staged> {
        self.sessions
            .get_mut(&session)
            .filter(|staged| staged.connection == connection)
    }
}

fn unknown(session: u64) -> Answer {
    Answer::EndAck(Box::new(verdict(
        session,
        Status::Error,
        Reason::SessionNotFound,
    )))
}

/// Runs one job through a world that misbehaves up to `calm_at`; returns how it ended and when.
fn run(seed: u64, size: u32, calm_at: Tick) -> (Outcome, Tick) {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut chance = move |now: Tick, one_in: u64| now < calm_at && dice.next_u64() % one_in == 0;
    let mut agent = Agent::new(
        Config {
            backoff_max_ms: 20_000,
            ..config()
        },
        [u8::try_from(seed % 251).unwrap(); 32],
    );
    let mut manager = SmallManager::default();
    let (mut now, mut connection) = (Tick(0), 0);
    let mut events = vec![Event::Sync {
        job: Box::new(job(1, size)),
    }];
    let mut outcome = None;
    let mut steps = 0;
    while outcome.is_none() {
        steps += 1;
        assert!(
            steps < 100_000,
            "seed {seed}: no end; {:?}",
            agent.pending()
        );
        if events.is_empty() {
            let deadline = agent.next_deadline();
            now = deadline
                .unwrap_or_else(|| panic!("seed {seed}: {:?}", agent.pending()))
                .0;
            events.push(Event::Tick);
        }
        let mut out = Vec::new();
        agent.handle(now, events.remove(0), &mut out);
        agent.check_invariants();
        for command in out {
            match command {
                Command::Send {
                    connection: by,
                    message,
                } => {
                    let copies = if chance(now, 20) { 2 } else { 1 };
                    for _ in 0..copies {
                        if by.0 != connection || chance(now, 6) {
                            continue;
                        }
                        if let Some(answer) = manager.on_message(&message, by.0)
                            && !chance(now, 6)
                        {
                            events.push(Event::Received {
                                connection: by,
                                answer,
                            });
                        }
                    }
                }
                Command::Reconnect { .. } if chance(now, 3) => events.push(Event::ConnectFailed),
                Command::Reconnect { .. } => {
                    connection += 1;
                    events.push(Event::Connected {
                        connection: ConnectionId(connection),
                    });
                }
                Command::Commit {
                    ref acknowledgement,
                    ..
                } => {
                    let stored = manager.stored.get(&acknowledgement.session.0);
                    assert_eq!(stored, Some(&size), "seed {seed}: acknowledged, not stored");
                    assert_eq!(acknowledgement.upto, size);
                    events.extend(answer_at_once(command));
                }
                Command::Finished { outcome: end, .. } => outcome = Some(end),
                other => events.extend(answer_at_once(other)),
            }
        }
        if chance(now, 40) {
            events.push(Event::Disconnected {
                connection: ConnectionId(connection),
            });
        }
        if chance(now, 60) {
            manager.sessions.clear();
        }
    }
    (outcome.unwrap(), now)
}

#[test]
fn every_job_ends_acknowledged_once_the_world_is_calm() {
    let calm_at = Tick(120_000);
    let mut late = 0;
    for seed in 0..400 {
        let size = [0, 1, 7, 40][usize::try_from(seed % 4).unwrap()];
        let (outcome, end) = run(seed, size, calm_at);
        assert_eq!(outcome, Outcome::Acknowledged, "seed {seed}");
        // Three Starts or Ends without an answer, two connections, the longest backoff.
        assert!(end <= calm_at + 200_000, "seed {seed} ended at {end}");
        late += u32::from(end > calm_at);
    }
    assert!(
        late > 0,
        "no job was still under way: the world is too kind"
    );
}
