//! `--row giant`: 999 agents with 2 000 documents of 8 kB each, 16 GB through the daemon.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::measure::{mib, row};
use super::rows::{Over, Rounds, Row};
use super::table::{Report, grouped};
use super::{BenchError, Options, Ran, say};

/// The row's name.
pub const NAME: &str = "giant";

const AGENTS: u64 = 999;
const DOCUMENTS: u64 = 2_000;
const BYTES: u64 = 8_000;

/// Agents at once; the others wait for their turn, so that what is staged has a bound.
const ACTIVE: u64 = 100;

/// Memory that the three processes together may take.
const MEMORY_BYTES: u64 = 4 << 30;

/// Room for logs, and for files that the store has replaced and not yet removed.
const DISK_SLACK: u64 = 3;

/// The disk that is needed: what may be staged at once, a few times.
const fn disk_bytes() -> u64 {
    ACTIVE * DOCUMENTS * BYTES * DISK_SLACK
}

/// Measures it.
///
/// # Errors
/// The machine is too small, or the load did not end well.
pub async fn run(options: &Options) -> Ran<()> {
    let folder = options.folder.clone().unwrap_or_else(std::env::temp_dir);
    let (disk, memory) = (free_disk(&folder)?, free_memory()?);
    say(&format!(
        "{NAME}: {} documents of {BYTES} bytes, {} GB; needs {} GB of disk in {} (free: {}) and {} GB of memory (free: {})",
        grouped((AGENTS * DOCUMENTS) as f64),
        AGENTS * DOCUMENTS * BYTES / 1_000_000_000,
        gigabytes(disk_bytes()),
        folder.display(),
        gigabytes(disk),
        gigabytes(MEMORY_BYTES),
        gigabytes(memory),
    ));
    if disk < disk_bytes() || memory < MEMORY_BYTES {
        return Err(BenchError::new(
            format!("run {NAME}"),
            "there is less free than it needs; give another folder with --folder",
        ));
    }
    let content = [
        "--documents",
        &DOCUMENTS.to_string(),
        "--document-bytes",
        &BYTES.to_string(),
        "--mode",
        "full",
        "--active",
        &ACTIVE.to_string(),
    ];
    let row_of = Row {
        name: NAME.to_owned(),
        over: &[Over::Tls],
        agents: u32::try_from(AGENTS).unwrap_or(u32::MAX),
        content: content.map(str::to_owned).to_vec(),
        rounds: Rounds::Fixed(1),
    };
    // The load client prints how far it is; what the disk holds meanwhile is looked at beside it.
    let (end, ended) = std::sync::mpsc::channel();
    let watched = folder.clone();
    let watcher = std::thread::spawn(move || watch(&watched, disk, &ended));
    let measured = row(options, &row_of, Over::Tls).await;
    drop(end);
    // It only prints; it cannot fail.
    let most = watcher.join().unwrap_or_default();
    let measured = measured?;
    say(&format!(
        "{NAME}: {:.0} MiB of disk at most, {:.0} MiB of memory at most in the daemon",
        mib(most),
        measured.figures.peak_mib
    ));
    let mut report = Report::new(None);
    report.add(&row_of, Over::Tls, measured);
    println!("{}\n{}", report.rows(), report.stages());
    Ok(())
}

/// Prints now and then how much of the disk is taken, until the other side is gone; answers the most it saw.
fn watch(folder: &Path, before: u64, ended: &Receiver<()>) -> u64 {
    let mut most = 0;
    let mut looks = 0_u64;
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(Duration::from_secs(1)) {
        looks += 1;
        let Ok(free) = free_disk(folder) else {
            continue;
        };
        let taken = before.saturating_sub(free);
        most = most.max(taken);
        if looks.is_multiple_of(10) {
            eprintln!("   {:.0} MiB of disk taken", mib(taken));
        }
    }
    most
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e9)
}

fn free_disk(folder: &Path) -> Ran<u64> {
    let stat = nix::sys::statvfs::statvfs(folder).map_err(|error| {
        BenchError::new(
            format!("ask how much is free in {}", folder.display()),
            error,
        )
    })?;
    Ok(stat.blocks_available() * stat.fragment_size())
}

fn free_memory() -> Ran<u64> {
    use procfs::Current;
    let info = procfs::Meminfo::current()
        .map_err(|error| BenchError::new("ask how much memory is free", error))?;
    Ok(info.mem_available.unwrap_or(info.mem_free))
}
