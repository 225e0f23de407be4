//! The data provider: asks the operating system what is there, one [`Source`] per [`Category`].
//!
//! ```text
//!   /proc /sys /etc /var/lib/dpkg rpm getifaddrs
//!        │
//!   Source::scan(&Roots) ──▶ Scanned(Scan { rows, complete, problems })
//!                        └─▶ Unavailable { reason }
//! ```
//!
//! An unreadable source is *never* an empty one: a scan that could not read its source answers
//! [`Outcome::Unavailable`], and whoever computes deletions must not take it for "nothing is there".
//! A malformed stanza, a process that vanished while it was read, or text that is not UTF-8 costs at
//! most that entry; the category goes on and stays complete.

mod accounts;
mod addresses;
mod category;
mod hardware;
mod interfaces;
mod iso8601;
mod packages;
mod ports;
mod processes;
mod read;
mod row;
mod shadow;
mod system;

use std::fmt;
use std::path::{Path, PathBuf};

pub use accounts::{Groups, Users};
pub use addresses::{Networks, Protocols};
pub use category::Category;
pub use hardware::Hardware;
pub use interfaces::Interfaces;
pub use iso8601::utc_from_millis;
pub use packages::Packages;
pub use ports::Ports;
pub use processes::Processes;
pub use row::{MAX_LIST_BYTES, MAX_TEXT_BYTES, Row, UNKNOWN, Value};
pub use system::System;

/// Problems kept per scan. Beyond it they are counted in [`Scan::problems_dropped`], not stored, so that
/// a broken source cannot fill memory or the screen.
pub const MAX_PROBLEMS: usize = 100;

/// Where the sources find their files: `/` on a real system, a directory of fixtures in tests, a mounted
/// image for a look from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    root: PathBuf,
}

impl Roots {
    /// The running system.
    #[must_use]
    pub fn host() -> Self {
        Self::at("/")
    }

    /// A file tree whose top is `root`; its kernel files are `root/proc` and `root/sys`.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The path of `relative` (no leading slash) under this root.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The path of `relative` under the `proc` of this root.
    #[must_use]
    pub fn proc(&self, relative: &str) -> PathBuf {
        self.root.join("proc").join(relative)
    }

    /// The root itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether this is the running system, so that the kernel may be asked directly.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.root == Path::new("/")
    }
}

impl Default for Roots {
    fn default() -> Self {
        Self::host()
    }
}

/// Something that went wrong with one entry, or with one part of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What it concerns: a package, a process, a line of a file.
    pub entry: String,
    /// What failed and what became of the entry, for people.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.entry, self.what)
    }
}

/// The rows of a source that could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// One row per entity, in the order of the source.
    pub rows: Vec<Row>,
    /// Whether everything of the category is in `rows`, but for single broken entries. Deletions may be
    /// computed only from a complete scan.
    pub complete: bool,
    /// The first [`MAX_PROBLEMS`] problems.
    pub problems: Vec<Problem>,
    /// Problems beyond [`MAX_PROBLEMS`].
    pub problems_dropped: usize,
}

impl Scan {
    /// An empty scan, complete until something says otherwise.
    #[must_use]
    pub fn new() -> Self {
        Self {
            rows: Vec::new(),
            complete: true,
            problems: Vec::new(),
            problems_dropped: 0,
        }
    }

    /// Notes a problem; the scan stays as complete as it was.
    pub fn problem(&mut self, entry: impl Into<String>, what: impl Into<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem {
                entry: entry.into(),
                what: what.into(),
            });
        } else {
            self.problems_dropped += 1;
        }
    }

    /// Notes that a part of the source (not only one entry) could not be read.
    pub fn incomplete(&mut self, part: impl Into<String>, what: impl Into<String>) {
        self.complete = false;
        self.problem(part, what);
    }
}

impl Default for Scan {
    fn default() -> Self {
        Self::new()
    }
}

/// The answer of a source.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The source was read.
    Scanned(Scan),
    /// The source could not be read: nothing is known about the category, which is not "empty".
    Unavailable {
        /// Why, for people: what was tried and what failed.
        reason: String,
    },
}

impl Outcome {
    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable {
            reason: reason.into(),
        }
    }
}

/// One category's way to read the system.
pub trait Source {
    /// The category whose rows this source answers.
    fn category(&self) -> Category;

    /// Reads the system now. Never panics and never answers an empty scan for a source it could not read.
    fn scan(&self, roots: &Roots) -> Outcome;
}

/// The source of `category` on Linux. `all_ports` also reports TCP sockets that do not listen.
#[must_use]
pub fn source(category: Category, all_ports: bool) -> Box<dyn Source> {
    match category {
        Category::System => Box::new(System),
        Category::Hardware => Box::new(Hardware),
        Category::Packages => Box::new(Packages::default()),
        Category::Processes => Box::new(Processes),
        Category::Ports => Box::new(Ports { all: all_ports }),
        Category::Interfaces => Box::new(Interfaces),
        Category::Protocols => Box::new(Protocols),
        Category::Networks => Box::new(Networks),
        Category::Users => Box::new(Users),
        Category::Groups => Box::new(Groups),
    }
}

#[cfg(test)]
pub(crate) mod fixture {
    //! A directory that plays the root of a system.

    use super::{Outcome, Roots, Scan};

    pub(crate) struct Fixture {
        dir: tempfile::TempDir,
    }

    impl Fixture {
        pub(crate) fn new() -> Self {
            Self {
                dir: tempfile::tempdir().unwrap(),
            }
        }

        pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
            let path = self.dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
            self
        }

        pub(crate) fn link(self, path: &str, target: &str) -> Self {
            let path = self.dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, path).unwrap();
            self
        }

        pub(crate) fn roots(&self) -> Roots {
            Roots::at(self.dir.path())
        }
    }

    pub(crate) fn scanned(outcome: Outcome) -> Scan {
        match outcome {
            Outcome::Scanned(scan) => scan,
            Outcome::Unavailable { reason } => panic!("unavailable: {reason}"),
        }
    }

    pub(crate) fn reason(outcome: Outcome) -> String {
        match outcome {
            Outcome::Scanned(scan) => panic!("scanned {} rows", scan.rows.len()),
            Outcome::Unavailable { reason } => reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_beyond_the_bound_are_counted() {
        let mut scan = Scan::new();
        for n in 0..MAX_PROBLEMS + 3 {
            scan.problem(format!("entry {n}"), "broken");
        }
        assert_eq!(scan.problems.len(), MAX_PROBLEMS);
        assert_eq!(scan.problems_dropped, 3);
        assert!(scan.complete);
        scan.incomplete("part", "unreadable");
        assert!(!scan.complete);
    }

    #[test]
    fn each_category_has_its_source() {
        for category in Category::ALL {
            assert_eq!(source(category, false).category(), category);
        }
    }

    #[test]
    fn nothing_readable_is_unavailable_and_never_empty() {
        let empty = fixture::Fixture::new();
        for category in Category::ALL {
            let outcome = source(category, false).scan(&empty.roots());
            assert!(
                matches!(outcome, Outcome::Unavailable { .. }),
                "{category}: {outcome:?}"
            );
        }
    }
}
