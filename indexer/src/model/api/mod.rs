//! The JSON surface: one HTTP request in, one answer out, without the HTTP.
//!
//! [`handle`] answers what `docs/protocol.md` section 8 sends and a user's first searches. What the model does not
//! have is refused by name: 501 where a real server would answer, 400 where it would refuse as well. A parameter
//! that is not known is never passed over in silence.

pub(crate) mod bulk;
mod cluster;
mod documents;
pub(crate) mod filter_path;
pub(crate) mod indices;
pub(crate) mod params;
mod queries;
pub(crate) mod scroll;
pub(crate) mod search;
pub(crate) mod source_filter;
mod templates;

use super::engine::{Indexer, Refusal};
use super::json::{self, Json};
use params::Params;

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `POST` ...
    pub method: &'a str,
    /// The path, still percent-encoded.
    pub path: &'a str,
    /// What follows the `?`, or nothing.
    pub query: &'a str,
    /// The body; may be empty.
    pub body: &'a [u8],
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body; empty for HEAD.
    pub body: Vec<u8>,
    /// How long a real server takes before it gives this answer: a write to an index without its shard, or a
    /// health status that is not reached, waits for the request's timeout. In milliseconds.
    pub wait_ms: u64,
    /// What a bulk or document request wrote.
    pub written: Written,
}

/// The media type of every answer.
pub(crate) const JSON: &str = "application/json; charset=UTF-8";

/// What a request changed, for who counts writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Operations that were carried out, deletes that found nothing included.
    pub applied: u64,
    /// Operations that were refused.
    pub refused: u64,
}

/// An answer before it is text.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Json,
    pub(crate) wait_ms: u64,
    pub(crate) written: Written,
}

impl Answer {
    pub(crate) fn new(status: u16, body: Json) -> Answer {
        Answer {
            status,
            body,
            wait_ms: 0,
            written: Written::default(),
        }
    }

    pub(crate) fn ok(body: Json) -> Answer {
        Answer::new(200, body)
    }

    fn acknowledged() -> Answer {
        Answer::ok(Json::object([("acknowledged", Json::Bool(true))]))
    }
}

pub(crate) type Answered = Result<Answer, Refusal>;

/// A request a real server answers and this model does not: 501, with its name.
pub(crate) fn not_modelled(what: &str) -> Refusal {
    Refusal::new(
        501,
        "not_modelled_exception",
        format!("this stand-in does not model {what}"),
    )
}

/// A body that is not JSON.
fn bad_json(error: &json::JsonError) -> Refusal {
    Refusal::new(400, "json_parse_exception", error.to_string())
}

/// The body as an object; nothing for an empty one.
fn body_object(request: &Request<'_>) -> Result<Option<Json>, Refusal> {
    if request.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    match json::parse(request.body) {
        Ok(body @ Json::Object(_)) => Ok(Some(body)),
        Ok(_) => Err(Refusal::new(
            400,
            "parsing_exception",
            "Expected [START_OBJECT]",
        )),
        Err(error) => Err(bad_json(&error)),
    }
}

/// The body as an object that must be there.
fn body_required(request: &Request<'_>) -> Result<Json, Refusal> {
    body_object(request)?
        .ok_or_else(|| Refusal::new(400, "parse_exception", "request body is required"))
}

/// Asked for each operation of a bulk request, by index and id, before it is done: a refusal stands in its place, and
/// it is not done. This is how a caller plays a full write queue or a missing shard for a part of a request.
pub type Intercept<'a> = &'a mut dyn FnMut(&str, &str) -> Option<Refusal>;

/// Answers one request. `now_ms` is the time since 1970; it must not run backwards.
pub fn handle(indexer: &mut Indexer, now_ms: u64, request: &Request<'_>) -> Response {
    handle_with(indexer, now_ms, request, &mut |_, _| None)
}

/// As [`handle`], with single operations of a bulk request refused by the caller.
pub fn handle_with(
    indexer: &mut Indexer,
    now_ms: u64,
    request: &Request<'_>,
    intercept: Intercept<'_>,
) -> Response {
    let params = Params::parse(request.query);
    let answered = route(indexer, now_ms, request, &params, intercept);
    finish(request, &params, answered)
}

/// The text of an answer: cut down and laid out as the request asks.
pub(crate) fn finish(request: &Request<'_>, params: &Params, answered: Answered) -> Response {
    let answer = answered.and_then(|answer| {
        params.all_known(request)?;
        Ok(answer)
    });
    let answer = answer.unwrap_or_else(|refusal| Answer::new(refusal.status, refusal.body()));
    let body = match params.peek("filter_path") {
        Some(filter) if answer.status < 400 || answer.body.get("error").is_none() => {
            filter_path::apply(filter, answer.body)
        }
        _ => answer.body,
    };
    let text = match request.method {
        "HEAD" => Vec::new(),
        _ if params.peek("pretty").is_some_and(|value| value != "false") => pretty(body),
        _ => body.to_bytes(),
    };
    Response {
        status: answer.status,
        content_type: JSON,
        body: text,
        wait_ms: answer.wait_ms,
        written: answer.written,
    }
}

fn pretty(body: Json) -> Vec<u8> {
    let mut out = Vec::new();
    indent(body, 0, &mut out);
    out.push(b'\n');
    out
}

fn indent(value: Json, depth: usize, out: &mut Vec<u8>) {
    let new_line = |depth: usize, out: &mut Vec<u8>| {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', 2 * depth));
    };
    let value = match value {
        Json::Raw(bytes) => json::parse(&bytes).unwrap_or(Json::Raw(bytes)),
        other => other,
    };
    match value {
        Json::Object(members) if !members.is_empty() => {
            out.push(b'{');
            for (position, (name, member)) in members.into_iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                new_line(depth + 1, out);
                Json::String(name).write(out);
                out.extend_from_slice(b" : ");
                indent(member, depth + 1, out);
            }
            new_line(depth, out);
            out.push(b'}');
        }
        Json::Array(elements) if !elements.is_empty() => {
            out.push(b'[');
            for (position, element) in elements.into_iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                new_line(depth + 1, out);
                indent(element, depth + 1, out);
            }
            new_line(depth, out);
            out.push(b']');
        }
        other => other.write(out),
    }
}

/// Endpoints of a real server that are not modelled, by the path's part that names them.
const NOT_MODELLED: &[&str] = &[
    "_alias",
    "_aliases",
    "_analyze",
    "_cache",
    "_cat",
    "_cluster",
    "_component_template",
    "_data_stream",
    "_delete_by_query",
    "_explain",
    "_field_caps",
    "_flush",
    "_forcemerge",
    "_ingest",
    "_mget",
    "_msearch",
    "_nodes",
    "_pit",
    "_plugins",
    "_rank_eval",
    "_recovery",
    "_reindex",
    "_render",
    "_rollover",
    "_scripts",
    "_security",
    "_segments",
    "_shard_stores",
    "_shrink",
    "_snapshot",
    "_split",
    "_stats",
    "_tasks",
    "_template",
    "_termvectors",
    "_update",
    "_update_by_query",
    "_validate",
];

#[expect(clippy::too_many_lines, reason = "one arm per route: a table")]
fn route(
    indexer: &mut Indexer,
    now_ms: u64,
    request: &Request<'_>,
    params: &Params,
    intercept: Intercept<'_>,
) -> Answered {
    let parts: Vec<String> = request
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(params::percent_decode)
        .collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let method = request.method;
    let allowed: &[&str] = match parts.as_slice() {
        [] => &["GET", "HEAD"],
        ["_bulk"] | [_, "_bulk"] => &["POST", "PUT"],
        ["_search" | "_count"] | [_, "_search" | "_count"] if parts != ["_search", "scroll"] => {
            &["GET", "POST"]
        }
        ["_search", "scroll"] => &["DELETE", "GET", "POST"],
        ["_refresh"] | [_, "_refresh"] => &["GET", "POST"],
        [_, "_close" | "_open"] => &["POST"],
        [_, "_doc", _] => &["DELETE", "GET", "HEAD", "POST", "PUT"],
        [_, "_create", _] => &["POST", "PUT"],
        [_, "_source", _] => &["GET", "HEAD"],
        [name] if !name.starts_with('_') => &["DELETE", "GET", "HEAD", "PUT"],
        _ => &[],
    };
    if !allowed.is_empty() && !allowed.contains(&method) {
        let reason = format!(
            "Incorrect HTTP method for uri [{}] and method [{method}], allowed: [{}]",
            request.path,
            allowed.join(", ")
        );
        return Ok(Answer::new(
            405,
            Json::object([("error", Json::text(reason)), ("status", Json::int(405))]),
        ));
    }
    match (method, parts.as_slice()) {
        (_, []) => Ok(cluster::root(indexer)),
        ("GET", ["_cluster", "health"]) => cluster::health(indexer, params, None),
        ("GET", ["_cluster", "health", expression]) => {
            cluster::health(indexer, params, Some(expression))
        }
        ("GET" | "PUT", ["_cluster", "settings"]) => cluster::settings(indexer, params, request),
        ("GET", ["_cat", "indices"]) => cluster::cat_indices(indexer, params, "*"),
        ("GET", ["_cat", "indices", expression]) => {
            cluster::cat_indices(indexer, params, expression)
        }
        ("GET", ["_nodes", "http"]) => Ok(cluster::nodes_http(indexer)),
        (_, ["_bulk"]) => bulk::bulk(indexer, now_ms, request, params, None, intercept),
        (_, [index, "_bulk"]) => {
            bulk::bulk(indexer, now_ms, request, params, Some(index), intercept)
        }
        ("POST" | "GET", ["_search", "scroll"]) => scroll::next_page(indexer, now_ms, request),
        ("DELETE", ["_search", "scroll"]) => scroll::close_scrolls(indexer, request),
        ("DELETE", ["_search", "scroll", "_all"]) => Ok(scroll::close_all_scrolls(indexer)),
        (_, ["_search"]) => search::search(indexer, now_ms, request, params, "_all"),
        (_, [expression, "_search"]) => {
            search::search(indexer, now_ms, request, params, expression)
        }
        (_, ["_count"]) => search::count(indexer, now_ms, request, params, "_all"),
        (_, [expression, "_count"]) => search::count(indexer, now_ms, request, params, expression),
        (_, ["_refresh"]) => indices::refresh(indexer, now_ms, params, "_all"),
        (_, [expression, "_refresh"]) => indices::refresh(indexer, now_ms, params, expression),
        ("POST", ["_index_template", "_simulate_index", name]) => {
            templates::simulate(indexer, name)
        }
        ("GET" | "HEAD", ["_index_template"]) => templates::get(indexer, "*"),
        ("GET" | "HEAD", ["_index_template", name]) => templates::get(indexer, name),
        ("PUT" | "POST", ["_index_template", name]) => {
            templates::put(indexer, request, params, name)
        }
        ("DELETE", ["_index_template", name]) => templates::delete(indexer, name),
        (_, [index, "_doc", id] | [index, "_create", id] | [index, "_source", id]) => {
            documents::document(indexer, now_ms, request, params, index, parts[1], id)
        }
        ("POST", [index, "_doc"]) => documents::store_new(indexer, now_ms, request, params, index),
        ("POST", [expression, "_close"]) => {
            indices::set_closed(indexer, now_ms, params, expression, true)
        }
        ("POST", [expression, "_open"]) => {
            indices::set_closed(indexer, now_ms, params, expression, false)
        }
        ("GET" | "HEAD", [expression, "_mapping" | "_mappings"]) => {
            indices::mapping(indexer, expression)
        }
        ("PUT" | "POST", [expression, "_mapping" | "_mappings"]) => {
            indices::put_mapping(indexer, request, expression)
        }
        ("GET" | "HEAD", [expression, "_settings"]) => indices::settings(indexer, expression),
        ("PUT", [expression, "_settings"]) => indices::put_settings(indexer, request, expression),
        (_, [name]) if !name.starts_with('_') => {
            indices::index(indexer, now_ms, request, params, name)
        }
        ("GET", [name]) if !NOT_MODELLED.contains(name) => Err(indices::invalid_name(name)),
        _ if parts.iter().any(|part| NOT_MODELLED.contains(part)) => {
            Err(not_modelled(&format!("[{method} {}]", request.path)))
        }
        _ => {
            let reason = format!(
                "no handler found for uri [{}] and method [{method}]",
                request.path
            );
            Ok(Answer::new(
                400,
                Json::object([("error", Json::text(reason))]),
            ))
        }
    }
}

#[cfg(test)]
mod tests;
