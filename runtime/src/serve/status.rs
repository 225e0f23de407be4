//! What `status` shows and `index resume` does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use inventory_sync_core::config::Catalogue;
use inventory_sync_core::coordinator::{self, ShardId};
use inventory_sync_core::id::Version;
use inventory_sync_core::manager::{Figures, Health, IndexState, Unready};
use inventory_sync_core::time::Tick;
use tokio::sync::mpsc;

use super::clock::{MonotonicClock, unix_ms};
use super::coordinator::Message;
use super::meters::Meters;
use crate::admin::server::Handler;
use crate::admin::{HostStatus, PausedIndex, SessionStatus, Status, WriterStatus};
use crate::config::Config;
use crate::metrics;

/// What the coordinator shows of itself.
#[derive(Debug, Clone)]
pub(super) struct CoordinatorView {
    pub(super) health: Health,
    pub(super) lease_until: Tick,
    pub(super) bound: Version,
    pub(super) indices: Vec<(IndexState, String)>,
}

/// What threads publish for those who ask.
pub(super) struct Shared {
    pub(super) meters: Meters,
    clock: MonotonicClock,
    cluster: String,
    writer: String,
    host: String,
    catalogue: Catalogue,
    shards: Mutex<Vec<Figures>>,
    coordinator: Mutex<CoordinatorView>,
    counters: Mutex<BTreeMap<&'static str, u64>>,
    alerts: Mutex<BTreeMap<String, String>>,
    /// Since when an index is not open.
    shut_since: Mutex<BTreeMap<String, Tick>>,
    connections: Mutex<u64>,
}

/// A mutex whose holder panicked still holds figures.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why nothing is sent, for people.
pub(super) const fn unready(why: Unready) -> &'static str {
    match why {
        Unready::Starting => "preparing",
        Unready::Unreachable => "no answer",
        Unready::Red => "its cluster is red",
        Unready::Unauthorized => "it refuses our credentials (401)",
        Unready::Forbidden => "it forbids what we need (403); `inventory-sync check` says what",
        Unready::Initializing => "it is still starting",
        Unready::NoLease => "we do not hold the writer's lease",
    }
}

/// Counts a connection while it lives.
pub(super) struct CountedConnection<'a>(&'a Shared);

impl Drop for CountedConnection<'_> {
    fn drop(&mut self) {
        *lock(&self.0.connections) -= 1;
    }
}

impl Shared {
    pub(super) fn new(
        clock: MonotonicClock,
        config: &Config,
        catalogue: &Catalogue,
        writer: &str,
    ) -> Self {
        let shards = usize::try_from(config.session.shards.max(1)).unwrap_or(1);
        Self {
            meters: Meters::new(shards),
            clock,
            cluster: config.writer.cluster_name.clone(),
            writer: writer.to_owned(),
            host: config
                .indexer
                .hosts
                .first()
                .map(crate::config::Host::url)
                .unwrap_or_default(),
            catalogue: catalogue.clone(),
            shards: Mutex::new(vec![Figures::default(); shards]),
            coordinator: Mutex::new(CoordinatorView {
                health: Health::Unready(Unready::Starting),
                lease_until: Tick(0),
                bound: Version(0),
                indices: Vec::new(),
            }),
            counters: Mutex::default(),
            alerts: Mutex::default(),
            shut_since: Mutex::default(),
            connections: Mutex::default(),
        }
    }

    pub(super) fn publish(&self, shard: ShardId, figures: Figures) {
        if let Some(slot) = lock(&self.shards).get_mut(usize::from(shard.0)) {
            *slot = figures;
        }
        #[expect(clippy::cast_precision_loss, reason = "a gauge is for looking at")]
        let float = |value: u64| value as f64;
        if let Some(gauges) = self.meters.shards.get(usize::from(shard.0)) {
            gauges.sessions.set(float(figures.sessions as u64));
            gauges.staged_bytes.set(float(figures.bytes));
            gauges
                .bulks_in_flight
                .set(float(figures.bulks_in_flight as u64));
        }
    }

    pub(super) fn set_coordinator(&self, view: CoordinatorView) {
        let now = self.clock.now();
        let mut since = lock(&self.shut_since);
        for (index, (state, _)) in self.catalogue.indices().iter().zip(&view.indices) {
            if *state == IndexState::Open {
                since.remove(&index.name);
            } else {
                since.entry(index.name.clone()).or_insert(now);
            }
        }
        *lock(&self.coordinator) = view;
    }

    pub(super) fn count(&self, name: &'static str, by: u64) {
        *lock(&self.counters).entry(name).or_default() += by;
    }

    /// Answers whether it is news.
    pub(super) fn alert(&self, key: &str, text: String) -> bool {
        lock(&self.alerts).insert(key.to_owned(), text.clone()) != Some(text)
    }

    pub(super) fn clear_alert(&self, key: &str) {
        lock(&self.alerts).remove(key);
    }

    pub(super) fn connection(&self) -> CountedConnection<'_> {
        *lock(&self.connections) += 1;
        CountedConnection(self)
    }

    /// For `/healthz`: whether sessions are admitted.
    pub(super) fn health(&self) -> metrics::Health {
        let view = lock(&self.coordinator).clone();
        let (is_ok, text) = match view.health {
            Health::Ready if self.clock.now() < view.lease_until => (true, "ready"),
            Health::Ready => (false, unready(Unready::NoLease)),
            Health::Unready(why) => (false, unready(why)),
        };
        metrics::Health {
            is_ok,
            text: text.to_owned(),
        }
    }

    fn status(&self) -> Status {
        let now = self.clock.now();
        let view = lock(&self.coordinator).clone();
        let shards = lock(&self.shards).clone();
        let sum = |of: fn(&Figures) -> u64| shards.iter().map(of).sum::<u64>();
        let ahead_ms = i128::from(view.bound.unix_ms()) - i128::from(unix_ms());
        let since = lock(&self.shut_since).clone();
        let paused = self
            .catalogue
            .indices()
            .iter()
            .zip(&view.indices)
            .filter(|(_, (state, _))| *state != IndexState::Open)
            .map(|(index, (state, reason))| PausedIndex {
                index: index.name.clone(),
                reason: reason.clone(),
                for_ms: since.get(&index.name).map_or(0, |since| now.since(*since)),
                needs_operator: *state == IndexState::Held,
            })
            .collect();
        let delivering = sum(|figures| figures.delivering as u64);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_ms: now.0,
            cluster: self.cluster.clone(),
            writer: WriterStatus {
                id: self.writer.clone(),
                lease_left_ms: view.lease_until.since(now),
                bound_ahead_ms: if view.bound == Version(0) {
                    0
                } else {
                    i64::try_from(ahead_ms).unwrap_or(i64::MAX)
                },
            },
            hosts: vec![HostStatus {
                url: self.host.clone(),
                health: self.health().text,
            }],
            sessions: SessionStatus {
                receiving: sum(|figures| figures.sessions as u64).saturating_sub(delivering),
                delivering,
                items: sum(|figures| figures.items),
                bytes: sum(|figures| figures.bytes),
                tainted_lanes: sum(|figures| figures.tainted_lanes as u64),
                connections: *lock(&self.connections),
            },
            paused,
            alerts: lock(&self.alerts).values().cloned().collect(),
            counters: lock(&self.counters)
                .iter()
                .map(|(name, count)| (*name, *count))
                .chain(self.meters.shown())
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
        }
    }
}

/// The daemon, as the admin socket sees it.
pub(super) struct Daemon {
    shared: Arc<Shared>,
    coordinator: mpsc::UnboundedSender<Message>,
}

impl Daemon {
    pub(super) const fn new(
        shared: Arc<Shared>,
        coordinator: mpsc::UnboundedSender<Message>,
    ) -> Self {
        Self {
            shared,
            coordinator,
        }
    }
}

impl Handler for Daemon {
    async fn status(&self) -> Status {
        self.shared.status()
    }

    async fn resume_index(&self, name: &str) -> Result<String, String> {
        let Some(index) = self.shared.catalogue.index(name) else {
            return Err(format!("{name} is not one of the configured indices"));
        };
        let state = lock(&self.shared.coordinator)
            .indices
            .get(usize::from(index.0))
            .map(|(state, _)| *state);
        match state {
            Some(IndexState::Held) => {}
            Some(IndexState::Open) => {
                return Err(format!("{name} is not held: it takes documents"));
            }
            _ => {
                return Err(format!(
                    "{name} is not held; it goes on by itself once the Indexer lets it"
                ));
            }
        }
        let event = coordinator::Event::ResumeIndex { index };
        self.coordinator
            .send(Message::Event(event))
            .map_err(|_| "the daemon is stopping".to_owned())?;
        Ok(format!("{name} is resumed: its sessions go on"))
    }
}
