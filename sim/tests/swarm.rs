//! Runs of the seeded world: deterministic, sound, and every fault kind makes a difference.

use inventory_sim::{Conduct, Ending, Fault, Options, Rates, run};

/// A drawn world with these rates, short enough for a test.
fn short(seed: u64, rates: Rates) -> Options {
    let mut options = Options::drawn(seed);
    options.rates = rates;
    options.chaos_ms = 120_000;
    options
}

#[test]
fn seeds_of_the_swarm_are_sound() {
    let mut judged = 0;
    for seed in 1..=60 {
        let report = run(&Options::drawn(seed), Conduct::default());
        assert_eq!(
            report.ending,
            Ending::Sound,
            "inventory-sim run --seed {seed} --trace trace.txt"
        );
        judged += report.counts.acknowledged;
    }
    assert!(
        judged > 1_000,
        "only {judged} operations were acknowledged: the swarm proves nothing"
    );
}

#[test]
fn a_world_that_is_not_at_rest_in_time_is_stuck() {
    let mut stuck = 0;
    for seed in 1..=20 {
        let mut options = Options::drawn(seed);
        let report = run(&options, Conduct::default());
        assert_eq!(report.ending, Ending::Sound, "seed {seed}");
        let bound_ms = options.converge_bound_ms() + report.backlog_ms;
        assert!(report.converged_ms <= bound_ms, "seed {seed}");
        // The world is looked at once a second.
        options.converge_ms = 1;
        let hurried = run(&options, Conduct::default());
        assert_eq!(
            matches!(hurried.ending, Ending::Stuck { .. }),
            report.converged_ms >= 1_000,
            "seed {seed}: {:?} after {} ms",
            hurried.ending,
            report.converged_ms
        );
        stuck += u64::from(report.converged_ms >= 1_000);
    }
    assert!(stuck > 0, "every world is at rest within a second");
}

#[test]
fn a_run_is_a_function_of_its_options() {
    for seed in [1, 2, 3, 42] {
        let options = Options::drawn(seed);
        let (first, second) = (
            run(&options, Conduct::default()),
            run(&options, Conduct::default()),
        );
        assert_eq!(first.trace_hash, second.trace_hash, "seed {seed}");
        assert_eq!(first.steps, second.steps, "seed {seed}");
        let text = Conduct {
            keep_text: true,
            ..Conduct::default()
        };
        assert_eq!(
            first.trace_hash,
            run(&options, text).trace_hash,
            "the text of a trace changes nothing"
        );
    }
    let hash = |seed| run(&Options::drawn(seed), Conduct::default()).trace_hash;
    assert_ne!(hash(1), hash(2));
}

#[test]
fn each_fault_kind_alone_changes_the_trace_of_some_run() {
    const SEEDS: std::ops::RangeInclusive<u64> = 1..=12;
    let calm: Vec<u64> = SEEDS
        .map(|seed| run(&short(seed, Rates::calm()), Conduct::default()).trace_hash)
        .collect();
    for fault in Fault::ALL {
        let differs = SEEDS.zip(&calm).any(|(seed, calm)| {
            let report = run(&short(seed, Rates::only(*fault)), Conduct::default());
            assert_eq!(
                report.ending,
                Ending::Sound,
                "inventory-sim run --seed {seed} --only {}",
                fault.label()
            );
            let fired = report
                .faults
                .iter()
                .any(|(fired, count)| fired == fault && *count > 0);
            fired && report.trace_hash != *calm
        });
        assert!(
            differs,
            "{} changes nothing in seeds {SEEDS:?}",
            fault.label()
        );
    }
}
