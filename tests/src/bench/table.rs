//! The tables, as plain text.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use super::baseline::{Baseline, Better, MARKED_BELOW, Machine, ratio};
use super::idle::Idle;
use super::measure::Measured;
use super::profile;
use super::rows::{Over, Row};

/// What was measured so far.
pub struct Report<'a> {
    baseline: Option<&'a Baseline>,
    rows: Vec<(String, Measured)>,
}

/// A number with its thousands set apart.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    if value < 0.0 {
        format!("-{text}")
    } else {
        text
    }
}

/// A figure beside its ratio to the baseline; `!` marks one that became worse.
fn compared(shown: String, now: f64, then: Option<f64>, better: Better) -> String {
    match then.and_then(|then| ratio(now, then, better)) {
        Some(ratio) if ratio < MARKED_BELOW => format!("{shown} ({ratio:.2}!)"),
        Some(ratio) => format!("{shown} ({ratio:.2})"),
        None => shown,
    }
}

/// A table whose columns, but for the first, are numbers.
pub fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(head.iter().copied());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

impl<'a> Report<'a> {
    /// Nothing yet.
    pub fn new(baseline: Option<&'a Baseline>) -> Self {
        Self {
            baseline,
            rows: Vec::new(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// One more row.
    pub fn add(&mut self, row: &Row, over: Over, measured: Measured) {
        self.rows
            .push((format!("{} {}", row.name, over.name()), measured));
    }

    /// The first table.
    pub fn rows(&self) -> String {
        let mut shown = table(&[
            "row",
            "documents/s",
            "documents/CPU-s",
            "sessions/CPU-s",
            "p50 ms",
            "p99 ms",
            "peak MiB",
            "grown MiB",
            "requests",
            "of them bulk",
            "CPU s",
            "user %",
            "Indexer CPU s",
        ]);
        for (name, measured) in &self.rows {
            let now = &measured.figures;
            let then = self.baseline.and_then(|baseline| baseline.rows.get(name));
            let more =
                |value: f64, then: Option<f64>| compared(grouped(value), value, then, Better::More);
            let less = |value: f64, then: Option<f64>| {
                compared(format!("{value:.1}"), value, then, Better::Less)
            };
            shown.add_row([
                name.clone(),
                more(
                    now.documents_per_second,
                    then.map(|then| then.documents_per_second),
                ),
                more(
                    now.documents_per_cpu_second,
                    then.map(|then| then.documents_per_cpu_second),
                ),
                more(
                    now.sessions_per_cpu_second,
                    then.map(|then| then.sessions_per_cpu_second),
                ),
                less(now.p50_ms, then.map(|then| then.p50_ms)),
                less(now.p99_ms, then.map(|then| then.p99_ms)),
                less(now.peak_mib, then.map(|then| then.peak_mib)),
                format!("{:.1}", measured.grown_mib),
                // How long a row runs is calibrated, so that the number alone says nothing: it is compared by document.
                grouped(now.requests),
                grouped(measured.bulk_requests as f64),
                format!("{:.2}", measured.cpu.total()),
                format!(
                    "{:.0}",
                    100.0 * measured.cpu.user / measured.cpu.total().max(0.01)
                ),
                format!("{:.2}", measured.indexer_cpu),
            ]);
        }
        format!("{}\n\n{shown}\n", self.about())
    }

    fn about(&self) -> String {
        let machine = Machine::this();
        let this = format!("Measured on {} cores of {}.", machine.cores, machine.cpu);
        let Some(baseline) = self.baseline else {
            return format!("{this} There is no baseline to compare with.");
        };
        let then = if baseline.machine == machine {
            "this machine".to_owned()
        } else {
            format!(
                "another machine ({} cores of {})",
                baseline.machine.cores, baseline.machine.cpu
            )
        };
        format!(
            "{this} In brackets: the ratio to the baseline of {then}; more than 1 is better, `!` marks less than {MARKED_BELOW}."
        )
    }

    /// What idle sessions and connections take.
    pub fn idle(&self, idle: &Idle) -> String {
        let then = self.baseline.and_then(|baseline| baseline.idle);
        let mut shown = table(&["idle", "count", "resident MiB more", "bytes each"]);
        let bytes =
            |value: f64, then: Option<f64>| compared(grouped(value), value, then, Better::Less);
        shown.add_row([
            "sessions, by relay".to_owned(),
            grouped(f64::from(idle.sessions)),
            format!("{:.1}", idle.sessions_mib),
            bytes(idle.session_bytes(), then.map(|then| then.0)),
        ]);
        shown.add_row([
            "TLS connections, without their session".to_owned(),
            grouped(f64::from(idle.connections)),
            format!("{:.1}", idle.connections_mib),
            bytes(idle.connection_bytes(), then.map(|then| then.1)),
        ]);
        format!("{shown}\n")
    }

    /// The second table.
    pub fn stages(&self) -> String {
        profile::table(&self.rows)
    }

    /// The figures, to be kept.
    pub fn baseline(&self, idle: Option<&Idle>) -> Baseline {
        let rows = self.rows.iter();
        Baseline {
            machine: Machine::this(),
            rows: rows
                .filter(|(name, _)| !name.starts_with("captured"))
                .map(|(name, measured)| (name.clone(), measured.figures.clone()))
                .collect(),
            idle: idle.map(|idle| {
                (
                    idle.session_bytes().round(),
                    idle.connection_bytes().round(),
                )
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measure::Figures;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(grouped(0.4), "0");
        assert_eq!(grouped(999.0), "999");
        assert_eq!(grouped(1_234_567.0), "1 234 567");
        assert_eq!(grouped(-1_000.0), "-1 000");
    }

    #[test]
    fn what_became_worse_is_marked() {
        let figures = |documents: f64, p99: f64| Figures {
            documents_per_second: documents,
            p99_ms: p99,
            ..Figures::default()
        };
        let baseline = Baseline {
            machine: Machine::this(),
            rows: [("single tls".to_owned(), figures(1_000.0, 10.0))].into(),
            idle: None,
        };
        let mut report = Report::new(Some(&baseline));
        let measured = Measured {
            figures: figures(700.0, 5.0),
            ..Measured::default()
        };
        report
            .rows
            .push(("single tls".to_owned(), measured.clone()));
        report.rows.push(("other tls".to_owned(), measured));
        let shown = report.rows();
        assert!(
            shown.contains("700 (0.70!)") && shown.contains("5.0 (2.00)"),
            "{shown}"
        );
        assert!(shown.contains("this machine"), "{shown}");
        assert_eq!(report.baseline(None).rows.len(), 2);
    }
}
