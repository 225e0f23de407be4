//! Where the programs are that the tests start. Built once if they are missing or older than their sources;
//! not where `INVENTORY_TEST_PROGRAMS` names a folder with them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// Packages with a program of the same name.
const PROGRAMS: [&str; 3] = ["inventory-sync", "inventory-indexer", "inventory-agent"];

/// The path of a program, which is there and current.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            if let Some(folder) = std::env::var_os("INVENTORY_TEST_PROGRAMS") {
                return folder.into();
            }
            let folder = folder();
            if PROGRAMS.iter().any(|name| !is_current(&folder, name)) {
                build(&folder);
            }
            folder
        })
        .join(name)
}

/// The profile's folder: programs lie in it, tests are run out of its `deps`.
fn folder() -> PathBuf {
    let own = std::env::current_exe().expect("a program knows where it is");
    let folder = own.parent().expect("a program lies in a folder");
    let folder = match folder.file_name() {
        Some(name) if name == "deps" => folder.parent().expect("target/PROFILE/deps has a parent"),
        _ => folder,
    };
    folder.into()
}

/// Whether the program is newer than all that its dependency file names.
fn is_current(folder: &Path, name: &str) -> bool {
    let Some(built) = modified(&folder.join(name)) else {
        return false;
    };
    let Ok(list) = std::fs::read_to_string(folder.join(format!("{name}.d"))) else {
        return false;
    };
    let Some((_, sources)) = list.split_once(": ") else {
        return false;
    };
    // A space inside a path is escaped.
    sources
        .replace("\\ ", "\0")
        .split_ascii_whitespace()
        .map(|path| PathBuf::from(path.replace('\0', " ")))
        .all(|source| modified(&source).is_some_and(|changed| changed <= built))
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

fn build(folder: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--locked", "--bins"])
        .args(PROGRAMS.iter().flat_map(|package| ["-p", package]))
        .arg("--target-dir")
        .arg(folder.parent().expect("target/PROFILE has a parent"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    if folder.ends_with("release") {
        command.arg("--release");
    }
    println!("building what the tests start: {command:?}");
    let output = command.output().expect("cargo can be started");
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
