//! A bug that is planted for the time of a command; only a build for the bug bank has the argument.

#[cfg(inventory_bug_bank)]
use inventory_sync_core::bug::{Bug, plant};

use super::Refusal;

/// Keeps the bug planted in this thread, if there is one.
#[derive(Default)]
pub(crate) struct Guard {
    #[cfg(inventory_bug_bank)]
    _planted: Option<inventory_sync_core::bug::Planted>,
}

/// The bug to plant.
#[derive(clap::Args, Debug, Clone, Default)]
pub(crate) struct Planted {
    /// Plants this bug of the bug bank.
    #[cfg(inventory_bug_bank)]
    #[arg(long, value_name = "NAME")]
    bug: Option<String>,
}

#[cfg(inventory_bug_bank)]
impl Planted {
    /// The bug that a replay file names.
    pub(crate) fn named(bug: Option<&str>) -> Self {
        Self {
            bug: bug.map(str::to_owned),
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> Option<String> {
        self.bug.clone()
    }

    /// Whether a bug that is named is there.
    pub(crate) fn is_there(&self) -> bool {
        self.bug.is_some()
    }

    /// The argument again.
    pub(crate) fn again(&self) -> String {
        let bug = self.bug.as_ref();
        bug.map_or_else(String::new, |bug| format!(" --bug {bug}"))
    }

    /// Plants it in this thread.
    pub(crate) fn plant(&self) -> Result<Guard, Refusal> {
        let Some(name) = &self.bug else {
            return Ok(Guard::default());
        };
        let bug = Bug::ALL.iter().find(|bug| format!("{bug:?}") == *name);
        let bug = bug.ok_or_else(|| {
            let known: Vec<_> = Bug::ALL.iter().map(|bug| format!("{bug:?}")).collect();
            format!("no bug is called {name:?}; there are {}", known.join(", "))
        })?;
        Ok(Guard {
            _planted: Some(plant(*bug)),
        })
    }
}

#[cfg(not(inventory_bug_bank))]
impl Planted {
    /// The bug that a replay file names: this build cannot have it.
    pub(crate) fn named(_bug: Option<&str>) -> Self {
        Self {}
    }

    /// No build but the bug bank's has one.
    pub(crate) fn name(&self) -> Option<String> {
        None
    }

    /// Whether a bug that is named is there.
    pub(crate) fn is_there(&self) -> bool {
        false
    }

    /// The argument again.
    pub(crate) fn again(&self) -> String {
        String::new()
    }

    /// Plants nothing.
    pub(crate) fn plant(&self) -> Result<Guard, Refusal> {
        Ok(Guard::default())
    }
}
