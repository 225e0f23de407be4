//! Any events into the agent machine.
//!
//! The bytes choose limits, then events: connections, messages of a manager that keeps the protocol and of one
//! that does not, answers of the local store, jobs, stops, time. What the machine sent is kept by session, so
//! that nothing is acknowledged that its session did not carry.

use std::collections::{BTreeMap, BTreeSet};

use inventory_sync_core::agent::{
    Agent, Answer, Command, Config, Event, Frame, Job, JobId, LoadId, Message, Observation,
};
use inventory_sync_core::document::Run;
use inventory_sync_core::id::{AgentId, ConnectionId, NO_SESSION, SessionId};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire::{
    AgentInfo, EndAck, FailedItem, Hello, Mode, Pair, Reason, ReqRet, Start, StartAck, Status,
};

use crate::choices::Choices;

/// More steps than this tell nothing new.
const STEPS_MAX: usize = 400;

/// A frame: its session and its rows.
type Payload = (SessionId, Run);

/// What a session carried: its rows, and whether an End followed all of them.
#[derive(Debug, Default)]
struct Carried {
    rows: BTreeSet<u32>,
    is_ended: bool,
}

struct Desk {
    agent: Agent,
    config: Config,
    now: Tick,
    connections: u64,
    /// Loads and commits that are not answered.
    asked: Vec<Command<Payload>>,
    last_start: Option<Start>,
    /// The job under way, and how many rows it has.
    job: Option<(JobId, u32)>,
    /// Whether the job has a session, opened or not: then its description stays.
    is_in_session: bool,
    carried: BTreeMap<SessionId, Carried>,
    is_stopping: bool,
}

/// Whatever events come, in whatever order: the machine does not panic, its invariants hold, an early tick
/// changes nothing, a job ends once, and no row is acknowledged that its session did not carry.
///
/// # Panics
/// When that does not hold.
pub fn agent_choices(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut desk = Desk::new(&mut choices);
    for _ in 0..STEPS_MAX {
        if choices.is_done() {
            break;
        }
        desk.step(&mut choices);
    }
    desk.settle();
}

fn config(choices: &mut Choices<'_>) -> Config {
    let config = Config {
        hello: choices.rarely(2).then(Hello::default),
        load_items_max: *choices.pick(&[512, 1, 2]),
        loads_max: *choices.pick(&[2, 1]),
        items_per_second: *choices.pick(&[0, 1, 7]),
        session_max_ms: *choices.pick(&[3_600_000, 40_000]),
        ranges_per_request_max: *choices.pick(&[1_024, 1]),
        starts_max: *choices.pick(&[3, 1]),
        ends_max: *choices.pick(&[3, 1]),
        commit_attempts_max: *choices.pick(&[3, 1]),
        ..Config::new(AgentId(1), "syscollector")
    };
    assert_eq!(config.validate(), Ok(()));
    config
}

impl Desk {
    fn new(choices: &mut Choices<'_>) -> Self {
        let config = config(choices);
        Self {
            agent: Agent::new(config.clone(), [3; 32]),
            config,
            now: Tick(0),
            connections: 0,
            asked: Vec::new(),
            last_start: None,
            job: None,
            is_in_session: false,
            carried: BTreeMap::new(),
            is_stopping: false,
        }
    }

    fn say(&mut self, event: Event<Payload>) {
        let mut out = Vec::new();
        let is_tick = event == Event::Tick;
        self.agent.handle(self.now, event.clone(), &mut out);
        self.agent.check_invariants();
        if is_tick {
            let (served, mut again) = (self.agent.clone(), Vec::<Command<Payload>>::new());
            self.agent.handle(self.now, Event::Tick, &mut again);
            let is_same = self.agent == served && again.is_empty();
            assert!(is_same, "a second tick changes something: {again:?}");
        }
        assert!(out.len() <= 64, "{} commands to {event:?}", out.len());
        for command in out {
            self.check(command);
        }
        assert_eq!(self.agent.pending().is_some(), self.agent.job().is_some());
        assert_eq!(self.agent.job(), self.job.map(|(job, _)| job));
    }

    fn check(&mut self, command: Command<Payload>) {
        match &command {
            Command::Send {
                connection,
                message,
            } => {
                assert_eq!(connection.0, self.connections, "by an old connection");
                self.check_message(message);
            }
            Command::Observe(Observation::Opened {
                session,
                resumed: false,
            }) => {
                self.carried.insert(*session, Carried::default());
            }
            Command::Load {
                job, session, run, ..
            } => {
                assert_eq!(Some(*job), self.job.map(|(job, _)| job));
                assert!(self.carried.contains_key(session));
                assert!(run.count() <= u64::from(self.config.load_items_max));
                self.asked.push(command);
            }
            Command::Commit {
                job,
                acknowledgement,
            } => {
                let size = self.size_of(*job);
                let carried = &self.carried[&acknowledgement.session];
                assert!(carried.is_ended, "acknowledged before its End");
                assert!(acknowledgement.upto <= size);
                for seq in (0..size).filter(|seq| acknowledgement.covers(*seq)) {
                    assert!(carried.rows.contains(&seq), "row {seq} was not carried");
                }
                self.asked.push(command);
            }
            Command::RollBack { job, .. } => {
                self.size_of(*job);
                self.is_in_session = false;
            }
            Command::Finished { job, .. } => {
                self.size_of(*job);
                self.job = None;
                self.is_in_session = false;
            }
            Command::Stopped => assert!(self.is_stopping, "stopped, unasked"),
            _ => {}
        }
    }

    fn check_message(&mut self, message: &Message<Payload>) {
        match message {
            Message::Start(start) => {
                if let Some(last) = &self.last_start {
                    assert!(start.nonce >= last.nonce, "an old Start");
                    let is_again = start.nonce == last.nonce;
                    assert!(!is_again || **start == *last, "one nonce, other bytes");
                }
                self.last_start = Some((**start).clone());
                self.is_in_session = true;
            }
            Message::Data((session, run)) => {
                let carried = self.carried.entry(*session).or_default();
                carried.rows.extend(run.first..=run.last);
            }
            Message::End(end) => {
                let (_, size) = self.job.unwrap_or_else(|| panic!("an End without a job"));
                let Some(carried) = self.carried.get_mut(&SessionId(end.session)) else {
                    panic!("an End of nobody's session");
                };
                assert_eq!(carried.rows.len(), size as usize, "an End before all rows");
                carried.is_ended = true;
            }
            Message::Hello(_) => assert!(self.config.hello.is_some()),
        }
    }

    fn size_of(&self, job: JobId) -> u32 {
        match self.job {
            Some((current, size)) if current == job => size,
            other => panic!("of job {job}, while {other:?} is under way"),
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(24) {
            0 | 1 => self.sync(choices),
            2 => self.connect(),
            3 => {
                let connection = ConnectionId(
                    self.connections
                        .saturating_sub(u64::from(choices.rarely(4))),
                );
                self.say(Event::Disconnected { connection });
            }
            4 => self.say(Event::ConnectFailed),
            5..=8 => {
                if let Some(place) = choices.place(self.asked.len()) {
                    let asked = self.asked.remove(place);
                    self.answer(&asked, choices);
                }
            }
            9..=11 => self.start_ack(choices),
            12..=14 => self.end_ack(choices),
            15 | 16 => self.req_ret(choices),
            17 | 18 => {
                if let Some((at, _)) = self.agent.next_deadline() {
                    self.now = self.now.max(at);
                }
                self.say(Event::Tick);
            }
            19 => {
                self.now = self.now + *choices.pick(&[1, 100, 5_000, 400_000]);
                self.say(Event::Tick);
            }
            20 => self.stray(choices),
            21 => self.say(Event::Describe {
                info: Box::new(AgentInfo {
                    name: format!("host {}", choices.byte()),
                    ..AgentInfo::default()
                }),
            }),
            22 => {
                self.is_stopping = true;
                self.say(Event::Stop);
            }
            _ => {
                self.say(Event::Reset);
                self.is_stopping = false;
            }
        }
    }

    fn connect(&mut self) {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.say(Event::Connected { connection });
    }

    fn sync(&mut self, choices: &mut Choices<'_>) {
        let job = Job {
            id: JobId(u64::from(choices.below(3))),
            mode: *choices.pick(&[Mode::Delta, Mode::Full, Mode::Check]),
            indices: vec!["packages".to_owned()],
            size: *choices.pick(&[1, 3, 0, 8, 40]),
            id_from: None,
            id_to: None,
            give_up_after_ms: *choices.pick(&[None, Some(30_000), Some(0)]),
        };
        match self.job {
            // Told at once: Busy. Nothing else may change.
            Some((current, _)) if current != job.id => {
                let (before, mut out) = (self.agent.clone(), Vec::new());
                let event = Event::<Payload>::Sync { job: Box::new(job) };
                self.agent.handle(self.now, event, &mut out);
                assert!(matches!(out.as_slice(), [Command::Finished { .. }]));
                assert!(self.agent == before, "a busy machine takes part of a job");
            }
            current => {
                if current.is_none() || !self.is_in_session {
                    self.job = Some((job.id, job.size));
                }
                self.say(Event::Sync { job: Box::new(job) });
            }
        }
    }

    fn receive(&mut self, answer: Answer, choices: &mut Choices<'_>) {
        let connection = ConnectionId(self.connections + u64::from(choices.rarely(16)));
        self.say(Event::Received { connection, answer });
    }

    fn start_ack(&mut self, choices: &mut Choices<'_>) {
        let nonce = self.last_start.as_ref().map_or(0, |start| start.nonce);
        let odd = choices.byte();
        let ack = StartAck {
            status: if odd & 7 == 7 {
                *choices.pick(Status::ALL)
            } else {
                Status::Ok
            },
            session: match odd >> 3 & 7 {
                0 => 0,
                1 => NO_SESSION.0,
                number => u64::from(number),
            },
            module: if odd == 255 { "sca" } else { "syscollector" }.to_owned(),
            nonce: if odd >> 6 == 3 { nonce + 1 } else { nonce },
            reason: *choices.pick(Reason::ALL),
            retry_after_ms: *choices.pick(&[0, 1_000, u32::MAX]),
            idle_timeout_ms: *choices.pick(&[10_000, 0, 1]),
            max_items: *choices.pick(&[0, 100, 2, u64::MAX]),
            version: *choices.pick(&[0, 1 << 30, u64::MAX]),
            resync: vec!["ports".to_owned(); usize::from(odd & 1)],
            ..StartAck::default()
        };
        self.receive(Answer::StartAck(Box::new(ack)), choices);
    }

    /// The session under way, or another one.
    fn session(&self, choices: &mut Choices<'_>) -> u64 {
        let ours = self.agent.session_id().map_or(77, |session| session.0);
        match choices.below(8) {
            6 => NO_SESSION.0,
            7 => u64::from(choices.below(8)),
            _ => ours,
        }
    }

    fn end_ack(&mut self, choices: &mut Choices<'_>) {
        let mut ack = EndAck {
            session: self.session(choices),
            module: "syscollector".to_owned(),
            retry_after_ms: *choices.pick(&[0, 1_000, u32::MAX]),
            version: *choices.pick(&[0, 1 << 31, u64::MAX]),
            ..EndAck::default()
        };
        match choices.below(6) {
            0 | 1 => {}
            2 => ack.status = Status::Processing,
            3 => {
                ack.status = *choices.pick(Status::ALL);
                ack.reason = *choices.pick(Reason::ALL);
            }
            _ => {
                ack.status = Status::Error;
                ack.reason = Reason::PartiallyRejected;
                let item = |choices: &mut Choices<'_>| FailedItem {
                    seq: *choices.pick(&[0, 1, 2, 7, 39, 40, u64::MAX]),
                    retryable: choices.rarely(2),
                    ..FailedItem::default()
                };
                ack.failed = (0..choices.below(4)).map(|_| item(choices)).collect();
                ack.failed_more = choices.rarely(2);
            }
        }
        self.receive(Answer::EndAck(Box::new(ack)), choices);
    }

    fn req_ret(&mut self, choices: &mut Choices<'_>) {
        let pair = |choices: &mut Choices<'_>| Pair {
            begin: *choices.pick(&[0, 1, 2, 7, 40, u64::MAX]),
            end: *choices.pick(&[0, 2, 39, 7, 1, u64::MAX]),
        };
        let request = ReqRet {
            seq: (0..choices.below(4)).map(|_| pair(choices)).collect(),
            session: self.session(choices),
            module: "syscollector".to_owned(),
        };
        self.receive(Answer::ReqRet(Box::new(request)), choices);
    }

    fn answer(&mut self, asked: &Command<Payload>, choices: &mut Choices<'_>) {
        let how = choices.below(8);
        let event = match asked {
            Command::Load { load, .. } if how == 7 => Event::LoadFailed { load: *load },
            Command::Load {
                load, session, run, ..
            } => {
                let frame = |run: Run| Frame {
                    run,
                    payload: (*session, run),
                };
                let frames = match how {
                    // Less than was asked for, or nothing.
                    6 => vec![frame(Run::one(run.first))],
                    5 => Vec::new(),
                    4 => (run.first..=run.last)
                        .map(|seq| frame(Run::one(seq)))
                        .collect(),
                    _ => vec![frame(*run)],
                };
                Event::Loaded {
                    load: *load,
                    frames,
                }
            }
            Command::Commit { job, .. } if how > 5 => Event::CommitFailed { job: *job },
            Command::Commit { job, .. } => Event::Committed { job: *job },
            other => panic!("{other:?} is no question"),
        };
        self.say(event);
    }

    /// What nobody asked for.
    fn stray(&mut self, choices: &mut Choices<'_>) {
        let run = Run::one(0);
        let frame = Frame {
            run,
            payload: (SessionId(1), run),
        };
        match choices.below(4) {
            0 => self.say(Event::Loaded {
                load: LoadId(u64::MAX),
                frames: vec![frame],
            }),
            1 => self.say(Event::LoadFailed {
                load: LoadId(u64::MAX),
            }),
            2 => self.say(Event::Committed { job: JobId(9) }),
            _ => self.receive(Answer::Hello(Box::default()), choices),
        }
    }

    /// A kind manager and a store that works: the job comes to its end.
    fn settle(&mut self) {
        let kind = &mut Choices::new(&[]);
        for _ in 0..4_000 {
            if self.job.is_none() {
                break;
            }
            if let Some(asked) = self.asked.pop() {
                self.answer(&asked, kind);
                continue;
            }
            self.connect();
            let start = self.last_start.clone().unwrap_or_default();
            let ack = StartAck {
                session: 5,
                module: start.module,
                nonce: start.nonce,
                ..StartAck::default()
            };
            self.receive(Answer::StartAck(Box::new(ack)), kind);
            while let Some(asked) = self.asked.pop() {
                self.answer(&asked, kind);
            }
            self.end_ack(kind);
            if let Some((at, _)) = self.agent.next_deadline() {
                self.now = self.now.max(at);
                self.say(Event::Tick);
            }
        }
        assert_eq!(self.job, None, "a job that does not end");
    }
}
