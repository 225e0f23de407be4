//! `_bulk`: newline-delimited actions and sources.

use super::params::Params;
use super::{Answer, Answered, Intercept, Request, Written, not_modelled};
use crate::model::engine::refusal::kind;
use crate::model::engine::{
    self, Condition, Indexer, ItemResult, Refusal, Release, Source, VersionType,
};
use crate::model::json::{self, Json};
use std::collections::BTreeSet;

/// What an action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Index,
    Create,
    Delete,
}

impl Verb {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Verb::Index => "index",
            Verb::Create => "create",
            Verb::Delete => "delete",
        }
    }
}

/// One operation as the body states it.
pub(crate) struct Action {
    pub(crate) verb: Verb,
    pub(crate) index: String,
    pub(crate) id: Option<String>,
    pub(crate) condition: Condition,
    pub(crate) require_alias: bool,
    pub(crate) source: Option<Source>,
}

/// What decides whether a write is done, as requests spell it.
#[derive(Default)]
pub struct Stated {
    version: Option<i128>,
    version_type: Option<String>,
    if_seq_no: Option<i128>,
    if_primary_term: Option<i128>,
}

impl Stated {
    /// The same out of the parameters of a document request.
    ///
    /// # Errors
    /// 400 when a number is none.
    pub fn of_params(params: &Params) -> Result<Stated, Refusal> {
        Ok(Stated {
            version: params.number("version")?,
            version_type: params.get("version_type").map(str::to_owned),
            if_seq_no: params.number("if_seq_no")?,
            if_primary_term: params.number("if_primary_term")?,
        })
    }

    /// The condition, or what validation says against it.
    pub fn condition(&self, create: bool) -> Result<Condition, String> {
        let compare = self.if_seq_no.is_some() || self.if_primary_term.is_some();
        let internal = matches!(self.version_type.as_deref(), None | Some("internal"));
        if compare && (self.version.is_some() || !internal) {
            return Err("compare and write operations can not use versioning".to_owned());
        }
        if create && (self.version.is_some() || !internal) {
            return Err(
                "create operations only support internal versioning. use index instead".to_owned(),
            );
        }
        if let (Some(seq_no), Some(term)) = (self.if_seq_no, self.if_primary_term) {
            return match (u64::try_from(seq_no), u64::try_from(term)) {
                (Ok(seq_no), Ok(primary_term)) if primary_term > 0 => Ok(Condition::Unchanged {
                    seq_no,
                    primary_term,
                }),
                _ => Err(
                    "sequence numbers must be non negative and primary terms positive".to_owned(),
                ),
            };
        }
        if compare {
            return Err("ifSeqNo and primary term must be given together".to_owned());
        }
        if create {
            return Ok(Condition::Absent);
        }
        if internal {
            return match self.version {
                None => Ok(Condition::None),
                Some(_) => Err("internal versioning can not be used for optimistic concurrency control. Please use `if_seq_no` and `if_primary_term` instead".to_owned()),
            };
        }
        let (kind, name) = match self.version_type.as_deref() {
            Some("external" | "external_gt") => (VersionType::External, "EXTERNAL"),
            Some("external_gte") => (VersionType::ExternalGte, "EXTERNAL_GTE"),
            other => {
                return Err(format!(
                    "No version type match [{}]",
                    other.unwrap_or_default()
                ));
            }
        };
        let stated = self.version.unwrap_or(-3);
        match u64::try_from(stated) {
            Ok(version) if version <= engine::VERSION_MAX => {
                Ok(Condition::Version { version, kind })
            }
            _ => Err(format!(
                "illegal version value [{stated}] for version type [{name}]"
            )),
        }
    }
}

/// Answers a bulk request.
pub fn bulk(
    indexer: &mut Indexer,
    now_ms: u64,
    request: &Request<'_>,
    params: &Params,
    default_index: Option<&str>,
    intercept: Intercept<'_>,
) -> Answered {
    let require_alias = params.flag("require_alias", false)?;
    let timeout = params.get("timeout").unwrap_or("1m").to_owned();
    let timeout_ms = super::params::duration_ms("timeout", &timeout)?;
    let refresh = refresh_policy(params)?;
    let actions = parse(
        request.body,
        default_index,
        require_alias,
        indexer.options().release,
    )?;
    params.all_known(request)?;
    let mut items = Vec::with_capacity(actions.len());
    let mut written = Written::default();
    let mut errors = false;
    let mut wait_ms = 0;
    let mut touched = BTreeSet::new();
    for action in actions {
        let id = action.id.unwrap_or_else(|| indexer.make_uuid());
        let mut result = if action.require_alias {
            Err(no_alias(&action.index))
        } else if let Some(refusal) = intercept(&action.index, &id) {
            Err(refusal)
        } else {
            match action.source {
                Some(source) => indexer.index(&action.index, &id, action.condition, source, now_ms),
                None => indexer.delete(&action.index, &id, action.condition, now_ms),
            }
        };
        if result.is_ok() {
            written.applied += 1;
            touched.insert(action.index.clone());
        } else {
            written.refused += 1;
            errors = true;
        }
        wait_ms = wait_ms.max(name_timeout(&mut result, &timeout, timeout_ms));
        let body = item(indexer, &action.index, &id, &result, refresh);
        items.push(Json::object([(action.verb.name(), body)]));
    }
    if refresh {
        let names: Vec<&str> = touched.iter().map(String::as_str).collect();
        indexer.refresh(&names, now_ms)?;
    }
    let body = Json::object([
        ("took", Json::int(1)),
        ("errors", Json::Bool(errors)),
        ("items", Json::Array(items)),
    ]);
    Ok(Answer {
        wait_ms,
        written,
        ..Answer::ok(body)
    })
}

/// Whether a write refreshes what it touched. `wait_for` is answered by an immediate refresh: the model's clock
/// belongs to the caller.
pub fn refresh_policy(params: &Params) -> Result<bool, Refusal> {
    match params.get("refresh") {
        None | Some("false") => Ok(false),
        Some("" | "true" | "wait_for") => Ok(true),
        Some(other) => Err(Refusal::illegal_argument(format!(
            "Unknown value for refresh: [{other}]."
        ))),
    }
}

/// The refusal of a write that only an alias may take; the model has no aliases.
pub fn no_alias(index: &str) -> Refusal {
    Refusal::new(
        404,
        kind::INDEX_NOT_FOUND,
        format!("no such index [{index}] and [require_alias] request flag is [true] and [{index}] is not an alias"),
    )
    .with("index", Json::text(index))
    .with("index_uuid", Json::text("_na_"))
}

/// Puts the request's timeout into the refusal of a missing shard; how long the server waits before it.
pub fn name_timeout(result: &mut ItemResult, timeout: &str, timeout_ms: u64) -> u64 {
    match result {
        Err(refusal) if refusal.kind == kind::UNAVAILABLE_SHARDS => {
            refusal.reason = refusal
                .reason
                .replace("Timeout: [1m]", &format!("Timeout: [{timeout}]"));
            timeout_ms
        }
        _ => 0,
    }
}

/// The members of a document's answer, in the server's order.
pub fn applied(
    indexer: &Indexer,
    index: &str,
    id: &str,
    applied: &engine::Applied,
    forced_refresh: bool,
) -> Vec<(String, Json)> {
    let replicas = indexer
        .get_index(index)
        .map_or(0, |index| index.settings.replicas);
    let mut members = vec![
        ("_index".to_owned(), Json::text(index)),
        ("_id".to_owned(), Json::text(id)),
        ("_version".to_owned(), Json::int(applied.version)),
        ("result".to_owned(), Json::text(applied.outcome.name())),
    ];
    if forced_refresh {
        members.push(("forced_refresh".to_owned(), Json::Bool(true)));
    }
    members.extend([
        (
            "_shards".to_owned(),
            Json::object([
                ("total", Json::int(1 + replicas)),
                ("successful", Json::int(1)),
                ("failed", Json::int(0)),
            ]),
        ),
        ("_seq_no".to_owned(), Json::int(applied.seq_no)),
        ("_primary_term".to_owned(), Json::int(applied.primary_term)),
    ]);
    members
}

/// One item of the answer.
pub(crate) fn item(
    indexer: &Indexer,
    index: &str,
    id: &str,
    result: &ItemResult,
    forced_refresh: bool,
) -> Json {
    match result {
        Ok(done) => {
            let mut members = applied(indexer, index, id, done, forced_refresh);
            members.push(("status".to_owned(), Json::int(done.status())));
            Json::Object(members)
        }
        Err(refusal) => Json::object([
            ("_index", Json::text(index)),
            ("_id", Json::text(id)),
            ("status", Json::int(refusal.status)),
            ("error", refusal.item_error()),
        ]),
    }
}

/// Reads the whole body; what it refuses, it refuses before anything is written.
pub(crate) fn parse(
    body: &[u8],
    default_index: Option<&str>,
    require_alias: bool,
    release: Release,
) -> Result<Vec<Action>, Refusal> {
    if body.is_empty() {
        return Err(Refusal::new(
            400,
            "parse_exception",
            "request body is required",
        ));
    }
    let Some((b'\n', body)) = body.split_last() else {
        return Err(Refusal::illegal_argument(
            "The bulk request must be terminated by a newline [\\n]",
        ));
    };
    let mut actions = Vec::new();
    let mut faults = Vec::new();
    let mut lines = body.split(|&byte| byte == b'\n').enumerate();
    while let Some((position, line)) = lines.next() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let (mut action, stated) =
            action_line(position + 1, line, default_index, require_alias, release)?;
        if action.verb != Verb::Delete {
            // An action without its source at the end of the body is passed over, as in the server.
            let Some((_, source)) = lines.next() else {
                break;
            };
            action.source = Some(source.strip_suffix(b"\r").unwrap_or(source).into());
        }
        match stated.condition(action.verb == Verb::Create) {
            Ok(condition) => action.condition = condition,
            Err(fault) => faults.push(fault),
        }
        if action.index.is_empty() {
            faults.push("index is missing".to_owned());
        }
        match &action.id {
            Some(id) if id.len() > engine::ID_BYTES_MAX => faults.push(format!(
                "id [{id}] is too long, must be no longer than {} bytes but was: {}",
                engine::ID_BYTES_MAX,
                id.len()
            )),
            None if action.verb == Verb::Delete => faults.push("id is missing".to_owned()),
            Some(_) | None => {}
        }
        actions.push(action);
    }
    if actions.is_empty() {
        faults.push("no requests added".to_owned());
    }
    if faults.is_empty() {
        return Ok(actions);
    }
    let listed: Vec<_> = faults
        .iter()
        .enumerate()
        .map(|(position, fault)| format!("{}: {fault};", position + 1))
        .collect();
    Err(Refusal::new(
        400,
        kind::VALIDATION,
        format!("Validation Failed: {}", listed.join("")),
    ))
}

fn action_line(
    number: usize,
    line: &[u8],
    default_index: Option<&str>,
    require_alias: bool,
    release: Release,
) -> Result<(Action, Stated), Refusal> {
    let malformed = |rest: &str| {
        Refusal::illegal_argument(format!("Malformed action/metadata line [{number}], {rest}"))
    };
    let parsed = json::parse(line).map_err(|error| super::bad_json(&error))?;
    let Some(members) = parsed.members() else {
        return Err(malformed("expected START_OBJECT"));
    };
    let [(verb, metadata)] = members else {
        return Err(malformed("expected one action"));
    };
    let verb = match verb.as_str() {
        "index" => Verb::Index,
        "create" => Verb::Create,
        "delete" => Verb::Delete,
        "update" => return Err(not_modelled("the bulk action [update]")),
        other => {
            return Err(malformed(&format!(
                "expected one of [create, delete, index, update] but found [{other}]"
            )));
        }
    };
    let Some(metadata) = metadata.members() else {
        return Err(malformed("expected START_OBJECT after the action"));
    };
    let mut action = Action {
        verb,
        index: default_index.unwrap_or_default().to_owned(),
        id: None,
        condition: Condition::None,
        require_alias,
        source: None,
    };
    let mut stated = Stated::default();
    for (name, value) in metadata {
        let text = || value.scalar_text().unwrap_or_default();
        match name.as_str() {
            "_index" => action.index = text(),
            "_id" => action.id = value.scalar_text(),
            "version" | "_version" => stated.version = Some(long(value, release)?),
            "version_type" | "_version_type" => stated.version_type = Some(text()),
            "if_seq_no" => stated.if_seq_no = Some(long(value, release)?),
            "if_primary_term" => stated.if_primary_term = Some(long(value, release)?),
            "require_alias" => action.require_alias = value.as_bool().unwrap_or(false),
            "op_type" if verb == Verb::Index && text() == "create" => action.verb = Verb::Create,
            "op_type" if text() == verb.name() => {}
            "routing" | "_routing" | "pipeline" | "retry_on_conflict" | "_source" => {
                return Err(not_modelled(&format!("the bulk parameter [{name}]")));
            }
            _ => {
                return Err(Refusal::illegal_argument(format!(
                    "Action/metadata line [{number}] contains an unknown parameter [{name}]"
                )));
            }
        }
    }
    Ok((action, stated))
}

/// A number that the server reads as a signed 64-bit one. 2.x answers an overflow with 500, 3.x with 400.
fn long(value: &Json, release: Release) -> Result<i128, Refusal> {
    let number = value
        .as_int()
        .ok_or_else(|| Refusal::illegal_argument("For input string: not a number"))?;
    if i64::try_from(number).is_ok() {
        return Ok(number);
    }
    let status = match release {
        Release::V2 => 500,
        Release::V3 => 400,
    };
    Err(Refusal::new(
        status,
        "input_coercion_exception",
        format!(
            "Numeric value ({number}) out of range of long ({} - {})",
            i64::MIN,
            i64::MAX
        ),
    ))
}
