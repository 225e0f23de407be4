use std::path::Path;

use super::{
    DroppedSession, KEY_BYTES, SINGLE_DELETES_MAX, StagedValue, Store, StoreError, key, session_end,
};
use crate::config::StoreConfig;

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(&StoreConfig {
        path: path.join("store"),
        write_buffer_bytes: 8 << 20,
    })
}

fn staged(session: u64, sequence: u64, bytes: &[u8]) -> StagedValue<'_> {
    StagedValue {
        session,
        sequence,
        bytes,
    }
}

fn dropped(session: u64, sequences: impl IntoIterator<Item = u64>) -> DroppedSession {
    DroppedSession {
        session,
        sequences: sequences.into_iter().collect(),
    }
}

#[test]
fn keys_sort_as_their_numbers() {
    assert_eq!(&key(1, 255), b"0000000000000001_00000000000000ff");
    assert_eq!(key(u64::MAX, u64::MAX).len(), KEY_BYTES);
    assert!(
        key(1, 9) < key(1, 10) && key(1, u64::MAX) < session_end(1) && session_end(1) < key(2, 0)
    );
}

#[test]
fn a_session_comes_back_in_order_and_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    store
        .stage(
            &[
                staged(7, 300, b"c"),
                staged(7, 0, b"a"),
                staged(8, 1, b"x"),
                staged(7, 16, b"b"),
                staged(6, 2, b"y"),
            ],
            &[],
        )
        .unwrap();
    let frames: Vec<_> = store.frames(7, 0).map(Result::unwrap).collect();
    let expected: Vec<(u64, Box<[u8]>)> = vec![
        (0, (*b"a").into()),
        (16, (*b"b").into()),
        (300, (*b"c").into()),
    ];
    assert_eq!(frames, expected);
    assert_eq!(store.frames(7, 1).count(), 2);
    assert_eq!(store.read(7, 16).unwrap().as_deref(), Some(b"b".as_slice()));
    assert_eq!(store.read(7, 17).unwrap(), None);
}

#[test]
fn discarding_a_session_leaves_its_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    for session in [6, 7, 8] {
        store
            .stage(
                &[
                    staged(session, 0, b"first"),
                    staged(session, u64::MAX, b"last"),
                ],
                &[],
            )
            .unwrap();
    }
    store.stage(&[], &[dropped(7, [0, u64::MAX])]).unwrap();
    assert_eq!(store.frames(7, 0).count(), 0);
    assert_eq!(store.frames(6, 0).count(), 2);
    assert_eq!(store.frames(8, 0).count(), 2);
}

#[test]
fn a_session_of_very_many_frames_is_dropped_as_a_range() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let frames = SINGLE_DELETES_MAX as u64 + 1;
    let values: Vec<_> = (0..frames)
        .map(|sequence| staged(7, sequence, b"x"))
        .collect();
    store.stage(&values, &[]).unwrap();
    store
        .stage(&[staged(8, 0, b"y")], &[dropped(7, 0..frames)])
        .unwrap();
    assert_eq!(store.frames(7, 0).count(), 0);
    assert_eq!(store.frames(8, 0).count(), 1);
}

#[test]
fn what_is_staged_and_dropped_is_gone_from_files_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let frame = vec![7; 100_000];
    for session in 0_u64..30 {
        let before = session.checked_sub(1).map(|before| dropped(before, [0, 1]));
        store
            .stage(
                &[staged(session, 0, &frame), staged(session, 1, &frame)],
                before.as_slice(),
            )
            .unwrap();
    }
    store.stage(&[], &[dropped(29, [0, 1])]).unwrap();
    store.db.flush().unwrap();
    assert!(store.is_empty().unwrap());
}

#[test]
fn the_last_session_id_can_be_discarded_and_wiped() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    store
        .stage(&[staged(u64::MAX, 0, b"a"), staged(0, 0, b"b")], &[])
        .unwrap();
    store.stage(&[], &[dropped(u64::MAX, [0])]).unwrap();
    assert_eq!(store.read(0, 0).unwrap().as_deref(), Some(b"b".as_slice()));
    store.wipe_staged().unwrap();
    assert!(store.is_empty().unwrap());
}

#[test]
fn wiping_never_touches_meta_and_meta_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    {
        let store = open(dir.path()).unwrap();
        store.stage(&[staged(1, 0, &[7; 100_000])], &[]).unwrap();
        store.meta_put("bound", &42_u64.to_le_bytes()).unwrap();
        store
            .meta_write(&[("a/1", Some(b"x")), ("a/2", Some(b"y")), ("b", Some(b"z"))])
            .unwrap();
    }
    let store = open(dir.path()).unwrap();
    assert!(
        !store.is_empty().unwrap(),
        "staged data outlive a clean stop until they are wiped"
    );
    store.wipe_staged().unwrap();
    assert!(store.is_empty().unwrap());
    assert_eq!(
        store.meta_get("bound").unwrap(),
        Some(42_u64.to_le_bytes().to_vec())
    );
    assert_eq!(
        store.meta_list("a/").unwrap(),
        [("a/1".into(), b"x".to_vec()), ("a/2".into(), b"y".to_vec())]
    );
    store.meta_write(&[("a/1", None)]).unwrap();
    assert_eq!(store.meta_get("a/1").unwrap(), None);
    assert_eq!(store.meta_get("unknown").unwrap(), None);
}

#[test]
fn wiping_reaches_what_lies_in_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    for sequence in 0..40 {
        store
            .stage(
                &[staged(
                    3,
                    sequence,
                    &vec![u8::try_from(sequence).unwrap(); 200_000],
                )],
                &[],
            )
            .unwrap();
    }
    store.db.flush().unwrap();
    store.wipe_staged().unwrap();
    assert!(store.is_empty().unwrap());
    store.stage(&[staged(3, 1, b"new")], &[]).unwrap();
    assert_eq!(
        store.frames(3, 0).count(),
        1,
        "what is staged after the wipe stays"
    );
}

#[test]
fn a_store_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path()).unwrap();
    let error = open(dir.path()).err().unwrap();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    let text = error
        .to_string()
        .replace(&dir.path().display().to_string(), "DIR");
    insta::assert_snapshot!(text, @"the store DIR/store is in use by another process: only one daemon can run on it; stop the other one, or give this one its own store.path");
}

#[test]
fn a_store_that_cannot_be_made_says_why() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("store"), "a file").unwrap();
    let text = open(dir.path())
        .err()
        .unwrap()
        .to_string()
        .replace(&dir.path().display().to_string(), "DIR");
    insta::assert_snapshot!(text, @"the store DIR/store cannot be opened: File exists (os error 17)");
}

#[test]
fn the_directory_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    assert_eq!(
        std::fs::metadata(store.path())
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o700
    );
}
