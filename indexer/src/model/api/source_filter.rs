//! `_source`: which members of a stored source are shown.

use super::params::Params;
use crate::model::engine::{Refusal, Source};
use crate::model::json::{self, Json};
use crate::model::query::wildcard;

/// Which members of a source are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFilter {
    /// Nothing is shown.
    pub nothing: bool,
    /// What is shown; everything when empty.
    pub includes: Vec<String>,
    /// What of it is not.
    pub excludes: Vec<String>,
}

/// A text, or the texts of an array.
pub fn texts(value: &Json) -> Vec<String> {
    match value {
        Json::Array(elements) => elements.iter().filter_map(Json::scalar_text).collect(),
        other => other.scalar_text().into_iter().collect(),
    }
}

impl SourceFilter {
    /// `_source`, `_source_includes` and `_source_excludes` of the query string.
    pub fn of_params(params: &Params) -> Result<SourceFilter, Refusal> {
        let list = |text: Option<&str>| -> Vec<String> {
            text.map(|text| text.split(',').map(str::to_owned).collect())
                .unwrap_or_default()
        };
        let mut filter = SourceFilter {
            nothing: false,
            includes: list(params.get("_source_includes")),
            excludes: list(params.get("_source_excludes")),
        };
        match params.get("_source") {
            None | Some("true" | "") => {}
            Some("false") => filter.nothing = true,
            Some(paths) => filter.includes.extend(list(Some(paths))),
        }
        Ok(filter)
    }

    /// `_source` of a body.
    /// # Errors
    /// 400 for a member that is none.
    pub fn of_body(value: &Json) -> Result<SourceFilter, Refusal> {
        let mut filter = SourceFilter::default();
        match value {
            Json::Bool(shown) => filter.nothing = !shown,
            Json::Object(members) => {
                for (name, value) in members {
                    match name.as_str() {
                        "include" | "includes" => filter.includes = texts(value),
                        "exclude" | "excludes" => filter.excludes = texts(value),
                        other => {
                            return Err(Refusal::new(
                                400,
                                "parsing_exception",
                                format!("Unknown key for a START_OBJECT in [_source]: [{other}]."),
                            ));
                        }
                    }
                }
            }
            other => filter.includes = texts(other),
        }
        Ok(filter)
    }

    /// The source as it is shown: byte for byte when nothing is filtered.
    pub fn apply(&self, source: &Source) -> Option<Json> {
        if self.nothing {
            return None;
        }
        if self.includes.is_empty() && self.excludes.is_empty() {
            return Some(Json::Raw(source.clone()));
        }
        let parsed = json::parse(source).ok()?;
        Some(
            self.filtered("", parsed, self.includes.is_empty())
                .unwrap_or_else(|| Json::Object(Vec::new())),
        )
    }

    fn filtered(&self, path: &str, value: Json, included: bool) -> Option<Json> {
        let included = included || self.includes.iter().any(|pattern| wildcard(pattern, path));
        if !path.is_empty() && self.excludes.iter().any(|pattern| wildcard(pattern, path)) {
            return None;
        }
        match value {
            Json::Object(members) => {
                let kept: Vec<_> = members
                    .into_iter()
                    .filter_map(|(name, member)| {
                        let below = if path.is_empty() {
                            name.clone()
                        } else {
                            format!("{path}.{name}")
                        };
                        Some((name, self.filtered(&below, member, included)?))
                    })
                    .collect();
                (included || !kept.is_empty()).then_some(Json::Object(kept))
            }
            Json::Array(elements) => {
                let kept: Vec<_> = elements
                    .into_iter()
                    .filter_map(|element| self.filtered(path, element, included))
                    .collect();
                (included || !kept.is_empty()).then_some(Json::Array(kept))
            }
            scalar => included.then_some(scalar),
        }
    }
}
