//! What agents remember: a file to which a line is appended for everything that must outlive the process.
//!
//! ```text
//!  plan {"generated": …}            what the rounds depend on; another plan is refused
//!  offered 5 syscollector 2         round 2 of agent 5 is on its way
//!  acknowledged 5 syscollector 2    its verdict has come
//!  floor 5 syscollector 1813512…    the highest version heard of
//! ```
//!
//! Invariants: a line is written in one piece before what it says is acted upon, so `kill -9` loses nothing;
//! a last line without its line break counts as not written. (A loss of power is another matter: nothing is
//! synchronised, for a load client is to be fast.)

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use inventory_sync_core::id::Version;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be read or written.
    #[error("--state {path}: {cause}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Another client uses it.
    #[error("--state {path}: another client uses it", path = path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// It is about other rounds than those asked for.
    #[error(
        "--state {path}: it remembers another plan ({kept}); give the command that made it, or another file",
        path = path.display()
    )]
    OtherPlan {
        /// The file.
        path: PathBuf,
        /// What it remembers.
        kept: String,
    },
    /// A line that no client writes.
    #[error("--state {path}: line {line} is not understood", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
}

/// What is remembered of one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Kept {
    /// Rounds that are acknowledged.
    pub(super) acknowledged: u32,
    /// Rounds that were offered.
    pub(super) offered: u32,
    /// The highest version heard of.
    pub(super) floor: Version,
}

/// What is remembered of all lanes, by agent and module.
pub(super) type Memory = BTreeMap<(u64, String), Kept>;

/// Where it is written to; nowhere without a file.
#[derive(Debug, Default)]
pub(super) struct Journal {
    file: Option<Mutex<File>>,
}

impl Journal {
    /// Reads what is there and goes on behind it; a new file begins with the plan.
    pub(super) fn open(path: &Path, plan: &str) -> Result<(Self, Memory), StateError> {
        let failed = |cause| StateError::File {
            path: path.to_owned(),
            cause,
        };
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StateError::Locked {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        if whole < text.len() {
            file.set_len(whole as u64).map_err(failed)?;
            file.seek(io::SeekFrom::End(0)).map_err(failed)?;
        }
        text.truncate(whole);
        let memory = read(path, &text, plan)?;
        if text.is_empty() {
            file.write_all(format!("plan {plan}\n").as_bytes())
                .map_err(failed)?;
        }
        let file = Some(Mutex::new(file));
        Ok((Self { file }, memory))
    }

    /// Remembers that a round is on its way.
    pub(super) fn offered(&self, agent: u64, module: &str, round: u32) -> io::Result<()> {
        self.append(|| format!("offered {agent} {module} {round}\n"))
    }

    /// Remembers that its verdict has come.
    pub(super) fn acknowledged(&self, agent: u64, module: &str, round: u32) -> io::Result<()> {
        self.append(|| format!("acknowledged {agent} {module} {round}\n"))
    }

    /// Remembers the highest version heard of.
    pub(super) fn floor(&self, agent: u64, module: &str, floor: Version) -> io::Result<()> {
        self.append(|| format!("floor {agent} {module} {floor}\n"))
    }

    fn append(&self, line: impl FnOnce() -> String) -> io::Result<()> {
        match &self.file {
            None => Ok(()),
            Some(file) => file
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write_all(line().as_bytes()),
        }
    }
}

fn read(path: &Path, text: &str, plan: &str) -> Result<Memory, StateError> {
    let mut memory = Memory::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(kept) = line.strip_prefix("plan ") {
            if kept != plan {
                return Err(StateError::OtherPlan {
                    path: path.to_owned(),
                    kept: kept.to_owned(),
                });
            }
            continue;
        }
        take(&mut memory, line).ok_or_else(|| StateError::Line {
            path: path.to_owned(),
            line: number + 1,
        })?;
    }
    Ok(memory)
}

fn take(memory: &mut Memory, line: &str) -> Option<()> {
    let mut words = line.split(' ');
    let (what, agent, module, number) =
        (words.next()?, words.next()?, words.next()?, words.next()?);
    if words.next().is_some() {
        return None;
    }
    let kept = memory
        .entry((agent.parse().ok()?, module.to_owned()))
        .or_default();
    let after = || number.parse::<u32>().ok()?.checked_add(1);
    match what {
        "offered" => kept.offered = kept.offered.max(after()?),
        "acknowledged" => kept.acknowledged = kept.acknowledged.max(after()?),
        "floor" => kept.floor = kept.floor.max(Version(number.parse().ok()?)),
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_remembered_and_a_torn_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let (journal, memory) = Journal::open(&path, "p").unwrap();
        assert_eq!(memory, Memory::new());
        journal.offered(5, "fim", 0).unwrap();
        journal.acknowledged(5, "fim", 0).unwrap();
        journal.floor(5, "fim", Version(70)).unwrap();
        journal.floor(5, "fim", Version(60)).unwrap();
        journal.offered(5, "fim", 1).unwrap();
        drop(journal);
        let whole = std::fs::read_to_string(&path).unwrap();
        let kept = Kept {
            acknowledged: 1,
            offered: 2,
            floor: Version(70),
        };
        let key = (5, "fim".to_owned());
        for torn in ["", "a", "acknowledged 5 fim 1", "acknowledged 5 fi"] {
            std::fs::write(&path, format!("{whole}{torn}")).unwrap();
            let (journal, memory) = Journal::open(&path, "p").unwrap();
            assert_eq!(memory, Memory::from([(key.clone(), kept)]), "{torn:?}");
            journal.floor(5, "fim", Version(71)).unwrap();
            drop(journal);
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text, format!("{whole}floor 5 fim 71\n"));
        }
    }

    #[test]
    fn another_plan_a_second_client_and_strange_lines_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let journal = Journal::open(&path, "p").unwrap();
        let locked = Journal::open(&path, "p").unwrap_err();
        assert!(matches!(locked, StateError::Locked { .. }));
        drop(journal);
        let other = Journal::open(&path, "q").unwrap_err().to_string();
        assert!(other.contains("another plan (p)"), "{other}");
        for line in [
            "offered 5 fim",
            "offered 5 fim x",
            "offered 5 fim 1 2",
            "lost 5 fim 1",
        ] {
            std::fs::write(&path, format!("plan p\n{line}\n")).unwrap();
            let error = Journal::open(&path, "p").unwrap_err().to_string();
            assert!(error.contains("line 2 is not understood"), "{error}");
        }
    }
}
