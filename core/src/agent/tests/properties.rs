//! Any events in any order: no panic, no broken invariant, one session, one end for each job.

use super::desk::{Payload, answer_at_once};
use super::{config, job, missing, opened, partial, refused, verdict};
use crate::agent::{
    Agent, Answer, Command, Config, Event, Frame, Job, JobId, LoadId, Message, Observation,
};
use crate::document::Run;
use crate::id::{ConnectionId, SessionId};
use crate::time::Tick;
use crate::wire::{Reason, StartAck, Status};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What may happen, in terms of what the machine does: numbers are taken modulo what is there.
#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    TickEarly,
    Deadline,
    Sync {
        id: u64,
        size: u32,
        give_up_after_ms: Option<u64>,
    },
    Connect,
    Disconnect,
    ConnectFailed,
    AnswerLocal(usize),
    FailLocal(usize),
    OpenSession(u64),
    Refuse(usize, u32),
    Verdict {
        ours: bool,
        status: usize,
        reason: usize,
    },
    Partial {
        failed: Vec<(u64, bool)>,
        more: bool,
    },
    Request(Vec<(u64, u64)>),
    Stray(u64),
    Stop,
    Reset,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0u64..40_000).prop_map(Step::Pass),
        1 => Just(Step::TickEarly),
        4 => Just(Step::Deadline),
        4 => (0u64..4, 0u32..12, prop::option::of(0u64..100_000)).prop_map(
            |(id, size, give_up_after_ms)| Step::Sync { id, size, give_up_after_ms }
        ),
        4 => Just(Step::Connect),
        1 => Just(Step::Disconnect),
        1 => Just(Step::ConnectFailed),
        8 => (0usize..4).prop_map(Step::AnswerLocal),
        1 => (0usize..4).prop_map(Step::FailLocal),
        6 => (0u64..4).prop_map(Step::OpenSession),
        1 => (0usize..24, 0u32..100_000).prop_map(|(reason, after)| Step::Refuse(reason, after)),
        5 => (prop::bool::weighted(0.9), 0usize..5, 0usize..24).prop_map(
            |(ours, status, reason)| Step::Verdict { ours, status, reason }
        ),
        2 => (prop::collection::vec((0u64..14, any::<bool>()), 0..4), any::<bool>())
            .prop_map(|(failed, more)| Step::Partial { failed, more }),
        2 => prop::collection::vec((0u64..14, 0u64..14), 0..4).prop_map(Step::Request),
        1 => any::<u64>().prop_map(Step::Stray),
        1 => Just(Step::Stop),
        1 => Just(Step::Reset),
    ];
    prop::collection::vec(step, 1..120)
}

/// The world around one machine, and what it must have kept to.
struct World {
    agent: Agent,
    now: Tick,
    connection: u64,
    /// Loads and commits that are not answered.
    asked: Vec<Command<Payload>>,
    nonce: u64,
    /// Jobs handed over and not finished, with the rows of their last description.
    open: BTreeMap<JobId, u32>,
    /// Rows sent since a session got its name, and whether an End followed.
    carried: BTreeMap<SessionId, (BTreeSet<u32>, bool)>,
    highest_nonce: u64,
}

impl World {
    fn new(config: Config) -> Self {
        Self {
            agent: Agent::new(config, [3; 32]),
            now: Tick(0),
            connection: 0,
            asked: Vec::new(),
            nonce: 0,
            open: BTreeMap::new(),
            carried: BTreeMap::new(),
            highest_nonce: 0,
        }
    }

    fn session(&self) -> u64 {
        self.agent.session_id().map_or(77, |session| session.0)
    }

    fn say(&mut self, event: Event<Payload>) {
        let is_tick = event == Event::Tick;
        let is_due = self
            .agent
            .next_deadline()
            .is_some_and(|(at, _)| at <= self.now);
        let before = is_tick.then(|| self.agent.clone());
        let mut out = Vec::new();
        self.agent.handle(self.now, event, &mut out);
        self.agent.check_invariants();
        if is_tick && !is_due {
            assert_eq!(
                Some(&self.agent),
                before.as_ref(),
                "an early tick changes something"
            );
            assert_eq!(out, []);
        }
        if is_tick {
            let next = self.agent.next_deadline();
            assert!(
                next.is_none_or(|(at, _)| at > self.now),
                "{next:?} is served"
            );
            let (served, mut again) = (self.agent.clone(), Vec::new());
            self.agent
                .handle::<Payload>(self.now, Event::Tick, &mut again);
            assert_eq!(
                (&self.agent, again),
                (&served, vec![]),
                "a second tick changes something"
            );
        }
        for command in out {
            self.check(command);
        }
        assert_eq!(self.agent.pending().is_some(), self.agent.job().is_some());
        assert!(self.open.len() <= 1, "two jobs at once");
    }

    fn check(&mut self, command: Command<Payload>) {
        match &command {
            Command::Send {
                message: Message::Start(start),
                ..
            } => {
                self.nonce = start.nonce;
                assert!(start.nonce >= self.highest_nonce, "an old Start");
                self.highest_nonce = start.nonce;
            }
            Command::Send {
                message: Message::Data((session, run)),
                ..
            } => {
                let (rows, _) = self
                    .carried
                    .get_mut(session)
                    .expect("a session with a name");
                rows.extend(run.first..=run.last);
            }
            Command::Send {
                message: Message::End(end),
                ..
            } => {
                self.carried
                    .get_mut(&SessionId(end.session))
                    .expect("a session")
                    .1 = true;
            }
            Command::Observe(Observation::Opened {
                session,
                resumed: false,
            }) => {
                self.carried.insert(*session, (BTreeSet::new(), false));
            }
            Command::Commit {
                job,
                acknowledgement,
            } => {
                let size = self.open[job];
                let (rows, is_ended) = &self.carried[&acknowledgement.session];
                assert!(*is_ended, "acknowledged before its End");
                for seq in (0..size + 20).filter(|seq| acknowledgement.covers(*seq)) {
                    assert!(rows.contains(&seq), "row {seq} was not carried");
                }
                self.asked.push(command);
            }
            Command::Load { .. } => self.asked.push(command),
            Command::Finished { job, .. } => {
                assert!(self.open.remove(job).is_some(), "job {job} finishes twice");
            }
            Command::RollBack { job, .. } => assert!(self.open.contains_key(job)),
            _ => {}
        }
    }

    fn receive(&mut self, answer: Answer) {
        self.say(Event::Received {
            connection: ConnectionId(self.connection),
            answer,
        });
    }

    fn sync(&mut self, job: Job) {
        match self.agent.job() {
            // Told at once, and outside the books: its id is in nobody's use.
            Some(current) if current != job.id => {
                let mut out: Vec<Command<Payload>> = Vec::new();
                let before = self.agent.clone();
                self.agent
                    .handle(self.now, Event::Sync { job: Box::new(job) }, &mut out);
                assert_eq!(out.len(), 1);
                assert_eq!(self.agent, before);
            }
            current => {
                if current.is_none() || self.agent.session.is_none() {
                    self.open.insert(job.id, job.size);
                }
                self.say(Event::Sync { job: Box::new(job) });
            }
        }
    }

    fn take(&mut self, choice: usize) -> Option<Command<Payload>> {
        (!self.asked.is_empty()).then(|| self.asked.remove(choice % self.asked.len()))
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Pass(ms) => self.now = self.now + ms,
            Step::TickEarly => self.say(Event::Tick),
            Step::Deadline => {
                if let Some((at, _)) = self.agent.next_deadline() {
                    self.now = self.now.max(at);
                }
                self.say(Event::Tick);
            }
            Step::Sync {
                id,
                size,
                give_up_after_ms,
            } => {
                self.sync(Job {
                    give_up_after_ms,
                    ..job(id, size)
                });
            }
            Step::Connect => {
                self.connection += 1;
                self.say(Event::Connected {
                    connection: ConnectionId(self.connection),
                });
            }
            Step::Disconnect => {
                self.say(Event::Disconnected {
                    connection: ConnectionId(self.connection),
                });
            }
            Step::ConnectFailed => self.say(Event::ConnectFailed),
            Step::AnswerLocal(choice) => {
                if let Some(event) = self.take(choice).and_then(answer_at_once) {
                    self.say(event);
                }
            }
            Step::FailLocal(choice) => match self.take(choice) {
                Some(Command::Load { load, .. }) => self.say(Event::LoadFailed { load }),
                Some(Command::Commit { job, .. }) => self.say(Event::CommitFailed { job }),
                _ => {}
            },
            Step::OpenSession(session) => {
                let ack = StartAck {
                    nonce: self.nonce,
                    max_items: session * 4,
                    ..opened(session + 1)
                };
                self.receive(Answer::StartAck(Box::new(ack)));
            }
            Step::Refuse(reason, retry_after_ms) => {
                let mut ack = refused(Status::Error, Reason::ALL[reason], retry_after_ms);
                ack.nonce = self.nonce;
                self.receive(Answer::StartAck(Box::new(ack)));
            }
            Step::Verdict {
                ours,
                status,
                reason,
            } => {
                let session = if ours { self.session() } else { 99 };
                let ack = verdict(session, Status::ALL[status], Reason::ALL[reason]);
                self.receive(Answer::EndAck(Box::new(ack)));
            }
            Step::Partial { failed, more } => {
                let ack = partial(self.session(), &failed, more);
                self.receive(Answer::EndAck(Box::new(ack)));
            }
            Step::Request(ranges) => {
                let request = missing(self.session(), &ranges);
                self.receive(Answer::ReqRet(Box::new(request)));
            }
            Step::Stray(number) => self.stray(number),
            Step::Stop => self.say(Event::Stop),
            Step::Reset => self.say(Event::Reset),
        }
    }

    /// What nobody asked for.
    fn stray(&mut self, number: u64) {
        self.say(Event::Loaded {
            load: LoadId(number | 1 << 32),
            frames: vec![Frame {
                run: Run::one(0),
                payload: (SessionId(1), Run::one(0)),
            }],
        });
        self.say(Event::Committed {
            job: JobId(number | 1 << 32),
        });
        self.say(Event::Received {
            connection: ConnectionId(self.connection + 1),
            answer: Answer::EndAck(Box::new(verdict(self.session(), Status::Ok, Reason::None))),
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_events_keep_the_rules(steps in steps(), rate in prop_oneof![Just(0u32), 1u32..50]) {
        let mut world = World::new(Config { items_per_second: rate, ..config() });
        for step in steps {
            world.step(step);
        }
    }

    #[test]
    fn the_same_events_give_the_same_commands(steps in steps()) {
        let (mut one, mut two) = (World::new(config()), World::new(config()));
        for step in steps {
            one.step(step.clone());
            two.step(step);
            prop_assert_eq!(&one.agent, &two.agent);
            prop_assert_eq!(&one.asked, &two.asked);
        }
    }
}

#[test]
fn the_ends_of_time_are_survived() {
    for now in [Tick(0), Tick(u64::MAX - 1), Tick::NEVER] {
        let mut world = World::new(Config {
            items_per_second: 1,
            ..config()
        });
        world.now = now;
        world.step(Step::Connect);
        world.agent.handle::<Payload>(
            now,
            Event::Sync {
                job: Box::new(job(1, 9)),
            },
            &mut Vec::new(),
        );
        world
            .agent
            .handle::<Payload>(now, Event::Tick, &mut Vec::new());
        world.agent.check_invariants();
    }
}
