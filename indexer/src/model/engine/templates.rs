//! Index templates: what a new index gets by its name.

use super::refusal::{Cause, Refusal, kind};
use super::settings::{flatten, insert};
use super::{Indexer, Settings};
use crate::model::json::Json;
use crate::model::mapping::Mapping;
use crate::model::query::wildcard;
use std::collections::BTreeMap;

/// An index template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    /// Names it is for, with `*`.
    pub patterns: Vec<String>,
    /// The highest one that fits decides.
    pub priority: u64,
    settings: BTreeMap<String, Option<String>>,
    mapping: Option<Mapping>,
    /// Members the model keeps and shows, but does not look into (`version`, `_meta`).
    other: Vec<(String, Json)>,
}

impl Template {
    /// Reads the body of `PUT _index_template`.
    ///
    /// # Errors
    /// 400, as the server words it, for an unknown codec or field type and for what is missing; what the model does
    /// not have (component templates, data streams, aliases) is refused as well.
    pub fn parse(name: &str, body: &Json) -> Result<Template, Refusal> {
        let invalid = |reason: &str| {
            Refusal::new(
                400,
                "invalid_index_template_exception",
                format!("index_template [{name}] invalid, cause [Validation Failed: 1: {reason};]"),
            )
        };
        let mut template = Template {
            patterns: Vec::new(),
            priority: 0,
            settings: BTreeMap::new(),
            mapping: None,
            other: Vec::new(),
        };
        let mut stated_priority = None;
        for (member, value) in body.members().unwrap_or_default() {
            match member.as_str() {
                "index_patterns" => {
                    template.patterns = match value {
                        Json::Array(patterns) => {
                            patterns.iter().filter_map(Json::scalar_text).collect()
                        }
                        other => other.scalar_text().into_iter().collect(),
                    };
                }
                "priority" => {
                    stated_priority = value
                        .as_int()
                        .and_then(|priority| u64::try_from(priority).ok())
                }
                "template" => template.read_body(name, value, &invalid)?,
                "composed_of" if value.elements().is_some_and(<[Json]>::is_empty) => {}
                "version" | "_meta" => template.other.push((member.clone(), value.clone())),
                _ => {
                    return Err(Refusal::illegal_argument(format!(
                        "[index_template] unknown field [{member}]"
                    )));
                }
            }
        }
        if template.patterns.is_empty() {
            return Err(invalid("index patterns are missing"));
        }
        template.priority = stated_priority.unwrap_or(0);
        if stated_priority.is_some() {
            template
                .other
                .insert(0, ("priority".to_owned(), Json::int(template.priority)));
        }
        Ok(template)
    }

    fn read_body(
        &mut self,
        name: &str,
        body: &Json,
        invalid: &dyn Fn(&str) -> Refusal,
    ) -> Result<(), Refusal> {
        for (member, value) in body.members().unwrap_or_default() {
            match member.as_str() {
                "settings" => {
                    self.settings = flatten(value);
                    Settings::stated(self.settings.clone())
                        .map_err(|refusal| invalid(&refusal.reason))?;
                }
                "mappings" => {
                    let mapping = Mapping::parse(value).map_err(|refusal| {
                        let mut inner = Cause::new(refusal.kind, refusal.reason);
                        inner.caused_by = refusal.caused_by;
                        let behind = format!("invalid composite mappings for [{name}]");
                        Refusal::illegal_argument(format!(
                            "composable template [{name}] template after composition is invalid"
                        ))
                        .because(Cause::new(kind::ILLEGAL_ARGUMENT, behind).because(inner))
                    })?;
                    self.mapping = Some(mapping);
                }
                "aliases" if value.members().is_some_and(<[_]>::is_empty) => {}
                _ => {
                    return Err(Refusal::illegal_argument(format!(
                        "[template] unknown field [{member}]"
                    )));
                }
            }
        }
        Ok(())
    }

    fn fits(&self, index: &str) -> bool {
        self.patterns.iter().any(|pattern| wildcard(pattern, index))
    }

    /// `{settings, mappings}` as they are shown.
    pub fn body(&self) -> Json {
        let mut members = Vec::new();
        let mut index = Json::Object(Vec::new());
        for (name, value) in &self.settings {
            if let Some(value) = value {
                insert(&mut index, name, Json::text(value.as_str()));
            }
        }
        if !self.settings.is_empty() {
            members.push(("settings".to_owned(), Json::object([("index", index)])));
        }
        if let Some(mapping) = &self.mapping {
            members.push(("mappings".to_owned(), mapping.json()));
        }
        Json::Object(members)
    }

    /// The template as `GET _index_template` shows it.
    pub fn json(&self, name: &str) -> Json {
        let patterns = self
            .patterns
            .iter()
            .map(|pattern| Json::text(pattern.as_str()))
            .collect();
        let mut shown = vec![
            ("index_patterns".to_owned(), Json::Array(patterns)),
            ("template".to_owned(), self.body()),
            ("composed_of".to_owned(), Json::Array(Vec::new())),
        ];
        shown.extend(self.other.iter().cloned());
        Json::object([
            ("name", Json::text(name)),
            ("index_template", Json::Object(shown)),
        ])
    }
}

impl Indexer {
    /// All templates by name.
    pub fn templates(&self) -> &BTreeMap<String, Template> {
        &self.templates
    }

    /// Installs or replaces a template.
    ///
    /// # Errors
    /// 400 when another template of the same priority has a pattern that meets one of this one's.
    pub fn put_template(&mut self, name: &str, template: Template) -> Result<(), Refusal> {
        for (other_name, other) in &self.templates {
            let meet = template.patterns.iter().any(|ours| {
                other
                    .patterns
                    .iter()
                    .any(|theirs| wildcard(ours, theirs) || wildcard(theirs, ours))
            });
            if other_name != name && other.priority == template.priority && meet {
                return Err(Refusal::illegal_argument(format!(
                    "index template [{name}] has index patterns [{}] matching patterns from existing templates [{other_name}] with patterns ({other_name} => [{}]) that have the same priority [{}], multiple index templates may not match during index creation, please use a different priority",
                    template.patterns.join(", "),
                    other.patterns.join(", "),
                    template.priority
                )));
            }
        }
        self.templates.insert(name.to_owned(), template);
        Ok(())
    }

    /// Removes a template; answers whether it was there.
    pub fn delete_template(&mut self, name: &str) -> bool {
        self.templates.remove(name).is_some()
    }

    /// The template that decides for a new index of this name.
    pub fn winning_template(&self, index: &str) -> Option<(&String, &Template)> {
        self.templates
            .iter()
            .filter(|(_, template)| template.fits(index))
            .max_by_key(|(_, template)| template.priority)
    }

    /// Settings and mapping of a new index of this name, without anything given.
    pub(super) fn template_for(&self, index: &str) -> Result<(Settings, Option<Mapping>), Refusal> {
        self.compose(index, BTreeMap::new(), None)
    }

    /// Settings and mapping of a new index: what is given, over what its template has.
    ///
    /// # Errors
    /// 400 when a setting cannot be, or both mappings cannot be joined.
    pub fn compose(
        &self,
        index: &str,
        given: BTreeMap<String, Option<String>>,
        mapping: Option<Mapping>,
    ) -> Result<(Settings, Option<Mapping>), Refusal> {
        let template = self.winning_template(index).map(|(_, template)| template);
        let mut flat = template
            .map(|template| template.settings.clone())
            .unwrap_or_default();
        flat.extend(given);
        let mut joined = template.and_then(|template| template.mapping.clone());
        match (&mut joined, mapping) {
            (Some(joined), Some(mapping)) => joined.merge(mapping)?,
            (None, given) => joined = given,
            (Some(_), None) => {}
        }
        Ok((Settings::stated(flat)?, joined))
    }
}
