use super::*;
use crate::document::sample::{INDICES, config};

fn catalogue() -> Catalogue {
    config().catalogue
}

const CLOSED: &str = r#"{"error":{"root_cause":[{"type":"index_closed_exception","reason":"closed","index":"states-one","index_uuid":"u"}],"type":"index_closed_exception","reason":"closed","index":"states-one","index_uuid":"u"},"status":400}"#;
const GONE: &str = r#"{"error":{"root_cause":[{"type":"index_not_found_exception","reason":"no such index [states-zero]"}],"type":"index_not_found_exception","reason":"no such index [states-zero]"},"status":404}"#;

#[test]
fn a_refresh_counts_only_when_every_shard_answered() {
    let ask = |status, body: &str| refreshed(status, body.as_bytes(), &catalogue(), &INDICES);
    let paused = |index| RefreshOutcome::Paused {
        indices: vec![IndexId(index)],
    };
    assert_eq!(
        ask(200, r#"{"_shards":{"total":4,"successful":4,"failed":0}}"#),
        RefreshOutcome::Done
    );
    assert_eq!(
        ask(200, r#"{"_shards":{"total":4,"successful":3,"failed":0}}"#),
        RefreshOutcome::Failed
    );
    assert_eq!(
        ask(403, r#"{"_shards":{"total":4,"successful":0,"failed":4}}"#),
        RefreshOutcome::Failed
    );
    assert_eq!(ask(400, CLOSED), paused(1));
    assert_eq!(ask(404, GONE), paused(0));
    let block = r#"{"error":{"root_cause":[],"type":"cluster_block_exception","reason":"index [states-zero] blocked by: [FORBIDDEN/5/index read-only (api)];"},"status":403}"#;
    assert_eq!(ask(403, block), paused(0));
    assert_eq!(
        ask(404, &GONE.replace("states-zero", "states-nine")),
        RefreshOutcome::Failed
    );
    assert_eq!(ask(503, ""), RefreshOutcome::Failed);
}

#[test]
fn an_index_that_exists_already_is_created() {
    let ask = |status, body: &str| index_created(status, body.as_bytes());
    assert_eq!(
        ask(
            200,
            r#"{"acknowledged":true,"shards_acknowledged":false,"index":"i"}"#
        ),
        IndexOutcome::Exists
    );
    assert_eq!(ask(200, r#"{"acknowledged":false}"#), IndexOutcome::Unknown);
    let exists = r#"{"error":{"type":"resource_already_exists_exception","reason":"index [i/u] already exists"},"status":400}"#;
    assert_eq!(ask(400, exists), IndexOutcome::Exists);
    let refused = r#"{"error":{"type":"security_exception","reason":"no permissions for [indices:admin/create]"},"status":403}"#;
    assert_eq!(
        ask(403, refused),
        IndexOutcome::Refused(
            "the Indexer answers 403 security_exception: no permissions for [indices:admin/create]"
                .to_owned()
        )
    );
    assert_eq!(ask(429, ""), IndexOutcome::Unknown);
    assert_eq!(ask(503, ""), IndexOutcome::Unknown);
}

#[test]
fn a_count_believes_whole_answers_only() {
    let ask = |status, body: &str| counted(status, body.as_bytes());
    let documents = CountOutcome::Documents;
    assert_eq!(
        ask(
            200,
            r#"{"count":7,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0}}"#
        ),
        documents(7)
    );
    assert_eq!(
        ask(
            200,
            r#"{"count":7,"_shards":{"total":2,"successful":1,"failed":0}}"#
        ),
        CountOutcome::Unknown
    );
    assert_eq!(ask(404, GONE), documents(0));
    assert_eq!(ask(404, "not here"), CountOutcome::Unknown);
    let other = GONE.replace("index_not_found", "resource_not_found");
    assert_eq!(ask(404, &other), CountOutcome::Unknown);
    assert_eq!(ask(400, CLOSED), CountOutcome::Unknown);
}

#[test]
fn a_refresh_tells_how_many_copies_it_reached() {
    let body = br#"{"_shards":{"total":2,"successful":1,"failed":0}}"#;
    assert_eq!(refreshed_copies(200, body), Some(1));
    let all = br#"{"_shards":{"total":2,"successful":2,"failed":0}}"#;
    assert_eq!(refreshed_copies(200, all), None);
    let failed = br#"{"_shards":{"total":2,"successful":1,"failed":1}}"#;
    assert_eq!(refreshed_copies(200, failed), None);
    assert_eq!(refreshed_copies(403, body), None);
}
