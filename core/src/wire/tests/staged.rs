//! A staged frame shows the same items as a decoded one, and nothing shows a panic.

use crate::wire::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

type Read = (u64, Option<String>, Option<Vec<u8>>);

fn decoded(frame: &[u8]) -> Option<Vec<Read>> {
    let read = |item: DataView<'_>| {
        (
            item.seq(),
            item.id().map(str::to_owned),
            item.data().map(<[u8]>::to_vec),
        )
    };
    match decode(frame).ok()? {
        Message::Data(item) => Some(vec![read(item)]),
        Message::DataBatch(batch) => Some(batch.iter().map(read).collect()),
        _ => None,
    }
}

fn staged(frame: &[u8]) -> Option<Vec<Read>> {
    StagedItems::of(frame)?
        .map(|item| {
            let item = item?;
            Some((
                item.seq,
                item.id.map(str::to_owned),
                item.data.map(<[u8]>::to_vec),
            ))
        })
        .collect()
}

prop_compose! {
    fn frame()(
        items in vec((any::<u64>(), "\\PC{0,20}", option::of(vec(any::<u8>(), 0..60)), any::<bool>()), 0..6),
        alone: bool,
    ) -> Vec<u8> {
        let item = |(seq, id, data, delete): &(u64, String, Option<Vec<u8>>, bool)| {
            let operation = if *delete { Operation::Delete } else { Operation::Upsert };
            (*seq, operation, id.clone(), data.clone())
        };
        let mut batch = BatchBuilder::new(7, 1 << 20);
        for each in &items {
            let (seq, operation, id, data) = item(each);
            let item = Item { seq, operation, id: &id, index: "an-index", data: data.as_deref(), version: 1 };
            if alone {
                return encode_data(7, &item);
            }
            assert_eq!(batch.push(&item), Ok(()));
        }
        batch.finish()
    }
}

proptest! {
    #[test]
    fn a_staged_frame_shows_what_was_decoded(frame in frame()) {
        prop_assert_eq!(decoded(&frame), staged(&frame));
    }

    #[test]
    fn a_damaged_frame_shows_the_same_or_nothing(
        mut frame in frame(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        length in option::of(any::<prop::sample::Index>()),
    ) {
        for (place, byte) in damage {
            let place = place.index(frame.len());
            frame[place] = byte;
        }
        if let Some(length) = length {
            frame.truncate(length.index(frame.len()));
        }
        // Must end and not panic, whatever it reads.
        let seen = staged(&frame);
        if let Some(items) = decoded(&frame) {
            prop_assert_eq!(Some(items), seen);
        }
    }
}

#[test]
fn other_messages_have_no_items() {
    let frame = encode_end(&End { session: 1 });
    assert!(StagedItems::of(&frame).is_none());
    assert!(StagedItems::of(&[]).is_none());
}
