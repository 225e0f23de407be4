use serde_json::{Value, json};

use super::*;
use crate::document::sample::{INDICES, config};
use crate::id::Version;

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

#[test]
fn each_request_is_what_the_indexer_expects() {
    let catalogue = config().catalogue;
    let index = IndexId(1);
    let document = WriterDocument {
        writer: "w".to_owned(),
        nonce: 1 << 63,
        bound: Version(1024),
    };
    let unchanged = WriterCondition::Unchanged {
        seq_no: 7,
        primary_term: 2,
    };
    for (request, method, target) in [
        (health(), Method::Get, "/_cluster/health"),
        (create_writer_index(), Method::Put, "/inventory-sync-writer"),
        (
            read_writer("c"),
            Method::Get,
            "/inventory-sync-writer/_doc/c",
        ),
        (
            write_writer("c", WriterCondition::Absent, &document, 8000),
            Method::Put,
            "/inventory-sync-writer/_doc/c?op_type=create&timeout=8000ms",
        ),
        (
            write_writer("c", unchanged, &document, 8000),
            Method::Put,
            "/inventory-sync-writer/_doc/c?if_seq_no=7&if_primary_term=2&timeout=8000ms",
        ),
        (create_index(&catalogue, index), Method::Put, "/states-one"),
        (
            refresh(&catalogue, &INDICES),
            Method::Post,
            "/states-zero,states-one/_refresh",
        ),
        (
            count(&catalogue, index, "c"),
            Method::Post,
            "/states-one/_count",
        ),
        (
            list(&catalogue, &INDICES, "c", &[AgentId(1)], 10),
            Method::Post,
            "/states-zero,states-one/_search?scroll=1m&allow_partial_search_results=false",
        ),
        (list_on("s"), Method::Post, "/_search/scroll"),
        (list_close("s"), Method::Delete, "/_search/scroll"),
    ] {
        assert_eq!((request.method, request.target.as_str()), (method, target));
        assert_eq!(request.content, Content::Json);
        assert!(request.body.is_empty() || body(&request).is_object());
    }
    let request = bulk(8000);
    assert_eq!(
        (request.method.name(), request.content.media_type()),
        ("POST", "application/x-ndjson")
    );
    assert_eq!(
        request.target,
        "/_bulk?timeout=8000ms&filter_path=took,errors,items.*.status,items.*.error.type,items.*.error.reason"
    );
    assert!(request.body.is_empty(), "the caller renders it");
}

#[test]
fn bodies_say_what_they_must() {
    let catalogue = config().catalogue;
    let listing = body(&list(
        &catalogue,
        &INDICES,
        "c",
        &[AgentId(1), AgentId(1234)],
        1 << 20,
    ));
    assert_eq!(
        listing,
        json!({
            "size": 10_000,
            "sort": ["_doc"],
            "version": true,
            "_source": ["checksum.hash.sha1", "wazuh"],
            "query": {"bool": {"filter": [
                {"term": {"wazuh.cluster.name": "c"}},
                {"terms": {"wazuh.agent.id": ["001", "1234"]}},
            ]}},
        })
    );
    let writer = body(&create_writer_index());
    assert_eq!(writer["mappings"]["dynamic"], "strict");
    assert_eq!(writer["settings"]["index"]["number_of_shards"], 1);
    assert_eq!(
        body(&list_on("a\"b")),
        json!({"scroll": "1m", "scroll_id": "a\"b"})
    );
    assert_eq!(body(&list_close("s")), json!({"scroll_id": ["s"]}));
    assert_eq!(encoded("a b/ä,?"), "a%20b%2F%C3%A4%2C%3F");
}
