use super::*;
use crate::model::engine::Options;

fn ask(indexer: &mut Indexer, method: &str, target: &str, body: &str) -> (u16, String) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let response = handle(
        indexer,
        1000,
        &Request {
            method,
            path,
            query,
            body: body.as_bytes(),
        },
    );
    (response.status, String::from_utf8(response.body).unwrap())
}

fn indexer() -> Indexer {
    Indexer::new(Options {
        guess_mappings: true,
        ..Options::default()
    })
}

#[test]
fn errors_stand_before_the_items() {
    let mut indexer = indexer();
    let body = "{\"index\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"x\":1.50}\n";
    let (status, text) = ask(&mut indexer, "POST", "/_bulk", body);
    assert_eq!(status, 200);
    assert!(
        text.starts_with("{\"took\":1,\"errors\":false,\"items\":["),
        "{text}"
    );
    assert_eq!(
        ask(&mut indexer, "GET", "/a/_source/1", ""),
        (200, "{\"x\":1.50}".to_owned())
    );
}

#[test]
fn what_is_not_modelled_is_refused_by_name() {
    let mut indexer = indexer();
    for (method, target, body) in [
        ("POST", "/a/_delete_by_query", "{}"),
        ("POST", "/a/_update/1", "{}"),
        ("GET", "/_cat/shards", ""),
        ("POST", "/_search", "{\"aggs\":{}}"),
        ("POST", "/_search", "{\"query\":{\"regexp\":{\"a\":\"b\"}}}"),
        (
            "POST",
            "/_bulk",
            "{\"update\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{}\n",
        ),
    ] {
        let (status, text) = ask(&mut indexer, method, target, body);
        assert_eq!(status, 501, "{method} {target}: {text}");
    }
}

#[test]
fn an_unknown_parameter_refuses_before_anything_is_done() {
    let mut indexer = indexer();
    for (method, target, body) in [
        ("PUT", "/a?bogus=1", ""),
        ("PUT", "/a/_doc/1?bogus=1", "{}"),
        (
            "POST",
            "/_bulk?bogus=1",
            "{\"index\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{}\n",
        ),
        (
            "PUT",
            "/_index_template/t?bogus=1",
            "{\"index_patterns\":[\"a\"]}",
        ),
    ] {
        assert_eq!(
            ask(&mut indexer, method, target, body).0,
            400,
            "{method} {target}"
        );
    }
    assert_eq!(indexer.indices().count() + indexer.templates().len(), 0);
}

#[test]
fn a_write_to_a_missing_shard_waits_for_the_timeout_it_was_given() {
    let mut indexer = indexer();
    ask(
        &mut indexer,
        "PUT",
        "/red",
        "{\"settings\":{\"routing.allocation.require.box\":\"none\"}}",
    );
    let body = "{\"index\":{\"_index\":\"red\",\"_id\":\"1\"}}\n{}\n";
    let request = Request {
        method: "POST",
        path: "/_bulk",
        query: "timeout=3s",
        body: body.as_bytes(),
    };
    let response = handle(&mut indexer, 0, &request);
    assert_eq!(response.wait_ms, 3000);
    assert!(
        String::from_utf8(response.body)
            .unwrap()
            .contains("Timeout: [3s]")
    );
    assert_eq!(
        response.written,
        Written {
            applied: 0,
            refused: 1
        }
    );
}

#[test]
fn pretty_answers_are_the_same_json() {
    let mut indexer = indexer();
    let (_, plain) = ask(&mut indexer, "GET", "/", "");
    let (_, indented) = ask(&mut indexer, "GET", "/?pretty", "");
    assert!(indented.contains("\n  \"name\" : "));
    assert_eq!(
        json::parse(plain.as_bytes()),
        json::parse(indented.as_bytes())
    );
}

#[test]
fn a_total_beyond_ten_thousand_is_a_lower_bound_unless_asked() {
    let mut indexer = indexer();
    let mut body = String::new();
    for id in 0..10_001 {
        body += &format!("{{\"index\":{{\"_index\":\"a\",\"_id\":\"{id}\"}}}}\n{{}}\n");
    }
    ask(&mut indexer, "POST", "/_bulk?refresh=true", &body);
    let total = |indexer: &mut Indexer, body: &str| {
        ask(indexer, "POST", "/a/_search?filter_path=hits.total", body).1
    };
    assert_eq!(
        total(&mut indexer, "{\"size\":0}"),
        "{\"hits\":{\"total\":{\"value\":10000,\"relation\":\"gte\"}}}"
    );
    let exact = total(&mut indexer, "{\"size\":0,\"track_total_hits\":true}");
    assert_eq!(
        exact,
        "{\"hits\":{\"total\":{\"value\":10001,\"relation\":\"eq\"}}}"
    );
}

#[test]
fn a_rounded_bound_takes_in_or_leaves_out_its_whole_unit() {
    let mut indexer = indexer();
    let body = r#"{"mappings":{"properties":{"when":{"type":"date"}}}}"#;
    assert_eq!(ask(&mut indexer, "PUT", "/a", body).0, 200);
    let noon =
        "{\"index\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"when\":\"2026-01-02T12:00:00Z\"}\n";
    ask(&mut indexer, "POST", "/_bulk?refresh=true", noon);
    for (bound, found) in [("gte", true), ("gt", false), ("lte", true), ("lt", false)] {
        let query = format!(r#"{{"query":{{"range":{{"when":{{"{bound}":"2026-01-02||/d"}}}}}}}}"#);
        let (_, text) = ask(&mut indexer, "POST", "/a/_count?filter_path=count", &query);
        assert_eq!(
            text,
            format!("{{\"count\":{}}}", usize::from(found)),
            "{bound}"
        );
    }
}

#[test]
fn templates_of_one_priority_may_not_meet_and_the_highest_decides() {
    let mut indexer = indexer();
    let template = |pattern: &str, priority: u64, interval: &str| {
        format!(
            r#"{{"index_patterns":["{pattern}"],"priority":{priority},"template":{{"settings":{{"refresh_interval":"{interval}"}}}}}}"#
        )
    };
    let mut put = |name: &str, body: &str| {
        ask(
            &mut indexer,
            "PUT",
            &format!("/_index_template/{name}"),
            body,
        )
        .0
    };
    assert_eq!(put("wide", &template("a-*", 1, "1s")), 200);
    assert_eq!(put("elsewhere", &template("b-*", 1, "1s")), 200);
    assert_eq!(put("meets", &template("a-b", 1, "1s")), 400);
    assert_eq!(put("narrow", &template("a-b", 2, "9s")), 200);
    ask(&mut indexer, "PUT", "/a-b", "");
    let interval = "/a-b/_settings?filter_path=**.refresh_interval";
    let (_, text) = ask(&mut indexer, "GET", interval, "");
    assert_eq!(
        text,
        r#"{"a-b":{"settings":{"index":{"refresh_interval":"9s"}}}}"#
    );
}
