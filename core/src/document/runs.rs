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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Runs {
    runs: Vec<Run>,
}

impl Runs {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { runs: Vec::new() }
    }

    /// The members `0..count`.
    #[must_use]
    pub fn up_to(count: u32) -> Self {
        match count.checked_sub(1) {
            Some(last) => Self {
                runs: vec![Run { first: 0, last }],
            },
            None => Self::new(),
        }
    }

    /// The runs, ascending.
    #[must_use]
    pub fn as_slice(&self) -> &[Run] {
        &self.runs
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many members.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.runs.iter().map(|run| run.count()).sum()
    }

    /// The largest member.
    #[must_use]
    pub fn last(&self) -> Option<u32> {
        self.runs.last().map(|run| run.last)
    }

    /// Whether a member is in the set.
    #[must_use]
    pub fn contains(&self, member: u32) -> bool {
        let after = self.runs.partition_point(|run| run.first <= member);
        after > 0 && self.runs[after - 1].last >= member
    }

    /// Adds a run; what is already there is kept once. Appending at the end, the usual case, is O(1).
    pub fn insert(&mut self, run: Run) {
        if let Some(tail) = self.runs.last_mut() {
            if run.first >= tail.first {
                if run.first <= tail.last.saturating_add(1) {
                    tail.last = tail.last.max(run.last);
                } else {
                    self.runs.push(run);
                }
                return;
            }
        } else {
            self.runs.push(run);
            return;
        }
        let begin = self
            .runs
            .partition_point(|each| each.last.saturating_add(1) < run.first);
        let end = self
            .runs
            .partition_point(|each| each.first <= run.last.saturating_add(1));
        if begin == end {
            self.runs.insert(begin, run);
            return;
        }
        let merged = Run {
            first: run.first.min(self.runs[begin].first),
            last: run.last.max(self.runs[end - 1].last),
        };
        self.runs.splice(begin..end, std::iter::once(merged));
    }

    /// Adds all members of another set.
    pub fn extend(&mut self, other: &Self) {
        for run in &other.runs {
            self.insert(*run);
        }
    }

    /// Removes a run's members, where they are.
    pub fn remove(&mut self, run: Run) {
        let begin = self.runs.partition_point(|each| each.last < run.first);
        let end = self.runs.partition_point(|each| each.first <= run.last);
        if begin >= end {
            return;
        }
        let mut rest = Vec::with_capacity(2);
        let head = self.runs[begin];
        let tail = self.runs[end - 1];
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
        self.runs.splice(begin..end, rest);
    }

    /// The members of a run that are not in the set, ascending.
    #[must_use]
    pub fn missing_in(&self, run: Run) -> Self {
        let mut missing = Self::new();
        missing.runs.push(run);
        let begin = self.runs.partition_point(|each| each.last < run.first);
        for each in self.runs[begin..]
            .iter()
            .take_while(|each| each.first <= run.last)
        {
            missing.remove(*each);
        }
        missing
    }

    /// Takes away up to `count` of the lowest members and returns them.
    pub fn take_lowest(&mut self, count: u64) -> Self {
        let mut taken = Self::new();
        let mut wanted = count;
        let mut whole = 0;
        for run in &mut self.runs {
            if wanted == 0 {
                break;
            }
            let here = run.count();
            if here <= wanted {
                taken.runs.push(*run);
                wanted -= here;
                whole += 1;
            } else {
                // `wanted` is below this run's count and so fits a sequence.
                let cut = run.first + u32::try_from(wanted).unwrap_or(u32::MAX);
                taken.runs.push(Run {
                    first: run.first,
                    last: cut - 1,
                });
                run.first = cut;
                wanted = 0;
            }
        }
        self.runs.drain(..whole);
        taken
    }

    /// Each member, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.runs.iter().flat_map(|run| run.first..=run.last)
    }
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
