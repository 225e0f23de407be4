//! Where the daemon's CPU time goes.
//!
//! Two sources, both from outside and none in the hot path: the kernel's clock of each thread, by its name (exact), and
//! samples of `perf`, by the symbol they fell on (an estimate, where `perf` may be used). Shared code (copies, the
//! allocator) is a stage of its own: a sample does not say for whom it was.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::NamedTempFile;

use super::measure::Measured;
use super::table::{grouped, table as new_table};

/// Samples in a second of CPU time.
const FREQUENCY: &str = "499";

/// Stages by what their symbols contain; the first that fits counts.
const STAGES: &[(&str, &[&str])] = &[
    (
        "machine",
        &[
            "inventory_sync_core::manager",
            "inventory_sync_core::coordinator",
        ],
    ),
    (
        "decode, scan",
        &[
            "inventory_sync_core::wire",
            "inventory_sync_core::document::scan",
            "document::json",
            "flatbuffers",
            "from_utf8",
            "utf8_validation",
            "inventory_sync_schemas",
        ],
    ),
    (
        "plan, table, diff",
        &[
            "document::plan",
            "document::table",
            "document::diff",
            "document::runs",
            "document::scheme",
            "document::listing",
        ],
    ),
    (
        "read, render",
        &[
            "document::render",
            "DBPinnableSlice",
            "rocksdb::DBImpl::Get",
            "rocksdb::Version::Get",
            "rocksdb::MemTable::Get",
            "rocksdb::BlockBasedTable",
            "rocksdb::TableCache",
        ],
    ),
    (
        "stage (RocksDB)",
        &["rocksdb", "LZ4_", "crc32", "XXH3_", "inventory_sync::store"],
    ),
    ("answer", &["inventory_sync_core::answer"]),
    (
        "TLS: decipher (in, answers)",
        &["gcm_dec", "gcm_decrypt", "_open", "chacha20_poly1305_open"],
    ),
    (
        "TLS: encipher (out, verdicts)",
        &["gcm_enc", "gcm_encrypt", "_seal", "chacha20_poly1305_seal"],
    ),
    (
        "TLS: handshakes, keys",
        &[
            "p256",
            "p384",
            "x25519",
            "curve25519",
            "ecp_nistz",
            "bn_",
            "ecdsa",
            "sha256",
            "sha384",
            "sha512",
            "webpki",
            "mlkem",
            "ml_kem",
            "keccak",
            "x509",
        ],
    ),
    (
        "TLS: records and other cipher work",
        &["rustls", "aws_lc", "aes_", "gcm", "ghash", "aesni"],
    ),
    ("HTTP", &["hyper", "reqwest", "h2::", "http::", "httparse"]),
    (
        "sockets, frames (our I/O code)",
        &["inventory_sync::serve", "inventory_sync::indexer"],
    ),
    ("async runtime", &["tokio", "mio::", "futures", "crossbeam"]),
    (
        "allocator",
        &[
            "malloc",
            "free",
            "realloc",
            "calloc",
            "_int_",
            "alloc::alloc",
            "tcache",
            "sysmalloc",
            "unlink_chunk",
        ],
    ),
    ("copies", &["memcpy", "memmove", "memset", "memcmp"]),
    ("hashes", &["xxh3", "xxhash", "hashbrown", "siphash"]),
    ("logs, metrics", &["tracing", "metrics"]),
];

const KERNEL: &str = "kernel: sockets, files, memory";
const OTHER: &str = "other";

/// Shares of the samples, in percent, by kind of thread and stage.
pub type Profile = BTreeMap<(String, &'static str), f64>;

/// Samples that are being taken.
pub struct Profiler {
    perf: Child,
    file: NamedTempFile,
}

impl Profiler {
    /// Begins to sample a process; nothing where `perf` cannot.
    pub fn start(pid: u32) -> Option<Self> {
        let file = NamedTempFile::new().ok()?;
        let mut perf = Command::new("perf")
            .args([
                "record",
                "--quiet",
                "--freq",
                FREQUENCY,
                "--pid",
                &pid.to_string(),
                "--output",
            ])
            .arg(file.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        // One that may not sample ends at once.
        std::thread::yield_now();
        match perf.try_wait() {
            Ok(None) => Some(Self { perf, file }),
            _ => None,
        }
    }

    /// Ends sampling and reads where the samples fell.
    pub fn end(mut self) -> Option<Profile> {
        let pid = i32::try_from(self.perf.id()).ok()?;
        kill(Pid::from_raw(pid), Signal::SIGINT).ok()?;
        self.perf.wait().ok()?;
        let report = Command::new("perf")
            .args([
                "report",
                "--stdio",
                "--no-children",
                "--no-inline",
                "--percent-limit",
                "0",
            ])
            .args([
                "--sort",
                "comm,dso,symbol",
                "--field-separator",
                "\t",
                "--input",
            ])
            .arg(self.file.path())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let profile = read(&String::from_utf8_lossy(&report.stdout));
        (!profile.is_empty()).then_some(profile)
    }
}

/// Reads lines of percent, thread, object and symbol.
fn read(report: &str) -> Profile {
    let mut profile = Profile::new();
    for line in report.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t').map(str::trim);
        let share = columns
            .next()
            .and_then(|share| share.trim_end_matches('%').parse::<f64>().ok());
        let (Some(share), Some(thread), Some(object), Some(symbol)) =
            (share, columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        let thread = thread.trim_end_matches(|each: char| each.is_ascii_digit() || each == '-');
        let stage = stage(object, symbol);
        *profile.entry((thread.to_owned(), stage)).or_default() += share;
    }
    profile
}

fn stage(object: &str, symbol: &str) -> &'static str {
    if object.starts_with('[') && object != "[vdso]" || symbol.starts_with("[k]") {
        return KERNEL;
    }
    let fits = |(_, parts): &&(&str, &[&str])| parts.iter().any(|part| symbol.contains(part));
    STAGES.iter().find(fits).map_or(OTHER, |(name, _)| name)
}

/// The second table: one part by thread, one by stage.
pub fn table(rows: &[(String, Measured)]) -> String {
    let mut by_thread = new_table(&[
        "CPU time by thread",
        "thread",
        "share %",
        "µs/document",
        "µs/session",
    ]);
    let mut by_stage = new_table(&[
        "CPU time by stage (samples)",
        "stage",
        "share %",
        "ns/document",
    ]);
    let mut sampled = false;
    for (name, measured) in rows {
        let documents = measured.documents.max(1) as f64;
        let sessions = measured.sessions.max(1) as f64;
        let total = measured.cpu.total().max(0.01);
        for (thread, cpu) in &measured.threads {
            if cpu.total() / total >= 0.005 {
                by_thread.add_row([
                    name.clone(),
                    thread.clone(),
                    format!("{:.0}", 100.0 * cpu.total() / total),
                    format!("{:.2}", 1e6 * cpu.total() / documents),
                    format!("{:.1}", 1e6 * cpu.total() / sessions),
                ]);
            }
        }
        for (stage, share) in stages(measured) {
            sampled = true;
            by_stage.add_row([
                name.clone(),
                stage.to_owned(),
                format!("{share:.1}"),
                grouped(1e9 * total * share / 100.0 / documents),
            ]);
        }
    }
    if !sampled {
        return format!("{by_thread}\n\nNo samples: `perf` is missing, or may not be used here.\n");
    }
    format!("{by_thread}\n\n{by_stage}\n")
}

/// The shares of stages, all threads together, greatest first; small ones are left out.
fn stages(measured: &Measured) -> Vec<(&'static str, f64)> {
    let mut shares: BTreeMap<&'static str, f64> = BTreeMap::new();
    for ((_, stage), share) in measured.profile.iter().flatten() {
        *shares.entry(stage).or_default() += share;
    }
    let mut shares: Vec<_> = shares
        .into_iter()
        .filter(|(_, share)| *share >= 0.5)
        .collect();
    shares.sort_by(|left, right| right.1.total_cmp(&left.1));
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_fall_into_stages() {
        let report = "# Overhead\tCommand\n\
            12.50%\tinventory-io\tinventory-sync\t[.] aes_gcm_dec_update_vaes\n\
            7.50%\tinventory-shard-0\tinventory-sync\t[.] inventory_sync_core::manager::Manager::handle\n\
            2.50%\tinventory-shard-1\tinventory-sync\t[.] <inventory_sync_core::manager::X as Y>::z\n\
            30.00%\tinventory-io\t[kernel.kallsyms]\t[k] copy_user\n\
            1.00%\tinventory-io\tlibc.so.6\t[.] 0x0000000000001234\n\n";
        let profile = read(report);
        let share = |thread: &str, stage| profile.get(&(thread.to_owned(), stage)).copied();
        assert_eq!(share("inventory-shard", "machine"), Some(10.0));
        assert_eq!(share("inventory-io", KERNEL), Some(30.0));
        assert_eq!(share("inventory-io", OTHER), Some(1.0));
        assert_eq!(
            share("inventory-io", "TLS: decipher (in, answers)"),
            Some(12.5)
        );
        let measured = Measured {
            profile: Some(profile),
            ..Measured::default()
        };
        assert_eq!(stages(&measured)[0], (KERNEL, 30.0));
        let shown = table(&[("row".to_owned(), measured)]);
        assert!(shown.contains("machine"), "{shown}");
    }

    #[test]
    fn without_samples_that_is_said() {
        assert!(table(&[("row".to_owned(), Measured::default())]).contains("No samples"));
    }
}
