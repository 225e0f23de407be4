use super::super::sample::{AGENT, SESSION, Sample, frame, scanned, scheme};
use super::*;
use crate::wire;

fn flaws(items: &[Sample]) -> Vec<(u32, Option<Flaw>)> {
    let (_, table) = scanned(&scheme(), &frame(items));
    table
        .rows
        .iter()
        .map(|row| (row.seq, row.marks.flaw()))
        .collect()
}

#[test]
fn each_wrong_item_has_its_own_flaw_and_hurts_no_other() {
    let good = Sample::upsert(0, "states-zero", "x", "{}");
    let long = "l".repeat(ID_BYTES_MAX - "wazuh_001_".len());
    let items = [
        good.clone(),
        Sample {
            seq: 1,
            index: None,
            ..good.clone()
        },
        Sample {
            seq: 2,
            index: Some("states-nine".to_owned()),
            ..good.clone()
        },
        Sample {
            seq: 3,
            id: None,
            ..good.clone()
        },
        Sample {
            seq: 4,
            id: Some(String::new()),
            ..good.clone()
        },
        Sample {
            seq: 5,
            id: Some(long.clone()),
            ..good.clone()
        },
        Sample {
            seq: 6,
            id: Some(format!("{long}l")),
            ..good.clone()
        },
        Sample {
            seq: 7,
            data: None,
            ..good.clone()
        },
        Sample {
            seq: 8,
            data: Some(b"[]".to_vec()),
            ..good.clone()
        },
        Sample {
            seq: 9,
            data: Some(b"{\"a\":\"\xFF\"}".to_vec()),
            ..good.clone()
        },
        Sample {
            seq: 10,
            data: Some(b"{\"wazuh.a\":1}".to_vec()),
            ..good.clone()
        },
        Sample {
            seq: 11,
            data: Some(b"[".to_vec()),
            ..Sample::delete(11, "states-one", "x")
        },
        Sample {
            seq: 12,
            id: None,
            ..Sample::delete(12, "states-one", "x")
        },
        // Index before id before payload.
        Sample {
            seq: 13,
            id: None,
            index: None,
            data: None,
            ..good.clone()
        },
        Sample {
            seq: 14,
            id: None,
            data: None,
            ..good
        },
    ];
    let expected = [
        None,
        Some(Flaw::IndexMissing),
        Some(Flaw::IndexUnknown),
        Some(Flaw::IdMissing),
        Some(Flaw::IdMissing),
        None,
        Some(Flaw::IdTooLong),
        Some(Flaw::PayloadMissing),
        Some(Flaw::NotObject),
        Some(Flaw::NotUtf8),
        Some(Flaw::DottedOverlay),
        None,
        Some(Flaw::IdMissing),
        Some(Flaw::IndexMissing),
        Some(Flaw::IdMissing),
    ];
    assert_eq!(flaws(&items), (0..).zip(expected).collect::<Vec<_>>());
}

#[test]
fn the_summary_says_what_the_machine_must_know() {
    let item = |seq| Sample::upsert(seq, "states-zero", "x", "{}");
    let items = [
        item(7),
        item(5),
        item(6),
        Sample {
            operation: 9,
            ..item(30)
        },
        Sample {
            operation: 9,
            ..item(20)
        },
        item((1 << 32) + 5),
        item(1 << 32),
        Sample {
            session: SESSION.0,
            ..item(1)
        },
        item(5),
    ];
    let bytes = frame(&items);
    let (summary, table) = scanned(&scheme(), &bytes);
    assert_eq!(summary.session, SESSION);
    assert_eq!(
        summary.sequences.iter().collect::<Vec<_>>(),
        [1, 5, 6, 7, 20, 30]
    );
    assert_eq!(summary.beyond, Some(1 << 32));
    assert_eq!(summary.unknown_operation, Some(20));
    assert!(!summary.foreign_element);
    assert_eq!(summary.bytes, bytes.len() as u64);
    let seqs: Vec<u32> = table.rows.iter().map(|row| row.seq).collect();
    assert_eq!(
        seqs,
        [7, 5, 6, 30, 20, 1],
        "in the frame's order, repetitions once"
    );

    let foreign = Sample {
        session: 5,
        ..item(0)
    };
    assert!(scanned(&scheme(), &frame(&[foreign])).0.foreign_element);
    let (summary, table) = scanned(&scheme(), &frame(&[]));
    assert!(summary.sequences.is_empty() && table.is_empty());
}

#[test]
fn a_single_data_message_is_scanned_like_a_batch_of_one() {
    let item = wire::Item {
        seq: 3,
        operation: wire::Operation::Upsert,
        id: "x",
        index: "states-two",
        data: Some(b"{\"wazuh\":\n1}"),
        version: 0,
    };
    let bytes = wire::encode_data(SESSION.0, &item);
    let message = wire::decode(&bytes).unwrap();
    let items = Items::of(&message).unwrap();
    assert_eq!(items.len(), 1);
    let (summary, table) = scan(&scheme(), AGENT, &items, bytes.len() as u64);
    assert_eq!((summary.session, summary.foreign_element), (SESSION, false));
    let row = table.rows[0];
    assert_eq!((row.seq, row.index), (3, IndexId(2)));
    assert!(row.marks.has(Marks::OVERLAY) && row.marks.has(Marks::LINE_BREAK));
    assert_eq!(size_of::<Row>(), 16);
    assert!(
        Items::of(&wire::decode(&wire::encode_end(&wire::End { session: 1 })).unwrap()).is_none()
    );
}

#[test]
fn equal_ids_in_different_indices_are_different_documents() {
    let items = [
        Sample::delete(0, "states-zero", "x"),
        Sample::delete(1, "states-one", "x"),
        Sample::delete(2, "states-zero", "x"),
    ];
    let bytes = frame(&items);
    let (_, table) = scanned(&scheme(), &bytes);
    let message = wire::decode(&bytes).unwrap();
    assert_eq!((Items::of(&message).unwrap().len(), table.len()), (3, 3));
    assert_ne!(table.rows[0].hash, table.rows[1].hash);
    assert_eq!(table.rows[0].hash, table.rows[2].hash);
}
