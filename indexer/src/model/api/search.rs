//! `_search` and `_count`.

use super::indices::{borrowed, resolve};
use super::params::{Params, duration_ms};
use super::scroll::{page_answer, scroll_id};
use super::source_filter::SourceFilter;
use super::{Answer, Answered, Request, body_object, not_modelled, queries};
use crate::model::engine::{Hit, Indexer, PAGE_MAX, Refusal, Search, Shards, Sort, shard_refusal};
use crate::model::json::Json;
use crate::model::query::Query;

/// Totals beyond this are not counted exactly, unless asked for.
const TOTAL_COUNTED_MAX: usize = 10_000;

/// What a search asks for.
pub(crate) struct Asked {
    /// Which documents, in which order.
    pub(crate) search: Search,
    /// How many on a page.
    pub(crate) size: usize,
    /// How many are passed over.
    pub(crate) from: usize,
    /// Whether totals are counted to their end.
    pub(crate) exact_total: bool,
    /// How hits are shown.
    pub(crate) shown: Shown,
    /// How long the scroll is kept, when one is asked for.
    pub(crate) scroll_ms: Option<u64>,
    /// The indices.
    pub(crate) names: Vec<String>,
}

fn parsing(reason: impl Into<String>) -> Refusal {
    Refusal::new(400, "parsing_exception", reason)
}

fn number(name: &str, value: &Json) -> Result<usize, Refusal> {
    value
        .as_int()
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| {
            Refusal::illegal_argument(format!(
                "[{name}] parameter cannot be negative or something else than a number"
            ))
        })
}

/// Reads a search, and resolves its indices.
///
/// # Errors
/// What no server does, and what this one does not.
pub(crate) fn asked(
    indexer: &Indexer,
    request: &Request<'_>,
    params: &Params,
    expression: &str,
) -> Result<Asked, Refusal> {
    let mut asked = Asked {
        search: Search {
            query: Query::All,
            sort: Vec::new(),
            after: None,
            allow_partial: true,
        },
        size: 10,
        from: 0,
        exact_total: params.get("track_total_hits") == Some("true"),
        shown: Shown {
            filter: SourceFilter::of_params(params)?,
            version: params.flag("version", false)?,
            seq_no: params.flag("seq_no_primary_term", false)?,
        },
        scroll_ms: None,
        names: Vec::new(),
    };
    asked.search.allow_partial = params.flag("allow_partial_search_results", true)?;
    for (name, value) in body_object(request)?
        .as_ref()
        .and_then(Json::members)
        .unwrap_or_default()
    {
        match name.as_str() {
            "query" => asked.search.query = queries::parse(value)?,
            "size" => asked.size = number(name, value)?,
            "from" => asked.from = number(name, value)?,
            "sort" => asked.search.sort = sort(value)?,
            "search_after" => {
                asked.search.after =
                    Some(value.elements().map(<[Json]>::to_vec).unwrap_or_default());
            }
            "_source" => asked.shown.filter = SourceFilter::of_body(value)?,
            "version" => asked.shown.version = value.as_bool().unwrap_or(false),
            "seq_no_primary_term" => asked.shown.seq_no = value.as_bool().unwrap_or(false),
            "track_total_hits" => match value.as_bool() {
                Some(exact) => asked.exact_total = exact,
                None => return Err(not_modelled("track_total_hits with a number")),
            },
            "timeout" | "track_scores" | "stored_fields"
                if name == "timeout" || value.as_bool() == Some(false) => {}
            "aggs" | "aggregations" | "collapse" | "docvalue_fields" | "explain" | "ext"
            | "fields" | "highlight" | "indices_boost" | "min_score" | "pit" | "post_filter"
            | "profile" | "rescore" | "script_fields" | "slice" | "stored_fields" | "suggest"
            | "terminate_after" | "track_scores" => {
                return Err(not_modelled(&format!("[{name}] in a search")));
            }
            other => return Err(parsing(format!("Unknown key for a value in [{other}]."))),
        }
    }
    if let Some(text) = params.get("q") {
        asked.search.query = queries::query_string(text)?;
    }
    if let Some(size) = params.number("size")? {
        asked.size = size;
    }
    if let Some(from) = params.number("from")? {
        asked.from = from;
    }
    if let Some(keys) = params.get("sort") {
        asked.search.sort = keys
            .split(',')
            .map(|key| {
                let (field, order) = key.split_once(':').unwrap_or((key, "asc"));
                sort_key(field, order == "desc", false)
            })
            .collect::<Result<_, _>>()?;
    }
    if asked
        .search
        .after
        .as_ref()
        .is_some_and(|after| after.len() != asked.search.sort.len())
    {
        return Err(Refusal::illegal_argument(format!(
            "search_after has {} value(s) but sort has {}.",
            asked.search.after.as_ref().map_or(0, Vec::len),
            asked.search.sort.len()
        )));
    }
    asked.scroll_ms = params
        .get("scroll")
        .map(|text| duration_ms("scroll", text))
        .transpose()?;
    asked.names = names(indexer, params, expression)?;
    params.all_known(request)?;
    asked.check_page()?;
    Ok(asked)
}

impl Asked {
    /// What a page may be.
    fn check_page(&self) -> Result<(), Refusal> {
        if self.scroll_ms.is_some() {
            if self.from > 0 {
                return Err(Refusal::validation(
                    "using [from] is not allowed in a scroll context",
                ));
            }
            if self.size == 0 {
                return Err(Refusal::validation(
                    "[size] cannot be [0] in a scroll context",
                ));
            }
            return Ok(());
        }
        let window = self.from.saturating_add(self.size);
        match self.names.first() {
            Some(name) if window > PAGE_MAX => Err(shard_refusal(
                name,
                &format!(
                    "Result window is too large, from + size must be less than or equal to: [{PAGE_MAX}] but was [{window}]. See the scroll api for a more efficient way to request large data sets. This limit can be set by changing the [index.max_result_window] index level setting."
                ),
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether hits have a score.
    pub(crate) fn scored(&self) -> bool {
        self.search.sort.is_empty()
    }
}

fn sort(value: &Json) -> Result<Vec<Sort>, Refusal> {
    let keys = match value {
        Json::Array(elements) => elements.as_slice(),
        single => std::slice::from_ref(single),
    };
    let mut sort = Vec::new();
    for key in keys {
        if let Some(field) = key.as_str() {
            sort.push(sort_key(field, false, false)?);
            continue;
        }
        for (field, options) in key.members().unwrap_or_default() {
            let (mut descending, mut missing_first) = (false, false);
            if let Some(order) = options.as_str() {
                descending = order == "desc";
            }
            for (name, option) in options.members().unwrap_or_default() {
                match (name.as_str(), option.as_str()) {
                    ("order", Some(order)) => descending = order == "desc",
                    ("missing", Some("_first")) => missing_first = true,
                    ("missing", Some("_last")) | ("unmapped_type", _) => {}
                    _ => {
                        return Err(not_modelled(&format!(
                            "the sort option [{name}] with this value"
                        )));
                    }
                }
            }
            sort.push(sort_key(field, descending, missing_first)?);
        }
    }
    Ok(sort)
}

fn sort_key(field: &str, descending: bool, missing_first: bool) -> Result<Sort, Refusal> {
    match field {
        "_doc" => Ok(Sort::Written),
        "_id" => Ok(Sort::Id { descending }),
        "_score" => Err(not_modelled("scores: sorting by _score")),
        _ => Ok(Sort::Field {
            field: field.to_owned(),
            descending,
            missing_first,
        }),
    }
}

fn shards(shards: Shards) -> Json {
    Json::object([
        ("total", Json::count(shards.total)),
        ("successful", Json::count(shards.successful)),
        ("skipped", Json::int(0)),
        ("failed", Json::int(0)),
    ])
}

/// One hit.
pub fn hit(hit: &Hit, asked: &Shown) -> Json {
    let document = &hit.document;
    let mut members = vec![
        ("_index".to_owned(), Json::text(&*hit.index)),
        ("_id".to_owned(), Json::text(&*hit.id)),
    ];
    if asked.version {
        members.push(("_version".to_owned(), Json::int(document.version)));
    }
    if asked.seq_no {
        members.push(("_seq_no".to_owned(), Json::int(document.seq_no)));
        members.push(("_primary_term".to_owned(), Json::int(document.primary_term)));
    }
    members.push(("_score".to_owned(), score(hit.sort.is_empty())));
    if let Some(source) = asked.filter.apply(document.source()) {
        members.push(("_source".to_owned(), source));
    }
    if !hit.sort.is_empty() {
        members.push(("sort".to_owned(), Json::Array(hit.sort.clone())));
    }
    Json::Object(members)
}

/// Scores are not modelled: every hit of an unsorted search has 1.0.
fn score(scored: bool) -> Json {
    if scored {
        Json::Number("1.0".to_owned())
    } else {
        Json::Null
    }
}

/// How hits are shown, kept with a scroll by its id.
pub struct Shown {
    /// What of the source.
    pub filter: SourceFilter,
    /// With `_version`.
    pub version: bool,
    /// With `_seq_no` and `_primary_term`.
    pub seq_no: bool,
}

/// The answer of a search.
pub fn answer(
    scroll: Option<String>,
    found: Shards,
    total: usize,
    exact: bool,
    hits: Vec<Json>,
    scored: bool,
) -> Answer {
    let (value, relation) = if exact || total <= TOTAL_COUNTED_MAX {
        (total, "eq")
    } else {
        (TOTAL_COUNTED_MAX, "gte")
    };
    let max_score = match (scored, found.total, hits.is_empty()) {
        (true, 0, _) => Json::Number("0.0".to_owned()),
        (true, _, false) => score(true),
        _ => Json::Null,
    };
    let mut members = Vec::new();
    if let Some(scroll) = scroll {
        members.push(("_scroll_id".to_owned(), Json::String(scroll)));
    }
    members.extend([
        ("took".to_owned(), Json::int(1)),
        ("timed_out".to_owned(), Json::Bool(false)),
        ("_shards".to_owned(), shards(found)),
        (
            "hits".to_owned(),
            Json::object([
                (
                    "total",
                    Json::object([
                        ("value", Json::count(value)),
                        ("relation", Json::text(relation)),
                    ]),
                ),
                ("max_score", max_score),
                ("hits", Json::Array(hits)),
            ]),
        ),
    ]);
    Answer::ok(Json::Object(members))
}

fn names(indexer: &Indexer, params: &Params, expression: &str) -> Result<Vec<String>, Refusal> {
    let ignore = params.flag("ignore_unavailable", false)?;
    let allow_none = params.flag("allow_no_indices", true)?;
    let names = resolve(indexer, expression, ignore)?;
    if names.is_empty() && !allow_none {
        return Err(Refusal::index_not_found(expression, "index_or_alias"));
    }
    Ok(names)
}

/// `_search`
pub fn search(
    indexer: &mut Indexer,
    now_ms: u64,
    request: &Request<'_>,
    params: &Params,
    expression: &str,
) -> Answered {
    let asked = asked(indexer, request, params, expression)?;
    let (names, scored) = (borrowed(&asked.names), asked.scored());
    if let Some(keep_alive_ms) = asked.scroll_ms {
        let page = indexer.open_scroll(&names, &asked.search, asked.size, keep_alive_ms, now_ms)?;
        let id = scroll_id(page.scroll, &asked.shown, scored);
        return Ok(page_answer(id, &page, &asked.shown, scored));
    }
    let found = indexer.search(&names, &asked.search, now_ms)?;
    let hits = found
        .hits
        .iter()
        .skip(asked.from)
        .take(asked.size)
        .map(|found| hit(found, &asked.shown))
        .collect();
    Ok(answer(
        None,
        found.shards,
        found.total,
        asked.exact_total,
        hits,
        scored,
    ))
}

/// What a count asks for: the query, and the indices.
///
/// # Errors
/// What no server does, and what this one does not.
pub(crate) fn count_asked(
    indexer: &Indexer,
    request: &Request<'_>,
    params: &Params,
    expression: &str,
) -> Result<(Search, Vec<String>), Refusal> {
    let mut search = Search {
        query: Query::All,
        sort: Vec::new(),
        after: None,
        allow_partial: true,
    };
    for (name, value) in body_object(request)?
        .as_ref()
        .and_then(Json::members)
        .unwrap_or_default()
    {
        if name != "query" {
            return Err(parsing(format!("request does not support [{name}]")));
        }
        search.query = queries::parse(value)?;
    }
    if let Some(text) = params.get("q") {
        search.query = queries::query_string(text)?;
    }
    Ok((search, names(indexer, params, expression)?))
}

/// The answer of a count.
pub(crate) fn count_answer(total: usize, found: Shards) -> Answer {
    Answer::ok(Json::object([
        ("count", Json::count(total)),
        ("_shards", shards(found)),
    ]))
}

/// `_count`
pub fn count(
    indexer: &mut Indexer,
    now_ms: u64,
    request: &Request<'_>,
    params: &Params,
    expression: &str,
) -> Answered {
    let (search, names) = count_asked(indexer, request, params, expression)?;
    let found = indexer.search(&borrowed(&names), &search, now_ms)?;
    Ok(count_answer(found.total, found.shards))
}
