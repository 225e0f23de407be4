//! Answers to bulk requests.

use std::fmt::Write as _;

use inventory_sync_core::answer::{self, BulkOutcome, PartOutcome, Sent};
use inventory_sync_core::document::{Class, Part, Runs, SessionTable};
use inventory_sync_core::id::{IndexId, Version};

use super::{check_sentence, requests};
use crate::choices::Choices;

/// So many failed items are listed.
const FAILED_ITEMS_MAX: usize = 4;

/// What an item says, and what that means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    Stored,
    Overloaded,
    Blocked,
    Missing,
    Forbidden,
    Unknown,
    Refused,
    Conflict,
}

/// Status, error type, reason, meaning. An empty type stands for no error.
const ITEMS: [(u16, &str, &str, Means); 18] = [
    (200, "", "", Means::Stored),
    (201, "", "", Means::Stored),
    (
        429,
        "circuit_breaking_exception",
        "Data too large",
        Means::Overloaded,
    ),
    (429, "rejected_execution_exception", "", Means::Overloaded),
    (
        429,
        "opensearch_rejected_execution_exception",
        "",
        Means::Overloaded,
    ),
    (
        403,
        "cluster_block_exception",
        "blocked by: [FORBIDDEN/8/index write]",
        Means::Blocked,
    ),
    (400, "index_closed_exception", "closed", Means::Blocked),
    (
        404,
        "index_not_found_exception",
        "no such index [x]",
        Means::Missing,
    ),
    (
        400,
        "validation_exception",
        "this action would add [2] total shards, but this cluster has [9]/[9] maximum shards open",
        Means::Missing,
    ),
    (
        403,
        "security_exception",
        "no permissions",
        Means::Forbidden,
    ),
    (503, "unavailable_shards_exception", "", Means::Unknown),
    (
        500,
        "version_conflict_engine_exception",
        "current version [9]",
        Means::Unknown,
    ),
    (500, "", "", Means::Unknown),
    (408, "mapper_parsing_exception", "", Means::Unknown),
    (
        400,
        "mapper_parsing_exception",
        "failed to parse field [a]",
        Means::Refused,
    ),
    (
        400,
        "strict_dynamic_mapping_exception",
        "line\\nbreak",
        Means::Refused,
    ),
    (
        409,
        "version_conflict_engine_exception",
        "[1]: current version [17]",
        Means::Conflict,
    ),
    (409, "", "", Means::Unknown),
];

fn sent<'a>(parts: &'a [Part], table: Option<&'a SessionTable>) -> Vec<Sent<'a>> {
    parts.iter().map(|part| Sent { part, table }).collect()
}

/// Any status and body: each operation has one verdict, or none has any.
pub(super) fn any(status: u16, body: &[u8]) {
    let (upserts, deletes) = (
        Runs::up_to(requests::count(Class::Upsert)),
        Runs::up_to(requests::count(Class::Delete)),
    );
    let one = Runs::up_to(1);
    let none = Runs::new();
    for parts in [
        requests::parts(&upserts, &deletes),
        requests::parts(&one, &none),
        requests::parts(&none, &one),
    ] {
        for table in [Some(requests::table()), None] {
            let outcome = answer::bulk(&sent(&parts, table), status, body, FAILED_ITEMS_MAX);
            let is_alone = parts.len() == 1 && parts[0].ordinals.count() == 1;
            check(status, &parts, table, &outcome, is_alone);
        }
    }
}

fn check(
    status: u16,
    parts: &[Part],
    table: Option<&SessionTable>,
    outcome: &BulkOutcome,
    is_alone: bool,
) {
    let is_success = (200..=299).contains(&status);
    match outcome {
        BulkOutcome::Answered { parts: answers } => {
            assert!(is_success || (is_alone && (400..=499).contains(&status)));
            assert_eq!(answers.len(), parts.len());
            for (part, answer) in parts.iter().zip(answers) {
                check_part(part, answer, table);
                assert!(is_success || answer.stored.is_empty(), "stored by {status}");
            }
        }
        BulkOutcome::Unknown => {}
        BulkOutcome::Refused { detail, .. } => {
            assert!((400..=499).contains(&status) && status != 408);
            check_sentence(detail);
        }
        other => panic!("{other:?} of an answer"),
    }
}

/// The verdicts of a part are a partition of its operations.
fn check_part(part: &Part, outcome: &PartOutcome, table: Option<&SessionTable>) {
    let mut decided = Runs::new();
    let mut count = 0;
    let lists = [
        &outcome.overloaded,
        &outcome.blocked,
        &outcome.missing,
        &outcome.forbidden,
        &outcome.refused,
    ];
    let named = lists.into_iter().flatten().map(|(_, runs)| runs);
    for runs in named.chain([&outcome.unknown, &outcome.conflicts]) {
        decided.extend(runs);
        count += runs.count();
    }
    assert_eq!(decided.count(), count, "an operation with two verdicts");
    for run in decided.as_slice() {
        let known = part.ordinals.missing_in(*run);
        assert!(known.is_empty(), "a verdict for what was not sent");
    }
    let stored: u64 = outcome.stored.iter().map(|(_, count)| count).sum();
    assert_eq!(
        stored + count,
        part.ordinals.count(),
        "an operation without a verdict"
    );
    let failures = &outcome.failures;
    assert!(failures.lowest.len() <= FAILED_ITEMS_MAX);
    assert!(
        failures
            .lowest
            .windows(2)
            .all(|pair| pair[0].seq < pair[1].seq)
    );
    for failure in &failures.lowest {
        check_sentence(&failure.detail);
        check_sentence(&failure.kind);
    }
    let is_refused = outcome.refused.iter().any(|(_, runs)| !runs.is_empty());
    assert_eq!(failures.total > 0, is_refused && table.is_some());
}

/// A sound answer says exactly what it was made of; one that is not sound says nothing.
pub(super) fn sound_and_mutated(choices: &mut Choices<'_>) {
    let some = |most: u32, choices: &mut Choices<'_>| {
        let mask = choices.byte();
        let is_in = |ordinal: &u32| mask == 0 || mask >> (ordinal % 8) & 1 == 1;
        let ordinals = (0..most).filter(is_in);
        ordinals
            .map(inventory_sync_core::document::Run::one)
            .collect::<Runs>()
    };
    let upserts = some(requests::count(Class::Upsert), choices);
    let deletes = some(requests::count(Class::Delete), choices);
    let parts = requests::parts(&upserts, &deletes);
    let all_stored = choices.rarely(2);
    let mut items = Vec::new();
    let mut means = Vec::new();
    for part in &parts {
        for _ in 0..part.ordinals.count() {
            let place = if all_stored { 0 } else { choices.byte() };
            let item = ITEMS[usize::from(place) % ITEMS.len()];
            let is_missing_delete = part.class == Class::Delete && place == 255;
            means.push(if is_missing_delete {
                Means::Stored
            } else {
                item.3
            });
            let item = if is_missing_delete {
                (404, "", "", Means::Stored)
            } else {
                item
            };
            items.push((part.class, item));
        }
    }
    let is_strange = choices.rarely(4);
    let body = render(&items, !all_stored, is_strange);
    let said = answer::bulk(
        &sent(&parts, Some(requests::table())),
        200,
        body.as_bytes(),
        FAILED_ITEMS_MAX,
    );
    let BulkOutcome::Answered { parts: answers } = &said else {
        panic!("a sound answer is not understood: {body}");
    };
    let mut means = means.into_iter();
    for (part, outcome) in parts.iter().zip(answers) {
        check_part(part, outcome, Some(requests::table()));
        for ordinal in part.ordinals.iter() {
            assert_eq!(means.next(), Some(meaning(outcome, ordinal)), "{body}");
        }
        let version = Version(if outcome.conflicts.is_empty() { 0 } else { 17 });
        assert_eq!(outcome.conflict_version, version);
    }
    mutate(&parts, items, &body, choices);
}

/// What an outcome says of one operation.
fn meaning(outcome: &PartOutcome, ordinal: u32) -> Means {
    let is_in = |list: &[(IndexId, Runs)]| list.iter().any(|(_, runs)| runs.contains(ordinal));
    if is_in(&outcome.overloaded) {
        Means::Overloaded
    } else if is_in(&outcome.blocked) {
        Means::Blocked
    } else if is_in(&outcome.missing) {
        Means::Missing
    } else if is_in(&outcome.forbidden) {
        Means::Forbidden
    } else if is_in(&outcome.refused) {
        Means::Refused
    } else if outcome.unknown.contains(ordinal) {
        Means::Unknown
    } else if outcome.conflicts.contains(ordinal) {
        Means::Conflict
    } else {
        Means::Stored
    }
}

type SaidItem = (Class, (u16, &'static str, &'static str, Means));

/// The answer as an Indexer writes it; a strange one has spaces, members we did not ask for, and another order.
fn render(items: &[SaidItem], errors: bool, is_strange: bool) -> String {
    let mut body = if is_strange {
        format!("{{ \"ingest_took\" : 3,\"errors\": {errors} , \"took\":1,\n \"items\":[")
    } else {
        format!("{{\"took\":1,\"errors\":{errors},\"items\":[")
    };
    for (place, (class, (status, kind, reason, _))) in items.iter().enumerate() {
        let comma = if place > 0 { "," } else { "" };
        let action = if *class == Class::Upsert {
            "index"
        } else {
            "delete"
        };
        let mut item = format!("{comma}{{\"{action}\":{{");
        if is_strange {
            item.push_str("\"_index\":\"x\",\"_shards\":{\"total\":2}, ");
        }
        // Writing to a String cannot fail.
        let _ = write!(item, "\"status\":{status}");
        if !kind.is_empty() {
            let _ = write!(
                item,
                ",\"error\":{{\"type\":\"{kind}\",\"reason\":\"{reason}\"}}"
            );
        }
        item.push_str("}}");
        body.push_str(&item);
    }
    body.push_str("]}");
    body
}

/// An answer with an item too few, too many, of another action, or with its end missing, tells nothing.
fn mutate(parts: &[Part], mut items: Vec<SaidItem>, sound: &str, choices: &mut Choices<'_>) {
    let Some(place) = choices.place(items.len()) else {
        return;
    };
    let is_error = choices.rarely(2);
    let body = match choices.below(5) {
        0 => {
            items.remove(place);
            render(&items, is_error, false)
        }
        1 => {
            items.insert(place, (items[place].0, ITEMS[0]));
            render(&items, is_error, false)
        }
        2 => {
            items[place].0 = match items[place].0 {
                Class::Upsert => Class::Delete,
                Class::Delete | Class::Removal => Class::Upsert,
            };
            render(&items, is_error, false)
        }
        3 => {
            let mut end = usize::from(choices.word()) % sound.len();
            while !sound.is_char_boundary(end) {
                end -= 1;
            }
            sound[..end].to_owned()
        }
        _ => format!("{sound}{{}}"),
    };
    for table in [Some(requests::table()), None] {
        let said = answer::bulk(&sent(parts, table), 200, body.as_bytes(), FAILED_ITEMS_MAX);
        assert_eq!(said, BulkOutcome::Unknown, "believed: {body}");
    }
}
