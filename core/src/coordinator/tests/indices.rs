//! The state of each index: checked, created, paused, held.

use super::desk::Desk;
use super::{FRESH, config, refusals, stored, tally};
use crate::coordinator::{Config, Event, IndexOutcome, ShardId, TemplateOutcome};
use crate::id::{AgentId, IndexId, SessionId};
use crate::manager::{IndexState, IndexTrouble};

const HARDWARE: IndexId = IndexId(0);

fn state(desk: &Desk) -> IndexState {
    desk.coordinator.index_states()[0].0
}

fn trouble(desk: &mut Desk, trouble: IndexTrouble) {
    desk.say(Event::IndexTrouble {
        index: HARDWARE,
        trouble,
    });
}

#[test]
fn template_is_checked_then_the_index_created_then_opened() {
    let mut desk = Desk::new(config());
    desk.world.templates[0] = TemplateOutcome::TemplateFits;
    desk.world.templates[2] = TemplateOutcome::TemplateFits;
    desk.is_diligent = false;
    desk.start(FRESH);
    while desk.times("write") == 0 {
        desk.answer();
    }
    assert_eq!(desk.times("check"), 0, "the writer document comes first");
    desk.log.clear();
    while !desk.open.is_empty() {
        desk.answer();
    }
    assert_eq!(desk.coordinator.pending(), None);
    insta::assert_snapshot!(desk.log);
}

#[test]
fn different_template_is_not_written_to_and_looked_at_again() {
    let mut desk = Desk::new(config());
    desk.world.templates[0] = TemplateOutcome::Different("host.ip is missing".to_owned());
    desk.start(FRESH);
    assert_eq!(desk.times("create hardware"), 0);
    let (now, detail) = desk.coordinator.index_states()[0].clone();
    assert_eq!(
        (now, detail.as_str()),
        (IndexState::NotReady, "host.ip is missing")
    );
    desk.run(120_000);
    let checks = desk.times("check hardware");
    assert!((12..=24).contains(&checks), "{checks}");
    assert_eq!(desk.times("check packages"), 1);
    desk.world.templates[0] = TemplateOutcome::IndexFits;
    desk.run(15_000);
    assert_eq!(state(&desk), IndexState::Open);
}

#[test]
fn different_template_is_written_to_when_told_so() {
    let mut desk = Desk::new(Config {
        write_unchecked: true,
        ..config()
    });
    desk.world.templates[0] = TemplateOutcome::Different("no template".to_owned());
    desk.start(FRESH);
    assert_eq!(desk.times("create hardware"), 1);
    assert_eq!(state(&desk), IndexState::Open);
}

#[test]
fn index_that_is_not_created_stays_unready() {
    let mut desk = Desk::new(config());
    desk.world.templates[0] = TemplateOutcome::TemplateFits;
    desk.world.create = IndexOutcome::Refused("no right to create".to_owned());
    desk.start(FRESH);
    assert_eq!(desk.coordinator.index_states()[0].1, "no right to create");
    desk.world.create = IndexOutcome::Unknown;
    desk.run(1_000);
    assert_eq!(state(&desk), IndexState::NotReady);
    desk.world.create = IndexOutcome::Exists;
    desk.run(15_000);
    assert_eq!(state(&desk), IndexState::Open);
}

#[test]
fn trouble_pauses_ever_longer_and_a_stored_operation_resets_it() {
    let mut desk = Desk::writing();
    let mut pauses_ms = Vec::new();
    for _ in 0..6 {
        trouble(&mut desk, IndexTrouble::Blocked);
        trouble(&mut desk, IndexTrouble::Blocked);
        let IndexState::Paused { until } = state(&desk) else {
            panic!("it is paused");
        };
        pauses_ms.push(until.since(desk.now));
        desk.run(until.since(desk.now));
    }
    assert_eq!(
        desk.times("tell all: hardware is Paused"),
        6,
        "the second word is not news"
    );
    for (longest_ms, pause_ms) in [1_000, 2_000, 4_000, 8_000, 15_000, 15_000]
        .iter()
        .zip(pauses_ms)
    {
        assert!(
            (longest_ms / 2..=*longest_ms).contains(&pause_ms),
            "{pause_ms} of {longest_ms}"
        );
    }
    desk.say(stored(1, 0, 5));
    assert_eq!(state(&desk), IndexState::Open);
    trouble(&mut desk, IndexTrouble::Forbidden);
    let IndexState::Paused { until } = state(&desk) else {
        panic!("it is paused");
    };
    assert!(until.since(desk.now) <= 1_000);
    assert_eq!(desk.coordinator.index_states()[1].0, IndexState::Open);
}

#[test]
fn operations_stored_among_refusals_end_a_pause_too() {
    let mut desk = Desk::writing();
    trouble(&mut desk, IndexTrouble::Blocked);
    desk.say(refusals(1, 1, 0, 0, 1));
    assert!(matches!(state(&desk), IndexState::Paused { .. }));
    desk.say(refusals(2, 1, 0, 1, 1));
    assert_eq!(state(&desk), IndexState::Open);
}

#[test]
fn missing_index_is_created_again() {
    let mut desk = Desk::writing();
    desk.world.templates[0] = TemplateOutcome::TemplateFits;
    trouble(&mut desk, IndexTrouble::Missing);
    desk.run(250);
    insta::assert_snapshot!(desk.log);
}

#[test]
fn index_that_only_listings_miss_is_created_again() {
    // A shard takes what a listing could not reach for blocked.
    let mut desk = Desk::writing();
    desk.world.templates[0] = TemplateOutcome::TemplateFits;
    trouble(&mut desk, IndexTrouble::Blocked);
    assert_eq!(desk.times("create hardware"), 1);
    assert_eq!(state(&desk), IndexState::Open);
}

#[test]
fn blocked_index_stays_paused_though_its_mapping_fits() {
    let mut desk = Desk::writing();
    trouble(&mut desk, IndexTrouble::Blocked);
    assert_eq!(desk.times("check hardware"), 1);
    assert!(matches!(state(&desk), IndexState::Paused { .. }));
}

#[test]
fn fault_of_an_index_holds_its_sessions_until_an_operator_resumes_it() {
    let mut desk = Desk::writing();
    desk.say(refusals(1, 1, 0, 3, 20));
    desk.say(refusals(2, 2, 0, 0, 29));
    desk.say(refusals(3, 3, 0, 0, 1));
    desk.say(refusals(4, 1, 0, 50, 1));
    desk.say(refusals(5, 1, 0, 50, 0));
    trouble(&mut desk, IndexTrouble::Blocked);
    desk.say(stored(1, 0, 1));
    desk.run(120_000);
    assert_eq!(
        state(&desk),
        IndexState::Held,
        "nothing but an operator ends it"
    );
    desk.say(Event::ResumeIndex { index: HARDWARE });
    desk.say(refusals(6, 1, 0, 0, 49));
    let lines: Vec<&str> = desk
        .log
        .lines()
        .filter(|line| {
            !line.contains("bound")
                && !line.contains("#")
                && !line.ends_with("tick")
                && !line.contains("lease")
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

/// Whether the last of these reports (agent, stored, refused), 10 s apart, is the index's fault.
fn is_fault(pause_ms: u64, reports: &[(u64, u64, u64)]) -> bool {
    let mut desk = Desk::writing();
    for (session, (agent, stored, refused)) in (1..).zip(reports) {
        desk.run(pause_ms);
        desk.say(refusals(session, *agent, 0, *stored, *refused));
    }
    state(&desk) == IndexState::Held
}

#[test]
fn fault_needs_fifty_refusals_more_than_half_and_three_agents() {
    assert!(is_fault(1, &[(1, 0, 20), (2, 0, 20), (3, 0, 10)]));
    assert!(!is_fault(1, &[(1, 0, 20), (2, 0, 20), (3, 0, 9)]), "49");
    assert!(
        !is_fault(1, &[(1, 25, 20), (2, 25, 20), (3, 0, 10)]),
        "half"
    );
    assert!(
        is_fault(1, &[(1, 25, 20), (2, 24, 20), (3, 0, 10)]),
        "more than half"
    );
    assert!(
        !is_fault(1, &[(3, 9, 0), (1, 0, 25), (2, 0, 25)]),
        "two of three agents"
    );
    assert!(is_fault(1, &[(1, 0, 25), (2, 0, 25)]), "both agents");
    assert!(is_fault(1, &[(1, 0, 50)]), "the only agent");
}

#[test]
fn fault_is_judged_within_a_minute() {
    assert!(is_fault(30_000, &[(1, 0, 30), (2, 0, 30), (3, 0, 30)]));
    assert!(
        is_fault(30_000, &[(1, 0, 30), (2, 0, 11), (3, 0, 30)]),
        "the first is a minute old, no more"
    );
    assert!(
        !is_fault(30_001, &[(1, 0, 30), (2, 0, 11), (3, 0, 30)]),
        "the first is too old"
    );
}

#[test]
fn only_indices_at_fault_are_named() {
    let mut desk = Desk::writing();
    desk.say(Event::Refusals {
        shard: ShardId(1),
        session: SessionId(9),
        agent: AgentId(1),
        tallies: vec![tally(0, 60, 50), tally(1, 0, 60), tally(2, 10, 0)],
    });
    assert!(
        desk.told()
            .ends_with("tell shard 1: session 9: held packages"),
        "{}",
        desk.told()
    );
}

#[test]
fn answer_to_a_check_does_not_resume_what_is_held_meanwhile() {
    let mut desk = Desk::writing();
    desk.is_diligent = false;
    trouble(&mut desk, IndexTrouble::Missing);
    desk.run(250);
    desk.say(refusals(1, 1, 0, 0, 60));
    assert_eq!(state(&desk), IndexState::Held);
    while !desk.open.is_empty() {
        desk.answer();
    }
    assert_eq!(state(&desk), IndexState::Held);
}

#[test]
fn indices_of_no_catalogue_change_nothing() {
    let mut desk = Desk::writing();
    let index = IndexId::UNKNOWN;
    desk.say(Event::IndexTrouble {
        index,
        trouble: IndexTrouble::Missing,
    });
    desk.say(Event::ResumeIndex { index });
    desk.say(stored(1, u16::MAX, u64::MAX));
    assert!(desk.commands.is_empty());
    desk.say(refusals(1, 1, u16::MAX, u64::MAX, u64::MAX));
    desk.say(refusals(2, 1, 0, u64::MAX, u64::MAX));
    desk.say(refusals(3, 1, 0, u64::MAX, u64::MAX));
    assert_eq!(desk.times("tell shard 0: session"), 3);
}
