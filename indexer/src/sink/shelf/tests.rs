use super::*;

const TERMS: Terms = Terms {
    now_ms: 1_000,
    gc_deletes_ms: 500,
    primary_term: 1,
};

fn digest(overlay: OverlayId, hash: u64) -> Digest {
    Digest {
        checksum: Checksum::None,
        hash,
        overlay,
    }
}

fn shown(shelf: &mut Shelf, overlay: OverlayId) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    shelf.visible([overlay], |id, kept| {
        found.push((id.to_owned(), kept.version))
    });
    found.sort();
    found
}

#[test]
fn checksums_come_back() {
    let hex = "00ff8a1b2c3d4e5f60718293a4b5c6d7e8f90a1b";
    assert!(matches!(Checksum::of(hex), Checksum::Sha1(_)));
    for text in [hex, "00FF", "", &hex.to_uppercase()] {
        assert_eq!(Checksum::of(text).text().as_deref(), Some(text));
    }
    assert_eq!(Checksum::None.text(), None);
}

#[test]
fn searches_see_the_last_refresh() {
    let mut shelf = Shelf::new(0);
    let write = |shelf: &mut Shelf, version, overlay| {
        shelf
            .index(
                "a",
                Condition::external_gte(version),
                digest(overlay, version),
                TERMS,
            )
            .unwrap()
    };
    assert_eq!(write(&mut shelf, 5, 1).outcome, Outcome::Created);
    assert_eq!(shown(&mut shelf, 1), []);
    shelf.refresh(1_000, 500);
    assert_eq!(shown(&mut shelf, 1), [("a".to_owned(), 5)]);
    // It moves to another overlay: until the refresh it is where it was.
    assert_eq!(write(&mut shelf, 6, 2).outcome, Outcome::Updated);
    assert_eq!(shown(&mut shelf, 1), [("a".to_owned(), 5)]);
    assert_eq!(shown(&mut shelf, 2), []);
    shelf.refresh(1_000, 500);
    assert_eq!(shown(&mut shelf, 1), []);
    assert_eq!(shown(&mut shelf, 2), [("a".to_owned(), 6)]);
    let deleted = shelf
        .delete("a", Condition::external_gte(7), TERMS)
        .unwrap();
    assert_eq!(deleted.outcome, Outcome::Deleted);
    assert_eq!(shown(&mut shelf, 2), [("a".to_owned(), 6)]);
    shelf.refresh(1_000, 500);
    assert_eq!((shown(&mut shelf, 2), shelf.documents()), (vec![], 0));
}

#[test]
fn slots_of_old_tombstones_are_used_again() {
    let mut shelf = Shelf::new(0);
    for round in 0..100_u64 {
        let terms = Terms {
            now_ms: 1_000 * round,
            ..TERMS
        };
        for id in 0..10 {
            let id = format!("{round}-{id}");
            let version = Condition::external_gte(round);
            shelf.index(&id, version, digest(3, round), terms).unwrap();
            shelf.delete(&id, version, terms).unwrap();
        }
        shelf.refresh(terms.now_ms, terms.gc_deletes_ms);
        assert_eq!(shown(&mut shelf, 3), []);
    }
    assert!(shelf.slots.len() <= 20, "{}", shelf.slots.len());
    assert!(shelf.table.len() <= 20 && shelf.groups[&3].len() <= 20);
}

#[test]
fn the_fingerprint_knows_sets_not_orders() {
    let fill = |ids: &[u64]| {
        let mut shelf = Shelf::new(0);
        for id in ids {
            let version = Condition::external_gte(*id);
            shelf
                .index(&id.to_string(), version, digest(1, *id), TERMS)
                .unwrap();
        }
        shelf.fingerprint()
    };
    assert_eq!(fill(&[1, 2, 3]), fill(&[3, 1, 2]));
    assert_ne!(fill(&[1, 2, 3]), fill(&[1, 2]));
    assert_eq!(fill(&[]), 0);
}
