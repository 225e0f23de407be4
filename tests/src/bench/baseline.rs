//! The figures of an earlier run, to see what became slower.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::measure::Figures;
use super::{BenchError, Ran};

/// A ratio below this is marked.
pub const MARKED_BELOW: f64 = 0.8;

/// A machine, as far as figures depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Processors.
    pub cores: usize,
    /// What kind.
    pub cpu: String,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn this() -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: model(&info).unwrap_or("unknown").to_owned(),
        }
    }
}

fn model(info: &str) -> Option<&str> {
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

/// Figures that were kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Where they were measured.
    pub machine: Machine,
    /// By row and way in.
    pub rows: BTreeMap<String, Figures>,
    /// Bytes of an idle session, and of an idle TLS connection.
    pub idle: Option<(f64, f64)>,
}

/// Where they are kept.
#[must_use]
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bench-baseline.json")
}

impl Baseline {
    /// What was kept, if something was.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
    }

    /// Keeps it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Ran<()> {
        let mut text = serde_json::to_string_pretty(&self.rounded())
            .map_err(|error| BenchError::new("print the baseline", error))?;
        text.push('\n');
        std::fs::write(path, text)
            .map_err(|error| BenchError::new(format!("write {}", path.display()), error))
    }

    /// With the digits that mean something.
    fn rounded(&self) -> Self {
        let round = |value: &mut f64| *value = (*value * 100.0).round() / 100.0;
        let mut rounded = self.clone();
        for figures in rounded.rows.values_mut() {
            for value in [
                &mut figures.documents_per_second,
                &mut figures.documents_per_cpu_second,
                &mut figures.sessions_per_cpu_second,
                &mut figures.p50_ms,
                &mut figures.p99_ms,
                &mut figures.peak_mib,
                &mut figures.requests,
            ] {
                round(value);
            }
        }
        rounded
    }
}

/// Whether more of a figure is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// It is.
    More,
    /// Less is.
    Less,
}

/// How a figure compares with the baseline's: more than 1 is better. Nothing where one of them is nothing.
#[must_use]
pub fn ratio(now: f64, then: f64, better: Better) -> Option<f64> {
    let (over, under) = match better {
        Better::More => (now, then),
        Better::Less => (then, now),
    };
    (now > 0.0 && then > 0.0).then(|| over / under)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_better_above_one() {
        assert_eq!(ratio(200.0, 100.0, Better::More), Some(2.0));
        assert_eq!(ratio(200.0, 100.0, Better::Less), Some(0.5));
        assert_eq!(ratio(0.0, 100.0, Better::Less), None);
        assert_eq!(ratio(1.0, 0.0, Better::More), None);
    }

    #[test]
    fn the_model_is_found() {
        let info = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t: a";
        assert_eq!(model(info), Some("Some CPU @ 2 GHz"));
        assert_eq!(model("processor: 0"), None);
        assert!(Machine::this().cores > 0);
    }

    #[test]
    fn what_is_kept_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baseline.json");
        assert_eq!(Baseline::read(&path), None);
        let figures = Figures {
            p50_ms: 1.25,
            ..Figures::default()
        };
        let kept = Baseline {
            machine: Machine::this(),
            rows: [("single over tls".to_owned(), figures)].into(),
            idle: Some((300.0, 9_000.0)),
        };
        kept.write(&path).unwrap();
        assert_eq!(Baseline::read(&path), Some(kept));
    }
}
