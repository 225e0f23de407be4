//! The worlds that have a name. Each is a file like one's own: `inventory-sim presets --show NAME` prints it.

/// A world with a name.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// The file.
    pub text: &'static str,
}

/// The preset of a run that names none.
pub(super) const SWARM: &str = "swarm";

macro_rules! presets {
    ($($name:literal),+ $(,)?) => {
        /// All presets.
        pub const PRESETS: &[Preset] = &[
            $(Preset {
                name: $name,
                text: include_str!(concat!("../../presets/", $name, ".toml")),
            },)+
        ];
    };
}

presets!(
    "swarm",
    "calm",
    "cruel-network",
    "cruel-indexer",
    "slow-indexer",
    "crashes",
    "tiny-limits",
    "large-fleet",
    "long-chaos",
    "everything",
);

impl Preset {
    /// What it is for, in a sentence: the file's `says`.
    #[must_use]
    pub fn says(&self) -> String {
        let table: toml::Table = self.text.parse().unwrap_or_default();
        let says = table.get("says").and_then(toml::Value::as_str);
        says.unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Plan;
    use super::*;

    #[test]
    fn every_preset_draws_valid_worlds_and_says_what_it_is_for() {
        for preset in PRESETS {
            let plan = Plan::preset(preset.name).unwrap();
            for seed in 0..300 {
                let drawn = plan.draw(seed);
                assert!(drawn.is_ok(), "{} seed {seed}: {drawn:?}", preset.name);
            }
            assert!(preset.says().ends_with('.'), "{}", preset.name);
        }
    }

    #[test]
    fn swarm_is_complete() {
        let swarm: toml::Table = PRESETS[0].text.parse().unwrap();
        let settings = swarm["settings"].as_table().unwrap();
        assert_eq!(PRESETS[0].name, SWARM);
        assert!(
            settings.len() > 40,
            "the preset that documents all settings has {}",
            settings.len()
        );
    }
}
