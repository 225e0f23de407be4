//! The manager daemon: what surrounds the pure machine of `inventory-sync-core`.
//!
//! ```text
//!  agents, relays ──▶ router ──▶ machine (core) ──▶ store      staged frames, durable facts
//!                                   │
//!                                   ├──▶ indexer     one request in, one outcome out
//!                                   └──▶ metrics, logs, admin socket
//! ```
//!
//! Invariants: nothing here decides. Retries, verdicts, versions and pauses are the core's; an
//! adapter turns a command into I/O and what became of it into an event. Every listener but the
//! agents' is a Unix socket of mode 0600 or on loopback. Nothing speaks to the Indexer without TLS.

pub mod admin;
pub mod certs;
pub mod check;
pub mod cli;
pub mod config;
pub mod demo;
mod entropy;
pub mod indexer;
pub mod logging;
pub mod metrics;
pub mod replay;
pub mod serve;
mod signals;
pub mod store;
pub mod templates;
