//! The model against the recorded answers of real servers.
//!
//! `tests/recorded/` holds requests that were sent, in order, to OpenSearch 2.19.1 and 3.8.0, and what they
//! answered; where the two differ, `answer_2` and `status_2` are the older one's. Every step is replayed against
//! the model of either release and the whole answer compared, but for what [`NOT_COMPARED`] names.
//!
//! A step that the model leaves out says why (`left_out`). Both directions are enforced: a step that differs without
//! being listed fails the test, and so does a listed step that would agree.

use inventory_indexer::model::api::{Request, handle};
use inventory_indexer::model::engine::{Indexer, Options, Release};
use serde_json::{Map, Value};
use std::path::Path;

/// Members that are not compared, and why.
const NOT_COMPARED: &[(&str, &str)] = &[
    ("took", "a duration"),
    ("_score", "scores are not modelled: 1.0"),
    ("max_score", "scores are not modelled: 1.0"),
    ("cluster_name", "a name"),
    ("script_stack", "painless is not modelled"),
    ("line", "where a parser stood in the text"),
    ("col", "where a parser stood in the text"),
    ("created", "the build that created the index"),
];

/// Members that are not compared in the answer of one request, and why.
const NOT_COMPARED_IN: &[(&str, &[&str], &str)] = &[
    (
        "GET /",
        &["name", "cluster_uuid", "version", "tagline"],
        "identity: the model says that it is a stand-in",
    ),
    (
        "GET /_cluster/health",
        &[
            "active_primary_shards",
            "active_shards",
            "unassigned_shards",
            "active_shards_percent_as_number",
        ],
        "the recorded clusters had more indices",
    ),
    (
        "PATCH /t1",
        &["error"],
        "the order in which the allowed methods are listed",
    ),
    (
        "DELETE /_bulk",
        &["error"],
        "the order in which the allowed methods are listed",
    ),
    (
        "GET /_nodes/http",
        &["nodes"],
        "the node's id is a member's name",
    ),
];

/// Error types of which only the type is compared: the reason is the wording of a Java parser, or has the number of a
/// search context in it.
const ONLY_TYPE: &[&str] = &[
    "e_o_f_exception",
    "illegal_state_exception",
    "input_coercion_exception",
    "json_e_o_f_exception",
    "json_parse_exception",
    "named_object_not_found_exception",
    "search_context_missing_exception",
    "unexpected_end_of_input_exception",
];

struct Case {
    name: String,
    steps: Vec<Value>,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let mut case: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            Case {
                name: case["case"].as_str().unwrap().to_owned(),
                steps: std::mem::take(case["steps"].as_array_mut().unwrap()),
            }
        })
        .collect()
}

fn body_of(step: &Value, scroll_id: &str) -> Vec<u8> {
    let text = if let Some(lines) = step["lines"].as_array() {
        lines.iter().map(|line| format!("{line}\n")).collect()
    } else if let Some(text) = step["text"].as_str() {
        text.to_owned()
    } else {
        step.get("body").map(Value::to_string).unwrap_or_default()
    };
    text.replace("<scroll_id>", scroll_id).into_bytes()
}

/// Where the model's answer differs from the recorded one.
fn differences(path: &str, recorded: &Value, ours: &Value, request: &str, found: &mut Vec<String>) {
    match (recorded, ours) {
        (Value::String(placeholder), _)
            if placeholder.starts_with('<') && placeholder.ends_with('>') =>
        {
            if !matches!(ours, Value::String(_) | Value::Number(_)) {
                found.push(format!("{path}: {placeholder} expected, {ours} found"));
            }
        }
        // The recording cut a long text here.
        (Value::String(cut), Value::String(ours)) if cut.contains(" … ") => {
            let (front, back) = cut.split_once(" … ").unwrap();
            if !ours.starts_with(front) || !ours.ends_with(back) {
                found.push(format!("{path}: {cut} expected, {ours} found"));
            }
        }
        (Value::Object(recorded), Value::Object(ours)) => {
            objects(path, recorded, ours, request, found)
        }
        (Value::Array(recorded), Value::Array(ours)) if recorded.len() == ours.len() => {
            for (position, (recorded, ours)) in recorded.iter().zip(ours).enumerate() {
                differences(
                    &format!("{path}[{position}]"),
                    recorded,
                    ours,
                    request,
                    found,
                );
            }
        }
        _ if recorded == ours => {}
        _ => found.push(format!("{path}: {recorded} expected, {ours} found")),
    }
}

fn objects(
    path: &str,
    recorded: &Map<String, Value>,
    ours: &Map<String, Value>,
    request: &str,
    found: &mut Vec<String>,
) {
    let only_type = recorded
        .get("type")
        .and_then(Value::as_str)
        .is_some_and(|kind| ONLY_TYPE.contains(&kind));
    let compared = |name: &str| {
        let skipped = NOT_COMPARED.iter().any(|(skipped, _)| *skipped == name)
            || NOT_COMPARED_IN
                .iter()
                .any(|(skipped, names, _)| *skipped == request && names.contains(&name));
        let wording = only_type && matches!(name, "reason" | "caused_by");
        !(skipped || wording)
    };
    for (name, recorded) in recorded.iter().filter(|(name, _)| compared(name)) {
        let below = format!("{path}.{name}");
        match ours.get(name) {
            Some(ours) => differences(&below, recorded, ours, request, found),
            None => found.push(format!("{below}: missing, {recorded} expected")),
        }
    }
    for (name, ours) in ours
        .iter()
        .filter(|(name, _)| compared(name) && !recorded.contains_key(*name))
    {
        found.push(format!("{path}.{name}: {ours} found, nothing expected"));
    }
}

struct Replay {
    compared: usize,
    left_out: usize,
    faults: Vec<String>,
}

fn replay(release: Release) -> Replay {
    let mut indexer = Indexer::new(Options {
        guess_mappings: true,
        release,
        ..Options::default()
    });
    let older = release == Release::V2;
    let mut replay = Replay {
        compared: 0,
        left_out: 0,
        faults: Vec::new(),
    };
    let (mut now_ms, mut scroll_id) = (1_790_000_000_000, String::new());
    for case in cases() {
        for step in &case.steps {
            now_ms += 10;
            if let Some(sleep_ms) = step["sleep_ms"].as_u64() {
                now_ms += sleep_ms;
                indexer.refresh_due(now_ms, 1000);
                continue;
            }
            let request = step["request"].as_str().unwrap();
            let (method, target) = request.split_once(' ').unwrap();
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let body = body_of(step, &scroll_id);
            let response = handle(
                &mut indexer,
                now_ms,
                &Request {
                    method,
                    path,
                    query,
                    body: &body,
                },
            );
            now_ms += response.wait_ms;
            indexer.refresh_due(now_ms, 1000);
            let ours: Value = if response.body.is_empty() {
                Value::Null
            } else {
                serde_json::from_slice(&response.body).unwrap()
            };
            if let Some(id) = ours["_scroll_id"].as_str() {
                id.clone_into(&mut scroll_id);
            }
            if step["setup"] == true {
                continue;
            }
            let pick = |name: &str| {
                let of_older = step.get(format!("{name}_2")).filter(|_| older);
                of_older
                    .or_else(|| step.get(name))
                    .cloned()
                    .unwrap_or(Value::Null)
            };
            let mut found = Vec::new();
            if pick("status") != response.status {
                found.push(format!(
                    "status {} expected, {} found",
                    pick("status"),
                    response.status
                ));
            }
            differences(
                "answer",
                &pick("answer"),
                &ours,
                request.split('?').next().unwrap(),
                &mut found,
            );
            let place = format!(
                "step {} of [{}] ({release:?}): {request}",
                step["step"], case.name
            );
            match (step["left_out"].as_str(), found.is_empty()) {
                (None, true) => replay.compared += 1,
                (None, false) => replay
                    .faults
                    .push(format!("{place}\n    {}", found.join("\n    "))),
                (Some(_), false) => replay.left_out += 1,
                (Some(reason), true) => {
                    replay.faults.push(format!(
                        "{place}\n    listed as left out ({reason}), but it agrees"
                    ));
                }
            }
        }
    }
    replay
}

#[test]
fn the_model_answers_as_recorded() {
    for release in [Release::V2, Release::V3] {
        let replay = replay(release);
        println!(
            "{release:?}: {} steps compared and equal, {} left out with a reason, {} differ",
            replay.compared,
            replay.left_out,
            replay.faults.len()
        );
        assert!(replay.faults.is_empty(), "\n{}", replay.faults.join("\n"));
        assert!(replay.compared > 150, "the recorded steps were not found");
    }
}
