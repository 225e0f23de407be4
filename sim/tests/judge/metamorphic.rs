//! The same script in worlds that differ in what must not matter: cuts of requests, concurrency, shards, names
//! of agents, faults. Each ends with the same documents.

use inventory_sim::{Action, Conduct, Draws, Ending, Options, Rates, Stream, run};

const AGENTS: usize = 3;

/// What is different in a world.
type Change = fn(&mut Options);

/// What agents do, drawn from a seed and bound to no answer.
fn script(seed: u64) -> Vec<(u64, Action)> {
    let mut stream = Stream::new(&Draws::seeded(seed), "metamorphic");
    let mut script = Vec::new();
    for step in 0..60 {
        let agent = usize::try_from(stream.below(AGENTS as u64)).unwrap_or(0);
        let index = u16::try_from(stream.below(4)).unwrap_or(0);
        let document = u32::try_from(stream.below(6)).unwrap_or(0);
        let action = match stream.below(10) {
            0..=4 => Action::Put {
                agent,
                index,
                document,
                content: stream.below(1_000) << 16 | u64::from(document) << 4 | u64::from(index),
            },
            5 | 6 => Action::Remove {
                agent,
                index,
                document,
            },
            7 | 8 => Action::Delta {
                agent,
                module: usize::from(index / 2),
            },
            _ => Action::Full { agent, index },
        };
        script.push((1_000 * step, action));
    }
    script
}

fn documents(name: &str, seed: u64, change: impl Fn(&mut Options)) -> u64 {
    let mut options = Options::calm(seed);
    options.agents = u16::try_from(AGENTS).unwrap_or(1);
    options.change_every_ms = 0;
    change(&mut options);
    let conduct = Conduct {
        script: script(seed),
        ..Conduct::default()
    };
    let report = run(&options, conduct);
    assert_eq!(report.ending, Ending::Sound, "{name}, seed {seed}");
    assert!(
        report.counts.ok > 0,
        "{name}, seed {seed}: nothing was stored"
    );
    report.economy.documents
}

#[test]
fn what_must_not_matter_changes_no_document() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 1..=20 {
        let plain = documents("plain", seed, |_| {});
        let variants: [(&str, Change); 6] = [
            ("one operation a request", |options| {
                options.config.bulk_operations_max = 1
            }),
            ("small requests", |options| {
                options.config.bulk_bytes_max = 2_000
            }),
            ("eight requests at once", |options| {
                options.config.concurrency = 8;
                options.config.bulk_operations_max = 2;
            }),
            ("two shards", |options| options.shards = 2),
            ("renamed agents", |options| options.first_agent = 4_711),
            ("faults", |options| {
                options.rates = Rates::swarm(options.seed)
            }),
        ];
        for (name, change) in variants {
            assert_eq!(documents(name, seed, change), plain, "{name}, seed {seed}");
        }
        seen.insert(plain);
    }
    assert!(seen.len() > 15, "the scripts end alike: {}", seen.len());
}
