//! Runs: contiguous stretches of sequences or of operation numbers.

use std::fmt;

/// A contiguous stretch `first..=last` of sequences or operation numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    /// The first member.
    pub first: u32,
    /// The last member; never below `first`.
    pub last: u32,
}

impl Run {
    /// The run `first..=last`.
    ///
    /// # Panics
    /// When `last < first`: runs are made by us, never read from the wire.
    #[must_use]
    pub fn new(first: u32, last: u32) -> Self {
        assert!(first <= last, "a run ends before it begins");
        Self { first, last }
    }

    /// The run of one member.
    #[must_use]
    pub const fn one(member: u32) -> Self {
        Self {
            first: member,
            last: member,
        }
    }

    /// How many members; at least 1.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.last as u64 - self.first as u64 + 1
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// A set of members as ascending, disjoint, non-adjacent runs.
///
/// Most sets are one run: what a session received, what it sends. Those take no memory of their own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Runs(Held);

/// How the runs are held: each number of them in one way only, so that equal sets are equal values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
enum Held {
    #[default]
    None,
    One(Run),
    /// Two or more.
    Many(Vec<Run>),
}

impl From<Vec<Run>> for Held {
    fn from(runs: Vec<Run>) -> Self {
        match runs[..] {
            [] => Self::None,
            [only] => Self::One(only),
            _ => Self::Many(runs),
        }
    }
}

impl Runs {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self(Held::None)
    }

    /// The members `0..count`.
    #[must_use]
    pub fn up_to(count: u32) -> Self {
        match count.checked_sub(1) {
            Some(last) => Self(Held::One(Run { first: 0, last })),
            None => Self::new(),
        }
    }

    /// The runs, ascending.
    #[must_use]
    pub fn as_slice(&self) -> &[Run] {
        match &self.0 {
            Held::None => &[],
            Held::One(run) => std::slice::from_ref(run),
            Held::Many(runs) => runs,
        }
    }

    /// Changes them as a list.
    fn edit<R>(&mut self, change: impl FnOnce(&mut Vec<Run>) -> R) -> R {
        let mut runs = match std::mem::take(&mut self.0) {
            Held::None => Vec::new(),
            Held::One(run) => vec![run],
            Held::Many(runs) => runs,
        };
        let result = change(&mut runs);
        self.0 = Held::from(runs);
        result
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Held::None)
    }

    /// How many members.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.as_slice().iter().map(|run| run.count()).sum()
    }

    /// The largest member.
    #[must_use]
    pub fn last(&self) -> Option<u32> {
        self.as_slice().last().map(|run| run.last)
    }

    /// Whether a member is in the set.
    #[must_use]
    pub fn contains(&self, member: u32) -> bool {
        let runs = self.as_slice();
        let after = runs.partition_point(|run| run.first <= member);
        after > 0 && runs[after - 1].last >= member
    }

    /// Adds a run; what is already there is kept once. Appending at the end, the usual case, is O(1).
    pub fn insert(&mut self, run: Run) {
        match &mut self.0 {
            Held::None => self.0 = Held::One(run),
            Held::One(only) if touch(*only, run) => *only = union(*only, run),
            Held::Many(runs) => {
                insert(runs, run);
                if let [only] = runs[..] {
                    self.0 = Held::One(only);
                }
            }
            Held::One(_) => self.edit(|runs| insert(runs, run)),
        }
    }

    /// Adds all members of another set.
    pub fn extend(&mut self, other: &Self) {
        for run in other.as_slice() {
            self.insert(*run);
        }
    }

    /// Removes a run's members, where they are.
    pub fn remove(&mut self, run: Run) {
        match self.0 {
            Held::None => {}
            Held::One(only) if run.first <= only.first && only.last <= run.last => {
                self.0 = Held::None;
            }
            Held::One(only) if run.last < only.first || only.last < run.first => {}
            Held::One(_) | Held::Many(_) => self.edit(|runs| remove(runs, run)),
        }
    }

    /// The members of a run that are not in the set, ascending.
    #[must_use]
    pub fn missing_in(&self, run: Run) -> Self {
        let mut missing = Self(Held::One(run));
        let runs = self.as_slice();
        let begin = runs.partition_point(|each| each.last < run.first);
        for each in runs[begin..]
            .iter()
            .take_while(|each| each.first <= run.last)
        {
            missing.remove(*each);
        }
        missing
    }

    /// Takes away up to `count` of the lowest members and returns them.
    pub fn take_lowest(&mut self, count: u64) -> Self {
        if self.count() <= count {
            return std::mem::take(self);
        }
        let taken = self.edit(|runs| take_lowest(runs, count));
        Self(Held::from(taken))
    }

    /// Each member, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.as_slice().iter().flat_map(|run| run.first..=run.last)
    }
}

/// Whether two runs overlap or are adjacent: then their union is one run.
fn touch(one: Run, other: Run) -> bool {
    one.first <= other.last.saturating_add(1) && other.first <= one.last.saturating_add(1)
}

/// The one run of two that [`touch`].
fn union(one: Run, other: Run) -> Run {
    Run {
        first: one.first.min(other.first),
        last: one.last.max(other.last),
    }
}

fn insert(runs: &mut Vec<Run>, run: Run) {
    match runs.last_mut() {
        Some(tail) if run.first >= tail.first => {
            if touch(*tail, run) {
                *tail = union(*tail, run);
            } else {
                runs.push(run);
            }
            return;
        }
        Some(_) => {}
        None => return runs.push(run),
    }
    let begin = runs.partition_point(|each| each.last.saturating_add(1) < run.first);
    let end = runs.partition_point(|each| each.first <= run.last.saturating_add(1));
    if begin == end {
        return runs.insert(begin, run);
    }
    let merged = union(union(runs[begin], runs[end - 1]), run);
    runs.splice(begin..end, std::iter::once(merged));
}

fn remove(runs: &mut Vec<Run>, run: Run) {
    let begin = runs.partition_point(|each| each.last < run.first);
    let end = runs.partition_point(|each| each.first <= run.last);
    if begin >= end {
        return;
    }
    let mut rest = Vec::with_capacity(2);
    let head = runs[begin];
    let tail = runs[end - 1];
    if head.first < run.first {
        rest.push(Run {
            first: head.first,
            last: run.first - 1,
        });
    }
    if tail.last > run.last {
        rest.push(Run {
            first: run.last + 1,
            last: tail.last,
        });
    }
    runs.splice(begin..end, rest);
}

fn take_lowest(runs: &mut Vec<Run>, count: u64) -> Vec<Run> {
    let mut taken = Vec::new();
    let mut wanted = count;
    let mut whole = 0;
    for run in runs.iter_mut() {
        if wanted == 0 {
            break;
        }
        let here = run.count();
        if here <= wanted {
            taken.push(*run);
            wanted -= here;
            whole += 1;
        } else {
            // `wanted` is below this run's count and so fits a sequence.
            let cut = run.first + u32::try_from(wanted).unwrap_or(u32::MAX);
            taken.push(Run {
                first: run.first,
                last: cut - 1,
            });
            run.first = cut;
            wanted = 0;
        }
    }
    runs.drain(..whole);
    taken
}

impl FromIterator<Run> for Runs {
    fn from_iter<T: IntoIterator<Item = Run>>(iter: T) -> Self {
        let mut runs = Self::new();
        for run in iter {
            runs.insert(run);
        }
        runs
    }
}

#[cfg(test)]
mod tests;
