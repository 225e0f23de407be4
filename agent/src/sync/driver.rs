//! Carries the agent machine's commands out and tells it what happens. Decides nothing of the protocol.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use inventory_sync_core::agent::{
    Agent, Answer, Cause, Command, Event, FailedRow, Job, JobId, LoadId, Message, Observation,
    Outcome,
};
use inventory_sync_core::document::Run;
use inventory_sync_core::id::{ConnectionId, SessionId};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire::{self, Mode, framing};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::floor::Floor;
use super::link::{self, ConnectError, Io, Link, Target};
use super::packing::{self, Packed};
use super::progress::{Progress, Step};
use super::selection::Part;

/// How a part ended.
#[derive(Debug)]
pub(super) struct PartEnd {
    /// The machine's word.
    pub(super) outcome: Outcome,
    /// Rows that the verdict lists as not stored.
    pub(super) failed: Vec<FailedRow>,
    /// The session that brought the verdict, or the last one.
    pub(super) session: Option<SessionId>,
    /// Sessions that ended without a verdict.
    pub(super) rolled_back: u32,
    /// Why there was no connection, where that is what it ended with.
    pub(super) connect_error: Option<String>,
    /// A signal ended it.
    pub(super) is_interrupted: bool,
    /// From the job to its end.
    pub(super) took: Duration,
}

impl PartEnd {
    /// Whether a verdict says that rows were stored.
    pub(super) const fn is_stored(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::Acknowledged | Outcome::PartiallyAcknowledged { .. }
        )
    }
}

/// Rows that the machine asked for and the connection had no room for yet.
struct WaitingLoad {
    load: LoadId,
    session: SessionId,
    run: Run,
    bytes_max: u64,
}

/// What is known of the job under way.
#[derive(Default)]
struct Course {
    outcome: Option<Outcome>,
    failed: Vec<FailedRow>,
    session: Option<SessionId>,
    rolled_back: u32,
    /// Rows that went out in the session under way.
    sent: u64,
}

/// The machine, its connection and who watches.
pub(super) struct Driver<'a> {
    agent: Agent,
    target: Target,
    floor: &'a mut Floor,
    progress: &'a mut dyn Progress,
    started: Instant,
    told: mpsc::Sender<Io>,
    news: mpsc::Receiver<Io>,
    link: Option<Link>,
    connecting: Option<(ConnectionId, JoinHandle<()>)>,
    last_connection: u64,
    last_job: u64,
    connect_error: Option<ConnectError>,
    is_interrupted: bool,
    events: VecDeque<Event<Packed>>,
    loads: VecDeque<WaitingLoad>,
    course: Course,
    signals: Option<(Signal, Signal)>,
}

impl<'a> Driver<'a> {
    /// Must be made inside the runtime.
    pub(super) fn new(
        agent: Agent,
        target: Target,
        floor: &'a mut Floor,
        progress: &'a mut dyn Progress,
    ) -> Self {
        let (told, news) = link::channel();
        // Without handlers a signal ends the process at once, which harms nothing either.
        let signals = signal(SignalKind::interrupt())
            .ok()
            .zip(signal(SignalKind::terminate()).ok());
        Self {
            agent,
            target,
            floor,
            progress,
            started: Instant::now(),
            told,
            news,
            link: None,
            connecting: None,
            last_connection: 0,
            last_job: 0,
            connect_error: None,
            is_interrupted: false,
            events: VecDeque::new(),
            loads: VecDeque::new(),
            course: Course::default(),
            signals,
        }
    }

    /// Brings one part in a Full and waits for its end, at most `give_up_after` and what an answer that
    /// has come takes.
    pub(super) async fn carry(&mut self, part: &Part<'_>, give_up_after: Duration) -> PartEnd {
        let began = Instant::now();
        self.last_job += 1;
        self.course = Course::default();
        self.loads.clear();
        let rows = part.rows();
        self.events.push_back(Event::Sync {
            job: Box::new(Job {
                id: JobId(self.last_job),
                mode: Mode::Full,
                indices: part.names(),
                // More than fits is refused by any manager, and is told like that.
                size: u32::try_from(rows.len()).unwrap_or(u32::MAX),
                id_from: None,
                id_to: None,
                give_up_after_ms: Some(milliseconds(give_up_after)),
            }),
        });
        let outcome = loop {
            self.settle(part);
            if let Some(outcome) = self.course.outcome.take() {
                break outcome;
            }
            self.wait().await;
        };
        PartEnd {
            outcome,
            failed: std::mem::take(&mut self.course.failed),
            session: self.course.session,
            rolled_back: self.course.rolled_back,
            connect_error: self.connect_error.take().map(|error| error.what),
            is_interrupted: self.is_interrupted,
            took: began.elapsed(),
        }
    }

    /// Says goodbye to the manager.
    pub(super) async fn close(self) {
        if let Some((_, task)) = self.connecting {
            task.abort();
        }
        if let Some(link) = self.link {
            link.close().await;
        }
    }

    /// Hands events over and carries commands out until there is nothing but waiting.
    fn settle(&mut self, part: &Part<'_>) {
        let mut commands = Vec::new();
        loop {
            self.serve_load(part);
            let Some(event) = self.events.pop_front() else {
                return;
            };
            let now = self.now();
            self.agent.handle(now, event, &mut commands);
            for command in commands.drain(..) {
                self.perform(command);
            }
        }
    }

    fn now(&self) -> Tick {
        Tick(milliseconds(self.started.elapsed()))
    }

    fn perform(&mut self, command: Command<Packed>) {
        match command {
            Command::Send {
                connection,
                message,
            } => self.send(connection, message),
            Command::Load {
                load,
                job: _,
                session,
                run,
                bytes_max,
            } => self.loads.push_back(WaitingLoad {
                load,
                session,
                run,
                bytes_max,
            }),
            Command::Commit {
                job,
                acknowledgement,
            } => {
                // There is no local store: the report is what is kept of a verdict.
                self.course.session = Some(acknowledgement.session);
                self.course.failed = acknowledgement.failed;
                self.events.push_back(Event::Committed { job });
            }
            Command::RollBack {
                cause, retry_at, ..
            } => self.rolled_back(&cause, retry_at),
            Command::Finished { job, outcome } => {
                if job.0 == self.last_job {
                    self.course.outcome = Some(outcome);
                }
            }
            Command::Reconnect { instead_of } => self.reconnect(instead_of),
            Command::Remember { floor } => {
                if let Err(complaint) = self.floor.raise(floor) {
                    self.progress.step(&Step::Note(&complaint));
                }
            }
            Command::Resync { indices } => self.progress.step(&Step::Note(&format!(
                "the manager asks for the whole of {}; every run of this command brings that",
                indices.join(", ")
            ))),
            Command::Observe(observation) => self.observe(&observation),
            Command::Stopped => {}
        }
    }

    fn send(&mut self, connection: ConnectionId, message: Message<Packed>) {
        // If that connection is gone the machine asks again.
        let Some(link) = self.link.as_mut().filter(|link| link.id == connection) else {
            return;
        };
        let message = match message {
            Message::Data(packed) => return link.send(packed),
            Message::Start(start) => wire::encode_start(&start),
            Message::End(end) => wire::encode_end(&end),
            Message::Hello(hello) => wire::encode_hello(&hello),
        };
        let mut bytes = Vec::new();
        // Far below what a length can say.
        if framing::write_tls(&mut bytes, &message).is_ok() {
            link.send(Packed { bytes, items: 0 });
        }
    }

    /// Answers a load when the connection has room for its rows; without a connection they are dropped,
    /// and the machine knows. Only between events: rows count as waiting once the machine has handed them
    /// to the connection.
    fn serve_load(&mut self, part: &Part<'_>) {
        if !self.events.is_empty() || self.link.as_ref().is_some_and(|link| !link.has_room()) {
            return;
        }
        let Some(waiting) = self.loads.pop_front() else {
            return;
        };
        let WaitingLoad {
            load,
            session,
            run,
            bytes_max,
        } = waiting;
        self.events
            .push_back(match packing::pack(part.rows(), session, run, bytes_max) {
                Some(frames) => Event::Loaded { load, frames },
                None => Event::LoadFailed { load },
            });
    }

    fn rolled_back(&mut self, cause: &Cause, retry_at: Option<Tick>) {
        self.course.rolled_back += 1;
        self.course.sent = 0;
        if let Some(retry_at) = retry_at {
            self.progress.step(&Step::Retrying {
                why: &cause.to_string(),
                after: Duration::from_millis(retry_at.since(self.now())),
            });
        }
    }

    fn reconnect(&mut self, instead_of: Option<ConnectionId>) {
        match &self.link {
            Some(link) if Some(link.id) > instead_of => {
                let connection = link.id;
                self.events.push_back(Event::Connected { connection });
                return;
            }
            _ => {}
        }
        if let Some(link) = self.link.take() {
            link.abort();
        }
        if self.connecting.is_some() {
            return;
        }
        self.last_connection += 1;
        let id = ConnectionId(self.last_connection);
        self.progress.step(&Step::Connecting {
            to: self.target.address(),
        });
        self.connecting = Some((id, self.target.connect(id, &self.told)));
    }

    fn observe(&mut self, observation: &Observation) {
        match observation {
            Observation::Opened { session, resumed } => {
                self.course.session = Some(*session);
                if !resumed {
                    self.course.sent = 0;
                }
                self.progress.step(&Step::Opened { session: session.0 });
            }
            Observation::Requested { items, .. } => {
                self.progress.step(&Step::SentAgain { items: *items });
            }
            Observation::Processing => self.progress.step(&Step::Processing),
            Observation::Started { .. }
            | Observation::EndRepeated
            | Observation::Greeted { .. }
            | Observation::Stale(_) => {}
        }
    }

    async fn wait(&mut self) {
        let deadline = self.agent.next_deadline().map(|(at, _)| at);
        let wake = deadline
            .map(|at| tokio::time::Instant::from_std(self.started + Duration::from_millis(at.0)));
        tokio::select! {
            Some(io) = self.news.recv() => self.on_io(io),
            () = sleep_until(wake) => self.events.push_back(Event::Tick),
            () = interrupted(&mut self.signals) => {
                self.is_interrupted = true;
                self.events.push_back(Event::Stop);
            }
        }
    }

    fn on_io(&mut self, io: Io) {
        match io {
            Io::Connected(connection, stream) => {
                if self.connecting.as_ref().map(|(id, _)| *id) != Some(connection) {
                    return;
                }
                self.connecting = None;
                self.connect_error = None;
                let address = self.target.address();
                self.link = Some(Link::open(connection, address, *stream, &self.told));
                self.progress.step(&Step::Connected);
                self.events.push_back(Event::Connected { connection });
            }
            Io::ConnectFailed(connection, error) => {
                if self.connecting.as_ref().map(|(id, _)| *id) != Some(connection) {
                    return;
                }
                self.connecting = None;
                self.progress.step(&Step::Note(&error.what));
                self.events.push_back(if error.is_permanent {
                    Event::Stop
                } else {
                    Event::ConnectFailed
                });
                self.connect_error = Some(error);
            }
            Io::Message(connection, message) => self.on_message(connection, &message),
            Io::Written {
                connection,
                bytes,
                items,
            } => {
                let Some(link) = self.link.as_mut().filter(|link| link.id == connection) else {
                    return;
                };
                link.written(bytes);
                if items > 0 {
                    self.course.sent += items;
                    self.progress.step(&Step::Sent {
                        items: self.course.sent,
                    });
                }
            }
            Io::Closed(connection, error) => {
                if self.link.as_ref().is_none_or(|link| link.id != connection) {
                    return;
                }
                if let Some(link) = self.link.take() {
                    link.abort();
                }
                self.progress.step(&Step::Note(&error.what));
                self.events.push_back(if error.is_permanent {
                    Event::Stop
                } else {
                    Event::Disconnected { connection }
                });
                self.connect_error = Some(error);
            }
        }
    }

    fn on_message(&mut self, connection: ConnectionId, message: &[u8]) {
        let answer = match wire::decode(message) {
            Ok(message) => Answer::from_message(message),
            Err(error) => {
                let what = format!("an answer of the manager cannot be read: {error}");
                self.progress.step(&Step::Note(&what));
                None
            }
        };
        if let Some(answer) = answer {
            // It speaks with us, so whatever fails from here on is not the connection.
            self.connect_error = None;
            self.events
                .push_back(Event::Received { connection, answer });
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn sleep_until(wake: Option<tokio::time::Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

async fn interrupted(signals: &mut Option<(Signal, Signal)>) {
    match signals {
        Some((interrupt, terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        None => std::future::pending().await,
    }
}
