//! The manager's process: its shards, and the I/O that their commands ask for.
//!
//! Commands are carried out in order; what takes time becomes an occurrence that carries the process's
//! *life*, so that nothing reaches the next process that was meant for the last one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use inventory_sync_core::answer::{self, BulkOutcome};
use inventory_sync_core::coordinator::{self, Coordinator, ShardId};
use inventory_sync_core::document::{Listing, Part, Scheme, SessionTable};
use inventory_sync_core::id::{AgentId, IndexId, SessionId};
use inventory_sync_core::manager::{self, Command, Manager, Reply};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire;

use crate::faults::Fault;
use crate::network::{Packet, Way};
use crate::oracles::{Told, is_start_ack};
use crate::store::{Scanned, Write};
use crate::trace::Node;
use crate::world::{Occurrence, World};

/// A question that a shard asked and that the I/O side answers after a while.
#[derive(Debug)]
pub(crate) enum Task {
    /// Decide what a session sends.
    Plan {
        session: SessionId,
        allowed: Vec<IndexId>,
        full: bool,
    },
    /// Compare a session with its listing.
    Diff {
        session: SessionId,
        indices: Vec<IndexId>,
    },
    /// Make a floor durable.
    Floor {
        record: inventory_sync_core::id::RecordId,
        floor: manager::AgentFloor,
        fails: bool,
    },
}

/// One shard with its writes.
pub(crate) struct Shard {
    pub(crate) machine: Manager<Scanned>,
    /// The machine's next deadline, as of its last event.
    deadline: Option<Tick>,
    pub(crate) armed: Option<Tick>,
    pub(crate) writes: VecDeque<Write>,
    pub(crate) flush_planned: bool,
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
        Self {
            deadline: machine.next_deadline().map(|(at, _)| at),
            machine,
            armed: None,
            writes: VecDeque::new(),
            flush_planned: false,
            mail: VecDeque::new(),
        }
    }
}

impl Process {
    /// What the answer to a request means.
    pub(crate) fn bulk_outcome(
        &self,
        parts: &[Part],
        status: u16,
        body: &[u8],
        failed_max: usize,
    ) -> BulkOutcome {
        let sent: Vec<answer::Sent<'_>> = parts
            .iter()
            .map(|part| answer::Sent {
                part,
                table: self.tables.get(&part.session).map(|(_, table)| table),
            })
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
        // Behind a standstill deadlines are served first: what is judged of an event holds at one moment.
        if self.is_overdue(life, shard) && event != manager::Event::Tick {
            self.tally.routine += 1;
            self.tell_shard(life, shard, manager::Event::Tick);
        }
        let Some(process) = self.process.as_mut().filter(|process| process.life == life) else {
            return;
        };
        let Some(told) = process.shards.get_mut(usize::from(shard)) else {
            return;
        };
        self.trace.note(now, Node::Shard(shard), '<', &event);
        let state = told.machine.state_met_by(&event);
        self.coverage.shard_told(state, &event);
        let is_start = matches!(event, manager::Event::Start { .. });
        let heard = self.oracles.hear(shard, &event);
        let mut commands = std::mem::take(&mut self.shard_commands);
        told.machine.handle(now, event, &mut commands);
        if self.trace.steps().is_multiple_of(self.check_every) || cfg!(test) {
            told.machine.check_invariants();
        }
        told.deadline = told.machine.next_deadline().map(|(at, _)| at);
        if let Some(at) = told.deadline
            && let at = at.max(now)
            && told.armed.is_none_or(|armed| at < armed)
        {
            told.armed = Some(at);
            self.schedule.at(at, Occurrence::ShardTick { life, shard });
        }
        let acks = commands
            .iter()
            .filter(|command| is_start_ack(command))
            .count();
        if acks != usize::from(is_start) {
            let seen = format!("{acks} of them");
            self.oracles.fail(
                "I-1 one answer",
                "one StartAck to each Start, and to nothing else",
                seen,
            );
        }
        self.oracles.judge_answers(shard, &heard, &commands);
        for command in commands.drain(..) {
            if self.crashes_before(&command) {
                break;
            }
            self.trace.note(now, Node::Shard(shard), '>', &command);
            self.coverage.shard_asked(&command);
            self.obey_shard(life, shard, command);
        }
        self.shard_commands = commands;
    }

    /// Whether a shard's deadline has passed unserved.
    fn is_overdue(&self, life: u32, shard: u16) -> bool {
        let process = self.process.as_ref().filter(|process| process.life == life);
        process
            .and_then(|process| process.shards.get(usize::from(shard)))
            .and_then(|shard| shard.deadline)
            .is_some_and(|at| at < self.now())
    }

    /// Whether the process is gone just before it says a verdict: what the Indexer holds, no agent knows.
    fn crashes_before(&mut self, command: &Command<Scanned>) -> bool {
        let is_verdict = matches!(
            command,
            Command::Reply {
                message: Reply::EndAck(ack),
                ..
            } if ack.status != wire::Status::Processing
        );
        if !is_verdict || !self.faults.strikes(Fault::CrashBeforeVerdict) {
            return false;
        }
        self.crash_process();
        let down_ms = self
            .faults
            .stream(Fault::CrashBeforeVerdict)
            .between(1, 20_000);
        self.schedule.after(down_ms, Occurrence::StartManager);
        true
    }

    /// A shard's deadline is reached.
    pub(crate) fn tick_shard(&mut self, life: u32, shard: u16) {
        let now = self.now();
        let Some(process) = self.process.as_mut().filter(|process| process.life == life) else {
            return;
        };
        let Some(told) = process.shards.get_mut(usize::from(shard)) else {
            return;
        };
        if told.armed != Some(now) {
            return;
        }
        told.armed = None;
        let due = told.deadline;
        if due.is_some_and(|at| at <= now) {
            self.tally.routine += 1;
            self.tell_shard(life, shard, manager::Event::Tick);
        } else if let Some(at) = due {
            told.armed = Some(at);
            self.schedule.at(at, Occurrence::ShardTick { life, shard });
        }
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one arm for each command, most of them a line or two"
    )]
    fn obey_shard(&mut self, life: u32, shard: u16, command: Command<Scanned>) {
        let now = self.now();
        match command {
            Command::Reply { peer, message } => self.reply(peer, &message),
            Command::Open {
                session,
                agent,
                info,
            } => {
                self.oracles.opened(shard, session);
                if let Some(process) = &mut self.process {
                    let table = SessionTable::new(process.scheme.clone(), session, agent, &info);
                    process.tables.insert(session, (agent, table));
                }
            }
            Command::Stage {
                stage,
                session,
                key,
                fresh,
                payload,
            } => {
                let bytes = payload.packet().bytes().len() as u64;
                self.oracles
                    .staged(shard, stage, session, key, &fresh, bytes);
                let fails = self.store_is_full || self.faults.strikes(Fault::StoreWriteFails);
                self.push_write(
                    life,
                    shard,
                    Write {
                        stage,
                        session,
                        key,
                        fresh,
                        frame: payload,
                        fails,
                    },
                );
            }
            Command::Discard { session } => {
                self.oracles.discarded(session);
                self.store.discard(session);
                if let Some(process) = &mut self.process {
                    process.tables.remove(&session);
                    process.listings.remove(&session);
                }
            }
            Command::Plan {
                session,
                allowed,
                full,
            } => {
                self.oracles.planned(session);
                self.plan_task(
                    life,
                    shard,
                    Task::Plan {
                        session,
                        allowed,
                        full,
                    },
                );
            }
            Command::Diff { session, indices } => {
                self.plan_task(life, shard, Task::Diff { session, indices })
            }
            Command::Record {
                record,
                what: manager::Record::Floor(floor),
            } => {
                let fails = self.store_is_full || self.faults.strikes(Fault::RecordFails);
                self.plan_task(
                    life,
                    shard,
                    Task::Floor {
                        record,
                        floor,
                        fails,
                    },
                );
            }
            Command::Listing {
                session,
                agent,
                indices,
            } => {
                self.oracles.listing_begins(session);
                let shard = ShardId(shard);
                self.mail_coordinator(coordinator::Event::ListingWanted {
                    shard,
                    session,
                    agent,
                    indices,
                });
            }
            Command::ListingCancelled { session } => {
                self.mail_coordinator(coordinator::Event::ListingCancelled {
                    shard: ShardId(shard),
                    session,
                });
            }
            Command::Bulk {
                bulk,
                deadline,
                not_after,
                timeout_ms: _,
                parts,
            } => {
                self.render(life, shard, (bulk, deadline, not_after), parts);
            }
            Command::Refusals {
                session,
                agent,
                tallies,
            } => {
                let shard = ShardId(shard);
                self.mail_coordinator(coordinator::Event::Refusals {
                    shard,
                    session,
                    agent,
                    tallies,
                });
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
                self.mail_coordinator(coordinator::Event::ShardStopped {
                    shard: ShardId(shard),
                    clean,
                });
            }
        }
    }

    /// Sends a message to an agent, as bytes.
    fn reply(&mut self, peer: inventory_sync_core::id::Peer, message: &Reply) {
        let bytes = match message {
            Reply::StartAck(ack) => {
                self.coverage.answered(ack.reason);
                let module = self.options.config.catalogue.module(&ack.module);
                self.oracles.start_answered(peer, module, ack);
                wire::encode_start_ack(ack)
            }
            Reply::EndAck(ack) => {
                self.coverage.answered(ack.reason);
                if self.oracles.end_answered(peer, ack) == Told::Verdict {
                    *self.verdicts.entry((ack.status, ack.reason)).or_insert(0) += 1;
                }
                wire::encode_end_ack(ack)
            }
            Reply::ReqRet(request) => wire::encode_req_ret(request),
            Reply::Hello(hello) => wire::encode_hello(hello),
        };
        if self
            .network
            .get(peer.connection)
            .is_some_and(|found| found.at_manager)
        {
            self.send_frame(peer.connection, Way::Down, &Packet::new(bytes));
        }
    }
}
