//! The protocol as runs that a newcomer can read: each snapshot in `snapshots/` is one short run in a world
//! where nothing happens but what its script says. It begins with what it shows; then a line stands for each
//! message and each decision. `INSTA_UPDATE=always cargo test -p inventory-sim --test transcript` writes them
//! anew; what changes is then reviewed as a change of behaviour.
//!
//! Times are seconds since the script's first step, 5 s after the start: the manager is ready by then.

use inventory_sim::chart::transcript;
use inventory_sim::{Action, Conduct, Ending, Fate, Options, run};
use inventory_sync_core::config::Catalogue;

/// When the world begins, in milliseconds.
const BEGIN_MS: u64 = 1_000;
/// When scripts begin, after that.
const SCRIPT_MS: u64 = 5_000;

/// A world of one agent in which nothing happens but what the script says.
fn scripted(modules: usize, lasts_ms: u64) -> Options {
    let mut options = Options::calm(11);
    options.agents = 1;
    let indices = ["states-0-0", "states-0-1", "states-1-0"].map(str::to_owned);
    let modules = indices.chunks(2).take(modules).enumerate();
    let modules = modules.map(|(number, own)| (format!("module-{number}"), own.to_vec()));
    options.config.catalogue = Catalogue::new(modules).unwrap();
    options.change_every_ms = 0;
    options.warm_up_ms = SCRIPT_MS + lasts_ms;
    options.chaos_ms = 1_000;
    options
}

fn put(index: u16, document: u32) -> Action {
    Action::Put {
        agent: 0,
        index,
        document,
        content: u64::from(document),
    }
}

fn remove(index: u16, document: u32) -> Action {
    Action::Remove {
        agent: 0,
        index,
        document,
    }
}

fn delta(module: usize) -> Action {
    Action::Delta { agent: 0, module }
}

fn full(index: u16) -> Action {
    Action::Full { agent: 0, index }
}

/// The transcript of a script whose times are milliseconds since its first step, from `from_ms` on.
fn told(sentence: &str, options: &Options, script: Vec<(u64, Action)>, from_ms: u64) -> String {
    let script = script
        .into_iter()
        .map(|(at_ms, action)| (SCRIPT_MS + at_ms, action))
        .collect();
    let conduct = Conduct {
        record: true,
        script,
        ..Conduct::default()
    };
    let report = run(options, conduct);
    assert_eq!(report.ending, Ending::Sound);
    let recording = report.recording.unwrap();
    let begin_ms = BEGIN_MS + SCRIPT_MS + from_ms;
    let end_ms = recording.phases[1].from_ms;
    format!("{sentence}\n\n{}", transcript(&recording, begin_ms..end_ms))
}

/// Compares with the snapshot, without insta's header of the expression.
macro_rules! shows {
    ($name:literal, $text:expr) => {
        insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!($name, $text);
        });
    };
}

#[test]
fn a_delta() {
    let script = vec![(0, put(0, 1)), (0, put(1, 2)), (10, delta(0))];
    shows!(
        "01-delta",
        told(
            "A Delta: two documents are sent, staged, stored by one bulk request, and acknowledged.",
            &scripted(1, 4_000),
            script,
            0
        )
    );
}

#[test]
fn a_full_replaces() {
    let script = vec![
        (0, put(0, 1)),
        (0, put(0, 2)),
        (10, delta(0)),
        (3_000, remove(0, 1)),
        (3_000, put(0, 3)),
        (3_010, full(0)),
    ];
    shows!(
        "02-full-replaces",
        told(
            "A Full replaces an index: the agent sends what it has (2 and 3), the manager lists what the\n\
             Indexer has (1 and 2), writes what differs (3) and removes what is gone (1).",
            &scripted(1, 8_000),
            script,
            3_000
        )
    );
}

#[test]
fn a_gap_is_asked_for() {
    let mut options = scripted(1, 6_000);
    options.frame_bytes_max = 700;
    let mut script: Vec<_> = (1..=6).map(|document| (0, put(0, document))).collect();
    let lost = Action::LoseFrames {
        agent: 0,
        to_manager: true,
        after: 2,
        count: 1,
    };
    script.extend([(5, lost), (10, delta(0))]);
    shows!(
        "03-gap",
        told(
            "A Data frame is lost. After End the manager asks for exactly what is missing, and only then\n\
             delivers.",
            &options,
            script,
            0
        )
    );
}

#[test]
fn a_lost_verdict_is_repeated() {
    let lost = Action::LoseFrames {
        agent: 0,
        to_manager: false,
        after: 2,
        count: 1,
    };
    let script = vec![(0, put(0, 1)), (5, lost), (10, delta(0))];
    shows!(
        "04-lost-verdict",
        told(
            "The verdict is lost. The agent asks again with End, and gets the same verdict again: nothing is\n\
             delivered twice.",
            &scripted(1, 9_000),
            script,
            0
        )
    );
}

#[test]
fn a_refused_request_is_tried_again() {
    let fates = Action::Fates(vec![Fate::Refused(429)]);
    let script = vec![(0, put(0, 1)), (5, fates), (10, delta(0))];
    shows!(
        "05-overloaded",
        told(
            "The Indexer has too much to do (429). The manager waits and sends the same request again; the\n\
             agent only learns the outcome.",
            &scripted(1, 5_000),
            script,
            0
        )
    );
}

#[test]
fn an_item_is_refused() {
    let script = vec![
        (0, put(0, 1)),
        (0, put(0, 2)),
        (5, Action::RefuseItem(2)),
        (10, delta(0)),
    ];
    shows!(
        "06-partially-rejected",
        told(
            "The Indexer refuses one document for its own sake. The other one is stored; the verdict names\n\
             the refused one, and the agent sets it aside.",
            &scripted(1, 5_000),
            script,
            0
        )
    );
}

#[test]
fn a_late_write_taints() {
    let script = vec![
        (0, put(0, 1)),
        (10, Action::Fates(vec![Fate::Late(9_000)])),
        (20, delta(0)),
        (7_000, remove(0, 1)),
        (7_010, delta(0)),
        (9_500, Action::LoseTombstones),
    ];
    shows!(
        "07-late-write",
        told(
            "An upsert is given up and may still land, so its lane is tainted. The delete that follows waits\n\
             until nothing older can land any more: the late upsert arrives first and is undone.",
            &scripted(1, 20_000),
            script,
            0
        )
    );
}

#[test]
fn the_manager_crashes() {
    let script = vec![
        (0, put(0, 1)),
        (10, delta(0)),
        (60, Action::CrashManager(500)),
    ];
    shows!(
        "08-manager-crash",
        told(
            "The manager crashes in the middle of a session. Nothing was acknowledged, so nothing is lost:\n\
             the agent connects again and opens a new session.",
            &scripted(1, 20_000),
            script,
            0
        )
    );
}

#[test]
fn the_manager_restarts() {
    let script = vec![(0, put(0, 1)), (10, delta(0)), (60, Action::RestartManager)];
    shows!(
        "09-clean-restart",
        told(
            "The manager is asked to stop in the middle of a session: it answers it (here the answer is lost\n\
             with the connection) and records a clean stop. After that nothing is tainted.",
            &scripted(1, 12_000),
            script,
            0
        )
    );
}

#[test]
fn two_modules_at_once() {
    let script = vec![
        (0, put(0, 1)),
        (0, put(2, 1)),
        (10, delta(0)),
        (10, delta(1)),
    ];
    shows!(
        "10-two-modules",
        told(
            "Two modules of an agent share its connection, and a bulk request. Each session has its own verdict.",
            &scripted(2, 4_000),
            script,
            0
        )
    );
}

#[test]
fn a_session_is_replaced() {
    let lost = Action::LoseFrames {
        agent: 0,
        to_manager: true,
        after: 1,
        count: 2,
    };
    let script = vec![
        (0, put(0, 1)),
        (5, lost),
        (10, delta(0)),
        (200, Action::CrashAgent(0, 300)),
        (900, delta(0)),
    ];
    shows!(
        "11-replaced",
        told(
            "The agent's process dies in the middle of a session. Its new Start takes the old session's place.",
            &scripted(1, 5_000),
            script,
            0
        )
    );
}

#[test]
fn a_lane_is_busy() {
    let script = vec![
        (0, put(0, 1)),
        (5, Action::Fates(vec![Fate::Lost])),
        (10, delta(0)),
        (500, Action::CrashAgent(0, 300)),
        (600, put(0, 2)),
        (1_500, delta(0)),
        (2_500, Action::CrashAgent(0, 300)),
        (3_500, delta(0)),
    ];
    shows!(
        "12-busy-lane",
        told(
            "The agent's process dies while its session is being delivered, and dies again. What is delivered\n\
             is not given up: the next session of the lane is staged and waits for it, and the Start of a third\n\
             one is told to come back (AgentBusy).",
            &scripted(1, 15_000),
            script,
            0
        )
    );
}

#[test]
fn the_indexer_cannot_be_reached() {
    let script = vec![
        (0, Action::IndexerUnreachable(9_000)),
        (100, put(0, 1)),
        (7_000, delta(0)),
    ];
    shows!(
        "13-offline",
        told(
            "The Indexer cannot be reached. A Start is answered Offline, with a time to come back; the rows\n\
             stay with the agent.",
            &scripted(1, 20_000),
            script,
            0
        )
    );
}

#[test]
fn an_index_is_blocked() {
    let script = vec![
        (0, put(0, 1)),
        (
            5,
            Action::BlockIndex {
                index: 0,
                lasts_ms: 4_000,
            },
        ),
        (10, delta(0)),
    ];
    shows!(
        "14-blocked-index",
        told(
            "An index is blocked. It is paused, not refused: its session waits, and is delivered when the\n\
             block is gone.",
            &scripted(1, 60_000),
            script,
            0
        )
    );
}
