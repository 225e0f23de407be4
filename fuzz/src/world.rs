//! The whole simulated world, its environment's choices from bytes.

use std::sync::OnceLock;

use inventory_sim::{Choice, Choices as List, Conduct, Ending, Options, Tape, run};

use crate::choices::Choices;

/// Worlds that are drawn anew for each of so many seeds.
const SEEDS: u8 = 16;

/// More entries than this only make a run longer.
const ENTRIES_MAX: usize = 200;

/// The first byte chooses the world's sizes, limits and rates; each further five are an entry of the list of its
/// environment's choices: what was drawn, when, and how far from the calm default. Whatever they are, all
/// oracles agree and the world comes to rest.
///
/// # Panics
/// When that does not hold.
pub fn world_choices(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let options = options(u64::from(choices.below(SEEDS)));
    let mut list = List {
        concerns: concerns().to_vec(),
        list: Vec::new(),
    };
    while !choices.is_done() && list.list.len() < ENTRIES_MAX {
        let Some(concern) = choices.place(list.concerns.len()) else {
            return;
        };
        list.list.push(Choice {
            concern: u32::try_from(concern).unwrap_or(0),
            episode: u32::from(choices.byte()),
            number: u32::from(choices.below(8)),
            value: u64::from(choices.word()).max(1),
        });
    }
    let conduct = Conduct {
        tape: Some(Tape::replaying(&list)),
        ..Conduct::default()
    };
    let ending = run(&options, conduct).ending;
    assert_eq!(ending, Ending::Sound, "seed {}", options.seed);
}

/// A short life, so that many fit into a second.
fn options(seed: u64) -> Options {
    Options {
        warm_up_ms: 1_000,
        chaos_ms: 12_000,
        agents: 2,
        ..Options::drawn(seed)
    }
}

/// The names of all concerns that the worlds of these seeds draw from.
fn concerns() -> &'static [String] {
    static CONCERNS: OnceLock<Vec<String>> = OnceLock::new();
    CONCERNS.get_or_init(|| {
        let mut all = Vec::new();
        for seed in 0..u64::from(SEEDS) {
            let tape = Tape::recording();
            let conduct = Conduct {
                tape: Some(tape.clone()),
                ..Conduct::default()
            };
            let _ = run(&options(seed), conduct);
            all.extend(tape.recorded().concerns);
        }
        all.sort();
        all.dedup();
        all
    })
}
