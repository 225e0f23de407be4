//! From the configuration to what the machines are told.

use std::time::Duration;

use inventory_sync_core::config::{Catalogue, CatalogueError, Config as ManagerConfig};
use inventory_sync_core::coordinator;

use crate::config::Config;

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn size(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

pub(super) fn catalogue(config: &Config) -> Result<Catalogue, CatalogueError> {
    Catalogue::new(
        config
            .modules
            .iter()
            .map(|(name, indices)| (name.clone(), indices.clone())),
    )
}

/// What each shard is told. Global quotas come from the coordinator, divided among the shards.
pub(super) fn manager(config: &Config, catalogue: Catalogue) -> ManagerConfig {
    let (indexer, session, router) = (&config.indexer, &config.session, &config.router);
    let shards = u64::from(session.shards.max(1));
    ManagerConfig {
        cluster: config.writer.cluster_name.clone(),
        protocol_version_min: session.protocol_version_min,
        idle_timeout_ms: ms(session.idle_timeout),
        session_max_ms: ms(session.session_max),
        request_timeout_ms: ms(indexer.request_timeout),
        request_deadline_ms: ms(indexer.request_deadline),
        late_write_bound_ms: ms(indexer.late_write_bound),
        delivery_deadline_ms: ms(indexer.delivery_deadline),
        paused_index_deadline_ms: ms(indexer.paused_index_deadline),
        retry_base_ms: ms(indexer.retry_base),
        retry_max_ms: ms(indexer.retry_max),
        linger_ms: ms(indexer.linger),
        retry_after_ms: u32::try_from(ms(session.retry_after)).unwrap_or(u32::MAX),
        verdict_kept_ms: ms(session.verdict_kept),
        sessions_max: size(session.sessions_max.div_ceil(shards)),
        items_max: session.max_items.global / shards,
        items_per_agent_max: session.max_items.agent,
        items_per_session_max: session.max_items.session,
        bytes_max: session.max_bytes.global / shards,
        bytes_per_agent_max: session.max_bytes.agent,
        bytes_per_session_max: session.max_bytes.session,
        open_bytes_per_connection_max: router.connection_max_bytes,
        bad_frames_max: router.bad_frames_max,
        verdict_bytes_max: size(session.verdicts_max_bytes / shards),
        bulk_bytes_max: indexer.bulk_max_bytes,
        bulk_operations_max: indexer.bulk_operations_max,
        concurrency: size(u64::from(indexer.concurrency_max)),
        ..ManagerConfig::new(catalogue)
    }
}

pub(super) fn coordinator(
    config: &Config,
    catalogue: Catalogue,
    writer: &str,
    nonce: u64,
) -> coordinator::Config {
    let indexer = &config.indexer;
    let shards = u16::try_from(config.session.shards.max(1)).unwrap_or(u16::MAX);
    coordinator::Config {
        lease_ms: ms(config.writer.lease),
        renew_ms: ms(config.writer.renew),
        bound_ahead_ms: ms(config.writer.bound_ahead),
        late_write_bound_ms: ms(indexer.late_write_bound),
        health_interval_ms: ms(indexer.health_interval),
        retry_base_ms: ms(indexer.retry_base),
        retry_max_ms: ms(indexer.retry_max),
        listing_linger_ms: ms(indexer.listing_linger),
        write_unchecked: indexer.write_without_template,
        items_max: config.session.max_items.global,
        bytes_max: config.session.max_bytes.global,
        ..coordinator::Config::new(catalogue, shards, writer.to_owned(), nonce)
    }
}
