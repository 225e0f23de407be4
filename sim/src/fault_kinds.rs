//! The kinds of faults, each with its label, the part of the world it belongs to and its rate.

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $label:literal, $part:ident, $often:expr;)+) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $($(#[$doc])* $variant,)+
        }

        impl Fault {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The kind of that name.
            #[must_use]
            pub fn labelled(label: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|fault| fault.label() == label)
            }

            /// Its name: in summaries, on the command line, in the atlas, and as the label of its stream.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }

            /// Where it strikes.
            #[must_use]
            pub const fn part(self) -> Part {
                match self {
                    $(Self::$variant => Part::$part,)+
                }
            }

            /// How often it happens at most.
            #[must_use]
            pub const fn often(self) -> Often {
                match self {
                    $(Self::$variant => $often,)+
                }
            }
        }
    };
}

/// The part of the world in which a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Between an agent and the manager.
    Link,
    /// An agent's machine.
    Agent,
    /// The manager's process.
    Manager,
    /// The manager's store.
    Store,
    /// The manager's wall clock.
    Clock,
    /// The Indexer, and the way to it.
    Indexer,
}

impl Part {
    /// Whether what strikes here strikes one agent.
    #[must_use]
    pub const fn is_of_an_agent(self) -> bool {
        matches!(self, Self::Link | Self::Agent)
    }
}

/// How often a fault happens at most, once it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Often {
    /// At each opportunity, with at most so many parts per million.
    Chance(u32),
    /// Every so many milliseconds of simulated time, on average, at the least.
    Every(u64),
}

use Often::{Chance, Every};

faults! {
    /// A frame between agent and manager is lost.
    FrameLost = "frame-lost", Link, Chance(100_000);
    /// A frame arrives twice.
    FrameDuplicated = "frame-duplicated", Link, Chance(200_000);
    /// A frame is overtaken by later ones.
    FrameReordered = "frame-reordered", Link, Chance(200_000);
    /// A frame, and all behind it, waits up to two idle timeouts.
    FrameDelayed = "frame-delayed", Link, Chance(20_000);
    /// A connection breaks; both ends learn it, not at once.
    ConnectionReset = "connection-reset", Link, Chance(20_000);
    /// Up to 20 frames in a row are lost, in one direction.
    FrameBurstLost = "frame-burst-lost", Link, Chance(20_000);
    /// A frame is cut off: its sender's end of the connection is gone, the receiver gets a part and the end.
    FrameTruncated = "frame-truncated", Link, Chance(10_000);
    /// Bits of a frame are flipped: TLS, or the framing on the Unix socket, makes the end of the connection of
    /// it.
    FrameFlipped = "frame-flipped", Link, Chance(10_000);
    /// A connection ends at one end, and the other one does not learn it until it is given up as dead.
    HalfOpen = "half-open", Link, Chance(10_000);
    /// A frame that the agent sent long ago, in an earlier life perhaps, arrives again.
    OldFrameReplayed = "old-frame-replayed", Link, Chance(50_000);
    /// An agent's connection breaks, and no other can be made for a while.
    ConnectFails = "connect-fails", Link, Every(30_000);
    /// A link delivers nothing for a while, and then everything.
    LinkClogged = "link-clogged", Link, Every(20_000);
    /// A link lets only a few kilobytes a second through, for a while.
    LinkNarrow = "link-narrow", Link, Every(30_000);
    /// Nothing of an agent arrives at the manager for a while; the other direction works.
    PartitionUp = "partition-up", Link, Every(30_000);
    /// Nothing of the manager arrives at an agent for a while; the other direction works.
    PartitionDown = "partition-down", Link, Every(30_000);
    /// Nothing passes between an agent and the manager for a while.
    PartitionBoth = "partition-both", Link, Every(30_000);
    /// An agent does not read for a while: its answers pile up until the manager hangs up.
    SlowReader = "slow-reader", Link, Every(30_000);
    /// All connections break at once, and all agents come back together.
    ReconnectStorm = "reconnect-storm", Link, Every(60_000);
    /// An agent's frame is sent again by another agent, under its own identity; or bytes are sent that are no message.
    HostileFrame = "hostile-frame", Agent, Chance(50_000);
    /// An agent's machine is lost; its content and its outbox are kept.
    AgentCrash = "agent-crash", Agent, Every(20_000);
    /// An agent offers an item that cannot be stored: no JSON, a foreign index, no id.
    BadItem = "bad-item", Agent, Chance(400_000);
    /// An agent's process stands still for a while and then goes on.
    AgentPause = "agent-pause", Agent, Every(20_000);
    /// An agent's database is put back to an old copy; its machine is what it is.
    AgentRestored = "agent-restored", Agent, Every(20_000);
    /// An agent is installed anew: its database is empty.
    AgentWiped = "agent-wiped", Agent, Every(60_000);
    /// An agent crashes and the last verdict that it made durable is lost.
    AgentTornWrite = "agent-torn-write", Agent, Every(30_000);
    /// A second machine with an agent's identity works beside it for a while, with content of its own.
    AgentCloned = "agent-cloned", Agent, Every(60_000);
    /// An agent comes back with another version of the protocol: a base peer, ours, or a later one.
    AgentVersion = "agent-version", Agent, Every(40_000);
    /// The content of all agents changes at once, and all synchronise.
    ChurnStorm = "churn-storm", Agent, Every(60_000);
    /// An agent cannot read its rows.
    AgentLoadFails = "agent-load-fails", Agent, Chance(20_000);
    /// An agent cannot make a verdict durable.
    AgentCommitFails = "agent-commit-fails", Agent, Chance(50_000);
    /// The manager is gone from one moment to the next: memory and unsynced store are lost.
    ManagerCrash = "manager-crash", Manager, Every(30_000);
    /// The manager is stopped in order and started again.
    ManagerRestart = "manager-restart", Manager, Every(60_000);
    /// The manager's process stands still for a while, its timers and mail with it, and then goes on.
    ManagerPause = "manager-pause", Manager, Every(30_000);
    /// The manager is gone between the Indexer's answer and the verdict that follows from it.
    CrashBeforeVerdict = "crash-before-verdict", Manager, Chance(20_000);
    /// The shards' quota shrinks to almost nothing for a while.
    MemoryCap = "memory-cap", Manager, Every(60_000);
    /// The manager is stopped and started with another configuration: other limits, other sizes, another number
    /// of shards.
    ManagerReconfigured = "manager-reconfigured", Manager, Every(60_000);
    /// The manager is gone and another one takes over, with a store of its own.
    ManagerFailover = "manager-failover", Manager, Every(60_000);
    /// A write to the staging store fails.
    StoreWriteFails = "store-write-fails", Store, Chance(30_000);
    /// A write to the staging store takes long.
    StoreSlow = "store-slow", Store, Chance(50_000);
    /// A staged frame cannot be read back.
    StoreReadFails = "store-read-fails", Store, Chance(30_000);
    /// A durable record cannot be written.
    RecordFails = "record-fails", Store, Chance(50_000);
    /// The store's disk is full for a while: nothing can be written.
    StoreFull = "store-full", Store, Every(60_000);
    /// The store's disk stands still for a while.
    StoreStalled = "store-stalled", Store, Every(30_000);
    /// The manager is gone while a record is being synced: it is durable, and nobody was told.
    StoreTornTail = "store-torn-tail", Store, Every(40_000);
    /// The manager is stopped, and the store cannot be opened for a while: each start ends at once.
    StoreOpenFails = "store-open-fails", Store, Every(60_000);
    /// The manager's wall clock steps back by up to two hours.
    ClockStepBack = "clock-step-back", Clock, Every(40_000);
    /// The manager's wall clock steps forward by up to two hours, now and then by two days.
    ClockStepForward = "clock-step-forward", Clock, Every(40_000);
    /// The manager's wall clock runs at half or at double speed for a while.
    ClockSkew = "clock-skew", Clock, Every(40_000);
    /// The manager's wall clock stands still for a while.
    ClockFreeze = "clock-freeze", Clock, Every(40_000);
    /// No connection to the Indexer: no byte of a request is sent.
    RequestNotSent = "request-not-sent", Indexer, Chance(150_000);
    /// A request is sent and never arrives whole; nothing of it is applied.
    RequestLost = "request-lost", Indexer, Chance(100_000);
    /// A request is applied at once, its answer is lost.
    AnswerLost = "answer-lost", Indexer, Chance(100_000);
    /// A request is given up and applied later.
    WriteLate = "write-late", Indexer, Chance(100_000);
    /// A request is given up and a part of its operations is applied later.
    WriteLateInPart = "write-late-in-part", Indexer, Chance(100_000);
    /// A request is applied and its answer cannot be understood.
    AnswerGarbled = "answer-garbled", Indexer, Chance(50_000);
    /// A request is refused with 429.
    RequestRefused429 = "request-429", Indexer, Chance(100_000);
    /// A request is refused with 413.
    RequestRefused413 = "request-413", Indexer, Chance(50_000);
    /// A request is refused with 400, as when one operation makes the whole unreadable.
    RequestRefused400 = "request-400", Indexer, Chance(20_000);
    /// A request is answered 503; it may have been applied, now or later.
    RequestRefused503 = "request-503", Indexer, Chance(50_000);
    /// An operation is refused with 429.
    Item429 = "item-429", Indexer, Chance(100_000);
    /// An operation is answered 503 and never applied.
    Item503 = "item-503", Indexer, Chance(50_000);
    /// An operation is answered 503 and applied later.
    Item503Late = "item-503-late", Indexer, Chance(50_000);
    /// An operation is refused for its document's sake.
    Item400 = "item-400", Indexer, Chance(20_000);
    /// A refresh or a listing takes long.
    SearchSlow = "search-slow", Indexer, Chance(100_000);
    /// A refresh misses a shard, which answers 200.
    RefreshIncomplete = "refresh-incomplete", Indexer, Chance(150_000);
    /// A listing has no answer.
    ListingFailed = "listing-failed", Indexer, Chance(150_000);
    /// The answer to a request of the coordinator is lost; what it asked for is done.
    ControlAnswerLost = "control-answer-lost", Indexer, Chance(50_000);
    /// The Indexer restarts after a flush: its tombstones are gone.
    IndexerRestart = "indexer-restart", Indexer, Every(20_000);
    /// The Indexer's cluster is red for a while: its shards are missing, writes are answered 503.
    IndexerRed = "indexer-red", Indexer, Every(60_000);
    /// The Indexer cannot be reached for a while.
    IndexerUnreachable = "indexer-unreachable", Indexer, Every(60_000);
    /// An index is blocked for a while.
    IndexBlocked = "index-blocked", Indexer, Every(60_000);
    /// The periodic refresh of the Indexer stands still for a while.
    RefreshPaused = "refresh-paused", Indexer, Every(30_000);
    /// A request is applied and its answer has no body.
    AnswerEmpty = "answer-empty", Indexer, Chance(50_000);
    /// A request is applied and a proxy answers with a page of HTML, 200.
    AnswerNotJson = "answer-not-json", Indexer, Chance(50_000);
    /// An answer is a hundred times as long as it should be, and still sound.
    AnswerHuge = "answer-huge", Indexer, Chance(50_000);
    /// A request is refused with 401.
    RequestRefused401 = "request-401", Indexer, Chance(50_000);
    /// A request is refused with 403.
    RequestRefused403 = "request-403", Indexer, Chance(50_000);
    /// A request is answered 408; it may have been applied.
    RequestRefused408 = "request-408", Indexer, Chance(50_000);
    /// An operation is refused because a right is missing.
    Item403 = "item-403", Indexer, Chance(20_000);
    /// A listing lacks a shard, and is answered 200.
    ListingPartial = "listing-partial", Indexer, Chance(150_000);
    /// The Indexer refuses our credentials for a while.
    IndexerUnauthorized = "indexer-unauthorized", Indexer, Every(60_000);
    /// The Indexer allows us nothing for a while.
    IndexerForbidden = "indexer-forbidden", Indexer, Every(60_000);
    /// The Indexer says for a while that it is still starting.
    IndexerStarting = "indexer-starting", Indexer, Every(60_000);
    /// An index is closed for a while.
    IndexClosed = "index-closed", Indexer, Every(60_000);
    /// An index is deleted, with all documents in it.
    IndexDeleted = "index-deleted", Indexer, Every(90_000);
    /// An index is put back to an old snapshot.
    IndexRestored = "index-restored", Indexer, Every(40_000);
    /// The manager is restarted and finds, for a while, that an index does not fit what it writes.
    TemplateDifferent = "template-different", Indexer, Every(90_000);
    /// An index refuses every document for a while: its mapping is strict and wrong.
    MappingRefused = "mapping-refused", Indexer, Every(30_000);
    /// Something that is not ours writes a document of an agent.
    ForeignWrite = "foreign-write", Indexer, Every(20_000);
    /// The writer index is deleted, and the writer document with it.
    WriterIndexDeleted = "writer-index-deleted", Indexer, Every(60_000);
}
