//! The choices of a run's environment: what was drawn, as a sparse list that can be kept, cut and replayed.
//!
//! ```text
//!  seed ──▶ Stream ──draw──▶ the world              an ordinary run: nothing is kept
//!  seed ──▶ Stream ──draw──▶ the world
//!              └── differs from the default ──▶ Tape          a recorded run
//!  Choices ──▶ Stream ──entry, or the default──▶ the world
//!              └── differs from the default ──▶ Tape          a replayed run: what of the list was used
//! ```
//!
//! Every draw has a place: its concern (`latency`, `write-late`, `churn/1/0`), the *episode* of that concern
//! (one opportunity of a fault, one change of content) and its number within the episode. Removing one
//! fault's entry therefore leaves the details of the next ones where they are.
//!
//! # Invariants
//!
//! * The value 0 is the calm default: nothing goes wrong, no delay beyond the least, the order of planning.
//! * A place that the list does not name gives the default; an entry that nobody asks for is skipped.
//! * A full recording of a run, replayed with the same options, is the same run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// One draw whose result was not the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Choice {
    /// Which concern drew: a place in [`Choices::concerns`].
    pub concern: u32,
    /// Which of the concern's episodes, from 0.
    pub episode: u32,
    /// Which draw of the episode, from 0.
    pub number: u32,
    /// What was drawn, as the distance from the default; never 0 in a recording.
    pub value: u64,
}

/// The choices of one run, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// The names of concerns.
    pub concerns: Vec<String>,
    /// What was chosen.
    pub list: Vec<Choice>,
}

impl Choices {
    /// The number of a concern; a new one if there is none of that name.
    pub fn concern(&mut self, name: &str) -> u32 {
        let place = self.concerns.iter().position(|known| known == name);
        let place = place.unwrap_or_else(|| {
            self.concerns.push(name.to_owned());
            self.concerns.len() - 1
        });
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// The name of the concern of a choice.
    #[must_use]
    pub fn name_of(&self, choice: &Choice) -> &str {
        self.concerns
            .get(choice.concern as usize)
            .map_or("", String::as_str)
    }
}

/// A draw of one concern: where it stands, and its value.
#[derive(Debug, Clone, Copy)]
struct Entry {
    place: (u32, u32),
    value: u64,
}

/// Records the choices of a run, and gives those of a replayed one. Clones share what they record.
#[derive(Debug, Clone)]
pub struct Tape {
    replayed: Option<Rc<BTreeMap<String, Rc<[Entry]>>>>,
    recorded: Rc<RefCell<Choices>>,
}

impl Tape {
    /// Records what is drawn from the seed.
    #[must_use]
    pub fn recording() -> Self {
        Self {
            replayed: None,
            recorded: Rc::default(),
        }
    }

    /// Replays a list, and records what of it was used.
    #[must_use]
    pub fn replaying(choices: &Choices) -> Self {
        let mut concerns: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for choice in &choices.list {
            let entry = Entry {
                place: (choice.episode, choice.number),
                value: choice.value,
            };
            let name = choices.name_of(choice).to_owned();
            concerns.entry(name).or_default().push(entry);
        }
        let sorted = concerns.into_iter().map(|(name, mut entries)| {
            entries.sort_by_key(|entry| entry.place);
            (name, Rc::from(entries))
        });
        Self {
            replayed: Some(Rc::new(sorted.collect())),
            recorded: Rc::default(),
        }
    }

    /// What was chosen so far; still there when the run has panicked.
    #[must_use]
    pub fn recorded(&self) -> Choices {
        self.recorded.borrow().clone()
    }

    /// The concern of that name, as its stream sees it.
    pub(crate) fn link(&self, name: &str) -> Link {
        let mut recorded = self.recorded.borrow_mut();
        debug_assert!(
            !recorded.concerns.iter().any(|known| known == name),
            "two streams are called {name}"
        );
        let replayed = self
            .replayed
            .as_ref()
            .map(|concerns| concerns.get(name).cloned().unwrap_or_default());
        Link {
            concern: recorded.concern(name),
            recorded: Rc::clone(&self.recorded),
            replayed,
            next: 0,
            place: (0, 0),
        }
    }
}

/// What ties a stream to its tape.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    concern: u32,
    recorded: Rc<RefCell<Choices>>,
    replayed: Option<Rc<[Entry]>>,
    /// The first entry that is not behind the present place.
    next: usize,
    place: (u32, u32),
}

impl Link {
    /// A new episode begins.
    pub(crate) fn episode(&mut self) {
        self.place = (self.place.0.saturating_add(1), 0);
    }

    /// What the draw at the present place gives: the entry of a replayed list up to `most`, or what the seed
    /// drew.
    pub(crate) fn settle(&mut self, drawn: u64, most: u64) -> u64 {
        let place = self.place;
        self.place.1 = self.place.1.saturating_add(1);
        let value = match &self.replayed {
            None => drawn,
            Some(entries) => {
                while entries
                    .get(self.next)
                    .is_some_and(|entry| entry.place < place)
                {
                    self.next += 1;
                }
                let entry = entries.get(self.next);
                entry
                    .filter(|entry| entry.place == place)
                    .map_or(0, |entry| entry.value.min(most))
            }
        };
        if value != 0 {
            self.recorded.borrow_mut().list.push(Choice {
                concern: self.concern,
                episode: place.0,
                number: place.1,
                value,
            });
        }
        value
    }
}

/// Where the streams of a run come from: its seed, and the tape if there is one.
#[derive(Debug, Clone)]
pub struct Draws {
    seed: u64,
    tape: Option<Tape>,
}

impl Draws {
    /// Streams that follow from the seed alone and are not recorded: for what is no choice of the
    /// environment, such as options and the seeds of machines.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self { seed, tape: None }
    }

    /// The streams of a run.
    #[must_use]
    pub const fn of(seed: u64, tape: Option<Tape>) -> Self {
        Self { seed, tape }
    }

    /// The seed.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The link of a concern's stream, when there is a tape.
    pub(crate) fn link(&self, name: &str) -> Option<Box<Link>> {
        self.tape.as_ref().map(|tape| Box::new(tape.link(name)))
    }
}
