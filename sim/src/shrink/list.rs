//! Smaller lists of choices: without concerns, without episodes, with smaller values.

use std::collections::{BTreeMap, BTreeSet};

use super::Shrinker;
use crate::choices::{Choice, Choices};

/// An episode of a concern.
pub(super) type Episode = (u32, u32);

pub(super) fn episode_of(choice: &Choice) -> Episode {
    (choice.concern, choice.episode)
}

/// Whether a concern only delays or orders.
pub(super) fn is_order(concern: &str) -> bool {
    concern == "ties" || concern.contains("latency")
}

pub(super) fn without(choices: &Choices, is_gone: impl Fn(&Choice) -> bool) -> Choices {
    Choices {
        concerns: choices.concerns.clone(),
        list: choices
            .list
            .iter()
            .filter(|choice| !is_gone(choice))
            .copied()
            .collect(),
    }
}

impl Shrinker<'_> {
    /// All faults off at once, and all delays and orders at once.
    pub(super) fn drop_groups(&mut self) {
        self.doing = "concerns";
        let is_workload = |concern: &str| concern.starts_with("churn/");
        self.try_without(|concern| !is_workload(concern));
        self.try_without(is_order);
    }

    fn try_without(&mut self, is_gone: impl Fn(&str) -> bool) {
        let choices = &self.best.choices;
        let kept = without(choices, |choice| is_gone(choices.name_of(choice)));
        if kept != *choices {
            self.try_choices(kept);
        }
    }

    /// Whole concerns off, the largest first.
    pub(super) fn drop_concerns(&mut self) {
        self.doing = "concerns";
        self.drop_groups();
        let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
        for choice in &self.best.choices.list {
            *sizes.entry(self.best.choices.name_of(choice)).or_insert(0) += 1;
        }
        let mut concerns: Vec<(usize, String)> = sizes
            .into_iter()
            .map(|(name, size)| (size, name.to_owned()))
            .collect();
        concerns.sort_by(|one, other| other.cmp(one));
        // The recording of a smaller run numbers its concerns anew: names are what stays.
        for (_, name) in concerns {
            self.try_without(|concern| concern == name);
        }
    }

    /// Chunks of episodes, in the order in which they happened, smaller and smaller.
    pub(super) fn drop_episodes(&mut self) {
        self.doing = "episodes";
        self.drop_chunks(episode_of);
    }

    /// Single draws.
    pub(super) fn drop_entries(&mut self) {
        self.doing = "single choices";
        self.drop_chunks(|choice| (choice.concern, choice.episode, choice.number));
    }

    /// Removes runs of neighbours, halving their length as long as nothing more can go.
    fn drop_chunks<K: Ord + Copy>(&mut self, key: impl Fn(&Choice) -> K) {
        let units = |choices: &Choices| -> Vec<K> {
            let mut seen = BTreeSet::new();
            let keys = choices.list.iter().map(&key);
            keys.filter(|unit| seen.insert(*unit)).collect()
        };
        let mut length = units(&self.best.choices).len().div_ceil(2);
        while length > 0 && !self.is_over {
            // From the end: what happens late follows from what happened before.
            let mut end = units(&self.best.choices).len();
            let mut removed = false;
            while end > 0 && !self.is_over {
                let all = units(&self.best.choices);
                end = end.min(all.len());
                let begin = end.saturating_sub(length);
                let chunk: BTreeSet<K> = all[begin..end].iter().copied().collect();
                removed |= self.try_choices(without(&self.best.choices, |choice| {
                    chunk.contains(&key(choice))
                }));
                end = begin;
            }
            if !removed || length > 1 {
                length /= 2;
            }
        }
    }

    /// Smaller values: each as small as it can be, by halving the distance.
    pub(super) fn lower_values(&mut self) {
        self.doing = "values";
        let mut at = 0;
        while at < self.best.choices.list.len() && !self.is_over {
            let Choice {
                concern,
                episode,
                number,
                value,
            } = self.best.choices.list[at];
            let (mut low, mut high) = (0, value);
            // `low` does not fail, `high` does.
            while high - low > 1 && !self.is_over {
                let middle = low + (high - low) / 2;
                let mut candidate = self.best.choices.clone();
                let place = (concern, episode, number);
                let found = candidate
                    .list
                    .iter_mut()
                    .find(|choice| (choice.concern, choice.episode, choice.number) == place);
                let Some(choice) = found else { break };
                choice.value = middle;
                if self.try_choices(candidate) {
                    high = middle;
                } else {
                    low = middle;
                }
            }
            at += 1;
        }
    }
}
