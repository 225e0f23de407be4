//! The list of incidents, read; and the scenarios that its rows need beside the random worlds.

#![allow(dead_code, reason = "each test file uses a part of this one")]

use std::path::Path;

use inventory_sim::{Action, Conduct, Ending, Fate, Options, Report, run};
use inventory_sync_core::bug::Bug;

/// The rows of `sim/INCIDENTS.md`.
pub struct List {
    rows: Vec<Row>,
}

/// One incident.
pub struct Row {
    /// Its number in the list.
    pub id: String,
    /// How it is expressed here, or why not.
    pub how: String,
    /// `yes`, `not yet` or `no`.
    pub status: String,
}

impl List {
    /// Reads the list.
    pub fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("INCIDENTS.md");
        let text = std::fs::read_to_string(path).unwrap();
        let rows = text.lines().filter_map(|line| {
            let mut cells = line.trim().strip_prefix('|')?.split('|').map(str::trim);
            let id = cells.next()?.to_owned();
            let is_id = id.get(1..2) == Some("-") && "MATX".contains(id.get(..1)?);
            let (_, status, how) = (cells.next()?, cells.next()?, cells.next()?);
            is_id.then(|| Row {
                id,
                how: how.to_owned(),
                status: status.to_owned(),
            })
        });
        Self {
            rows: rows.collect(),
        }
    }

    /// The rows.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The incidents that a planted bug repeats.
    pub fn of_bug(&self, bug: Bug) -> Vec<&str> {
        let cited = format!("`Bug::{bug:?}`");
        let rows = self.rows.iter().filter(|row| row.how.contains(&cited));
        rows.map(|row| row.id.as_str()).collect()
    }
}

/// A world in which nothing happens but what its script says.
pub struct Scenario {
    options: Options,
    script: Vec<(u64, Action)>,
}

impl Scenario {
    fn new(script: Vec<(u64, Action)>) -> Self {
        let mut options = Options::calm(7);
        options.agents = 1;
        options.change_every_ms = 0;
        options.warm_up_ms = 45_000;
        options.chaos_ms = 1_000;
        Self { options, script }
    }

    /// Runs it.
    pub fn run(&self) -> Report {
        let conduct = Conduct {
            script: self.script.clone(),
            keep_text: true,
            ..Conduct::default()
        };
        run(&self.options, conduct)
    }

    /// With all its rules the manager brings it to a good end.
    pub fn check_sound(&self, name: &str) {
        let report = self.run();
        let text = report.trace.unwrap_or_default();
        assert_eq!(report.ending, Ending::Sound, "{name}: {text}");
        assert!(report.counts.ok > 0, "{name}: nothing was acknowledged");
    }
}

fn put(content: u64) -> Action {
    Action::Put {
        agent: 0,
        index: 0,
        document: 1,
        content,
    }
}

const DELTA: Action = Action::Delta {
    agent: 0,
    module: 0,
};

fn foreign(content: u64, ahead_ms: u64) -> Action {
    Action::ForeignWrite {
        agent: 0,
        index: 0,
        document: 1,
        content,
        ahead_ms,
    }
}

/// Something else writes a document under a version so far ahead, and the agent changes it afterwards.
pub fn foreign_write(ahead_ms: u64, content: u64) -> Scenario {
    Scenario::new(vec![
        (5_000, put(1)),
        (5_020, DELTA),
        (7_000, foreign(9, ahead_ms)),
        (8_000, put(content)),
        (8_010, DELTA),
    ])
}

/// Something else writes the same document without the manager's fields; a Full must write it again.
pub fn foreign_overlay() -> Scenario {
    Scenario::new(vec![
        (5_000, put(1)),
        (5_020, DELTA),
        (7_000, foreign(1, 100)),
        (9_000, Action::Full { agent: 0, index: 0 }),
    ])
}

/// Every document of an index is refused: it is held until an operator resumes it, which healing does.
pub fn index_at_fault() -> Scenario {
    let mut scenario = Scenario::new(vec![
        (5_000, put(1)),
        (5_010, Action::Fates(vec![Fate::Refused(400)])),
        (5_020, DELTA),
    ]);
    scenario.options.fault_refusals_min = 1;
    scenario
}
