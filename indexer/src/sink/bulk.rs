//! `_bulk`: the body taken apart in place, applied, and answered without a tree where it is the daemon's.
//!
//! ```text
//!   body ─▶ plain: every action line is as the daemon writes it ─▶ operations ─▶ shelves ─▶ answer
//!     └───▶ otherwise: the model's reader, which also refuses ──────────▶──┘
//! ```

use super::overlays::{NONE, Overlays};
use super::scan::{self, Unclear};
use super::shelf::{Checksum, Digest, Terms};
use super::{Sink, is_state};
use crate::model::api::bulk::{self, Verb, item, name_timeout, no_alias, refresh_policy};
use crate::model::api::params::{Params, duration_ms};
use crate::model::api::{
    Answer, Intercept, JSON, Request, Response, Written, filter_path, finish, not_modelled,
};
use crate::model::engine::index::read_source;
use crate::model::engine::{Condition, ID_BYTES_MAX, ItemResult, Refusal, VERSION_MAX};
use crate::model::json::Json;
use memchr::memchr;
use std::borrow::Cow;
use std::collections::BTreeSet;
use xxhash_rust::xxh3::xxh3_64;

/// The part of an answer that the daemon asks for; it is written without a tree.
const USUAL_FILTER: &str = "took,errors,items.*.status,items.*.error.type,items.*.error.reason";

/// The same of one item alone.
const USUAL_FILTER_OF_ITEM: &str = "*.status,*.error.type,*.error.reason";

/// One operation.
struct Operation<'a> {
    verb: Verb,
    index: Cow<'a, str>,
    id: Option<Cow<'a, str>>,
    condition: Condition,
    require_alias: bool,
    source: Option<Cow<'a, [u8]>>,
}

/// What a bulk request asks for beside its body.
struct Terse {
    timeout: String,
    timeout_ms: u64,
    refresh: bool,
    require_alias: bool,
}

/// Answers a bulk request.
pub fn bulk(
    sink: &mut Sink,
    now_ms: u64,
    request: &Request<'_>,
    default_index: Option<&str>,
    intercept: Intercept<'_>,
) -> Response {
    let params = Params::parse(request.query);
    let (terse, operations) = match read(sink, request, &params, default_index) {
        Ok(read) => read,
        Err(refusal) => return finish(request, &params, Err(refusal)),
    };
    let is_usual = params.peek("filter_path") == Some(USUAL_FILTER)
        && params.peek("pretty").is_none_or(|value| value == "false");
    let mut answers = if is_usual {
        Answers::Usual(Vec::with_capacity(32 * operations.len()))
    } else {
        Answers::Tree(Vec::with_capacity(operations.len()))
    };
    let mut run = Run::new(sink, now_ms);
    for operation in operations {
        run.operation(operation, &terse, intercept, &mut answers);
    }
    let (written, wait_ms, touched) = (run.written, run.wait_ms, run.touched);
    if terse.refresh {
        let names: Vec<&str> = touched.iter().map(String::as_str).collect();
        if let Err(refusal) = sink.refresh(&names, now_ms) {
            return finish(request, &params, Err(refusal));
        }
    }
    let errors = written.refused > 0;
    match answers {
        Answers::Usual(items) => Response {
            status: 200,
            content_type: JSON,
            body: usual(errors, &items),
            wait_ms,
            written,
        },
        Answers::Tree(items) => {
            let body = Json::object([
                ("took", Json::int(1)),
                ("errors", Json::Bool(errors)),
                ("items", Json::Array(items)),
            ]);
            let answer = Answer {
                wait_ms,
                written,
                ..Answer::ok(body)
            };
            finish(request, &params, Ok(answer))
        }
    }
}

fn read<'a>(
    sink: &Sink,
    request: &Request<'a>,
    params: &Params,
    default_index: Option<&str>,
) -> Result<(Terse, Vec<Operation<'a>>), Refusal> {
    let require_alias = params.flag("require_alias", false)?;
    let timeout = params.get("timeout").unwrap_or("1m").to_owned();
    let timeout_ms = duration_ms("timeout", &timeout)?;
    let refresh = refresh_policy(params)?;
    let terse = Terse {
        timeout,
        timeout_ms,
        refresh,
        require_alias,
    };
    let operations = match plain(request.body) {
        Some(operations) if !terse.require_alias => operations,
        _ => {
            let release = sink.model.options().release;
            let actions = bulk::parse(request.body, default_index, require_alias, release)?;
            actions.into_iter().map(Operation::of).collect()
        }
    };
    params.all_known(request)?;
    Ok((terse, operations))
}

impl Operation<'_> {
    fn of(action: bulk::Action) -> Operation<'static> {
        Operation {
            verb: action.verb,
            index: Cow::Owned(action.index),
            id: action.id.map(Cow::Owned),
            condition: action.condition,
            require_alias: action.require_alias,
            source: action.source.map(|source| Cow::Owned(source.to_vec())),
        }
    }
}

/// The operations of a body of which every action line is as the daemon writes it; nothing for any other body.
fn plain(body: &[u8]) -> Option<Vec<Operation<'_>>> {
    let mut operations = Vec::with_capacity(body.len() / 512 + 1);
    let mut rest = body;
    while !rest.is_empty() {
        let (verb, line) = if let Some(line) = rest.strip_prefix(b"{\"index\":{\"_index\":\"") {
            (Verb::Index, line)
        } else {
            let line = rest.strip_prefix(b"{\"delete\":{\"_index\":\"")?;
            (Verb::Delete, line)
        };
        let (index, line) = text(line)?;
        let (id, line) = text(line.strip_prefix(b",\"_id\":\"")?)?;
        let (version, line) = number(line.strip_prefix(b",\"version\":")?)?;
        rest = line.strip_prefix(b",\"version_type\":\"external_gte\"}}\n")?;
        if id.len() > ID_BYTES_MAX {
            return None;
        }
        let source = if verb == Verb::Index {
            let end = memchr(b'\n', rest)?;
            let source = &rest[..end];
            rest = &rest[end + 1..];
            if source.is_empty() || source.ends_with(b"\r") {
                return None;
            }
            Some(Cow::Borrowed(source))
        } else {
            None
        };
        operations.push(Operation {
            verb,
            index: Cow::Borrowed(index),
            id: Some(Cow::Borrowed(id)),
            condition: Condition::external_gte(version),
            require_alias: false,
            source,
        });
    }
    (!operations.is_empty()).then_some(operations)
}

/// A string without escapes, not empty, from behind its opening quote; and what follows it.
fn text(line: &[u8]) -> Option<(&str, &[u8])> {
    let end = memchr(b'"', line)?;
    let (inside, behind) = (&line[..end], &line[end + 1..]);
    let is_plain = !inside.is_empty() && inside.iter().all(|byte| *byte >= 0x20 && *byte != b'\\');
    let inside = std::str::from_utf8(inside).ok().filter(|_| is_plain)?;
    Some((inside, behind))
}

/// A version as the daemon writes it, and what follows it.
fn number(line: &[u8]) -> Option<(u64, &[u8])> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, behind) = line.split_at(digits);
    if digits.len() > 1 && digits[0] == b'0' {
        return None;
    }
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number <= VERSION_MAX).then_some((number, behind))
}

enum Answers {
    /// Text, a comma behind each item.
    Usual(Vec<u8>),
    Tree(Vec<Json>),
}

fn usual(errors: bool, items: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(items.len() + 48);
    body.extend_from_slice(b"{\"took\":1,\"errors\":");
    body.extend_from_slice(if errors { b"true" } else { b"false" });
    body.extend_from_slice(b",\"items\":[");
    body.extend_from_slice(items.strip_suffix(b",").unwrap_or(items));
    body.extend_from_slice(b"]}");
    body
}

/// One request while it is applied.
struct Run<'s> {
    sink: &'s mut Sink,
    now_ms: u64,
    /// The state index of the last operation, when it takes writes.
    current: Option<(String, Terms)>,
    written: Written,
    wait_ms: u64,
    touched: BTreeSet<String>,
}

impl<'s> Run<'s> {
    fn new(sink: &'s mut Sink, now_ms: u64) -> Run<'s> {
        Run {
            sink,
            now_ms,
            current: None,
            written: Written::default(),
            wait_ms: 0,
            touched: BTreeSet::new(),
        }
    }

    fn operation(
        &mut self,
        operation: Operation<'_>,
        terse: &Terse,
        intercept: Intercept<'_>,
        answers: &mut Answers,
    ) {
        let (verb, index) = (operation.verb, operation.index.clone());
        let id = match &operation.id {
            Some(id) => id.clone(),
            None => Cow::Owned(self.sink.model.make_uuid()),
        };
        let mut result = if operation.require_alias {
            Err(no_alias(&index))
        } else if let Some(refusal) = intercept(&index, &id) {
            Err(refusal)
        } else if is_state(&index) {
            self.state(operation, &id)
        } else {
            self.other(operation, &id)
        };
        if result.is_ok() {
            self.written.applied += 1;
            if terse.refresh {
                self.touched.insert(index.clone().into_owned());
            }
        } else {
            self.written.refused += 1;
        }
        let wait_ms = name_timeout(&mut result, &terse.timeout, terse.timeout_ms);
        self.wait_ms = self.wait_ms.max(wait_ms);
        match (answers, &result) {
            (Answers::Usual(out), Ok(done)) => {
                out.extend_from_slice(b"{\"");
                out.extend_from_slice(verb.name().as_bytes());
                out.extend_from_slice(b"\":{\"status\":");
                out.extend_from_slice(done.status().to_string().as_bytes());
                out.extend_from_slice(b"}},");
            }
            (Answers::Usual(out), Err(_)) => {
                let body = item(&self.sink.model, &index, &id, &result, terse.refresh);
                let whole = Json::object([(verb.name(), body)]);
                filter_path::apply(USUAL_FILTER_OF_ITEM, whole).write(out);
                out.push(b',');
            }
            (Answers::Tree(items), _) => {
                let body = item(&self.sink.model, &index, &id, &result, terse.refresh);
                items.push(Json::object([(verb.name(), body)]));
            }
        }
    }

    /// An operation on an index that the model keeps.
    fn other(&mut self, operation: Operation<'_>, id: &str) -> ItemResult {
        let (model, index) = (&mut self.sink.model, &*operation.index);
        match operation.source {
            Some(source) => model.index(
                index,
                id,
                operation.condition,
                (&*source).into(),
                self.now_ms,
            ),
            None => model.delete(index, id, operation.condition, self.now_ms),
        }
    }

    /// An operation on a state document.
    fn state(&mut self, operation: Operation<'_>, id: &str) -> ItemResult {
        let terms = self.admit(&operation.index)?;
        if id.is_empty() {
            return Err(Refusal::illegal_argument(
                "if _id is specified it must not be empty",
            ));
        }
        crate::model::engine::check_id(id)?;
        if matches!(operation.condition, Condition::Unchanged { .. }) {
            return Err(not_modelled(
                "compare and set of a state document: this sink keeps no primary terms",
            ));
        }
        let digest = match &operation.source {
            Some(source) => Some(self.digest(source)?),
            None => None,
        };
        let shelf = self.sink.shelf(&operation.index, self.now_ms);
        let done = match digest {
            Some(digest) => shelf.index(id, operation.condition, digest, terms),
            None => shelf.delete(id, operation.condition, terms),
        };
        done.map_err(|what| match self.sink.model.get_index(&operation.index) {
            Some(index) => index.conflict(id, &what),
            None => Refusal::index_not_found(&operation.index, "index_expression"),
        })
    }

    /// What every write to a state index meets first.
    fn admit(&mut self, name: &str) -> Result<Terms, Refusal> {
        if let Some((known, terms)) = &self.current
            && known == name
        {
            return Ok(*terms);
        }
        let index = self.sink.model.writable(name, self.now_ms)?;
        if let Some(refusal) = index.refuses_writes() {
            return Err(refusal);
        }
        let terms = Terms {
            now_ms: self.now_ms,
            gc_deletes_ms: index.settings.gc_deletes_ms,
            primary_term: index.primary_term(),
        };
        self.current = Some((name.to_owned(), terms));
        Ok(terms)
    }

    fn digest(&mut self, source: &[u8]) -> Result<Digest, Refusal> {
        if let Ok(digest) = scanned(&mut self.sink.overlays, source) {
            return Ok(digest);
        }
        let parsed = read_source(source, self.sink.model.options().release)?;
        let checksum = parsed
            .get("checksum")
            .and_then(|checksum| checksum.get("hash")?.get("sha1")?.as_str())
            .map_or(Checksum::None, Checksum::of);
        let overlay = match parsed.get("wazuh") {
            Some(overlay) => self.sink.overlays.intern(&overlay.to_bytes(), overlay),
            None => NONE,
        };
        Ok(Digest {
            checksum,
            hash: xxh3_64(source),
            overlay,
        })
    }
}

fn scanned(overlays: &mut Overlays, source: &[u8]) -> Result<Digest, Unclear> {
    if !source.trim_ascii_end().ends_with(b"}") {
        return Err(Unclear);
    }
    let overlay = overlays.of(source)?;
    let mut found = Some(source);
    for name in [&b"checksum"[..], b"hash", b"sha1"] {
        found = match found {
            Some(text) => scan::member(text, name)?,
            None => None,
        };
    }
    let text = match found {
        Some(text) => scan::plain_string(text)?,
        None => None,
    };
    let checksum = match text {
        Some(text) => Checksum::of(std::str::from_utf8(text).map_err(|_| Unclear)?),
        None => Checksum::None,
    };
    Ok(Digest {
        checksum,
        hash: xxh3_64(source),
        overlay,
    })
}
