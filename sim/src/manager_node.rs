//! The manager's process: its shards, and the I/O that their commands ask for.
//!
//! Commands are carried out in order; what takes time becomes an occurrence that carries the process's
//! *life*, so that nothing reaches the next process that was meant for the last one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use inventory_sync_core::answer::{self, BulkOutcome};
use inventory_sync_core::coordinator::{self, Coordinator, ShardId};
use inventory_sync_core::document::{self, Listing, Part, Scheme, SessionTable};
use inventory_sync_core::id::{AgentId, BulkId, IndexId, SessionId};
use inventory_sync_core::manager::{self, Command, ConnectionKind, Manager, Reply, Timer};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire;

use crate::bulk::{self, PartOf};
use crate::faults::Fault;
use crate::network::{Packet, Way};
use crate::oracles::Told;
use crate::store::{Scanned, Write};
use crate::trace::Node;
use crate::world::{Occurrence, World};

/// A question that a shard asked and that the I/O side answers after a while.
#[derive(Debug)]
pub(crate) enum Task {
    /// Decide what a session sends.
    Plan { session: SessionId, allowed: Vec<IndexId>, full: bool },
    /// Compare a session with its listing.
    Diff { session: SessionId, indices: Vec<IndexId> },
    /// Make a floor durable.
    Floor { record: inventory_sync_core::id::RecordId, floor: manager::AgentFloor, fails: bool },
}

/// One shard with its writes.
pub(crate) struct Shard {
    pub(crate) machine: Manager<Scanned>,
    pub(crate) armed: Option<Tick>,
    pub(crate) writes: VecDeque<Write>,
    flush_planned: bool,
    pub(crate) mail: VecDeque<manager::Event<Scanned>>,
}

/// One life of the manager's process.
pub(crate) struct Process {
    pub(crate) life: u32,
    pub(crate) shards: Vec<Shard>,
    pub(crate) coordinator: Coordinator,
    pub(crate) coordinator_armed: Option<Tick>,
    pub(crate) coordinator_mail: VecDeque<coordinator::Event>,
    pub(crate) scheme: Arc<Scheme>,
    pub(crate) tables: BTreeMap<SessionId, (AgentId, SessionTable)>,
    pub(crate) listings: BTreeMap<SessionId, Listing>,
    pub(crate) stopping: bool,
    /// Up to when the last acknowledged renewal of the lease holds.
    pub(crate) lease_until: Tick,
}

impl Shard {
    pub(crate) fn new(machine: Manager<Scanned>) -> Self {
        Self { machine, armed: None, writes: VecDeque::new(), flush_planned: false, mail: VecDeque::new() }
    }
}

impl Process {
    /// What the answer to a request means.
    pub(crate) fn bulk_outcome(&self, parts: &[Part], status: u16, body: &[u8], failed_max: usize) -> BulkOutcome {
        let sent: Vec<answer::Sent<'_>> = parts
            .iter()
            .map(|part| answer::Sent { part, table: self.tables.get(&part.session).map(|(_, table)| table) })
            .collect();
        answer::bulk(&sent, status, body, failed_max)
    }
}

impl World {
    /// The shard that an agent belongs to.
    pub(crate) fn shard_of(&self, agent: AgentId) -> u16 {
        u16::try_from(crate::streams::mix(agent.0) % u64::from(self.options.shards)).unwrap_or(0)
    }

    /// Tells a shard something, and does what it asks. Told to a former process, it is lost.
    pub(crate) fn tell_shard(&mut self, life: u32, shard: u16, event: manager::Event<Scanned>) {
        let now = self.now();
        let Some(process) = self.process.as_mut().filter(|process| process.life == life) else { return };
        let Some(told) = process.shards.get_mut(usize::from(shard)) else { return };
        self.trace.note(now, Node::Shard(shard), '<', &event);
        let mut commands = std::mem::take(&mut self.shard_commands);
        told.machine.handle(now, event, &mut commands);
        if self.trace.steps() % 16 == 0 || cfg!(test) {
            told.machine.check_invariants();
        }
        if let Some((at, _)) = told.machine.next_deadline()
            && told.armed.is_none_or(|armed| at < armed)
        {
            told.armed = Some(at);
            self.schedule.at(at, Occurrence::ShardTick { life, shard });
        }
        for command in commands.drain(..) {
            self.trace.note(now, Node::Shard(shard), '>', &command);
            self.obey_shard(life, shard, command);
        }
        self.shard_commands = commands;
    }

    /// A shard's deadline is reached.
    pub(crate) fn tick_shard(&mut self, life: u32, shard: u16) {
        let now = self.now();
        let Some(process) = self.process.as_mut().filter(|process| process.life == life) else { return };
        let Some(told) = process.shards.get_mut(usize::from(shard)) else { return };
        if told.armed != Some(now) {
            return;
        }
        told.armed = None;
        let due: Option<(Tick, Timer)> = told.machine.next_deadline();
        if due.is_some_and(|(at, _)| at <= now) {
            self.tell_shard(life, shard, manager::Event::Tick);
        } else if let Some((at, _)) = due {
            told.armed = Some(at);
            self.schedule.at(at, Occurrence::ShardTick { life, shard });
        }
    }

    fn obey_shard(&mut self, life: u32, shard: u16, command: Command<Scanned>) {
        let now = self.now();
        match command {
            Command::Reply { peer, message } => self.reply(peer, &message),
            Command::Open { session, agent, info } => {
                self.oracles.opened(shard, session);
                if let Some(process) = &mut self.process {
                    let table = SessionTable::new(process.scheme.clone(), session, agent, &info);
                    process.tables.insert(session, (agent, table));
                }
            }
            Command::Stage { stage, session, key, fresh, payload } => {
                self.oracles.staged(shard, stage, session, key, &fresh);
                let fails = self.faults.strikes(Fault::StoreWriteFails);
                self.push_write(life, shard, Write { stage, session, key, fresh, frame: payload, fails });
            }
            Command::Discard { session } => {
                self.oracles.discarded(session);
                self.store.discard(session);
                if let Some(process) = &mut self.process {
                    process.tables.remove(&session);
                    process.listings.remove(&session);
                }
            }
            Command::Plan { session, allowed, full } => {
                self.oracles.planned(session);
                self.plan_task(life, shard, Task::Plan { session, allowed, full });
            }
            Command::Diff { session, indices } => self.plan_task(life, shard, Task::Diff { session, indices }),
            Command::Record { record, what: manager::Record::Floor(floor) } => {
                let fails = self.faults.strikes(Fault::RecordFails);
                self.plan_task(life, shard, Task::Floor { record, floor, fails });
            }
            Command::Listing { session, agent, indices } => {
                self.oracles.listing_begins(session);
                let shard = ShardId(shard);
                self.mail_coordinator(coordinator::Event::ListingWanted { shard, session, agent, indices });
            }
            Command::ListingCancelled { session } => {
                self.mail_coordinator(coordinator::Event::ListingCancelled { shard: ShardId(shard), session });
            }
            Command::Bulk { bulk, deadline, not_after, timeout_ms: _, parts } => {
                self.render(life, shard, (bulk, deadline, not_after), parts);
            }
            Command::Refusals { session, agent, tallies } => {
                let shard = ShardId(shard);
                self.mail_coordinator(coordinator::Event::Refusals { shard, session, agent, tallies });
            }
            Command::Stored { agent, tallies } => {
                self.mail_coordinator(coordinator::Event::Stored { agent, tallies });
            }
            Command::IndexTrouble { index, trouble } => {
                self.mail_coordinator(coordinator::Event::IndexTrouble { index, trouble });
            }
            Command::BoundWanted { beyond } => {
                self.mail_coordinator(coordinator::Event::BoundWanted { beyond });
            }
            Command::Pause { connection } => {
                if let Some(found) = self.network.get_mut(connection) {
                    found.paused = true;
                }
            }
            Command::Resume { connection } => {
                if let Some(found) = self.network.get_mut(connection) {
                    found.paused = false;
                }
                self.schedule.at(now, Occurrence::ReadOn(connection));
            }
            Command::Close { connection } => self.break_connection(connection, false),
            Command::Observe(observation) => self.observed(&observation),
            Command::Stopped { clean } => {
                self.mail_coordinator(coordinator::Event::ShardStopped { shard: ShardId(shard), clean });
            }
        }
    }

    /// Sends a message to an agent, as bytes.
    fn reply(&mut self, peer: inventory_sync_core::id::Peer, message: &Reply) {
        let bytes = match message {
            Reply::StartAck(ack) => {
                let module = self.options.config.catalogue.module(&ack.module);
                self.oracles.start_answered(peer, module, ack);
                wire::encode_start_ack(ack)
            }
            Reply::EndAck(ack) => {
                if self.oracles.end_answered(peer, ack) == Told::Verdict {
                    *self.verdicts.entry((ack.status, ack.reason)).or_insert(0) += 1;
                }
                wire::encode_end_ack(ack)
            }
            Reply::ReqRet(request) => wire::encode_req_ret(request),
            Reply::Hello(hello) => wire::encode_hello(hello),
        };
        if self.network.get(peer.connection).is_some_and(|found| found.at_manager) {
            self.send_frame(peer.connection, Way::Down, &Packet::new(bytes));
        }
    }

    fn push_write(&mut self, life: u32, shard: u16, write: Write) {
        let slow_ms = if self.faults.strikes(Fault::StoreSlow) {
            self.faults.stream(Fault::StoreSlow).between(1, 3_000)
        } else {
            0
        };
        let delay_ms = self.latency.between(0, self.options.store_ms) + slow_ms;
        let Some(process) = &mut self.process else { return };
        let Some(staging) = process.shards.get_mut(usize::from(shard)) else { return };
        staging.writes.push_back(write);
        if !std::mem::replace(&mut staging.flush_planned, true) {
            self.schedule.after(delay_ms, Occurrence::Flush { life, shard });
        }
    }

    /// All writes of a shard so far are written in one group.
    pub(crate) fn flush(&mut self, life: u32, shard: u16) {
        let Some(process) = self.process.as_mut().filter(|process| process.life == life) else { return };
        let Some(staging) = process.shards.get_mut(usize::from(shard)) else { return };
        staging.flush_planned = false;
        let writes = std::mem::take(&mut staging.writes);
        let Some(upto) = writes.back().map(|write| write.stage) else { return };
        let mut failed = Vec::new();
        for write in writes {
            self.oracles.stage_answered(shard, write.stage, !write.fails);
            if write.fails {
                failed.push(write.stage);
            } else if let Some((_, table)) = process.tables.get_mut(&write.session) {
                table.stage(write.key, &write.fresh, write.frame.table());
                self.store.put(write.session, write.key, write.frame.packet().clone());
            }
        }
        for stage in failed {
            self.tell_shard(life, shard, manager::Event::StageFailed { stage });
        }
        self.tell_shard(life, shard, manager::Event::Staged { upto });
    }

    fn plan_task(&mut self, life: u32, shard: u16, task: Task) {
        let delay_ms = self.latency.between(0, self.options.store_ms);
        self.schedule.after(delay_ms, Occurrence::TaskDone { life, shard, task });
    }

    /// A task of the I/O side is done.
    pub(crate) fn task_done(&mut self, life: u32, shard: u16, task: Task) {
        let Some(process) = self.process.as_mut().filter(|process| process.life == life) else { return };
        let event = match task {
            Task::Plan { session, allowed, full } => {
                let reader = self.store.reader(self.faults.strikes(Fault::StoreReadFails));
                let failed_max = self.options.config.failed_items_max;
                #[cfg(not(inventory_bug_bank))]
                let plan = document::plan;
                #[cfg(inventory_bug_bank)]
                let plan = if self.rules.holds(manager::Rule::OneOperationPerDocument) {
                    document::plan
                } else {
                    document::plan_every_operation
                };
                let plan = process
                    .tables
                    .get_mut(&session)
                    .and_then(|(_, table)| plan(table, &reader, &allowed, full, failed_max));
                manager::Event::Planned { session, plan: plan.map(Box::new) }
            }
            Task::Diff { session, indices } => {
                let reader = self.store.reader(self.faults.strikes(Fault::StoreReadFails));
                let table = process.tables.get_mut(&session);
                let diff = table.zip(process.listings.get(&session)).and_then(|((_, table), listing)| {
                    document::diff(table, listing, &reader, &indices)
                });
                manager::Event::Diffed { session, diff: diff.map(Box::new) }
            }
            Task::Floor { record, fails: true, .. } => manager::Event::RecordFailed { record },
            Task::Floor { record, floor, fails: false } => {
                self.store.meta.floors.insert(floor.agent, floor);
                manager::Event::Recorded { record }
            }
        };
        self.tell_shard(life, shard, event);
    }

    /// Renders a request and sends it, unless a frame cannot be read or the lease is over.
    fn render(&mut self, life: u32, shard: u16, (bulk, deadline, not_after): (BulkId, Tick, Tick), parts: Vec<Part>) {
        let now = self.now();
        let mut operations = Vec::new();
        let mut unread = Vec::new();
        let mut body = Vec::new();
        for (place, part) in parts.iter().enumerate() {
            self.oracles.sent_under(part.session, part.agent, part.version, self.durable_bounds(part.agent));
            let Some(process) = &self.process else { return };
            let reader = self.store.reader(self.faults.strikes(Fault::StoreReadFails));
            body.clear();
            let rendered = process
                .tables
                .get(&part.session)
                .and_then(|(_, table)| document::render(part, table, &reader, &mut body));
            let Some(rendered) = rendered else {
                unread.push(place);
                continue;
            };
            let about = PartOf {
                session: part.session,
                agent: part.agent,
                agent_name: &crate::agent_node::agent_name(part.agent),
                cluster: &self.options.config.cluster,
            };
            match bulk::read(&body, about, &self.options.config.catalogue, &mut self.overlay_check) {
                Ok(read) => {
                    if read.len() != rendered as usize {
                        let seen = format!("{} operations for {rendered}", read.len());
                        self.oracles.fail("I-13", "as many operations as were rendered", seen);
                    }
                    let facts: Vec<_> = read.iter().map(|(_, rendered)| *rendered).collect();
                    self.oracles.rendered(part, &facts);
                    operations.extend(read);
                }
                Err(seen) => self.oracles.fail("I-13", "a well-formed bulk body of this agent's documents", seen),
            }
        }
        let outcome = if !unread.is_empty() {
            BulkOutcome::ReadFailed { parts: unread }
        } else if now >= not_after {
            BulkOutcome::NotSent
        } else {
            return self.send_request((life, shard, bulk, deadline), parts, operations);
        };
        let event = Box::new(manager::Event::BulkDone { bulk, outcome });
        self.schedule.after(1, Occurrence::ShardTold { life, shard, event });
    }

    /// A frame has arrived at the manager's end of a connection.
    pub(crate) fn frame_at_manager(&mut self, connection: inventory_sync_core::id::ConnectionId, packet: Packet) {
        let Some(life) = self.process.as_ref().map(|process| process.life) else { return };
        let Some(found) = self.network.get_mut(connection).filter(|found| found.at_manager) else { return };
        if found.paused {
            found.unread.push_back(packet);
            return;
        }
        let agent = found.agent;
        let shard = self.shard_of(agent);
        let peer = inventory_sync_core::id::Peer { connection, agent };
        if let Some(event) = self.read_frame(peer, &packet) {
            self.tell_shard(life, shard, event);
        }
    }

    fn read_frame(&self, peer: inventory_sync_core::id::Peer, packet: &Packet) -> Option<manager::Event<Scanned>> {
        use inventory_sync_core::manager::{Event, FrameFlaw};
        use wire::Message;
        let scheme = &self.process.as_ref()?.scheme;
        let bad = |flaw| Some(Event::BadFrame { peer, flaw });
        let Ok(message) = wire::decode(packet.bytes()) else { return bad(FrameFlaw::Unverifiable) };
        match message {
            Message::Start(start) => {
                let digest = xxhash_rust::xxh3::xxh3_128(packet.bytes()).to_le_bytes();
                Some(Event::Start { peer, start, digest })
            }
            Message::End(end) => Some(Event::End { peer, session: SessionId(end.session) }),
            Message::Hello(hello) => Some(Event::Hello { peer, hello: Box::new(hello) }),
            Message::Data(_) | Message::DataBatch(_) => {
                let items = document::Items::of(&message)?;
                let bytes = packet.bytes().len() as u64;
                let (frame, table) = document::scan(scheme, peer.agent, &items, bytes);
                Some(Event::Items { peer, frame, payload: Scanned::new(packet.clone(), table) })
            }
            Message::StartAck(_) | Message::EndAck(_) | Message::ReqRet(_) => bad(FrameFlaw::WrongDirection),
            Message::DataClean(_) => bad(FrameFlaw::UnknownMember(8)),
            Message::DataContext(_) => bad(FrameFlaw::UnknownMember(9)),
            Message::ChecksumModule(_) => bad(FrameFlaw::UnknownMember(10)),
            Message::Unknown { union_type } => bad(FrameFlaw::UnknownMember(union_type)),
        }
    }

    /// What kind the connections of this world are.
    pub(crate) fn connection_kind(&self) -> ConnectionKind {
        if self.options.relays { ConnectionKind::Relay } else { ConnectionKind::Agent }
    }
}
