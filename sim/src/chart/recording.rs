//! What is kept of a run so that it can be drawn: plain values, no borrow of the world.

use inventory_sync_core::id::SessionId;

/// A run, recorded.
///
/// # Invariants
/// * `moments` are in the order in which they happened; steps and ticks never go back.
/// * Every index into `lifelines`, `moments`, `messages` and `sessions` exists.
/// * Messages are in the order in which they left.
/// * A message leaves at or before the moment at which it arrives, and each of its moments lies on the
///   lifeline that the message names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recording {
    /// What was run, as the command that runs it again.
    pub title: String,
    /// The seed.
    pub seed: u64,
    /// When the run began, in milliseconds of simulated time.
    pub begin_ms: u64,
    /// When it ended.
    pub end_ms: u64,
    /// Steps taken.
    pub steps: u64,
    /// The hash of everything that happened.
    pub trace_hash: u64,
    /// Those between whom things happen, in the order of columns.
    pub lifelines: Vec<Lifeline>,
    /// What happened, in order.
    pub moments: Vec<Moment>,
    /// What travelled.
    pub messages: Vec<Message>,
    /// Times in which a lifeline was gone or troubled.
    pub gaps: Vec<Gap>,
    /// The phases of the run, in order.
    pub phases: Vec<Phase>,
    /// Sessions that were opened, in order.
    pub sessions: Vec<Session>,
    /// How it ended.
    pub verdict: Verdict,
}

/// One who takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifeline {
    /// Its name, such as `agent 1`.
    pub name: String,
    /// What it is.
    pub kind: LifelineKind,
    /// The agent's number, if it is one.
    pub agent: Option<u64>,
}

/// What takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LifelineKind {
    /// The world itself: phases, faults from outside, the script.
    World,
    /// An agent.
    Agent,
    /// A shard of the manager.
    Shard,
    /// The coordinator of the manager.
    Coordinator,
    /// The Indexer.
    Indexer,
}

/// What a moment is, so that a reader can leave kinds out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A message leaves or arrives.
    Message,
    /// A machine was told something that is no message of another node.
    News,
    /// A machine asks for something that is no message to another node.
    Decision,
    /// What happens all the time: leases, bounds, what operators count.
    Routine,
    /// The clock.
    Timer,
    /// A fault strikes.
    Fault,
    /// A fact of the world: a phase, a start, a crash.
    Fact,
}

impl Class {
    /// All classes, in the order of their numbers in a chart.
    pub const ALL: [Self; 7] = [
        Self::Message,
        Self::News,
        Self::Decision,
        Self::Routine,
        Self::Timer,
        Self::Fault,
        Self::Fact,
    ];
}

/// Something that happened at one lifeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The step of the world.
    pub step: u64,
    /// The simulated time, in milliseconds.
    pub at_ms: u64,
    /// Where, as a place in [`Recording::lifelines`].
    pub lifeline: usize,
    /// What kind of thing.
    pub class: Class,
    /// What happened, in a few words.
    pub label: String,
    /// All of it, as the machine has it; empty when there is no more than the label.
    pub detail: String,
    /// The session it is about, as a place in [`Recording::sessions`].
    pub session: Option<usize>,
    /// The agent it is about.
    pub agent: Option<u64>,
    /// The agent's module it is about.
    pub module: Option<usize>,
    /// The message that arrives with it, as a place in [`Recording::messages`].
    pub arriving: Option<usize>,
}

/// What became of a message on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Passage {
    /// It arrived and was taken up.
    Arrived,
    /// It never arrives.
    Lost,
    /// It arrived where nobody listens any more.
    Unheard,
    /// It arrived and waits to be read.
    Unread,
    /// The run ended before it arrived.
    UnderWay,
}

impl Passage {
    /// All of them, in the order of their numbers in a chart.
    pub const ALL: [Self; 5] = [
        Self::Arrived,
        Self::Lost,
        Self::Unheard,
        Self::Unread,
        Self::UnderWay,
    ];
}

/// Something that travelled from one lifeline to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// From where, as a place in [`Recording::lifelines`].
    pub from: usize,
    /// To where.
    pub to: usize,
    /// When it left, as a place in [`Recording::moments`].
    pub left: usize,
    /// When it arrived; `None` if it did not.
    pub arrived: Option<usize>,
    /// What became of it.
    pub passage: Passage,
    /// What it says, in a few words.
    pub label: String,
    /// What is strange about its way, for people; empty if nothing is.
    pub remark: String,
    /// Labels of the faults that struck it.
    pub faults: Vec<&'static str>,
    /// Whether it is a letter between machines of one process.
    pub inside: bool,
    /// The session it is about, as a place in [`Recording::sessions`].
    pub session: Option<usize>,
    /// The agent it is about.
    pub agent: Option<u64>,
}

/// What a gap in a lifeline means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GapKind {
    /// Its process is gone.
    Down,
    /// A lasting fault troubles it.
    Trouble,
}

/// A time in which a lifeline is gone or troubled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Whose, as a place in [`Recording::lifelines`].
    pub lifeline: usize,
    /// What it means.
    pub kind: GapKind,
    /// Its name for people.
    pub label: &'static str,
    /// From when, in milliseconds.
    pub from_ms: u64,
    /// Up to when; the end of the run, if it did not end before.
    pub to_ms: u64,
}

/// A phase of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phase {
    /// Its name.
    pub name: &'static str,
    /// From when; up to the next one.
    pub from_ms: u64,
}

/// A session that a shard opened. Its name is `S` and its place in the list, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its identity on the wire.
    pub id: SessionId,
    /// Its agent.
    pub agent: u64,
    /// What it is, such as `Delta of 3 items, module-0`; empty when its Start was not seen.
    pub about: String,
}

/// How the run ended, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Whether it is as it should be.
    pub sound: bool,
    /// A headline: `sound`, or what was violated.
    pub headline: String,
    /// What had to be true; empty when sound.
    pub expected: String,
    /// What was seen instead.
    pub seen: String,
    /// When, in milliseconds.
    pub at_ms: u64,
    /// At which step.
    pub step: u64,
}
