//! Scripted transcripts of the coordinator, and any events in any order.

mod bound;
mod desk;
mod health;
mod indices;
mod listings;
mod properties;
mod start;
mod stop;
mod text;
mod world;

use super::{Config, Event, ShardId, WriterDocument};
use crate::config::Catalogue;
use crate::id::{AgentId, IndexId, SessionId, Version};
use crate::manager::{Tally, Unready};

/// The wall clock when a desk starts, in milliseconds since the Unix epoch.
const START_UNIX_MS: u64 = 1_000_000;
const WRITER: &str = "alpha";
const NONCE: u64 = 7;

/// Two shards; `hardware` and `packages` of one module, `files` of another.
fn config() -> Config {
    let names = |names: &[&str]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
    let catalogue = Catalogue::new([
        ("syscollector".to_owned(), names(&["hardware", "packages"])),
        ("fim".to_owned(), names(&["files"])),
    ])
    .unwrap();
    Config::new(catalogue, 2, WRITER.to_owned(), NONCE)
}

fn document(writer: &str, nonce: u64, bound_ms: u64) -> WriterDocument {
    WriterDocument {
        writer: writer.to_owned(),
        nonce,
        bound: Version::from_unix_ms(bound_ms),
    }
}

const fn recovered(bound_ms: u64, clean_stop: bool) -> Event {
    Event::Recovered {
        bound: Some(Version::from_unix_ms(bound_ms)),
        clean_stop,
    }
}

const FRESH: Event = Event::Recovered {
    bound: None,
    clean_stop: false,
};

fn wanted(shard: u16, session: u64, agent: u64, indices: &[u16]) -> Event {
    Event::ListingWanted {
        shard: ShardId(shard),
        session: SessionId(session),
        agent: AgentId(agent),
        indices: indices.iter().copied().map(IndexId).collect(),
    }
}

const fn cancelled(shard: u16, session: u64) -> Event {
    Event::ListingCancelled {
        shard: ShardId(shard),
        session: SessionId(session),
    }
}

fn refusals(session: u64, agent: u64, index: u16, stored: u64, refused: u64) -> Event {
    Event::Refusals {
        shard: ShardId(0),
        session: SessionId(session),
        agent: AgentId(agent),
        tallies: vec![tally(index, stored, refused)],
    }
}

fn stored(agent: u64, index: u16, stored: u64) -> Event {
    Event::Stored {
        agent: AgentId(agent),
        tallies: vec![tally(index, stored, 0)],
    }
}

const fn tally(index: u16, stored: u64, refused: u64) -> Tally {
    Tally {
        index: IndexId(index),
        stored,
        refused,
    }
}

const fn stopped(shard: u16, clean: bool) -> Event {
    Event::ShardStopped {
        shard: ShardId(shard),
        clean,
    }
}

const fn unready(why: Unready) -> super::HealthOutcome {
    super::HealthOutcome::Unready(why)
}
