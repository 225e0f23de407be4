//! The exploration: depth first, each state once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use xxhash_rust::xxh3::Xxh3;

use super::world::{Side, World};
use super::{Action, Broken, Scenario, Sometimes, shrink};

/// Longer paths are not followed: a world that is still busy is said to be so.
const DEPTH_MAX: usize = 600;

/// What an exploration came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// States, each counted once.
    pub states: u64,
    /// Steps from one to another, those to a known state included.
    pub transitions: u64,
    /// Paths that came to their end.
    pub ends: u64,
    /// The longest path.
    pub depth: usize,
    /// How often each outcome was seen.
    pub seen: BTreeMap<Sometimes, u64>,
    /// What went wrong, if something did.
    pub found: Option<Found>,
    /// Whether the search ended for want of states, not of leave.
    pub is_whole: bool,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>9} states {:>9} transitions {:>7} ends, depth {:>3}",
            self.states, self.transitions, self.ends, self.depth
        )
    }
}

/// A path to something that must never be.
#[derive(Debug, Clone)]
pub struct Found {
    /// What it is.
    pub broken: Broken,
    /// The way there, shrunk.
    pub path: Vec<Action>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.broken)?;
        for (place, action) in self.path.iter().enumerate() {
            writeln!(f, "{:>4}  {action}", place + 1)?;
        }
        Ok(())
    }
}

/// Explores a scenario with at most so many faults and so many states. Ends with the first thing that must
/// never be; its path is then cut to what it needs.
#[must_use]
pub fn explore(scenario: &'static Scenario, faults: u8, states_max: u64) -> Report {
    let mut search = Search {
        visited: BTreeSet::new(),
        report: Report::default(),
    };
    let root = World::new(scenario, faults);
    let path = search.run(root, states_max);
    let mut report = search.report;
    if let Some((broken, path)) = path {
        let path = shrink::shrink(scenario, faults, &path);
        report.found = Some(Found { broken, path });
    }
    report
}

struct Search {
    visited: BTreeSet<u128>,
    report: Report,
}

/// A state on the present path, and what is still to be tried there.
struct Level {
    /// Taken by the last step that is tried.
    world: Option<World>,
    left: Vec<Action>,
    taken: Option<Action>,
}

impl Search {
    fn run(&mut self, root: World, states_max: u64) -> Option<(Broken, Vec<Action>)> {
        let mut path = vec![Level {
            left: root.possible(),
            world: Some(root),
            taken: None,
        }];
        while let Some(level) = path.last_mut() {
            if self.report.states >= states_max {
                return None;
            }
            let Some(action) = level.left.pop() else {
                path.pop();
                continue;
            };
            let state = if level.left.is_empty() {
                level.world.take()
            } else {
                level.world.clone()
            };
            let Some(mut world) = state else {
                path.pop();
                continue;
            };
            level.taken = Some(action);
            world.step(action);
            self.report.transitions += 1;
            for seen in world.seen.drain(..) {
                *self.report.seen.entry(seen).or_insert(0) += 1;
            }
            let is_new = self.visited.insert(digest(&mut world));
            let mut left = Vec::new();
            if is_new {
                self.report.states += 1;
                left = world.possible();
                if left.is_empty() {
                    self.report.ends += 1;
                    world.check_end();
                } else if path.len() >= DEPTH_MAX {
                    world.violated("busy for ever".to_owned());
                }
            }
            if let Some(broken) = world.broken.take() {
                let taken = path.iter().filter_map(|level| level.taken);
                return Some((broken, taken.collect()));
            }
            self.report.depth = self.report.depth.max(path.len());
            if !left.is_empty() {
                path.push(Level {
                    world: Some(world),
                    left,
                    taken: None,
                });
            }
        }
        self.report.is_whole = true;
        None
    }
}

/// Writes text into a hash.
struct Digest(Xxh3);

impl fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// The digest of what something shows of itself.
fn shown(of: &impl fmt::Debug) -> u128 {
    let mut digest = Digest(Xxh3::new());
    // A hash takes any text.
    let _ = write!(digest, "{of:?}");
    digest.0.digest128()
}

/// A state as a number: all that its parts show of themselves, but what is the same in every state. 128 bits, so
/// that two states never share one. Machines that were told nothing since are not looked at again.
fn digest(world: &mut World) -> u128 {
    if std::mem::take(&mut world.manager_told) {
        world.manager_digest = shown(&world.manager);
    }
    for side in &mut world.sides {
        if std::mem::take(&mut side.told) {
            side.digest = shown(&side.machine);
        }
    }
    let sides = world.sides.iter().map(|side| {
        let Side {
            connection,
            up,
            down,
            job,
            starts,
            quarantined,
            digest,
            machine: _,
            told: _,
        } = side;
        (digest, connection, up, down, job, starts, quarantined)
    });
    let World {
        now,
        life,
        faults_left,
        connections,
        sessions,
        writes,
        listings,
        bulks,
        late,
        indexer,
        is_foreign,
        opened,
        verdicts,
        bound,
        manager_digest,
        ..
    } = &*world;
    shown(&(
        (now, life, faults_left, connections, bound, is_foreign),
        (sessions, writes, listings, bulks, late),
        (indexer, opened, verdicts, manager_digest),
        sides.collect::<Vec<_>>(),
    ))
}
