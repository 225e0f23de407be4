use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::document::plan;
use crate::document::sample::{AGENT, INDICES, SESSION, Sample, scheme, staged};

/// Sequences 0 and 1 are one document (1 is sent), 2 and 3 are others, 4 deletes.
fn table() -> SessionTable {
    let items = vec![
        Sample::upsert(0, "states-zero", "x", "{}"),
        Sample::upsert(1, "states-zero", "x", "{}"),
        Sample::upsert(2, "states-one", "x", "{}"),
        Sample::upsert(3, "states-one", "y", "{}"),
        Sample::delete(4, "states-zero", "z"),
    ];
    let (mut table, frames) = staged(&scheme(), &[items]);
    plan(&mut table, &&frames, &INDICES, false, 1000).unwrap();
    table
}

fn part(class: Class, count: u32) -> Part {
    Part {
        session: SESSION,
        agent: AGENT,
        version: Version(5),
        class,
        ordinals: Runs::up_to(count),
    }
}

fn ask(status: u16, body: &str) -> BulkOutcome {
    let table = table();
    let parts = [part(Class::Upsert, 3), part(Class::Delete, 1)];
    let sent: Vec<Sent<'_>> = parts
        .iter()
        .map(|part| Sent {
            part,
            table: Some(&table),
        })
        .collect();
    bulk(&sent, status, body.as_bytes(), 1000)
}

fn parts(body: &str) -> Vec<PartOutcome> {
    match ask(200, body) {
        BulkOutcome::Answered { parts } => parts,
        other => panic!("{other:?}"),
    }
}

const STORED: &str = r#"{"took":30,"errors":false,"items":[{"index":{"status":201}},{"index":{"status":200}},{"index":{"status":200}},{"delete":{"status":404}}]}"#;

fn runs(ordinals: &[u32]) -> Runs {
    ordinals.iter().copied().map(Run::one).collect()
}

#[test]
fn all_stored_is_seen_without_parsing() {
    let table = table();
    let parts = [part(Class::Upsert, 3), part(Class::Delete, 1)];
    let sent: Vec<Sent<'_>> = parts
        .iter()
        .map(|part| Sent {
            part,
            table: Some(&table),
        })
        .collect();
    assert_eq!(all_stored(&sent, STORED.as_bytes()), Some(()));
    let expected = vec![
        PartOutcome {
            stored: vec![(IndexId(0), 1), (IndexId(1), 2)],
            ..PartOutcome::default()
        },
        PartOutcome {
            stored: vec![(IndexId(0), 1)],
            ..PartOutcome::default()
        },
    ];
    assert_eq!(
        ask(200, STORED),
        BulkOutcome::Answered {
            parts: expected.clone()
        }
    );
    // Another form of the same answer is parsed, and says the same.
    let full = STORED
        .replace(
            "{\"status\"",
            "{ \"_index\":\"i\",\"_id\":\"a\\\"status\\\":\",\"result\":\"created\",\"status\"",
        )
        .replace("\"errors\":false,", "");
    assert_eq!(all_stored(&sent, full.as_bytes()), None);
    assert_eq!(ask(200, &full), BulkOutcome::Answered { parts: expected });
}

#[test]
fn an_answer_about_other_operations_or_cut_short_is_unknown() {
    let long = STORED.replace("]}", ",{\"index\":{\"status\":200}}]}");
    let short = STORED.replace(",{\"delete\":{\"status\":404}}", "");
    let moved = STORED.replace(
        "{\"delete\":{\"status\":404}}",
        "{\"index\":{\"status\":200}}",
    );
    for body in [
        "",
        "{}",
        "null",
        "<html>",
        "{\"took\":30,\"errors\":false}",
        "{\"took\":30,\"errors\":false,\"items\":[]}",
        &long,
        &short,
        &moved,
        &STORED[..STORED.len() - 1],
        &STORED[..STORED.len() - 20],
        &format!("{STORED}{STORED}"),
        "{\"error\":\"x\",\"status\":200}",
    ] {
        assert_eq!(ask(200, body), BulkOutcome::Unknown, "{body}");
    }
}

#[test]
fn a_request_refused_whole_is_classified() {
    let security =
        r#"{"error":{"type":"security_exception","reason":"no permissions"},"status":403}"#;
    for (status, body, refusal) in [
        (413, "", Refusal::TooLarge),
        (
            429,
            "{\"error\":{\"type\":\"rejected_execution_exception\"},\"status\":429}",
            Refusal::Overloaded,
        ),
        (401, "Unauthorized", Refusal::Unauthorized),
        (403, security, Refusal::Forbidden),
        (
            400,
            "{\"error\":{\"type\":\"action_request_validation_exception\"}}",
            Refusal::Malformed,
        ),
        (404, "", Refusal::Malformed),
    ] {
        match ask(status, body) {
            BulkOutcome::Refused {
                refusal: found,
                status: code,
                detail,
            } => {
                assert_eq!((found, code), (refusal, status));
                assert!(
                    detail.contains(&status.to_string()) && detail.len() <= 256,
                    "{detail}"
                );
            }
            other => panic!("{status}: {other:?}"),
        }
    }
    for status in [100, 302, 408, 500, 502, 503, 504] {
        assert_eq!(
            ask(status, "OpenSearch Security not initialized."),
            BulkOutcome::Unknown
        );
    }
}

#[test]
fn a_lone_operation_is_refused_for_good_and_its_twins_with_it() {
    let table = table();
    let part = part(Class::Upsert, 1);
    let sent = [Sent {
        part: &part,
        table: Some(&table),
    }];
    for (status, body, kind) in [
        (413, "", ""),
        (
            400,
            r#"{"error":{"type":"illegal_argument_exception","reason":"id is too long"}}"#,
            "illegal_argument_exception",
        ),
    ] {
        let BulkOutcome::Answered { parts } = bulk(&sent, status, body.as_bytes(), 1000) else {
            panic!("{status}");
        };
        assert_eq!(parts[0].refused, [(IndexId(0), runs(&[0]))]);
        assert_eq!(parts[0].failures.total, 2);
        let listed: Vec<_> = parts[0]
            .failures
            .lowest
            .iter()
            .map(|failure| {
                (
                    failure.seq,
                    failure.status,
                    failure.kind.as_str(),
                    failure.retryable,
                )
            })
            .collect();
        assert_eq!(listed, [(0, status, kind, false), (1, status, kind, false)]);
    }
    // An overload is never the operation's fault.
    assert!(matches!(
        bulk(&sent, 429, b"", 1000),
        BulkOutcome::Refused { .. }
    ));
}

#[test]
fn each_item_is_judged_by_type_first() {
    let item = |action: &str, status: u16, kind: &str, reason: &str| json!({action: {"status": status, "error": {"type": kind, "reason": reason}}});
    let body = |items: &[serde_json::Value]| {
        json!({"took": 1, "errors": true, "items": items}).to_string()
    };
    let conflict = "[wazuh_001_a]: version conflict, current version [9] of [x]: version conflict, current version [100] is higher than the one provided [5]";
    let outcome = parts(&body(&[
        item("index", 409, "version_conflict_engine_exception", conflict),
        item(
            "index",
            400,
            "strict_dynamic_mapping_exception",
            "mapping set to strict",
        ),
        item("index", 429, "rejected_execution_exception", "queue full"),
        item("delete", 429, "cluster_block_exception", "flood stage"),
    ]));
    assert_eq!(outcome[0].conflicts, runs(&[0]));
    assert_eq!(outcome[0].conflict_version, Version(100));
    assert_eq!(outcome[0].refused, [(IndexId(1), runs(&[1]))]);
    assert_eq!(outcome[0].failures.lowest[0].seq, 2);
    assert_eq!(
        outcome[0].failures.lowest[0].detail,
        "mapping set to strict"
    );
    assert_eq!(outcome[0].overloaded, [(IndexId(1), runs(&[2]))]);
    assert_eq!(outcome[1].blocked, [(IndexId(0), runs(&[0]))]);
    assert_eq!(outcome[0].stored, []);

    let class = Class::Upsert;
    let verdict_of = |status, kind: &str, reason: &str| {
        let error = json!({"type": kind, "reason": reason});
        verdict(
            &Item {
                status,
                error: serde_json::from_value(error).unwrap(),
            },
            class,
        )
    };
    for (status, kind, reason, expected) in [
        (
            429,
            "es_rejected_execution_exception",
            "",
            Verdict::Overloaded,
        ),
        (429, "circuit_breaking_exception", "", Verdict::Overloaded),
        (429, "something_new", "", Verdict::Overloaded),
        (403, "cluster_block_exception", "", Verdict::Blocked),
        (400, "index_closed_exception", "closed", Verdict::Blocked),
        (404, "index_not_found_exception", "", Verdict::Missing),
        (
            400,
            "validation_exception",
            "this cluster currently has [1000]/[1000] maximum shards open;",
            Verdict::Missing,
        ),
        (
            400,
            "validation_exception",
            "something else",
            Verdict::Refused,
        ),
        (403, "security_exception", "", Verdict::Forbidden),
        (400, "security_exception", "", Verdict::Forbidden),
        (401, "something_new", "", Verdict::Forbidden),
        (400, "mapper_parsing_exception", "", Verdict::Refused),
        (404, "document_missing_exception", "", Verdict::Refused),
        (
            409,
            "version_conflict_engine_exception",
            "no number",
            Verdict::Conflict(Version(0)),
        ),
        (503, "unavailable_shards_exception", "", Verdict::Unknown),
        (503, "cluster_block_exception", "", Verdict::Unknown),
        (500, "rejected_execution_exception", "", Verdict::Unknown),
        (408, "something_new", "", Verdict::Unknown),
        (200, "something_new", "", Verdict::Unknown),
    ] {
        assert_eq!(
            verdict_of(status, kind, reason),
            expected,
            "{status} {kind}"
        );
    }
    let plain = |status, class| {
        verdict(
            &Item {
                status,
                error: None,
            },
            class,
        )
    };
    assert_eq!(plain(404, Class::Delete), Verdict::Stored);
    assert_eq!(plain(404, Class::Removal), Verdict::Stored);
    assert_eq!(plain(404, Class::Upsert), Verdict::Unknown);
    assert_eq!(plain(500, Class::Upsert), Verdict::Unknown);
}

#[test]
fn a_session_that_has_ended_is_answered_without_its_table() {
    let part = part(Class::Upsert, 2);
    let sent = [Sent {
        part: &part,
        table: None,
    }];
    let body = r#"{"took":1,"errors":true,"items":[{"index":{"status":200}},{"index":{"status":400,"error":{"type":"t","reason":null}}}]}"#;
    let BulkOutcome::Answered { parts } = bulk(&sent, 200, body.as_bytes(), 1000) else {
        panic!("not answered");
    };
    assert_eq!(parts[0].stored, [(IndexId::UNKNOWN, 1)]);
    assert_eq!(parts[0].refused, [(IndexId::UNKNOWN, runs(&[1]))]);
    assert_eq!(parts[0].failures.total, 0);
}

proptest! {
    #[test]
    fn the_runs_of_an_outcome_partition_its_ordinals(statuses in prop::collection::vec((prop::sample::select(vec![200_u16, 201, 400, 403, 404, 409, 429, 500, 503]), any::<bool>()), 3)) {
        let items: Vec<_> = statuses
            .iter()
            .map(|(status, error)| {
                if *error || *status >= 400 {
                    json!({"index": {"status": status, "error": {"type": "t", "reason": "r"}}})
                } else {
                    json!({"index": {"status": status}})
                }
            })
            .collect();
        let table = table();
        let part = part(Class::Upsert, 3);
        let sent = [Sent { part: &part, table: Some(&table) }];
        let body = json!({"took": 1, "errors": true, "items": items}).to_string();
        let BulkOutcome::Answered { parts } = bulk(&sent, 200, body.as_bytes(), 1000) else {
            return Err(TestCaseError::fail("not answered"));
        };
        let outcome = &parts[0];
        let mut seen = BTreeSet::new();
        let lists = [&outcome.overloaded, &outcome.blocked, &outcome.missing, &outcome.forbidden, &outcome.refused];
        let runs = lists.into_iter().flatten().map(|(_, runs)| runs).chain([&outcome.unknown, &outcome.conflicts]);
        for ordinal in runs.flat_map(Runs::iter) {
            prop_assert!(seen.insert(ordinal));
        }
        let stored: u64 = outcome.stored.iter().map(|(_, count)| count).sum();
        prop_assert_eq!(stored + seen.len() as u64, 3);
    }

    #[test]
    fn any_answer_is_judged_without_a_panic(status in 0_u16..1000, body in "[\\PC]{0,40}", cut in 0..STORED.len()) {
        let _ = ask(status, &body);
        prop_assert_eq!(ask(200, &STORED[..cut]), BulkOutcome::Unknown);
    }
}
