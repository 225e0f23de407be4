//! Installed packages, of every package manager whose database is there.

mod dpkg;
mod rpm;

use std::path::PathBuf;

use super::{Category, Outcome, Roots, Scan, Source};

/// Packages of dpkg (read from its status file) and rpm (asked of `rpm`).
#[derive(Debug, Clone)]
pub struct Packages {
    /// The program asked for rpm's packages.
    rpm: PathBuf,
}

impl Default for Packages {
    fn default() -> Self {
        Self { rpm: "rpm".into() }
    }
}

/// Whether a package manager is there and what became of reading it.
enum Part {
    /// This system does not use it.
    Absent,
    /// Its rows were added to the scan.
    Read,
    /// It is there and could not be read.
    Failed(String),
}

impl Source for Packages {
    fn category(&self) -> Category {
        Category::Packages
    }

    fn scan(&self, roots: &Roots) -> Outcome {
        let mut scan = Scan::new();
        let parts = [
            ("dpkg", dpkg::read(roots, &mut scan)),
            ("rpm", rpm::read(&self.rpm, roots, &mut scan)),
        ];
        let mut was_read = false;
        let mut failures = Vec::new();
        for (manager, part) in parts {
            match part {
                Part::Absent => {}
                Part::Read => was_read = true,
                Part::Failed(what) => failures.push((manager, what)),
            }
        }
        if !was_read {
            let reason = if failures.is_empty() {
                "no package database of dpkg or rpm was found".into()
            } else {
                let failures: Vec<_> = failures
                    .iter()
                    .map(|(manager, what)| format!("{manager}: {what}"))
                    .collect();
                failures.join("; ")
            };
            return Outcome::Unavailable { reason };
        }
        // One manager's packages without the other's must not delete the other's.
        for (manager, what) in failures {
            scan.incomplete(manager, what);
        }
        Outcome::Scanned(scan)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, reason, scanned};
    use super::*;

    const STATUS: &str =
        "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n";

    fn packages(rpm: &str) -> Packages {
        Packages { rpm: rpm.into() }
    }

    #[test]
    fn one_manager_of_two_makes_the_scan_incomplete() {
        let fixture = Fixture::new()
            .file("var/lib/dpkg/status", STATUS)
            .file("var/lib/rpm/rpmdb.sqlite", "x");
        let scan = scanned(packages("/nonexistent/rpm").scan(&fixture.roots()));
        assert_eq!(scan.rows.len(), 1);
        assert!(!scan.complete);
        assert_eq!(scan.problems[0].entry, "rpm");
    }

    #[test]
    fn no_manager_is_unavailable() {
        let reason = reason(packages("rpm").scan(&Fixture::new().roots()));
        assert!(reason.contains("no package database"), "{reason}");
    }

    #[test]
    fn a_database_that_cannot_be_read_is_unavailable() {
        let fixture = Fixture::new().file("var/lib/dpkg/status/x", "");
        let reason = reason(packages("rpm").scan(&fixture.roots()));
        assert!(reason.starts_with("dpkg: "), "{reason}");
    }
}
