//! What there is to choose from: presets and faults.

use inventory_sim::{Fault, Often, PRESETS, PlanError};

use super::{Refusal, say};

/// Arguments of `presets`.
#[derive(clap::Args)]
pub(crate) struct PresetArguments {
    /// Prints this preset as a file.
    #[arg(long, value_name = "NAME")]
    show: Option<String>,
}

/// Lists the presets, or shows one.
pub(crate) fn presets(arguments: &PresetArguments) -> Result<u8, Refusal> {
    if let Some(name) = &arguments.show {
        let preset = PRESETS.iter().find(|preset| preset.name == name);
        let preset = preset.ok_or_else(|| PlanError::UnknownPreset(name.clone()).to_string())?;
        say(preset.text.trim_end());
        return Ok(0);
    }
    for preset in PRESETS {
        say(format_args!("{:<15} {}", preset.name, preset.says()));
    }
    Ok(0)
}

/// Lists the faults.
pub(crate) fn faults() {
    say("fault                   at most");
    for fault in Fault::ALL {
        let often = match fault.often() {
            Often::Chance(most) => format!("{most:>9} in a million opportunities"),
            Often::Every(least_ms) => format!("    every {least_ms} ms"),
        };
        say(format_args!("{:<22}{often}", fault.label()));
    }
}
