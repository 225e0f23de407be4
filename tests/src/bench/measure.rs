//! One row: a stand, a load, and what it cost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::process::{Cpu, Process};
use super::profile::{Profile, Profiler};
use super::rows::{Over, Rounds, Row};
use super::stand::{CLUSTER, Stand};
use super::{BenchError, Options, Ran, say};

/// A round without a verdict after so many seconds ends the benchmark; the giant row has its last agents wait long.
const GIVE_UP_S: u32 = 1_800;

/// The figures of a row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Documents in a second of the clock.
    pub documents_per_second: f64,
    /// Documents in a second of the daemon's CPU time.
    pub documents_per_cpu_second: f64,
    /// Sessions in a second of the daemon's CPU time.
    pub sessions_per_cpu_second: f64,
    /// From End to verdict, the median, in ms.
    pub p50_ms: f64,
    /// The same of the slowest in a hundred.
    pub p99_ms: f64,
    /// Resident memory of the daemon at its greatest, in MiB.
    pub peak_mib: f64,
    /// Requests to the Indexer.
    pub requests: f64,
}

/// A row that was measured.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// What is compared.
    pub figures: Figures,
    /// CPU time of the daemon.
    pub cpu: Cpu,
    /// By kind of thread.
    pub threads: BTreeMap<String, Cpu>,
    /// Where samples fell; nothing where none can be taken.
    pub profile: Option<Profile>,
    /// Sessions with a verdict.
    pub sessions: u64,
    /// Documents in them.
    pub documents: u64,
    /// Those of the requests that were bulk requests.
    pub bulk_requests: u64,
    /// How much the daemon's resident memory grew at its greatest, in MiB.
    pub grown_mib: f64,
    /// Time by the clock, in seconds.
    pub seconds: f64,
    /// CPU time of the Indexer in seconds.
    pub indexer_cpu: f64,
}

/// Rounds that take about so much CPU time, by what a few took.
fn rounds_for(cpu_seconds: f64, probe: u32, probe_cpu: f64, most: u32) -> u32 {
    let needed = f64::from(probe) * cpu_seconds / probe_cpu.max(0.01);
    // A float beyond the range becomes the greatest number, which `most` bounds.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded by `most`"
    )]
    let needed = needed.ceil() as u32;
    needed.clamp(probe, most.max(probe))
}

/// Measures a row.
///
/// # Errors
/// The load did not end well.
pub async fn row(options: &Options, row: &Row, over: Over) -> Ran<Measured> {
    match row.rounds {
        Rounds::Fixed(rounds) => once(options, row, over, rounds, true).await,
        Rounds::Calibrated { probe, most } => {
            let tried = once(options, row, over, probe, true).await?;
            let wanted = f64::from(options.cpu_seconds);
            let rounds = rounds_for(wanted, probe, tried.cpu.total(), most);
            say(&format!(
                "{probe} rounds took {:.2} s of CPU time: {rounds} rounds",
                tried.cpu.total()
            ));
            once(options, row, over, rounds, false).await
        }
    }
}

async fn once(
    options: &Options,
    row: &Row,
    over: Over,
    rounds: u32,
    verify: bool,
) -> Ran<Measured> {
    let stand = Stand::with_sink(options)?;
    let daemon = stand.setup("daemon", CLUSTER).start_ready().await;
    let process = Process::of(daemon.pid())?;
    let sink = stand.sink()?;
    let sink_cpu = || sink.map_or(Ok(Cpu::default()), Process::cpu);
    let mut arguments = row.content.clone();
    let verify = if verify { "ids" } else { "none" };
    let give_up = GIVE_UP_S.to_string();
    for word in [
        "--rounds",
        &rounds.to_string(),
        "--verify",
        verify,
        "--give-up-after-s",
        &give_up,
    ] {
        arguments.push(word.to_owned());
    }
    let stats = stand.stats().await?;
    let profiler = Profiler::start(daemon.pid());
    let (cpu, threads, memory) = (process.cpu()?, process.threads()?, process.memory()?);
    let before_sink = sink_cpu()?;
    let report = stand.load(&daemon, over, row.agents, &arguments).await?;
    let used = process.cpu()?.since(cpu);
    let mut by_thread = process.threads()?;
    for (name, earlier) in &threads {
        if let Some(later) = by_thread.get_mut(name) {
            *later = later.since(*earlier);
        }
    }
    let (_, peak) = process.memory()?;
    let mut measured = Measured {
        cpu: used,
        threads: by_thread,
        profile: profiler.and_then(Profiler::end),
        grown_mib: mib(peak.saturating_sub(memory.0)),
        indexer_cpu: sink_cpu()?.since(before_sink).total(),
        ..Measured::default()
    };
    measured.figures.peak_mib = mib(peak);
    measured.read(&report, &stats, &stand.stats().await?)?;
    Ok(measured)
}

/// Bytes as MiB.
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

impl Measured {
    fn read(&mut self, report: &Value, before: &Value, after: &Value) -> Ran<()> {
        let number = |path: &str| {
            let found = report.pointer(path).and_then(Value::as_f64);
            found.ok_or_else(|| {
                BenchError::new(format!("find {path} in the load client's report"), report)
            })
        };
        let counted = |name: &str| {
            let of = |stats: &Value| stats[name].as_u64().unwrap_or_default();
            of(after).saturating_sub(of(before))
        };
        let whole = |path: &str| {
            let found = report.pointer(path).and_then(Value::as_u64);
            found.ok_or_else(|| {
                BenchError::new(format!("find {path} in the load client's report"), report)
            })
        };
        self.documents = whole("/documents")?;
        self.sessions = whole("/latency_ms/count")?;
        self.seconds = number("/seconds")?;
        self.bulk_requests = counted("bulk_requests");
        let cpu = self.cpu.total().max(0.01);
        self.figures.documents_per_second = self.documents as f64 / self.seconds.max(0.001);
        self.figures.documents_per_cpu_second = self.documents as f64 / cpu;
        self.figures.sessions_per_cpu_second = self.sessions as f64 / cpu;
        self.figures.p50_ms = number("/latency_ms/p50")?;
        self.figures.p99_ms = number("/latency_ms/p99")?;
        self.figures.requests = counted("requests") as f64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rounds_follow_from_the_first_ones() {
        assert_eq!(rounds_for(4.0, 2, 0.5, 1_000), 16);
        assert_eq!(rounds_for(4.0, 2, 0.0, 300), 300);
        assert_eq!(rounds_for(4.0, 5, 80.0, 1_000), 5);
    }

    #[test]
    fn figures_are_read_out_of_the_reports() {
        let report = json!({
            "documents": 1_000, "seconds": 2.0, "latency_ms": {"p50": 3.5, "p99": 9.0, "count": 10},
        });
        let stats = |requests: u64| json!({"requests": requests, "bulk_requests": requests / 2});
        let mut measured = Measured {
            cpu: Cpu {
                user: 0.4,
                system: 0.1,
            },
            ..Measured::default()
        };
        measured.read(&report, &stats(10), &stats(30)).unwrap();
        let figures = &measured.figures;
        assert_eq!(
            (figures.documents_per_second, figures.requests),
            (500.0, 20.0)
        );
        assert_eq!(
            (
                figures.documents_per_cpu_second,
                figures.sessions_per_cpu_second
            ),
            (2_000.0, 20.0)
        );
        assert_eq!((measured.bulk_requests, figures.p99_ms), (10, 9.0));
        assert!(measured.read(&json!({}), &stats(0), &stats(0)).is_err());
    }
}
