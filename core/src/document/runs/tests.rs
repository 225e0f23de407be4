use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Members near the lower end, and near the upper one where arithmetic could overflow.
fn run() -> impl Strategy<Value = Run> {
    (
        prop::sample::select(vec![0, u32::MAX - 40]),
        0_u32..40,
        0_u32..6,
    )
        .prop_map(|(base, first, length)| {
            let first = base + first;
            Run::new(first, first.saturating_add(length))
        })
}

fn sound(runs: &Runs) -> bool {
    let slice = runs.as_slice();
    // One way to hold a set: what is equal is equal by value.
    assert_eq!(*runs, slice.iter().copied().collect());
    slice.iter().all(|run| run.first <= run.last)
        && slice
            .windows(2)
            .all(|pair| u64::from(pair[0].last) + 1 < u64::from(pair[1].first))
}

fn members(runs: &Runs) -> BTreeSet<u32> {
    runs.iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn runs_are_the_set_of_their_members(steps in prop::collection::vec((any::<bool>(), run()), 0..30), probe in run()) {
        let mut runs = Runs::new();
        let mut model = BTreeSet::new();
        for (insert, run) in steps {
            if insert {
                runs.insert(run);
                model.extend(run.first..=run.last);
            } else {
                runs.remove(run);
                model.retain(|member| !(run.first..=run.last).contains(member));
            }
            prop_assert!(sound(&runs), "{:?}", runs);
            prop_assert_eq!(members(&runs), model.clone());
        }
        prop_assert_eq!(runs.count(), model.len() as u64);
        prop_assert_eq!(runs.last(), model.last().copied());
        prop_assert_eq!(runs.is_empty(), model.is_empty());
        for member in probe.first..=probe.last {
            prop_assert_eq!(runs.contains(member), model.contains(&member));
        }
        let missing = runs.missing_in(probe);
        prop_assert!(sound(&missing));
        let expected: BTreeSet<u32> =
            (probe.first..=probe.last).filter(|member| !model.contains(member)).collect();
        prop_assert_eq!(members(&missing), expected);
    }

    #[test]
    fn the_lowest_members_are_taken_away(list in prop::collection::vec(run(), 0..12), other in prop::collection::vec(run(), 0..6), count in 0_u64..60) {
        let mut runs: Runs = list.into_iter().collect();
        let other: Runs = other.into_iter().collect();
        let union = members(&runs).union(&members(&other)).copied().collect::<BTreeSet<_>>();
        runs.extend(&other);
        prop_assert!(sound(&runs));
        prop_assert_eq!(members(&runs), union.clone());
        let taken = runs.take_lowest(count);
        prop_assert!(sound(&taken) && sound(&runs));
        let lowest: BTreeSet<u32> = union.iter().copied().take(usize::try_from(count).unwrap()).collect();
        prop_assert_eq!(members(&taken), lowest.clone());
        prop_assert_eq!(members(&runs), union.difference(&lowest).copied().collect::<BTreeSet<_>>());
    }
}

#[test]
fn the_ends_of_the_range_do_not_overflow() {
    let mut runs = Runs::up_to(0);
    assert!(runs.is_empty());
    runs.insert(Run::one(u32::MAX));
    runs.insert(Run::new(0, u32::MAX));
    assert_eq!(runs.count(), 1 << 32);
    assert_eq!(Runs::up_to(3).as_slice(), [Run::new(0, 2)]);
    assert_eq!(runs.take_lowest(u64::MAX).count(), 1 << 32);
    assert_eq!(
        Run::one(4).to_string() + " " + &Run::new(4, 9).to_string(),
        "4 4-9"
    );
}
