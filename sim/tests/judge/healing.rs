//! The ways in which a run ends, and what the broken and the hostile may do to the others.

use inventory_sim::{Conduct, Ending, Healing, Options, Rates, Report, run};

/// A drawn world of three agents that heals so far.
fn world(seed: u64, healing: Healing) -> Options {
    let mut options = Options::drawn(seed);
    options.agents = 3;
    options.healing = healing;
    options.chaos_ms = options.chaos_ms.min(90_000);
    let room = 2 * usize::from(options.agents + options.hostiles) * 2;
    options.config.sessions_max = options.config.sessions_max.max(room);
    options.config.items_max = u64::MAX;
    options.config.bytes_max = u64::MAX;
    options
}

fn sound(options: &Options) -> Report {
    let report = run(options, Conduct::default());
    assert_eq!(
        report.ending,
        Ending::Sound,
        "seed {} {:?}",
        options.seed,
        options.healing
    );
    report
}

#[test]
fn where_all_heals_nothing_is_left() {
    for seed in 1..=15 {
        let report = sound(&world(seed, Healing::Everything));
        assert_eq!((report.left, report.broken), (None, 0), "seed {seed}");
    }
}

#[test]
fn where_a_core_heals_only_the_broken_are_waited_for() {
    let mut waited_for = 0;
    for seed in 1..=30 {
        let report = sound(&world(seed, Healing::Core));
        if let Some(left) = report.left {
            assert!(left.agent().is_some(), "seed {seed}: {left}");
            assert!(report.broken > 0, "seed {seed}: {left}");
            waited_for += 1;
        }
    }
    assert!(
        waited_for > 5,
        "hardly anything stayed broken: {waited_for}"
    );
}

#[test]
fn where_nothing_heals_the_others_come_to_rest() {
    let mut judged = 0;
    for seed in 1..=30 {
        let report = sound(&world(seed, Healing::Nothing));
        judged += u64::from(report.broken > 0) * report.counts.ok;
    }
    assert!(
        judged > 1_000,
        "only {judged} sessions beside broken agents"
    );
}

/// Isolation as a number: beside hostile peers that never stop, the slowest verdict of a healthy agent
/// takes longer by no more than what these may have in flight.
#[test]
fn hostile_neighbours_hardly_delay_a_verdict() {
    for seed in 1..=10 {
        let mut options = Options::calm(seed);
        options.rates = Rates::calm();
        let alone = sound(&options);
        options.hostiles = 3;
        options.healing = Healing::Nothing;
        let beside = sound(&options);
        assert!(beside.broken >= 3, "the hostile peers never stop");
        let request_ms = 2 * options.indexer_ms;
        let bound_ms = 2 * alone.economy.longest_wait_ms + 10 * request_ms;
        assert!(
            beside.economy.longest_wait_ms <= bound_ms,
            "seed {seed}: {} ms beside hostile peers, {} ms alone",
            beside.economy.longest_wait_ms,
            alone.economy.longest_wait_ms
        );
        // What the healthy hold is the same, with or without them.
        assert_eq!(beside.counts.failed, alone.counts.failed, "seed {seed}");
    }
}
