//! The program as people call it: what it prints, what it writes, and its exit codes.

use std::path::Path;
use std::process::Command;

/// Runs the program in a folder of its own: exit code, standard output, standard error.
fn program(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_inventory-sim"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap_or(-1),
        text(output.stdout),
        text(output.stderr),
    )
}

fn sound(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (code, output, error) = program(folder.path(), arguments);
    assert_eq!(code, 0, "{arguments:?}: {output}{error}");
    output
}

#[test]
fn presets_and_faults_are_listed() {
    let presets = sound(&["presets"]);
    assert!(
        presets.contains("tiny-limits     Every limit is as small"),
        "{presets}"
    );
    let swarm = sound(&["presets", "--show", "swarm"]);
    assert!(swarm.contains("agents = [1, 1, 2, 2, 3, 4]"), "{swarm}");
    let faults = sound(&["faults"]);
    assert!(faults.contains("write-late"), "{faults}");
}

#[test]
fn a_preset_as_a_file_is_the_preset() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("own.toml"),
        sound(&["presets", "--show", "crashes"]),
    )
    .unwrap();
    let hash = |arguments: &[&str]| {
        let (code, output, error) = program(folder.path(), arguments);
        assert_eq!(code, 0, "{output}{error}");
        let line = output.lines().find(|line| line.starts_with("trace hash"));
        line.unwrap().to_owned()
    };
    assert_eq!(
        hash(&["run", "--seed", "5", "--config", "own.toml"]),
        hash(&["run", "--seed", "5", "--preset", "crashes"])
    );
}

#[test]
fn several_seeds_end_with_what_never_happened() {
    let output = sound(&["run", "--seeds", "3", "--only", "frame-lost"]);
    assert!(output.starts_with("3 seeds sound: "), "{output}");
    let never = output.lines().find(|line| line.starts_with("never"));
    assert!(never.unwrap().contains("write-late"), "{output}");
}

#[test]
fn what_cannot_be_understood_is_a_sentence_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("own.toml"), "[settings]\nagnets = 3\n").unwrap();
    std::fs::write(folder.path().join("own.replay"), "nothing").unwrap();
    for (arguments, sentence) in [
        (
            &["run", "--config", "own.toml"][..],
            "own.toml: [settings]: no setting is called \"agnets\"",
        ),
        (&["run", "--preset", "nice"], "no preset is called \"nice\""),
        (&["run", "--only", "rain"], "no fault is called \"rain\""),
        (&["run", "--trace", "t.doc"], "t.doc: a trace is written as"),
        (&["replay", "own.replay"], "own.replay: line 1: "),
        (&["replay", "none.replay"], "none.replay cannot be read"),
        (&["shrink", "--seed", "1"], "seed 1 does not fail"),
    ] {
        let (code, output, error) = program(folder.path(), arguments);
        assert_eq!(code, 2, "{arguments:?}: {output}{error}");
        assert!(error.contains(sentence), "{arguments:?}: {error}");
    }
}

#[test]
fn a_hunt_ends_with_its_coverage_and_is_the_same_seeds_in_any_number_of_threads() {
    let hunt = |jobs| {
        let arguments = [
            "hunt",
            "--seeds",
            "12",
            "--seeds-from",
            "100",
            "--jobs",
            jobs,
        ];
        let output = sound(&arguments);
        let begin = output.find("verdict").unwrap();
        assert!(output.contains("hunted      12 seeds, "), "{output}");
        output[begin..].to_owned()
    };
    assert_eq!(hunt("1"), hunt("3"));
}

#[test]
fn a_seed_is_replayed_up_to_a_step_with_its_trace() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "replay", "--seed", "3", "--until", "200", "--trace", "t.txt",
    ];
    let (code, output, error) = program(folder.path(), &arguments);
    assert_eq!(code, 0, "{output}{error}");
    assert!(output.contains("steps       200,"), "{output}");
    let trace = std::fs::read_to_string(folder.path().join("t.txt")).unwrap();
    assert!(trace.lines().count() > 100, "{trace}");
}

#[test]
fn a_replay_file_is_replayed_and_renewed() {
    let name = "a-delete-that-does-not-wait-for-a-late-upsert";
    let kept = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/replays")
        .join(format!("{name}.replay"));
    let folder = tempfile::tempdir().unwrap();
    // Without its bug it is a file of an ordinary build that is expected to fail, and is sound now.
    let text = std::fs::read_to_string(kept).unwrap();
    let text: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("bug"))
        .collect();
    std::fs::write(folder.path().join("own.replay"), text.join("\n")).unwrap();
    let (code, output, error) = program(folder.path(), &["replay", "own.replay", "--renew"]);
    assert_eq!(code, 0, "{output}{error}");
    assert!(
        output.contains("unexpected  expected to end safety"),
        "{output}"
    );
    assert!(output.contains("renewed     own.replay"), "{output}");
    let (_, output, _) = program(folder.path(), &["replay", "own.replay"]);
    assert!(
        output.contains("it ends as expected, by the same trace"),
        "{output}"
    );
}
