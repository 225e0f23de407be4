//! Tests that need more than one crate: end to end with real processes, and the rules of the house.
//!
//! ```text
//!  tests/tidy.rs        source text ──▶ rules that no compiler knows
//!  tests/e2e/           agent ══TLS══▶ inventory-sync serve ══HTTPS══▶ stand-in, or a real OpenSearch
//!                         │                  │                            │
//!  src/bench/           load client ══▶ daemon ══▶ sink, measured: `cargo xtask bench`
//!  src/                 agent, connection  daemon, programs, certs      indexer, document, proxy
//!                       session, forged    counts
//!                         └──────────────── world ────────────────────────┘
//! ```
//!
//! [`chaos`] kills the daemon, again and again, in such a world.
//! [`World`] is what a test starts with: a cluster name, certificates and an Indexer of its own.
//!
//! # Invariants
//!
//! * Everything listens on loopback, on ports that the system chose, and is ended by whoever began it.
//! * Nothing sleeps to be in step with something: [`wait::until`] asks until it is so, and says what it
//!   waited for when the time is over.
//! * What a test needs of the outside is named by `INVENTORY_TEST_*`; without it the test says that it
//!   was skipped.
//! * Nothing here is linked into a program but `inventory-chaos`, which is one of tests.

pub mod agent;
pub mod bench;
pub mod certs;
pub mod chaos;
pub mod connection;
pub mod counts;
pub mod daemon;
pub mod document;
pub mod forged;
pub mod indexer;
pub mod peer;
pub mod programs;
pub mod proxy;
pub mod session;
pub mod wait;
mod world;

pub use world::World;
