//! The copy of the tree in which mutants are made.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::run;

/// What git knows of, as it stands here: mutants are made in the copy, never in the tree one works in.
pub fn copy() -> Result<PathBuf, Failure> {
    let copy = run::target_dir().join("mutants/tree");
    let list = run::output(Command::new("git").current_dir(run::root()).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    let mut wanted = BTreeSet::new();
    for file in list.lines() {
        let from = run::root().join(file);
        // Deleted, and not yet told to git.
        if !from.is_file() {
            continue;
        }
        let to = copy.join(file);
        wanted.insert(to.clone());
        let same = fs::read(&to).is_ok_and(|old| fs::read(&from).is_ok_and(|new| new == old));
        // What has not changed keeps its time, and its build.
        if !same {
            let made = to.parent().map_or(Ok(()), fs::create_dir_all);
            made.and_then(|()| fs::copy(&from, &to)).map_err(|error| {
                Failure::step(format!(
                    "cannot copy {} to {}: {error}",
                    from.display(),
                    to.display()
                ))
            })?;
        }
    }
    remove_others(&copy, &wanted);
    Ok(copy)
}

/// Files of the copy that the tree has no more.
fn remove_others(folder: &Path, wanted: &BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            remove_others(&path, wanted);
        } else if !wanted.contains(&path) {
            // A file too many at worst is built and is not there next time.
            let _ = fs::remove_file(path);
        }
    }
}
