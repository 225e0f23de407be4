//! Searches and scrolls over what the last refresh made visible.

use super::refusal::{Cause, Refusal, RootCause, kind, phase_details};
use super::{Document, Index, Indexer};
use crate::model::fields::Fields;
use crate::model::json::Json;
use crate::model::mapping::{FieldType, Mapping};
use crate::model::query::{Query, SortKey, View};
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

/// Most hits of one page (`index.max_result_window`); a greater page is refused with 400.
pub const PAGE_MAX: usize = 10_000;

/// Most scrolls open at once (`search.max_open_scroll_context`); one more is refused with 429.
pub const SCROLLS_MAX: usize = 500;

/// How many shards an answer speaks for. Fewer successful than total, with nothing failed, is how a server says
/// that a shard was missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shards {
    /// Shards of the named indices.
    pub total: usize,
    /// Shards that took part.
    pub successful: usize,
}

/// One sort key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sort {
    /// The order of writing (`_doc`).
    Written,
    /// By id.
    Id {
        /// Greatest first.
        descending: bool,
    },
    /// By the least value of a field (the greatest, when descending).
    Field {
        /// The field's path.
        field: String,
        /// Greatest first.
        descending: bool,
        /// Documents without a value first.
        missing_first: bool,
    },
}

/// What is searched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Search {
    /// Which documents.
    pub query: Query,
    /// In which order; empty is the order of writing.
    pub sort: Vec<Sort>,
    /// Only what comes after these sort values.
    pub after: Option<Vec<Json>>,
    /// Whether a missing shard is passed over (the server's default) or refuses the search with 503.
    pub allow_partial: bool,
}

impl Search {
    /// All that matches, in the order of writing, and never an incomplete answer: a listing.
    pub fn listing(query: Query) -> Search {
        Search {
            query,
            sort: Vec::new(),
            after: None,
            allow_partial: false,
        }
    }
}

/// A document that was found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hit {
    /// Its index.
    pub index: Arc<str>,
    /// Its id.
    pub id: Arc<str>,
    /// The document, as it was at the last refresh.
    pub document: Document,
    /// The values it was sorted by; empty without a sort.
    pub sort: Vec<Json>,
}

/// The answer of a search: all hits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Found {
    /// Who answered.
    pub shards: Shards,
    /// Every document that matches, before `after` was applied.
    pub total: usize,
    /// The hits in order.
    pub hits: Vec<Hit>,
}

/// One page of a scroll.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    /// The scroll, for the next page.
    pub scroll: u64,
    /// Who answered when it was opened.
    pub shards: Shards,
    /// Every document of the scroll.
    pub total: usize,
    /// The hits of this page; none when it is at its end.
    pub hits: Vec<Hit>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scroll {
    /// The indices it reads, by name and uuid: without one of them the context is gone.
    indices: Vec<(Arc<str>, String)>,
    rest: VecDeque<Hit>,
    shards: Shards,
    total: usize,
    page_size: usize,
    expires_ms: u64,
}

impl Scroll {
    fn page(&mut self, scroll: u64) -> Page {
        let end = self.page_size.min(self.rest.len());
        Page {
            scroll,
            shards: self.shards,
            total: self.total,
            hits: self.rest.drain(..end).collect(),
        }
    }
}

pub(super) fn closed(index: &Index) -> Refusal {
    Refusal::new(400, kind::INDEX_CLOSED, "closed")
        .with("index", Json::text(&*index.name))
        .with("index_uuid", Json::text(index.uuid.as_str()))
}

/// A search that a shard refuses because of its arguments.
pub fn shard_refusal(index: &str, reason: &str) -> Refusal {
    let cause = Cause::new(kind::ILLEGAL_ARGUMENT, reason);
    let failed = Json::object([
        ("shard", Json::int(0)),
        ("index", Json::text(index)),
        ("node", Json::text("stand-in")),
        ("reason", cause.json()),
    ]);
    Refusal::search_phase(
        400,
        "all shards failed",
        RootCause::Shard(Box::new(cause.clone())),
        vec![failed],
    )
    .because(cause.clone().because(cause))
}

impl Indexer {
    /// The open indices of these names.
    pub(super) fn readable(&self, names: &[&str]) -> Result<Vec<&Index>, Refusal> {
        let mut indices = Vec::with_capacity(names.len());
        for name in names {
            let index = self
                .get_index(name)
                .ok_or_else(|| Refusal::index_not_found(name, "index_or_alias"))?;
            if index.closed {
                return Err(closed(index));
            }
            indices.push(index);
        }
        Ok(indices)
    }

    /// Searches the named indices.
    ///
    /// # Errors
    /// 404 for a missing index, 400 for a closed one or for a sort by analysed text, 503 when no shard is there or,
    /// without `allow_partial`, when one is missing.
    pub fn search(&self, names: &[&str], search: &Search, now_ms: u64) -> Result<Found, Refusal> {
        let indices = self.readable(names)?;
        let missing: Vec<String> = indices
            .iter()
            .filter(|index| index.shard_missing)
            .map(|index| format!("[{}][0]", index.name))
            .collect();
        if !missing.is_empty() && !search.allow_partial {
            let reason = format!(
                "Search rejected due to missing shards [{}]. Consider using `allow_partial_search_results` setting to bypass this error.",
                missing.join(", ")
            );
            let mut cause = Cause::new(kind::SEARCH_PHASE, reason);
            cause.details = phase_details(Vec::new());
            return Err(Refusal::search_phase(503, "", RootCause::Empty, Vec::new()).because(cause));
        }
        let shards = Shards {
            total: indices.len(),
            successful: indices.len() - missing.len(),
        };
        if shards.total > 0 && shards.successful == 0 {
            return Err(Refusal::search_phase(
                503,
                "all shards failed",
                RootCause::Empty,
                Vec::new(),
            ));
        }
        let mut keyed = Vec::new();
        for index in indices.into_iter().filter(|index| !index.shard_missing) {
            check_sort(index, &search.sort)?;
            for (id, document) in index.visible() {
                if search
                    .query
                    .matches(id, document, index.mapping.as_ref(), now_ms)
                {
                    let keys: Vec<_> = search
                        .sort
                        .iter()
                        .map(|sort| sort_key(sort, index, id, document))
                        .collect();
                    keyed.push((keys, index.name.clone(), id.clone(), document));
                }
            }
        }
        keyed.sort_by(|left, right| {
            order(&search.sort, &left.0, &right.0)
                .then_with(|| left.1.cmp(&right.1))
                .then_with(|| left.3.seq_no.cmp(&right.3.seq_no))
        });
        let total = keyed.len();
        if let Some(after) = &search.after {
            let Some(first) = keyed.first() else {
                return Ok(Found {
                    shards,
                    total,
                    hits: Vec::new(),
                });
            };
            let mapping = self
                .get_index(&first.1)
                .and_then(|index| index.mapping.as_ref());
            let bound = bound(&search.sort, after, mapping);
            keyed.retain(|entry| order(&search.sort, &entry.0, &bound) == Ordering::Greater);
        }
        let hits = keyed
            .into_iter()
            .map(|(keys, index, id, document)| Hit {
                index,
                id,
                document: document.clone(),
                sort: keys.into_iter().map(|key| key.shown).collect(),
            })
            .collect();
        Ok(Found {
            shards,
            total,
            hits,
        })
    }

    /// Opens a scroll and gives its first page: a snapshot of what is visible now, kept for `keep_alive_ms` after
    /// each page.
    ///
    /// # Errors
    /// As for [`Indexer::search`]; 400 for a page of more than [`PAGE_MAX`]; 429 beyond [`SCROLLS_MAX`].
    pub fn open_scroll(
        &mut self,
        names: &[&str],
        search: &Search,
        page_size: usize,
        keep_alive_ms: u64,
        now_ms: u64,
    ) -> Result<Page, Refusal> {
        if page_size > PAGE_MAX {
            return Err(shard_refusal(
                names.first().copied().unwrap_or_default(),
                &format!(
                    "Batch size is too large, size must be less than or equal to: [{PAGE_MAX}] but was [{page_size}]. Scroll batch sizes cost as much memory as result windows so they are controlled by the [index.max_result_window] index level setting."
                ),
            ));
        }
        self.scrolls.retain(|_, scroll| scroll.expires_ms > now_ms);
        if self.scrolls.len() >= SCROLLS_MAX {
            return Err(Refusal::new(
                429,
                kind::REJECTED_EXECUTION,
                format!(
                    "Trying to create too many scroll contexts. Must be less than or equal to: [{SCROLLS_MAX}]. This limit can be set by changing the [search.max_open_scroll_context] setting."
                ),
            ));
        }
        let found = self.search(names, search, now_ms)?;
        let indices = self
            .readable(names)?
            .into_iter()
            .map(|index| (index.name.clone(), index.uuid.clone()))
            .collect();
        self.scrolls_made += 1;
        let id = self.scrolls_made;
        let mut scroll = Scroll {
            indices,
            rest: found.hits.into(),
            shards: found.shards,
            total: found.total,
            page_size,
            expires_ms: now_ms.saturating_add(keep_alive_ms),
        };
        let page = scroll.page(id);
        self.scrolls.insert(id, scroll);
        Ok(page)
    }

    /// The next page of a scroll; empty at its end.
    ///
    /// # Errors
    /// 404 when the scroll is not open: closed, expired, its index gone, or the node restarted. The listing must
    /// be started again.
    pub fn next_page(
        &mut self,
        scroll: u64,
        keep_alive_ms: u64,
        now_ms: u64,
    ) -> Result<Page, Refusal> {
        let indices = &self.indices;
        let open = self.scrolls.get_mut(&scroll).filter(|open| {
            open.expires_ms > now_ms
                && open.indices.iter().all(|(name, uuid)| {
                    indices
                        .get(&**name)
                        .is_some_and(|index| index.uuid == *uuid && !index.closed)
                })
        });
        let Some(open) = open else {
            let cause = Cause::new(
                kind::CONTEXT_MISSING,
                format!("No search context found for id [{scroll}]"),
            );
            let failed = Json::object([
                ("shard", Json::int(-1)),
                ("index", Json::Null),
                ("reason", cause.json()),
            ]);
            let root = RootCause::Shard(Box::new(cause.clone()));
            return Err(
                Refusal::search_phase(404, "all shards failed", root, vec![failed]).because(cause),
            );
        };
        open.expires_ms = now_ms.saturating_add(keep_alive_ms);
        Ok(open.page(scroll))
    }

    /// Whether a scroll is kept; it may have expired.
    #[cfg(feature = "server")]
    pub(crate) fn has_scroll(&self, scroll: u64) -> bool {
        self.scrolls.contains_key(&scroll)
    }

    /// Closes a scroll; answers whether it was open.
    pub fn close_scroll(&mut self, scroll: u64) -> bool {
        self.scrolls.remove(&scroll).is_some()
    }

    /// Closes every scroll; answers how many there were.
    pub fn close_all_scrolls(&mut self) -> usize {
        let open = self.scrolls.len();
        self.scrolls.clear();
        open
    }
}

/// The value of one sort key.
struct Key {
    missing_first: bool,
    value: Option<SortKey>,
    shown: Json,
}

/// The sort values after which a search goes on, in the form of the keys.
fn bound(sort: &[Sort], after: &[Json], mapping: Option<&Mapping>) -> Vec<Key> {
    let no_fields = Fields::default();
    sort.iter()
        .zip(after)
        .map(|(sort, value)| {
            let (missing_first, key) = match sort {
                Sort::Written => (false, value.as_int().map(SortKey::Number)),
                Sort::Id { .. } => (false, value.scalar_text().map(SortKey::Text)),
                Sort::Field {
                    field,
                    missing_first,
                    ..
                } => (
                    *missing_first,
                    View::new(&no_fields, mapping, field).key(value),
                ),
            };
            Key {
                missing_first,
                value: key,
                shown: Json::Null,
            }
        })
        .collect()
}

fn check_sort(index: &Index, sort: &[Sort]) -> Result<(), Refusal> {
    let Some(mapping) = &index.mapping else {
        return Ok(());
    };
    for key in sort {
        let Sort::Field { field, .. } = key else {
            continue;
        };
        match mapping.leaf(field) {
            Some((leaf, _)) if leaf.kind == FieldType::Text => {
                return Err(shard_refusal(
                    &index.name,
                    &format!(
                        "Text fields are not optimised for operations that require per-document field data like aggregations and sorting, so these operations are disabled by default. Please use a keyword field instead. Alternatively, set fielddata=true on [{field}] in order to load field data by uninverting the inverted index. Note that this can use significant memory."
                    ),
                ));
            }
            Some(_) => {}
            None => {
                return Err(shard_refusal(
                    &index.name,
                    &format!("No mapping found for [{field}] in order to sort on"),
                ));
            }
        }
    }
    Ok(())
}

fn sort_key(sort: &Sort, index: &Index, id: &Arc<str>, document: &Document) -> Key {
    match sort {
        Sort::Written => Key {
            missing_first: false,
            value: Some(SortKey::Number(document.seq_no.into())),
            shown: Json::int(document.seq_no),
        },
        Sort::Id { .. } => Key {
            missing_first: false,
            value: Some(SortKey::Text(id.to_string())),
            shown: Json::text(&**id),
        },
        Sort::Field {
            field,
            descending,
            missing_first,
        } => {
            let view = View::new(document.fields(), index.mapping.as_ref(), field);
            let keyed = view
                .values()
                .filter_map(|value| Some((view.key(value)?, value)));
            let chosen = if *descending {
                keyed.max_by(|left, right| left.0.cmp(&right.0))
            } else {
                keyed.min_by(|left, right| left.0.cmp(&right.0))
            };
            let kind = index
                .mapping
                .as_ref()
                .and_then(|mapping| mapping.leaf(field))
                .map(|(leaf, _)| leaf.kind);
            let shown = match (&chosen, kind) {
                (
                    Some((SortKey::Number(number), _)),
                    Some(FieldType::Date | FieldType::Boolean),
                ) => Json::int(*number),
                (Some((SortKey::Number(number), value)), Some(FieldType::Whole { .. })) => value
                    .as_int()
                    .map_or_else(|| Json::int(*number / 1_000_000_000), Json::int),
                (Some((_, value)), _) => (*value).clone(),
                // A missing number sorts as the least or greatest long, and shows as it.
                (None, Some(FieldType::Whole { .. } | FieldType::Date | FieldType::Boolean)) => {
                    Json::int(if *descending == *missing_first {
                        i64::MAX
                    } else {
                        i64::MIN
                    })
                }
                (None, _) => Json::Null,
            };
            Key {
                missing_first: *missing_first,
                value: chosen.map(|(key, _)| key),
                shown,
            }
        }
    }
}

fn order(sort: &[Sort], left: &[Key], right: &[Key]) -> Ordering {
    for (sort, (left, right)) in sort.iter().zip(left.iter().zip(right)) {
        let descending = match sort {
            Sort::Written => false,
            Sort::Id { descending } | Sort::Field { descending, .. } => *descending,
        };
        let ordering = match (&left.value, &right.value) {
            (Some(left), Some(right)) if descending => right.cmp(left),
            (Some(left), Some(right)) => left.cmp(right),
            (None, None) => Ordering::Equal,
            (None, Some(_)) if left.missing_first => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) if left.missing_first => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
    Ordering::Equal
}
