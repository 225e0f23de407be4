//! Whether a source fits a mapping, and what it would add to one that guesses.

use super::{Dynamic, Field, Guess, Leaf, Object, dates, values};
use crate::model::engine::refusal::{Cause, Refusal, kind};
use crate::model::json::Json;

/// One document being checked.
pub(super) struct Check<'a> {
    pub(super) id: &'a str,
    pub(super) guesses: Vec<Guess>,
}

impl Check<'_> {
    pub(super) fn object(
        &mut self,
        path: &[&str],
        object: Option<&Object>,
        dynamic: Dynamic,
        value: &Json,
    ) -> Result<(), Refusal> {
        let dynamic = object.and_then(|object| object.dynamic).unwrap_or(dynamic);
        for (name, member) in value.members().unwrap_or_default() {
            if name.is_empty() || name.split('.').any(str::is_empty) {
                let reason = format!(
                    "object field starting or ending with a [.] makes object resolution ambiguous: [{name}]"
                );
                return Err(Refusal::new(400, kind::MAPPER_PARSING, "failed to parse")
                    .because(Cause::new(kind::ILLEGAL_ARGUMENT, reason)));
            }
            let parts: Vec<&str> = name.split('.').collect();
            self.member(path, &parts, object, dynamic, member)?;
        }
        Ok(())
    }

    fn member(
        &mut self,
        path: &[&str],
        parts: &[&str],
        object: Option<&Object>,
        dynamic: Dynamic,
        value: &Json,
    ) -> Result<(), Refusal> {
        let [name, below @ ..] = parts else {
            return Ok(());
        };
        let mut here = path.to_vec();
        here.push(name);
        let known = object.and_then(|object| object.fields.get(*name));
        match known {
            Some(Field::Object(inner)) if below.is_empty() => {
                self.objects(&here, Some(inner), dynamic, value)
            }
            Some(Field::Object(inner)) => self.member(
                &here,
                below,
                Some(inner),
                inner.dynamic.unwrap_or(dynamic),
                value,
            ),
            Some(Field::Leaf(leaf)) if below.is_empty() => self.leaf(&here, leaf, value),
            Some(Field::Leaf(_)) => Err(Refusal::new(
                400,
                kind::MAPPER_PARSING,
                format!(
                    "Could not dynamically add mapping for field [{}]. Existing mapping for [{}] must be of type object but found [{}].",
                    parts.join("."),
                    here.join("."),
                    known.map_or("", |_| "leaf")
                ),
            )),
            None => match dynamic {
                Dynamic::Strict => {
                    let within = if path.is_empty() {
                        "_doc".to_owned()
                    } else {
                        path.join(".")
                    };
                    Err(Refusal::new(
                        400,
                        kind::STRICT_MAPPING,
                        format!(
                            "mapping set to strict, dynamic introduction of [{name}] within [{within}] is not allowed"
                        ),
                    ))
                }
                Dynamic::Ignore => Ok(()),
                Dynamic::Guess if below.is_empty() => self.guess(&here, value),
                Dynamic::Guess => self.member(&here, below, None, dynamic, value),
            },
        }
    }

    fn objects(
        &mut self,
        path: &[&str],
        object: Option<&Object>,
        dynamic: Dynamic,
        value: &Json,
    ) -> Result<(), Refusal> {
        match value {
            Json::Object(_) => self.object(path, object, dynamic, value),
            Json::Array(elements) => {
                for element in elements {
                    self.objects(path, object, dynamic, element)?;
                }
                Ok(())
            }
            Json::Null => Ok(()),
            _ => {
                let name = path.last().copied().unwrap_or_default();
                Err(Refusal::new(
                    400,
                    kind::MAPPER_PARSING,
                    format!(
                        "object mapping for [{}] tried to parse field [{name}] as object, but found a concrete value",
                        path.join(".")
                    ),
                ))
            }
        }
    }

    fn leaf(&mut self, path: &[&str], leaf: &Leaf, value: &Json) -> Result<(), Refusal> {
        match value {
            Json::Null => Ok(()),
            Json::Array(elements) => {
                for element in elements {
                    self.leaf(path, leaf, element)?;
                }
                Ok(())
            }
            _ => match values::check(leaf, value) {
                Ok(()) => Ok(()),
                Err(_) if leaf.ignore_malformed && value.members().is_none() => Ok(()),
                Err(values::Misfit::ImmenseTerm) => Err(Refusal::illegal_argument(format!(
                    "Document contains at least one immense term in field=\"{}\" (whose UTF8 encoding is longer than the max length {}), all of which were skipped.",
                    path.join("."),
                    values::TERM_BYTES_MAX
                ))),
                Err(values::Misfit::Value(cause)) => Err(Refusal::new(
                    400,
                    kind::MAPPER_PARSING,
                    format!(
                        "failed to parse field [{}] of type [{}] in document with id '{}'. Preview of field's value: '{}'",
                        path.join("."),
                        leaf.kind.name(),
                        self.id,
                        values::preview(value)
                    ),
                )
                .because(cause)),
            },
        }
    }

    fn guess(&mut self, path: &[&str], value: &Json) -> Result<(), Refusal> {
        let definition = match value {
            Json::Null | Json::Raw(_) => return Ok(()),
            Json::Array(elements) => {
                for element in elements {
                    self.guess(path, element)?;
                }
                return Ok(());
            }
            Json::Object(_) => {
                self.guesses.push(Guess {
                    path: path.iter().map(|&part| part.to_owned()).collect(),
                    leaf: None,
                });
                return self.object(path, None, Dynamic::Guess, value);
            }
            Json::Bool(_) => Json::object([("type", Json::text("boolean"))]),
            Json::Number(text) if text.contains(['.', 'e', 'E']) => {
                Json::object([("type", Json::text("float"))])
            }
            Json::Number(_) => Json::object([("type", Json::text("long"))]),
            Json::String(text) if dates::strict_date_optional_time(text).is_some() => {
                Json::object([("type", Json::text("date"))])
            }
            Json::String(_) => Json::object([
                ("type", Json::text("text")),
                (
                    "fields",
                    Json::object([(
                        "keyword",
                        Json::object([
                            ("type", Json::text("keyword")),
                            ("ignore_above", Json::int(256)),
                        ]),
                    )]),
                ),
            ]),
        };
        let leaf = Leaf::parse(path.last().copied().unwrap_or_default(), &definition)?;
        self.leaf(path, &leaf, value)?;
        self.guesses.push(Guess {
            path: path.iter().map(|&part| part.to_owned()).collect(),
            leaf: Some(leaf),
        });
        Ok(())
    }
}
