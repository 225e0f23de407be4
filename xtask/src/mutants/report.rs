//! The report: scores with their intervals, and each survivor with its reason.

use std::fmt::Write as _;

use super::judge::Judge;
use super::list::{Mutant, Mutants};
use super::results::{self, Results};
use crate::Failure;
use crate::run;

/// Counts of one judge.
#[derive(Default)]
struct Score {
    caught: usize,
    timeout: usize,
    missed: Vec<String>,
    unviable: usize,
}

impl Score {
    fn judged(&self) -> usize {
        self.caught + self.timeout + self.missed.len()
    }

    /// Share that was caught and its 95 % interval (Wilson), in tenths of a percent.
    fn share(&self) -> (f64, f64, f64) {
        let n = self.judged() as f64;
        if n == 0.0 {
            return (0.0, 0.0, 100.0);
        }
        let p = (self.caught + self.timeout) as f64 / n;
        let z = 1.96_f64;
        let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let spread = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        (
            100.0 * p,
            100.0 * (centre - spread),
            100.0 * (centre + spread).min(1.0),
        )
    }
}

fn score(sample: &[Mutant], results: &Results) -> Score {
    let mut score = Score::default();
    for mutant in sample {
        match results.get(&mutant.key) {
            Some("caught") => score.caught += 1,
            Some("timeout") => score.timeout += 1,
            Some("unviable") => score.unviable += 1,
            Some("missed") => score.missed.push(mutant.key.clone()),
            _ => {}
        }
    }
    score.missed.sort();
    score
}

/// Writes `docs/mutants.md`.
pub fn write(all: &Mutants, sample: &[Mutant]) -> Result<(), Failure> {
    let reasons = Results::reasons();
    let mut text = String::from(REPORT_HEAD);
    let _ = writeln!(
        text,
        "{} mutants of `core/`, of which the first {} in the order of the hash of their names are the sample.\n",
        all.order.len(),
        sample.len()
    );
    text.push_str(TABLE_HEAD);
    let mut lists = String::new();
    for judge in Judge::BOTH {
        let score = score(sample, &Results::read(judge));
        let (share, low, high) = score.share();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {share:.1} % | {low:.1} to {high:.1} % |",
            judge.name(),
            score.judged(),
            score.caught,
            score.timeout,
            score.missed.len(),
            score.unviable
        );
        let _ = writeln!(lists, "\n## Survivors: {}\n", judge.name());
        lists.push_str("| mutant | why it survives |\n|---|---|\n");
        for key in &score.missed {
            let reason = reasons.get(key).unwrap_or("not explained yet");
            let _ = writeln!(lists, "| `{}` | {reason} |", key.replace('|', "\\|"));
        }
    }
    text.push_str(&lists);
    let path = run::root().join("docs/mutants.md");
    results::write(&path, &text)?;
    let table = text.lines().filter(|line| line.starts_with("| ")).take(3);
    eprintln!("\n{}", table.collect::<Vec<_>>().join("\n"));
    eprintln!("   written: {}", path.display());
    Ok(())
}

const TABLE_HEAD: &str = "\
| judge | judged | caught | in time-out | missed | not viable | score | 95 % interval |
|---|---|---|---|---|---|---|---|
";

const REPORT_HEAD: &str = "\
# Mutants of the core

Written by `cargo xtask mutants`; results accumulate in `docs/mutants/`. A mutant is one small fault put into
`core/` by cargo-mutants. `simulator` judges with random seeds, scripts and small worlds under the oracles alone,
`all` adds the tests of `core/` itself to what the simulator lets live; end-to-end tests judge nothing here.
Left out are `Debug` and `Display` alone. A mutant that keeps its judge busy for too long counts as caught.

";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_holds_the_share() {
        let score = Score {
            caught: 270,
            missed: vec![String::new(); 30],
            ..Score::default()
        };
        let (share, low, high) = score.share();
        assert!((share - 90.0).abs() < 0.01);
        assert!(
            low > 86.0 && low < 87.0 && high > 92.0 && high < 93.0,
            "{low} {high}"
        );
    }
}
