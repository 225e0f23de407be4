//! Requests for indices, and how index names in a path are resolved.

use super::params::Params;
use super::{Answer, Answered, Request, body_object, body_required, not_modelled};
use crate::model::engine::refusal::kind;
use crate::model::engine::{Index, Indexer, Refusal, Settings, settings};
use crate::model::json::Json;
use crate::model::mapping::Mapping;
use crate::model::query::wildcard;

/// The refusal of a name no index can have.
pub fn invalid_name(name: &str) -> Refusal {
    Refusal::new(
        400,
        kind::INVALID_INDEX_NAME,
        format!("Invalid index name [{name}], must not start with '_'."),
    )
    .with("index", Json::text(name))
    .with("index_uuid", Json::text("_na_"))
}

/// The indices an expression names: names, `*`, `_all` and commas. Closed ones are not found by a wildcard.
///
/// # Errors
/// 404 for a plain name that does not exist, unless those are to be ignored.
pub fn resolve(
    indexer: &Indexer,
    expression: &str,
    ignore_missing: bool,
) -> Result<Vec<String>, Refusal> {
    let mut names: Vec<String> = Vec::new();
    for part in expression.split(',') {
        if part == "_all" || part.contains('*') {
            let pattern = if part == "_all" { "*" } else { part };
            let open = indexer
                .indices()
                .filter(|index| !index.closed && wildcard(pattern, &index.name));
            names.extend(open.map(|index| index.name.to_string()));
        } else if part.starts_with('-') {
            return Err(not_modelled("exclusions in index names"));
        } else if part.starts_with('_') {
            return Err(invalid_name(part));
        } else if indexer.get_index(part).is_some() {
            names.push(part.to_owned());
        } else if !ignore_missing {
            return Err(Refusal::index_not_found(part, "index_or_alias"));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

/// Names of a [`resolve`] result, as the engine takes them.
pub fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// `POST _refresh`
pub fn refresh(indexer: &mut Indexer, now_ms: u64, params: &Params, expression: &str) -> Answered {
    let ignore = params.flag("ignore_unavailable", false)?;
    params.flag("allow_no_indices", true)?;
    let names = resolve(indexer, expression, ignore)?;
    let shards = indexer.refresh(&borrowed(&names), now_ms)?;
    Ok(Answer::ok(Json::object([(
        "_shards",
        Json::object([
            ("total", Json::count(shards.total)),
            ("successful", Json::count(shards.successful)),
            ("failed", Json::int(0)),
        ]),
    )])))
}

/// `/{index}`
pub fn index(
    indexer: &mut Indexer,
    now_ms: u64,
    request: &Request<'_>,
    params: &Params,
    name: &str,
) -> Answered {
    match request.method {
        "PUT" => create(indexer, now_ms, request, params, name),
        "DELETE" => {
            let names = resolve(indexer, name, params.flag("ignore_unavailable", false)?)?;
            params.accept("timeout");
            params.all_known(request)?;
            for name in &names {
                if let Some(index) = indexer.get_index(name) {
                    refuse_metadata_change(index)?;
                }
            }
            for name in &names {
                indexer.delete_index(name);
            }
            Ok(Answer::acknowledged())
        }
        _ => {
            let names = resolve(indexer, name, params.flag("ignore_unavailable", false)?)?;
            let shown = |index: &Index| {
                Json::object([
                    ("aliases", Json::Object(Vec::new())),
                    ("mappings", shown_mapping(index)),
                    ("settings", shown_settings(index)),
                ])
            };
            Ok(Answer::ok(per_index(indexer, &names, shown)))
        }
    }
}

fn create(
    indexer: &mut Indexer,
    now_ms: u64,
    request: &Request<'_>,
    params: &Params,
    name: &str,
) -> Answered {
    for accepted in [
        "timeout",
        "wait_for_active_shards",
        "cluster_manager_timeout",
        "master_timeout",
    ] {
        params.accept(accepted);
    }
    params.all_known(request)?;
    let mut given = std::collections::BTreeMap::new();
    let mut mapping = None;
    for (member, value) in body_object(request)?
        .as_ref()
        .and_then(Json::members)
        .unwrap_or_default()
    {
        match member.as_str() {
            "settings" => given = settings::flatten(value),
            "mappings" => mapping = Some(Mapping::parse(value)?),
            "aliases" if value.members().is_some_and(<[_]>::is_empty) => {}
            "aliases" => return Err(not_modelled("aliases")),
            _ => {
                return Err(Refusal::new(
                    400,
                    "parse_exception",
                    format!("unknown key [{member}] for create index"),
                ));
            }
        }
    }
    // A shard that may stand nowhere: how a missing shard is made on one node, here as there.
    let nowhere = given
        .keys()
        .any(|name| name.starts_with("routing.allocation.require."));
    let (settings, mapping) = indexer.compose(name, given, mapping)?;
    indexer.create_index(name, settings, mapping, now_ms)?;
    indexer.change_index(name, |index| index.shard_missing = nowhere);
    Ok(Answer::ok(Json::object([
        ("acknowledged", Json::Bool(true)),
        ("shards_acknowledged", Json::Bool(true)),
        ("index", Json::text(name)),
    ])))
}

fn refuse_metadata_change(index: &Index) -> Result<(), Refusal> {
    let blocks = index.settings.blocks;
    let mut blocked = String::new();
    if blocks.read_only {
        blocked.push_str("[FORBIDDEN/5/index read-only (api)];");
    }
    if blocks.metadata {
        blocked.push_str("[FORBIDDEN/9/index metadata (api)];");
    }
    if blocked.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(
        403,
        kind::CLUSTER_BLOCK,
        format!("index [{}] blocked by: {blocked}", index.name),
    ))
}

fn per_index(indexer: &Indexer, names: &[String], shown: impl Fn(&Index) -> Json) -> Json {
    let each = names.iter().filter_map(|name| {
        indexer
            .get_index(name)
            .map(|index| (name.clone(), shown(index)))
    });
    Json::Object(each.collect())
}

fn shown_mapping(index: &Index) -> Json {
    index
        .mapping
        .as_ref()
        .map_or_else(|| Json::Object(Vec::new()), Mapping::json)
}

fn shown_settings(index: &Index) -> Json {
    let mut settings = index.settings.json();
    let identity = [
        ("provided_name", index.name.to_string()),
        ("creation_date", index.creation_date_ms.to_string()),
        ("uuid", index.uuid.clone()),
        ("version.created", "137297827".to_owned()),
        ("replication.type", "DOCUMENT".to_owned()),
    ];
    for (name, value) in identity {
        settings::insert(&mut settings, name, Json::String(value));
    }
    if index.restored {
        settings::insert(
            &mut settings,
            "history.uuid",
            Json::text(index.history_uuid.as_str()),
        );
    }
    Json::object([("index", settings)])
}

/// `GET _mapping`
pub fn mapping(indexer: &Indexer, expression: &str) -> Answered {
    let names = resolve(indexer, expression, false)?;
    Ok(Answer::ok(per_index(indexer, &names, |index| {
        Json::object([("mappings", shown_mapping(index))])
    })))
}

/// `PUT _mapping`
pub fn put_mapping(indexer: &mut Indexer, request: &Request<'_>, expression: &str) -> Answered {
    Params::parse(request.query).all_known(request)?;
    let names = resolve(indexer, expression, false)?;
    let newer = Mapping::parse(&body_required(request)?)?;
    let mut merged = Vec::new();
    for name in names {
        let Some(index) = indexer.get_index(&name) else {
            continue;
        };
        refuse_metadata_change(index)?;
        let mut mapping = index.mapping.clone().unwrap_or_else(Mapping::guessed);
        mapping.merge(newer.clone())?;
        merged.push((name, mapping));
    }
    for (name, mapping) in merged {
        indexer.change_index(&name, |index| index.mapping = Some(mapping));
    }
    Ok(Answer::acknowledged())
}

/// `GET _settings`
pub fn settings(indexer: &Indexer, expression: &str) -> Answered {
    let names = resolve(indexer, expression, false)?;
    Ok(Answer::ok(per_index(indexer, &names, |index| {
        Json::object([("settings", shown_settings(index))])
    })))
}

/// `PUT _settings`
pub fn put_settings(indexer: &mut Indexer, request: &Request<'_>, expression: &str) -> Answered {
    Params::parse(request.query).all_known(request)?;
    let names = resolve(indexer, expression, false)?;
    let body = body_required(request)?;
    let given = settings::flatten(body.get("settings").unwrap_or(&body));
    let mut changed: Vec<(String, Settings)> = Vec::new();
    for name in names {
        let Some(index) = indexer.get_index(&name) else {
            continue;
        };
        if !given.keys().all(|name| name.starts_with("blocks.")) {
            refuse_metadata_change(index)?;
        }
        if let Some(fixed) = given
            .keys()
            .find(|name| matches!(name.as_str(), "number_of_shards" | "codec"))
            && !index.closed
        {
            return Err(Refusal::illegal_argument(format!(
                "Can't update non dynamic settings [[index.{fixed}]] for open indices [[{name}/{}]]",
                index.uuid
            )));
        }
        let mut settings = index.settings.clone();
        settings.change(given.clone())?;
        changed.push((name, settings));
    }
    for (name, settings) in changed {
        indexer.change_index(&name, |index| index.settings = settings);
    }
    Ok(Answer::acknowledged())
}

/// `POST _close` and `POST _open`
pub fn set_closed(
    indexer: &mut Indexer,
    now_ms: u64,
    params: &Params,
    expression: &str,
    closed: bool,
) -> Answered {
    params.accept("timeout");
    params.accept("wait_for_active_shards");
    let names = resolve(indexer, expression, false)?;
    for name in &names {
        indexer.set_closed(name, closed, now_ms);
    }
    let mut body = vec![
        ("acknowledged".to_owned(), Json::Bool(true)),
        ("shards_acknowledged".to_owned(), Json::Bool(true)),
    ];
    if closed {
        let each = names
            .into_iter()
            .map(|name| (name, Json::object([("closed", Json::Bool(true))])));
        body.push(("indices".to_owned(), Json::Object(each.collect())));
    }
    Ok(Answer::ok(Json::Object(body)))
}
