//! Searches, scrolls and counts of state documents by their overlay.
//!
//! The model judges each request over its own, empty index: what it would refuse is refused, shards and scrolls are
//! its. The hits come from the shelves.

use super::overlays::{OverlayId, Overlays};
use super::shelf::{Checksum, Kept};
use super::{Sink, is_state};
use crate::model::api::indices::borrowed;
use crate::model::api::params::Params;
use crate::model::api::scroll::{asked_page, parsed_scroll_id, scroll_id};
use crate::model::api::search::{Asked, Shown, answer, asked, count_answer, count_asked};
use crate::model::api::source_filter::SourceFilter;
use crate::model::api::{Answered, Request, not_modelled};
use crate::model::engine::{Indexer, Refusal, Sort};
use crate::model::json::Json;
use crate::model::query::Query;
use std::collections::VecDeque;
use std::sync::Arc;

/// The only field outside the overlay that is known.
const CHECKSUM: &str = "checksum.hash.sha1";

/// A document that was found.
#[derive(Debug)]
pub struct Hit {
    index: Arc<str>,
    id: Box<str>,
    kept: Kept,
}

/// A scroll that is open.
#[derive(Debug)]
pub struct Scroll {
    rest: VecDeque<Hit>,
    total: usize,
    page_size: usize,
    sort: Vec<Sort>,
}

/// Whether this module answers for these indices; the model does for others.
///
/// # Errors
/// 501 for a mixture.
fn is_ours(names: &[String]) -> Result<bool, Refusal> {
    let states = names.iter().filter(|name| is_state(name)).count();
    if states > 0 && states < names.len() {
        return Err(not_modelled(
            "a search over state indices and others: this sink keeps them apart",
        ));
    }
    Ok(states > 0)
}

/// `_search`; nothing when it is the model's to answer.
pub fn search(
    sink: &mut Sink,
    now_ms: u64,
    request: &Request<'_>,
    params: &Params,
    expression: &str,
) -> Result<Option<crate::model::api::Answer>, Refusal> {
    let asked = asked(&sink.model, request, params, expression)?;
    if !is_ours(&asked.names)? {
        return Ok(None);
    }
    claim(&asked)?;
    let (names, scored) = (borrowed(&asked.names), asked.scored());
    if let Some(keep_alive_ms) = asked.scroll_ms {
        let model = &mut sink.model;
        let page = model.open_scroll(&names, &asked.search, asked.size, keep_alive_ms, now_ms)?;
        let model = &sink.model;
        sink.scrolls.retain(|open, _| model.has_scroll(*open));
        let hits = hits(
            sink,
            &asked.names,
            &asked.search.query,
            &asked.search.sort,
            now_ms,
        );
        let mut scroll = Scroll {
            total: hits.len(),
            rest: hits.into(),
            page_size: asked.size,
            sort: asked.search.sort,
        };
        let shown = scroll.page(&sink.overlays, &asked.shown);
        let id = scroll_id(page.scroll, &asked.shown, scored);
        let found = answer(Some(id), page.shards, scroll.total, true, shown, scored);
        sink.scrolls.insert(page.scroll, scroll);
        return Ok(Some(found));
    }
    let found = sink.model.search(&names, &asked.search, now_ms)?;
    let hits = hits(
        sink,
        &asked.names,
        &asked.search.query,
        &asked.search.sort,
        now_ms,
    );
    let shown = hits
        .iter()
        .skip(asked.from)
        .take(asked.size)
        .map(|hit| show(hit, &sink.overlays, &asked.shown, &asked.search.sort))
        .collect();
    Ok(Some(answer(
        None,
        found.shards,
        hits.len(),
        asked.exact_total,
        shown,
        scored,
    )))
}

/// `_count`; nothing when it is the model's to answer.
pub fn count(
    sink: &mut Sink,
    now_ms: u64,
    request: &Request<'_>,
    params: &Params,
    expression: &str,
) -> Result<Option<crate::model::api::Answer>, Refusal> {
    let (search, names) = count_asked(&sink.model, request, params, expression)?;
    if !is_ours(&names)? {
        return Ok(None);
    }
    claim_query(&search.query)?;
    let found = sink.model.search(&borrowed(&names), &search, now_ms)?;
    let total = hits(sink, &names, &search.query, &[], now_ms).len();
    Ok(Some(count_answer(total, found.shards)))
}

/// `POST _search/scroll`
pub fn next_page(sink: &mut Sink, now_ms: u64, request: &Request<'_>) -> Answered {
    let (id, keep_alive_ms) = asked_page(request)?;
    let (scroll, shown, scored) = parsed_scroll_id(&id)?;
    let page = sink.model.next_page(scroll, keep_alive_ms, now_ms)?;
    let Some(open) = sink.scrolls.get_mut(&scroll) else {
        return Ok(crate::model::api::scroll::page_answer(
            id, &page, &shown, scored,
        ));
    };
    let hits = open.page(&sink.overlays, &shown);
    Ok(answer(
        Some(id),
        page.shards,
        open.total,
        true,
        hits,
        scored,
    ))
}

impl Scroll {
    fn page(&mut self, overlays: &Overlays, shown: &Shown) -> Vec<Json> {
        let end = self.page_size.min(self.rest.len());
        self.rest
            .drain(..end)
            .map(|hit| show(&hit, overlays, shown, &self.sort))
            .collect()
    }
}

/// Refuses what the sink cannot know.
fn claim(asked: &Asked) -> Result<(), Refusal> {
    claim_query(&asked.search.query)?;
    let by_field = |sort: &Sort| matches!(sort, Sort::Field { .. });
    if asked.search.after.is_some() || asked.search.sort.iter().any(by_field) {
        return Err(not_modelled(
            "this order of a search: the sink keeps no fields of state documents",
        ));
    }
    if asked.shown.seq_no {
        return Err(not_modelled(
            "sequence numbers of state documents: the sink keeps no primary terms",
        ));
    }
    let filter = &asked.shown.filter;
    let is_known = |path: &String| path == CHECKSUM || is_of_overlay(path);
    if !filter.nothing && (filter.includes.is_empty() || !filter.includes.iter().all(is_known)) {
        return Err(not_modelled(
            "sources of state documents beyond [checksum.hash.sha1] and [wazuh]: the sink does not keep them",
        ));
    }
    Ok(())
}

fn claim_query(query: &Query) -> Result<(), Refusal> {
    let is_known = match query {
        Query::All => true,
        Query::Ids(ids) => ids.is_empty(),
        Query::Exists(field)
        | Query::Terms { field, .. }
        | Query::Range { field, .. }
        | Query::Wildcard { field, .. }
        | Query::Prefix { field, .. }
        | Query::Match { field, .. } => is_of_overlay(field),
        Query::Bool {
            must,
            should,
            must_not,
            ..
        } => {
            for part in must.iter().chain(should).chain(must_not) {
                claim_query(part)?;
            }
            true
        }
    };
    if is_known {
        return Ok(());
    }
    Err(not_modelled(
        "queries of state documents beyond [wazuh]: the sink does not keep their fields",
    ))
}

fn is_of_overlay(path: &str) -> bool {
    path == "wazuh" || path.starts_with("wazuh.")
}

/// The overlays that a query may match, where it names agents; else all of them.
fn candidates(overlays: &Overlays, query: &Query) -> Vec<OverlayId> {
    match query {
        Query::Terms {
            field,
            values,
            case_insensitive: false,
        } if field == "wazuh.agent.id" => values
            .iter()
            .filter_map(Json::scalar_text)
            .flat_map(|agent| overlays.of_agent(&agent).to_vec())
            .collect(),
        Query::Bool { must, .. } => must
            .iter()
            .map(|part| candidates(overlays, part))
            .min_by_key(Vec::len)
            .unwrap_or_else(|| overlays.ids().collect()),
        _ => overlays.ids().collect(),
    }
}

/// All hits, in their order.
fn hits(sink: &mut Sink, names: &[String], query: &Query, sort: &[Sort], now_ms: u64) -> Vec<Hit> {
    let mut wanted = candidates(&sink.overlays, query);
    wanted.sort_unstable();
    wanted.dedup();
    let mut hits = Vec::new();
    for name in names {
        let Some(index) = sink
            .model
            .get_index(name)
            .filter(|index| !index.shard_missing)
        else {
            continue;
        };
        // A mapping that was never taught the overlay's fields would find nothing.
        let mapping = index
            .mapping
            .as_ref()
            .filter(|mapping| mapping.leaf("wazuh.agent.id").is_some());
        let Some(shelf) = sink.shelves.get_mut(name) else {
            continue;
        };
        let overlays = &sink.overlays;
        let matching = wanted.iter().copied().filter(|overlay| {
            let document = &overlays.get(*overlay).document;
            query.matches("", document, mapping, now_ms)
        });
        let found: &Arc<str> = &index.name;
        shelf.shelf.visible(matching, |id, kept| {
            hits.push(Hit {
                index: found.clone(),
                id: id.into(),
                kept: kept.clone(),
            });
        });
    }
    order(&mut hits, sort);
    hits
}

fn order(hits: &mut [Hit], sort: &[Sort]) {
    hits.sort_unstable_by(|left, right| {
        let mut ordering = std::cmp::Ordering::Equal;
        for key in sort {
            ordering = ordering.then_with(|| match key {
                Sort::Id { descending: true } => right.id.cmp(&left.id),
                Sort::Id { descending: false } => left.id.cmp(&right.id),
                Sort::Written | Sort::Field { .. } => left.kept.seq_no.cmp(&right.kept.seq_no),
            });
        }
        ordering
            .then_with(|| left.index.cmp(&right.index))
            .then_with(|| left.kept.seq_no.cmp(&right.kept.seq_no))
    });
}

fn show(hit: &Hit, overlays: &Overlays, shown: &Shown, sort: &[Sort]) -> Json {
    let mut members = vec![
        ("_index".to_owned(), Json::text(&*hit.index)),
        ("_id".to_owned(), Json::text(&*hit.id)),
    ];
    if shown.version {
        members.push(("_version".to_owned(), Json::int(hit.kept.version)));
    }
    let score = match sort {
        [] => Json::Number("1.0".to_owned()),
        _ => Json::Null,
    };
    members.push(("_score".to_owned(), score));
    if let Some(source) = source(&hit.kept, overlays, &shown.filter) {
        members.push(("_source".to_owned(), source));
    }
    let keys = sort.iter().map(|key| match key {
        Sort::Id { .. } => Json::text(&*hit.id),
        Sort::Written | Sort::Field { .. } => Json::int(hit.kept.seq_no),
    });
    if !sort.is_empty() {
        members.push(("sort".to_owned(), Json::Array(keys.collect())));
    }
    Json::Object(members)
}

/// The source as it is shown: what is known of it, filtered.
fn source(kept: &Kept, overlays: &Overlays, filter: &SourceFilter) -> Option<Json> {
    let mut text = b"{".to_vec();
    let overlay = &overlays.get(kept.digest.overlay).text;
    if !overlay.is_empty() {
        text.extend_from_slice(b"\"wazuh\":");
        text.extend_from_slice(overlay);
    }
    if kept.digest.checksum != Checksum::None {
        if text.len() > 1 {
            text.push(b',');
        }
        let checksum = kept.digest.checksum.text().unwrap_or_default();
        let hash = Json::object([("sha1", Json::String(checksum))]);
        text.extend_from_slice(b"\"checksum\":");
        Json::object([("hash", hash)]).write(&mut text);
    }
    text.push(b'}');
    // What the daemon asks for is all that there is.
    let is_all = filter.excludes.is_empty()
        && filter.includes.iter().any(|path| path == CHECKSUM)
        && filter.includes.iter().any(|path| path == "wazuh");
    if is_all && !filter.nothing {
        return Some(Json::Raw(text.into()));
    }
    filter.apply(&text.into())
}

/// The scrolls that are open, for the sink to keep.
pub type Scrolls = std::collections::HashMap<u64, Scroll>;

/// Drops what the model has closed.
pub fn forget_closed(scrolls: &mut Scrolls, model: &Indexer) {
    scrolls.retain(|scroll, _| model.has_scroll(*scroll));
}
