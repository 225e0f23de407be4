//! Small worlds, explored exhaustively: every order in which few things can happen, with few faults.
//!
//! ```text
//!   Scenario ─▶ World ──actions that are possible now──▶ World ─▶ … ─▶ nothing is left to happen
//!   (two agents,  │         deliver, answer, tick,           │            └─ everything has converged
//!    few rows)    │         and while faults are left:       └─ always: what a verdict says is so
//!                 │         lose, repeat, break, refuse,
//!                 └─digest  answer late, crash …              sometimes: each outcome was reached
//! ```
//!
//! The machines are the production ones: a shard of the manager and an agent machine for each agent. Around them
//! is the least that answers: two queues a connection, a store, an Indexer of a few documents that forgets what
//! was deleted, so that a write that comes late brings it back. What is local and depends on nothing else (rows
//! read, plans, diffs) is answered at once; all other orders are tried.
//!
//! # Invariants
//!
//! * A state is visited once: states are equal when their digests are, of everything but the generators' hidden
//!   state, from which only ids and jitter come.
//! * Time passes freely when nothing else can happen; while something is on its way it costs a fault.
//! * A write that may come late comes before the bound that the protocol gives it, or never.
//!
//! Deliberately absent: documents as bytes, the coordinator, several shards. The seeded world has them.

mod action;
mod indexer;
mod machines;
mod oracle;
mod scenario;
mod search;
mod shrink;
mod step;
mod world;

pub use action::{Action, Fate};
pub use oracle::{Broken, Sometimes};
pub use scenario::{Row, SCENARIOS, Scenario, Sync};
pub use search::{Found, Report, explore};
