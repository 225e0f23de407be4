//! The endpoint: reads what is on a machine and makes the documents that a manager keeps of it.
//!
//! ```text
//!   operating system ──▶ provider ──rows──▶ document ──id, checksum, body──▶ inventory
//!   /proc /sys /etc      (Source per         (field table of                  (a snapshot, sorted by id)
//!   dpkg rpm              category)           inventory_sync_schemas)               │
//!                                                                                  ▼
//!                                                              report: a table or JSON for people
//!                                                              sync:   Full sessions with a manager
//! ```
//!
//! # Invariants
//!
//! * An unreadable source is *unavailable*, never empty: whoever computes deletions can tell the two
//!   apart by the type ([`inventory::State`]).
//! * One broken entry (a malformed stanza, a process that ended, invalid UTF-8) costs at most itself.
//! * Every document that leaves [`inventory::collect`] fits its index: known paths, right types, nothing
//!   of what the manager owns.
//! * The same rows give the same ids, checksums and order; neither the time nor the version of a document
//!   takes part in its checksum.
//! * Nothing here writes to the machine, and nothing runs but `rpm`, where there is an rpm database.
//!
//! Deliberately absent: protocol decisions (they belong to `inventory_sync_core`), and the names of fields
//! outside of the field table. Without the feature `sync` there is no network part at all.

pub mod document;
pub mod inventory;
pub mod provider;
pub mod report;
#[cfg(feature = "sync")]
pub mod sync;
