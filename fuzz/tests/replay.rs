//! Replays every file of every corpus, and bytes near to it, without an engine.

use std::path::{Path, PathBuf};

use inventory_fuzz::TARGETS;
use inventory_fuzz::seeds::seeds;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target)
}

fn files(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(corpus(target))
        .unwrap()
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

/// What a live fuzzer tries first: cut short, one byte other, one byte more.
#[test]
fn bytes_near_to_the_corpora_are_survived() {
    for (name, target) in TARGETS {
        for (path, bytes) in files(name) {
            let bytes = &bytes[..bytes.len().min(600)];
            for end in 0..bytes.len() {
                run(&path, "cut", target, &bytes[..end]);
            }
            let mut other = bytes.to_vec();
            for at in 0..bytes.len() {
                for flip in [0x01, 0x04, 0x20, 0x80, 0xff] {
                    other[at] = bytes[at] ^ flip;
                    run(&path, "changed", target, &other);
                }
                other[at] = bytes[at];
            }
            other.push(0);
            run(&path, "longer", target, &other);
        }
    }
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
