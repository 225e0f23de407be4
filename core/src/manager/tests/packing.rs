//! How operations are packed into requests.

use proptest::prelude::*;

use crate::document::Runs;
use crate::manager::session::{Loads, Room};

fn frames() -> impl Strategy<Value = Vec<(u32, u64)>> {
    prop::collection::vec((0_u32..9, 0_u64..5_000), 1..8)
}

proptest! {
    #[test]
    fn requests_keep_their_limits_and_take_everything_once(
        frames in frames(),
        bytes in 1_u64..4_000,
        operations in 1_u32..7,
    ) {
        let loads = Loads::new(frames.iter().copied());
        let all = Runs::up_to(loads.operations());
        prop_assert_eq!(all.count(), frames.iter().map(|(count, _)| u64::from(*count)).sum::<u64>());
        let mut rest = all.clone();
        let mut next = 0;
        while !rest.is_empty() {
            let before = rest.count();
            let mut room = Room { bytes, operations };
            let taken = loads.take(&mut rest, &mut room, true);
            prop_assert!(!taken.is_empty(), "at least one");
            prop_assert_eq!(taken.count() + rest.count(), before);
            prop_assert!(taken.count() <= u64::from(operations));
            prop_assert!(taken.count() == 1 || loads.bytes(&taken) <= bytes);
            prop_assert_eq!(taken.as_slice()[0].first, next, "lowest first");
            next += u32::try_from(taken.count()).unwrap();
        }
    }

    #[test]
    fn without_room_nothing_is_taken(frames in frames()) {
        let loads = Loads::new(frames.iter().copied());
        let all = Runs::up_to(loads.operations());
        for room in [Room { bytes: 0, operations: 9 }, Room { bytes: 9_999, operations: 0 }] {
            let (mut rest, mut room) = (all.clone(), room);
            prop_assert!(loads.take(&mut rest, &mut room, false).is_empty());
            prop_assert_eq!(&rest, &all);
        }
    }

    #[test]
    fn estimate_is_at_least_the_bytes_of_the_frames(frames in frames()) {
        let loads = Loads::new(frames.iter().copied());
        let known: u64 = frames.iter().filter(|(count, _)| *count > 0).map(|(_, bytes)| bytes).sum();
        let estimate = loads.bytes(&Runs::up_to(loads.operations()));
        prop_assert!(estimate >= known);
        // Spread evenly, rounded up: at most one byte more for each operation.
        prop_assert!(estimate <= known + u64::from(loads.operations()));
    }
}
