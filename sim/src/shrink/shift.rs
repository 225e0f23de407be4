//! Fewer of what comes again and again: episodes are removed, the later ones of their concern move up into
//! their places, and the faults that struck after them strike as many opportunities earlier.
//!
//! ```text
//!  churn       0   1   2   3   4          churn       0   1'  2'
//!  write-late              ^ 7            write-late          ^ 7 - d, for several d
//! ```

use std::collections::BTreeSet;

use super::list::{Episode, episode_of, without};
use super::{Case, Shrinker};
use crate::choices::{Choice, Choices};

/// Opportunities of a fault that one change of content may be worth.
const OPPORTUNITIES_EACH: u32 = 4;

/// Most opportunities that are tried for one removal.
const SHIFTS_MAX: u32 = 24;

/// Most choices of a list in which single ones are removed in every way.
const ENTRIES_MAX: usize = 64;

/// Most opportunities that all faults are moved by together.
const EARLIER_MAX: u32 = 6;

impl Shrinker<'_> {
    /// Removes runs of episodes of one concern, from half of them down to single ones.
    pub(super) fn move_episodes_up(&mut self) {
        self.doing = "episodes, moving up";
        for concern in 0..self.best.choices.concerns.len() {
            let Ok(concern) = u32::try_from(concern) else {
                return;
            };
            let mut length = self
                .last_episode(concern)
                .map_or(0, |last| (last + 1).div_ceil(2));
            while length > 0 && !self.is_over {
                self.move_runs_up(concern, length);
                length /= 2;
            }
        }
    }

    /// The highest episode of a concern.
    fn last_episode(&self, concern: u32) -> Option<u32> {
        let list = self.best.choices.list.iter();
        list.filter(|choice| choice.concern == concern)
            .map(|choice| choice.episode)
            .max()
    }

    /// Removes runs of this length: those that begin with an episode in which something was chosen, and those that
    /// end before one. Where else a run of empty episodes begins makes no difference.
    fn move_runs_up(&mut self, concern: u32, length: u32) {
        let is_workload = self.is_workload(concern);
        // Episodes of a fault in which nothing struck are many; those that count are before a strike.
        let shifts = if is_workload {
            (length * OPPORTUNITIES_EACH).min(SHIFTS_MAX)
        } else {
            0
        };
        let mut first = 0;
        while let Some(place) = self.next_run(concern, length, first) {
            if self.is_over {
                return;
            }
            let run = (concern, place, length);
            let smaller = (0..=shifts).any(|shift| {
                [true, false].into_iter().any(|adds_time| {
                    let moved = moved_up(&self.best.choices, run, adds_time);
                    let candidate = self.struck_earlier(&moved, run, shift);
                    candidate != self.best.choices && self.try_choices(candidate)
                })
            });
            first = if smaller { place } else { place + 1 };
        }
    }

    /// The first place from `least` on where a run of this length is worth a try.
    fn next_run(&self, concern: u32, length: u32, least: u32) -> Option<u32> {
        let list = self.best.choices.list.iter();
        list.filter(|choice| choice.concern == concern)
            .flat_map(|choice| [choice.episode.checked_sub(length), Some(choice.episode)])
            .flatten()
            .filter(|place| *place >= least)
            .min()
    }

    fn is_workload(&self, concern: u32) -> bool {
        is_workload(&self.best.choices.concerns, concern)
    }

    /// What struck after a run of episodes strikes so many opportunities earlier.
    fn struck_earlier(
        &self,
        moved: &Choices,
        (concern, first, length): (u32, u32, u32),
        shift: u32,
    ) -> Choices {
        if shift == 0 {
            return moved.clone();
        }
        let is_of_run = |choice: &Choice| {
            choice.concern == concern && (first..first + length).contains(&choice.episode)
        };
        let list = &self.best.choices.list;
        let begin = list.iter().position(is_of_run).unwrap_or(0);
        let later: BTreeSet<Episode> = list[begin..].iter().map(episode_of).collect();
        let mut moved = moved.clone();
        for choice in &mut moved.list {
            if !self.is_workload(choice.concern) && later.contains(&episode_of(choice)) {
                choice.episode = choice.episode.saturating_sub(shift);
            }
        }
        moved
    }

    /// Removes single draws, with all faults at the same or at earlier opportunities: a change of content less
    /// is a request less. Only for lists that are small already.
    pub(super) fn drop_entries_and_strike_earlier(&mut self) {
        self.doing = "single choices, earlier opportunities";
        let mut at = 0;
        while at < self.best.choices.list.len() && !self.is_over {
            if self.best.choices.list.len() > ENTRIES_MAX {
                return;
            }
            let gone = self.best.choices.list[at];
            let mut candidate = self.best.clone();
            candidate.choices = without(&candidate.choices, |choice| *choice == gone);
            if !self.try_struck_earlier(&candidate, false) {
                at += 1;
            }
        }
    }

    /// A candidate with all its faults at the same or at earlier opportunities.
    pub(super) fn try_struck_earlier(&mut self, candidate: &Case, or_equal: bool) -> bool {
        let strikes = candidate.choices.list.iter();
        let latest = strikes
            .filter(|choice| !self.is_workload(choice.concern))
            .map(|choice| choice.episode)
            .max();
        // In a list that is still long this finds little and takes long.
        let shifts = if candidate.choices.list.len() > ENTRIES_MAX {
            0
        } else {
            latest.unwrap_or(0).min(EARLIER_MAX)
        };
        (0..=shifts).any(|shift| {
            let mut candidate = candidate.clone();
            let concerns = &candidate.choices.concerns;
            for choice in &mut candidate.choices.list {
                if !is_workload(concerns, choice.concern) {
                    choice.episode = choice.episode.saturating_sub(shift);
                }
            }
            self.try_case(&candidate, or_equal)
        })
    }

    /// Each fault strikes at an earlier opportunity.
    pub(super) fn strike_earlier(&mut self) {
        self.doing = "earlier opportunities";
        let mut at = 0;
        while at < self.best.choices.list.len() && !self.is_over {
            let episode = episode_of(&self.best.choices.list[at]);
            for earlier in 0..episode.1.min(64) {
                let mut candidate = self.best.choices.clone();
                for choice in &mut candidate.list {
                    if episode_of(choice) == episode {
                        choice.episode = earlier;
                    }
                }
                if self.try_choices(candidate) {
                    break;
                }
            }
            at += 1;
        }
    }
}

/// Whether a concern is of one agent's module, such as `churn/1/0`.
fn is_workload(concerns: &[String], concern: u32) -> bool {
    let name = concerns.get(concern as usize);
    name.is_some_and(|name| name.contains('/'))
}

/// The choices without a run of episodes; the later ones of its concern take its place and, if wanted, what
/// its first draws gave, which is the time that passed until then.
fn moved_up(
    choices: &Choices,
    (concern, first, length): (u32, u32, u32),
    adds_time: bool,
) -> Choices {
    let is_gone = |choice: &Choice| {
        choice.concern == concern && (first..first + length).contains(&choice.episode)
    };
    let gone = choices.list.iter().filter(|choice| is_gone(choice));
    let time = gone
        .filter(|choice| choice.number == 0)
        .fold(0, |sum: u64, choice| sum.saturating_add(choice.value));
    let mut moved = without(choices, is_gone);
    let later = |choice: &&mut Choice| choice.concern == concern && choice.episode >= first;
    for choice in moved.list.iter_mut().filter(later) {
        choice.episode -= length;
        if adds_time && choice.number == 0 && choice.episode == first {
            choice.value = choice.value.saturating_add(time);
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(list: &[(u32, u32, u64)]) -> Choices {
        let choice = |(episode, number, value): &(u32, u32, u64)| Choice {
            concern: 0,
            episode: *episode,
            number: *number,
            value: *value,
        };
        Choices {
            concerns: vec!["churn/1/0".to_owned()],
            list: list.iter().map(choice).collect(),
        }
    }

    #[test]
    fn later_episodes_move_up_and_keep_their_time() {
        let all = choices(&[(0, 0, 10), (1, 0, 20), (1, 2, 5), (2, 0, 30), (2, 1, 7)]);
        assert_eq!(
            moved_up(&all, (0, 1, 1), true),
            choices(&[(0, 0, 10), (1, 0, 50), (1, 1, 7)])
        );
        assert_eq!(
            moved_up(&all, (0, 0, 1), false),
            choices(&[(0, 0, 20), (0, 2, 5), (1, 0, 30), (1, 1, 7)])
        );
        assert_eq!(
            moved_up(&all, (0, 0, 2), true),
            choices(&[(0, 0, 60), (0, 1, 7)])
        );
    }
}
