//! What is told while it lasts, on standard error: a bar where somebody looks, else a line now and then.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::Shared;

/// Between two looks.
const BAR_INTERVAL: Duration = Duration::from_millis(200);
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Tells of the sessions until it is dropped.
pub(super) async fn watch(shared: &Shared, all: u64, before: u64) {
    let is_seen = std::io::stderr().is_terminal();
    let bar = is_seen.then(|| bar(all));
    let mut interval = tokio::time::interval(if is_seen { BAR_INTERVAL } else { LINE_INTERVAL });
    // The first one comes at once.
    interval.tick().await;
    loop {
        interval.tick().await;
        let (done, documents, troubles) = {
            let counted = shared.statistics.counted();
            let sessions = &counted.sessions;
            let troubles = [&sessions.rolled_back, &sessions.refused_starts]
                .into_iter()
                .flat_map(|counts| counts.values())
                .sum::<u64>();
            (before + sessions.ok, counted.documents, troubles)
        };
        let connections = shared
            .statistics
            .connections
            .load(std::sync::atomic::Ordering::Relaxed);
        let text = if shared.is_idle {
            format!(
                "{} held, {connections} connections",
                shared.statistics.held()
            )
        } else {
            format!(
                "{documents} documents, {connections} connections, {troubles} sessions ended without a verdict"
            )
        };
        match &bar {
            Some(bar) => {
                bar.set_position(if shared.is_idle {
                    shared.statistics.held()
                } else {
                    done
                });
                bar.set_message(text);
            }
            None => eprintln!("replay: {done} of {all} sessions, {text}"),
        }
    }
}

fn bar(all: u64) -> ProgressBar {
    let bar = ProgressBar::new(all);
    if let Ok(style) = ProgressStyle::with_template(
        "{elapsed_precise} {wide_bar} {pos}/{len} sessions, {per_sec}, {msg}",
    ) {
        bar.set_style(style);
    }
    bar
}
