//! Identity, health and the few cluster settings that are modelled.

use super::indices::resolve;
use super::params::Params;
use super::{Answer, Answered, Request, body_required, not_modelled};
use crate::model::engine::{Index, Indexer, Refusal, Release, settings};
use crate::model::json::Json;

const CLUSTER_NAME: &str = "inventory-indexer";

/// `GET /`
pub fn root(indexer: &Indexer) -> Answer {
    let number = match indexer.options().release {
        Release::V2 => "2.19.1",
        Release::V3 => "3.8.0",
    };
    Answer::ok(Json::object([
        ("name", Json::text("stand-in")),
        ("cluster_name", Json::text(CLUSTER_NAME)),
        (
            "cluster_uuid",
            Json::text(format!("{:022x}", indexer.options().seed)),
        ),
        (
            "version",
            Json::object([
                ("distribution", Json::text("opensearch")),
                ("number", Json::text(number)),
                ("build_type", Json::text("inventory-indexer stand-in")),
            ]),
        ),
        (
            "tagline",
            Json::text("A stand-in for an OpenSearch-compatible Indexer"),
        ),
    ]))
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Health {
    Red,
    Yellow,
    Green,
}

impl Health {
    fn name(self) -> &'static str {
        match self {
            Health::Red => "red",
            Health::Yellow => "yellow",
            Health::Green => "green",
        }
    }

    fn of(index: &Index) -> Health {
        if index.shard_missing {
            Health::Red
        } else if index.settings.replicas > 0 {
            Health::Yellow
        } else {
            Health::Green
        }
    }
}

/// `GET _cluster/health`
pub fn health(indexer: &Indexer, params: &Params, expression: Option<&str>) -> Answered {
    let timeout_ms = params.duration_ms("timeout")?.unwrap_or(30_000);
    params.accept("level");
    params.accept("local");
    if params.peek("level").is_some_and(|level| level != "cluster") {
        return Err(not_modelled(
            "the health of single indices or shards (level)",
        ));
    }
    let wanted = match params.get("wait_for_status") {
        None => None,
        Some("green") => Some(Health::Green),
        Some("yellow") => Some(Health::Yellow),
        Some("red") => Some(Health::Red),
        Some(other) => {
            return Err(Refusal::illegal_argument(format!(
                "unknown cluster health status [{other}]"
            )));
        }
    };
    // A named index that is missing counts as red, after the wait.
    let (indices, missing): (Vec<&Index>, bool) = match expression {
        None => (indexer.indices().collect(), false),
        Some(expression) => match resolve(indexer, expression, false) {
            Ok(names) => (
                names
                    .iter()
                    .filter_map(|name| indexer.get_index(name))
                    .collect(),
                false,
            ),
            Err(_) => (Vec::new(), true),
        },
    };
    let foreign_red = expression.is_none() && indexer.foreign_red();
    let status = if missing || foreign_red {
        Health::Red
    } else {
        indices
            .iter()
            .map(|index| Health::of(index))
            .min()
            .unwrap_or(Health::Green)
    };
    let timed_out = missing || wanted.is_some_and(|wanted| status < wanted);
    let active = indices.iter().filter(|index| !index.shard_missing).count();
    let unassigned: usize = indices
        .iter()
        .map(|index| {
            usize::from(index.shard_missing)
                + usize::try_from(index.settings.replicas).unwrap_or(usize::MAX)
        })
        .sum();
    let zero = || Json::int(0);
    let body = Json::object([
        ("cluster_name", Json::text(CLUSTER_NAME)),
        ("status", Json::text(status.name())),
        ("timed_out", Json::Bool(timed_out)),
        ("number_of_nodes", Json::int(1)),
        ("number_of_data_nodes", Json::int(1)),
        ("discovered_master", Json::Bool(true)),
        ("discovered_cluster_manager", Json::Bool(true)),
        ("active_primary_shards", Json::count(active)),
        ("active_shards", Json::count(active)),
        ("relocating_shards", zero()),
        ("initializing_shards", zero()),
        ("unassigned_shards", Json::count(unassigned)),
        ("delayed_unassigned_shards", zero()),
        ("number_of_pending_tasks", zero()),
        ("number_of_in_flight_fetch", zero()),
        ("task_max_waiting_in_queue_millis", zero()),
        (
            "active_shards_percent_as_number",
            percent(active, active + unassigned),
        ),
    ]);
    let mut answer = Answer::new(if timed_out { 408 } else { 200 }, body);
    answer.wait_ms = if timed_out { timeout_ms } else { 0 };
    Ok(answer)
}

/// A share in per cent with four digits after the point.
fn percent(part: usize, whole: usize) -> Json {
    if part == whole {
        return Json::Number("100.0".to_owned());
    }
    let scaled = part * 1_000_000 / whole.max(1);
    Json::Number(format!("{}.{:04}", scaled / 10_000, scaled % 10_000))
}

/// `_cluster/settings`: only `action.auto_create_index`.
pub fn settings(indexer: &mut Indexer, params: &Params, request: &Request<'_>) -> Answered {
    params.accept("timeout");
    params.all_known(request)?;
    let name = "action.auto_create_index";
    if request.method == "PUT" {
        let body = body_required(request)?;
        let mut auto_create = indexer.options().auto_create;
        for (scope, given) in body.members().unwrap_or_default() {
            if !matches!(scope.as_str(), "persistent" | "transient") {
                return Err(Refusal::illegal_argument(format!(
                    "unknown setting scope [{scope}]"
                )));
            }
            for (setting, value) in settings::flatten(given) {
                auto_create = match (setting.as_str(), value.as_deref()) {
                    ("action.auto_create_index", None | Some("true")) => true,
                    ("action.auto_create_index", Some("false")) => false,
                    _ => {
                        return Err(not_modelled(&format!(
                            "the cluster setting [{setting}] with this value"
                        )));
                    }
                };
            }
        }
        indexer.set_auto_create(auto_create);
    }
    let mut persistent = Json::Object(Vec::new());
    if !indexer.options().auto_create {
        settings::insert(&mut persistent, name, Json::text("false"));
    }
    let mut body = Vec::new();
    if request.method == "PUT" {
        body.push(("acknowledged".to_owned(), Json::Bool(true)));
    }
    body.push(("persistent".to_owned(), persistent));
    body.push(("transient".to_owned(), Json::Object(Vec::new())));
    Ok(Answer::ok(Json::Object(body)))
}

/// `GET _cat/indices?format=json`
pub fn cat_indices(indexer: &Indexer, params: &Params, expression: &str) -> Answered {
    if params.get("format") != Some("json") {
        return Err(not_modelled("_cat as a table: ask with format=json"));
    }
    let columns = params
        .get("h")
        .unwrap_or("health,status,index,uuid,pri,rep,docs.count");
    let mut rows = Vec::new();
    for name in resolve(indexer, expression, false)? {
        let Some(index) = indexer.get_index(&name) else {
            continue;
        };
        let mut row = Vec::new();
        for column in columns.split(',') {
            let value = match column {
                "health" => Health::of(index).name().to_owned(),
                "status" => if index.closed { "close" } else { "open" }.to_owned(),
                "index" => name.clone(),
                "uuid" => index.uuid.clone(),
                "pri" => "1".to_owned(),
                "rep" => index.settings.replicas.to_string(),
                "docs.count" => index.visible().len().to_string(),
                other => return Err(not_modelled(&format!("the _cat column [{other}]"))),
            };
            row.push((column.to_owned(), Json::String(value)));
        }
        rows.push(Json::Object(row));
    }
    Ok(Answer::ok(Json::Array(rows)))
}

/// `GET _nodes/http`: the largest request body that is taken.
pub fn nodes_http(indexer: &Indexer) -> Answer {
    let limit = Json::object([(
        "max_content_length_in_bytes",
        Json::int(indexer.options().content_length_max),
    )]);
    Answer::ok(Json::object([(
        "nodes",
        Json::object([(
            "stand-in",
            Json::object([("name", Json::text("stand-in")), ("http", limit)]),
        )]),
    )]))
}
