//! The seeded world: agents, a network, a manager with its store and its clock, an Indexer, and everything
//! that goes wrong between them, around the production machines of the core.
//!
//! ```text
//!  agents ──frames──▶ network ──▶ shards ◀─mail─▶ coordinator          (the machines of core)
//!    │ outbox                       │ stage, plan, diff, render            │ health, lease, listings
//!    │                              ▼ store, document functions            ▼
//!    │                           bulk bodies ──fate──▶ Indexer (the typed model) ◀──
//!    ▼                              │                     │
//!  offered ───────────────────▶  oracles  ◀── applied ────┘       the reference model
//! ```
//!
//! A run is a function of its [`Options`] (the seed among them) and of the code: one thread, virtual time,
//! no clock, no hashed order. Each concern draws from a stream of its own, so that a new fault kind does not
//! reshuffle the others. The phases of a run are warm-up, chaos, healing, convergence within a bound, rest.
//!
//! # Invariants
//!
//! * The oracles share no code with the machines; they read bytes and messages, never a machine's state.
//! * What the design does not promise to survive is never injected: late writes keep to their bound.
//! * The same options give the same [trace hash](Report::trace_hash), in debug and in release.
//! * A violation ends the run and names oracle, step, tick, what was expected and what was seen.
//!
//! Deliberately absent: threads, real time, and any knowledge of what a machine *means* to do.

mod agent_modules;
mod agent_node;
mod bulk;
pub mod chart;
mod choices;
mod clones;
mod connections;
mod content;
mod coordinator_node;
mod coverage;
mod fault_kinds;
mod faults;
mod finding;
mod frames;
mod hostile;
mod indexer_control;
mod indexer_node;
mod leftovers;
mod manager_node;
mod network;
mod odd_json;
mod options;
mod oracles;
mod outbox;
mod packing;
mod pending;
mod phases;
mod process;
mod questions;
mod recurring;
mod replay;
mod requests;
mod run;
mod schedule;
mod script;
mod shrink;
pub mod small;
mod staging;
mod standstill;
mod store;
mod streams;
mod tally;
mod trace;
mod wall_clock;
mod workload;
mod world;

pub use chart::Recording;
pub use choices::{Choice, Choices, Draws, Tape};
pub use content::{Content, DocKey};
pub use coverage::{Coverage, Machine, Mark};
pub use faults::{Fault, Often, Part, Rate, Rates};
pub use finding::{Finding, Kind, Outcome, attempt};
pub use indexer_node::Fate;
pub use options::{
    Healing, Options, PRESETS, Plan, PlanError, Preset, SETTINGS, Setting, SettingError,
};
pub use oracles::{Counts, Economy, Violation};
pub use pending::Pending;
pub use replay::{Replay, ReplayError};
pub use run::{Conduct, Ending, Extent, Report, Stop, run};
pub use script::Action;
pub use shrink::{Case, Progress, Shrunk, shrink};
pub use streams::Stream;
pub use trace::{Fold, Node};
