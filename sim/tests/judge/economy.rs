//! What a document costs where nothing goes wrong: requests, operations, bytes.

use inventory_sim::{Action, Conduct, Ending, Healing, Options, Rates, run};

/// Bytes of bulk body for a document of this world, on average: action, overlay and payload. A payload has some
/// 150 bytes, and one in 32 has 3 000 more.
const BYTES_PER_OPERATION_MAX: u64 = 900;

#[test]
fn without_faults_each_operation_is_sent_once() {
    let (mut operations, mut bytes, mut requests) = (0, 0, 0);
    for seed in 1..=40 {
        let mut options = Options::drawn(seed);
        options.rates = Rates::calm();
        options.hostiles = 0;
        options.healing = Healing::Everything;
        options.chaos_ms = 60_000;
        // What is too large is sent again in smaller pieces.
        (options.takes_bytes_max, options.spares_bytes_max) = (0, 0);
        let report = run(&options, Conduct::default());
        assert_eq!(report.ending, Ending::Sound, "seed {seed}");
        let economy = report.economy;
        assert_eq!(economy.operations, report.counts.applied, "seed {seed}");
        assert!(economy.requests <= economy.operations, "seed {seed}");
        operations += economy.operations;
        bytes += economy.bytes;
        requests += economy.requests;
    }
    println!(
        "{operations} operations in {requests} requests, {} bytes each",
        bytes / operations
    );
    assert!(operations > 1_000 && bytes / operations <= BYTES_PER_OPERATION_MAX);
}

#[test]
fn a_session_takes_two_requests_at_most_where_there_is_room() {
    for seed in 1..=20 {
        let mut options = Options::calm(seed);
        options.agents = 4;
        let report = run(&options, Conduct::default());
        assert_eq!(report.ending, Ending::Sound, "seed {seed}");
        let (requests, sessions) = (report.economy.requests, report.counts.sessions);
        assert!(
            requests <= 2 * sessions,
            "seed {seed}: {requests} for {sessions} sessions"
        );
    }
}

#[test]
fn what_has_not_changed_is_not_written_again() {
    let full = Action::Full { agent: 0, index: 0 };
    let put = |document| Action::Put {
        agent: 0,
        index: 0,
        document,
        content: 16 * u64::from(document),
    };
    let mut options = Options::calm(3);
    options.agents = 1;
    options.change_every_ms = 0;
    let script = vec![
        (5_000, put(1)),
        (5_001, put(2)),
        (5_002, put(3)),
        (6_000, full.clone()),
        (20_000, full.clone()),
        (30_000, full),
    ];
    let conduct = Conduct {
        script,
        ..Conduct::default()
    };
    let report = run(&options, conduct);
    assert_eq!(report.ending, Ending::Sound);
    assert_eq!(
        report.economy.operations, 3,
        "three documents, three operations"
    );
    assert_eq!(report.counts.ok, 3, "three Fulls");
}
