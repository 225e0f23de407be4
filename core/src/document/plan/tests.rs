use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::sample::sessions::{documents, is_sound, sessions};
use super::super::sample::{Frames, INDICES, Sample, scheme, staged};
use super::super::{Class, Runs};
use super::*;

/// The sequences that are sent, ascending.
fn sent(table: &SessionTable, class: Class, summary: &PlanSummary) -> BTreeSet<u32> {
    let count = summary
        .chunks
        .iter()
        .map(|load| {
            if class == Class::Upsert {
                load.upserts
            } else {
                load.deletes
            }
        })
        .sum();
    let all = Runs::up_to(count);
    let operations: Vec<_> = table.operations(class, &all).collect();
    assert_eq!(operations.len(), count as usize);
    for (ordinal, operation) in (0..).zip(&operations) {
        assert_eq!(operation.ordinal, ordinal);
        assert_eq!(table.seq_of(class, ordinal), operation.seq);
    }
    assert_eq!(table.seq_of(class, count), None);
    operations
        .iter()
        .filter_map(|operation| operation.seq)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn the_plan_is_what_a_naive_reading_says((items, batches) in sessions(), full in any::<bool>(), collide in any::<bool>()) {
        let (mut table, frames) = staged(&scheme(), &batches);
        prop_assert_eq!(table.items(), items.len() as u64);
        if collide {
            // All hashes are equal: bytes alone tell documents apart.
            for row in &mut table.rows {
                row.hash = 7;
            }
        }
        let summary = plan(&mut table, &&frames, &INDICES, full, 1000).unwrap();

        let (mut upserts, mut deletes, mut failed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut shares = 0;
        for (_, items) in documents(&items) {
            let winner = items[items.len() - 1];
            let narrow = |item: &Sample| u32::try_from(item.seq).unwrap();
            if !is_sound(winner) {
                failed.extend(items.iter().map(|item| narrow(item)));
            } else if winner.operation == 0 {
                upserts.insert(narrow(winner));
            } else if !full {
                deletes.insert(narrow(winner));
            }
            if is_sound(winner) {
                let earlier: Vec<u32> = items[..items.len() - 1].iter().map(|item| narrow(item)).collect();
                prop_assert_eq!(table.sharing(narrow(winner)).collect::<Vec<_>>(), earlier.clone());
                shares += earlier.len();
            }
        }
        prop_assert_eq!(table.shared.len(), shares);
        failed.extend(items.iter().filter(|item| super::super::sample::sessions::document(item).is_none())
            .map(|item| u32::try_from(item.seq).unwrap()));

        prop_assert_eq!(sent(&table, Class::Upsert, &summary), upserts.clone());
        prop_assert_eq!(sent(&table, Class::Delete, &summary), deletes.clone());
        let listed: Vec<u32> = summary.failures.lowest.iter().map(|failure| failure.seq).collect();
        prop_assert_eq!(listed, failed.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(summary.failures.total, failed.len() as u64);
        prop_assert!(summary.operations.is_sorted());
        let operations: u64 = summary.operations.iter().map(|(_, count)| count).sum();
        prop_assert_eq!(operations, (upserts.len() + deletes.len()) as u64);
        for (index, count) in &summary.operations {
            let name = scheme().catalogue().index_name(*index).to_owned();
            let here = items.iter().filter(|item| {
                let seq = u32::try_from(item.seq).unwrap();
                item.index.as_deref() == Some(&name) && (upserts.contains(&seq) || deletes.contains(&seq))
            });
            prop_assert_eq!(here.count() as u64, *count);
        }

        let (mut again, _) = staged(&scheme(), &batches);
        let few = plan(&mut again, &&frames, &INDICES, full, 3).unwrap().failures;
        prop_assert_eq!(few.total, summary.failures.total);
        prop_assert_eq!(few.lowest.len() as u64, few.total.min(3));
        prop_assert_eq!(few.lowest.as_slice(), &summary.failures.lowest[..few.lowest.len()]);
    }
}

#[test]
fn an_index_that_is_not_allowed_is_set_aside_item_by_item() {
    let items = vec![
        Sample::upsert(0, "states-zero", "x", "{}"),
        Sample::upsert(1, "states-one", "x", "{}"),
        Sample::delete(2, "states-one", "x"),
    ];
    let (mut table, frames) = staged(&scheme(), &[items]);
    let summary = plan(&mut table, &&frames, &[IndexId(0)], false, 1000).unwrap();
    assert_eq!(summary.operations, [(IndexId(0), 1)]);
    let failed: Vec<_> = summary
        .failures
        .lowest
        .iter()
        .map(|failure| (failure.seq, failure.reason))
        .collect();
    let reason = crate::wire::Reason::IndexNotAllowed;
    assert_eq!(failed, [(1, reason), (2, reason)]);
}

#[test]
fn a_frame_that_is_gone_or_another_one_is_said() {
    let twins = |seq| {
        vec![
            Sample::upsert(seq, "states-zero", "x", "{}"),
            Sample::delete(seq + 1, "states-one", "y"),
        ]
    };
    let batches = [twins(0), twins(2)];
    let (table, frames) = staged(&scheme(), &batches);
    assert!(plan(&mut table.clone(), &&frames, &INDICES, false, 1000).is_some());
    for key in [0, 2] {
        let mut gone = frames.clone();
        gone.0.remove(&key);
        assert_eq!(
            plan(&mut table.clone(), &&gone, &INDICES, false, 1000),
            None
        );
        let mut cut = frames.clone();
        cut.0.insert(
            key,
            super::super::sample::frame(&batches[key as usize / 2][..1]),
        );
        assert_eq!(plan(&mut table.clone(), &&cut, &INDICES, false, 1000), None);
        let mut garbled = frames.clone();
        garbled.0.insert(key, vec![0; 64]);
        assert_eq!(
            plan(&mut table.clone(), &&garbled, &INDICES, false, 1000),
            None
        );
    }
    // Without a repeated hash no frame is looked at.
    let (mut table, _) = staged(&scheme(), &batches[..1]);
    assert!(plan(&mut table, &&Frames::default(), &INDICES, false, 1000).is_some());
}

#[test]
fn only_the_lowest_failures_are_kept() {
    let mut lowest = Lowest::new(3);
    for seq in [9, 4, 7, 1, 8, 8, 2, 0, 5, 3, 6] {
        lowest.offer(seq, || Flaw::NotJson.failure(seq));
    }
    let failures = lowest.finish();
    assert_eq!(
        failures
            .lowest
            .iter()
            .map(|failure| failure.seq)
            .collect::<Vec<_>>(),
        [0, 1, 2]
    );
    assert_eq!(failures.total, 11);
    let mut none = Lowest::new(0);
    none.offer(1, || Flaw::NotJson.failure(1));
    assert_eq!(
        none.finish(),
        Failures {
            lowest: Vec::new(),
            total: 1
        }
    );
}

#[test]
fn failures_that_are_kept_are_few_and_the_lowest() {
    let mut lowest = Lowest::new(3);
    for seq in (0..1_000).rev() {
        lowest.offer(seq, || Flaw::NotJson.failure(seq));
        assert!(lowest.kept.len() < 6, "{} are kept", lowest.kept.len());
    }
    let Failures { lowest, total } = lowest.finish();
    let seqs: Vec<u32> = lowest.iter().map(|failure| failure.seq).collect();
    assert_eq!((seqs, total), (vec![0, 1, 2], 1_000));
}
