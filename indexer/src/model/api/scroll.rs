//! Scrolls: their ids, and their pages.

use super::params::duration_ms;
use super::search::{Shown, answer, hit};
use super::source_filter::{SourceFilter, texts};
use super::{Answer, Answered, Request, body_object};
use crate::model::engine::refusal::Cause;
use crate::model::engine::{Indexer, Page, Refusal};
use crate::model::json::Json;

const SCROLL_PREFIX: &str = "stand-in-scroll-";

/// One page as an answer.
pub fn page_answer(id: String, page: &Page, shown: &Shown, scored: bool) -> Answer {
    let hits = page.hits.iter().map(|found| hit(found, shown)).collect();
    answer(Some(id), page.shards, page.total, true, hits, scored)
}

/// The id of a scroll carries how its hits are shown, so that the engine need not know.
pub fn scroll_id(scroll: u64, shown: &Shown, scored: bool) -> String {
    let flags = u8::from(shown.version)
        | u8::from(shown.seq_no) << 1
        | u8::from(scored) << 2
        | u8::from(shown.filter.nothing) << 3;
    let hex = |paths: &[String]| -> String {
        paths
            .join(",")
            .bytes()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    format!(
        "{SCROLL_PREFIX}{scroll}-{flags}-{}-{}",
        hex(&shown.filter.includes),
        hex(&shown.filter.excludes)
    )
}

fn read_scroll_id(id: &str) -> Option<(u64, Shown, bool)> {
    let mut parts = id.strip_prefix(SCROLL_PREFIX)?.split('-');
    let scroll = parts.next()?.parse().ok()?;
    let flags: u8 = parts.next()?.parse().ok()?;
    let mut paths = || -> Option<Vec<String>> {
        let hex = parts.next()?;
        let bytes: Option<Vec<u8>> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok())
            .collect();
        let text = String::from_utf8(bytes?).ok()?;
        Some(
            text.split(',')
                .filter(|path| !path.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    };
    let filter = SourceFilter {
        includes: paths()?,
        excludes: paths()?,
        nothing: flags & 8 != 0,
    };
    Some((
        scroll,
        Shown {
            filter,
            version: flags & 1 != 0,
            seq_no: flags & 2 != 0,
        },
        flags & 4 != 0,
    ))
}

/// What a scroll id says, or the refusal of one that was not given here.
pub(crate) fn parsed_scroll_id(id: &str) -> Result<(u64, Shown, bool), Refusal> {
    read_scroll_id(id).ok_or_else(|| {
        Refusal::illegal_argument("Cannot parse scroll id").because(Cause::new(
            "e_o_f_exception",
            "this stand-in gave no such scroll id",
        ))
    })
}

/// What a request for a next page asks for: the scroll's id, and how long it is kept on.
///
/// # Errors
/// 400 for what is no such request.
pub(crate) fn asked_page(request: &Request<'_>) -> Result<(String, u64), Refusal> {
    let body = super::body_required(request)?;
    let mut keep_alive_ms = 0;
    let mut id = None;
    for (name, value) in body.members().unwrap_or_default() {
        match (name.as_str(), value.as_str()) {
            ("scroll", Some(text)) => keep_alive_ms = duration_ms("scroll", text)?,
            ("scroll_id", Some(text)) => id = Some(text.to_owned()),
            _ => {
                return Err(Refusal::illegal_argument(format!(
                    "Unknown parameter [{name}] in request body"
                )));
            }
        }
    }
    let id = id.ok_or_else(|| Refusal::validation("scrollId is missing"))?;
    Ok((id, keep_alive_ms))
}

/// `POST _search/scroll`
pub fn next_page(indexer: &mut Indexer, now_ms: u64, request: &Request<'_>) -> Answered {
    let (id, keep_alive_ms) = asked_page(request)?;
    let (scroll, shown, scored) = parsed_scroll_id(&id)?;
    let page = indexer.next_page(scroll, keep_alive_ms, now_ms)?;
    Ok(page_answer(id, &page, &shown, scored))
}

/// `DELETE _search/scroll`; without ids, all of them.
pub fn close_scrolls(indexer: &mut Indexer, request: &Request<'_>) -> Answered {
    let Some(body) = body_object(request)? else {
        return Ok(close_all_scrolls(indexer));
    };
    let ids = body.get("scroll_id").map(texts).unwrap_or_default();
    if ids == ["_all"] {
        return Ok(close_all_scrolls(indexer));
    }
    if ids.is_empty() {
        return Err(Refusal::validation("no scroll ids specified"));
    }
    let scrolls = ids
        .iter()
        .map(|id| Ok(parsed_scroll_id(id)?.0))
        .collect::<Result<Vec<u64>, Refusal>>()?;
    let freed = scrolls
        .into_iter()
        .filter(|scroll| indexer.close_scroll(*scroll))
        .count();
    Ok(closed(freed, if freed == 0 { 404 } else { 200 }))
}

/// `DELETE _search/scroll/_all`
pub fn close_all_scrolls(indexer: &mut Indexer) -> Answer {
    let freed = indexer.close_all_scrolls();
    closed(freed, 200)
}

fn closed(freed: usize, status: u16) -> Answer {
    Answer::new(
        status,
        Json::object([
            ("succeeded", Json::Bool(true)),
            ("num_freed", Json::count(freed)),
        ]),
    )
}
