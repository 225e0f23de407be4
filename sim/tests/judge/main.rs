//! The simulator as the judge of the core: what `cargo xtask mutants` asks about a changed one, in one program,
//! since that is linked again for each mutant.

use inventory_sim::{Conduct, Ending, Options, Report, run};

/// Whether the first finding is enough: the others would only keep the next mutant waiting.
const FIRST_FINDING: &str = "INVENTORY_JUDGE_FIRST_FINDING";

/// Ends the program at the first panic, if that is wanted. Once for all tests: what runs longest calls it.
fn end_at_first_finding() {
    if std::env::var_os(FIRST_FINDING).is_some() {
        let show = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            show(panic);
            std::process::exit(101);
        }));
    }
}

/// A run of a seed, which must be sound.
fn sound(seed: u64) -> Report {
    let report = run(&Options::drawn(seed), Conduct::default());
    assert_eq!(
        report.ending,
        Ending::Sound,
        "inventory-sim run --seed {seed}"
    );
    report
}

mod coverage;
mod economy;
mod healing;
mod isolation;
mod metamorphic;
mod seeds;
mod slow_indexer;
mod small_worlds;
