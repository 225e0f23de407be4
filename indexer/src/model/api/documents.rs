//! Requests for one document.

use super::bulk::{self, Stated};
use super::params::{Params, duration_ms};
use super::source_filter::SourceFilter;
use super::{Answer, Answered, Request, Written};
use crate::model::engine::{self, Indexer, ItemResult, Refusal};
use crate::model::json::Json;

/// `/{index}/_doc/{id}`, `_create` and `_source`.
pub fn document(
    indexer: &mut Indexer,
    now_ms: u64,
    request: &Request<'_>,
    params: &Params,
    index: &str,
    endpoint: &str,
    id: &str,
) -> Answered {
    match request.method {
        "GET" | "HEAD" => get(indexer, params, index, endpoint, id),
        "DELETE" => write(indexer, now_ms, request, params, index, id, Verb::Delete),
        _ if endpoint == "_create" => {
            write(indexer, now_ms, request, params, index, id, Verb::Create)
        }
        _ => write(indexer, now_ms, request, params, index, id, Verb::Index),
    }
}

/// `POST /{index}/_doc`: the Indexer chooses the id.
pub fn store_new(
    indexer: &mut Indexer,
    now_ms: u64,
    request: &Request<'_>,
    params: &Params,
    index: &str,
) -> Answered {
    let id = indexer.make_uuid();
    write(indexer, now_ms, request, params, index, &id, Verb::Index)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Index,
    Create,
    Delete,
}

fn write(
    indexer: &mut Indexer,
    now_ms: u64,
    request: &Request<'_>,
    params: &Params,
    index: &str,
    id: &str,
    verb: Verb,
) -> Answered {
    let create =
        verb == Verb::Create || (verb == Verb::Index && params.get("op_type") == Some("create"));
    let timeout = params.get("timeout").unwrap_or("1m").to_owned();
    let timeout_ms = duration_ms("timeout", &timeout)?;
    let refresh = bulk::refresh_policy(params)?;
    let require_alias = params.flag("require_alias", false)?;
    let condition = Stated::of_params(params)?
        .condition(create)
        .map_err(|fault| Refusal::validation(&fault))?;
    engine::check_id(id)?;
    if verb != Verb::Delete && request.body.is_empty() {
        return Err(Refusal::new(
            400,
            "parse_exception",
            "request body is required",
        ));
    }
    params.all_known(request)?;
    let mut result: ItemResult = if require_alias {
        Err(bulk::no_alias(index))
    } else if verb == Verb::Delete {
        indexer.delete(index, id, condition, now_ms)
    } else {
        indexer.index(index, id, condition, request.body.into(), now_ms)
    };
    let wait_ms = bulk::name_timeout(&mut result, &timeout, timeout_ms);
    let (status, body, written) = match result {
        Ok(done) => {
            let body = Json::Object(bulk::applied(indexer, index, id, &done, refresh));
            (
                done.status(),
                body,
                Written {
                    applied: 1,
                    refused: 0,
                },
            )
        }
        Err(refusal) => (
            refusal.status,
            refusal.body(),
            Written {
                applied: 0,
                refused: 1,
            },
        ),
    };
    if refresh && written.applied > 0 {
        indexer.refresh(&[index], now_ms)?;
    }
    Ok(Answer {
        status,
        body,
        wait_ms,
        written,
    })
}

fn get(indexer: &Indexer, params: &Params, index: &str, endpoint: &str, id: &str) -> Answered {
    params.accept("realtime");
    let filter = SourceFilter::of_params(params)?;
    let document = indexer.get(index, id)?;
    if endpoint == "_source" {
        return match document {
            Some(document) => Ok(Answer::ok(
                filter
                    .apply(document.source())
                    .unwrap_or_else(|| Json::Object(Vec::new())),
            )),
            None => Err(Refusal::new(
                404,
                "resource_not_found_exception",
                format!("Document not found [{index}]/[{id}]"),
            )),
        };
    }
    let mut members = vec![
        ("_index".to_owned(), Json::text(index)),
        ("_id".to_owned(), Json::text(id)),
    ];
    let Some(document) = document else {
        members.push(("found".to_owned(), Json::Bool(false)));
        return Ok(Answer::new(404, Json::Object(members)));
    };
    members.extend([
        ("_version".to_owned(), Json::int(document.version)),
        ("_seq_no".to_owned(), Json::int(document.seq_no)),
        ("_primary_term".to_owned(), Json::int(document.primary_term)),
        ("found".to_owned(), Json::Bool(true)),
    ]);
    if let Some(source) = filter.apply(document.source()) {
        members.push(("_source".to_owned(), source));
    }
    Ok(Answer::ok(Json::Object(members)))
}
