//! The pure heart of inventory-sync: every decision of manager and agent, and nothing that does I/O.
//!
//! ```text
//!            bytes                                        events            commands
//!  frame ──▶ wire ──▶ Message ──▶ document::scan ──▶ manager ◀──▶ coordinator ──▶ store, Indexer, peers
//!                                      │                │
//!                                      ▼                ▼
//!                          plan, diff, render ◀── Plan, Diff, Bulk        answer: what the Indexer said
//!
//!  agent: the other end of the same protocol, driven the same way
//! ```
//!
//! # Invariants
//!
//! * A machine is a function of its inputs: time and randomness are given, maps are ordered, numbers are
//!   integers. The same seed gives the same commands, in every build.
//! * A machine has one entry point, `handle`, which takes any event in any state and cannot fail.
//! * Documents are seen by the functions of [`document`] alone; machines see sequences, counts and bytes.
//! * Every bound is in a configuration ([`config`], [`agent::Config`], [`coordinator::Config`]).
//! * Deliberately absent: I/O, clocks, threads, the environment, floats, async, and whoever calls it.

pub mod agent;
pub mod answer;
pub mod bug;
pub mod config;
pub mod coordinator;
pub mod document;
pub mod id;
pub mod manager;
pub mod time;
pub mod wire;
