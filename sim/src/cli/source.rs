//! Where worlds come from: a preset or a file, and what the command line adds.

use std::fmt::Write as _;
use std::path::PathBuf;

use inventory_sim::{Fault, Options, Plan, Rate, Rates};

use super::planted::Planted;
use super::{Refusal, read_file};

/// What decides a world, beside its seed.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct SourceArguments {
    /// Draws the world as this file says; `presets --show swarm` prints one.
    #[arg(long, value_name = "FILE", conflicts_with = "preset")]
    config: Option<PathBuf>,
    /// Draws the world from this preset; `presets` lists them.
    #[arg(long, value_name = "NAME", default_value = "swarm")]
    preset: String,
    /// Nothing goes wrong but these faults, as often as they may; `none` for none.
    #[arg(long, value_name = "LABEL", value_delimiter = ',')]
    only: Option<Vec<String>>,
    #[command(flatten)]
    pub(crate) planted: Planted,
}

/// A source of worlds that has been read.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    plan: Plan,
    only: Option<Rates>,
    /// The arguments again, for the line that repeats a run.
    again: String,
}

impl SourceArguments {
    /// Reads the file and checks the names.
    pub(crate) fn read(&self) -> Result<Source, Refusal> {
        let mut again = String::new();
        let plan = match &self.config {
            Some(path) => {
                let _ = write!(again, " --config {}", path.display());
                Plan::read(&read_file(path)?)
                    .map_err(|error| format!("{}: {error}", path.display()))?
            }
            None => {
                if self.preset != "swarm" {
                    let _ = write!(again, " --preset {}", self.preset);
                }
                Plan::preset(&self.preset).map_err(|error| error.to_string())?
            }
        };
        let only = match &self.only {
            None => None,
            Some(labels) => {
                let _ = write!(again, " --only {}", labels.join(","));
                Some(rates_of(labels)?)
            }
        };
        again.push_str(&self.planted.again());
        Ok(Source { plan, only, again })
    }
}

fn rates_of(labels: &[String]) -> Result<Rates, Refusal> {
    let mut rates = Rates::calm();
    for label in labels.iter().filter(|label| *label != "none") {
        let Some(fault) = Fault::labelled(label) else {
            return Err(Refusal(format!(
                "no fault is called {label:?}; `inventory-sim faults` lists them"
            )));
        };
        rates.set(fault, Rate::most(fault));
    }
    Ok(rates)
}

impl Source {
    /// The world of a seed.
    pub(crate) fn draw(&self, seed: u64) -> Result<Options, Refusal> {
        let mut options = self
            .plan
            .draw(seed)
            .map_err(|reason| format!("seed {seed} cannot be drawn: {reason}"))?;
        if let Some(rates) = &self.only {
            options.rates = rates.clone();
        }
        Ok(options)
    }

    /// The arguments that name this source.
    pub(crate) fn again(&self) -> &str {
        &self.again
    }
}
