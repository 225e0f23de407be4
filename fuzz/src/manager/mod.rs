//! Any events into a shard of the manager.
//!
//! ```text
//!  bytes ──▶ script ──event──▶ Manager ──commands──▶ desk (what is asked and not answered)
//!              ▲                                       │
//!              └───────── honest or absurd answers ◀───┴──▶ books (what must be true of each command)
//! ```
//!
//! The bytes choose limits, then events: messages of three agents over six connections, well-formed and not;
//! answers to what the shard asked, in any order, of every kind; answers to what it did not ask; time. When
//! they are used up everything is answered kindly, or not at all, and each session must come to its end.

mod answers;
mod books;
mod operations;
mod script;
mod verdicts;

use inventory_sync_core::config::{Catalogue, Config};
use inventory_sync_core::document::Part;
use inventory_sync_core::id::{BulkId, IndexId, RecordId, SessionId, StageId, Version};
use inventory_sync_core::manager::{
    Command, ConnectionKind, Event, Health, IndexState, ListingOutcome, Manager,
};
use inventory_sync_core::time::Tick;

use crate::choices::Choices;
use books::Books;

/// The wall clock at tick 0, in milliseconds.
const UNIX_MS: u64 = 1_000_000;

/// More steps than this tell nothing new.
const STEPS_MAX: usize = 400;

/// A question of the shard that is not answered.
#[derive(Debug, Clone)]
enum Question {
    Stage(StageId),
    Plan { session: SessionId, full: bool },
    Listing(SessionId),
    Diff(SessionId),
    Bulk { bulk: BulkId, parts: Vec<Part> },
    Record(RecordId),
    Refusals(SessionId),
}

/// A shard, and what it asked.
struct Desk {
    config: Config,
    manager: Manager<u8>,
    now: Tick,
    books: Books,
    questions: Vec<Question>,
    connections: u64,
    stages: u64,
}

/// Whatever events come, in whatever order: the shard does not panic, its books agree, its commands are
/// those that the protocol allows, and every session that it accepted gets one verdict.
///
/// # Panics
/// When that does not hold.
pub fn manager_choices(bytes: &[u8]) {
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

/// Two modules, three indices.
fn catalogue() -> Catalogue {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let modules = [
        ("syscollector".to_owned(), names(&["packages", "ports"])),
        ("sca".to_owned(), names(&["sca"])),
    ];
    Catalogue::new(modules).unwrap_or_else(|error| panic!("{error}"))
}

/// Small limits, so that each is met; or the defaults.
fn limits(choices: &mut Choices<'_>) -> Config {
    let defaults = Config {
        session_max_ms: 600_000,
        concurrency: usize::from(choices.below(3)) + 1,
        linger_ms: *choices.pick(&[0, 5]),
        ..Config::new(catalogue())
    };
    if choices.rarely(2) {
        return defaults;
    }
    Config {
        sessions_max: usize::from(choices.below(6)) + 1,
        items_per_agent_max: 12,
        bytes_per_session_max: 9_000,
        bytes_max: 20_000,
        runs_per_session_max: 4,
        open_bytes_per_connection_max: 3_000,
        ranges_per_request_max: 2,
        failed_items_max: 2,
        verdicts_per_lane: usize::from(choices.below(3)),
        bulk_bytes_max: *choices.pick(&[500, 1, 150, 1 << 20]),
        bulk_operations_max: *choices.pick(&[50_000, 1, 3]),
        store_failures_max: 2,
        ..defaults
    }
}

impl Desk {
    fn new(choices: &mut Choices<'_>) -> Self {
        let config = limits(choices);
        let mut desk = Self {
            manager: Manager::new(config.clone(), [7; 32]),
            books: Books::new(&config),
            config,
            now: Tick(0),
            questions: Vec::new(),
            connections: 0,
            stages: 0,
        };
        // The first event, whatever it is, arms the sweep.
        desk.say(Event::Tick);
        if !choices.rarely(8) {
            desk.start_up();
        }
        desk
    }

    /// What a healthy coordinator says first.
    fn start_up(&mut self) {
        self.say(Event::WallClock { unix_ms: UNIX_MS });
        self.say(Event::ClockFloor { floor: Version(5) });
        let bound = Version::from_unix_ms(UNIX_MS + 100_000_000);
        self.say(Event::BoundRaised { bound });
        self.say(Event::LeaseUntil { until: Tick::NEVER });
        let health = Health::Ready;
        self.say(Event::Health { health });
        for index in 0..3 {
            let (index, state) = (IndexId(index), IndexState::Open);
            self.say(Event::IndexChanged { index, state });
        }
        for _ in 0..3 {
            self.open(ConnectionKind::Agent);
        }
    }

    fn open(&mut self, kind: ConnectionKind) {
        self.connections += 1;
        let connection = inventory_sync_core::id::ConnectionId(self.connections);
        self.say(Event::Opened { connection, kind });
    }

    /// Tells the shard something and checks all that it says to it.
    fn say(&mut self, event: Event<u8>) {
        let mut out = Vec::new();
        self.books.hear(self.now, &event);
        let told = event.clone();
        self.manager.handle(self.now, event, &mut out);
        self.manager.check_invariants();
        let next = self.manager.next_deadline();
        assert!(
            next.is_some_and(|(at, _)| at > self.now),
            "{next:?} is due and was not served at {}",
            self.now
        );
        let figures = self.manager.figures();
        let most = 64 + 64 * (figures.sessions + self.questions.len() + 1);
        assert!(out.len() <= most, "{} commands to {told:?}", out.len());
        self.books.check(self.now, &told, &out);
        for command in out {
            self.note(command);
        }
    }

    fn note(&mut self, command: Command<u8>) {
        match command {
            Command::Stage { stage, .. } => {
                assert_eq!(stage.0, self.stages + 1, "writes are numbered in order");
                self.stages = stage.0;
                self.questions.push(Question::Stage(stage));
            }
            Command::Plan { session, full, .. } => {
                self.questions.push(Question::Plan { session, full })
            }
            Command::Listing { session, .. } => self.questions.push(Question::Listing(session)),
            Command::ListingCancelled { session } => self
                .questions
                .retain(|asked| !matches!(asked, Question::Listing(id) if *id == session)),
            Command::Diff { session, .. } => self.questions.push(Question::Diff(session)),
            Command::Bulk { bulk, parts, .. } => {
                self.questions.push(Question::Bulk { bulk, parts })
            }
            Command::Record { record, .. } => self.questions.push(Question::Record(record)),
            Command::Refusals { session, .. } => self.questions.push(Question::Refusals(session)),
            Command::Discard { session } => self.questions.retain(|asked| match asked {
                Question::Plan { session: id, .. }
                | Question::Diff(id)
                | Question::Listing(id)
                | Question::Refusals(id) => *id != session,
                Question::Stage(_) | Question::Bulk { .. } | Question::Record(_) => true,
            }),
            _ => {}
        }
    }

    /// Lets time pass, with a tick at every deadline on the way.
    fn until(&mut self, end: Tick) {
        while let Some((at, _)) = self.manager.next_deadline()
            && at <= end
        {
            self.now = self.now.max(at);
            self.say(Event::Tick);
        }
        self.now = self.now.max(end);
        self.say(Event::Tick);
    }

    /// A tick before the deadline, and a second one at it, change nothing.
    fn tick_early(&mut self) {
        let before = format!("{:?}", self.manager);
        let (mut again, mut out) = (self.manager.clone(), Vec::new());
        again.handle(self.now, Event::Tick, &mut out);
        assert!(out.is_empty(), "an early tick causes {out:?}");
        assert_eq!(
            before,
            format!("{again:?}"),
            "an early tick changes something"
        );
    }

    /// Answers everything, then lets all deadlines pass: each session has its verdict, and nothing is left.
    fn settle(&mut self) {
        let end = self.now + 2 * self.config.session_max_ms;
        while self.now < end {
            for _ in 0..10_000 {
                let Some(question) = self.questions.pop() else {
                    break;
                };
                self.answer_kindly(question);
            }
            assert!(
                self.questions.is_empty(),
                "it asks on and on: {:?}",
                self.questions
            );
            if self.manager.pending().is_none() {
                break;
            }
            let next = self.manager.next_deadline();
            self.until(next.map_or(end, |(at, _)| at));
        }
        assert_eq!(
            self.manager.pending(),
            None,
            "after everything was answered"
        );
        let figures = self.manager.figures();
        assert_eq!(
            (figures.sessions, figures.items, figures.bytes),
            (0, 0, 0),
            "something is kept for nobody"
        );
        assert_eq!((figures.delivering, figures.bulks_in_flight), (0, 0));
        self.books.check_end();
    }

    fn answer_kindly(&mut self, question: Question) {
        match question {
            Question::Stage(upto) => {
                self.questions
                    .retain(|asked| !matches!(asked, Question::Stage(stage) if *stage <= upto));
                self.say(Event::Staged { upto });
            }
            Question::Plan { session, .. } => {
                let plan = Some(Box::new(answers::plan(0, 0, 0, 0)));
                self.say(Event::Planned { session, plan });
            }
            Question::Listing(session) => self.say(Event::Listed {
                session,
                outcome: ListingOutcome::Complete {
                    highest: Version(0),
                    documents: 0,
                },
            }),
            Question::Diff(session) => {
                let diff = Some(Box::new(answers::diff(0, 0, 0)));
                self.say(Event::Diffed { session, diff });
            }
            Question::Bulk { bulk, parts } => {
                let outcome = answers::all_stored(&parts);
                self.say(Event::BulkDone { bulk, outcome });
            }
            Question::Record(record) => self.say(Event::Recorded { record }),
            Question::Refusals(session) => {
                let held = Vec::new();
                self.say(Event::RefusalsJudged { session, held });
            }
        }
    }
}
