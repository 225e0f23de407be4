//! One small run as a transcript that a reviewer can read: a document, a request that is given up and lands
//! late, a delete that waits for it. `INSTA_UPDATE=always cargo test -p inventory-sim` writes it anew.

use std::fmt::Write as _;

use inventory_sim::{Action, Conduct, Ending, Fate, Options, run};

/// Words of a line that say what happened, in the order in which they stand there.
const TELLING: [&str; 8] = [
    "mode: Some(",
    "size: ",
    "status: ",
    "reason: ",
    "Late(",
    "outcome: ",
    "upserts: ",
    "deletes: ",
];

/// What is said all the time and tells nothing.
const DULL: [&str; 6] = [
    "WallClock",
    "Tick",
    "Observe",
    "LeaseUntil",
    "BoundRaised",
    "Remember",
];

/// A line of the readable trace in short: time, node, what it was told or asked, and the telling words.
fn short(line: &str) -> Option<String> {
    // The columns before `<` or `>` have a fixed width.
    let (head, what) = line.split_at_checked(30)?;
    let mut words = head.split_whitespace();
    let (_step, tick): (&str, u64) = (words.next()?, words.next()?.parse().ok()?);
    if head.contains("coordinator") {
        return None;
    }
    let (way, what) = what.trim_start().split_at(1);
    let what = what
        .trim_start()
        .trim_start_matches("(0, ")
        .trim_start_matches("(BulkId");
    let name: String = what
        .chars()
        .take_while(|letter| letter.is_alphanumeric())
        .collect();
    // Without a name it is the other module of the agent, which has nothing to say here.
    if DULL.contains(&name.as_str()) || (name.is_empty() && way != "*") {
        return None;
    }
    let node = words.collect::<Vec<_>>().join(" ");
    let mut text = format!(
        "{:>3}.{:03} s  {node:<8} {way} {name}",
        tick / 1_000,
        tick % 1_000
    );
    for (message, shown) in [
        ("message: Start", "Start"),
        ("message: StartAck", "StartAck"),
        ("message: Data", "Data"),
        ("message: End(", "End"),
        ("message: EndAck", "EndAck"),
        ("answer: StartAck", "StartAck"),
        ("answer: EndAck", "EndAck"),
    ] {
        if what.contains(message) && !(shown == "Start" && what.contains("message: StartAck")) {
            let _ = write!(text, " {shown}");
        }
    }
    for word in TELLING {
        if let Some((_, rest)) = what.split_once(word) {
            let value: String = rest
                .chars()
                .take_while(|letter| letter.is_alphanumeric())
                .collect();
            let _ = write!(
                text,
                " {} {value}",
                word.trim_end_matches([' ', ':', '('])
                    .trim_end_matches(": Some")
            );
        }
    }
    Some(text)
}

#[test]
fn a_delete_waits_for_an_upsert_that_lands_late() {
    let mut options = Options::calm(11);
    options.agents = 1;
    options.change_every_ms = 0;
    options.warm_up_ms = 30_000;
    options.chaos_ms = 1_000;
    let put = Action::Put {
        agent: 0,
        index: 0,
        document: 1,
        content: 1,
    };
    let remove = Action::Remove {
        agent: 0,
        index: 0,
        document: 1,
    };
    let delta = || Action::Delta {
        agent: 0,
        module: 0,
    };
    let script = vec![
        (5_000, put),
        (5_010, Action::Fates(vec![Fate::Late(9_000)])),
        (5_020, delta()),
        (12_000, remove),
        (12_010, delta()),
        (14_500, Action::LoseTombstones),
    ];
    let report = run(
        &options,
        Conduct {
            keep_text: true,
            script,
            ..Conduct::default()
        },
    );
    assert_eq!(report.ending, Ending::Sound);
    let text = report.trace.unwrap_or_default();
    let from = |line: &&str| {
        line.split_whitespace()
            .nth(1)
            .and_then(|tick| tick.parse().ok())
            .is_some_and(|tick: u64| tick > 6_000)
    };
    let lines: Vec<String> = text.lines().filter(from).filter_map(short).collect();
    insta::assert_snapshot!(lines.join("\n"));
}
