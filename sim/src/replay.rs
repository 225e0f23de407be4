//! Replay files: a run as text that a change of the generator does not make worthless.
//!
//! ```text
//! inventory-sim replay 1
//! # Comments begin with a hash.
//! name = a-delete-overtakes-a-late-upsert
//! shows = A late upsert lands after the delete that was acknowledged, and the document is back.
//! bug = TaintGatesDeletes                 only in a build with the bug bank: the rule that is taken out
//! ending = safety I-4                     or: sound
//! hash = 0123456789abcdef                 of the trace
//! seed = 42                               of the machines, and of the order that the Indexer lists in
//! agents = 1                              every setting by its name
//! fault write-late = 100000               rates; a fault that is not named is off
//! choice write-late 2.0 = 1               concern, episode, number of the draw: what was drawn
//! ```
//!
//! # Invariants
//!
//! * Reading what was written gives the same replay.
//! * An option that does not exist is an error; a choice that nobody asks for is skipped.

use std::fmt;

use crate::choices::{Choice, Choices, Tape};
use crate::faults::{Fault, Rate, Rates};
use crate::finding::{Outcome, attempt};
use crate::options::{Options, SETTINGS, Setting};
use crate::run::Conduct;

/// The first line.
const HEAD: &str = "inventory-sim replay 1";

/// What stands for the ending of a run in which nothing is wrong.
const SOUND: &str = "sound";

/// Why a replay file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ReplayError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

/// A run as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Its name.
    pub name: String,
    /// What it shows, in a sentence.
    pub shows: String,
    /// The rule that is taken out; only in a build with the bug bank.
    pub bug: Option<String>,
    /// How it ends: `sound`, or kind and name of the finding.
    pub ending: String,
    /// The hash of its trace, of a run that panics up to there; nothing if the file does not say.
    pub hash: Option<u64>,
    /// Its options.
    pub options: Options,
    /// What the environment chose.
    pub choices: Choices,
}

impl Replay {
    /// A run that has just been seen.
    #[must_use]
    pub fn of(
        name: &str,
        shows: &str,
        options: &Options,
        choices: &Choices,
        outcome: &Outcome,
    ) -> Self {
        Self {
            name: name.to_owned(),
            shows: shows.to_owned(),
            bug: None,
            ending: ending_of(outcome),
            hash: Some(outcome.extent.trace_hash),
            options: options.clone(),
            choices: choices.clone(),
        }
    }

    /// Runs it again. The conduct says what else is wanted; its tape is replaced.
    #[must_use]
    pub fn run(&self, conduct: Conduct) -> Outcome {
        let conduct = Conduct {
            tape: Some(Tape::replaying(&self.choices)),
            thorough: true,
            ..conduct
        };
        attempt(&self.options, conduct)
    }

    /// What a run of it says against what the file expects: nothing, when it ended as expected.
    #[must_use]
    pub fn differs(&self, outcome: &Outcome) -> Option<String> {
        let seen = ending_of(outcome);
        (seen != self.ending).then(|| format!("expected to end {}, ends {seen}", self.ending))
    }

    /// Whether a run has the trace that the file expects.
    #[must_use]
    pub fn has_hash_of(&self, outcome: &Outcome) -> bool {
        self.hash == Some(outcome.extent.trace_hash)
    }

    /// Takes over how a run ended and its trace.
    pub fn renew(&mut self, outcome: &Outcome) {
        self.ending = ending_of(outcome);
        self.hash = Some(outcome.extent.trace_hash);
    }

    /// Whether it is expected to end well.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.ending == SOUND
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When a line cannot be understood, names an option that does not exist, or makes a world that the
    /// design does not promise to survive.
    pub fn read(text: &str) -> Result<Self, ReplayError> {
        let mut replay = Self {
            name: String::new(),
            shows: String::new(),
            bug: None,
            ending: String::new(),
            hash: None,
            options: Options::calm(0),
            choices: Choices::default(),
        };
        let mut last = 0;
        let mut lines = (1_usize..).zip(text.lines());
        if lines.next().is_none_or(|(_, line)| line.trim_end() != HEAD) {
            return Err(ReplayError {
                line: 1,
                what: format!("a replay file begins with the line {HEAD:?}"),
            });
        }
        for (line, content) in lines {
            last = line;
            let content = content.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            replay
                .read_line(content)
                .map_err(|what| ReplayError { line, what })?;
        }
        let whole = |what: String| ReplayError { line: last, what };
        for (key, value) in [("name", &replay.name), ("ending", &replay.ending)] {
            if value.is_empty() {
                return Err(whole(format!("the file ends and nothing said {key:?}")));
            }
        }
        replay.options.validate().map_err(whole)?;
        Ok(replay)
    }

    fn read_line(&mut self, line: &str) -> Result<(), String> {
        let (key, value) = line
            .split_once('=')
            .ok_or_else(|| format!("{line:?} is no `key = value`"))?;
        let (key, value) = (key.trim(), value.trim());
        match key.split_whitespace().collect::<Vec<_>>()[..] {
            ["name"] => value.clone_into(&mut self.name),
            ["shows"] => value.clone_into(&mut self.shows),
            ["bug"] => self.bug = Some(value.to_owned()),
            ["ending"] => value.clone_into(&mut self.ending),
            ["hash"] => {
                let hash = u64::from_str_radix(value, 16);
                self.hash = Some(hash.map_err(|_| format!("{value:?} is no hexadecimal hash"))?);
            }
            ["seed"] => self.options.seed = number(value)?,
            ["fault", label] => {
                let fault = Fault::labelled(label)
                    .ok_or_else(|| format!("no fault is called {label:?}"))?;
                let rate = Rate::of_number(fault, number(value)?);
                self.options.rates.set(fault, rate);
            }
            ["choice", concern, place] => self.read_choice(concern, place, value)?,
            [name] => Setting::named(name)
                .and_then(|setting| setting.set_text(&mut self.options, value))
                .map_err(|error| error.to_string())?,
            _ => return Err(format!("{key:?} is no key of a replay file")),
        }
        Ok(())
    }

    fn read_choice(&mut self, concern: &str, place: &str, value: &str) -> Result<(), String> {
        let (episode, draw) = place
            .split_once('.')
            .and_then(|(episode, draw)| Some((episode.parse().ok()?, draw.parse().ok()?)))
            .ok_or_else(|| format!("{place:?} is no place such as 12.0"))?;
        let choice = Choice {
            concern: self.choices.concern(concern),
            episode,
            number: draw,
            value: number(value)?,
        };
        self.choices.list.push(choice);
        Ok(())
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is no number from 0 to {}", u64::MAX))
}

/// How an outcome stands in a file: in one line.
fn ending_of(outcome: &Outcome) -> String {
    let finding = outcome.finding.as_ref();
    finding.map_or_else(|| SOUND.to_owned(), ToString::to_string)
}

/// As one line without blanks at its ends.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        writeln!(f, "name = {}", one_line(&self.name))?;
        writeln!(f, "shows = {}", one_line(&self.shows))?;
        if let Some(bug) = &self.bug {
            writeln!(f, "bug = {bug}")?;
        }
        writeln!(f, "ending = {}", self.ending)?;
        if let Some(hash) = self.hash {
            writeln!(f, "hash = {hash:016x}")?;
        }
        writeln!(f, "\n# The world.\nseed = {}", self.options.seed)?;
        for setting in SETTINGS {
            writeln!(f, "{} = {}", setting.name, setting.text_of(&self.options))?;
        }
        if self.options.rates != Rates::calm() {
            writeln!(f, "\n# Faults that are on.")?;
        }
        for fault in Fault::ALL {
            let rate = self.options.rates.of(*fault);
            if rate != Rate::Off {
                writeln!(f, "fault {} = {}", fault.label(), rate.number())?;
            }
        }
        writeln!(
            f,
            "\n# What the environment chose, in the order in which it did."
        )?;
        for choice in &self.choices.list {
            let name = self.choices.name_of(choice);
            let (episode, draw) = (choice.episode, choice.number);
            writeln!(f, "choice {name} {episode}.{draw} = {}", choice.value)?;
        }
        Ok(())
    }
}
