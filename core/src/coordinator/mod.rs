//! The coordinator: what is process-wide, as one more pure machine.
//!
//! ```text
//!   start:  health ─▶ writer index ─▶ writer document ─▶ (count) ─▶ write it ─▶ templates ─▶ indices
//!                                        │ another id                 │
//!                                        └─ does it live? ─ yes ▶ Abort
//!                                                                     ▼
//!   then:   renewal every 10 s: meta bound ─▶ writer document ─▶ LeaseUntil, BoundRaised ─▶ shards
//!           health, index states, judged refusals, listings ─▶ shards
//! ```
//!
//! The order is that of `docs/protocol.md` section 8. Without a valid lease no shard sends or admits
//! anything; a bound is in `meta` and in the writer document before any shard hears of it.
//!
//! Deliberately absent: sessions and documents. A shard's question carries the session's id only so that
//! the answer finds it again.

mod config;
mod health;
mod index;
mod listing;
mod message;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

pub use config::Config;
pub use message::{
    Command, CountOutcome, Event, HealthOutcome, IndexOutcome, ListingReport, ListingTarget,
    Observation, Record, RefreshOutcome, ShardId, TemplateOutcome, WriteOutcome, WriterCondition,
    WriterDocument, WriterOutcome,
};

use crate::bug::{Bug, is_planted};
use crate::id::{IndexId, RequestId, Version};
use crate::manager::{self, Health, HybridClock, Unready};
use crate::time::Tick;
use index::IndexBook;
use listing::Listings;
use writer::{Step, Writer};

/// A clock or a bound this far ahead of the wall clock is an alert.
const AHEAD_ALERT_MS: u64 = 24 * 60 * 60 * 1_000;

/// Why the coordinator wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// Health is asked for.
    Health,
    /// The next step of a start, or a renewal.
    Writer,
    /// Indices that are not ready are looked at again.
    Indices,
    /// A listing has waited for company long enough.
    Listing,
}

/// What a question was about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ask {
    Health,
    Writer(Step),
    Template(IndexId),
    CreateIndex(IndexId),
    Refresh,
    List,
    CleanStop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopping {
    No,
    Asked,
    Recording,
    Said,
}

/// The coordinator.
#[derive(Debug, Clone)]
pub struct Coordinator {
    config: Config,
    rng: ChaCha8Rng,
    now: Tick,
    clock: HybridClock,
    timers: BTreeMap<Timer, Tick>,
    asks: BTreeMap<RequestId, Ask>,
    next_request: u64,
    /// As last answered.
    answered: Health,
    /// As told to the shards.
    told: Option<Health>,
    health_attempts: u32,
    writer: Writer,
    indices: IndexBook,
    listings: Listings,
    stopping: Stopping,
    stopped: BTreeMap<ShardId, bool>,
    alerted: bool,
}

/// The commands of one call.
type Out = Vec<Command>;

impl Coordinator {
    /// A coordinator that waits for [`Event::Recovered`] and the wall clock.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        Self {
            rng: ChaCha8Rng::from_seed(seed),
            now: Tick(0),
            clock: HybridClock::default(),
            timers: BTreeMap::new(),
            asks: BTreeMap::new(),
            next_request: 0,
            answered: Health::Unready(Unready::Starting),
            told: None,
            health_attempts: 0,
            writer: Writer::default(),
            indices: IndexBook::new(config.catalogue.indices().len()),
            listings: Listings::default(),
            stopping: Stopping::No,
            stopped: BTreeMap::new(),
            alerted: false,
            config,
        }
    }

    /// Takes in one event and appends what is to be done to `out`.
    #[expect(
        clippy::too_many_lines,
        reason = "one arm per event, each a line or a call"
    )]
    pub fn handle(&mut self, now: Tick, event: Event, out: &mut Out) {
        self.now = self.now.max(now);
        match event {
            Event::Tick => {}
            Event::WallClock { unix_ms } => self.on_wall_clock(unix_ms, out),
            Event::Recovered { bound, clean_stop } => self.on_recovered(bound, clean_stop, out),
            Event::Health { request, outcome } => self.on_health(request, outcome, out),
            Event::IndexCreated { request, outcome } => {
                let is_it =
                    |ask: &Ask| matches!(ask, Ask::Writer(Step::Index) | Ask::CreateIndex(_));
                match self.answered_ask(request, is_it) {
                    Some(Ask::CreateIndex(index)) => self.on_index_created(index, outcome, out),
                    Some(_) => self.on_writer_index(Step::Index, &outcome, out),
                    None => {}
                }
            }
            Event::WriterRead { request, outcome } => {
                let is_it = |ask: &Ask| *ask == Ask::Writer(Step::Read);
                if self.answered_ask(request, is_it).is_some() {
                    self.on_writer_read(outcome, out);
                }
            }
            Event::WriterWritten { request, outcome } => {
                let is_it = |ask: &Ask| matches!(ask, Ask::Writer(Step::Write { .. }));
                if let Some(Ask::Writer(step)) = self.answered_ask(request, is_it) {
                    self.on_writer_written(step, outcome, out);
                }
            }
            Event::TemplateChecked { request, outcome } => {
                let is_it = |ask: &Ask| matches!(ask, Ask::Template(_));
                if let Some(Ask::Template(index)) = self.answered_ask(request, is_it) {
                    self.on_template(index, outcome, out);
                }
            }
            Event::Counted { request, outcome } => {
                let is_it = |ask: &Ask| *ask == Ask::Writer(Step::Count);
                if self.answered_ask(request, is_it).is_some() {
                    self.on_counted(outcome, out);
                }
            }
            Event::Refreshed { request, outcome } => {
                let is_it = |ask: &Ask| *ask == Ask::Refresh;
                if self.answered_ask(request, is_it).is_some() {
                    self.on_refreshed(outcome, out);
                }
            }
            Event::Listed { request, report } => {
                let is_it = |ask: &Ask| *ask == Ask::List;
                if self.answered_ask(request, is_it).is_some() {
                    self.on_list_report(report, out);
                }
            }
            Event::Recorded { request, durable } => {
                let is_it =
                    |ask: &Ask| matches!(ask, Ask::Writer(Step::Record { .. }) | Ask::CleanStop);
                match self.answered_ask(request, is_it) {
                    Some(Ask::Writer(step)) => self.on_bound_recorded(step, durable, out),
                    Some(_) => self.say_stopped(durable, out),
                    None => {}
                }
            }
            Event::ListingWanted {
                shard,
                session,
                agent,
                indices,
            } => {
                let target = ListingTarget {
                    shard,
                    session,
                    agent,
                };
                self.on_listing_wanted(target, indices, out);
            }
            Event::ListingCancelled { shard, session } => self.on_listing_cancelled(shard, session),
            Event::Refusals {
                shard,
                session,
                agent,
                tallies,
            } => {
                self.on_refusals(shard, session, agent, &tallies, out);
            }
            Event::Stored { agent, tallies } => self.on_stored(agent, &tallies, out),
            Event::IndexTrouble { index, trouble } => self.on_trouble(index, trouble, out),
            Event::BoundWanted { beyond } => self.on_bound_wanted(beyond, out),
            Event::ResumeIndex { index } => self.on_resume(index, out),
            Event::ShardStopped { shard, clean } => {
                if shard.0 < self.config.shards {
                    self.stopped.insert(shard, clean);
                }
            }
            Event::Shutdown => self.on_shutdown(out),
        }
        while let Some(timer) = self.take_due() {
            match timer {
                Timer::Health => self.ask_health(out),
                Timer::Writer => self.writer_step(out),
                Timer::Indices => self.check_indices(out),
                Timer::Listing => {}
            }
        }
        self.start_listing(out);
        if self.told.is_some() {
            self.tell_health(out);
        }
        self.finish_stop(out);
    }

    /// When the next [`Event::Tick`] is wanted, and why.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Tick, Timer)> {
        self.timers.iter().map(|(timer, at)| (*at, *timer)).min()
    }

    /// What the coordinator is busy with beyond its heartbeats; `None` when it is quiescent.
    #[must_use]
    pub fn pending(&self) -> Option<&'static str> {
        if !self.writer.is_writing() {
            Some("the daemon may not write yet")
        } else if !self.listings.is_idle() {
            Some("an agent waits for a listing")
        } else if self.indices.has_pending() {
            Some("an index is not ready")
        } else {
            None
        }
    }

    /// Checks the coordinator's own books.
    ///
    /// # Panics
    /// When they contradict each other: that is our bug.
    pub fn check_invariants(&self) {
        let listing = self
            .asks
            .values()
            .filter(|ask| matches!(ask, Ask::Refresh | Ask::List))
            .count();
        assert!(listing <= 1, "one listing at a time");
        let writing = self
            .asks
            .values()
            .filter(|ask| matches!(ask, Ask::Writer(_)))
            .count();
        assert!(writing <= 1, "one step of the writer at a time");
        assert!(
            self.asks.len() <= 4 + 2 * self.config.catalogue.indices().len(),
            "asks are bounded"
        );
    }

    /// The Indexer's state, as operators are told.
    #[must_use]
    pub const fn health(&self) -> Health {
        self.answered
    }

    /// The end of the present lease; 0 if there never was one.
    #[must_use]
    pub const fn lease_until(&self) -> Tick {
        self.writer.lease_until
    }

    /// The durable version bound, as told to the shards.
    #[must_use]
    pub const fn bound(&self) -> Version {
        self.writer.bound
    }

    /// The state of each index, by number, with the reason where it is not open.
    #[must_use]
    pub fn index_states(&self) -> Vec<(manager::IndexState, String)> {
        self.indices.states()
    }

    fn on_wall_clock(&mut self, unix_ms: u64, out: &mut Out) {
        let was_fed = self.clock.is_fed();
        let before_ms = self.clock.unix_ms(self.now);
        self.clock.feed(self.now, unix_ms);
        let ahead_ms = if was_fed && unix_ms > before_ms {
            unix_ms - before_ms
        } else {
            before_ms.saturating_sub(unix_ms)
        };
        let is_far = ahead_ms > AHEAD_ALERT_MS;
        if is_far && !self.alerted {
            out.push(Command::Observe(Observation::ClockAhead { ahead_ms }));
        }
        self.alerted = is_far;
        if !was_fed {
            self.begin(out);
        }
    }

    fn tell(
        &self,
        shard: Option<ShardId>,
        event: manager::Event<std::convert::Infallible>,
        out: &mut Out,
    ) {
        out.push(Command::Tell {
            shard,
            event: Box::new(event),
        });
    }

    fn ask(&mut self, ask: Ask) -> RequestId {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.asks.insert(request, ask);
        request
    }

    /// Takes the question that was answered, if it is out and of the answer's kind.
    fn answered_ask(&mut self, request: RequestId, is_it: impl Fn(&Ask) -> bool) -> Option<Ask> {
        let is_out = self.asks.get(&request).is_some_and(is_it);
        if is_out {
            self.asks.remove(&request)
        } else {
            None
        }
    }

    fn arm(&mut self, timer: Timer, at: Tick) {
        self.timers.insert(timer, at);
    }

    /// Arms a timer unless it is due earlier.
    fn arm_by(&mut self, timer: Timer, at: Tick) {
        let at = self.timers.get(&timer).map_or(at, |armed| at.min(*armed));
        self.arm(timer, at);
    }

    fn take_due(&mut self) -> Option<Timer> {
        let due = self
            .timers
            .iter()
            .find(|(_, at)| **at <= self.now)
            .map(|(timer, _)| *timer)?;
        self.timers.remove(&due);
        Some(due)
    }

    /// A delay that doubles with each attempt up to the limit, and lies in its upper half.
    fn backoff_ms(&mut self, attempts: u32) -> u64 {
        let doubled = self
            .config
            .retry_base_ms
            .saturating_mul(1_u64 << attempts.min(20));
        let longest = doubled.min(self.config.retry_max_ms).max(1);
        longest - self.rng.next_u64() % (longest / 2 + 1)
    }

    fn on_shutdown(&mut self, out: &mut Out) {
        if self.stopping == Stopping::No {
            self.stopping = Stopping::Asked;
            self.tell(None, manager::Event::Shutdown, out);
        }
    }

    /// When all shards have stopped and no write of the writer document is out, the stop is recorded.
    fn finish_stop(&mut self, out: &mut Out) {
        let all_stopped = self.stopped.len() >= usize::from(self.config.shards);
        let writing = self.asks.values().any(|ask| matches!(ask, Ask::Writer(_)));
        if self.stopping != Stopping::Asked || !all_stopped || writing {
            return;
        }
        let clean =
            self.writer.may_stop_clean(self.now) && self.stopped.values().all(|clean| *clean);
        if clean || is_planted(Bug::UncleanStopCalledClean) {
            self.stopping = Stopping::Recording;
            let request = self.ask(Ask::CleanStop);
            out.push(Command::Record {
                request,
                what: Record::CleanStop,
            });
        } else {
            self.say_stopped(false, out);
        }
    }

    fn say_stopped(&mut self, clean: bool, out: &mut Out) {
        self.stopping = Stopping::Said;
        out.push(Command::Stopped { clean });
    }
}
