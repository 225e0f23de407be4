//! A recording is of the run itself, and all its parts fit together.

use inventory_sim::chart::{Class, Gap, GapKind, Passage, Recording};
use inventory_sim::{Conduct, Ending, Fault, Options, Rates, run};

fn recorded(options: &Options) -> Recording {
    let conduct = Conduct {
        record: true,
        ..Conduct::default()
    };
    let report = run(options, conduct);
    let plain = run(options, Conduct::default());
    assert_eq!(
        report.trace_hash, plain.trace_hash,
        "seed {}: the recorder meddles",
        options.seed
    );
    assert_eq!(plain.recording, None);
    assert_eq!(report.ending, plain.ending);
    let recording = report.recording.unwrap();
    assert_eq!(recording.trace_hash, report.trace_hash);
    assert_eq!(recording.verdict.sound, report.ending == Ending::Sound);
    recording
}

fn check(recording: &Recording) {
    let moments = &recording.moments;
    assert!(moments.is_sorted_by_key(|moment| (moment.step, moment.at_ms)));
    for moment in moments {
        assert!(moment.lifeline < recording.lifelines.len());
        assert!(
            moment
                .session
                .is_none_or(|place| place < recording.sessions.len())
        );
        assert!(!moment.label.is_empty(), "{moment:?}");
    }
    for message in &recording.messages {
        assert_eq!(moments[message.left].lifeline, message.from, "{message:?}");
        match message.arrived {
            Some(arrived) => {
                assert_eq!(moments[arrived].lifeline, message.to, "{message:?}");
                assert!(message.left <= arrived, "{message:?}");
                assert!(!matches!(
                    message.passage,
                    Passage::Lost | Passage::UnderWay
                ));
            }
            None => assert!(matches!(message.passage, Passage::Lost | Passage::UnderWay)),
        }
    }
    for Gap {
        lifeline,
        from_ms,
        to_ms,
        ..
    } in &recording.gaps
    {
        assert!(*lifeline < recording.lifelines.len());
        assert!(from_ms <= to_ms && *to_ms <= recording.end_ms);
    }
}

#[test]
fn a_recorded_run_is_the_run_itself_and_its_parts_fit() {
    let (mut lost, mut unheard, mut down, mut trouble) = (0, 0, 0, 0);
    for seed in 1..=12 {
        let mut options = Options::drawn(seed);
        options.chaos_ms = options.chaos_ms.min(60_000);
        let recording = recorded(&options);
        check(&recording);
        let names: Vec<_> = recording.phases.iter().map(|phase| phase.name).collect();
        assert_eq!(names, ["warm-up", "chaos", "healed"]);
        let passed = |passage| {
            recording
                .messages
                .iter()
                .filter(|message| message.passage == passage)
                .count()
        };
        lost += passed(Passage::Lost);
        unheard += passed(Passage::Unheard);
        let of = |kind| recording.gaps.iter().filter(|gap| gap.kind == kind).count();
        down += of(GapKind::Down);
        trouble += of(GapKind::Trouble);
        assert!(!recording.sessions.is_empty());
        assert!(
            recording
                .sessions
                .iter()
                .all(|session| !session.about.is_empty()),
            "a session whose Start was not seen"
        );
    }
    assert!(
        lost > 0 && unheard > 0 && down > 0 && trouble > 0,
        "{lost} lost, {unheard} unheard, {down} times down, {trouble} troubles"
    );
}

/// Each kind of fault is to be seen where it strikes: at a message or as a moment of its own.
#[test]
fn every_fault_that_struck_is_in_the_recording() {
    for fault in Fault::ALL {
        let mut options = Options::calm(3);
        options.rates = Rates::only(*fault);
        options.chaos_ms = 90_000;
        let conduct = Conduct {
            record: true,
            ..Conduct::default()
        };
        let report = run(&options, conduct);
        let recording = report.recording.unwrap();
        let struck = report.faults.iter().any(|(fired, _)| fired == fault);
        let label = fault.label();
        let shown = recording
            .moments
            .iter()
            .any(|moment| moment.class == Class::Fault && moment.label.starts_with(label))
            || recording
                .messages
                .iter()
                .any(|message| message.faults.contains(&label));
        assert_eq!(shown, struck, "{label}");
    }
}
