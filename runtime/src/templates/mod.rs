//! Index templates: do the mappings in the Indexer take what we write?
//!
//! ```text
//!  field table ──┐
//!                ├─▶ compare ─▶ fits │ different (fields) │ missing        + warnings
//!  index, or its ┘
//!  winning template
//! ```
//!
//! *Different* means that a field we write is absent or of another type; it is judged on the index
//! where it exists, else on the template that would win. Everything else only warns
//! (`docs/protocol.md` section 7).
//!
//! Invariants: comparing is a pure function of JSON; a template that fits is left alone, whoever made
//! it; what is installed names one exact index.

mod compare;
pub mod remote;
#[cfg(test)]
mod tests;

use std::fmt;

pub use compare::{compare, matches_pattern, winning_template};
use serde::Serialize;

/// A field we write that the Indexer would not take as we mean it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The field's path, names joined by dots.
    pub field: String,
    /// The type we write.
    pub wanted: String,
    /// The type it has there; `None`: it is absent.
    pub found: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Some(found) => write!(f, "{} is {found}, not {}", self.field, self.wanted),
            None => write!(f, "{} is absent ({})", self.field, self.wanted),
        }
    }
}

/// What was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The index itself: it exists.
    Index,
    /// The template that a new index of that name would get.
    Template(String),
    /// Neither exists.
    Nothing,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every field we write is there with our type.
    Fits,
    /// Some are not.
    Different,
    /// There is neither an index nor a template for it.
    Missing,
    /// The field table does not know this index, so nothing can be said.
    Unknown,
}

/// One index, judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IndexReport {
    /// Exact name of the index.
    pub index: String,
    /// What was judged.
    pub basis: Basis,
    /// The result.
    pub verdict: Verdict,
    /// Fields that do not fit, in the order of the table.
    pub differences: Vec<Difference>,
    /// What works and is probably not meant.
    pub warnings: Vec<String>,
}

impl IndexReport {
    /// Whether `serve` may write to it without being told to.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        matches!(self.verdict, Verdict::Fits | Verdict::Unknown)
    }
}

impl fmt::Display for IndexReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = match &self.basis {
            Basis::Index => "index".to_owned(),
            Basis::Template(name) => format!("template {name}"),
            Basis::Nothing => String::new(),
        };
        match self.verdict {
            Verdict::Fits => write!(f, "fits       {} ({on})", self.index)?,
            Verdict::Different => write!(f, "different  {} ({on})", self.index)?,
            Verdict::Missing => write!(f, "missing    {}", self.index)?,
            Verdict::Unknown => write!(f, "unknown    {}", self.index)?,
        }
        for difference in &self.differences {
            write!(f, "\n             {difference}")?;
        }
        for warning in &self.warnings {
            write!(f, "\n             warning: {warning}")?;
        }
        Ok(())
    }
}
