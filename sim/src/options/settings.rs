//! Every number of the options by its name: what files, the command line and the shrinker speak of.

use inventory_sync_core::config::{Catalogue, Config};

use super::{Healing, Options};

/// The modules and indices of the simulated world: small, but mostly with more than one of each.
pub(crate) fn catalogue(modules: u64, indices: u64) -> Catalogue {
    let names = |module: u64| (0..indices).map(move |index| format!("states-{module}-{index}"));
    let modules = (0..modules).map(|module| (format!("module-{module}"), names(module)));
    // Two names are never equal here, and there are few of them.
    Catalogue::new(modules).unwrap_or_default()
}

/// Why a setting cannot have a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// There is none of that name.
    #[error("no setting is called {0:?}")]
    Unknown(String),
    /// It is no number, or not one that this setting can hold.
    #[error("{name} cannot be {value}")]
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// What it was to be.
        value: String,
    },
}

/// A number, or a flag as 0 or 1, among the options.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name: that of the field.
    pub name: &'static str,
    /// Whether it is true or false.
    pub is_flag: bool,
    get: fn(&Options) -> u64,
    set: fn(&mut Options, u64) -> Option<()>,
}

impl Setting {
    /// The setting of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<&'static Self, SettingError> {
        let found = SETTINGS.iter().find(|setting| setting.name == name);
        found.ok_or_else(|| SettingError::Unknown(name.to_owned()))
    }

    /// Its value.
    #[must_use]
    pub fn of(&self, options: &Options) -> u64 {
        (self.get)(options)
    }

    /// Its value as it stands in files.
    #[must_use]
    pub fn text_of(&self, options: &Options) -> String {
        match (self.is_flag, self.of(options)) {
            (true, value) => (value == 1).to_string(),
            (false, value) => value.to_string(),
        }
    }

    /// Changes it.
    ///
    /// # Errors
    /// When the value does not fit.
    pub fn set(&self, options: &mut Options, value: u64) -> Result<(), SettingError> {
        (self.set)(options, value).ok_or_else(|| SettingError::OutOfRange {
            name: self.name,
            value: value.to_string(),
        })
    }

    /// Changes it to what stands in a file: a number, or `true` or `false`.
    ///
    /// # Errors
    /// When the text is neither, or does not fit.
    pub fn set_text(&self, options: &mut Options, text: &str) -> Result<(), SettingError> {
        let value = match (self.is_flag, text) {
            (true, "true") => Some(1),
            (true, "false") => Some(0),
            (true, _) => None,
            (false, number) => number.parse().ok(),
        };
        value
            .and_then(|value| (self.set)(options, value))
            .ok_or_else(|| SettingError::OutOfRange {
                name: self.name,
                value: text.to_owned(),
            })
    }
}

/// What fields of the options can be, as a number.
trait Number: Copy {
    const IS_FLAG: bool;
    fn number(self) -> u64;
    fn of_number(value: u64) -> Option<Self>;
}

macro_rules! numbers {
    ($($kind:ty),+) => {
        $(impl Number for $kind {
            const IS_FLAG: bool = false;
            fn number(self) -> u64 {
                u64::try_from(self).unwrap_or(u64::MAX)
            }
            fn of_number(value: u64) -> Option<Self> {
                Self::try_from(value).ok()
            }
        })+
    };
}

numbers!(u16, u32, u64, usize);

impl Number for bool {
    const IS_FLAG: bool = true;
    fn number(self) -> u64 {
        u64::from(self)
    }
    fn of_number(value: u64) -> Option<Self> {
        (value <= 1).then_some(value == 1)
    }
}

impl Number for Healing {
    const IS_FLAG: bool = false;
    fn number(self) -> u64 {
        match self {
            Self::Everything => 0,
            Self::Core => 1,
            Self::Nothing => 2,
        }
    }
    fn of_number(value: u64) -> Option<Self> {
        [Self::Everything, Self::Core, Self::Nothing]
            .into_iter()
            .find(|healing| healing.number() == value)
    }
}

const fn flag<N: Number>(_: fn(&Options) -> N) -> bool {
    N::IS_FLAG
}

macro_rules! settings {
    (world: $($own:ident),+; manager: $($limit:ident),+;) => {
        /// All settings: of the world, then of the manager.
        pub const SETTINGS: &[Setting] = &[
            Setting {
                name: "modules",
                is_flag: false,
                get: |options| options.config.catalogue.modules().len() as u64,
                set: |options, value| {
                    let indices = indices_per_module(options);
                    set_catalogue(options, value, indices)
                },
            },
            Setting {
                name: "indices_per_module",
                is_flag: false,
                get: indices_per_module,
                set: |options, value| {
                    let modules = options.config.catalogue.modules().len() as u64;
                    set_catalogue(options, modules, value)
                },
            },
            $(Setting {
                name: stringify!($own),
                is_flag: flag(|options| options.$own),
                get: |options| options.$own.number(),
                set: |options, value| {
                    options.$own = Number::of_number(value)?;
                    Some(())
                },
            },)+
            $(Setting {
                name: stringify!($limit),
                is_flag: flag(|options| options.config.$limit),
                get: |options| options.config.$limit.number(),
                set: |options, value| {
                    options.config.$limit = Number::of_number(value)?;
                    Some(())
                },
            },)+
        ];

        // A field that is no setting does not compile: no replay file could keep it.
        const _: fn(Options) = |options| {
            let Options { seed: _, rates: _, config, $($own: _,)+ } = options;
            let Config { catalogue: _, cluster: _, $($limit: _,)+ } = config;
        };
    };
}

settings! {
    world: agents, first_agent, hostiles, healing, shards, documents_max, warm_up_ms, chaos_ms, converge_ms, change_every_ms, fulls_per_mille,
        delta_items_max, sloppy, impatient, paced, relays, floor_ahead_ms, frame_bytes_max, grain_ms, link_ms, indexer_ms, store_ms, refresh_every_ms,
        lease_ms, bound_ahead_ms, fault_refusals_min, listing_linger_ms,
        listing_targets_max, gc_deletes_ms, takes_bytes_max, spares_bytes_max;
    manager: protocol_version_min, request_timeout_ms, request_deadline_ms, late_write_bound_ms,
        delivery_deadline_ms, session_max_ms, paused_index_deadline_ms, idle_timeout_ms, retry_base_ms,
        retry_max_ms, linger_ms, retry_after_ms, verdict_kept_ms, sessions_max, items_per_session_max,
        items_per_agent_max, items_max, bytes_per_session_max, bytes_per_agent_max, bytes_max,
        runs_per_session_max, open_bytes_per_connection_max, bad_frames_max, ranges_per_request_max,
        failed_items_max, verdicts_per_lane, verdict_bytes_max, store_failures_max, bulk_bytes_max,
        bulk_operations_max, concurrency;
}

fn indices_per_module(options: &Options) -> u64 {
    let catalogue = &options.config.catalogue;
    catalogue.indices().len() as u64 / (catalogue.modules().len() as u64).max(1)
}

fn set_catalogue(options: &mut Options, modules: u64, indices: u64) -> Option<()> {
    // Few of each: the simulated world is small, and an index id is two bytes.
    if modules > 64 || indices > 64 {
        return None;
    }
    options.config.catalogue = catalogue(modules, indices);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_tell_all_of_the_options() {
        let drawn = Options::drawn(5);
        let mut copy = Options::calm(5);
        copy.rates = drawn.rates.clone();
        for setting in SETTINGS {
            setting
                .set_text(&mut copy, &setting.text_of(&drawn))
                .unwrap();
            assert_eq!(setting.of(&copy), setting.of(&drawn), "{}", setting.name);
        }
        assert_eq!(copy, drawn);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut options = Options::calm(1);
        let agents = Setting::named("agents").unwrap();
        assert_eq!(
            agents.set(&mut options, 70_000).unwrap_err().to_string(),
            "agents cannot be 70000"
        );
        let sloppy = Setting::named("sloppy").unwrap();
        assert!(sloppy.set_text(&mut options, "1").is_err());
        assert_eq!(
            Setting::named("agnets").unwrap_err().to_string(),
            "no setting is called \"agnets\""
        );
    }
}
