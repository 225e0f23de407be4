use super::super::sample::{INDICES, SESSION, Sample, frame, info, scanned, scheme};
use super::super::{plan, sample};
use super::*;

#[test]
fn only_fresh_items_are_added_and_the_first_copy_of_a_sequence_counts() {
    let scheme = scheme();
    let mut table = SessionTable::new(scheme.clone(), SESSION, sample::AGENT, &info());
    let items = [
        Sample::upsert(4, "states-zero", "old", "{}"),
        Sample::upsert(5, "states-zero", "first", "{}"),
        Sample::upsert(5, "states-zero", "second", "{}"),
        Sample::upsert(6, "states-zero", "six", "{}"),
    ];
    let bytes = frame(&items);
    let (summary, rows) = scanned(&scheme, &bytes);
    assert_eq!(summary.sequences.as_slice(), [Run::new(4, 6)]);
    table.stage(5, &[Run::new(5, 6)], &rows);
    assert_eq!(table.items(), 2);
    assert_eq!(table.keys().collect::<Vec<_>>(), [5]);
    let mut seen = Vec::new();
    let rows: Vec<Row> = table.rows_of(&table.chunks[0]).to_vec();
    let whole = walk(&bytes, &rows, |place, row, item| {
        seen.push((place, row.seq, item.id.unwrap_or_default().to_owned()));
        Some(true)
    });
    assert_eq!(whole, Some(()));
    assert_eq!(seen, [(0, 5, "first".to_owned()), (1, 6, "six".to_owned())]);
    assert_eq!(walk(&bytes, &rows, |_, _, _| None), None);
    assert_eq!(walk(&bytes, &rows, |_, _, _| Some(false)), Some(()));
}

#[test]
fn a_failed_write_leaves_nothing_behind() {
    let scheme = scheme();
    let mut table = SessionTable::new(scheme.clone(), SESSION, sample::AGENT, &info());
    let mut frames = sample::Frames::default();
    for (key, id) in [(0, "a"), (1, "b"), (1, "c")] {
        let bytes = frame(&[Sample::upsert(u64::from(key), "states-zero", id, "{}")]);
        let (_, rows) = scanned(&scheme, &bytes);
        table.stage(key, &[Run::one(key)], &rows);
        if id == "b" {
            table.unstage(key);
        } else {
            frames.0.insert(key, bytes);
        }
    }
    table.unstage(9);
    assert_eq!(table.items(), 2);
    let summary = plan(&mut table, &&frames, &INDICES, false, 1000).unwrap();
    assert_eq!(
        summary
            .chunks
            .iter()
            .map(|load| load.upserts)
            .collect::<Vec<_>>(),
        [1, 1]
    );
    assert_eq!(table.seq_of(Class::Upsert, 1), Some(1));
    assert_eq!(table.sharing(1).count(), 0);
}
