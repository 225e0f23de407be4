//! In a world that answers honestly every session ends in exactly one verdict, Ok only when everything is
//! stored.

use proptest::prelude::*;

use super::world::{Report, World};
use crate::wire::Status;

fn reports() -> impl Strategy<Value = Vec<Report>> {
    let report = (0_u8..2, any::<bool>(), any::<bool>(), 1_u32..9, 0_u32..5);
    prop::collection::vec(report, 1..8)
}

proptest! {
    #[test]
    fn every_session_ends_in_one_true_verdict(
        reports in reports(),
        dice in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut world = World::new(dice);
        world.run(&reports);
        world.judge_verdicts();
    }
}

/// The kind world stores everything: the property above is not kept by refusing.
#[test]
fn kind_world_stores_everything() {
    let mut world = World::new(Vec::new());
    let reports = [
        (0, false, false, 8, 4),
        (1, false, true, 5, 3),
        (1, true, false, 1, 0),
    ];
    world.run(&reports);
    world.judge_verdicts();
    assert_eq!(world.sessions.len(), 3);
    for id in world.sessions.keys() {
        assert_eq!(world.shard.verdict(*id).unwrap().status, Status::Ok);
    }
}
