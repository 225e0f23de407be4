use std::sync::Arc;

use inventory_sync_schemas::{fields, templates};
use serde_json::{Value, json};

use super::remote::{InstallResult, Remote};
use super::{Basis, IndexReport, Verdict, compare, matches_pattern, winning_template};
use crate::indexer::test_server::{Pki, Reply, Seen, TestServer};
use crate::indexer::{Connector, JSON};

const PORTS: &str = "wazuh-states-inventory-ports";

fn schema() -> &'static fields::IndexSchema {
    fields::index(PORTS).unwrap()
}

/// Our own template's mappings and settings.
fn ours() -> (Value, Value) {
    let template: Value = serde_json::from_str(&templates::template(schema())).unwrap();
    (
        template["template"]["mappings"].clone(),
        template["template"]["settings"].clone(),
    )
}

fn judge(change: impl FnOnce(&mut Value, &mut Value)) -> IndexReport {
    let (mut mappings, mut settings) = ours();
    change(&mut mappings, &mut settings);
    compare(schema(), Basis::Index, &mappings, &settings)
}

#[test]
fn our_own_template_fits_every_index_without_a_warning() {
    for schema in fields::indices() {
        let template: Value = serde_json::from_str(&templates::template(schema)).unwrap();
        let report = compare(
            schema,
            Basis::Index,
            &template["template"]["mappings"],
            &template["template"]["settings"],
        );
        assert_eq!(
            (report.verdict, report.warnings),
            (Verdict::Fits, vec![]),
            "{}",
            schema.name
        );
    }
}

#[test]
fn a_field_we_write_must_be_there_with_our_type() {
    let report = judge(|mappings, _| {
        mappings["properties"]["source"]["properties"]["port"]["type"] = json!("keyword");
        mappings["properties"]["wazuh"]["properties"]["agent"]["properties"]
            .as_object_mut()
            .unwrap()
            .remove("id");
        mappings["properties"]["state"] = json!({"properties": {}});
        mappings["properties"]["checksum"]["properties"]["hash"]["properties"]["sha1"] =
            json!({"properties": {}});
    });
    assert_eq!(report.verdict, Verdict::Different);
    assert!(!report.is_writable());
    insta::assert_snapshot!(report);
}

#[test]
fn everything_else_only_warns() {
    let report = judge(|mappings, settings| {
        mappings["dynamic"] = json!(true);
        mappings["properties"]["extra"] = json!({"type": "text"});
        mappings["properties"]["message"] = json!({"type": "text"});
        mappings["properties"]["process"]["properties"]["name"]["ignore_above"] = json!(256);
        settings["index"]["gc_deletes"] = json!("1m");
    });
    assert_eq!(report.verdict, Verdict::Fits);
    insta::assert_snapshot!(report);
}

#[test]
fn settings_count_in_any_of_their_forms() {
    for settings in [
        json!({"index": {"gc_deletes": "5m"}}),
        json!({"index.gc_deletes": "300s"}),
        json!({"gc_deletes": "1h"}),
    ] {
        assert!(judge(|_, given| *given = settings).warnings.is_empty());
    }
    assert_eq!(judge(|_, given| *given = json!({})).warnings.len(), 1);
    assert_eq!(judge(|_, given| *given = Value::Null).warnings.len(), 1);
}

#[test]
fn patterns_are_matched_as_the_indexer_does() {
    for (pattern, name, expected) in [
        ("a-b", "a-b", true),
        ("a-b", "a-bc", false),
        ("a-*", "a-", true),
        ("a-*", "b-a-", false),
        ("*", "", true),
        ("*-ports", "x-ports", true),
        ("*-ports", "x-ports-2", false),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("a*a", "a", false),
        ("**", "x", true),
        ("", "x", false),
    ] {
        assert_eq!(matches_pattern(pattern, name), expected, "{pattern} {name}");
    }
}

#[test]
fn the_matching_template_of_highest_priority_wins() {
    let answer = json!({"index_templates": [
        {"name": "low", "index_template": {"index_patterns": ["wazuh-*"]}},
        {"name": "high", "index_template": {"index_patterns": ["x", "wazuh-states-*"], "priority": 7}},
        {"name": "other", "index_template": {"index_patterns": ["logs-*"], "priority": 900}},
    ]});
    assert_eq!(winning_template(&answer, PORTS).unwrap().0, "high");
    assert_eq!(winning_template(&answer, "wazuh-x").unwrap().0, "low");
    assert!(winning_template(&answer, "y").is_none());
    assert!(winning_template(&Value::Null, PORTS).is_none());
}

/// An Indexer that has those templates, and those indices with their mappings.
async fn indexer(pki: &Pki, templates: Value, indices: Value) -> TestServer {
    let script = move |seen: &Seen| {
        let line = seen.line();
        if line == "GET /_index_template/*" {
            return Reply::Answer(200, JSON, json!({"index_templates": templates}).to_string());
        }
        if line.starts_with("PUT /_index_template/") {
            return Reply::Answer(200, JSON, json!({"acknowledged": true}).to_string());
        }
        match line
            .strip_prefix("GET /")
            .and_then(|index| Some((index, indices.get(index)?)))
        {
            Some((index, entry)) => Reply::Answer(200, JSON, json!({index: entry}).to_string()),
            None => Reply::Answer(
                404,
                JSON,
                json!({"error": {"type": "index_not_found_exception"}}).to_string(),
            ),
        }
    };
    TestServer::start(pki.server(), Arc::new(script)).await
}

fn template_of(name: &str, priority: u64, mappings: &Value) -> Value {
    json!({"name": name, "index_template": {
        "index_patterns": ["wazuh-states-*"], "priority": priority, "composed_of": [],
        "template": {"mappings": mappings, "settings": {"index": {"gc_deletes": "300s"}}}}})
}

#[tokio::test]
async fn the_index_is_judged_where_it_exists_else_its_winning_template() {
    let pki = Pki::new();
    let (mappings, settings) = ours();
    let bad = json!({"dynamic": "strict", "properties": {}});
    let indices = json!({PORTS: {"mappings": mappings, "settings": settings}});
    let server = indexer(&pki, json!([template_of("theirs", 1, &bad)]), indices).await;
    let config = pki.config(server.address.port());
    let connector = Connector::new(&config).unwrap();
    let remote = Remote::new(&connector, 0, config.request_deadline);
    let names = [PORTS, "wazuh-states-sca", "unheard-of"].map(str::to_owned);
    let reports = remote.inspect(&names).await.unwrap();
    assert_eq!(
        (reports[0].verdict, &reports[0].basis),
        (Verdict::Fits, &Basis::Index)
    );
    assert_eq!(
        (reports[1].verdict, &reports[1].basis),
        (Verdict::Different, &Basis::Template("theirs".into()))
    );
    assert_eq!(reports[2].verdict, Verdict::Unknown);

    let server = indexer(&pki, json!([]), json!({})).await;
    let connector = Connector::new(&pki.config(server.address.port())).unwrap();
    let reports = Remote::new(&connector, 0, config.request_deadline)
        .inspect(&names[..1])
        .await
        .unwrap();
    assert_eq!(reports[0].verdict, Verdict::Missing);
}

#[tokio::test]
async fn install_leaves_what_fits_and_cannot_help_an_index_that_does_not() {
    let pki = Pki::new();
    let (mappings, _) = ours();
    let bad = json!({"dynamic": "strict", "properties": {}});
    let sca = "wazuh-states-sca";
    let names = [PORTS, sca].map(str::to_owned);

    let server = indexer(
        &pki,
        json!([template_of("fits ports", 1, &mappings)]),
        json!({sca: {"mappings": bad}}),
    )
    .await;
    let config = pki.config(server.address.port());
    let connector = Connector::new(&config).unwrap();
    let done = Remote::new(&connector, 0, config.request_deadline)
        .install(&names)
        .await
        .unwrap();
    assert_eq!(
        done[0].result,
        InstallResult::Left(Basis::Template("fits ports".into()))
    );
    assert!(matches!(done[1].result, InstallResult::IndexStays { .. }) && !done[1].is_settled());
    let put: Vec<_> = server
        .seen()
        .into_iter()
        .filter(|seen| seen.line().starts_with("PUT"))
        .collect();
    assert_eq!(put.len(), 1);
    assert_eq!(
        put[0].line(),
        "PUT /_index_template/inventory-sync-wazuh-states-sca"
    );
    let body: Value = serde_json::from_slice(&put[0].body).unwrap();
    assert_eq!(
        (&body["index_patterns"], &body["priority"]),
        (&json!([sca]), &json!(100))
    );

    let server = indexer(&pki, json!([template_of("strong", 500, &bad)]), json!({})).await;
    let connector = Connector::new(&pki.config(server.address.port())).unwrap();
    let done = Remote::new(&connector, 0, config.request_deadline)
        .install(&names[..1])
        .await
        .unwrap();
    insta::assert_snapshot!(done[0]);
    assert!(
        server
            .seen()
            .iter()
            .all(|seen| !seen.line().starts_with("PUT"))
    );

    let server = indexer(&pki, json!([template_of("weak", 1, &bad)]), json!({})).await;
    let connector = Connector::new(&pki.config(server.address.port())).unwrap();
    let done = Remote::new(&connector, 0, config.request_deadline)
        .install(&names[..1])
        .await
        .unwrap();
    assert_eq!(
        done[0].to_string(),
        format!("installed  {PORTS}: template inventory-sync-{PORTS}")
    );
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason() {
    let pki = Pki::new();
    let script = |_: &Seen| {
        let body = json!({"error": {"type": "security_exception", "reason": "no permissions for [x]"}, "status": 403});
        Reply::Answer(403, JSON, body.to_string())
    };
    let server = TestServer::start(pki.server(), Arc::new(script)).await;
    let config = pki.config(server.address.port());
    let connector = Connector::new(&config).unwrap();
    let error = Remote::new(&connector, 0, config.request_deadline)
        .inspect(&[PORTS.to_owned()])
        .await
        .unwrap_err();
    insta::assert_snapshot!(error);
}
