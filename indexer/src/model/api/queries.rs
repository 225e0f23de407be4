//! The query language of a request body.

use super::not_modelled;
use crate::model::engine::Refusal;
use crate::model::engine::refusal::Cause;
use crate::model::json::Json;
use crate::model::query::{Bound, Query};

/// Queries of a real server that are not modelled.
const NOT_MODELLED: &[&str] = &[
    "boosting",
    "constant_score",
    "dis_max",
    "fuzzy",
    "geo_bounding_box",
    "geo_distance",
    "has_child",
    "has_parent",
    "knn",
    "match_phrase",
    "match_phrase_prefix",
    "more_like_this",
    "multi_match",
    "nested",
    "regexp",
    "script",
    "simple_query_string",
    "span_term",
    "terms_set",
];

fn parsing(reason: impl Into<String>) -> Refusal {
    Refusal::new(400, "parsing_exception", reason)
}

/// Reads one query.
///
/// # Errors
/// 400 for what no server knows, 501 for what this one does not.
#[expect(clippy::too_many_lines, reason = "one arm per query: a table")]
pub fn parse(query: &Json) -> Result<Query, Refusal> {
    let Some([(name, body)]) = query.members() else {
        return Err(parsing(
            "[_na] query malformed, must start with one named query",
        ));
    };
    match name.as_str() {
        "match_all" => Ok(Query::All),
        "match_none" => Ok(Query::Ids(std::collections::BTreeSet::new())),
        "ids" => {
            let values = body
                .get("values")
                .and_then(Json::elements)
                .ok_or_else(|| parsing("[ids] needs values"))?;
            Ok(Query::Ids(
                values.iter().filter_map(Json::scalar_text).collect(),
            ))
        }
        "exists" => {
            let field = body
                .get("field")
                .and_then(Json::as_str)
                .ok_or_else(|| parsing("[exists] needs a field"))?;
            Ok(Query::Exists(field.to_owned()))
        }
        "term" => {
            let (field, term) = field_of(name, body)?;
            let (value, case_insensitive) = valued(name, term, "value", &["boost"])?;
            Ok(Query::Terms {
                field,
                values: vec![value],
                case_insensitive,
            })
        }
        "terms" => {
            let members: Vec<_> = body
                .members()
                .unwrap_or_default()
                .iter()
                .filter(|(name, _)| name != "boost")
                .collect();
            let [(field, values)] = members.as_slice() else {
                return Err(parsing("[terms] query needs one field"));
            };
            let Some(values) = values.elements() else {
                return Err(parsing("[terms] query requires an array of terms"));
            };
            Ok(Query::Terms {
                field: field.clone(),
                values: values.to_vec(),
                case_insensitive: false,
            })
        }
        "prefix" => {
            let (field, term) = field_of(name, body)?;
            let (value, case_insensitive) = valued(name, term, "value", &["boost", "rewrite"])?;
            Ok(Query::Prefix {
                field,
                prefix: value.scalar_text().unwrap_or_default(),
                case_insensitive,
            })
        }
        "wildcard" => {
            let (field, term) = field_of(name, body)?;
            let (value, case_insensitive) = valued(name, term, "value", &["boost", "rewrite"])?;
            Ok(Query::Wildcard {
                field,
                pattern: value.scalar_text().unwrap_or_default(),
                case_insensitive,
            })
        }
        "match" => {
            let (field, wanted) = field_of(name, body)?;
            let all_words = wanted
                .get("operator")
                .and_then(Json::as_str)
                .is_some_and(|word| word == "and");
            let (text, _) = valued(name, wanted, "query", &["boost", "operator"])?;
            Ok(Query::Match {
                field,
                text,
                all_words,
            })
        }
        "range" => range(body),
        "bool" => boolean(body),
        "query_string" => {
            for (member, _) in body.members().unwrap_or_default() {
                if member != "query" {
                    return Err(not_modelled(&format!("query_string with [{member}]")));
                }
            }
            query_string(body.get("query").and_then(Json::as_str).unwrap_or_default())
        }
        other if NOT_MODELLED.contains(&other) => {
            Err(not_modelled(&format!("the query [{other}]")))
        }
        other => Err(
            parsing(format!("unknown query [{other}]")).because(Cause::new(
                "named_object_not_found_exception",
                format!("unknown field [{other}]"),
            )),
        ),
    }
}

/// The one field a query of the form `{"field": ...}` names.
fn field_of<'a>(query: &str, body: &'a Json) -> Result<(String, &'a Json), Refusal> {
    match body.members() {
        Some([(field, value)]) => Ok((field.clone(), value)),
        _ => Err(parsing(format!(
            "[{query}] query malformed, needs one field"
        ))),
    }
}

/// The value of `"x"` or `{"value": "x", "case_insensitive": true}`.
fn valued(
    query: &str,
    given: &Json,
    member: &str,
    passed_over: &[&str],
) -> Result<(Json, bool), Refusal> {
    let Some(members) = given.members() else {
        return match given.scalar_text() {
            Some(_) => Ok((given.clone(), false)),
            None => Err(Refusal::illegal_argument(format!(
                "[{query}] needs a value that is not null"
            ))),
        };
    };
    let mut value = None;
    let mut case_insensitive = false;
    for (name, given) in members {
        if name == member {
            value = Some(given.clone());
        } else if name == "case_insensitive" {
            case_insensitive = given.as_bool().unwrap_or(false);
        } else if !passed_over.contains(&name.as_str()) {
            return Err(parsing(format!(
                "[{query}] query does not support [{name}] (here)"
            )));
        }
    }
    let value = value.ok_or_else(|| parsing(format!("[{query}] needs [{member}]")))?;
    Ok((value, case_insensitive))
}

fn range(body: &Json) -> Result<Query, Refusal> {
    let (field, bounds) = field_of("range", body)?;
    let (mut lower, mut upper) = (None, None);
    for (name, value) in bounds.members().unwrap_or_default() {
        let bound = |inclusive| {
            (*value != Json::Null).then(|| Bound {
                value: value.clone(),
                inclusive,
            })
        };
        match name.as_str() {
            "gte" | "from" => lower = bound(true),
            "gt" => lower = bound(false),
            "lte" | "to" => upper = bound(true),
            "lt" => upper = bound(false),
            "boost" => {}
            other => {
                return Err(parsing(format!(
                    "[range] query does not support [{other}] (here)"
                )));
            }
        }
    }
    Ok(Query::Range {
        field,
        lower,
        upper,
    })
}

fn boolean(body: &Json) -> Result<Query, Refusal> {
    let (mut must, mut should, mut must_not) = (Vec::new(), Vec::new(), Vec::new());
    let mut minimum = None;
    for (name, value) in body.members().unwrap_or_default() {
        let clauses = |value: &Json| match value {
            Json::Array(elements) => elements.iter().map(parse).collect::<Result<Vec<_>, _>>(),
            single => Ok(vec![parse(single)?]),
        };
        match name.as_str() {
            "must" | "filter" => must.extend(clauses(value)?),
            "should" => should = clauses(value)?,
            "must_not" => must_not = clauses(value)?,
            "minimum_should_match" => {
                let number = value
                    .as_int()
                    .and_then(|number| usize::try_from(number).ok());
                minimum = Some(
                    number
                        .ok_or_else(|| not_modelled("minimum_should_match other than a number"))?,
                );
            }
            "boost" => {}
            other => return Err(parsing(format!("[bool] query does not support [{other}]"))),
        }
    }
    let default = usize::from(!should.is_empty() && must.is_empty());
    Ok(Query::Bool {
        must,
        should,
        must_not,
        minimum_should_match: minimum.unwrap_or(default),
    })
}

/// `field:term`, `field:pat*`, `*`, and these joined by `AND`: what a first question in a search box is.
///
/// # Errors
/// 501 for more of the Lucene syntax.
pub fn query_string(text: &str) -> Result<Query, Refusal> {
    let mut must = Vec::new();
    for part in text.split(" AND ").map(str::trim) {
        if part == "*" || part == "*:*" {
            must.push(Query::All);
            continue;
        }
        let simple = |text: &str| {
            !text.is_empty() && !text.contains(|c: char| " ()[]{}\"/\\~^!".contains(c))
        };
        let Some((field, value)) = part
            .split_once(':')
            .filter(|(field, value)| simple(field) && simple(value))
        else {
            return Err(not_modelled(&format!(
                "this query string: [{part}] (field:value and AND only)"
            )));
        };
        let field = field.to_owned();
        must.push(if value.contains(['*', '?']) {
            Query::Wildcard {
                field,
                pattern: value.to_owned(),
                case_insensitive: false,
            }
        } else {
            Query::Match {
                field,
                text: Json::text(value),
                all_words: true,
            }
        });
    }
    Ok(Query::Bool {
        must,
        should: Vec::new(),
        must_not: Vec::new(),
        minimum_should_match: 0,
    })
}
