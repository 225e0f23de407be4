//! `_index_template`

use super::params::Params;
use super::{Answer, Answered, Request, body_required};
use crate::model::engine::{Indexer, Refusal, Template};
use crate::model::json::Json;
use crate::model::query::wildcard;

/// `GET` and `HEAD`
pub fn get(indexer: &Indexer, expression: &str) -> Answered {
    let shown: Vec<Json> = indexer
        .templates()
        .iter()
        .filter(|(name, _)| wildcard(expression, name))
        .map(|(name, template)| template.json(name))
        .collect();
    if shown.is_empty() && !expression.contains('*') {
        return Err(Refusal::new(
            404,
            "resource_not_found_exception",
            format!("index template matching [{expression}] not found"),
        ));
    }
    Ok(Answer::ok(Json::object([(
        "index_templates",
        Json::Array(shown),
    )])))
}

/// `PUT`
pub fn put(indexer: &mut Indexer, request: &Request<'_>, params: &Params, name: &str) -> Answered {
    let create = params.flag("create", false)?;
    params.accept("cluster_manager_timeout");
    params.accept("cause");
    params.all_known(request)?;
    if create && indexer.templates().contains_key(name) {
        return Err(Refusal::illegal_argument(format!(
            "index template [{name}] already exists"
        )));
    }
    indexer.put_template(name, Template::parse(name, &body_required(request)?)?)?;
    Ok(Answer::acknowledged())
}

/// `DELETE`
pub fn delete(indexer: &mut Indexer, name: &str) -> Answered {
    let found: Vec<String> = indexer
        .templates()
        .keys()
        .filter(|known| wildcard(name, known))
        .cloned()
        .collect();
    if found.is_empty() && !name.contains('*') {
        return Err(Refusal::new(
            404,
            "index_template_missing_exception",
            format!("index_template [{name}] missing"),
        ));
    }
    for name in found {
        indexer.delete_template(&name);
    }
    Ok(Answer::acknowledged())
}

/// `POST _simulate_index`: what an index of this name would get.
pub fn simulate(indexer: &Indexer, index: &str) -> Answered {
    let Some((winner, template)) = indexer.winning_template(index) else {
        return Ok(Answer::ok(Json::Object(Vec::new())));
    };
    let mut body = vec![
        (
            "settings".to_owned(),
            Json::object([("index", Json::Object(Vec::new()))]),
        ),
        ("mappings".to_owned(), Json::Object(Vec::new())),
    ];
    if let Json::Object(members) = template.body() {
        for (name, value) in members {
            body.retain(|(known, _)| *known != name);
            body.push((name, value));
        }
    }
    body.push(("aliases".to_owned(), Json::Object(Vec::new())));
    let overlapping = indexer
        .templates()
        .iter()
        .filter(|(name, other)| {
            *name != winner
                && other
                    .patterns
                    .iter()
                    .any(|pattern| wildcard(pattern, index))
        })
        .map(|(name, other)| {
            let patterns = other
                .patterns
                .iter()
                .map(|pattern| Json::text(pattern.as_str()))
                .collect();
            Json::object([
                ("name", Json::text(name.as_str())),
                ("index_patterns", Json::Array(patterns)),
            ])
        })
        .collect();
    Ok(Answer::ok(Json::object([
        ("template", Json::Object(body)),
        ("overlapping", Json::Array(overlapping)),
    ])))
}
