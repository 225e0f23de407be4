//! Mappings: what fields an index has, and whether a source fits them.

mod check;
pub mod dates;
mod values;

use super::engine::refusal::{Cause, Refusal, kind};
use super::json::Json;
use check::Check;
use std::collections::BTreeMap;

pub use values::{address, network};

/// What happens to a field that the mapping does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dynamic {
    /// Its type is guessed and added to the mapping.
    Guess,
    /// It is stored, but cannot be searched.
    Ignore,
    /// The document is refused.
    Strict,
}

/// The types of leaf fields that are modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// One term, compared exactly.
    Keyword,
    /// Words.
    Text,
    /// Whole numbers between the two bounds (`long`, `integer`, `short`, `byte`, `unsigned_long`).
    Whole {
        /// The type's name.
        name: &'static str,
        /// Least value.
        min: i128,
        /// Greatest value.
        max: i128,
    },
    /// Numbers with a fraction (`double`, `float`, `half_float`, `scaled_float`).
    Decimal {
        /// The type's name.
        name: &'static str,
    },
    /// `true` or `false`.
    Boolean,
    /// An instant.
    Date,
    /// An IPv4 or IPv6 address.
    Ip,
}

impl FieldType {
    fn of(name: &str) -> Option<FieldType> {
        let whole = |name, min, max| Some(FieldType::Whole { name, min, max });
        match name {
            "keyword" | "wildcard" | "constant_keyword" => Some(FieldType::Keyword),
            "text" | "match_only_text" => Some(FieldType::Text),
            "long" => whole("long", i64::MIN.into(), i64::MAX.into()),
            "integer" => whole("integer", i32::MIN.into(), i32::MAX.into()),
            "short" => whole("short", i16::MIN.into(), i16::MAX.into()),
            "byte" => whole("byte", i8::MIN.into(), i8::MAX.into()),
            "unsigned_long" => whole("unsigned_long", 0, u64::MAX.into()),
            "double" => Some(FieldType::Decimal { name: "double" }),
            "float" => Some(FieldType::Decimal { name: "float" }),
            "half_float" => Some(FieldType::Decimal { name: "half_float" }),
            "scaled_float" => Some(FieldType::Decimal {
                name: "scaled_float",
            }),
            "boolean" => Some(FieldType::Boolean),
            "date" => Some(FieldType::Date),
            "ip" => Some(FieldType::Ip),
            _ => None,
        }
    }

    /// The name of the type in refusals.
    pub fn name(self) -> &'static str {
        match self {
            FieldType::Keyword => "keyword",
            FieldType::Text => "text",
            FieldType::Whole { name, .. } | FieldType::Decimal { name } => name,
            FieldType::Boolean => "boolean",
            FieldType::Date => "date",
            FieldType::Ip => "ip",
        }
    }
}

/// A leaf field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Leaf {
    /// How its values are read and compared.
    pub kind: FieldType,
    /// Longer keywords (in characters) are stored but not searchable.
    pub ignore_above: Option<usize>,
    /// Values that do not fit are stored but not searchable, instead of refused.
    ignore_malformed: bool,
    /// Other views of the same value (`name.keyword`).
    fields: BTreeMap<String, Leaf>,
    /// The definition as it was given.
    stated: Json,
}

/// A field: an object of fields, or a leaf.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Field {
    Object(Object),
    Leaf(Leaf),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Object {
    dynamic: Option<Dynamic>,
    fields: BTreeMap<String, Field>,
    /// Members other than `dynamic` and `properties`, as given.
    stated: Vec<(String, Json)>,
}

/// The mapping of one index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mapping {
    root: Object,
}

/// A field whose type was guessed while a document was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    path: Vec<String>,
    leaf: Option<Leaf>,
}

fn parse_failure(reason: String) -> Refusal {
    Refusal::new(
        400,
        kind::MAPPER_PARSING,
        format!("Failed to parse mapping [_doc]: {reason}"),
    )
    .because(Cause::new(kind::MAPPER_PARSING, reason))
}

impl Leaf {
    fn parse(name: &str, definition: &Json) -> Result<Leaf, Refusal> {
        let type_name = definition
            .get("type")
            .and_then(Json::as_str)
            .unwrap_or_default();
        let Some(kind) = FieldType::of(type_name) else {
            return Err(parse_failure(format!(
                "No handler for type [{type_name}] declared on field [{name}]"
            )));
        };
        if let Some(format) = definition.get("format").and_then(Json::as_str)
            && !format
                .split("||")
                .all(|known| matches!(known, "strict_date_optional_time" | "epoch_millis"))
        {
            return Err(parse_failure(format!(
                "this model does not know the date format [{format}] of field [{name}]"
            )));
        }
        let mut fields = BTreeMap::new();
        for (below, inner) in definition
            .get("fields")
            .and_then(Json::members)
            .unwrap_or_default()
        {
            fields.insert(below.clone(), Leaf::parse(below, inner)?);
        }
        Ok(Leaf {
            kind,
            ignore_above: definition
                .get("ignore_above")
                .and_then(Json::as_int)
                .and_then(|bound| usize::try_from(bound).ok()),
            ignore_malformed: definition
                .get("ignore_malformed")
                .and_then(Json::as_bool)
                .unwrap_or(false),
            fields,
            stated: definition.clone(),
        })
    }
}

impl Object {
    fn parse(definition: &Json) -> Result<Object, Refusal> {
        let mut object = Object {
            dynamic: None,
            fields: BTreeMap::new(),
            stated: Vec::new(),
        };
        for (name, value) in definition.members().unwrap_or_default() {
            match name.as_str() {
                "dynamic" => {
                    object.dynamic = Some(match value.scalar_text().as_deref() {
                        Some("true") => Dynamic::Guess,
                        Some("false") => Dynamic::Ignore,
                        Some("strict") => Dynamic::Strict,
                        _ => {
                            return Err(parse_failure(
                                "Could not convert [dynamic.dynamic] to boolean".to_owned(),
                            ));
                        }
                    });
                }
                "properties" => {
                    for (field, definition) in value.members().unwrap_or_default() {
                        object.define(&field.split('.').collect::<Vec<_>>(), definition)?;
                    }
                }
                _ => object.stated.push((name.clone(), value.clone())),
            }
        }
        Ok(object)
    }

    fn define(&mut self, path: &[&str], definition: &Json) -> Result<(), Refusal> {
        let [name, below @ ..] = path else {
            return Err(parse_failure(
                "field name cannot be an empty string".to_owned(),
            ));
        };
        if name.is_empty() {
            return Err(parse_failure(
                "field name cannot be an empty string".to_owned(),
            ));
        }
        if !below.is_empty() {
            let known = self
                .fields
                .entry((*name).to_owned())
                .or_insert_with(|| Field::Object(Object::empty()));
            return match known {
                Field::Object(object) => object.define(below, definition),
                Field::Leaf(_) => Err(parse_failure(format!("[{name}] is a field and an object"))),
            };
        }
        let type_name = definition.get("type").and_then(Json::as_str);
        let field = match type_name {
            None | Some("object") => Field::Object(Object::parse(definition)?),
            Some(_) => Field::Leaf(Leaf::parse(name, definition)?),
        };
        self.fields.insert((*name).to_owned(), field);
        Ok(())
    }

    fn empty() -> Object {
        Object {
            dynamic: None,
            fields: BTreeMap::new(),
            stated: Vec::new(),
        }
    }

    fn json(&self) -> Json {
        let mut members = Vec::new();
        if let Some(dynamic) = self.dynamic {
            let word = match dynamic {
                Dynamic::Guess => "true",
                Dynamic::Ignore => "false",
                Dynamic::Strict => "strict",
            };
            members.push(("dynamic".to_owned(), Json::text(word)));
        }
        members.extend(self.stated.iter().cloned());
        if !self.fields.is_empty() {
            let properties = self.fields.iter().map(|(name, field)| {
                let definition = match field {
                    Field::Object(object) => object.json(),
                    Field::Leaf(leaf) => leaf.stated.clone(),
                };
                (name.clone(), definition)
            });
            members.push(("properties".to_owned(), Json::Object(properties.collect())));
        }
        Json::Object(members)
    }

    fn learn(&mut self, path: &[String], leaf: Option<Leaf>) {
        let [name, below @ ..] = path else { return };
        if below.is_empty() {
            let field = leaf.map_or_else(|| Field::Object(Object::empty()), Field::Leaf);
            self.fields.entry(name.clone()).or_insert(field);
        } else if let Field::Object(inner) = self
            .fields
            .entry(name.clone())
            .or_insert_with(|| Field::Object(Object::empty()))
        {
            inner.learn(below, leaf);
        }
    }

    fn merge(&mut self, newer: Object) -> Result<(), Refusal> {
        if newer.dynamic.is_some() {
            self.dynamic = newer.dynamic;
        }
        for (name, value) in newer.stated {
            self.stated.retain(|(known, _)| *known != name);
            self.stated.push((name, value));
        }
        for (name, field) in newer.fields {
            match (self.fields.get_mut(&name), field) {
                (Some(Field::Object(known)), Field::Object(object)) => known.merge(object)?,
                (Some(Field::Leaf(known)), Field::Leaf(leaf)) if known.kind == leaf.kind => {
                    *known = leaf
                }
                (None, field) => {
                    self.fields.insert(name, field);
                }
                (Some(Field::Leaf(known)), Field::Leaf(leaf)) => {
                    return Err(Refusal::illegal_argument(format!(
                        "mapper [{name}] cannot be changed from type [{}] to [{}]",
                        known.kind.name(),
                        leaf.kind.name()
                    )));
                }
                (Some(_), _) => {
                    return Err(Refusal::illegal_argument(format!(
                        "can't merge a non object mapping [{name}] with an object mapping"
                    )));
                }
            }
        }
        Ok(())
    }
}

impl Mapping {
    /// The mapping of an index created without one: everything is guessed.
    pub fn guessed() -> Mapping {
        Mapping {
            root: Object::empty(),
        }
    }

    /// Reads a `mappings` object.
    ///
    /// # Errors
    /// 400 `mapper_parsing_exception` for a type or date format that is not modelled.
    pub fn parse(definition: &Json) -> Result<Mapping, Refusal> {
        Ok(Mapping {
            root: Object::parse(definition)?,
        })
    }

    /// The mapping as `GET _mapping` shows it.
    pub fn json(&self) -> Json {
        self.root.json()
    }

    /// Adds the fields of another mapping (`PUT _mapping`).
    ///
    /// # Errors
    /// 400 when a field would change its type.
    pub fn merge(&mut self, newer: Mapping) -> Result<(), Refusal> {
        let mut merged = self.root.clone();
        merged.merge(newer.root)?;
        self.root = merged;
        Ok(())
    }

    /// The leaf at this path, subfields included; for a subfield also the path of the field that holds the value.
    pub fn leaf<'a>(&'a self, path: &'a str) -> Option<(&'a Leaf, &'a str)> {
        let mut object = &self.root;
        let mut end = 0;
        for name in path.split('.') {
            end += name.len() + usize::from(end > 0);
            match object.fields.get(name)? {
                Field::Object(inner) => object = inner,
                Field::Leaf(leaf) if end == path.len() => return Some((leaf, path)),
                Field::Leaf(leaf) => {
                    return leaf
                        .fields
                        .get(&path[end + 1..])
                        .map(|inner| (inner, &path[..end]));
                }
            }
        }
        None
    }

    /// Whether the path names an object of fields.
    pub fn is_object(&self, path: &str) -> bool {
        let mut object = &self.root;
        for name in path.split('.') {
            match object.fields.get(name) {
                Some(Field::Object(inner)) => object = inner,
                Some(Field::Leaf(_)) | None => return false,
            }
        }
        true
    }

    /// Checks a source, which is an object, and says what it would add to the mapping.
    ///
    /// # Errors
    /// 400 with the type and reason of the first field that does not fit.
    pub fn check(&self, id: &str, source: &Json) -> Result<Vec<Guess>, Refusal> {
        let mut check = Check {
            id,
            guesses: Vec::new(),
        };
        check.object(
            &[],
            Some(&self.root),
            self.root.dynamic.unwrap_or(Dynamic::Guess),
            source,
        )?;
        Ok(check.guesses)
    }

    /// Takes in what [`Mapping::check`] guessed.
    pub fn learn(&mut self, guesses: Vec<Guess>) {
        for guess in guesses {
            self.root.learn(&guess.path, guess.leaf);
        }
    }
}

#[cfg(test)]
mod tests;
