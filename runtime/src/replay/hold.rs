//! `--idle`: sessions that are opened and held.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;

use super::prepare::Prepared;
use super::report::Outcome;
use super::start;

/// Opens all sessions, holds them until a signal comes, and says how many they are.
pub(super) async fn hold(prepared: Prepared) -> ExitCode {
    let Prepared {
        shared,
        memory,
        crews,
        ..
    } = prepared;
    let Some(mut running) = start(&shared, &memory, &crews).await else {
        return ExitCode::from(Outcome::Unfinished.code());
    };
    drop(memory);
    let teller = Arc::clone(&shared);
    let telling = tokio::spawn(async move {
        teller.all_held.notified().await;
        let statistics = &teller.statistics;
        let connections = statistics.connections.load(Ordering::Relaxed);
        let line = json!({"holding": statistics.held(), "connections": connections});
        let mut out = std::io::stdout();
        // Whoever waits for it reads a pipe; one who has gone is no error.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    });
    let (_, _) = running.end().await;
    let is_held = telling.is_finished();
    telling.abort();
    let counted = shared.statistics.counted();
    let ended: u64 = counted.sessions.rolled_back.values().sum();
    if ended > 0 {
        eprintln!(
            "replay: {ended} sessions ended while they were held: {:?}",
            counted.sessions.rolled_back
        );
    }
    for (trouble, count) in &counted.connection_troubles {
        eprintln!("replay: {count} × a connection: {trouble}");
    }
    for sentence in &counted.complaints {
        eprintln!("replay: {sentence}");
    }
    let outcome = if is_held && ended == 0 {
        Outcome::Ok
    } else {
        Outcome::Unfinished
    };
    ExitCode::from(outcome.code())
}
