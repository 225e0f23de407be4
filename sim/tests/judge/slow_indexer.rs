//! Fleets that offer more than their Indexer takes: what moves is acknowledged in the end.

use inventory_sim::{Conduct, Ending, Plan, run};

#[test]
fn what_takes_longer_than_a_deadline_is_acknowledged_all_the_same() {
    let plan = Plan::preset("slow-indexer").expect("the preset");
    let mut outlasted = 0;
    for seed in 1..=12 {
        let options = plan.draw(seed).expect("a world of the preset");
        let report = run(&options, Conduct::default());
        let again = format!("inventory-sim run --preset slow-indexer --seed {seed}");
        assert_eq!(report.ending, Ending::Sound, "{again}");
        assert!(report.counts.ok > 0, "{again}");
        outlasted +=
            u32::from(report.economy.longest_wait_ms > options.config.delivery_deadline_ms);
    }
    assert!(outlasted >= 6, "{outlasted} of 12");
}
