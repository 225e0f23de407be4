//! What the daemon counts, at one moment and between two.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::daemon::Daemon;

/// Counters that tell of bad input: between two looks none may have changed but those that had to.
const OF_BAD_INPUT: &[&str] = &[
    "inventory_sync_bad_frames_total",
    "inventory_sync_unknown_sessions_total",
    "inventory_sync_identity_mismatches_total",
    "inventory_sync_starts_refused_total",
    "inventory_sync_sessions_ended_total",
    "inventory_sync_items_failed_total",
    "inventory_sync_connections_refused_total",
    "inventory_sync_conflicts_total",
];

/// The counters of bad input in `/metrics`, each with its labels: `sessions_ended{Error,InvalidMessage}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// What a daemon has counted so far.
    ///
    /// # Panics
    /// When it does not say.
    pub async fn of(daemon: &Daemon) -> Self {
        let (status, text) = daemon.http("/metrics").await;
        assert_eq!(status, 200, "{text}");
        let counters = text.lines().filter_map(|line| {
            let (series, count) = line.rsplit_once(' ')?;
            let name = series.split('{').next()?;
            OF_BAD_INPUT.contains(&name).then_some(())?;
            Some((short(series), count.parse().expect("a whole number")))
        });
        Self(counters.collect())
    }

    /// What has grown since, and by how much.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> BTreeMap<String, u64> {
        let grown = self.0.iter().map(|(name, count)| {
            let before = earlier.0.get(name).copied().unwrap_or(0);
            (name.clone(), count - before)
        });
        grown.filter(|(_, count)| *count > 0).collect()
    }
}

/// Such counts as a test expects them.
#[must_use]
pub fn counted(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let pairs = counts.iter().filter(|(_, count)| *count > 0);
    pairs
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

/// `inventory_sync_bulks_total{a="x",b="y"}` as `bulks{x,y}`.
fn short(series: &str) -> String {
    let series = series.strip_prefix("inventory_sync_").unwrap_or(series);
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let mut out = name.strip_suffix("_total").unwrap_or(name).to_owned();
    let values: Vec<&str> = labels.split('"').skip(1).step_by(2).collect();
    if !values.is_empty() {
        let _ = write!(out, "{{{}}}", values.join(","));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn names_are_short_and_keep_their_labels() {
        let ended =
            "inventory_sync_sessions_ended_total{status=\"Error\",reason=\"SessionTimeout\"}";
        assert_eq!(short(ended), "sessions_ended{Error,SessionTimeout}");
        assert_eq!(short("inventory_sync_bad_frames_total"), "bad_frames");
    }
}
