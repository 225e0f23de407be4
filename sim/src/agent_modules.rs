//! The modules of an agent: what they are told, and the I/O that their commands ask for.

use inventory_sync_core::agent::{self, Command, Event, Message, State};
use inventory_sync_core::id::{ConnectionId, Version};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire;

use crate::agent_node::{BACKOFF_BASE_MS, COMMITS_TRIED, living, module_id};
use crate::faults::Fault;
use crate::network::Packet;
use crate::trace::Node;
use crate::world::{Occurrence, World};

impl World {
    /// Tells a module of an agent something, and does what it asks.
    pub(crate) fn tell_agent(
        &mut self,
        agent: usize,
        life: u32,
        module: usize,
        event: Event<Packet>,
    ) {
        let now = self.now();
        let Some(node) = living(&mut self.agents, agent, life) else {
            return;
        };
        let name = Node::Agent(node.id.0);
        let lane = &mut node.lanes[module];
        self.trace.note(now, name, '<', &(module, &event));
        self.coverage.agent_told(lane.machine.state(), &event);
        if let Event::Disconnected { connection } = &event {
            lane.ended = lane.ended.max(Some(*connection));
        }
        let mut commands = std::mem::take(&mut self.agent_commands);
        let loaded = match &event {
            Event::Loaded { frames, .. } => frames.len(),
            _ => 0,
        };
        lane.machine.handle(now, event, &mut commands);
        self.oracles.judge_load(loaded, &commands);
        if self.trace.steps().is_multiple_of(self.check_every) || cfg!(test) {
            lane.machine.check_invariants();
        }
        // What is due already, behind a standstill, is due now.
        if let Some((at, _)) = lane.machine.next_deadline()
            && let at = at.max(now)
            && lane.armed.is_none_or(|armed| at < armed)
        {
            lane.armed = Some(at);
            self.schedule.at(
                at,
                Occurrence::AgentTick {
                    agent,
                    life,
                    module,
                },
            );
        }
        for command in commands.drain(..) {
            self.trace.note(now, name, '>', &(module, &command));
            self.coverage.agent_asked(&command);
            self.obey_agent(agent, life, module, command);
        }
        self.agent_commands = commands;
    }

    /// A module's deadline is reached.
    pub(crate) fn tick_agent(&mut self, agent: usize, life: u32, module: usize) {
        let now = self.now();
        let Some(node) = living(&mut self.agents, agent, life) else {
            return;
        };
        let lane = &mut node.lanes[module];
        if lane.armed != Some(now) {
            return;
        }
        lane.armed = None;
        match lane.machine.next_deadline() {
            Some((at, _)) if at > now => {
                lane.armed = Some(at);
                self.schedule.at(
                    at,
                    Occurrence::AgentTick {
                        agent,
                        life,
                        module,
                    },
                );
            }
            Some(_) => {
                self.tally.routine += 1;
                self.tell_agent(agent, life, module, Event::Tick);
            }
            None => {}
        }
    }

    fn obey_agent(&mut self, agent: usize, life: u32, module: usize, command: Command<Packet>) {
        let delay_ms = self.latency.between(0, 5);
        let told = |event| Occurrence::AgentTold {
            agent,
            life,
            module,
            event: Box::new(event),
        };
        match command {
            Command::Send {
                connection,
                message,
            } => {
                self.judge_connection(agent, module, connection);
                let bytes = match message {
                    Message::Start(start) => {
                        if let Some(offer) =
                            self.agents[agent].lanes[module].outbox.offer(start.nonce)
                        {
                            self.oracles.offered(offer);
                        }
                        wire::encode_start(&start)
                    }
                    Message::Data(packet) => return self.agent_sends(agent, connection, &packet),
                    Message::End(end) => wire::encode_end(&end),
                    Message::Hello(hello) => wire::encode_hello(&hello),
                };
                self.agent_sends(agent, connection, &Packet::new(bytes));
            }
            Command::Load {
                load,
                job: _,
                session,
                run,
                bytes_max,
            } => {
                let id = self.agents[agent].id;
                let event = if self.faults.strikes_agent(Fault::AgentLoadFails, id) {
                    Event::LoadFailed { load }
                } else {
                    let frames = self.pack(agent, module, session, run, bytes_max);
                    Event::Loaded { load, frames }
                };
                self.schedule.after(delay_ms, told(event));
            }
            Command::Commit {
                job,
                acknowledgement,
            } => {
                let id = self.agents[agent].id;
                let event = if self.faults.strikes_agent(Fault::AgentCommitFails, id) {
                    self.agents[agent].lanes[module].commits_failed += 1;
                    Event::CommitFailed { job }
                } else {
                    self.oracles
                        .committed(id, module_id(module), &acknowledgement);
                    let outbox = &mut self.agents[agent].lanes[module].outbox;
                    outbox.commit(&acknowledgement);
                    self.judge_outbox(agent, module);
                    Event::Committed { job }
                };
                self.schedule.after(delay_ms, told(event));
            }
            Command::RollBack {
                job,
                retry_at,
                cause,
            } => {
                self.judge_cause(agent, &cause);
                self.rolled_back((agent, life, module), job, retry_at);
            }
            Command::Finished { job: _, outcome } => {
                self.job_finished(agent, module, &outcome);
                self.schedule.after(
                    delay_ms + 50,
                    Occurrence::SyncDue {
                        agent,
                        life,
                        module,
                    },
                );
            }
            Command::Reconnect { instead_of } => {
                // A base peer knows no nonces: it cannot take up a session on another connection.
                let node = &self.agents[agent];
                if node.speaks == 0 && node.lanes[module].machine.session_id().is_some() {
                    self.schedule.after(0, told(Event::Reset));
                }
                self.reconnect(agent, life, module, instead_of);
            }
            Command::Remember { floor } => self.remember(agent, module, floor),
            Command::Resync { .. } | Command::Observe(_) | Command::Stopped => {}
        }
    }

    /// A job of a module is over.
    fn job_finished(&mut self, agent: usize, module: usize, outcome: &agent::Outcome) {
        let lane = &mut self.agents[agent].lanes[module];
        let failed = std::mem::take(&mut lane.commits_failed);
        if *outcome == agent::Outcome::CommitFailed && failed < COMMITS_TRIED {
            let expected = format!("a verdict's commit is tried {COMMITS_TRIED} times");
            let seen = format!("given up after {failed}");
            self.oracles.fail("O-5 commit", expected, seen);
        }
        lane.outbox.finished(outcome);
    }

    /// A module keeps the highest version that it was told.
    fn remember(&mut self, agent: usize, module: usize, floor: Version) {
        let lane = &mut self.agents[agent].lanes[module];
        if floor <= lane.floor {
            let expected = format!("a floor above {}, which is known", lane.floor);
            self.oracles
                .fail("P-5 remembered", expected, format!("{floor}"));
        }
        lane.floor = lane.floor.max(floor);
    }

    /// What a machine was told is gone it does not speak by.
    fn judge_connection(&mut self, agent: usize, module: usize, connection: ConnectionId) {
        let ended = self.agents[agent].lanes[module].ended;
        if ended >= Some(connection) {
            let expected = format!("nothing is sent by {connection:?}, which has ended");
            self.oracles
                .fail("P-3 dead connection", expected, "a message");
        }
    }

    /// Our manager never says what contradicts itself.
    fn judge_cause(&mut self, agent: usize, cause: &agent::Cause) {
        if matches!(cause, agent::Cause::Contradiction(_)) {
            let expected = format!("words that agent {} understands", self.agents[agent].id);
            self.oracles
                .fail("P-3 contradiction", expected, cause.to_string());
        }
    }

    /// A module takes its rows back.
    fn rolled_back(
        &mut self,
        (agent, life, module): (usize, u32, usize),
        job: agent::JobId,
        retry_at: Option<Tick>,
    ) {
        // Some agents read their rows anew before they try again, some do not.
        let now = self.now();
        let node = &mut self.agents[agent];
        let lane = &mut node.lanes[module];
        lane.outbox.rolled_back();
        // A job that is given up is not tried again: when the next one begins is its caller's to say.
        let backoff_ms = retry_at.map_or(0, |_| BACKOFF_BASE_MS);
        self.oracles
            .rolled_back(node.id, module_id(module), backoff_ms);
        lane.work.episode();
        if retry_at.is_some_and(|at| at > now) && lane.work.chance(500_000) {
            self.schedule.after(
                0,
                Occurrence::RowsReadAnew {
                    agent,
                    life,
                    module,
                    job,
                },
            );
        }
    }

    /// A module reads the rows of its job anew, if no session has begun meanwhile: behind a standstill one has.
    pub(crate) fn read_rows_anew(
        &mut self,
        (agent, life, module): (usize, u32, usize),
        job: agent::JobId,
    ) {
        let Some(node) = living(&mut self.agents, agent, life) else {
            return;
        };
        let lane = &mut node.lanes[module];
        if !matches!(lane.machine.state(), State::Backoff | State::Connecting) {
            return;
        }
        if let Some(renewed) = lane.outbox.renew(job, &mut lane.work) {
            let job = Box::new(renewed);
            self.tell_agent(agent, life, module, Event::Sync { job });
        }
    }

    /// No row of a module's outbox may be lost.
    fn judge_outbox(&mut self, agent: usize, module: usize) {
        let node = &self.agents[agent];
        let outbox = &node.lanes[module].outbox;
        // After a loss of its database nothing is acknowledged until everything was offered again.
        if outbox.owes_full() {
            return;
        }
        let held = outbox.held();
        self.oracles.conserved(node.id, module_id(module), held);
    }
}
