//! The choices of a run: a recording is the seed, and what is left of one is a run like any other.

use inventory_sim::{Choices, Conduct, Draws, Ending, Options, Report, Stream, Tape, run};

fn with(options: &Options, tape: &Tape) -> Report {
    run(
        options,
        Conduct {
            tape: Some(tape.clone()),
            ..Conduct::default()
        },
    )
}

fn recorded(options: &Options) -> (Report, Choices) {
    let tape = Tape::recording();
    let report = with(options, &tape);
    (report, tape.recorded())
}

#[test]
fn a_recording_replayed_is_the_run_of_the_seed() {
    for seed in 1..=12 {
        let options = Options::drawn(seed);
        let seeded = run(&options, Conduct::default());
        let (report, choices) = recorded(&options);
        assert_eq!(
            seeded.trace_hash, report.trace_hash,
            "seed {seed}: recording changes the run"
        );
        assert!(choices.list.len() > 100, "seed {seed}: {choices:?}");
        let tape = Tape::replaying(&choices);
        let replayed = with(&options, &tape);
        assert_eq!(seeded.trace_hash, replayed.trace_hash, "seed {seed}");
        assert_eq!(seeded.steps, replayed.steps, "seed {seed}");
        assert_eq!(choices, tape.recorded(), "seed {seed}");
    }
}

#[test]
fn without_any_choice_nothing_happens() {
    let options = Options::drawn(3);
    let tape = Tape::replaying(&Choices::default());
    let report = with(&options, &tape);
    assert_eq!(report.ending, Ending::Sound);
    assert_eq!(report.counts.sessions, 0);
    assert_eq!(report.faults, []);
    assert_eq!(tape.recorded().list, []);
}

/// Whatever is removed, the rest is a world that the design promises to survive.
#[test]
fn what_is_left_of_a_recording_is_sound() {
    let mut judged = 0;
    for seed in 1..=20 {
        let mut options = Options::drawn(seed);
        options.chaos_ms = options.chaos_ms.min(60_000);
        let (_, choices) = recorded(&options);
        let mut removal = Stream::new(&Draws::seeded(seed), "removal");
        for share in [100_000, 500_000, 900_000] {
            let mut left = choices.clone();
            let gone = removal.below(left.concerns.len() as u64);
            left.list
                .retain(|choice| !removal.chance(share) && u64::from(choice.concern) != gone);
            let tape = Tape::replaying(&left);
            let report = with(&options, &tape);
            assert_eq!(
                report.ending,
                Ending::Sound,
                "seed {seed} without {share} of a million choices"
            );
            let again = with(&options, &Tape::replaying(&tape.recorded()));
            assert_eq!(
                report.trace_hash, again.trace_hash,
                "seed {seed}: what was used is the whole run"
            );
            judged += report.counts.acknowledged;
        }
    }
    assert!(judged > 300, "only {judged} operations were acknowledged");
}
