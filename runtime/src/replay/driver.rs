//! One lane of one agent: the agent machine, and what it is told and asked here.
//!
//! ```text
//!  Resting ─▶ (a place in time) ─▶ Queued ─▶ (a place among the active) ─▶ Running ─▶ Resting … ─▶ Done
//!                                                                            └─▶ Failed
//! ```
//!
//! Decides nothing of the protocol: the machine does. What it keeps of a session is what is measured.

mod ending;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Instant;

use inventory_sync_core::agent::{
    Agent, Command, Config, Event, Job, JobId, LoadId, Message, Observation,
};
use inventory_sync_core::document::Run;
use inventory_sync_core::id::{AgentId, ConnectionId, SessionId, Version};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire::{encode_end, encode_hello, encode_start};
use tokio::sync::OwnedSemaphorePermit;

use super::Shared;
use super::harm::{Blow, Harm};
use super::link::Link;
use super::packing::Payload;
use super::plan::Lane;
use super::state::Kept;

/// Bytes of frames that one question for rows brings.
const LOAD_BYTES: u64 = 64 << 10;

/// The longest pause after failures.
const BACKOFF_MAX_MS: u64 = 30_000;

/// How long a held session may live, in milliseconds: longer than any run.
const HELD_MAX_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// Where a lane stands.
#[derive(Debug)]
pub(super) enum Stage {
    /// It begins its next round at that tick.
    Resting(Tick),
    /// It waits for a place among the active.
    Queued,
    /// A round is under way.
    Running,
    /// Every round is acknowledged.
    Done,
    /// A round will never be.
    Failed,
}

/// Rows that the machine asked for.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    load: LoadId,
    session: SessionId,
    run: Run,
    bytes_max: u64,
}

/// What is known of the session under way.
#[derive(Debug, Default)]
struct Course {
    /// Of its Start.
    nonce: u64,
    is_open: bool,
    is_holding: bool,
    is_ended: bool,
    started: Option<Instant>,
    /// When its End had gone out.
    ended: Option<Instant>,
    /// Rows below were packed before.
    packed: u32,
    /// Bytes of documents packed.
    bytes: u64,
}

/// What a lane leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LaneEnd {
    pub(super) agent: u64,
    pub(super) lane: u16,
    /// Rounds that are acknowledged.
    pub(super) acknowledged: u32,
    /// Whether one more was offered: what the Indexer holds is not known.
    pub(super) is_between: bool,
}

/// What a lane wants of the task that carries it, beside what goes to the connection.
#[derive(Debug)]
pub(super) enum Wish {
    /// A connection instead of that one.
    Reconnect(Option<ConnectionId>),
    /// Room in the connection for rows.
    Load,
    /// To know when so many bytes have left.
    Mark(u64),
    /// A blow, so many bytes into the stream.
    Blow(Blow, u64),
}

/// What a lane reaches of the task that carries it.
pub(super) struct Reach<'a> {
    pub(super) shared: &'a Shared,
    pub(super) link: Option<&'a mut Link>,
    pub(super) events: &'a mut VecDeque<(u32, Event<Payload>)>,
    pub(super) wishes: &'a mut VecDeque<(u32, Wish)>,
    pub(super) scratch: &'a mut Vec<u8>,
    /// The lane's place among those of the task.
    pub(super) place: u32,
}

/// One lane.
pub(super) struct Driver {
    pub(super) lane: Lane,
    pub(super) stage: Stage,
    /// The deadline that the task's timers know.
    pub(super) armed: Option<Tick>,
    /// The link that the machine was told of; 0 for none.
    pub(super) bound: u64,
    machine: Agent,
    incarnation: u32,
    /// The machine's name for that link.
    connection: u64,
    job: u64,
    size: u32,
    rounds: u32,
    acknowledged: u32,
    is_between: bool,
    floor: Version,
    course: Course,
    wanted: Option<Wanted>,
    harm: Option<Box<Harm>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Driver {
    pub(super) fn new(shared: &Shared, lane: Lane, kept: Kept) -> Self {
        let rounds = shared.plan.rounds_of(lane.number);
        let harm = shared.measure.as_ref();
        Self {
            machine: machine(shared, &lane, kept.floor, 0),
            stage: if kept.acknowledged < rounds {
                Stage::Resting(Tick(0))
            } else {
                Stage::Done
            },
            armed: None,
            bound: 0,
            incarnation: 0,
            connection: 0,
            job: 0,
            size: 0,
            rounds,
            acknowledged: kept.acknowledged,
            is_between: kept.offered > kept.acknowledged,
            floor: kept.floor,
            course: Course::default(),
            wanted: None,
            harm: harm.map(|measure| Box::new(Harm::new(measure, lane.agent, lane.number))),
            permit: None,
            lane,
        }
    }

    /// Whether nothing more will happen.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Done | Stage::Failed)
    }

    /// What it leaves behind.
    pub(super) const fn end(&self) -> LaneEnd {
        LaneEnd {
            agent: self.lane.agent,
            lane: self.lane.number,
            acknowledged: self.acknowledged,
            is_between: self.is_between,
        }
    }

    /// When it wants to be looked at.
    pub(super) fn deadline(&self) -> Option<Tick> {
        let machine = self.machine.next_deadline().map(|(at, _)| at);
        match self.stage {
            Stage::Resting(until) => Some(machine.map_or(until, |at| at.min(until))),
            Stage::Queued | Stage::Running => machine,
            Stage::Done | Stage::Failed => None,
        }
    }

    /// Whether a message of this connection is its own, where lanes share it.
    pub(super) fn concerns(&self, answer: &inventory_sync_core::agent::Answer) -> bool {
        self.machine.concerns(answer)
    }

    /// The machine's name for the link that it was told of.
    pub(super) const fn connection(&self) -> ConnectionId {
        ConnectionId(self.connection)
    }

    /// There is a link, or the same one is to be seen as a new one.
    pub(super) fn bind(&mut self, link: u64) -> Event<Payload> {
        self.bound = link;
        self.connection += 1;
        Event::Connected {
            connection: self.connection(),
        }
    }

    /// The link is gone.
    pub(super) fn unbind(&mut self) -> Event<Payload> {
        self.bound = 0;
        self.forget_frames();
        Event::Disconnected {
            connection: self.connection(),
        }
    }

    /// Begins the next round: it is offered, durably, and given to the machine.
    pub(super) fn begin(
        &mut self,
        shared: &Shared,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Option<Event<Payload>> {
        let module = shared.plan.module(self.lane.number);
        let offered = shared
            .journal
            .offered(self.lane.agent, module, self.acknowledged);
        if let Err(error) = offered {
            self.fail(shared, &format!("the state cannot be written: {error}"));
            return None;
        }
        self.is_between = true;
        self.permit = permit;
        self.stage = Stage::Running;
        Some(self.offer(shared))
    }

    fn offer(&mut self, shared: &Shared) -> Event<Payload> {
        let announced = shared.plan.begin(&mut self.lane, self.acknowledged);
        self.size = announced.size;
        self.job += 1;
        Event::Sync {
            job: Box::new(Job {
                id: JobId(self.job),
                mode: announced.mode,
                indices: announced.indices,
                size: announced.size,
                id_from: None,
                id_to: None,
                give_up_after_ms: shared.give_up_after_ms,
            }),
        }
    }

    /// The agent has forgotten everything but what it keeps durably; the round under way is offered anew.
    pub(super) fn crash(&mut self, shared: &Shared) -> Option<Event<Payload>> {
        self.incarnation += 1;
        self.machine = machine(shared, &self.lane, self.floor, self.incarnation);
        self.course = Course::default();
        self.forget_frames();
        self.bound = 0;
        self.armed = None;
        matches!(self.stage, Stage::Running).then(|| self.offer(shared))
    }

    fn forget_frames(&mut self) {
        self.wanted = None;
        if let Some(harm) = &mut self.harm {
            harm.lost();
        }
    }

    /// Its End has left.
    pub(super) fn end_has_left(&mut self, now: Instant) {
        if self.course.is_ended {
            self.course.ended.get_or_insert(now);
        }
    }

    /// Tells the machine, and does what it asks for.
    pub(super) fn handle(&mut self, event: Event<Payload>, reach: &mut Reach<'_>) {
        let mut commands = Vec::new();
        self.machine
            .handle(reach.shared.now(), event, &mut commands);
        for command in commands {
            self.perform(command, reach);
        }
    }

    fn perform(&mut self, command: Command<Payload>, reach: &mut Reach<'_>) {
        match command {
            Command::Send {
                connection,
                message,
            } => self.send(connection, message, reach),
            Command::Load {
                load,
                job: _,
                session,
                run,
                bytes_max,
            } => {
                self.wanted = Some(Wanted {
                    load,
                    session,
                    run,
                    bytes_max,
                });
                reach.wishes.push_back((reach.place, Wish::Load));
            }
            Command::Commit {
                job,
                acknowledgement,
            } => self.commit(job, &acknowledgement, reach),
            Command::RollBack { cause, .. } => self.roll_back(&cause, reach.shared),
            Command::Finished { job, outcome } if job.0 == self.job => {
                self.finish(&outcome, reach.shared);
            }
            Command::Finished { .. } | Command::Stopped => {}
            Command::Reconnect { instead_of } => {
                reach
                    .wishes
                    .push_back((reach.place, Wish::Reconnect(instead_of)));
            }
            Command::Remember { floor } => {
                self.floor = floor;
                let module = reach.shared.plan.module(self.lane.number);
                let kept = reach.shared.journal.floor(self.lane.agent, module, floor);
                if let Err(error) = kept {
                    let mut counted = reach.shared.statistics.counted();
                    counted.complain(|| format!("the state cannot be written: {error}"));
                }
            }
            Command::Resync { indices } => {
                let mut counted = reach.shared.statistics.counted();
                counted.complain(|| {
                    format!(
                        "agent {}: the manager asks for the whole of {}",
                        self.lane.agent,
                        indices.join(", ")
                    )
                });
            }
            Command::Observe(observation) => self.observe(&observation, reach.shared),
        }
    }

    fn send(&mut self, connection: ConnectionId, message: Message<Payload>, reach: &mut Reach<'_>) {
        // If that connection is gone the machine asks again.
        let is_current = self.bound != 0 && connection.0 == self.connection;
        let Some(link) = reach.link.as_deref_mut().filter(|_| is_current) else {
            return;
        };
        let agent = self.lane.agent;
        let harm = &mut self.harm;
        let before = link.pushed();
        let mut control = |bytes: &[u8], link: &mut Link| match harm {
            Some(harm) => harm.control(bytes, &mut |frame| link.push(agent, frame)),
            None => link.push(agent, bytes),
        };
        match message {
            Message::Start(start) => control(&encode_start(&start), link),
            Message::Hello(hello) => control(&encode_hello(&hello), link),
            Message::Data(frame) => match harm {
                Some(harm) => harm.rows(frame, &mut |frame| link.push(agent, frame)),
                None => link.push(agent, &frame),
            },
            Message::End(end) => {
                control(&encode_end(&end), link);
                self.course.is_ended = true;
                let after = link.pushed();
                if after > before {
                    reach.wishes.push_back((reach.place, Wish::Mark(after)));
                }
            }
        }
    }

    /// Whether it waits for room in the connection.
    pub(super) const fn wants_rows(&self) -> bool {
        self.wanted.is_some()
    }

    /// Packs the rows that the machine asked for and hands them over.
    pub(super) fn feed(&mut self, reach: &mut Reach<'_>) {
        let Some(wanted) = self.wanted.take() else {
            return;
        };
        let Some(run) = self.rows_now(wanted.run, reach.shared) else {
            return;
        };
        let before = reach.link.as_ref().map_or(0, |link| link.pushed());
        let packed = reach.shared.plan.pack(
            &self.lane,
            wanted.session,
            run,
            wanted.bytes_max,
            reach.scratch,
        );
        let Some((frames, bytes)) = packed else {
            return self.handle(Event::LoadFailed { load: wanted.load }, reach);
        };
        let last = frames.last().map_or(run.first, |frame| frame.run.last);
        if run.first >= self.course.packed {
            self.course.packed = last + 1;
            self.course.bytes += bytes;
        }
        let was_ended = self.course.is_ended;
        let load = wanted.load;
        self.handle(Event::Loaded { load, frames }, reach);
        self.harm_after(last, was_ended, before, reach);
    }

    /// What is held back leaves when nothing more is loaded; then a blow may fall.
    fn harm_after(&mut self, last: u32, was_ended: bool, before: u64, reach: &mut Reach<'_>) {
        let (Some(harm), Some(link)) = (&mut self.harm, reach.link.as_deref_mut()) else {
            return;
        };
        let agent = self.lane.agent;
        if self.wanted.is_none() {
            harm.release(&mut |frame| link.push(agent, frame));
        }
        if was_ended {
            return;
        }
        let row = if self.course.is_ended {
            self.size
        } else {
            last
        };
        if let Some(blow) = harm.strikes(row) {
            let pushed = usize::try_from(link.pushed() - before).unwrap_or(usize::MAX);
            let at = before + harm.within(pushed) as u64;
            reach.wishes.push_back((reach.place, Wish::Blow(blow, at)));
        }
    }

    /// The run without the row that a held session holds back; `None` when nothing else is left.
    fn rows_now(&mut self, run: Run, shared: &Shared) -> Option<Run> {
        if !shared.is_idle || run.last + 1 < self.size {
            return Some(run);
        }
        if run.first < run.last {
            return Some(Run::new(run.first, run.last - 1));
        }
        if !self.course.is_holding {
            self.course.is_holding = true;
            let held = shared.statistics.holding.fetch_add(1, Ordering::Relaxed) + 1;
            if held == shared.lanes_in_all() {
                shared.all_held.notify_one();
            }
        }
        None
    }

    fn observe(&mut self, observation: &Observation, shared: &Shared) {
        match observation {
            Observation::Started { nonce, .. } => {
                // The same nonce: the same session, asked for again.
                if self.course.nonce != *nonce {
                    self.course = Course {
                        nonce: *nonce,
                        started: Some(Instant::now()),
                        ..Course::default()
                    };
                }
            }
            Observation::Opened { resumed: false, .. } => {
                shared.statistics.counted().sessions.opened += 1;
                self.release_hold(shared);
                self.course = Course {
                    is_open: true,
                    nonce: self.course.nonce,
                    started: self.course.started,
                    ..Course::default()
                };
                if let Some(harm) = &mut self.harm {
                    harm.opened(self.size);
                }
            }
            Observation::Requested { .. } => {
                shared.statistics.counted().sessions.req_rets += 1;
            }
            Observation::Opened { .. }
            | Observation::Processing
            | Observation::EndRepeated
            | Observation::Greeted { .. }
            | Observation::Stale(_) => {}
        }
    }
}

fn machine(shared: &Shared, lane: &Lane, floor: Version, incarnation: u32) -> Agent {
    let mut config = Config::new(AgentId(lane.agent), shared.plan.module(lane.number));
    config.info = shared.plan.info(lane.agent, lane.number);
    config.version_floor = floor;
    config.answer_timeout_ms = shared.answer_timeout_ms;
    config.backoff_max_ms = BACKOFF_MAX_MS;
    config.load_items_max = u32::MAX;
    config.load_bytes_max = LOAD_BYTES;
    config.loads_max = 1;
    if shared.is_idle {
        config.session_max_ms = HELD_MAX_MS;
    }
    let mut seed = shared.entropy;
    let own = [
        lane.agent.to_le_bytes().as_slice(),
        &lane.number.to_le_bytes(),
        &incarnation.to_le_bytes(),
    ]
    .concat();
    for (byte, own) in seed.iter_mut().zip(own) {
        *byte ^= own;
    }
    Agent::new(config, seed)
}
