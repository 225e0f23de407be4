//! The queries that are modelled, and what they match.

use super::engine::Document;
use super::fields::{Fields, decimal};
use super::json::Json;
use super::mapping::{FieldType, Leaf, Mapping, address, dates, network};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// One side of a range.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bound {
    /// The value of the bound.
    pub value: Json,
    /// Whether the value itself is inside.
    pub inclusive: bool,
}

/// A query.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Query {
    /// Every document.
    All,
    /// These ids.
    Ids(BTreeSet<String>),
    /// Documents with a value in this field or below it.
    Exists(String),
    /// Documents with one of these terms in the field.
    Terms {
        /// The field's path.
        field: String,
        /// The terms.
        values: Vec<Json>,
        /// Whether upper and lower case are the same.
        case_insensitive: bool,
    },
    /// Documents with a value between the bounds.
    Range {
        /// The field's path.
        field: String,
        /// The lower bound.
        lower: Option<Bound>,
        /// The upper bound.
        upper: Option<Bound>,
    },
    /// Documents with a term that fits a pattern of `*` and `?`.
    Wildcard {
        /// The field's path.
        field: String,
        /// The pattern.
        pattern: String,
        /// Whether upper and lower case are the same.
        case_insensitive: bool,
    },
    /// Documents with a term that begins so.
    Prefix {
        /// The field's path.
        field: String,
        /// The beginning.
        prefix: String,
        /// Whether upper and lower case are the same.
        case_insensitive: bool,
    },
    /// Documents with one of the words (all of them, with `all_words`) in a text field; a term query elsewhere.
    Match {
        /// The field's path.
        field: String,
        /// What is looked for.
        text: Json,
        /// Whether every word must be there.
        all_words: bool,
    },
    /// A combination.
    Bool {
        /// All of these (`must` and `filter`).
        must: Vec<Query>,
        /// At least `minimum_should_match` of these.
        should: Vec<Query>,
        /// None of these.
        must_not: Vec<Query>,
        /// How many of `should` are needed.
        minimum_should_match: usize,
    },
}

impl Query {
    /// One term in one field: the query of a listing by agent.
    pub fn term(field: impl Into<String>, value: impl Into<String>) -> Query {
        Query::Terms {
            field: field.into(),
            values: vec![Json::String(value.into())],
            case_insensitive: false,
        }
    }

    /// One of several terms in one field.
    pub fn terms<T: Into<String>>(
        field: impl Into<String>,
        values: impl IntoIterator<Item = T>,
    ) -> Query {
        let values = values
            .into_iter()
            .map(|value| Json::String(value.into()))
            .collect();
        Query::Terms {
            field: field.into(),
            values,
            case_insensitive: false,
        }
    }

    /// Whether the document is matched. Without a mapping every field is compared as its text or number stands.
    pub fn matches(
        &self,
        id: &str,
        document: &Document,
        mapping: Option<&Mapping>,
        now_ms: u64,
    ) -> bool {
        let view = |field| View::new(document.fields(), mapping, field);
        match self {
            Query::All => true,
            Query::Ids(ids) => ids.contains(id),
            Query::Exists(field) => {
                if field == "_id" {
                    return true;
                }
                match mapping {
                    Some(mapping) if !mapping.is_object(field) => {
                        view(field).values().next().is_some()
                    }
                    _ => document.fields().has_at_or_below(field),
                }
            }
            Query::Terms { field, values, .. } if field == "_id" => {
                values.iter().any(|value| value.as_str() == Some(id))
            }
            Query::Terms {
                field,
                values,
                case_insensitive,
            } => {
                let view = view(field);
                view.values().any(|held| {
                    values
                        .iter()
                        .any(|wanted| view.has_term(held, wanted, *case_insensitive))
                })
            }
            Query::Range {
                field,
                lower,
                upper,
            } => {
                let view = view(field);
                view.values().any(|held| {
                    view.within(held, lower.as_ref(), true, now_ms)
                        && view.within(held, upper.as_ref(), false, now_ms)
                })
            }
            Query::Wildcard {
                field,
                pattern,
                case_insensitive,
            } => {
                let view = view(field);
                let pattern = fold(pattern, *case_insensitive);
                view.terms()
                    .any(|term| wildcard(&pattern, &fold(&term, *case_insensitive)))
            }
            Query::Prefix {
                field,
                prefix,
                case_insensitive,
            } => {
                let view = view(field);
                let prefix = fold(prefix, *case_insensitive);
                view.terms()
                    .any(|term| fold(&term, *case_insensitive).starts_with(&prefix))
            }
            Query::Match {
                field,
                text,
                all_words,
            } => {
                let view = view(field);
                if !view.is_text() {
                    return view.values().any(|held| view.has_term(held, text, false));
                }
                let wanted = words(&text.scalar_text().unwrap_or_default());
                let held: BTreeSet<String> = view.terms().collect();
                if *all_words {
                    !wanted.is_empty() && wanted.iter().all(|word| held.contains(word))
                } else {
                    wanted.iter().any(|word| held.contains(word))
                }
            }
            Query::Bool {
                must,
                should,
                must_not,
                minimum_should_match,
            } => {
                let holds = |query: &Query| query.matches(id, document, mapping, now_ms);
                must.iter().all(holds)
                    && !must_not.iter().any(holds)
                    && should
                        .iter()
                        .filter(|query| holds(query))
                        .take(*minimum_should_match)
                        .count()
                        >= *minimum_should_match
            }
        }
    }
}

fn fold(text: &str, case_insensitive: bool) -> String {
    if case_insensitive {
        text.to_lowercase()
    } else {
        text.to_owned()
    }
}

/// The words of a text, as the standard analyzer finds them in plain prose: runs of letters and digits, lower case.
pub fn words(text: &str) -> Vec<String> {
    text.split(|character: char| !character.is_alphanumeric() && character != '_')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// Whether a text fits a pattern of `*` (any run) and `?` (one character).
pub fn wildcard(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut at_pattern, mut at_text) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at_text < text.len() {
        match pattern.get(at_pattern) {
            Some('*') => {
                retry = Some((at_pattern, at_text));
                at_pattern += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == text[at_text] => {
                at_pattern += 1;
                at_text += 1;
            }
            _ => match retry {
                Some((star, from)) => {
                    retry = Some((star, from + 1));
                    at_pattern = star + 1;
                    at_text = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at_pattern..].iter().all(|&rest| rest == '*')
}

/// One field of one document, with its type where there is a mapping.
pub struct View<'a> {
    fields: &'a Fields,
    path: &'a str,
    leaf: Option<&'a Leaf>,
    /// A mapping is there, but it does not have this field: nothing is indexed under it.
    unmapped: bool,
}

impl<'a> View<'a> {
    /// The view of `path`; a subfield's values are those of the field that holds it.
    pub fn new(fields: &'a Fields, mapping: Option<&'a Mapping>, path: &'a str) -> View<'a> {
        match mapping.map(|mapping| mapping.leaf(path)) {
            Some(Some((leaf, holder))) => View {
                fields,
                path: holder,
                leaf: Some(leaf),
                unmapped: false,
            },
            Some(None) => View {
                fields,
                path,
                leaf: None,
                unmapped: true,
            },
            None => View {
                fields,
                path,
                leaf: None,
                unmapped: false,
            },
        }
    }

    /// Whether the field is analysed text.
    pub fn is_text(&self) -> bool {
        self.leaf.is_some_and(|leaf| leaf.kind == FieldType::Text)
    }

    /// The values that are indexed: those beyond `ignore_above` are not.
    pub fn values(&self) -> impl Iterator<Item = &'a Json> {
        let bound = self
            .leaf
            .and_then(|leaf| leaf.ignore_above)
            .unwrap_or(usize::MAX);
        let unmapped = self.unmapped;
        self.fields.values(self.path).filter(move |value| {
            !unmapped
                && value
                    .as_str()
                    .is_none_or(|text| text.chars().count() <= bound)
        })
    }

    fn terms(&self) -> impl Iterator<Item = String> {
        let text = self.is_text();
        self.values()
            .filter_map(Json::scalar_text)
            .flat_map(move |value| if text { words(&value) } else { vec![value] })
    }

    fn has_term(&self, held: &Json, wanted: &Json, case_insensitive: bool) -> bool {
        if let Some(leaf) = self.leaf {
            match leaf.kind {
                FieldType::Ip => {
                    let Some((first, last)) = wanted.as_str().and_then(network) else {
                        return self.compare(held, wanted) == Some(Ordering::Equal);
                    };
                    return held
                        .as_str()
                        .and_then(address)
                        .is_some_and(|held| (first..=last).contains(&held));
                }
                FieldType::Text => {
                    let Some(wanted) = wanted.scalar_text() else {
                        return false;
                    };
                    return words(&held.scalar_text().unwrap_or_default())
                        .contains(&fold(&wanted, case_insensitive));
                }
                FieldType::Keyword | FieldType::Boolean => {}
                FieldType::Whole { .. } | FieldType::Decimal { .. } | FieldType::Date => {
                    return self.compare(held, wanted) == Some(Ordering::Equal);
                }
            }
        }
        match (held.scalar_text(), wanted.scalar_text()) {
            (Some(held), Some(wanted)) => {
                fold(&held, case_insensitive) == fold(&wanted, case_insensitive)
            }
            _ => false,
        }
    }

    fn within(&self, held: &Json, bound: Option<&Bound>, lower: bool, now_ms: u64) -> bool {
        let Some(bound) = bound else { return true };
        let order = if self.leaf.is_some_and(|leaf| leaf.kind == FieldType::Date) {
            let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
            // A rounded unit excludes all of itself with gt, includes all of itself with lte.
            let wanted = bound
                .value
                .scalar_text()
                .and_then(|text| dates::parse_math(&text, now_ms, lower != bound.inclusive));
            self.key(held)
                .zip(wanted)
                .map(|(held, wanted)| held.cmp(&SortKey::Number(i128::from(wanted))))
        } else {
            self.compare(held, &bound.value)
        };
        match order {
            Some(Ordering::Equal) => bound.inclusive,
            Some(Ordering::Greater) => lower,
            Some(Ordering::Less) => !lower,
            None => false,
        }
    }

    fn compare(&self, left: &Json, right: &Json) -> Option<Ordering> {
        Some(self.key(left)?.cmp(&self.key(right)?))
    }

    /// The value in the form in which this field is compared and sorted.
    pub fn key(&self, value: &Json) -> Option<SortKey> {
        let text = value.scalar_text()?;
        let number = |text: &str| decimal(text).map(SortKey::Number);
        match self.leaf.map(|leaf| leaf.kind) {
            Some(FieldType::Keyword | FieldType::Text) => Some(SortKey::Text(text)),
            Some(FieldType::Whole { .. } | FieldType::Decimal { .. }) => number(&text),
            Some(FieldType::Date) => {
                dates::parse(&text).map(|instant| SortKey::Number(i128::from(instant)))
            }
            Some(FieldType::Ip) => address(&text).map(SortKey::Address),
            Some(FieldType::Boolean) => Some(SortKey::Number(i128::from(text == "true"))),
            None => match value {
                Json::Number(_) => number(&text),
                _ => Some(SortKey::Text(text)),
            },
        }
    }
}

/// A value as it is compared: numbers in units of 10⁻⁹ (instants in milliseconds), addresses as IPv6.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortKey {
    /// A number or an instant.
    Number(i128),
    /// An address.
    Address(u128),
    /// A term.
    Text(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("?b", "ab", true),
            ("?b", "b", false),
            ("*l*", "zlib", true),
            ("*ab*ab", "abxabab", true),
            ("", "a", false),
        ] {
            assert_eq!(wildcard(pattern, text), fits, "{pattern} on {text}");
        }
    }
}
