//! The honest agent: the machine that every agent is made of, over a socket.

use std::time::Duration;

use inventory_sync_core::agent::{
    Acknowledgement, Agent, Answer, Cause, Command, Config, Event, Frame, Job, JobId, Message,
    Observation, Outcome,
};
use inventory_sync_core::document::Run;
use inventory_sync_core::id::{AgentId, ConnectionId, SessionId};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire::{
    self, BatchBuilder, Item, Mode, decode, encode_data, encode_end, encode_hello, encode_start,
};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::connection::{Connection, Endpoint, Writer};
use crate::document::{Document, agent_info};
use crate::wait::{LONG, within};

/// What the sockets say.
enum News {
    Connected(ConnectionId, Writer),
    ConnectFailed,
    Received(ConnectionId, Vec<u8>),
    Closed(ConnectionId),
}

/// How a job ended, and what happened on the way.
#[derive(Debug)]
pub struct Synced {
    /// Its end.
    pub outcome: Outcome,
    /// Sessions that ended without acknowledging anything.
    pub causes: Vec<Cause>,
    /// Sessions that the manager opened, in order.
    pub sessions: Vec<SessionId>,
    /// Verdicts that were made durable.
    pub verdicts: Vec<Acknowledgement>,
    /// How long it took.
    pub took: Duration,
}

impl Synced {
    /// Checks that everything was acknowledged.
    ///
    /// # Panics
    /// When it was not.
    #[track_caller]
    pub fn all(self) -> Self {
        let Self {
            outcome, causes, ..
        } = &self;
        assert!(outcome.is_complete(), "{outcome:?} after {causes:?}");
        self
    }
}

/// An agent of one module.
pub struct TestAgent {
    machine: Agent,
    endpoint: Endpoint,
    began: Instant,
    inbox: mpsc::UnboundedReceiver<News>,
    news: mpsc::UnboundedSender<News>,
    connection: Option<(ConnectionId, Writer)>,
    connections: u64,
    /// Ends with the agent, and the connection with it.
    reading: Option<AbortHandle>,
    jobs: u64,
    synced: Synced,
}

impl Drop for TestAgent {
    fn drop(&mut self) {
        if let Some(reading) = &self.reading {
            reading.abort();
        }
    }
}

impl TestAgent {
    /// An agent with times for tests. `tune` may change them.
    ///
    /// # Panics
    /// When the times contradict each other.
    #[must_use]
    pub fn new(endpoint: Endpoint, id: u64, module: &str, tune: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(AgentId(id), module);
        config.info = agent_info(id);
        config.answer_timeout_ms = 10_000;
        config.processing_poll_ms = 1_000;
        config.session_max_ms = 60_000;
        config.connect_timeout_ms = 5_000;
        config.backoff_base_ms = 20;
        config.backoff_max_ms = 300;
        config.retry_after_max_ms = 500;
        config.load_items_max = 40;
        config.load_bytes_max = 32 << 10;
        tune(&mut config);
        config.validate().unwrap();
        let (news, inbox) = mpsc::unbounded_channel();
        Self {
            machine: Agent::new(config, seed()),
            endpoint,
            began: Instant::now(),
            inbox,
            news,
            connection: None,
            connections: 0,
            reading: None,
            jobs: 0,
            synced: blank(),
        }
    }

    /// Replaces what is in these indices.
    pub async fn full(&mut self, indices: &[&str], documents: &[Document]) -> Synced {
        self.sync(Mode::Full, indices, documents).await
    }

    /// Brings changes.
    pub async fn delta(&mut self, documents: &[Document]) -> Synced {
        self.sync(Mode::Delta, &[], documents).await
    }

    /// Runs one job to its end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn sync(&mut self, mode: Mode, indices: &[&str], documents: &[Document]) -> Synced {
        self.jobs += 1;
        let job = Job {
            id: JobId(self.jobs),
            mode,
            indices: indices.iter().map(|&index| index.to_owned()).collect(),
            size: u32::try_from(documents.len()).unwrap(),
            id_from: None,
            id_to: None,
            give_up_after_ms: None,
        };
        self.synced = blank();
        let began = Instant::now();
        let what = format!("the end of a {mode:?} of {} rows", documents.len());
        let outcome = within(&what, LONG, self.run(job, documents)).await;
        let mut synced = std::mem::replace(&mut self.synced, blank());
        synced.outcome = outcome;
        synced.took = began.elapsed();
        synced
    }

    async fn run(&mut self, job: Job, documents: &[Document]) -> Outcome {
        let mut event = Event::Sync { job: Box::new(job) };
        loop {
            let mut events = vec![event];
            while let Some(event) = events.pop() {
                let mut commands = Vec::new();
                self.machine.handle(self.now(), event, &mut commands);
                for command in commands {
                    if let Command::Finished { outcome, .. } = command {
                        return outcome;
                    }
                    events.extend(self.execute(command, documents).await);
                }
            }
            event = self.next_event().await;
        }
    }

    fn now(&self) -> Tick {
        Tick(u64::try_from(self.began.elapsed().as_millis()).unwrap())
    }

    async fn next_event(&mut self) -> Event<Vec<u8>> {
        let deadline = self.machine.next_deadline().map(|(at, _)| at);
        let deadline = deadline.map(|at| self.began + Duration::from_millis(at.0));
        let news = tokio::select! {
            news = self.inbox.recv() => news.expect("we hold a sender ourselves"),
            () = sleep_until(deadline) => return Event::Tick,
        };
        match news {
            News::Connected(connection, writer) => {
                self.connection = Some((connection, writer));
                Event::Connected { connection }
            }
            News::ConnectFailed => Event::ConnectFailed,
            News::Closed(connection) => Event::Disconnected { connection },
            News::Received(connection, message) => {
                let message = decode(&message).expect("a manager sends messages");
                let answer = Answer::from_message(message).expect("a manager's message");
                Event::Received { connection, answer }
            }
        }
    }

    async fn execute(
        &mut self,
        command: Command<Vec<u8>>,
        documents: &[Document],
    ) -> Option<Event<Vec<u8>>> {
        match command {
            Command::Send {
                connection,
                message,
            } => {
                let bytes = match message {
                    Message::Start(start) => encode_start(&start),
                    Message::Data(frame) => frame,
                    Message::End(end) => encode_end(&end),
                    Message::Hello(hello) => encode_hello(&hello),
                };
                if let Some((own, writer)) = &mut self.connection
                    && *own == connection
                    // The reader notices by itself.
                    && writer.send(&bytes).await.is_err()
                {
                    self.connection = None;
                }
                None
            }
            Command::Load {
                load,
                session,
                run,
                bytes_max,
                ..
            } => Some(Event::Loaded {
                load,
                frames: vec![pack(session, run, bytes_max, documents)],
            }),
            Command::Commit {
                job,
                acknowledgement,
            } => {
                self.synced.verdicts.push(*acknowledgement);
                Some(Event::Committed { job })
            }
            Command::RollBack { cause, .. } => {
                self.synced.causes.push(cause);
                None
            }
            Command::Reconnect { instead_of } => {
                let own = self.connection.as_ref().map(|(own, _)| *own);
                if own.is_none() || own == instead_of {
                    self.connect();
                }
                None
            }
            Command::Observe(Observation::Opened {
                session,
                resumed: false,
            }) => {
                self.synced.sessions.push(session);
                None
            }
            Command::Observe(_)
            | Command::Remember { .. }
            | Command::Resync { .. }
            | Command::Stopped
            | Command::Finished { .. } => None,
        }
    }

    fn connect(&mut self) {
        self.connections += 1;
        self.connection = None;
        let id = ConnectionId(self.connections);
        let (endpoint, news) = (self.endpoint.clone(), self.news.clone());
        let reading = tokio::spawn(async move {
            // Sending fails when the agent is gone; then nobody needs the news.
            let Ok(Connection { writer, mut reader }) = Connection::open(&endpoint).await else {
                let _ = news.send(News::ConnectFailed);
                return;
            };
            let _ = news.send(News::Connected(id, writer));
            while let Ok(Some((_, message))) = reader.next().await {
                if news.send(News::Received(id, message)).is_err() {
                    return;
                }
            }
            let _ = news.send(News::Closed(id));
        });
        self.reading = Some(reading.abort_handle());
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn blank() -> Synced {
    Synced {
        outcome: Outcome::Busy,
        causes: Vec::new(),
        sessions: Vec::new(),
        verdicts: Vec::new(),
        took: Duration::ZERO,
    }
}

fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut seed)
        .expect("random numbers");
    seed
}

/// A row as an item of a session.
#[must_use]
pub fn item(seq: u64, document: &Document) -> Item<'_> {
    Item {
        seq,
        operation: document.operation,
        id: &document.id,
        index: &document.index,
        data: match document.operation {
            wire::Operation::Upsert => Some(&document.data),
            wire::Operation::Delete => None,
        },
        version: 0,
    }
}

/// As many rows of a run as fit: one alone as Data, several as a DataBatch.
fn pack(session: SessionId, run: Run, bytes_max: u64, documents: &[Document]) -> Frame<Vec<u8>> {
    let row = |seq: u32| item(u64::from(seq), &documents[seq as usize]);
    let mut batch = BatchBuilder::new(session.0, usize::try_from(bytes_max).unwrap());
    let mut last = None;
    for seq in run.first..=run.last {
        if batch.push(&row(seq)).is_err() {
            break;
        }
        last = Some(seq);
    }
    match last {
        Some(last) if last > run.first => Frame {
            run: Run::new(run.first, last),
            payload: batch.finish(),
        },
        _ => Frame {
            run: Run::new(run.first, run.first),
            payload: encode_data(session.0, &row(run.first)),
        },
    }
}
