//! A shard's thread: one machine, its tables, and everything that happens per document.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

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
use inventory_sync_core::wire::{self, Status};
use rocksdb::DBPinnableSlice;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::bodies::Bodies;
use super::clock::{MonotonicClock, unix_ms};
use super::connection::Handle;
use super::coordinator::Message as ToCoordinator;
use super::status::Shared;
use super::{facts, observe};
use crate::indexer::{Connector, HttpOutcome, HttpRequest};
use crate::store::{DroppedSession, StagedValue, Store};

/// Events taken from the queue at once: their frames are one write to the store.
const EVENTS_AT_ONCE: usize = 256;

/// After a batch of at least so many events the thread rests for [`MODERATION`]: waking it for each event
/// would cost more than the event.
const MODERATED_EVENTS: usize = 4;

/// The rest, far below what an agent or the Indexer takes to answer.
const MODERATION: Duration = Duration::from_micros(200);

/// A Processing waits so long for the verdict, to be written with it: of a small session it is most often
/// answered by then, and a write of its own costs more than everything else that the session takes.
const CORK: Duration = Duration::from_millis(50);

/// Under load figures are published at most so often: they are for looking at.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(50);

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
    Event(Event<Payload>),
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
    pub(super) concurrency: usize,
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
    tables: BTreeMap<SessionId, Box<SessionTable>>,
    listings: BTreeMap<SessionId, Listing>,
    connections: BTreeMap<ConnectionId, Handle>,
    bulks: BTreeMap<BulkId, Vec<Part>>,
    bodies: Bodies,
    staging: Vec<Staging>,
    /// Sessions that have ended and whose frames are still stored.
    dropped: Vec<DroppedSession>,
    /// For the coordinator, which is woken once for all of it.
    told: Vec<ToCoordinator>,
    /// Connections with replies whose writers were not woken yet.
    unflushed: Vec<ConnectionId>,
    /// Connections with a Processing that waits for company, and until when; in that order.
    corked: VecDeque<(Instant, ConnectionId)>,
    /// Answers that came while commands were carried out.
    events: VecDeque<Event<Payload>>,
    /// Of one event at a time; empty in between.
    commands: Vec<Command<Payload>>,
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
            // One to fill while the requests in flight hold theirs.
            bodies: Bodies::new(parts.concurrency + 1),
            parts,
            tables: BTreeMap::new(),
            listings: BTreeMap::new(),
            connections: BTreeMap::new(),
            bulks: BTreeMap::new(),
            staging: Vec::new(),
            dropped: Vec::new(),
            told: Vec::new(),
            unflushed: Vec::new(),
            corked: VecDeque::new(),
            events: VecDeque::new(),
            commands: Vec::new(),
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
        let mut publish_at = Instant::now();
        let mut is_published = false;
        let mut messages = Vec::with_capacity(EVENTS_AT_ONCE);
        while !self.stopped {
            let deadline = self
                .parts
                .manager
                .next_deadline()
                .map_or(Tick::NEVER, |(at, _)| at);
            let mut deadline = self.parts.clock.instant(deadline);
            if !is_published {
                deadline = deadline.min(publish_at);
            }
            if let Some((until, _)) = self.corked.front() {
                deadline = deadline.min(*until);
            }
            tokio::select! {
                count = queue.recv_many(&mut messages, EVENTS_AT_ONCE) => if count == 0 {
                    return;
                },
                () = tokio::time::sleep_until(deadline) => self.feed(Event::Tick),
                _ = wall_clock.tick() => self.feed(Event::WallClock { unix_ms: unix_ms() }),
            }
            let handled = messages.len();
            for message in messages.drain(..) {
                self.take(message);
            }
            self.commit();
            let is_busy = handled >= MODERATED_EVENTS;
            let now = Instant::now();
            is_published = !is_busy || now >= publish_at;
            if is_published {
                // Before the replies: who asks after an answer sees what led to it.
                publish_at = now + PUBLISH_INTERVAL;
                let figures = self.parts.manager.figures();
                self.parts.shared.publish(self.parts.id, figures);
            }
            self.flush(now);
            if is_busy {
                // This thread has no other task. What comes meanwhile is one batch, one write, one wake-up.
                std::thread::sleep(MODERATION);
            }
        }
        // What is still queued finds no one; its connections end.
        self.connections.clear();
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Event(event) => {
                if let Event::Closed { connection } = &event {
                    self.connections.remove(connection);
                }
                self.feed(event);
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
        let mut commands = std::mem::take(&mut self.commands);
        while let Some(event) = self.events.pop_front() {
            self.parts
                .manager
                .handle(self.parts.clock.now(), event, &mut commands);
            for command in commands.drain(..) {
                self.execute(command);
            }
        }
        self.commands = commands;
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
                let table = SessionTable::new(scheme, session, agent, &info);
                self.tables.insert(session, Box::new(table));
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
                observe::stored(&self.parts.shared.meters, &tallies);
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

    fn tell(&mut self, event: coordinator::Event) {
        self.ask(ToCoordinator::Event(event));
    }

    fn ask(&mut self, message: ToCoordinator) {
        self.told.push(message);
    }

    /// Wakes the writers of the connections that were replied to: each once for all its replies. Then the
    /// coordinator.
    fn flush(&mut self, now: Instant) {
        let over = self.corked.partition_point(|(until, _)| *until <= now);
        let uncorked = self.corked.drain(..over);
        self.unflushed
            .extend(uncorked.map(|(_, connection)| connection));
        self.unflushed.sort_unstable();
        self.unflushed.dedup();
        for connection in self.unflushed.drain(..) {
            if let Some(handle) = self.connections.get(&connection) {
                handle.flush();
            }
        }
        for message in self.told.drain(..) {
            // Without a coordinator the process is ending.
            let _ = self.parts.coordinator.send(message);
        }
    }

    fn reply(&mut self, peer: Peer, reply: &Reply) {
        let Some(handle) = self.connections.get(&peer.connection) else {
            return;
        };
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
        if matches!(reply, Reply::EndAck(ack) if ack.status == Status::Processing) {
            let until = Instant::now() + CORK;
            self.corked.push_back((until, peer.connection));
        } else {
            self.unflushed.push(peer.connection);
        }
    }

    fn discard(&mut self, session: SessionId) {
        for staging in &mut self.staging {
            staging.is_discarded |= staging.session == session;
        }
        self.listings.remove(&session);
        let Some(table) = self.tables.remove(&session) else {
            return;
        };
        let sequences: Vec<u64> = table.keys().map(u64::from).collect();
        if !sequences.is_empty() {
            self.dropped.push(DroppedSession {
                session: session.0,
                sequences,
            });
        }
    }

    /// Stages what has come together, and drops what has ended, in one write, until nothing is left to do.
    fn commit(&mut self) {
        while !self.staging.is_empty() || !self.dropped.is_empty() {
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
            let dropped = std::mem::take(&mut self.dropped);
            let written = self.parts.store.stage(&values, &dropped);
            self.parts
                .shared
                .meters
                .staged_bytes
                .increment(values.iter().map(|value| value.bytes.len() as u64).sum());
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
                    // What could not be dropped is cleaned at the next start at the latest.
                    tracing::error!(
                        %error, frames = values.len(), ended = dropped.len(),
                        "frames are not staged, and those of ended sessions not freed",
                    );
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
        let mut body = self.bodies.take();
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
            self.bodies.give_back(body);
            self.events.push_back(Event::BulkDone {
                bulk,
                outcome: BulkOutcome::ReadFailed { parts: failed },
            });
            return;
        }
        self.bulks.insert(bulk, parts);
        let meters = &self.parts.shared.meters;
        observe::bulk(meters, bulk, operations, body.len() as u64);
        let deadline = self.parts.clock.instant(deadline);
        let request = HttpRequest {
            body: vec![self.bodies.share(body)],
            not_after: Some(self.parts.clock.instant(not_after)),
            ..HttpRequest::asked(request::bulk(timeout_ms), deadline)
        };
        let connector = Arc::clone(&self.parts.connector);
        let queue = self.parts.queue.clone();
        let shared = Arc::clone(&self.parts.shared);
        self.parts.io.spawn(async move {
            let started = Instant::now();
            let outcome = connector.execute(request).await;
            observe::bulk_answered(&shared.meters, bulk, started.elapsed(), &outcome);
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
                        table: self.tables.get(&part.session).map(|table| &**table),
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
