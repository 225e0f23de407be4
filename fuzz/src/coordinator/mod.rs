//! Any events into the coordinator.
//!
//! The bytes choose what the store held, then events: answers to what was asked, in any order, of every kind
//! and to the wrong question; questions of shards; foreign writers; time. What is true of the writer document
//! and of `meta` is kept here, so that an answer may be lost but never says that something was done which was
//! not: against that no program can hold its bound.

mod answers;
mod books;

use std::convert::Infallible;

use inventory_sync_core::config::Catalogue;
use inventory_sync_core::coordinator::{
    Command, Config, Coordinator, Event, ShardId, WriterDocument,
};
use inventory_sync_core::id::{AgentId, IndexId, RequestId, SessionId, Version};
use inventory_sync_core::manager::{self, IndexTrouble, Tally};
use inventory_sync_core::time::Tick;

use crate::choices::Choices;
use books::{Books, Indexer};

/// The wall clock at tick 0, in milliseconds.
const UNIX_MS: u64 = 1_000_000;

/// More steps than this tell nothing new.
const STEPS_MAX: usize = 400;

/// Long enough for a foreign lease, a quiet time and the longest backoff.
const SETTLE_MS: u64 = 240_000;

/// What the coordinator tells a shard.
type Told = manager::Event<Infallible>;

struct Desk {
    coordinator: Coordinator,
    now: Tick,
    indexer: Indexer,
    books: Books,
    /// Questions that are not answered.
    questions: Vec<Command>,
}

/// Whatever events come, in whatever order: the coordinator does not panic, its books agree, no shard hears
/// of a bound or a lease that is not covered, every question of a shard is answered once, and in a world that
/// has become kind it comes to a lease or to its end.
///
/// # Panics
/// When that does not hold.
pub fn coordinator_choices(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut desk = Desk::new(&mut choices);
    for _ in 0..STEPS_MAX {
        if choices.is_done() {
            break;
        }
        desk.step(&mut choices);
    }
    desk.settle();
}

fn config(choices: &mut Choices<'_>) -> Config {
    let names = ["packages", "ports", "sca"];
    let module = ("syscollector".to_owned(), names.map(str::to_owned));
    let catalogue = Catalogue::new([module]).unwrap_or_else(|error| panic!("{error}"));
    Config {
        listing_linger_ms: *choices.pick(&[20, 0]),
        listing_targets_max: *choices.pick(&[64, 1, 2]),
        write_unchecked: choices.rarely(4),
        fault_refusals_min: *choices.pick(&[50, 1]),
        ..Config::new(catalogue, 2, "alpha".to_owned(), 7)
    }
}

impl Desk {
    fn new(choices: &mut Choices<'_>) -> Self {
        let config = config(choices);
        let mut desk = Self {
            coordinator: Coordinator::new(config.clone(), [42; 32]),
            now: Tick(0),
            indexer: Indexer::default(),
            books: Books::new(&config),
            questions: Vec::new(),
        };
        let bound = match choices.below(4) {
            0 => None,
            1 => Some(Version::from_unix_ms(UNIX_MS)),
            2 => Some(Version::from_unix_ms(UNIX_MS / 2)),
            _ => Some(Version::from_unix_ms(UNIX_MS * 400)),
        };
        let clean_stop = choices.rarely(2);
        desk.indexer.documents = u64::from(choices.below(2));
        if choices.rarely(3) {
            desk.foreign(choices);
        }
        if choices.rarely(2) {
            desk.say(Event::Recovered { bound, clean_stop });
            desk.say(Event::WallClock { unix_ms: UNIX_MS });
        } else {
            desk.say(Event::WallClock { unix_ms: UNIX_MS });
            desk.say(Event::Recovered { bound, clean_stop });
        }
        desk
    }

    fn say(&mut self, event: Event) {
        let mut out = Vec::new();
        self.books.hear(&event);
        let told = event.clone();
        self.coordinator.handle(self.now, event, &mut out);
        self.coordinator.check_invariants();
        let next = self.coordinator.next_deadline();
        assert!(
            next.is_none_or(|(at, _)| at > self.now),
            "{next:?} is due and was not served at {}",
            self.now
        );
        let most = 64 + 8 * (self.questions.len() + self.books.waiting());
        assert!(out.len() <= most, "{} commands to {told:?}", out.len());
        self.books.check(self.now, &told, &out);
        self.questions.extend(out.into_iter().filter(is_question));
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(24) {
            0..=5 => {
                if !self.questions.is_empty() {
                    let question = self.questions.remove(0);
                    let event = self.kind_answer(&question);
                    self.say(event);
                }
            }
            6..=9 => {
                if let Some(place) = choices.place(self.questions.len()) {
                    let question = self.questions.remove(place);
                    let event = self.answer(&question, choices);
                    self.say(event);
                }
            }
            10..=12 => {
                let pass_ms = *choices.pick(&[1, 25, 300, 5_000, 11_000, 31_000, 70_000]);
                self.until(self.now + pass_ms);
            }
            13 => {
                if let Some((at, _)) = self.coordinator.next_deadline() {
                    self.until(at);
                }
            }
            14 => self.stray(choices),
            15 => {
                let unix_ms = UNIX_MS + self.now.0;
                let unix_ms = *choices.pick(&[unix_ms, 0, unix_ms + 90_000_000, unix_ms / 2]);
                self.say(Event::WallClock { unix_ms });
            }
            16 => self.foreign(choices),
            17 if choices.rarely(8) => self.say(Event::Shutdown),
            17 => self.say(Event::Tick),
            _ => {
                let event = self.of_a_shard(choices);
                self.say(event);
            }
        }
    }

    /// A question or a word of a shard, or of an operator.
    fn of_a_shard(&mut self, choices: &mut Choices<'_>) -> Event {
        let shard = ShardId(u16::from(choices.below(3)));
        let session = SessionId(u64::from(choices.below(6)) + 1);
        let agent = AgentId(u64::from(choices.below(4)) + 1);
        let index = IndexId(u16::from(choices.below(4)));
        let tally = |choices: &mut Choices<'_>| Tally {
            index: IndexId(u16::from(choices.below(4))),
            stored: u64::from(choices.below(3)),
            refused: u64::from(choices.below(60)),
        };
        match choices.below(10) {
            0..=2 if !self.books.waits(shard, session) => Event::ListingWanted {
                shard,
                session,
                agent,
                indices: if choices.rarely(2) {
                    vec![IndexId(0), IndexId(1)]
                } else {
                    vec![index]
                },
            },
            0..=3 => Event::ListingCancelled { shard, session },
            4 => {
                let tallies = (0..choices.below(3)).map(|_| tally(choices)).collect();
                Event::Refusals {
                    shard,
                    session,
                    agent,
                    tallies,
                }
            }
            5 => Event::Stored {
                agent,
                tallies: vec![tally(choices)],
            },
            6 => Event::IndexTrouble {
                index,
                trouble: *choices.pick(&[
                    IndexTrouble::Blocked,
                    IndexTrouble::Missing,
                    IndexTrouble::Forbidden,
                ]),
            },
            7 => Event::BoundWanted {
                beyond: Version::from_unix_ms(
                    UNIX_MS + self.now.0 + *choices.pick(&[0, 61_000, 1 << 33]),
                ),
            },
            8 => Event::ResumeIndex { index },
            _ if self.books.has_stopped(shard) => Event::Tick,
            _ => Event::ShardStopped {
                shard,
                clean: choices.rarely(2),
            },
        }
    }

    /// Somebody else writes the writer document, or removes it.
    fn foreign(&mut self, choices: &mut Choices<'_>) {
        let unix_ms = UNIX_MS + self.now.0;
        let (writer, nonce) = *choices.pick(&[("alpha", 6), ("beta", 7), ("alpha", 7)]);
        let bound = Version::from_unix_ms(unix_ms + *choices.pick(&[0, 60_000, 200_000_000]));
        self.indexer.put(WriterDocument {
            writer: writer.to_owned(),
            nonce,
            bound,
        });
        if choices.rarely(6) {
            self.indexer.document = None;
        }
    }

    fn until(&mut self, end: Tick) {
        while let Some((at, _)) = self.coordinator.next_deadline()
            && at <= end
        {
            self.now = self.now.max(at);
            self.say(Event::Tick);
        }
        self.now = self.now.max(end);
        self.say(Event::Tick);
    }

    /// The world is kind from here on.
    fn settle(&mut self) {
        let end = self.now + SETTLE_MS;
        while self.now < end {
            for _ in 0..1_000 {
                if self.questions.is_empty() {
                    break;
                }
                let question = self.questions.remove(0);
                let event = self.kind_answer(&question);
                self.say(event);
            }
            assert!(self.questions.is_empty(), "it asks on and on");
            let next = self.coordinator.next_deadline();
            self.until(next.map_or(end, |(at, _)| at.min(end)));
        }
        self.books.check_end();
        if !self.books.is_over() {
            assert!(self.coordinator.lease_until() > self.now, "no lease");
            assert_eq!(self.coordinator.pending(), None);
        }
    }
}

fn is_question(command: &Command) -> bool {
    request_of(command).is_some()
}

fn request_of(command: &Command) -> Option<RequestId> {
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
