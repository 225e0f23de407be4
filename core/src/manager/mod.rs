//! The manager machine: one shard of it.
//!
//! ```text
//!   Start ─▶ intake ─▶ Session ─▶ items ─▶ Stage … Staged ─▶ complete ─▶ Plan … Planned
//!                                   │ gaps                                   │
//!                                   └──▶ ReqRet                        lane (one at a time)
//!                                                                            │
//!   verdict ◀── outcome ◀── BulkDone ◀── … Bulk ◀── dispatch ◀── delivery ◀──┘
//!      │           │ retry, split, bisect    ▲         ▲ taint, listing, diff, grant
//!   EndAck         └─────────────────────────┴─────────┘
//! ```
//!
//! [`Manager::handle`] is the one entry point. It is total: any event in any state; it never blocks and
//! never fails. Failures of the world are events, and an assertion that fails is our own bug. Time is the
//! `now` of the call, randomness the generator given at birth; there is no map with a hashed order.
//!
//! Agents are spread over shards by a hash of their id; shards share nothing. What is process-wide comes
//! as events from the [coordinator](crate::coordinator).
//!
//! Deliberately absent: documents. The machine sees sequences, ordinals, counts and bytes.

mod clock;
mod command;
mod connection;
mod delivery;
mod dispatch;
mod event;
mod grant;
mod intake;
mod invariants;
mod items;
mod outcome;
mod session;
mod sessions;
mod timers;
mod verdict;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

pub(crate) use clock::HybridClock;
pub use command::{Command, IndexTrouble, Observation, Record, Reply, Tally};
pub use event::{
    AgentFloor, ConnectionKind, Event, FrameFlaw, Health, IndexState, ListingOutcome, Unready,
};
pub use timers::Timer;

use crate::bug::{Bug, is_planted};
use crate::config::Config;
use crate::id::{AgentId, BulkId, ConnectionId, ModuleId, RecordId, SessionId, StageId, Version};
use crate::time::Tick;
use connection::Connection;
use dispatch::Dispatch;
use session::{Agent, Lane};
use sessions::Sessions;
use timers::Timers;

/// How often what is kept without a session is looked through.
const SWEEP_INTERVAL_MS: u64 = 60_000;

/// One shard of the manager.
#[derive(Debug, Clone)]
pub struct Manager<P> {
    config: Config,
    rng: ChaCha8Rng,
    now: Tick,
    clock: HybridClock,
    timers: Timers,

    connections: BTreeMap<ConnectionId, Connection>,
    sessions: Sessions,
    lanes: BTreeMap<(AgentId, ModuleId), Lane>,
    /// The lanes that were tainted by themselves and may still be; looked through at each sweep.
    tainted: BTreeSet<(AgentId, ModuleId)>,
    agents: BTreeMap<AgentId, Agent>,
    /// Finished sessions whose verdicts their lanes keep.
    finished: BTreeMap<SessionId, (AgentId, ModuleId)>,
    last_finished: u64,
    finished_bytes: usize,

    /// Writes that are not answered.
    stages: BTreeMap<StageId, OpenStage>,
    next_stage: u64,
    next_record: u64,
    records: BTreeMap<RecordId, AgentFloor>,
    dispatch: Dispatch,
    /// Sessions in [`session::Phase::Delivering`].
    delivering: BTreeSet<SessionId>,

    items: u64,
    bytes: u64,
    items_max: u64,
    bytes_max: u64,

    health: Health,
    lease_until: Tick,
    bound: Version,
    indices: Vec<IndexState>,
    tainted_until: Tick,
    stopping: Stopping,
    payload: PhantomData<fn() -> P>,
}

/// A write that is not answered.
#[derive(Debug, Clone)]
struct OpenStage {
    session: SessionId,
    connection: ConnectionId,
    fresh: crate::document::Runs,
    bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopping {
    No,
    Asked,
    Said,
}

/// The commands of one call.
type Out<P> = Vec<Command<P>>;

impl<P> Manager<P> {
    /// A shard with no sessions, that admits nothing until it has a wall clock, a lease, a bound and a
    /// healthy Indexer. `seed` must come from the operating system's generator in production: session ids
    /// are drawn from it.
    ///
    /// # Panics
    /// When the configuration does not [validate](Config::validate).
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        if let Err(reason) = config.validate() {
            panic!("the manager's configuration is contradictory: {reason}");
        }
        let indices = vec![IndexState::NotReady; config.catalogue.indices().len()];
        Self {
            rng: ChaCha8Rng::from_seed(seed),
            now: Tick(0),
            clock: HybridClock::default(),
            timers: Timers::default(),
            connections: BTreeMap::new(),
            sessions: Sessions::default(),
            lanes: BTreeMap::new(),
            tainted: BTreeSet::new(),
            agents: BTreeMap::new(),
            finished: BTreeMap::new(),
            last_finished: 0,
            finished_bytes: 0,
            stages: BTreeMap::new(),
            next_stage: 0,
            next_record: 0,
            records: BTreeMap::new(),
            dispatch: Dispatch::new(config.bulk_bytes_max),
            delivering: BTreeSet::new(),
            items: 0,
            bytes: 0,
            items_max: config.items_max,
            bytes_max: config.bytes_max,
            health: Health::Unready(Unready::Starting),
            lease_until: Tick(0),
            bound: Version(0),
            indices,
            tainted_until: Tick(0),
            stopping: Stopping::No,
            payload: PhantomData,
            config,
        }
    }

    /// Takes in one event and appends what is to be done to `out`. `now` may not go back; if it does, it
    /// counts as not having moved.
    pub fn handle(&mut self, now: Tick, event: Event<P>, out: &mut Out<P>) {
        self.now = self.now.max(now);
        self.timers
            .arm_once(Timer::Sweep, self.now + SWEEP_INTERVAL_MS);
        match event {
            Event::Tick => {}
            Event::WallClock { unix_ms } => {
                self.clock.feed(self.now, unix_ms);
                self.advance_all(out);
            }
            Event::Opened { connection, kind } => self.on_opened(connection, kind),
            Event::Closed { connection } => self.on_closed(connection),
            Event::Start {
                peer,
                start,
                digest,
            } => self.on_start(peer, *start, digest, out),
            Event::Items {
                peer,
                frame,
                payload,
            } => self.on_items(peer, frame, payload, out),
            Event::End { peer, session } => self.on_end(peer, session, out),
            Event::Hello { peer, hello } => self.on_hello(peer, *hello, out),
            Event::BadFrame { peer, flaw } => self.on_bad_frame(peer, flaw, out),
            Event::Staged { upto } => self.on_staged(upto, out),
            Event::StageFailed { stage } => self.on_stage_failed(stage, out),
            Event::Planned { session, plan } => self.on_planned(session, plan, out),
            Event::Listed { session, outcome } => self.on_listed(session, outcome, out),
            Event::Diffed { session, diff } => self.on_diffed(session, diff, out),
            Event::BulkDone { bulk, outcome } => self.on_bulk_done(bulk, outcome, out),
            Event::Recorded { record } => self.on_recorded(record, true, out),
            Event::RecordFailed { record } => self.on_recorded(record, false, out),
            Event::RefusalsJudged { session, held } => self.on_judged(session, &held, out),
            Event::LeaseUntil { until } => self.lease_until = until,
            Event::BoundRaised { bound } => {
                self.bound = self.bound.max(bound);
                self.advance_all(out);
            }
            Event::ClockFloor { floor } => {
                if !is_planted(Bug::ClockBelowBound) {
                    self.clock.raise(self.now, floor);
                }
            }
            Event::Health { health } => self.health = health,
            Event::IndexChanged { index, state } => self.on_index_changed(index, state, out),
            Event::QuotaSlice { items, bytes } => {
                self.items_max = items;
                self.bytes_max = bytes;
            }
            Event::TaintAll { until } => {
                if !is_planted(Bug::NoTaintAfterCrash) {
                    self.tainted_until = self.tainted_until.max(until);
                    self.advance_all(out);
                }
            }
            Event::Floors { floors } => self.on_floors(&floors),
            Event::Shutdown => self.on_shutdown(out),
        }
        while let Some(timer) = self.timers.take_due(self.now) {
            self.on_timer(timer, out);
        }
        self.pump(out);
        self.say_stopped(out);
        debug_assert!(self.timers.is_consistent());
    }

    /// When the next [`Event::Tick`] is wanted, and why. Changes only with [`Manager::handle`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Tick, Timer)> {
        self.timers.next()
    }

    /// What the shard is still busy with, as a word for people; `None` when it is quiescent: no session,
    /// no open write, no request, no timer but the sweep.
    #[must_use]
    pub fn pending(&self) -> Option<&'static str> {
        if !self.dispatch.in_flight.is_empty() {
            Some("a bulk request is not answered")
        } else if !self.stages.is_empty() {
            Some("a write to the store is not answered")
        } else if !self.sessions.is_empty() {
            Some("a session has no verdict")
        } else if !self.records.is_empty() {
            Some("a record is not durable yet")
        } else if !self.timers.only_sweep() {
            Some("a timer is armed")
        } else {
            None
        }
    }

    /// Figures for `status` and for metrics.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            sessions: self.sessions.len(),
            delivering: self.delivering.len(),
            connections: self.connections.len(),
            lanes: self.lanes.len(),
            tainted_lanes: self.tainted_lanes().count(),
            items: self.items,
            bytes: self.bytes,
            bulks_in_flight: self.dispatch.in_flight.len(),
            bulk_bytes_limit: self.dispatch.limit_bytes,
            verdicts_kept: self.finished.len(),
        }
    }

    /// The lanes in which something may still be applied late, for their own requests' sake.
    fn tainted_lanes(&self) -> impl Iterator<Item = &(AgentId, ModuleId)> {
        let is_tainted = |lane: &Lane| self.now < lane.tainted_until;
        self.tainted
            .iter()
            .filter(move |lane| self.lanes.get(lane).is_some_and(is_tainted))
    }

    /// Whether requests may be sent at all at this moment.
    fn may_send(&self) -> bool {
        self.health == Health::Ready && self.holds_lease()
    }

    fn holds_lease(&self) -> bool {
        self.now < self.lease_until || is_planted(Bug::LeaseIgnored)
    }

    fn on_timer(&mut self, timer: Timer, out: &mut Out<P>) {
        match timer {
            Timer::Idle(session) => self.on_idle(session, out),
            Timer::SessionMax(session) => self.on_session_max(session, out),
            Timer::Delivery(session) => self.on_delivery_deadline(session, out),
            Timer::PausedIndex(session) => self.on_patience_end(session, out),
            Timer::Retry(session) => self.on_retry(session, out),
            Timer::TaintEnd(session) => self.advance(session, out),
            Timer::Index(index) => self.on_index_timer(index, out),
            Timer::Linger | Timer::Dispatch => {}
            Timer::Sweep => {
                self.on_sweep();
                // Here, not at the next event: an early tick must not move it.
                self.timers.arm(Timer::Sweep, self.now + SWEEP_INTERVAL_MS);
            }
        }
    }

    fn on_shutdown(&mut self, out: &mut Out<P>) {
        if self.stopping == Stopping::No {
            self.stopping = Stopping::Asked;
        }
        let sessions: Vec<SessionId> = self.sessions.ids().collect();
        for session in sessions {
            self.doom_for_shutdown(session, out);
        }
    }

    fn say_stopped(&mut self, out: &mut Out<P>) {
        if self.stopping == Stopping::Asked
            && self.sessions.is_empty()
            && self.dispatch.in_flight.is_empty()
            && self.stages.is_empty()
            && !is_planted(Bug::StopNeverEnds)
        {
            self.stopping = Stopping::Said;
            let clean = self.now >= self.tainted_until && self.tainted_lanes().next().is_none();
            out.push(Command::Stopped { clean });
        }
    }

    /// Uniform in `0..bound`; 0 for 0. The bias of the remainder is below 2^-32 for what is drawn here.
    fn draw(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            0
        } else {
            self.rng.next_u64() % bound
        }
    }

    /// A delay that doubles with each attempt up to the limit, and lies in its upper half.
    fn backoff_ms(&mut self, attempts: u32) -> u64 {
        let doubled = self
            .config
            .retry_base_ms
            .saturating_mul(1_u64 << attempts.min(20));
        let longest = doubled.min(self.config.retry_max_ms).max(1);
        longest - self.draw(longest / 2 + 1)
    }

    /// What a refused agent is told to wait, with jitter of up to as much again.
    fn retry_after_ms(&mut self) -> u32 {
        let base = self.config.retry_after_ms;
        let jitter = self.draw(u64::from(base) + 1);
        base.saturating_add(u32::try_from(jitter).unwrap_or(base))
    }
}

/// Figures of a shard, for `status` and for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Live sessions.
    pub sessions: usize,
    /// Sessions at the head of their lane.
    pub delivering: usize,
    /// Open connections.
    pub connections: usize,
    /// Lanes that are remembered.
    pub lanes: usize,
    /// Items that live sessions announced.
    pub items: u64,
    /// Staged bytes.
    pub bytes: u64,
    /// Lanes in which something may still be applied late.
    pub tainted_lanes: usize,
    /// Bulk requests that are not answered.
    pub bulks_in_flight: usize,
    /// The present limit for the body of a bulk request.
    pub bulk_bytes_limit: u64,
    /// Verdicts that can be asked for again.
    pub verdicts_kept: usize,
}

/// The identity of a request, drawn in order.
const fn next_bulk(counter: &mut u64) -> BulkId {
    *counter += 1;
    BulkId(*counter)
}

/// Turns an event without a payload, as the coordinator sends them, into one for a shard.
#[must_use]
pub fn widen<P>(event: Event<std::convert::Infallible>) -> Event<P> {
    match event {
        Event::Tick => Event::Tick,
        Event::WallClock { unix_ms } => Event::WallClock { unix_ms },
        Event::Opened { connection, kind } => Event::Opened { connection, kind },
        Event::Closed { connection } => Event::Closed { connection },
        Event::Start {
            peer,
            start,
            digest,
        } => Event::Start {
            peer,
            start,
            digest,
        },
        Event::Items { payload, .. } => match payload {},
        Event::End { peer, session } => Event::End { peer, session },
        Event::Hello { peer, hello } => Event::Hello { peer, hello },
        Event::BadFrame { peer, flaw } => Event::BadFrame { peer, flaw },
        Event::Staged { upto } => Event::Staged { upto },
        Event::StageFailed { stage } => Event::StageFailed { stage },
        Event::Planned { session, plan } => Event::Planned { session, plan },
        Event::Listed { session, outcome } => Event::Listed { session, outcome },
        Event::Diffed { session, diff } => Event::Diffed { session, diff },
        Event::BulkDone { bulk, outcome } => Event::BulkDone { bulk, outcome },
        Event::Recorded { record } => Event::Recorded { record },
        Event::RecordFailed { record } => Event::RecordFailed { record },
        Event::RefusalsJudged { session, held } => Event::RefusalsJudged { session, held },
        Event::LeaseUntil { until } => Event::LeaseUntil { until },
        Event::BoundRaised { bound } => Event::BoundRaised { bound },
        Event::ClockFloor { floor } => Event::ClockFloor { floor },
        Event::Health { health } => Event::Health { health },
        Event::IndexChanged { index, state } => Event::IndexChanged { index, state },
        Event::QuotaSlice { items, bytes } => Event::QuotaSlice { items, bytes },
        Event::TaintAll { until } => Event::TaintAll { until },
        Event::Floors { floors } => Event::Floors { floors },
        Event::Shutdown => Event::Shutdown,
    }
}
