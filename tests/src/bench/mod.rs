//! The benchmark: what the daemon costs, measured from outside.
//!
//! ```text
//!  inventory-sync replay ══TLS or Unix══▶ inventory-sync serve ══TLS══▶ inventory-indexer --sink
//!        │ verdicts, latencies                 │ CPU and memory: /proc      │ requests, documents
//!        └──────────────────────▶ row ◀────────┴──────────◀─────────────────┘
//!                                  └─▶ tables, and a ratio to docs/bench-baseline.json
//! ```
//!
//! # Invariants
//!
//! * Three processes, each with a folder of its own, on loopback; a row starts them anew and ends them.
//! * Nothing in the daemon is switched off or added for it.
//! * A load that does not end well is an error, never a row.
//! * Ratios are so turned that more than 1 is better than the baseline.

mod baseline;
mod giant;
mod idle;
mod loader;
mod measure;
mod opensearch;
mod process;
mod profile;
mod rows;
mod stand;
mod table;

use std::path::PathBuf;

use clap::Parser;

pub use baseline::{Baseline, MARKED_BELOW};
pub use measure::Figures;
pub use rows::{Over, Row};

use crate::bench::table::Report;

/// What is measured.
#[derive(Clone, Debug, Parser)]
#[command(version, about = "Measures the daemon, started by `cargo xtask bench`")]
pub struct Options {
    /// Short loads: shows that everything works, and figures that mean little
    #[arg(long)]
    pub quick: bool,
    /// Only the rows whose names begin so; `giant` is run when it is named alone
    #[arg(long, value_name = "NAME")]
    pub row: Option<String>,
    /// Write the figures to docs/bench-baseline.json
    #[arg(long, conflicts_with_all = ["quick", "row"])]
    pub save_baseline: bool,
    /// Also deliver into the OpenSearch that INVENTORY_TEST_INDEXER_* names, beside a plain bulk loader
    #[arg(long)]
    pub opensearch: bool,
    /// A folder with captured sessions (*.json): one row each
    #[arg(long, value_name = "DIR", env = "INVENTORY_TEST_SESSIONS")]
    pub sessions: Option<PathBuf>,
    /// Where stores and logs are kept meanwhile [default: the system's folder for such]
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// CPU time of the daemon that a row is to take, in seconds
    #[arg(long, value_name = "S", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub cpu_seconds: u32,
}

/// Why there is no figure.
#[derive(Debug)]
pub struct BenchError {
    what: String,
    cause: String,
}

impl BenchError {
    /// Something could not be done.
    pub fn new(what: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        Self {
            what: what.into(),
            cause: cause.to_string(),
        }
    }
}

impl std::fmt::Display for BenchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot {}: {}", self.what, self.cause)
    }
}

impl std::error::Error for BenchError {}

/// What went well, or why not.
pub type Ran<T> = Result<T, BenchError>;

/// Says on standard error what is done now.
fn say(what: &str) {
    eprintln!("── {what}");
}

/// Measures and prints.
///
/// # Errors
/// The first load that did not end well.
pub async fn run(options: &Options) -> Ran<()> {
    // For reqwest, which asks for "the" provider.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    if options.row.as_deref() == Some(giant::NAME) {
        return giant::run(options).await;
    }
    let wanted = |name: &str| {
        options
            .row
            .as_deref()
            .is_none_or(|row| name.starts_with(row))
    };
    let path = baseline::path();
    let baseline = Baseline::read(&path);
    let mut report = Report::new(baseline.as_ref());
    for row in rows::all(options)?.iter().filter(|row| wanted(&row.name)) {
        for over in row.over {
            say(&format!("{} over {}", row.name, over.name()));
            report.add(row, *over, measure::row(options, row, *over).await?);
        }
    }
    let idle = if wanted(idle::NAME) {
        Some(idle::measure(options).await?)
    } else {
        None
    };
    if !report.is_empty() {
        println!("{}", report.rows());
    }
    if let Some(idle) = &idle {
        println!("{}", report.idle(idle));
    }
    if !report.is_empty() {
        println!("{}", report.stages());
    }
    if options.opensearch {
        println!("{}", opensearch::measure(options).await?);
    }
    if options.save_baseline {
        report.baseline(idle.as_ref()).write(&path)?;
        say(&format!("written: {}", path.display()));
    }
    Ok(())
}
