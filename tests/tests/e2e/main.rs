//! End to end: the daemon as a process between agents' sockets and an Indexer over TLS.
//!
//! ```text
//!  delivery     documents end where they belong, byte for byte      identity   who may speak, and for whom
//!  session      gaps, duplicates, base peers, silence               local      the Unix socket
//!  bad_input    messages that are wrong                             bad_items  items that are, and no room
//!  bad_start    Starts that are refused                             smuggling  tricks in documents, ids, names
//!  hostile      slow, half-open, flooding, oversized clients        old_frames old frames again
//!  isolation    healthy agents beside those in trouble
//!  outage       an Indexer that is down, slow, partly failing       restart    kill -9, clean stop, two writers
//!  operator     status, index resume, metrics, templates            captured   sessions of real endpoints
//!  programs     the agent's and the stand-in's programs              wire       the way to any Indexer is cut
//!  replay       the load client: harm, relays, kill -9, what it verifies    chaos     twenty kills −9 under load
//! ```
//!
//! With `INVENTORY_TEST_INDEXER_*` all but those that inject faults run against that OpenSearch.

mod bad_input;
mod bad_items;
mod bad_start;
mod captured;
mod chaos;
mod delivery;
mod hostile;
mod identity;
mod isolation;
mod local;
mod old_frames;
mod operator;
mod outage;
mod programs;
mod replay;
mod restart;
mod session;
mod smuggling;
mod wire;
