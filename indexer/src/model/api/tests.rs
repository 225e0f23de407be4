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
