use super::refusal::kind;
use super::*;
use crate::model::query::Query;

const T: &str = "states";

fn indexer() -> Indexer {
    let mut indexer = Indexer::new(Options::default());
    indexer
        .create_index(T, Settings::default(), None, 0)
        .unwrap();
    indexer
}

fn source(agent: &str) -> Source {
    format!("{{\"wazuh\":{{\"agent\":{{\"id\":\"{agent}\"}}}}}}")
        .into_bytes()
        .into()
}

fn put(indexer: &mut Indexer, id: &str, version: u64, now_ms: u64) -> ItemResult {
    indexer.index(
        T,
        id,
        Condition::external_gte(version),
        source("001"),
        now_ms,
    )
}

fn remove(indexer: &mut Indexer, id: &str, version: u64, now_ms: u64) -> ItemResult {
    indexer.delete(T, id, Condition::external_gte(version), now_ms)
}

fn status(result: &ItemResult) -> (u16, u64) {
    match result {
        Ok(applied) => (applied.status(), applied.version),
        Err(refusal) => (refusal.status, 0),
    }
}

#[test]
fn external_gte_accepts_equal_and_refuses_lower() {
    let mut indexer = indexer();
    assert_eq!(status(&put(&mut indexer, "a", 100, 0)), (201, 100));
    assert_eq!(status(&put(&mut indexer, "a", 100, 0)), (200, 100));
    let refusal = put(&mut indexer, "a", 99, 0).unwrap_err();
    assert_eq!(
        (refusal.status, refusal.kind),
        (409, kind::VERSION_CONFLICT)
    );
    assert_eq!(
        refusal.reason,
        "[a]: version conflict, current version [100] is higher than the one provided [99]"
    );
    assert_eq!(status(&remove(&mut indexer, "a", 5, 0)), (409, 0));
    let external = Condition::Version {
        version: 100,
        kind: VersionType::External,
    };
    let refusal = indexer.index(T, "a", external, source("1"), 0).unwrap_err();
    assert!(
        refusal
            .reason
            .ends_with("[100] is higher or equal to the one provided [100]"),
        "{refusal}"
    );
}

#[test]
fn a_refused_write_takes_no_sequence_number() {
    let mut indexer = indexer();
    put(&mut indexer, "a", 10, 0).unwrap();
    put(&mut indexer, "a", 9, 0).unwrap_err();
    assert_eq!(put(&mut indexer, "b", 1, 0).unwrap().seq_no, 1);
    assert_eq!(remove(&mut indexer, "none", 1, 0).unwrap().seq_no, 2);
}

#[test]
fn tombstones_expire_exactly_and_need_no_refresh() {
    let mut indexer = indexer();
    put(&mut indexer, "a", 400, 0).unwrap();
    assert_eq!(status(&remove(&mut indexer, "a", 500, 1000)), (200, 500));
    assert_eq!(
        status(&remove(&mut indexer, "never", 500, 1000)),
        (404, 500)
    );
    let end = 1000 + settings::GC_DELETES_MS;
    for id in ["a", "never"] {
        assert_eq!(status(&put(&mut indexer, id, 450, end)), (409, 0), "{id}");
        assert_eq!(
            status(&put(&mut indexer, id, 450, end + 1)),
            (201, 450),
            "{id}"
        );
    }
}

#[test]
fn a_flush_and_restart_loses_tombstones_and_a_crash_does_not() {
    let mut indexer = indexer();
    remove(&mut indexer, "a", 500, 0).unwrap();
    indexer.restart(false, 1);
    assert_eq!(status(&put(&mut indexer, "a", 450, 2)), (409, 0));
    indexer.lose_tombstones(3);
    assert_eq!(put(&mut indexer, "a", 450, 4).unwrap().primary_term, 3);
}

#[test]
fn searches_see_the_last_refresh() {
    let mut indexer = indexer();
    put(&mut indexer, "a", 1, 0).unwrap();
    let count = |indexer: &Indexer| {
        indexer
            .search(&[T], &Search::listing(Query::All), 0)
            .unwrap()
            .total
    };
    assert_eq!(count(&indexer), 0);
    assert_eq!(
        indexer.refresh(&[T], 0).unwrap(),
        Shards {
            total: 1,
            successful: 1
        }
    );
    assert_eq!(count(&indexer), 1);
    remove(&mut indexer, "a", 2, 0).unwrap();
    assert_eq!((count(&indexer), indexer.get(T, "a").unwrap()), (1, None));
    indexer.refresh_all(0);
    assert_eq!(count(&indexer), 0);
}

#[test]
fn a_term_query_reads_sources_only_when_asked() {
    let mut indexer = indexer();
    for (id, agent) in [("b", "001"), ("a", "002"), ("c", "001")] {
        indexer
            .index(T, id, Condition::external_gte(7), source(agent), 0)
            .unwrap();
    }
    indexer.refresh_all(0);
    let found = indexer
        .search(
            &[T],
            &Search::listing(Query::term("wazuh.agent.id", "001")),
            0,
        )
        .unwrap();
    let ids: Vec<_> = found
        .hits
        .iter()
        .map(|hit| (&*hit.id, hit.document.version))
        .collect();
    assert_eq!(ids, [("b", 7), ("c", 7)]);
}

#[test]
fn a_scroll_is_a_snapshot_that_expires() {
    let mut indexer = indexer();
    for id in ["a", "b", "c"] {
        put(&mut indexer, id, 1, 0).unwrap();
    }
    indexer.refresh_all(0);
    let page = indexer
        .open_scroll(&[T], &Search::listing(Query::All), 2, 1000, 0)
        .unwrap();
    assert_eq!((page.total, page.hits.len()), (3, 2));
    remove(&mut indexer, "c", 2, 1).unwrap();
    indexer.refresh_all(1);
    let next = indexer.next_page(page.scroll, 1000, 999).unwrap();
    assert_eq!(
        next.hits.iter().map(|hit| &*hit.id).collect::<Vec<_>>(),
        ["c"]
    );
    assert!(
        indexer
            .next_page(page.scroll, 1000, 1998)
            .unwrap()
            .hits
            .is_empty()
    );
    let missing = indexer.next_page(page.scroll, 1000, 2998).unwrap_err();
    assert_eq!(
        (missing.status, missing.caused_by.unwrap().kind),
        (404, kind::CONTEXT_MISSING)
    );
    assert!(indexer.close_scroll(page.scroll) && !indexer.close_scroll(page.scroll));
    let too_large = indexer
        .open_scroll(&[T], &Search::listing(Query::All), PAGE_MAX + 1, 1, 0)
        .unwrap_err();
    assert_eq!(too_large.status, 400);
}

#[test]
fn a_scroll_ends_with_its_index_and_with_its_node() {
    let mut indexer = indexer();
    let open = |indexer: &mut Indexer| {
        indexer
            .open_scroll(&[T], &Search::listing(Query::All), 2, 1000, 0)
            .unwrap()
            .scroll
    };
    let scroll = open(&mut indexer);
    indexer.restart(false, 0);
    assert!(indexer.next_page(scroll, 1, 0).is_err());
    let scroll = open(&mut indexer);
    assert!(indexer.delete_index(T));
    indexer
        .create_index(T, Settings::default(), None, 0)
        .unwrap();
    assert!(indexer.next_page(scroll, 1, 0).is_err());
}

#[test]
fn a_missing_shard_is_told_by_two_numbers_only() {
    let mut indexer = indexer();
    indexer
        .create_index("red", Settings::default(), None, 0)
        .unwrap();
    indexer.change_index("red", |index| index.shard_missing = true);
    let mut search = Search::listing(Query::All);
    let refusal = indexer.search(&[T, "red"], &search, 0).unwrap_err();
    assert_eq!((refusal.status, refusal.kind), (503, kind::SEARCH_PHASE));
    search.allow_partial = true;
    assert_eq!(
        indexer.search(&[T, "red"], &search, 0).unwrap().shards,
        Shards {
            total: 2,
            successful: 1
        }
    );
    assert_eq!(
        indexer.search(&["red"], &search, 0).unwrap_err().status,
        503
    );
    assert_eq!(
        indexer.refresh(&["red"], 0).unwrap(),
        Shards {
            total: 1,
            successful: 0
        }
    );
    let refusal = indexer
        .index("red", "a", Condition::None, source("1"), 0)
        .unwrap_err();
    assert_eq!(
        (refusal.status, refusal.kind),
        (503, kind::UNAVAILABLE_SHARDS)
    );
}

#[test]
fn blocks_and_closing_refuse_deletes_too() {
    let mut indexer = indexer();
    let refused = |indexer: &mut Indexer| {
        let refusal = remove(indexer, "a", 1, 0).unwrap_err();
        (refusal.status, refusal.kind)
    };
    indexer.change_index(T, |index| {
        index.settings.blocks.read_only_allow_delete = true
    });
    assert_eq!(refused(&mut indexer), (429, kind::CLUSTER_BLOCK));
    indexer.change_index(T, |index| {
        index.settings.blocks = Blocks {
            write: true,
            ..Blocks::default()
        }
    });
    assert_eq!(refused(&mut indexer), (403, kind::CLUSTER_BLOCK));
    indexer.change_index(T, |index| {
        index.settings.blocks = Blocks {
            metadata: true,
            ..Blocks::default()
        }
    });
    assert!(remove(&mut indexer, "a", 1, 0).is_ok());
    indexer.set_closed(T, true, 0);
    assert_eq!(refused(&mut indexer), (400, kind::INDEX_CLOSED));
    assert_eq!(
        indexer
            .search(&[T], &Search::listing(Query::All), 0)
            .unwrap_err()
            .kind,
        kind::INDEX_CLOSED
    );
}

#[test]
fn a_delete_creates_the_index_it_names() {
    let mut indexer = indexer();
    assert_eq!(
        indexer
            .delete("new", "a", Condition::external_gte(3), 0)
            .unwrap()
            .status(),
        404
    );
    let first = indexer.get_index("new").unwrap().uuid.clone();
    assert!(indexer.delete_index("new"));
    indexer.set_auto_create(false);
    let refusal = indexer
        .delete("new", "a", Condition::external_gte(3), 0)
        .unwrap_err();
    assert_eq!((refusal.status, refusal.kind), (404, kind::INDEX_NOT_FOUND));
    assert!(indexer.get_index("new").is_none());
    indexer
        .create_index("new", Settings::default(), None, 5)
        .unwrap();
    assert_ne!(indexer.get_index("new").unwrap().uuid, first);
    assert_eq!(
        indexer
            .index("BAD NAME", "a", Condition::None, source("1"), 0)
            .unwrap_err()
            .status,
        400
    );
}

#[test]
fn compare_and_set() {
    let mut indexer = indexer();
    let create = indexer
        .index(T, "w", Condition::Absent, source("1"), 0)
        .unwrap();
    assert!(
        indexer
            .index(T, "w", Condition::Absent, source("1"), 0)
            .is_err()
    );
    let held = Condition::Unchanged {
        seq_no: create.seq_no,
        primary_term: create.primary_term,
    };
    assert_eq!(
        indexer.index(T, "w", held, source("2"), 0).unwrap().version,
        2
    );
    assert_eq!(
        indexer
            .index(T, "w", held, source("3"), 0)
            .unwrap_err()
            .status,
        409
    );
    assert_eq!(
        indexer
            .index(T, "absent", held, source("3"), 0)
            .unwrap_err()
            .status,
        409
    );
}

#[test]
fn one_long_id_refuses_the_whole_request() {
    let mut indexer = indexer();
    let operation = |id: &str| Operation {
        index: T.into(),
        id: id.into(),
        condition: Condition::external_gte(1),
        source: Some(source("1")),
    };
    let long = "é".repeat(ID_BYTES_MAX / 2);
    assert!(indexer.bulk(&[operation("a"), operation(&long)], 0).is_ok());
    let refusal = indexer
        .bulk(&[operation("b"), operation(&format!("{long}x"))], 0)
        .unwrap_err();
    assert_eq!((refusal.status, refusal.kind), (400, kind::VALIDATION));
    assert!(indexer.get(T, "b").unwrap().is_none());
    let results = indexer.bulk(&[operation(""), operation("c")], 0).unwrap();
    assert_eq!(
        results
            .iter()
            .map(|result| status(result).0)
            .collect::<Vec<_>>(),
        [400, 201]
    );
}

#[test]
fn a_restore_keeps_the_uuid_and_changes_the_history() {
    let mut indexer = indexer();
    put(&mut indexer, "a", 1, 0).unwrap();
    let snapshot = indexer.snapshot(T).unwrap();
    put(&mut indexer, "b", 1, 0).unwrap();
    remove(&mut indexer, "a", 2, 0).unwrap();
    let before = indexer.get_index(T).unwrap().clone();
    indexer.restore(&snapshot, 9);
    let after = indexer.get_index(T).unwrap();
    assert_eq!(
        (&after.uuid, after.creation_date_ms),
        (&before.uuid, before.creation_date_ms)
    );
    assert_ne!(after.history_uuid, before.history_uuid);
    assert!(after.get("a").is_some() && after.get("b").is_none());
    assert_eq!(
        after.visible().len(),
        1,
        "a restored index shows what was in the snapshot, refreshed or not"
    );
    assert_eq!(after.tombstone("a", 9), None);
}

#[test]
fn a_clone_is_independent() {
    let mut indexer = indexer();
    put(&mut indexer, "a", 1, 0).unwrap();
    let before = indexer.clone();
    put(&mut indexer, "a", 2, 0).unwrap();
    assert_eq!(before.get(T, "a").unwrap().unwrap().version, 1);
    assert_eq!(indexer.get(T, "a").unwrap().unwrap().version, 2);
    assert_ne!(before, indexer);
}
