//! Legs that stand: a file of one line per leg, and the table that sums them up.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};

use super::plan::Phase;

/// What a leg has shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LegReport {
    /// Its place.
    pub leg: u64,
    /// Kills of the daemon.
    pub daemon_kills: u64,
    /// Kills of daemons that were just starting.
    #[serde(default)]
    pub startup_kills: u64,
    /// Kills of load clients.
    pub client_kills: u64,
    /// Kills of the Indexer.
    pub server_kills: u64,
    /// Troubles of the Indexer.
    pub troubles: u64,
    /// Kills of the daemon that were sent at a line of the phase.
    pub aimed: BTreeMap<Phase, u64>,
    /// Kills of the daemon while sessions were in that phase; several at once are usual.
    pub under_way: BTreeMap<Phase, u64>,
    /// Ends of a load client with equal sets.
    pub comparisons: u64,
    /// Documents compared in them.
    pub documents: u64,
    /// Sessions that daemons opened.
    pub opened: u64,
    /// Sessions that daemons stored.
    pub stored: u64,
    /// Sessions that daemons ended otherwise.
    pub not_stored: u64,
    /// How long it took.
    pub seconds: f64,
    /// Trouble of a real Indexer instead of kills: its name…
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// …and what operators saw of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<String>,
}

impl LegReport {
    /// Adds another one's counts; the place stays.
    pub fn add(&mut self, other: &Self) {
        self.daemon_kills += other.daemon_kills;
        self.startup_kills += other.startup_kills;
        self.client_kills += other.client_kills;
        self.server_kills += other.server_kills;
        self.troubles += other.troubles;
        self.comparisons += other.comparisons;
        self.documents += other.documents;
        self.opened += other.opened;
        self.stored += other.stored;
        self.not_stored += other.not_stored;
        self.seconds += other.seconds;
        for (sum, counts) in [
            (&mut self.aimed, &other.aimed),
            (&mut self.under_way, &other.under_way),
        ] {
            for (phase, count) in counts {
                *sum.entry(*phase).or_default() += count;
            }
        }
    }
}

/// The legs of one campaign that were right.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
    legs: Vec<LegReport>,
}

impl Results {
    /// Reads what is there.
    ///
    /// # Errors
    /// The file cannot be read or made, or was not written by this.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut legs = Vec::new();
        match std::fs::read_to_string(path) {
            Ok(text) => {
                // A line without its end was being written when the campaign was interrupted.
                for line in text
                    .split_inclusive('\n')
                    .filter(|line| line.ends_with('\n'))
                {
                    legs.push(serde_json::from_str(line)?);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let path = path.to_owned();
        Ok(Self { path, legs })
    }

    /// Whether a leg of so many kills stands.
    #[must_use]
    pub fn has(&self, leg: u64, kills: u64) -> bool {
        let is_it = |report: &LegReport| report.leg == leg && report.daemon_kills == kills;
        self.legs.iter().any(is_it)
    }

    /// Writes a leg down.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&mut self, report: LegReport) -> std::io::Result<()> {
        self.legs.retain(|leg| leg.leg != report.leg);
        self.legs.push(report);
        let mut text = String::new();
        for leg in &self.legs {
            text.push_str(&serde_json::to_string(leg)?);
            text.push('\n');
        }
        // Whole or not at all.
        let beside = self.path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(beside, &self.path)
    }

    /// All legs together.
    #[must_use]
    pub fn sum(&self) -> LegReport {
        let mut sum = LegReport::default();
        for leg in &self.legs {
            sum.add(leg);
        }
        sum
    }

    /// Troubles of a real Indexer that stand.
    pub fn scenarios(&self) -> impl Iterator<Item = &LegReport> {
        self.legs.iter().filter(|leg| leg.scenario.is_some())
    }

    /// Legs that stand.
    #[must_use]
    pub const fn legs(&self) -> usize {
        self.legs.len()
    }
}

/// The table of a campaign.
#[must_use]
pub fn table(legs: usize, sum: &LegReport) -> String {
    let mut phases = Table::new();
    phases.load_style(presets::UTF8_FULL_CONDENSED).set_header([
        "phase",
        "kills aimed at it",
        "kills while it was under way",
    ]);
    for phase in Phase::ALL {
        let count = |of: &BTreeMap<Phase, u64>| of.get(&phase).copied().unwrap_or(0).to_string();
        phases.add_row([phase.to_string(), count(&sum.aimed), count(&sum.under_way)]);
    }
    let mut totals = Table::new();
    totals
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_header(["in all", ""]);
    for (what, value) in [
        (
            "kills −9 of the daemon, each followed by a restart",
            sum.daemon_kills,
        ),
        (
            "kills −9 of daemons that were just starting",
            sum.startup_kills,
        ),
        ("kills −9 of load clients", sum.client_kills),
        ("kills −9 of the Indexer", sum.server_kills),
        ("troubles of the Indexer", sum.troubles),
        ("sessions opened", sum.opened),
        ("sessions stored", sum.stored),
        ("sessions ended otherwise", sum.not_stored),
        ("comparisons of all documents, equal", sum.comparisons),
        ("documents compared", sum.documents),
        ("clean stops with an empty store", legs as u64),
    ] {
        totals.add_row([what.to_owned(), value.to_string()]);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "for people"
    )]
    let seconds = sum.seconds as u64;
    totals.add_row([
        "minutes".to_owned(),
        format!("{}:{:02}", seconds / 60, seconds % 60),
    ]);
    for (table, columns) in [(&mut phases, 1..3), (&mut totals, 1..2)] {
        for column in columns {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    format!("{phases}\n\n{totals}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg(number: u64) -> LegReport {
        let mut report = LegReport {
            leg: number,
            daemon_kills: 25,
            seconds: 61.0,
            ..LegReport::default()
        };
        report.aimed.insert(Phase::Listing, 4);
        report.under_way.insert(Phase::Listing, 5);
        report
    }

    #[test]
    fn a_campaign_goes_on_where_it_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/results.jsonl");
        let mut results = Results::open(&path).unwrap();
        results.add(leg(0)).unwrap();
        results.add(leg(2)).unwrap();
        let results = Results::open(&path).unwrap();
        assert!(results.has(0, 25) && !results.has(1, 25) && !results.has(2, 24));
        let sum = results.sum();
        assert_eq!((sum.daemon_kills, sum.under_way[&Phase::Listing]), (50, 10));
        let table = table(results.legs(), &sum);
        assert!(
            table.contains("listing") && table.contains("2:02"),
            "{table}"
        );
    }

    #[test]
    fn a_line_that_was_being_written_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.jsonl");
        let whole = serde_json::to_string(&leg(0)).unwrap();
        std::fs::write(&path, format!("{whole}\n{}", &whole[..20])).unwrap();
        assert_eq!(Results::open(&path).unwrap().legs(), 1);
        std::fs::write(&path, "something else\n").unwrap();
        assert!(Results::open(&path).is_err());
    }
}
