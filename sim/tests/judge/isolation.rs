//! Isolation as a number: how long a complete session waits for its verdict while agents crash, send garbage,
//! offer what cannot be stored and lose their connections.

use inventory_sim::{Conduct, Ending, Fault, Often, Options, Rate, Rates, run};

/// Troubles that are an agent's, not the manager's and not the Indexer's.
const TROUBLES: [Fault; 8] = [
    Fault::AgentCrash,
    Fault::BadItem,
    Fault::HostileFrame,
    Fault::ConnectionReset,
    Fault::FrameLost,
    Fault::FrameDuplicated,
    Fault::FrameReordered,
    Fault::FrameDelayed,
];

/// The longest wait from completeness to verdict over some worlds, in milliseconds, and how many verdicts.
fn longest_wait_ms(rates: &Rates) -> (u64, u64) {
    let (mut longest_ms, mut verdicts) = (0, 0);
    for seed in 1..=10 {
        let mut options = Options::calm(seed);
        options.agents = 6;
        options.chaos_ms = 120_000;
        options.rates = rates.clone();
        let report = run(&options, Conduct::default());
        assert_eq!(report.ending, Ending::Sound, "seed {seed}");
        longest_ms = longest_ms.max(report.economy.longest_wait_ms);
        verdicts += report.counts.ok + report.counts.partial;
    }
    (longest_ms, verdicts)
}

#[test]
fn agents_in_trouble_do_not_make_others_wait() {
    let mut troubled = Rates::calm();
    for fault in TROUBLES {
        let rate = match fault.often() {
            Often::Chance(most) => Rate::PerMillion(most),
            Often::Every(least_ms) => Rate::EveryMs(least_ms),
        };
        troubled.set(fault, rate);
    }
    let (calm_ms, calm) = longest_wait_ms(&Rates::calm());
    let (troubled_ms, verdicts) = longest_wait_ms(&troubled);
    println!(
        "longest wait: {calm_ms} ms of {calm} verdicts, {troubled_ms} ms of {verdicts} in trouble"
    );
    assert!(verdicts > 1_000, "only {verdicts} verdicts");
    assert!(
        troubled_ms <= 2 * calm_ms,
        "{troubled_ms} ms beside agents in trouble, {calm_ms} ms without"
    );
}
