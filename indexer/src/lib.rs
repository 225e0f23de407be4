//! A stand-in Indexer: what the system needs of an OpenSearch-compatible server, as a pure model, and (feature
//! `server`) as an HTTPS server around it.
//!
//! ```text
//!    simulator ──typed calls──►  model::engine ◄── model::api ◄──JSON── server (TLS, users, faults) ◄── HTTPS
//!                                 │  indices: documents, tombstones, refresh, mappings, blocks
//!                                 └─ scrolls, templates
//! ```
//!
//! * [`model::engine`] is the typed core: the simulator calls it millions of times, so it parses no JSON unless an
//!   index has a mapping or a query asks for a field.
//! * [`model::api`] is the JSON surface over it, measured against recorded answers of real servers
//!   (`tests/recorded.rs`); what it does not have it refuses by name.
//! * [`server`] speaks HTTPS, checks who asks, and injects faults on request.
//! * [`sink`] stands in the model's place where millions of documents are written: it keeps ids, versions and checksums.
//!
//! Invariants:
//!
//! * The model is a function of its calls: no clock (time is an argument), no randomness (uuids come from a seed
//!   and a counter), no threads, no floating point (numbers keep their text and are compared as decimals), ordered
//!   maps only.
//! * Nothing is invented: an endpoint, parameter, query or setting that is not modelled is answered with 400 or 501
//!   that names it, and changes nothing.
//! * A stored source is given back byte for byte.
//! * Only faults *of* an Indexer are in the model (blocks, closed and missing shards, lost tombstones, restores);
//!   what goes wrong *around* one (lost answers, late writes, 429, resets) is played by its callers.
//! * There is no durability, one node, and one shard per index.

pub mod model;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod sink;
