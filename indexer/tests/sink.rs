//! The sink beside the model: the same requests, and byte for byte the same answers, for all that the sink claims.

use inventory_indexer::model::api::{self, Request, Response};
use inventory_indexer::model::engine::{Indexer, Options};
use inventory_indexer::sink::Sink;
use proptest::prelude::*;
use serde_json::{Value, json};

const PACKAGES: &str = "wazuh-states-inventory-packages";
const PORTS: &str = "wazuh-states-inventory-ports";
const USUAL: &str = "/_bulk?timeout=8000ms&filter_path=took,errors,items.*.status,items.*.error.type,items.*.error.reason";
const LISTING: &str = "scroll=1m&allow_partial_search_results=false";

struct Both {
    model: Indexer,
    sink: Sink,
    now_ms: u64,
}

/// What was asked for, as `METHOD /path?query`, and with what body.
fn request<'a>(asked: &'a str, body: &'a [u8]) -> Request<'a> {
    let (method, target) = asked.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Request {
        method,
        path,
        query,
        body,
    }
}

impl Both {
    fn empty() -> Both {
        let options = Options {
            seed: 7,
            guess_mappings: true,
            ..Options::default()
        };
        Both {
            model: Indexer::new(options.clone()),
            sink: Sink::new(Indexer::new(options)),
            now_ms: 1_000_000,
        }
    }

    fn with_indices() -> Both {
        let mut both = Both::empty();
        let template = json!({
            "index_patterns": ["wazuh-states-*"],
            "priority": 100,
            "template": {
                "settings": {"index": {"gc_deletes": "300s", "number_of_replicas": 0}},
                "mappings": {"dynamic": "strict", "properties": {
                    "checksum": {"properties": {"hash": {"properties": {"sha1": {"type": "keyword"}}}}},
                    "package": {"properties": {"name": {"type": "keyword"}}},
                    "wazuh": {"properties": {
                        "agent": {"properties": {"id": {"type": "keyword"}, "name": {"type": "keyword"}}},
                        "cluster": {"properties": {"name": {"type": "keyword"}}},
                    }},
                }},
            },
        });
        both.same("PUT /_index_template/states", template.to_string());
        both.same(&format!("PUT /{PACKAGES}"), "");
        both.same(&format!("PUT /{PORTS}"), "");
        both
    }

    /// Asks both, and gives the answer that both must give.
    fn same(&mut self, asked: &str, body: impl AsRef<[u8]>) -> Response {
        let request = request(asked, body.as_ref());
        let model = api::handle(&mut self.model, self.now_ms, &request);
        let sink = self.sink.handle(self.now_ms, &request, &mut |_, _| None);
        let text = |response: &Response| String::from_utf8_lossy(&response.body).into_owned();
        assert_eq!(
            text(&sink),
            text(&model),
            "{asked} {}",
            String::from_utf8_lossy(body.as_ref())
        );
        assert_eq!(sink, model, "{asked}");
        model
    }

    fn json(&mut self, asked: &str, body: &Value) -> Value {
        let response = self.same(asked, body.to_string());
        assert_eq!(
            response.status,
            200,
            "{}",
            String::from_utf8_lossy(&response.body)
        );
        serde_json::from_slice(&response.body).unwrap()
    }

    /// All pages of the daemon's listing; how many documents they had.
    fn listing(&mut self, names: &str, agents: &[&str], page: usize) -> usize {
        let body = json!({
            "size": page, "sort": ["_doc"], "version": true, "_source": ["checksum.hash.sha1", "wazuh"],
            "query": {"bool": {"filter": [
                {"term": {"wazuh.cluster.name": "c"}},
                {"terms": {"wazuh.agent.id": agents}},
            ]}},
        });
        let asked = format!("POST /{names}/_search?{LISTING}");
        let first = self.same(&asked, body.to_string());
        if first.status != 200 {
            return 0;
        }
        let mut answer: Value = serde_json::from_slice(&first.body).unwrap();
        let mut found = 0;
        loop {
            let hits = answer["hits"]["hits"].as_array().unwrap().len();
            found += hits;
            let id = answer["_scroll_id"].as_str().unwrap().to_owned();
            if hits == 0 {
                self.json("DELETE /_search/scroll", &json!({"scroll_id": [id]}));
                self.same(
                    "POST /_search/scroll",
                    json!({"scroll": "1m", "scroll_id": id}).to_string(),
                );
                return found;
            }
            answer = self.json(
                "POST /_search/scroll",
                &json!({"scroll": "1m", "scroll_id": id}),
            );
        }
    }

    /// What the sink refuses because it does not keep it.
    fn not_kept(&mut self, asked: &str, body: &Value) {
        let body = body.to_string();
        let request = request(asked, body.as_bytes());
        let response = self.sink.handle(self.now_ms, &request, &mut |_, _| None);
        let text = String::from_utf8_lossy(&response.body);
        assert_eq!(response.status, 501, "{asked}: {text}");
        assert!(text.contains("sink"), "{asked}: {text}");
    }
}

fn source(agent: &str, content: u64) -> String {
    format!(
        r#"{{"wazuh":{{"agent":{{"id":"{agent}","name":"n\"{agent}"}},"cluster":{{"name":"c"}}}},"package":{{"name":"}}{{\"{content}"}},"checksum":{{"hash":{{"sha1":"{content:040x}"}}}}}}"#
    )
}

fn index_line(index: &str, id: &str, version: u64) -> String {
    format!(
        r#"{{"index":{{"_index":"{index}","_id":"{id}","version":{version},"version_type":"external_gte"}}}}"#
    )
}

fn upsert(index: &str, id: &str, version: u64, agent: &str, content: u64) -> String {
    format!(
        "{}\n{}\n",
        index_line(index, id, version),
        source(agent, content)
    )
}

fn delete(index: &str, id: &str, version: u64) -> String {
    format!(
        "{}\n",
        index_line(index, id, version).replacen("index", "delete", 1)
    )
}

#[test]
fn the_daemons_requests_are_answered_alike() {
    let mut both = Both::with_indices();
    both.same("GET /_cluster/health", "");
    both.same(&format!("GET /_cluster/health/{PACKAGES},{PORTS}"), "");
    both.same("GET /_index_template/*", "");
    both.same(
        &format!("POST /_index_template/_simulate_index/{PACKAGES}"),
        "",
    );
    both.same(&format!("GET /{PACKAGES}"), "");
    both.same(&format!("GET /{PACKAGES}/_mapping"), "");
    both.same("PUT /inventory-sync-writer", r#"{"mappings":{"dynamic":"strict","properties":{"writer":{"type":"keyword"},"bound":{"type":"long"}}}}"#);
    for (target, body) in [
        (
            "c?op_type=create&timeout=8000ms",
            r#"{"writer":"w","bound":1}"#,
        ),
        (
            "c?op_type=create&timeout=8000ms",
            r#"{"writer":"x","bound":1}"#,
        ),
        (
            "c?if_seq_no=0&if_primary_term=1",
            r#"{"writer":"w","bound":2}"#,
        ),
        (
            "c?if_seq_no=0&if_primary_term=1",
            r#"{"writer":"x","bound":3}"#,
        ),
    ] {
        both.same(&format!("PUT /inventory-sync-writer/_doc/{target}"), body);
    }
    both.same("GET /inventory-sync-writer/_doc/c", "");
    let body: String = (0..30)
        .map(|id| {
            upsert(
                [PACKAGES, PORTS][id % 2],
                &format!("c_001_{id}"),
                100,
                "001",
                id as u64,
            )
        })
        .chain([
            upsert(PACKAGES, "c_002_1", 100, "002", 1),
            delete(PORTS, "c_001_absent", 100),
        ])
        .collect();
    let answer: Value =
        serde_json::from_slice(&both.same(&format!("POST {USUAL}"), &body).body).unwrap();
    assert_eq!(
        (&answer["errors"], answer["items"].as_array().unwrap().len()),
        (&json!(false), 32)
    );
    assert_eq!(
        both.listing(&format!("{PACKAGES},{PORTS}"), &["001"], 7),
        0,
        "not refreshed"
    );
    both.same(&format!("POST /{PACKAGES},{PORTS}/_refresh"), "");
    assert_eq!(
        both.listing(&format!("{PACKAGES},{PORTS}"), &["001"], 7),
        30
    );
    assert_eq!(both.listing(PACKAGES, &["001", "002", "003"], 10_000), 16);
    assert_eq!(both.listing("wazuh-states-*", &["002"], 1), 1);
    let query = json!({"query": {"bool": {"filter": [{"term": {"wazuh.cluster.name": "c"}}]}}});
    assert_eq!(
        both.json(&format!("POST /{PACKAGES}/_count"), &query)["count"],
        16
    );
    // The same again, then older: conflicts.
    both.same(&format!("POST {USUAL}"), &body);
    let conflicts: String = [
        upsert(PACKAGES, "c_001_0", 99, "001", 9),
        delete(PORTS, "c_001_absent", 98),
        delete(PACKAGES, "c_001_2", 100),
    ]
    .concat();
    let answer = both.same(&format!("POST {USUAL}"), &conflicts);
    assert!(String::from_utf8_lossy(&answer.body).contains("higher than the one provided [98]"));
    both.same("POST /_bulk", &conflicts);
    both.same("POST /_bulk?refresh=true&pretty", &conflicts);
    assert_eq!(
        both.listing(&format!("{PACKAGES},{PORTS}"), &["001"], 100),
        29
    );
}

#[test]
fn odd_bodies_are_answered_alike() {
    let mut both = Both::with_indices();
    let good = source("001", 1);
    for line in [
        &*format!("{}\n", index_line(PACKAGES, "c_001_1", 5)),
        &format!("{}\n{good}", index_line(PACKAGES, "c_001_1", 5)),
        &format!("{}\n{good}\r\n", index_line(PACKAGES, "c_001_1", 5)),
        &format!("{}\n\n{good}\n", index_line(PACKAGES, "c_001_1", 5)),
        &format!("{}\n{good}\n", index_line(PACKAGES, "c_001_\\u00e9", 6)),
        &format!("{}\n{good}\n", index_line(PACKAGES, "", 6)),
        &format!("{}\n{good}\n", index_line("", "c_001_1", 6)),
        &format!("{}\n{good}\n", index_line("Wazuh-States-Up", "c_001_1", 6)),
        &format!("{}\n{good}\n", index_line(PACKAGES, &"x".repeat(513), 6)),
        &format!("{}\n{good}\n", index_line(PACKAGES, "c_001_1", u64::MAX)),
        &format!("{}\n{good}\n", index_line(PACKAGES, "c_001_1", 0)),
        &format!(
            "{}\n{good}\n",
            index_line(PACKAGES, "c_001_1", 1).replace(":1,", ":01,")
        ),
        &format!(
            "{}\n{good}\n",
            index_line(PACKAGES, "c_001_7", 1).replace("external_gte", "external")
        ),
        &format!(
            "{}\n{good}\n",
            index_line(PACKAGES, "c_001_7", 1).replace("external_gte", "internal")
        ),
        &format!("{}\n[]\n", index_line(PACKAGES, "c_001_1", 6)),
        &format!(
            "{}\n{{\"checksum\":{{\n",
            index_line(PACKAGES, "c_001_1", 6)
        ),
        &format!(
            "{}\n{{\"wazuh\":{{\"agent\":{{\"id\":\"0\\u0030\\u0031\"}},\"cluster\":{{\"name\":\"c\"}}}}}}\n",
            index_line(PACKAGES, "c_001_8", 6)
        ),
        &format!("{}\n{{}}\n", index_line(PACKAGES, "c_001_9", 6)),
        &format!(
            "{}\n{{\"check\\u0073um\":{{\"hash\":{{\"sha1\":\"x\"}}}}}}\n",
            index_line(PACKAGES, "c_001_9", 7)
        ),
        &format!(
            "{{\"index\":{{\"_index\":\"{PACKAGES}\",\"_id\":\"c_001_3\"}}}}\n{good}\n{{\"create\":{{\"_index\":\"{PACKAGES}\",\"_id\":\"c_001_3\"}}}}\n{good}\n{{\"index\":{{\"_index\":\"{PACKAGES}\"}}}}\n{good}\n"
        ),
        &format!("{{\"update\":{{\"_index\":\"{PACKAGES}\",\"_id\":\"c_001_3\"}}}}\n{good}\n"),
        &format!(
            "{{\"index\":{{\"_index\":\"other\",\"_id\":\"c_001_3\"}}}}\n{{\"any\":1}}\n{}\n{good}\n",
            index_line(PACKAGES, "c_001_4", 7)
        ),
        "",
        "\n",
        "nothing\n",
    ] {
        for target in [
            "/_bulk",
            USUAL,
            &format!("/{PACKAGES}/_bulk?filter_path=items.*.result"),
            "/_bulk?require_alias=true",
            "/_bulk?unknown=1",
        ] {
            both.same(&format!("POST {target}"), line);
        }
    }
    both.same("GET /other/_doc/c_001_3", "");
    both.same("POST /_refresh", "");
    both.listing("wazuh-states-*", &["001"], 100);
    both.same("POST /other/_count", "");
    both.same(&format!("GET /{PACKAGES}/_bulk"), "");
}

#[test]
fn what_is_wrong_with_an_index_is_said_alike() {
    let mut both = Both::with_indices();
    let write: String = [
        upsert(PACKAGES, "c_001_1", 5, "001", 1),
        upsert(PORTS, "c_001_1", 5, "001", 1),
        delete(PACKAGES, "c_001_2", 9),
    ]
    .concat();
    let older: String = [
        upsert(PACKAGES, "c_001_1", 4, "001", 1),
        upsert(PACKAGES, "c_001_2", 4, "001", 1),
    ]
    .concat();
    for change in [
        format!("POST /{PACKAGES}/_close"),
        format!("POST /{PACKAGES}/_open"),
        format!("DELETE /{PORTS}"),
        format!("DELETE /{PACKAGES}"),
        format!("PUT /{PACKAGES}"),
    ] {
        both.same(&format!("POST {USUAL}"), &write);
        both.same(&format!("POST /{PACKAGES},{PORTS}/_refresh"), "");
        both.same(&change, "");
        both.same(&format!("POST {USUAL}"), &older);
        both.same(&format!("POST /{PACKAGES}/_refresh"), "");
        both.listing(PACKAGES, &["001"], 10);
        both.listing("wazuh-states-*", &["001"], 10);
        both.same(&format!("POST /{PACKAGES}/_count"), "{}");
    }
    for block in ["read_only", "write", "read_only_allow_delete"] {
        both.same(
            &format!("PUT /{PACKAGES}/_settings"),
            format!(r#"{{"index.blocks.{block}":true}}"#),
        );
        both.same(&format!("POST {USUAL}"), &write);
        both.same(
            &format!("PUT /{PACKAGES}/_settings"),
            format!(r#"{{"index.blocks.{block}":null}}"#),
        );
    }
    both.same(
        "PUT /_cluster/settings",
        r#"{"persistent":{"action.auto_create_index":"false"}}"#,
    );
    both.same(
        &format!("POST {USUAL}"),
        upsert("wazuh-states-none", "c_001_1", 5, "001", 1),
    );
    both.same("POST /wazuh-states-none/_refresh", "");
    both.listing("wazuh-states-none", &["001"], 10);
    both.listing(PACKAGES, &["001"], 10_001);
}

#[test]
fn what_is_not_kept_is_refused_by_name() {
    let mut both = Both::with_indices();
    both.same(
        &format!("POST {USUAL}"),
        upsert(PACKAGES, "c_001_1", 5, "001", 1),
    );
    both.same("PUT /other", "");
    let search = format!("POST /{PACKAGES}/_search");
    both.not_kept(&search, &json!({}));
    both.not_kept(&search, &json!({"_source": ["package"]}));
    both.not_kept(
        &search,
        &json!({"_source": false, "query": {"term": {"package.name": "x"}}}),
    );
    both.not_kept(
        &search,
        &json!({"_source": false, "sort": [{"package.name": "asc"}]}),
    );
    both.not_kept(
        &search,
        &json!({"_source": false, "seq_no_primary_term": true}),
    );
    both.not_kept("POST /_search", &json!({"_source": false}));
    both.not_kept(
        &format!("POST /{PACKAGES}/_count"),
        &json!({"query": {"exists": {"field": "package.name"}}}),
    );
    both.not_kept(&format!("GET /{PACKAGES}/_doc/c_001_1"), &json!({}));
    both.not_kept(&format!("PUT /{PACKAGES}/_doc/c_001_1"), &json!({}));
    both.not_kept("GET /_cat/indices?format=json", &json!({}));
    // What is left of searches is answered.
    both.same(&format!("POST /{PACKAGES}/_refresh"), "");
    for body in [
        json!({"_source": false}),
        json!({"_source": ["wazuh.agent"], "sort": ["_id"], "size": 1, "version": true}),
        json!({"_source": {"includes": ["wazuh", "checksum.hash.sha1"], "excludes": ["wazuh.agent"]}}),
        json!({"_source": ["wazuh"], "query": {"prefix": {"wazuh.agent.id": "00"}}}),
        json!({"_source": ["wazuh"], "query": {"term": {"wazuh.agent.id": "1"}}}),
    ] {
        both.same(&search, body.to_string());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Bulk(Vec<(bool, bool, u8, u8, u8, u8)>),
    Refresh,
    List(u8),
    Wait(u64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let operation = (
        any::<bool>(),
        prop::bool::weighted(0.3),
        0..6_u8,
        0..4_u8,
        0..2_u8,
        0..3_u8,
    );
    prop_oneof![
        4 => prop::collection::vec(operation, 1..12).prop_map(Step::Bulk),
        2 => Just(Step::Refresh),
        3 => (1..5_u8).prop_map(Step::List),
        2 => prop_oneof![Just(1), Just(299_000), Just(301_000)].prop_map(Step::Wait),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    /// Any history of writes, refreshes and time.
    #[test]
    fn any_history_is_answered_alike(steps in prop::collection::vec(step(), 1..40)) {
        let mut both = Both::with_indices();
        for step in steps {
            match step {
                Step::Bulk(operations) => {
                    let body: String = operations.iter().map(|(first, is_delete, id, version, agent, content)| {
                        let index = if *first { PACKAGES } else { PORTS };
                        let id = format!("c_x_{id}");
                        if *is_delete {
                            delete(index, &id, (*version).into())
                        } else {
                            upsert(index, &id, (*version).into(), &format!("00{agent}"), (*content).into())
                        }
                    }).collect();
                    both.same(&format!("POST {USUAL}"), body);
                }
                Step::Refresh => {
                    both.same(&format!("POST /{PACKAGES},{PORTS}/_refresh"), "");
                }
                Step::List(page) => {
                    both.listing(&format!("{PACKAGES},{PORTS}"), &["000"], page.into());
                    both.listing(PORTS, &["001", "000"], page.into());
                    both.same(&format!("POST /{PACKAGES}/_count"), "");
                }
                Step::Wait(ms) => {
                    both.now_ms += ms;
                    both.model.refresh_due(both.now_ms, 1_000);
                    both.sink.refresh_due(both.now_ms, 1_000);
                }
                Step::Reopen => {
                    both.same(&format!("POST /{PACKAGES}/_close"), "");
                    both.same(&format!("POST /{PACKAGES}/_open"), "");
                }
            }
            let kept: usize = [PACKAGES, PORTS].iter().map(|name| both.model.get_index(name).unwrap().documents().len()).sum();
            prop_assert_eq!(both.sink.documents(), kept as u64);
        }
    }
}
