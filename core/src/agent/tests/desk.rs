//! A caller for tests: keeps the clock, writes down what happens, and does what is local at once.

use crate::agent::{
    Acknowledgement, Agent, Answer, Command, Config, Event, Frame, Job, LoadId, Message,
    Observation, Outcome, Stale,
};
use crate::document::Run;
use crate::id::{ConnectionId, SessionId};
use crate::time::Tick;
use crate::wire::{EndAck, ReqRet, Start, StartAck};
use std::collections::VecDeque;
use std::fmt::Write;

/// Frames are their runs; the session stands beside, for a frame must name the right one.
pub(super) type Payload = (SessionId, Run);

pub(super) struct Desk {
    pub(super) agent: Agent,
    pub(super) now: Tick,
    pub(super) log: String,
    /// Whether loads and commits are answered at once.
    pub(super) is_diligent: bool,
    pub(super) connection: u64,
    pub(super) commands: Vec<Command<Payload>>,
}

impl Desk {
    pub(super) fn new(config: Config) -> Self {
        config.validate().unwrap();
        Self {
            agent: Agent::new(config, [42; 32]),
            now: Tick(0),
            log: String::new(),
            is_diligent: true,
            connection: 0,
            commands: Vec::new(),
        }
    }

    /// A desk with a connection.
    pub(super) fn connected(config: Config) -> Self {
        let mut desk = Self::new(config);
        desk.connect();
        desk
    }

    /// A desk whose job has a session with all rows and an End sent.
    pub(super) fn ended(config: Config, size: u32, session: u64) -> Self {
        let mut desk = Self::connected(config);
        desk.sync(super::job(1, size));
        desk.start_ack(super::opened(session));
        desk
    }

    pub(super) fn say(&mut self, event: Event<Payload>) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let _ = writeln!(self.log, "{:>8} {}", self.now.0, describe_event(&event));
            let mut out = Vec::new();
            self.agent.handle(self.now, event, &mut out);
            self.agent.check_invariants();
            for command in &out {
                let _ = writeln!(self.log, "           -> {}", describe_command(command));
            }
            self.commands.extend(out.iter().cloned());
            if self.is_diligent {
                events.extend(out.into_iter().filter_map(answer_at_once));
            }
        }
    }

    pub(super) fn connect(&mut self) {
        self.connection += 1;
        self.say(Event::Connected {
            connection: ConnectionId(self.connection),
        });
    }

    pub(super) fn disconnect(&mut self) {
        self.say(Event::Disconnected {
            connection: ConnectionId(self.connection),
        });
    }

    pub(super) fn sync(&mut self, job: Job) {
        self.say(Event::Sync { job: Box::new(job) });
    }

    pub(super) fn receive(&mut self, answer: Answer) {
        let connection = ConnectionId(self.connection);
        self.say(Event::Received { connection, answer });
    }

    /// A StartAck for the last Start that was sent.
    pub(super) fn start_ack(&mut self, mut ack: StartAck) {
        ack.nonce = self.starts().last().map_or(0, |start| start.nonce);
        self.receive(Answer::StartAck(Box::new(ack)));
    }

    pub(super) fn end_ack(&mut self, ack: EndAck) {
        self.receive(Answer::EndAck(Box::new(ack)));
    }

    pub(super) fn req_ret(&mut self, request: ReqRet) {
        self.receive(Answer::ReqRet(Box::new(request)));
    }

    /// Lets time pass up to the next deadline.
    pub(super) fn sleep(&mut self) {
        let (at, timer) = self.agent.next_deadline().expect("a deadline");
        let _ = writeln!(self.log, "         … {timer:?}");
        self.now = at;
        self.say(Event::Tick);
    }

    pub(super) fn starts(&self) -> Vec<Start> {
        let starts = self.commands.iter().filter_map(|command| match command {
            Command::Send {
                message: Message::Start(start),
                ..
            } => Some((**start).clone()),
            _ => None,
        });
        starts.collect()
    }

    /// The runs that were sent, in order.
    pub(super) fn sent(&self) -> Vec<Run> {
        let runs = self.commands.iter().filter_map(|command| match command {
            Command::Send {
                message: Message::Data((_, run)),
                ..
            } => Some(*run),
            _ => None,
        });
        runs.collect()
    }

    pub(super) fn ends(&self) -> usize {
        let is_end = |command: &&Command<Payload>| {
            matches!(
                command,
                Command::Send {
                    message: Message::End(_),
                    ..
                }
            )
        };
        self.commands.iter().filter(is_end).count()
    }

    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        let outcomes = self.commands.iter().filter_map(|command| match command {
            Command::Finished { outcome, .. } => Some(outcome.clone()),
            _ => None,
        });
        outcomes.collect()
    }

    pub(super) fn commits(&self) -> Vec<Acknowledgement> {
        let commits = self.commands.iter().filter_map(|command| match command {
            Command::Commit {
                acknowledgement, ..
            } => Some((**acknowledgement).clone()),
            _ => None,
        });
        commits.collect()
    }

    pub(super) fn roll_backs(&self) -> usize {
        let is_one = |command: &&Command<Payload>| matches!(command, Command::RollBack { .. });
        self.commands.iter().filter(is_one).count()
    }
}

/// What a caller with an idle disk and an empty send buffer answers.
pub(super) fn answer_at_once(command: Command<Payload>) -> Option<Event<Payload>> {
    match command {
        Command::Load {
            load, session, run, ..
        } => Some(loaded(load, session, run)),
        Command::Commit { job, .. } => Some(Event::Committed { job }),
        _ => None,
    }
}

pub(super) fn loaded(load: LoadId, session: SessionId, run: Run) -> Event<Payload> {
    Event::Loaded {
        load,
        frames: vec![Frame {
            run,
            payload: (session, run),
        }],
    }
}

fn describe_event(event: &Event<Payload>) -> String {
    match event {
        Event::Tick => "tick".to_owned(),
        Event::Connected { connection } => format!("connected {connection}"),
        Event::Disconnected { connection } => format!("disconnected {connection}"),
        Event::ConnectFailed => "connect failed".to_owned(),
        Event::Received { connection, answer } => {
            format!("received by {connection}: {}", describe_answer(answer))
        }
        Event::Sync { job } => format!("sync job {}: {} of {} rows", job.id, job.mode, job.size),
        Event::Loaded { load, frames } => {
            let runs: Vec<String> = frames.iter().map(|frame| frame.run.to_string()).collect();
            format!("loaded {load}: {}", runs.join(" "))
        }
        Event::LoadFailed { load } => format!("load {load} failed"),
        Event::Committed { job } => format!("committed job {job}"),
        Event::CommitFailed { job } => format!("commit of job {job} failed"),
        Event::Describe { info } => format!("describe {}", info.hostname),
        Event::Stop => "stop".to_owned(),
        Event::Reset => "reset".to_owned(),
    }
}

fn describe_answer(answer: &Answer) -> String {
    match answer {
        Answer::StartAck(ack) => format!(
            "StartAck {}/{} session {} nonce #{}",
            ack.status,
            ack.reason,
            session(ack.session),
            ack.nonce & 0xFFFF_FFFF
        ),
        Answer::EndAck(ack) => {
            let mut text = format!(
                "EndAck {}/{} session {}",
                ack.status,
                ack.reason,
                session(ack.session)
            );
            for item in &ack.failed {
                let _ = write!(text, " {}:{}", item.seq, item.reason);
            }
            text.push_str(if ack.failed_more { " and more" } else { "" });
            text
        }
        Answer::ReqRet(request) => {
            let ranges: Vec<String> = request
                .seq
                .iter()
                .map(|pair| format!("{}-{}", pair.begin, pair.end))
                .collect();
            format!(
                "ReqRet session {}: {}",
                session(request.session),
                ranges.join(" ")
            )
        }
        Answer::Hello(_) => "Hello".to_owned(),
    }
}

fn describe_command(command: &Command<Payload>) -> String {
    match command {
        Command::Send {
            connection,
            message,
        } => {
            let message = match message {
                Message::Start(start) => {
                    let nonce = start.nonce & 0xFFFF_FFFF;
                    format!(
                        "Start #{nonce} size {} floor {}",
                        start.size, start.version_floor
                    )
                }
                Message::Data((id, run)) => format!("Data {run} session {}", session(id.0)),
                Message::End(end) => format!("End session {}", session(end.session)),
                Message::Hello(_) => "Hello".to_owned(),
            };
            format!("send by {connection}: {message}")
        }
        Command::Load {
            load,
            run,
            session: id,
            ..
        } => {
            format!("load {load}: {run} session {}", session(id.0))
        }
        Command::Commit {
            job,
            acknowledgement,
        } => {
            let list = |rows: Vec<u32>| {
                rows.iter()
                    .map(u32::to_string)
                    .collect::<Vec<_>>()
                    .join(",")
            };
            format!(
                "commit job {job}: below {} but retry [{}] quarantine [{}]",
                acknowledgement.upto,
                list(acknowledgement.retryable().map(|row| row.seq).collect()),
                list(acknowledgement.quarantined().map(|row| row.seq).collect()),
            )
        }
        Command::RollBack {
            job,
            cause,
            retry_at,
        } => match retry_at {
            Some(at) => format!("roll back job {job}: {cause}; again at {at}"),
            None => format!("roll back job {job}: {cause}"),
        },
        Command::Finished { job, outcome } => format!("finished job {job}: {outcome:?}"),
        Command::Reconnect { instead_of } => match instead_of {
            Some(connection) => format!("reconnect instead of {connection}"),
            None => "reconnect".to_owned(),
        },
        Command::Remember { floor } => format!("remember floor {floor}"),
        Command::Resync { indices } => format!("resync {}", indices.join(" ")),
        Command::Observe(Observation::Started { nonce, repeated }) => {
            format!(
                "observe Started #{} repeated {repeated}",
                nonce & 0xFFFF_FFFF
            )
        }
        Command::Observe(observation) => format!("observe {observation:?}"),
        Command::Stopped => "stopped".to_owned(),
    }
}

fn session(id: u64) -> String {
    if id == u64::MAX {
        "none".to_owned()
    } else {
        id.to_string()
    }
}

/// Says an event that must change nothing but a counter.
pub(super) fn changes_nothing(desk: &mut Desk, event: Event<Payload>, stale: Stale) {
    let (before, commands) = (desk.agent.clone(), desk.commands.len());
    desk.say(event);
    assert_eq!(desk.agent, before);
    let expected = [Command::Observe(Observation::Stale(stale))];
    assert_eq!(desk.commands[commands..], expected);
}
