//! From a long path to a short one.

use super::world::World;
use super::{Action, Broken, Scenario};

/// A path that goes wrong as well, and of which no single step can be left out. Steps that are not possible when
/// their turn comes are skipped; what is missing at the end happens kindly.
pub(super) fn shrink(scenario: &'static Scenario, faults: u8, path: &[Action]) -> Vec<Action> {
    let Some((mut best, _)) = replay(scenario, faults, path) else {
        return path.to_vec();
    };
    loop {
        let shorter = (0..best.len()).rev().find_map(|left_out| {
            let mut candidate = best.clone();
            candidate.remove(left_out);
            let (candidate, _) = replay(scenario, faults, &candidate)?;
            (candidate.len() < best.len()).then_some(candidate)
        });
        match shorter {
            Some(shorter) => best = shorter,
            None => return best,
        }
    }
}

/// Follows a path, then what is kind, until something is wrong: the steps that were taken.
fn replay(
    scenario: &'static Scenario,
    faults: u8,
    path: &[Action],
) -> Option<(Vec<Action>, Broken)> {
    const KIND_STEPS_MAX: usize = 400;
    let mut world = World::new(scenario, faults);
    let mut taken = Vec::new();
    let mut wanted = path.iter().copied();
    for _ in 0..path.len() + KIND_STEPS_MAX {
        let possible = world.possible();
        let next = wanted.by_ref().find(|action| possible.contains(action));
        let kind = || {
            possible
                .iter()
                .copied()
                .find(|action| !world.is_fault(*action))
        };
        let Some(action) = next.or_else(kind) else {
            world.check_end();
            return world.broken.map(|broken| (taken, broken));
        };
        taken.push(action);
        world.step(action);
        if let Some(broken) = world.broken.take() {
            return Some((taken, broken));
        }
    }
    None
}
