use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::sample::sessions::{IDS, NAMES, SUMS, documents, is_sound, sessions};
use super::super::sample::{AGENT, Frames, INDICES, SESSION, Sample, scheme, staged};
use super::super::{Part, Run, Runs, decode_sha1, plan, render};
use super::*;
use crate::id::Version;

fn sum(text: &str) -> Option<[u8; 20]> {
    decode_sha1(text.as_bytes())
}

fn listings() -> impl Strategy<Value = Vec<(usize, usize, Option<usize>)>> {
    prop::collection::vec(
        (
            0..NAMES.len(),
            0..IDS.len(),
            prop::option::of(0..SUMS.len()),
        ),
        0..14,
    )
}

fn listing(rows: &[(usize, usize, Option<usize>)]) -> Listing {
    let mut listing = Listing::new();
    for (version, (index, id, checksum)) in (1..).zip(rows) {
        let unchanged_if = checksum.and_then(|place| sum(SUMS[place]));
        let index = IndexId(u16::try_from(*index).unwrap());
        listing.push(
            Version(version),
            Listed {
                index,
                id: IDS[*id],
                unchanged_if,
            },
        );
    }
    listing
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn the_diff_is_what_a_naive_reading_says((items, batches) in sessions(), rows in listings()) {
        let (mut table, frames) = staged(&scheme(), &batches);
        plan(&mut table, &&frames, &INDICES, true, 1000).unwrap();
        let listing = listing(&rows);
        let summary = diff(&mut table, &listing, &&frames, &INDICES).unwrap();

        let documents = documents(&items);
        let mut first = BTreeSet::new();
        let rows: Vec<_> = rows.into_iter().filter(|(index, id, _)| *index < 2 && first.insert((*index, *id))).collect();
        let (mut removed, mut unchanged) = (Vec::new(), BTreeSet::new());
        for (index, id, checksum) in &rows {
            let winner = documents
                .get(&(NAMES[*index].to_owned(), IDS[*id].to_owned()))
                .map(|items| items[items.len() - 1]);
            match winner {
                None => removed.push((*index, IDS[*id])),
                Some(winner) if winner.operation == 1 => removed.push((*index, IDS[*id])),
                Some(winner) if is_sound(winner) => {
                    let value: serde_json::Value = serde_json::from_slice(winner.data.as_ref().unwrap()).unwrap();
                    let own = value["checksum"]["hash"]["sha1"].as_str();
                    if own.is_some() && own == checksum.map(|place| SUMS[place]) {
                        unchanged.insert(u32::try_from(winner.seq).unwrap());
                    }
                }
                Some(_) => {}
            }
        }
        let written: BTreeSet<u32> = documents
            .values()
            .map(|items| items[items.len() - 1])
            .filter(|winner| is_sound(winner) && winner.operation == 0)
            .map(|winner| u32::try_from(winner.seq).unwrap())
            .filter(|seq| !unchanged.contains(seq))
            .collect();

        let found: Vec<_> = (0..table.removals.ends.len())
            .filter_map(|place| table.removals.get(place))
            .map(|(index, id)| (usize::from(index.0), id))
            .collect();
        prop_assert_eq!(&found, &removed);
        prop_assert_eq!(summary.removals as usize, removed.len());
        prop_assert_eq!(summary.unchanged, unchanged.len() as u64);
        let upserts = Runs::up_to(summary.chunks.iter().map(|load| load.upserts).sum());
        let sent: BTreeSet<u32> = table.operations(Class::Upsert, &upserts).filter_map(|each| each.seq).collect();
        prop_assert_eq!(sent, written.clone());
        prop_assert!(summary.chunks.iter().all(|load| load.deletes == 0));
        let operations: u64 = summary.operations.iter().map(|(_, count)| count).sum();
        prop_assert_eq!(operations, (written.len() + removed.len()) as u64);

        // Bounds hold, and removals are deletes by id.
        let mut next = 0;
        for load in &summary.chunks {
            if load.upserts > 0 {
                let run = Run::new(next, next + load.upserts - 1);
                prop_assert!(body(&table, &frames, Class::Upsert, run).len() as u64 <= load.upsert_bytes);
            }
            next += load.upserts;
        }
        if summary.removals > 0 {
            let body = body(&table, &frames, Class::Removal, Run::new(0, summary.removals - 1));
            prop_assert!(body.len() as u64 <= summary.removal_bytes);
            let text = String::from_utf8(body).unwrap();
            prop_assert_eq!(text.lines().count(), removed.len());
            for (line, (index, id)) in text.lines().zip(&removed) {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                prop_assert_eq!(&line["delete"]["_index"], NAMES[*index]);
                prop_assert_eq!(&line["delete"]["_id"], &format!("wazuh_001_{id}"));
                prop_assert_eq!(&line["delete"]["version"], 5);
            }
            let all = Runs::up_to(summary.removals);
            let indices: Vec<_> = table.operations(Class::Removal, &all).map(|each| (each.index, each.seq)).collect();
            let expected: Vec<_> = removed.iter().map(|(index, _)| (IndexId(u16::try_from(*index).unwrap()), None)).collect();
            prop_assert_eq!(indices, expected);
        }

        // The same diff again says the same.
        prop_assert_eq!(diff(&mut table, &listing, &&frames, &INDICES).unwrap().operations, summary.operations);
    }
}

fn body(table: &SessionTable, frames: &Frames, class: Class, run: Run) -> Vec<u8> {
    let ordinals = std::iter::once(run).collect();
    let part = Part {
        session: SESSION,
        agent: AGENT,
        version: Version(5),
        class,
        ordinals,
    };
    let mut out = Vec::new();
    render(&part, table, &frames, &mut out).unwrap();
    out
}

#[test]
fn equal_hashes_alone_keep_no_document() {
    let items = vec![Sample::upsert(0, "states-zero", "mine", "{}")];
    let (mut table, frames) = staged(&scheme(), &[items]);
    plan(&mut table, &&frames, &INDICES, true, 1000).unwrap();
    let other = Listed {
        index: IndexId(0),
        id: "theirs",
        unchanged_if: None,
    };
    table.rows[0].hash = table.scheme.hash(other.index, other.id);
    let mut listing = Listing::new();
    listing.push(Version(9), other);
    let summary = diff(&mut table, &listing, &&frames, &INDICES).unwrap();
    assert_eq!((summary.removals, summary.unchanged), (1, 0));
    assert_eq!(summary.chunks[0].upserts, 1);
    assert_eq!(
        diff(&mut table, &listing, &&Frames::default(), &INDICES),
        None
    );
    assert_eq!(listing.highest(), Version(9));
}

#[test]
fn what_is_listed_twice_is_one_document() {
    let items = vec![Sample::upsert(0, "states-zero", "x", "{}")];
    let (mut table, frames) = staged(&scheme(), &[items]);
    plan(&mut table, &&frames, &INDICES, true, 1000).unwrap();
    let mut listing = Listing::new();
    for id in ["x", "gone", "x", "gone"] {
        listing.push(
            Version(1),
            Listed {
                index: IndexId(0),
                id,
                unchanged_if: None,
            },
        );
    }
    let summary = diff(&mut table, &listing, &&frames, &INDICES).unwrap();
    assert_eq!(summary.removals, 1);
}
