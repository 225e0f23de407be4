//! A caller for tests: keeps the clock, writes down what happens, answers what is asked, and checks with
//! every command what must never be otherwise.

use super::text::{command_text, event_text};
use super::world::World;
use super::{FRESH, START_UNIX_MS, config};
use crate::coordinator::{
    Command, Config, Coordinator, Event, HealthOutcome, Record, ShardId, WriteOutcome,
};
use crate::id::{RequestId, SessionId, Version};
use crate::manager;
use crate::time::Tick;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;

pub(super) struct Desk {
    pub(super) coordinator: Coordinator,
    pub(super) world: World,
    pub(super) now: Tick,
    pub(super) log: String,
    /// Whether questions are answered at once; otherwise they lie in `open`.
    pub(super) is_diligent: bool,
    /// Whether health requests that change nothing are written down.
    pub(super) shows_health: bool,
    pub(super) open: VecDeque<Command>,
    pub(super) commands: Vec<Command>,
    pub(super) is_aborted: bool,
    pub(super) is_stopped: bool,
    config: Config,
    last_health: Option<HealthOutcome>,
    /// Bounds of which `meta` said that they are durable, and of which the Indexer said that they are written.
    durable_bound: Version,
    written_bound: Version,
    told_bound: Version,
    records: BTreeMap<RequestId, Version>,
    writes: BTreeMap<RequestId, (Version, Tick)>,
    lease_from: Tick,
    has_clock_floor: bool,
    /// Listings that shards wait for.
    pub(super) wanted: BTreeSet<(ShardId, SessionId)>,
}

impl Desk {
    pub(super) fn new(config: Config) -> Self {
        Self {
            coordinator: Coordinator::new(config.clone(), [42; 32]),
            world: World::new(config.catalogue.indices().len()),
            now: Tick(0),
            log: String::new(),
            is_diligent: true,
            shows_health: false,
            open: VecDeque::new(),
            commands: Vec::new(),
            is_aborted: false,
            is_stopped: false,
            config,
            last_health: None,
            durable_bound: Version(0),
            written_bound: Version(0),
            told_bound: Version(0),
            records: BTreeMap::new(),
            writes: BTreeMap::new(),
            lease_from: Tick(0),
            has_clock_floor: false,
            wanted: BTreeSet::new(),
        }
    }

    /// A desk that has come to its first lease on a fresh store; nothing of it is written down.
    pub(super) fn writing() -> Self {
        Self::writing_as(config())
    }

    pub(super) fn writing_as(config: Config) -> Self {
        let mut desk = Self::new(config);
        desk.start(FRESH);
        assert!(desk.coordinator.lease_until() > desk.now);
        desk.forget();
        desk
    }

    /// The store was read and the clock is known.
    pub(super) fn start(&mut self, recovered: Event) {
        if let Event::Recovered { bound, .. } = &recovered {
            self.world.bound_in_meta = bound.unwrap_or_default();
        }
        self.say(Event::WallClock {
            unix_ms: START_UNIX_MS,
        });
        self.say(recovered);
    }

    pub(super) fn forget(&mut self) {
        self.log.clear();
        self.commands.clear();
    }

    pub(super) fn say(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.learn(&event);
            let mut out = Vec::new();
            self.coordinator.handle(self.now, event.clone(), &mut out);
            self.coordinator.check_invariants();
            self.write_down(&event, &out);
            for command in out {
                self.judge(&command);
                if self.is_diligent {
                    events.extend(self.world.answer(&command));
                } else if is_question(&command) {
                    self.open.push_back(command.clone());
                }
                self.commands.push(command);
            }
        }
    }

    fn write_down(&mut self, event: &Event, out: &[Command]) {
        let is_news = match event {
            Event::Health { outcome, .. } => {
                let is_news = self.last_health != Some(*outcome);
                self.last_health = Some(*outcome);
                is_news
            }
            Event::Tick => false,
            _ => true,
        };
        let shown =
            |command: &&Command| self.shows_health || !matches!(command, Command::Health { .. });
        let lines: Vec<String> = out
            .iter()
            .filter(shown)
            .map(|command| command_text(command, &self.config.catalogue))
            .collect();
        if is_news || self.shows_health || !lines.is_empty() {
            let text = event_text(event, &self.config.catalogue);
            let _ = writeln!(self.log, "{:>8} {text}", self.now.0);
        }
        for line in lines {
            let _ = writeln!(self.log, "           -> {line}");
        }
    }

    /// Answers what was asked longest ago.
    pub(super) fn answer(&mut self) {
        let command = self.open.pop_front().expect("a question is open");
        let event = self.world.answer(&command).expect("it is a question");
        self.say(event);
    }

    /// Lets time pass; every deadline is met.
    pub(super) fn run(&mut self, duration_ms: u64) {
        let until = self.now + duration_ms;
        while let Some((at, _)) = self.coordinator.next_deadline() {
            if at > until {
                break;
            }
            self.now = self.now.max(at);
            self.say(Event::Tick);
        }
        self.now = until;
    }

    pub(super) fn request_ids(&self) -> Vec<RequestId> {
        self.open.iter().filter_map(request_of).collect()
    }

    /// What shards were told, as text, one event a line.
    pub(super) fn told(&self) -> String {
        let tells = self
            .commands
            .iter()
            .filter(|command| matches!(command, Command::Tell { .. }));
        let lines: Vec<String> = tells
            .map(|command| command_text(command, &self.config.catalogue))
            .collect();
        lines.join("\n")
    }

    /// How often something was asked or told, by the beginning of its line.
    pub(super) fn times(&self, begins: &str) -> usize {
        self.commands
            .iter()
            .map(|command| command_text(command, &self.config.catalogue))
            .map(|line| match line.split_once(' ') {
                Some((number, rest)) if number.starts_with('#') => rest.to_owned(),
                _ => line,
            })
            .filter(|line| line.starts_with(begins))
            .count()
    }

    fn learn(&mut self, event: &Event) {
        match event {
            Event::Recovered { bound, .. } => self.durable_bound = bound.unwrap_or_default(),
            Event::Recorded { request, durable } => {
                let recorded = self.records.remove(request);
                if let (Some(bound), true) = (recorded, durable) {
                    self.durable_bound = bound;
                }
            }
            Event::WriterWritten { request, outcome } => {
                let written = self.writes.remove(request);
                if let (Some((bound, asked_at)), WriteOutcome::Written { .. }) = (written, outcome)
                {
                    self.written_bound = bound;
                    self.lease_from = asked_at;
                }
            }
            Event::ListingWanted { shard, session, .. } => {
                assert!(
                    self.wanted.insert((*shard, *session)),
                    "one question a session"
                );
            }
            Event::ListingCancelled { shard, session } => {
                self.wanted.remove(&(*shard, *session));
            }
            _ => {}
        }
    }

    /// What holds of every command, whatever has happened.
    fn judge(&mut self, command: &Command) {
        match command {
            Command::Record {
                request,
                what: Record::Bound(bound),
            } => {
                assert!(
                    *bound >= self.durable_bound,
                    "a bound in meta is never lowered"
                );
                self.records.insert(*request, *bound);
            }
            Command::WriteWriter {
                request, document, ..
            } => {
                assert_eq!(document.bound, self.durable_bound, "meta comes first");
                assert!(document.bound >= self.written_bound, "it is never lowered");
                self.writes.insert(*request, (document.bound, self.now));
            }
            Command::Tell { shard, event } => self.judge_tell(*shard, event),
            Command::Abort { .. } => self.is_aborted = true,
            Command::Stopped { .. } => {
                assert!(!self.is_stopped, "it stops once");
                self.is_stopped = true;
            }
            _ => {}
        }
    }

    fn judge_tell(
        &mut self,
        shard: Option<ShardId>,
        event: &manager::Event<std::convert::Infallible>,
    ) {
        match event {
            manager::Event::ClockFloor { .. } => self.has_clock_floor = true,
            manager::Event::BoundRaised { bound } => {
                assert!(self.has_clock_floor, "the clock's floor comes first");
                assert_eq!(*bound, self.durable_bound, "durable in meta");
                assert_eq!(*bound, self.written_bound, "and written");
                assert!(*bound >= self.told_bound, "never lowered");
                self.told_bound = *bound;
            }
            manager::Event::LeaseUntil { until } => {
                let is_withdrawn = *until <= self.now;
                let is_counted = *until == self.lease_from + self.config.lease_ms;
                assert!(
                    is_withdrawn || is_counted,
                    "counted from before the request"
                );
            }
            manager::Event::Listed { session, .. } => {
                let shard = shard.expect("a listing is one shard's");
                assert!(
                    self.wanted.remove(&(shard, *session)),
                    "it waits for a listing"
                );
            }
            _ => {}
        }
    }
}

fn is_question(command: &Command) -> bool {
    request_of(command).is_some()
}

pub(super) fn request_of(command: &Command) -> Option<RequestId> {
    match command {
        Command::Health { request }
        | Command::CreateWriterIndex { request }
        | Command::ReadWriter { request }
        | Command::WriteWriter { request, .. }
        | Command::CheckTemplate { request, .. }
        | Command::CreateIndex { request, .. }
        | Command::CountDocuments { request }
        | Command::Refresh { request, .. }
        | Command::List { request, .. }
        | Command::Record { request, .. } => Some(*request),
        Command::Tell { .. }
        | Command::Observe(_)
        | Command::Abort { .. }
        | Command::Stopped { .. } => None,
    }
}
