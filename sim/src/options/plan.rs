//! From what a world is drawn: a file that gives each setting a value or a choice of values.
//!
//! ```text
//! base = "swarm"                                   what is not said here is as there; without it: calm
//!
//! [settings]
//! agents = 40                                      this value
//! shards = [1, 1, 2]                               one of these
//! link_ms = "1..200"                               one between both
//! request_deadline_ms = "request_timeout_ms + 1..2000"
//! bytes_per_agent_max = "bytes_per_session_max * 1..3"
//! items_per_agent_max = ["items_per_session_max", 1000000]
//!
//! [faults]
//! all = "swarm"                                    off, most (as often as each may) or swarm (half are off)
//! frame-lost = 100000                              so many in a million, or every so many milliseconds
//! ```
//!
//! # Invariants
//!
//! * Every setting draws from a stream of its own: giving one a fixed value leaves the others as they were.
//! * What was drawn is [valid](Options::validate), or there is no world.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use toml::{Table, Value};

use super::Options;
use super::presets::{self, PRESETS};
use super::settings::{SETTINGS, Setting, SettingError};
use crate::choices::Draws;
use crate::faults::{Fault, Rate};
use crate::streams::Stream;

/// The number of items that the longest session has; it follows from other settings.
const SESSION_ITEMS: &str = "session_items";

/// What `session_items` follows from.
const SIZES: [&str; 4] = [
    "documents_max",
    "delta_items_max",
    "modules",
    "indices_per_module",
];

/// Why a plan cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// It is no TOML.
    #[error("{0}")]
    Syntax(String),
    /// A key at the top that means nothing.
    #[error("unknown key {0:?}: there are base, says, [settings] and [faults]")]
    UnknownKey(String),
    /// A setting that means nothing.
    #[error("[settings]: {0}")]
    Setting(#[from] SettingError),
    /// A value that cannot be understood.
    #[error(
        "[settings]: {name} = {value} is no number, no list and no expression such as \"1..200\""
    )]
    NoValue {
        /// The setting.
        name: String,
        /// Its value.
        value: String,
    },
    /// A setting that follows from itself.
    #[error("[settings]: {0} follows from itself")]
    Circle(&'static str),
    /// A fault that does not exist.
    #[error("[faults]: no fault is called {0:?}; `inventory-sim faults` lists them")]
    UnknownFault(String),
    /// A rate that cannot be understood.
    #[error(
        "[faults]: {fault} = {value} is neither a number nor one of \"off\", \"most\", \"swarm\""
    )]
    NoRate {
        /// The fault.
        fault: String,
        /// Its rate.
        value: String,
    },
    /// A preset that does not exist.
    #[error("no preset is called {0:?}; `inventory-sim presets` lists them")]
    UnknownPreset(String),
}

/// How the value of a setting is found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Fixed(u64),
    Between(u64, u64),
    Same(String),
    OneOf(Vec<Rule>),
    Plus(String, Box<Rule>),
    Times(String, Box<Rule>),
}

impl Rule {
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(number) => u64::try_from(*number).ok().map(Self::Fixed),
            Value::Boolean(flag) => Some(Self::Fixed(u64::from(*flag))),
            Value::String(text) => Self::read_text(text),
            Value::Array(list) if !list.is_empty() => {
                let rules: Option<Vec<_>> = list.iter().map(Self::read).collect();
                rules.map(Self::OneOf)
            }
            _ => None,
        }
    }

    fn read_text(text: &str) -> Option<Self> {
        let is_name = |text: &str| {
            text == SESSION_ITEMS || SETTINGS.iter().any(|setting| setting.name == text)
        };
        for (sign, build) in [
            ("+", Self::Plus as fn(String, Box<Self>) -> Self),
            ("*", Self::Times),
        ] {
            if let Some((name, rest)) = text.split_once(sign) {
                let name = name.trim();
                return is_name(name)
                    .then(|| Self::read_text(rest))?
                    .map(|rest| build(name.to_owned(), Box::new(rest)));
            }
        }
        let text = text.trim();
        if let Some((low, high)) = text.split_once("..") {
            let (low, high) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
            return (low <= high).then_some(Self::Between(low, high));
        }
        match text.parse() {
            Ok(number) => Some(Self::Fixed(number)),
            Err(_) => is_name(text).then(|| Self::Same(text.to_owned())),
        }
    }

    /// The settings that must be known before.
    fn needs(&self) -> Vec<&str> {
        match self {
            Self::Fixed(_) | Self::Between(..) => Vec::new(),
            Self::Same(name) => expand(name),
            Self::OneOf(rules) => rules.iter().flat_map(Self::needs).collect(),
            Self::Plus(name, rest) | Self::Times(name, rest) => {
                let mut needs = expand(name);
                needs.extend(rest.needs());
                needs
            }
        }
    }

    fn draw(&self, stream: &mut Stream, options: &Options) -> u64 {
        match self {
            Self::Fixed(value) => *value,
            Self::Between(low, high) => stream.between(*low, *high),
            Self::Same(name) => known(name, options),
            Self::OneOf(rules) => stream.pick(rules).clone().draw(stream, options),
            Self::Plus(name, rest) => {
                known(name, options).saturating_add(rest.draw(stream, options))
            }
            Self::Times(name, rest) => {
                known(name, options).saturating_mul(rest.draw(stream, options))
            }
        }
    }
}

fn expand(name: &str) -> Vec<&str> {
    if name == SESSION_ITEMS {
        SIZES.to_vec()
    } else {
        vec![name]
    }
}

fn known(name: &str, options: &Options) -> u64 {
    if name == SESSION_ITEMS {
        return options.session_items();
    }
    Setting::named(name).map_or(0, |setting| setting.of(options))
}

/// How the rate of a fault is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frequency {
    Off,
    Most,
    Swarm,
    Exactly(u64),
}

impl Frequency {
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(number) => u64::try_from(*number).ok().map(Self::Exactly),
            Value::String(text) => match text.as_str() {
                "off" => Some(Self::Off),
                "most" => Some(Self::Most),
                "swarm" => Some(Self::Swarm),
                _ => None,
            },
            _ => None,
        }
    }

    fn draw(self, seed: u64, fault: Fault) -> Rate {
        match self {
            Self::Off => Rate::Off,
            Self::Most => Rate::most(fault),
            Self::Swarm => Rate::drawn(seed, fault),
            Self::Exactly(number) => Rate::of_number(fault, number),
        }
    }
}

/// From what worlds are drawn.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How each setting that is not as in [`Options::calm`] is found, in the order of drawing.
    rules: Vec<(&'static Setting, Rule)>,
    faults: Vec<Frequency>,
}

impl Plan {
    /// Reads a file.
    ///
    /// # Errors
    /// A sentence that names the key that cannot be understood.
    pub fn read(text: &str) -> Result<Self, PlanError> {
        let table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| PlanError::Syntax(error.to_string()))?;
        let mut rules: BTreeMap<&'static str, Rule> = BTreeMap::new();
        let mut faults = vec![Frequency::Off; Fault::ALL.len()];
        if let Some(base) = table.get("base") {
            let base = Self::preset(base.as_str().unwrap_or_default())?;
            rules.extend(
                base.rules
                    .into_iter()
                    .map(|(setting, rule)| (setting.name, rule)),
            );
            faults = base.faults;
        }
        for (key, value) in &table {
            match (key.as_str(), value) {
                ("base" | "says", Value::String(_)) => {}
                ("settings", Value::Table(settings)) => read_settings(settings, &mut rules)?,
                ("faults", Value::Table(rates)) => read_faults(rates, &mut faults)?,
                _ => return Err(PlanError::UnknownKey(key.clone())),
            }
        }
        Ok(Self {
            rules: in_order(rules)?,
            faults,
        })
    }

    /// A preset.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn preset(name: &str) -> Result<Self, PlanError> {
        let found = PRESETS.iter().find(|preset| preset.name == name);
        let found = found.ok_or_else(|| PlanError::UnknownPreset(name.to_owned()))?;
        Self::read(found.text)
    }

    /// The preset from which a world is drawn when nothing else is said.
    ///
    /// # Panics
    /// When it cannot be read, which a test excludes.
    #[must_use]
    pub fn swarm() -> &'static Self {
        static SWARM: OnceLock<Plan> = OnceLock::new();
        SWARM.get_or_init(|| Self::preset(presets::SWARM).expect("the preset swarm is readable"))
    }

    /// Draws a world.
    ///
    /// # Errors
    /// A sentence, when the design does not promise to survive what was drawn.
    pub fn draw(&self, seed: u64) -> Result<Options, String> {
        let mut options = Options::calm(seed);
        let all = Stream::new(&Draws::seeded(seed), "option");
        for (setting, rule) in &self.rules {
            let value = rule.draw(&mut all.fork(setting.name), &options);
            setting
                .set(&mut options, value)
                .map_err(|error| error.to_string())?;
        }
        for (fault, frequency) in Fault::ALL.iter().zip(&self.faults) {
            options.rates.set(*fault, frequency.draw(seed, *fault));
        }
        // A relay's agent that sends faster than this is refused, and an agent sends no slower next time.
        if options.relays {
            let open_bytes = &mut options.config.open_bytes_per_connection_max;
            *open_bytes = (*open_bytes).max(8 << 20);
        }
        options.align();
        // Who stays broken keeps nobody out.
        options.make_room();
        // A healthy Indexer answers in time.
        options.indexer_ms = options
            .indexer_ms
            .min(options.config.request_deadline_ms / 4);
        options.validate()?;
        Ok(options)
    }
}

fn read_settings(
    settings: &Table,
    rules: &mut BTreeMap<&'static str, Rule>,
) -> Result<(), PlanError> {
    for (name, value) in settings {
        let setting = Setting::named(name)?;
        let rule = Rule::read(value).ok_or_else(|| PlanError::NoValue {
            name: name.clone(),
            value: value.to_string(),
        })?;
        rules.insert(setting.name, rule);
    }
    Ok(())
}

fn read_faults(rates: &Table, faults: &mut [Frequency]) -> Result<(), PlanError> {
    let read = |name: &str, value: &Value| {
        Frequency::read(value).ok_or_else(|| PlanError::NoRate {
            fault: name.to_owned(),
            value: value.to_string(),
        })
    };
    if let Some(value) = rates.get("all") {
        faults.fill(read("all", value)?);
    }
    for (label, value) in rates.iter().filter(|(label, _)| *label != "all") {
        let fault = Fault::labelled(label).ok_or_else(|| PlanError::UnknownFault(label.clone()))?;
        faults[fault as usize] = read(label, value)?;
    }
    Ok(())
}

/// Puts each setting behind those it follows from.
fn in_order(
    mut rules: BTreeMap<&'static str, Rule>,
) -> Result<Vec<(&'static Setting, Rule)>, PlanError> {
    let mut ordered = Vec::with_capacity(rules.len());
    while let Some(first) = rules.keys().next().copied() {
        let ready = SETTINGS.iter().find(|setting| {
            rules
                .get(setting.name)
                .is_some_and(|rule| !rule.needs().iter().any(|need| rules.contains_key(need)))
        });
        let Some(setting) = ready else {
            return Err(PlanError::Circle(first));
        };
        if let Some(rule) = rules.remove(setting.name) {
            ordered.push((setting, rule));
        }
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str, seed: u64) -> Options {
        Plan::read(text).unwrap().draw(seed).unwrap()
    }

    #[test]
    fn a_value_a_list_a_range_and_what_follows_from_another() {
        let text = "[settings]\nagents = 7\nshards = [2, 3]\nlink_ms = \"5..9\"\n\
            request_timeout_ms = \"100..200\"\nrequest_deadline_ms = \"request_timeout_ms + 300\"\n\
            items_per_session_max = \"session_items * 2\"";
        let mut shards = [false; 4];
        for seed in 0..40 {
            let options = drawn(text, seed);
            assert_eq!(options.agents, 7);
            shards[usize::from(options.shards)] = true;
            assert!((5..=9).contains(&options.link_ms));
            let config = &options.config;
            assert_eq!(config.request_deadline_ms, config.request_timeout_ms + 300);
            assert_eq!(config.items_per_session_max, 2 * options.session_items());
        }
        assert_eq!(shards, [false, false, true, true]);
    }

    #[test]
    fn one_setting_does_not_disturb_the_others() {
        let mut fixed = drawn("base = \"swarm\"\n[settings]\nstore_ms = 3", 9);
        let swarm = Options::drawn(9);
        fixed.store_ms = swarm.store_ms;
        assert_eq!(fixed, swarm);
    }

    #[test]
    fn faults_by_label() {
        let text = "[faults]\nall = \"most\"\nframe-lost = 12\nagent-crash = \"off\"";
        let options = drawn(text, 1);
        assert_eq!(options.rates.of(Fault::FrameLost), Rate::PerMillion(12));
        assert_eq!(options.rates.of(Fault::AgentCrash), Rate::Off);
        assert_eq!(options.rates.of(Fault::Item429), Rate::most(Fault::Item429));
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        let refusal = |text: &str| Plan::read(text).unwrap_err().to_string();
        assert_eq!(
            refusal("[settings]\nagnets = 1"),
            "[settings]: no setting is called \"agnets\""
        );
        assert!(refusal("[settings]\nagents = \"9..2\"").contains("agents = \"9..2\""));
        assert!(refusal("[setings]\nagents = 1").contains("unknown key \"setings\""));
        assert!(refusal("[faults]\nframe-los = 1").contains("\"frame-los\""));
        assert!(refusal("[faults]\nframe-lost = \"often\"").contains("frame-lost = \"often\""));
        assert!(refusal("base = \"swam\"").contains("no preset is called \"swam\""));
        assert!(refusal("[settings]\nagents = ").contains("line 2"));
        assert_eq!(
            refusal("[settings]\nlink_ms = \"store_ms\"\nstore_ms = \"link_ms + 1\""),
            "[settings]: link_ms follows from itself"
        );
    }

    #[test]
    fn what_no_world_survives_is_refused_when_it_is_drawn() {
        let plan = Plan::read("[settings]\nrequest_deadline_ms = 1").unwrap();
        let refusal = plan.draw(1).unwrap_err();
        assert!(refusal.contains("request_deadline_ms (1)"), "{refusal}");
    }
}
