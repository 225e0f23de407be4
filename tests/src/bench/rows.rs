//! The loads that are measured.

use std::path::{Path, PathBuf};

use super::{BenchError, Options, Ran};

/// How agents reach the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Mutual TLS 1.3, a connection for each agent.
    Tls,
    /// The Unix socket, as relays.
    Unix,
}

impl Over {
    /// As the tables call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Unix => "unix",
        }
    }
}

/// How often each agent reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounds {
    /// So often.
    Fixed(u32),
    /// First a few times; then as often as it takes to keep the daemon busy for the time asked for.
    Calibrated {
        /// The few times.
        probe: u32,
        /// Never more often.
        most: u32,
    },
}

/// One load.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// How agents reach the daemon.
    pub over: &'static [Over],
    /// Agents.
    pub agents: u32,
    /// What each reports, for the load client.
    pub content: Vec<String>,
    /// How often.
    pub rounds: Rounds,
}

const BOTH: &[Over] = &[Over::Tls, Over::Unix];

/// Sizes of a row: agents, documents of each, bytes of a document, rounds of the first try, most rounds.
struct Sizes {
    name: &'static str,
    over: &'static [Over],
    agents: u32,
    documents: u32,
    bytes: u32,
    probe: u32,
    most: u32,
}

/// Documents repeat with changed content: the first round is a Full, later ones are Deltas with every document.
const GENERATED: &[Sizes] = &[
    Sizes {
        name: "documents-540",
        over: BOTH,
        agents: 50,
        documents: 1_447,
        bytes: 540,
        probe: 3,
        most: 400,
    },
    Sizes {
        name: "documents-3400",
        over: BOTH,
        agents: 50,
        documents: 359,
        bytes: 3_400,
        probe: 3,
        most: 400,
    },
    Sizes {
        name: "large",
        over: BOTH,
        agents: 4,
        documents: 27_726,
        bytes: 540,
        probe: 2,
        most: 200,
    },
    Sizes {
        name: "single",
        over: &[Over::Tls],
        agents: 200,
        documents: 1,
        bytes: 540,
        probe: 20,
        most: 20_000,
    },
    // Relays bring the sessions of many more agents at once than connections would.
    Sizes {
        name: "single",
        over: &[Over::Unix],
        agents: 2_000,
        documents: 1,
        bytes: 540,
        probe: 5,
        most: 20_000,
    },
];

/// The same with next to nothing in them.
const QUICK_DIVISOR: u32 = 10;

/// All rows that these options allow.
pub fn all(options: &Options) -> Ran<Vec<Row>> {
    let mut rows: Vec<Row> = GENERATED
        .iter()
        .map(|sizes| generated(sizes, options.quick))
        .collect();
    rows.push(fleet(options.quick));
    if let Some(folder) = &options.sessions {
        for file in captured(folder)? {
            rows.push(of_capture(&file, options.quick));
        }
    }
    Ok(rows)
}

fn arguments(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn documents(count: u32, bytes: u32) -> Vec<String> {
    let (count, bytes) = (count.to_string(), bytes.to_string());
    arguments(&["--documents", &count, "--document-bytes", &bytes])
}

fn generated(sizes: &Sizes, quick: bool) -> Row {
    let (agents, count) = match quick {
        false => (sizes.agents, sizes.documents),
        true => (
            sizes.agents.div_ceil(QUICK_DIVISOR),
            sizes.documents.div_ceil(QUICK_DIVISOR),
        ),
    };
    let mut content = documents(count, sizes.bytes);
    let mode = if count == 1 { "delta" } else { "full" };
    content.extend(arguments(&[
        "--mode",
        mode,
        "--later",
        "delta",
        "--changed-percent",
        "100",
    ]));
    let rounds = match quick {
        false => Rounds::Calibrated {
            probe: sizes.probe,
            most: sizes.most,
        },
        true => Rounds::Fixed(2),
    };
    Row {
        name: sizes.name.to_owned(),
        over: sizes.over,
        agents,
        content,
        rounds,
    }
}

/// Everybody at once, as after a restart of the daemon: handshakes and first Fulls count.
fn fleet(quick: bool) -> Row {
    let mut content = documents(50, 540);
    content.extend(arguments(&["--mode", "full"]));
    Row {
        name: "fleet".to_owned(),
        over: BOTH,
        agents: if quick { 50 } else { 2_000 },
        content,
        rounds: Rounds::Fixed(1),
    }
}

fn of_capture(file: &Path, quick: bool) -> Row {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let path = file.display().to_string();
    Row {
        name: format!("captured {name}"),
        over: &[Over::Tls],
        agents: if quick { 2 } else { 100 },
        content: arguments(&["--session", &path]),
        rounds: match quick {
            true => Rounds::Fixed(1),
            false => Rounds::Calibrated {
                probe: 2,
                most: 2_000,
            },
        },
    }
}

fn captured(folder: &Path) -> Ran<Vec<PathBuf>> {
    let cannot = |error: std::io::Error| {
        BenchError::new(format!("read the sessions in {}", folder.display()), error)
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.extension().is_some_and(|kind| kind == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn names_are_unique_and_quick_rows_are_small() {
        for line in [&["bench"][..], &["bench", "--quick"]] {
            let mut options = Options::parse_from(line);
            options.sessions = None;
            let rows = all(&options).unwrap();
            let mut names: Vec<_> = rows.iter().map(|row| &row.name).collect();
            names.dedup();
            assert_eq!(names.len(), 5);
            let small = rows.iter().all(|row| row.agents <= 200);
            assert!(!options.quick || small);
        }
    }
}
