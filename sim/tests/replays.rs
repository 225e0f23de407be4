//! Every replay file in `tests/replays/` ends as it says, by the trace that it says; and what was written is
//! read back.

use std::path::{Path, PathBuf};

use inventory_sim::{
    Choice, Choices, Conduct, Fault, Options, Outcome, Rate, Replay, SETTINGS, Tape, attempt,
};
use proptest::prelude::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/replays")
}

fn files() -> Vec<(String, Replay)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "replay"))
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let replay = Replay::read(&std::fs::read_to_string(&path).unwrap());
        (
            name,
            replay.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        )
    };
    files.into_iter().map(read).collect()
}

/// Runs a replay, with its bug where that can be planted.
#[cfg(inventory_bug_bank)]
fn run(replay: &Replay) -> (Outcome, bool) {
    use inventory_sync_core::bug::{Bug, plant};
    let bug = replay.bug.as_ref().map(|name| {
        let found = Bug::ALL.iter().find(|bug| format!("{bug:?}") == *name);
        *found.unwrap_or_else(|| panic!("{}: no bug is called {name}", replay.name))
    });
    let _planted = bug.map(plant);
    (replay.run(Conduct::default()), true)
}

/// Without a bug bank, a replay whose ending is that of a bug ends well.
#[cfg(not(inventory_bug_bank))]
fn run(replay: &Replay) -> (Outcome, bool) {
    (replay.run(Conduct::default()), replay.bug.is_none())
}

#[test]
fn every_replay_ends_as_it_says() {
    let files = files();
    assert!(
        !files.is_empty(),
        "no replay file in {}",
        folder().display()
    );
    let mut wrong = Vec::new();
    for (name, replay) in files {
        assert_eq!(name, replay.name, "the file and its `name`");
        assert!(replay.shows.ends_with('.'), "{name}: `shows` is a sentence");
        let (outcome, with_bug) = run(&replay);
        if !with_bug {
            if let Some(finding) = outcome.finding {
                wrong.push(format!("{name}: without its bug it ends {finding}"));
            }
        } else if let Some(how) = replay.differs(&outcome) {
            wrong.push(format!("{name}: {how}"));
        } else if !replay.has_hash_of(&outcome) {
            wrong.push(format!(
                "{name}: it ends as expected, by another trace; if the code was meant to change: \
                 inventory-sim replay tests/replays/{name}.replay --renew"
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_recording_goes_through_a_file() {
    for seed in 1..=4 {
        let options = Options::drawn(seed);
        let tape = Tape::recording();
        let conduct = Conduct {
            tape: Some(tape.clone()),
            ..Conduct::default()
        };
        let outcome = attempt(&options, conduct);
        let replay = Replay::of(
            "whole",
            "A whole run.",
            &options,
            &tape.recorded(),
            &outcome,
        );
        let read = Replay::read(&replay.to_string()).unwrap();
        assert_eq!(read.options, options);
        let again = read.run(Conduct::default());
        assert_eq!(read.differs(&again), None, "seed {seed}");
        assert!(read.has_hash_of(&again), "seed {seed}");
    }
}

#[test]
fn what_cannot_be_read_is_named_with_its_line() {
    let refusal = |text: &str| Replay::read(text).unwrap_err().to_string();
    let head = "inventory-sim replay 1\nname = x\nending = sound\n";
    assert!(refusal("").starts_with("line 1: a replay file begins with"));
    assert_eq!(
        refusal(&format!("{head}agnets = 1")),
        "line 4: no setting is called \"agnets\""
    );
    assert_eq!(
        refusal(&format!("{head}# comment\n\nagents = many")),
        "line 6: agents cannot be many"
    );
    assert_eq!(
        refusal(&format!("{head}fault frame-los = 1")),
        "line 4: no fault is called \"frame-los\""
    );
    assert_eq!(
        refusal(&format!("{head}choice latency 1 = 4")),
        "line 4: \"1\" is no place such as 12.0"
    );
    assert!(refusal(&format!("{head}request_deadline_ms = 1")).contains("request_deadline_ms (1)"));
    assert!(refusal("inventory-sim replay 1\nname = x").contains("nothing said \"ending\""));
}

#[test]
fn choices_of_concerns_that_are_gone_are_skipped() {
    let text =
        "inventory-sim replay 1\nname = x\nending = sound\nchoice what-was-there-once 3.1 = 7\n";
    let replay = Replay::read(text).unwrap();
    let outcome = replay.run(Conduct::default());
    assert_eq!(replay.differs(&outcome), None);
}

fn any_replay() -> impl Strategy<Value = Replay> {
    let choice = (0_usize..4, any::<u32>(), any::<u32>(), any::<u64>());
    let choices = proptest::collection::vec(choice, 0..40);
    let rates = proptest::collection::vec((0..Fault::ALL.len(), 1_u64..1_000_000), 0..6);
    (
        any::<u64>(),
        any::<u64>(),
        "[a-z-]{1,20}",
        "[A-Za-z =#]{0,40}",
        choices,
        rates,
    )
        .prop_map(|(seed, hash, name, shows, list, rates)| {
            let mut options = Options::drawn(seed);
            for (fault, number) in rates {
                let fault = Fault::ALL[fault];
                options.rates.set(fault, Rate::of_number(fault, number));
            }
            let mut choices = Choices::default();
            for (concern, episode, number, value) in list {
                let names = ["latency", "churn/1/0", "write-late", "ties"];
                let concern = choices.concern(names[concern]);
                choices.list.push(Choice {
                    concern,
                    episode,
                    number,
                    value,
                });
            }
            Replay {
                name,
                shows: shows.split_whitespace().collect::<Vec<_>>().join(" "),
                bug: (seed % 2 == 0).then(|| "GapsIgnored".to_owned()),
                ending: if seed % 3 == 0 {
                    "sound"
                } else {
                    "safety I-2, I-9: undone"
                }
                .to_owned(),
                hash: (hash % 2 == 0).then_some(hash),
                options,
                choices,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn what_was_written_is_read_back(replay in any_replay()) {
        let text = replay.to_string();
        prop_assert_eq!(Replay::read(&text).map_err(|error| error.to_string()), Ok(replay));
        for setting in SETTINGS {
            let line = format!("\n{} = ", setting.name);
            prop_assert!(text.contains(&line), "{} is not in the file", setting.name);
        }
    }
}
