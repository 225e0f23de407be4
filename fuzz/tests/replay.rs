//! Replays every file of every corpus, and bytes near to it, without an engine.

use std::path::{Path, PathBuf};

use inventory_fuzz::TARGETS;
use inventory_fuzz::seeds::seeds;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target)
}

/// What once failed; a target that never did has no such folder.
fn crashes(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("crashes")
        .join(target)
}

fn files(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let crashes = std::fs::read_dir(crashes(target)).into_iter().flatten();
    let mut files: Vec<_> = std::fs::read_dir(corpus(target))
        .unwrap()
        .chain(crashes)
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

/// A target that panics says on what, so that the bytes can be kept.
fn run(path: &Path, what: &str, target: fn(&[u8]), bytes: &[u8]) {
    if std::panic::catch_unwind(|| target(bytes)).is_err() {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{} {what}: {hex}", path.display());
    }
}

#[test]
fn every_file_of_the_corpora_is_survived() {
    let mut count = 0;
    for (name, target) in TARGETS {
        for (path, bytes) in files(name) {
            run(&path, "as it is", target, &bytes);
            count += 1;
        }
    }
    assert!(
        count >= 70,
        "only {count} files: the corpora were not found"
    );
}

/// What a live fuzzer tries first: cut short, one byte other, one byte more. Of the inputs that people named, and
/// of long ones not at each byte: a fuzzer that runs does more.
#[test]
fn bytes_near_to_the_first_inputs_are_survived() {
    const PLACES: usize = 150;
    let mut targets: Vec<_> = TARGETS.to_vec();
    for (target, name, bytes) in seeds().unwrap() {
        let path = corpus(target).join(name);
        let place = targets.iter().position(|(known, _)| *known == target);
        let (_, target) = targets[place.unwrap()];
        let bytes = &bytes[..bytes.len().min(600)];
        let stride = bytes.len().div_ceil(PLACES).max(1);
        let mut other = bytes.to_vec();
        for at in (0..bytes.len()).step_by(stride) {
            run(&path, "cut", target, &bytes[..at]);
            for flip in [0x01, 0x04, 0x20, 0x80, 0xff] {
                other[at] = bytes[at] ^ flip;
                run(&path, "changed", target, &other);
            }
            other[at] = bytes[at];
        }
        other.push(0);
        run(&path, "longer", target, &other);
    }
    targets.retain(|(name, _)| files(name).is_empty());
    assert!(targets.is_empty(), "without a corpus: {targets:?}");
}

#[test]
fn the_first_inputs_are_there() {
    for (target, name, bytes) in seeds().unwrap() {
        let path = corpus(target).join(name);
        let found = std::fs::read(&path).ok();
        assert_eq!(
            found,
            Some(bytes),
            "{}: run `cargo xtask corpus`",
            path.display()
        );
    }
}
