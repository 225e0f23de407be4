//! End to end: the daemon as a process between agents' sockets and an Indexer over TLS.
//!
//! ```text
//!  delivery     documents end where they belong, byte for byte      identity   who may speak, and for whom
//!  session      gaps, duplicates, base peers, hostile frames        local      the Unix socket
//!  outage       an Indexer that is down, slow, partly failing       restart    kill -9, clean stop, two writers
//!  operator     status, index resume, metrics, templates            captured   sessions of real endpoints
//!  programs     the agent's and the stand-in's programs              wire       the way to any Indexer is cut
//!  replay       the load client: harm, relays, kill -9, what it verifies    chaos     twenty kills −9 under load
//! ```
//!
//! With `INVENTORY_TEST_INDEXER_*` all but those that inject faults run against that OpenSearch.

mod captured;
mod chaos;
mod delivery;
mod identity;
mod local;
mod operator;
mod outage;
mod programs;
mod replay;
mod restart;
mod session;
mod wire;
