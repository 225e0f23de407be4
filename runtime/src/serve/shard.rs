//! A shard's thread: one machine, its tables, and everything that happens per document.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use inventory_sync_core::answer::{self, BulkOutcome, Sent, request};
use inventory_sync_core::coordinator::{self, ShardId};
use inventory_sync_core::document::{
    Chunks, FrameTable, Listing, Part, Run, Scheme, SessionTable, diff, plan, render,
};
use inventory_sync_core::id::{BulkId, ConnectionId, IndexId, Peer, SessionId, StageId};
use inventory_sync_core::manager::{
    AgentFloor, Command, ConnectionKind, Event, Manager, Record, Reply,
};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire;
use rocksdb::DBPinnableSlice;
use tokio::sync::mpsc;

use super::clock::{MonotonicClock, unix_ms};
use super::connection::Handle;
use super::coordinator::Message as ToCoordinator;
use super::status::Shared;
use super::{facts, observe};
use crate::indexer::{Connector, HttpOutcome, HttpRequest, Method, NDJSON};
use crate::store::{StagedValue, Store};

/// Events taken from the queue at once: their frames are one write to the store.
const EVENTS_AT_ONCE: usize = 256;

/// How often the wall clock is told.
const WALL_CLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// A frame with what its scan keeps: the machine's opaque payload.
#[derive(Debug)]
pub(super) struct ScannedFrame {
    pub(super) bytes: Vec<u8>,
    pub(super) table: FrameTable,
}

/// The machine's payload.
pub(super) type Payload = Box<ScannedFrame>;

/// What a shard's thread is sent.
#[derive(Debug)]
pub(super) enum Message {
    /// An event for the machine.
    Event(Box<Event<Payload>>),
    /// A connection, and how it is written to.
    Connected {
        connection: ConnectionId,
        kind: ConnectionKind,
        handle: Handle,
    },
    /// The documents that a session waits for; the machine hears of it afterwards.
    Listing {
        session: SessionId,
        listing: Listing,
    },
    /// What became of a bulk request.
    Answered { bulk: BulkId, outcome: HttpOutcome },
}

/// What a shard is made of.
pub(super) struct Parts {
    pub(super) id: ShardId,
    pub(super) manager: Manager<Payload>,
    pub(super) failed_items_max: usize,
    pub(super) bulk_bytes_max: u64,
    pub(super) scheme: Arc<Scheme>,
    pub(super) store: Arc<Store>,
    pub(super) connector: Arc<Connector>,
    pub(super) clock: MonotonicClock,
    pub(super) queue: mpsc::Sender<Message>,
    pub(super) coordinator: mpsc::UnboundedSender<ToCoordinator>,
    pub(super) io: tokio::runtime::Handle,
    pub(super) shared: Arc<Shared>,
    pub(super) floors: Vec<AgentFloor>,
}

/// A shard: the machine and the I/O side of its sessions.
pub(super) struct Shard {
    parts: Parts,
    tables: BTreeMap<SessionId, SessionTable>,
    listings: BTreeMap<SessionId, Listing>,
    connections: BTreeMap<ConnectionId, Handle>,
    bulks: BTreeMap<BulkId, Vec<Part>>,
    staging: Vec<Staging>,
    /// Answers that came while commands were carried out.
    events: VecDeque<Event<Payload>>,
    stopped: bool,
}

/// A write that is not made yet.
struct Staging {
    stage: StageId,
    session: SessionId,
    key: u32,
    fresh: Vec<Run>,
    frame: Payload,
    /// Its session has ended: it is answered, not written.
    is_discarded: bool,
}

struct StoredChunks<'a>(&'a Store);

impl<'a> Chunks for StoredChunks<'a> {
    type Bytes = DBPinnableSlice<'a>;

    fn chunk(&self, session: SessionId, key: u32) -> Option<DBPinnableSlice<'a>> {
        match self.0.read_pinned(session.0, u64::from(key)) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(%error, "staged data cannot be read back");
                None
            }
        }
    }
}

impl Shard {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            tables: BTreeMap::new(),
            listings: BTreeMap::new(),
            connections: BTreeMap::new(),
            bulks: BTreeMap::new(),
            staging: Vec::new(),
            events: VecDeque::new(),
            stopped: false,
        }
    }

    /// The thread. Ends when the machine has stopped and nobody can send any more.
    pub(super) fn run(self, queue: mpsc::Receiver<Message>) {
        match tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
        {
            Ok(runtime) => runtime.block_on(self.serve(queue)),
            Err(error) => tracing::error!(%error, "a shard has no timers and cannot run"),
        }
    }

    async fn serve(mut self, mut queue: mpsc::Receiver<Message>) {
        let floors = std::mem::take(&mut self.parts.floors);
        self.feed(Event::Floors { floors });
        let mut wall_clock = tokio::time::interval(WALL_CLOCK_INTERVAL);
        let mut messages = Vec::with_capacity(EVENTS_AT_ONCE);
        while !self.stopped {
            let deadline = self
                .parts
                .manager
                .next_deadline()
                .map_or(Tick::NEVER, |(at, _)| at);
            let deadline = self.parts.clock.instant(deadline);
            tokio::select! {
                count = queue.recv_many(&mut messages, EVENTS_AT_ONCE) => if count == 0 {
                    return;
                },
                () = tokio::time::sleep_until(deadline) => self.feed(Event::Tick),
                _ = wall_clock.tick() => self.feed(Event::WallClock { unix_ms: unix_ms() }),
            }
            for message in messages.drain(..) {
                self.take(message);
            }
            self.commit();
            self.parts
                .shared
                .publish(self.parts.id, self.parts.manager.figures());
        }
        // What is still queued finds no one; its connections end.
        self.connections.clear();
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Event(event) => {
                if let Event::Closed { connection } = &*event {
                    self.connections.remove(connection);
                }
                self.feed(*event);
            }
            Message::Connected {
                connection,
                kind,
                handle,
            } => {
                self.connections.insert(connection, handle);
                self.feed(Event::Opened { connection, kind });
            }
            Message::Listing { session, listing } => {
                if self.tables.contains_key(&session) {
                    self.listings.insert(session, listing);
                }
            }
            Message::Answered { bulk, outcome } => self.on_answer(bulk, outcome),
        }
    }

    /// Hands an event to the machine and carries out what it asks for, until nothing is left to do.
    fn feed(&mut self, event: Event<Payload>) {
        self.events.push_back(event);
        let mut commands = Vec::new();
        while let Some(event) = self.events.pop_front() {
            self.parts
                .manager
                .handle(self.parts.clock.now(), event, &mut commands);
            for command in commands.drain(..) {
                self.execute(command);
            }
        }
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one arm per command, each a line or a call"
    )]
    fn execute(&mut self, command: Command<Payload>) {
        let shard = self.parts.id;
        match command {
            Command::Reply { peer, message } => self.reply(peer, &message),
            Command::Open {
                session,
                agent,
                info,
            } => {
                observe::opened(session, agent);
                let scheme = Arc::clone(&self.parts.scheme);
                self.tables
                    .insert(session, SessionTable::new(scheme, session, agent, &info));
            }
            Command::Stage {
                stage,
                session,
                key,
                fresh,
                payload,
            } => self.staging.push(Staging {
                stage,
                session,
                key,
                fresh,
                frame: payload,
                is_discarded: false,
            }),
            Command::Discard { session } => self.discard(session),
            Command::Plan {
                session,
                allowed,
                full,
            } => self.plan(session, &allowed, full),
            Command::Listing {
                session,
                agent,
                indices,
            } => {
                let Some(table) = self.tables.get(&session) else {
                    return;
                };
                self.ask(ToCoordinator::ListingWanted {
                    event: coordinator::Event::ListingWanted {
                        shard,
                        session,
                        agent,
                        indices,
                    },
                    collector: answer::Collector::new(table.id_prefix(), table.overlay()),
                    shard,
                    session,
                });
            }
            Command::ListingCancelled { session } => {
                self.tell(coordinator::Event::ListingCancelled { shard, session });
            }
            Command::Diff { session, indices } => self.diff(session, &indices),
            Command::Bulk {
                bulk,
                deadline,
                not_after,
                timeout_ms,
                parts,
            } => {
                self.send(bulk, deadline, not_after, timeout_ms, parts);
            }
            Command::Record {
                record,
                what: Record::Floor(floor),
            } => {
                self.events
                    .push_back(match facts::record_floor(&self.parts.store, floor) {
                        Ok(()) => Event::Recorded { record },
                        Err(error) => {
                            tracing::error!(%error, "an agent's version floor is not durable");
                            Event::RecordFailed { record }
                        }
                    });
            }
            Command::Refusals {
                session,
                agent,
                tallies,
            } => {
                self.tell(coordinator::Event::Refusals {
                    shard,
                    session,
                    agent,
                    tallies,
                });
            }
            Command::Stored { agent, tallies } => {
                observe::stored(&self.parts.shared, &tallies);
                self.tell(coordinator::Event::Stored { agent, tallies });
            }
            Command::IndexTrouble { index, trouble } => {
                self.tell(coordinator::Event::IndexTrouble { index, trouble });
            }
            Command::BoundWanted { beyond } => {
                self.tell(coordinator::Event::BoundWanted { beyond });
            }
            Command::Pause { connection } => self.flow(connection, |handle| handle.pause(true)),
            Command::Resume { connection } => self.flow(connection, |handle| handle.pause(false)),
            Command::Close { connection } => self.flow(connection, Handle::close),
            Command::Observe(observation) => observe::shard(&self.parts.shared, &observation),
            Command::Stopped { clean } => {
                self.stopped = true;
                self.tell(coordinator::Event::ShardStopped { shard, clean });
            }
        }
    }

    fn flow(&self, connection: ConnectionId, act: impl FnOnce(&Handle)) {
        if let Some(handle) = self.connections.get(&connection) {
            act(handle);
        }
    }

    fn tell(&self, event: coordinator::Event) {
        self.ask(ToCoordinator::Event(event));
    }

    fn ask(&self, message: ToCoordinator) {
        // Without a coordinator the process is ending.
        let _ = self.parts.coordinator.send(message);
    }

    fn reply(&self, peer: Peer, reply: &Reply) {
        if let Some(handle) = self.connections.get(&peer.connection) {
            let message = match reply {
                Reply::StartAck(ack) => wire::encode_start_ack(ack),
                Reply::EndAck(ack) => wire::encode_end_ack(ack),
                Reply::ReqRet(request) => {
                    observe::gaps_asked_for(request);
                    wire::encode_req_ret(request)
                }
                Reply::Hello(hello) => wire::encode_hello(hello),
            };
            handle.send(peer.agent, &message);
        }
    }

    fn discard(&mut self, session: SessionId) {
        for staging in &mut self.staging {
            staging.is_discarded |= staging.session == session;
        }
        self.listings.remove(&session);
        let had_frames = self
            .tables
            .remove(&session)
            .is_some_and(|table| table.keys().next().is_some());
        if had_frames && let Err(error) = self.parts.store.discard(session.0) {
            // Cleaned at the next start at the latest.
            tracing::warn!(%error, "the staged data of a session are not freed");
        }
    }

    /// Stages what has come together in one write, until nothing is left to stage.
    fn commit(&mut self) {
        while !self.staging.is_empty() {
            let staging = std::mem::take(&mut self.staging);
            let values: Vec<StagedValue<'_>> = staging
                .iter()
                .filter(|each| !each.is_discarded)
                .map(|each| StagedValue {
                    session: each.session.0,
                    sequence: u64::from(each.key),
                    bytes: &each.frame.bytes,
                })
                .collect();
            let written = self.parts.store.stage(&values);
            observe::staged(values.iter().map(|value| value.bytes.len() as u64).sum());
            match written {
                Ok(()) => {
                    for each in staging.iter().filter(|each| !each.is_discarded) {
                        if let Some(table) = self.tables.get_mut(&each.session) {
                            table.stage(each.key, &each.fresh, &each.frame.table);
                        }
                        observe::frame_staged(each.session, each.key, each.frame.bytes.len());
                    }
                    if let Some(last) = staging.last() {
                        self.feed(Event::Staged { upto: last.stage });
                    }
                }
                Err(error) => {
                    tracing::error!(%error, frames = values.len(), "frames are not staged");
                    for each in &staging {
                        self.feed(Event::StageFailed { stage: each.stage });
                    }
                }
            }
        }
    }

    fn plan(&mut self, session: SessionId, allowed: &[IndexId], full: bool) {
        observe::complete(session, full);
        let chunks = StoredChunks(&self.parts.store);
        let most = self.parts.failed_items_max;
        let planned = self
            .tables
            .get_mut(&session)
            .and_then(|table| plan(table, &chunks, allowed, full, most));
        self.events.push_back(Event::Planned {
            session,
            plan: planned.map(Box::new),
        });
    }

    fn diff(&mut self, session: SessionId, indices: &[IndexId]) {
        let chunks = StoredChunks(&self.parts.store);
        let listing = self.listings.remove(&session);
        let compared = match (self.tables.get_mut(&session), &listing) {
            (Some(table), Some(listing)) => diff(table, listing, &chunks, indices),
            _ => None,
        };
        self.events.push_back(Event::Diffed {
            session,
            diff: compared.map(Box::new),
        });
    }

    /// Renders a bulk request and gives it to the I/O threads.
    fn send(
        &mut self,
        bulk: BulkId,
        deadline: Tick,
        not_after: Tick,
        timeout_ms: u64,
        parts: Vec<Part>,
    ) {
        let chunks = StoredChunks(&self.parts.store);
        let mut body = Vec::new();
        let mut failed = Vec::new();
        let mut operations = 0;
        for (place, part) in parts.iter().enumerate() {
            let rendered = self
                .tables
                .get(&part.session)
                .and_then(|table| render(part, table, &chunks, &mut body));
            match rendered {
                Some(count) => operations += u64::from(count),
                None => failed.push(place),
            }
        }
        if !failed.is_empty() {
            self.events.push_back(Event::BulkDone {
                bulk,
                outcome: BulkOutcome::ReadFailed { parts: failed },
            });
            return;
        }
        self.bulks.insert(bulk, parts);
        observe::bulk(
            bulk,
            operations,
            body.len() as u64,
            self.parts.bulk_bytes_max,
        );
        let asked = request::bulk(timeout_ms, body);
        let request = HttpRequest {
            host_index: 0,
            method: Method::Post,
            path_and_query: asked.target,
            body: vec![Bytes::from(asked.body)],
            content_type: NDJSON,
            deadline: self.parts.clock.instant(deadline),
            not_after: Some(self.parts.clock.instant(not_after)),
        };
        let connector = Arc::clone(&self.parts.connector);
        let queue = self.parts.queue.clone();
        self.parts.io.spawn(async move {
            let started = tokio::time::Instant::now();
            let outcome = connector.execute(request).await;
            observe::bulk_answered(bulk, started.elapsed(), &outcome);
            // A shard that is gone needs no answer.
            let _ = queue.send(Message::Answered { bulk, outcome }).await;
        });
    }

    fn on_answer(&mut self, bulk: BulkId, outcome: HttpOutcome) {
        let Some(parts) = self.bulks.remove(&bulk) else {
            return;
        };
        let outcome = match outcome {
            HttpOutcome::Answer { status, body } => {
                let sent: Vec<Sent<'_>> = parts
                    .iter()
                    .map(|part| Sent {
                        part,
                        table: self.tables.get(&part.session),
                    })
                    .collect();
                answer::bulk(&sent, status, &body, self.parts.failed_items_max)
            }
            HttpOutcome::NotSent { reason } => {
                tracing::warn!(%bulk, %reason, "a bulk request was not sent");
                BulkOutcome::NotSent
            }
            HttpOutcome::Unknown { reason } => {
                tracing::warn!(%bulk, %reason, "the outcome of a bulk request is not known");
                BulkOutcome::Unknown
            }
        };
        if let BulkOutcome::Refused {
            refusal,
            status,
            detail,
        } = &outcome
        {
            tracing::warn!(%bulk, ?refusal, status, detail, "a bulk request was refused");
        }
        self.feed(Event::BulkDone { bulk, outcome });
    }
}
