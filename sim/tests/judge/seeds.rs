//! The simulator as the judge of a changed core: random seeds under all oracles, up to the first finding.
//!
//! `cargo xtask mutants` asks for many seeds; an ordinary test run for a few: other scripts run them, too.

/// How many seeds; ten if it is not set.
const SEEDS: &str = "INVENTORY_JUDGE_SEEDS";

/// The first one: those before it are another script's.
const FIRST: u64 = 1_001;

#[test]
fn no_seed_finds_anything() {
    let seeds = std::env::var(SEEDS)
        .ok()
        .and_then(|seeds| seeds.parse().ok());
    for seed in FIRST..FIRST + seeds.unwrap_or(10) {
        crate::sound(seed);
    }
}
