//! What the store's `meta` remembers across restarts (`docs/protocol.md` section 9).

use inventory_sync_core::coordinator::Record;
use inventory_sync_core::id::{AgentId, Version};
use inventory_sync_core::manager::AgentFloor;

use super::random_u64;
use crate::config::Config;
use crate::store::{Store, StoreError};

const BOUND: &str = "bound";
const CLEAN_STOP: &str = "clean-stop";
const CLUSTER: &str = "cluster";
const WRITER: &str = "writer";
const FLOOR: &str = "floor/";

/// Why what is remembered cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store belongs to another cluster: its name is a part of every document's id.
    #[error(
        "this store belongs to cluster {stored:?}, the configuration says {configured:?}: set \
         writer.cluster_name back, or give the new cluster a store of its own"
    )]
    OtherCluster {
        /// As remembered.
        stored: String,
        /// As configured.
        configured: String,
    },
    /// It is damaged.
    #[error(
        "the store's record {name:?} is damaged ({value:?}); restore the store from a backup, or \
             move it away: a fresh one waits until nothing old can land any more"
    )]
    Damaged {
        /// Which record.
        name: String,
        /// What it holds.
        value: String,
    },
    /// No random numbers for the writer's name.
    #[error("no random numbers for the writer's name")]
    NoEntropy,
}

/// What a start found.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) writer: String,
    pub(super) recovered: Recovered,
    pub(super) floors: Vec<AgentFloor>,
}

/// For the coordinator.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recovered {
    pub(super) bound: Option<Version>,
    pub(super) clean_stop: bool,
}

impl Facts {
    /// Reads what is remembered, and withdraws the clean stop before anything can be sent.
    pub(super) fn take(store: &Store, config: &Config) -> Result<Self, FactsError> {
        let cluster = &config.writer.cluster_name;
        match text(store, CLUSTER)? {
            Some(stored) if stored != *cluster => {
                return Err(FactsError::OtherCluster {
                    stored,
                    configured: cluster.clone(),
                });
            }
            Some(_) => {}
            None => store.meta_put(CLUSTER, cluster.as_bytes())?,
        }
        let remembered = text(store, WRITER)?;
        let writer = match (&config.writer.id, remembered.clone()) {
            (Some(configured), _) => configured.clone(),
            (None, Some(remembered)) => remembered,
            (None, None) => {
                let number = random_u64().map_err(|_| FactsError::NoEntropy)?;
                format!("writer-{number:016x}")
            }
        };
        if remembered.as_ref() != Some(&writer) {
            store.meta_put(WRITER, writer.as_bytes())?;
        }
        let bound = text(store, BOUND)?
            .map(|value| version(BOUND, &value))
            .transpose()?;
        let clean_stop = store.meta_get(CLEAN_STOP)?.is_some();
        if clean_stop {
            store.meta_write(&[(CLEAN_STOP, None)])?;
        }
        let mut floors = Vec::new();
        for (name, value) in store.meta_list(FLOOR)? {
            let value = String::from_utf8_lossy(&value).into_owned();
            let damaged = || FactsError::Damaged {
                name: name.clone(),
                value: value.clone(),
            };
            let agent = name[FLOOR.len()..].parse().map_err(|_| damaged())?;
            let (floor, bound) = value.split_once(' ').ok_or_else(damaged)?;
            floors.push(AgentFloor {
                agent: AgentId(agent),
                floor: version(&name, floor)?,
                bound: version(&name, bound)?,
            });
        }
        Ok(Self {
            writer,
            recovered: Recovered { bound, clean_stop },
            floors,
        })
    }
}

/// Makes a record of the coordinator durable.
pub(super) fn record(store: &Store, record: Record) -> Result<(), StoreError> {
    match record {
        Record::Bound(bound) => store.meta_put(BOUND, bound.0.to_string().as_bytes()),
        Record::CleanStop => store.meta_put(CLEAN_STOP, b"1"),
    }
}

/// Makes an agent's floor durable.
pub(super) fn record_floor(store: &Store, floor: AgentFloor) -> Result<(), StoreError> {
    let name = format!("{FLOOR}{}", floor.agent);
    store.meta_put(&name, format!("{} {}", floor.floor, floor.bound).as_bytes())
}

fn text(store: &Store, name: &str) -> Result<Option<String>, FactsError> {
    match store.meta_get(name)?.map(String::from_utf8) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(error)) => Err(FactsError::Damaged {
            name: name.to_owned(),
            value: String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }),
    }
}

fn version(name: &str, value: &str) -> Result<Version, FactsError> {
    value.parse().map(Version).map_err(|_| FactsError::Damaged {
        name: name.to_owned(),
        value: value.to_owned(),
    })
}
