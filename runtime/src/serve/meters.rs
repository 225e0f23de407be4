//! What is counted for every session and request: registered once, so that counting is an addition.

use std::sync::atomic::{AtomicU64, Ordering};

use inventory_sync_core::wire::{Reason, Status};
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

/// A counter that `status` shows, too.
pub(super) struct Shown {
    name: &'static str,
    counter: Counter,
    total: AtomicU64,
}

impl Shown {
    fn new(name: &'static str, counter: Counter) -> Self {
        Self {
            name,
            counter,
            total: AtomicU64::new(0),
        }
    }

    pub(super) fn add(&self, by: u64) {
        self.counter.increment(by);
        self.total.fetch_add(by, Ordering::Relaxed);
    }
}

/// Gauges of one shard.
pub(super) struct ShardGauges {
    pub(super) sessions: Gauge,
    pub(super) staged_bytes: Gauge,
    pub(super) bulks_in_flight: Gauge,
}

/// Made after the process's recorder is installed; before, nothing would be recorded.
pub(super) struct Meters {
    pub(super) staged_bytes: Counter,
    pub(super) bulk_requests: Counter,
    pub(super) bulk_operations: Counter,
    pub(super) bulk_bytes: Counter,
    pub(super) bulk_answered: Histogram,
    pub(super) operations_stored: Shown,
    pub(super) sessions_opened: Shown,
    pub(super) sessions_ok: Shown,
    pub(super) items_unchanged: Shown,
    pub(super) items_failed: Counter,
    pub(super) session_duration: Histogram,
    pub(super) delivery_duration: Histogram,
    pub(super) shards: Vec<ShardGauges>,
}

impl Meters {
    pub(super) fn new(shards: usize) -> Self {
        describe();
        Self {
            staged_bytes: counter!("inventory_sync_staged_bytes_total"),
            bulk_requests: counter!("inventory_sync_bulk_requests_total"),
            bulk_operations: counter!("inventory_sync_bulk_operations_total"),
            bulk_bytes: counter!("inventory_sync_bulk_bytes_total"),
            bulk_answered: histogram!(
                "inventory_sync_bulk_duration_seconds", "outcome" => "answered"
            ),
            operations_stored: Shown::new(
                "operations_stored",
                counter!("inventory_sync_operations_stored_total"),
            ),
            sessions_opened: Shown::new(
                "sessions_opened",
                counter!("inventory_sync_sessions_opened_total"),
            ),
            sessions_ok: Shown::new(
                "sessions_ok",
                counter!(
                    "inventory_sync_sessions_ended_total",
                    "status" => Status::Ok.name(), "reason" => Reason::None.name()
                ),
            ),
            items_unchanged: Shown::new(
                "items_unchanged",
                counter!("inventory_sync_items_unchanged_total"),
            ),
            items_failed: counter!("inventory_sync_items_failed_total"),
            session_duration: histogram!("inventory_sync_session_duration_seconds"),
            delivery_duration: histogram!("inventory_sync_delivery_duration_seconds"),
            shards: (0..shards).map(shard_gauges).collect(),
        }
    }

    /// What `status` shows of them: names and totals since the start.
    pub(super) fn shown(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            &self.operations_stored,
            &self.sessions_opened,
            &self.sessions_ok,
            &self.items_unchanged,
        ]
        .map(|shown| (shown.name, shown.total.load(Ordering::Relaxed)))
        .into_iter()
    }
}

fn shard_gauges(shard: usize) -> ShardGauges {
    let label = shard.to_string();
    ShardGauges {
        sessions: gauge!("inventory_sync_sessions", "shard" => label.clone()),
        staged_bytes: gauge!("inventory_sync_staged_bytes", "shard" => label.clone()),
        bulks_in_flight: gauge!("inventory_sync_bulks_in_flight", "shard" => label),
    }
}

/// What operators read beside each name.
fn describe() {
    describe_gauge!(
        "inventory_sync_sessions",
        "Sessions that are neither answered nor given up."
    );
    describe_gauge!(
        "inventory_sync_staged_bytes",
        Unit::Bytes,
        "Bytes of frames of live sessions."
    );
    describe_gauge!(
        "inventory_sync_bulks_in_flight",
        "Bulk requests without an answer yet."
    );
    describe_counter!("inventory_sync_sessions_opened_total", "Sessions accepted.");
    describe_counter!(
        "inventory_sync_sessions_ended_total",
        "Sessions answered, by status and reason."
    );
    describe_counter!(
        "inventory_sync_starts_refused_total",
        "Starts refused, by reason."
    );
    describe_counter!(
        "inventory_sync_operations_stored_total",
        "Operations the Indexer has stored."
    );
    describe_counter!(
        "inventory_sync_operations_retried_total",
        "Operations sent again."
    );
    describe_counter!(
        "inventory_sync_items_unchanged_total",
        "Documents not written, since they are there."
    );
    describe_counter!(
        "inventory_sync_items_failed_total",
        "Items set aside or refused."
    );
    describe_counter!(
        "inventory_sync_items_duplicate_total",
        "Items received a second time."
    );
    describe_counter!("inventory_sync_bulk_requests_total", "Bulk requests.");
    describe_counter!(
        "inventory_sync_bulk_operations_total",
        "Operations in bulk requests."
    );
    describe_counter!(
        "inventory_sync_bulk_bytes_total",
        Unit::Bytes,
        "Bytes of bulk bodies."
    );
    describe_counter!(
        "inventory_sync_staged_bytes_total",
        Unit::Bytes,
        "Bytes of frames staged."
    );
    describe_counter!(
        "inventory_sync_conflicts_total",
        "Operations refused by a higher version."
    );
    describe_counter!(
        "inventory_sync_taints_total",
        "Lanes whose deletes had to wait."
    );
    describe_histogram!(
        "inventory_sync_bulk_duration_seconds",
        Unit::Seconds,
        "Time to the answer of a bulk request."
    );
    describe_histogram!(
        "inventory_sync_session_duration_seconds",
        Unit::Seconds,
        "Time from Start to verdict."
    );
    describe_histogram!(
        "inventory_sync_delivery_duration_seconds",
        Unit::Seconds,
        "Time from completeness to verdict."
    );
    // Metrics of all outcomes begin at 0, so that a rate can be seen from the first one on.
    for status in Status::ALL {
        counter!(
            "inventory_sync_sessions_ended_total",
            "status" => status.name(), "reason" => Reason::None.name()
        )
        .increment(0);
    }
}
