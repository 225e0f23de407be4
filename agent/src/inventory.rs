//! A snapshot of the machine as documents: what `scan` shows and what a synchronisation sends.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::document;
use crate::provider::{self, Category, Outcome, Problem, Roots, Row, Scan, Source};

/// What to collect, and what to write into the documents.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the sources find their files.
    pub roots: Roots,
    /// The categories, each once; their order is that of the inventory.
    pub categories: Vec<Category>,
    /// Also TCP sockets that do not listen.
    pub all_ports: bool,
    /// `state.modified_at`, in milliseconds since 1970 UTC. Not part of any checksum.
    pub modified_at_ms: i64,
    /// `state.document_version`; at least 1. Not part of any checksum.
    pub document_version: i32,
}

impl Options {
    /// Everything of the running system, modified now, first version.
    #[must_use]
    pub fn now() -> Self {
        // A clock before 1970 or after the year 292 million counts as 1970.
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            roots: Roots::host(),
            categories: Category::ALL.to_vec(),
            all_ports: false,
            modified_at_ms: i64::try_from(since_1970.as_millis()).unwrap_or_default(),
            document_version: 1,
        }
    }
}

/// One document, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// 40 hexadecimal digits, unique in the index for this machine.
    pub id: String,
    /// The index it belongs to.
    pub index: &'static str,
    /// One JSON object, compact UTF-8.
    pub body: Vec<u8>,
    /// The row's checksum, as in the body's `checksum.hash.sha1`.
    pub checksum: String,
}

/// What is known about a category after a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The documents are all there is: what is not among them is gone. A Full may list the index.
    Complete,
    /// A part of the source could not be read: the documents are true, but a missing one means nothing.
    Incomplete,
    /// Nothing is known: no documents, and that means nothing.
    Unavailable {
        /// Why, for people.
        reason: String,
    },
}

/// The documents of one category.
#[derive(Debug, Clone)]
pub struct CategoryInventory {
    /// The category.
    pub category: Category,
    /// Its index.
    pub index: &'static str,
    /// What the documents mean.
    pub state: State,
    /// The documents, ascending by id, each id once.
    pub documents: Vec<Document>,
    /// What went wrong with single entries; at most [`provider::MAX_PROBLEMS`].
    pub problems: Vec<Problem>,
    /// Problems beyond that.
    pub problems_dropped: usize,
    /// How long reading took.
    pub took: Duration,
}

/// A snapshot of the machine.
#[derive(Debug, Clone)]
pub struct Inventory {
    /// The categories that were asked for, in that order.
    pub categories: Vec<CategoryInventory>,
}

impl Inventory {
    /// All documents, category after category.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.categories
            .iter()
            .flat_map(|category| &category.documents)
    }
}

/// Reads the machine now. Takes as long as its sources (about a second; up to a minute where `rpm` hangs)
/// and cannot fail: what could not be read is in the answer.
#[must_use]
pub fn collect(options: &Options) -> Inventory {
    Inventory {
        categories: options
            .categories
            .iter()
            .map(|category| {
                let source = provider::source(*category, options.all_ports);
                collect_from(source.as_ref(), options)
            })
            .collect(),
    }
}

fn collect_from(source: &dyn Source, options: &Options) -> CategoryInventory {
    let started = Instant::now();
    let category = source.category();
    let (state, scan, documents) = match source.scan(&options.roots) {
        Outcome::Unavailable { reason } => (State::Unavailable { reason }, Scan::new(), Vec::new()),
        Outcome::Scanned(mut scan) => {
            let documents = documents(category, &mut scan, options);
            let state = if scan.complete {
                State::Complete
            } else {
                State::Incomplete
            };
            (state, scan, documents)
        }
    };
    CategoryInventory {
        category,
        index: category.index(),
        state,
        documents,
        problems: scan.problems,
        problems_dropped: scan.problems_dropped,
        took: started.elapsed(),
    }
}

/// The documents of a scan. Of several rows with one id the one whose body is bytewise smallest stays, so
/// that the answer does not depend on the order in which the system lists them.
fn documents(category: Category, scan: &mut Scan, options: &Options) -> Vec<Document> {
    let modified_at = provider::utc_from_millis(options.modified_at_ms)
        .unwrap_or_else(|| "1970-01-01T00:00:00.000Z".to_owned());
    let mut by_id: BTreeMap<String, Document> = BTreeMap::new();
    for row in std::mem::take(&mut scan.rows) {
        let Some(document) = document(category, &row, scan, options, &modified_at) else {
            continue;
        };
        match by_id.entry(document.id.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(document);
            }
            Entry::Occupied(mut known) => {
                let what = "listed more than once; one of the rows is kept";
                scan.problem(document::key(category, &row), what);
                if document.body < known.get().body {
                    known.insert(document);
                }
            }
        }
    }
    by_id.into_values().collect()
}

/// The document of a row, or `None` (and a problem) if the index would refuse it.
fn document(
    category: Category,
    row: &Row,
    scan: &mut Scan,
    options: &Options,
    modified_at: &str,
) -> Option<Document> {
    let entry = || document::key(category, row);
    for column in row.cut() {
        scan.problem(entry(), format!("{column} is too long and was cut"));
    }
    let checksum = document::checksum(category, row);
    let Some(rendered) = document::render(
        category,
        row,
        &checksum,
        options.document_version,
        modified_at,
    ) else {
        scan.problem(entry(), "left out: the field table has no such index");
        return None;
    };
    for misfit in rendered.misfits {
        scan.problem(entry(), format!("left null: {misfit}"));
    }
    if let Err(misfits) = document::check(category.index(), &rendered.document) {
        let misfits: Vec<_> = misfits.iter().map(ToString::to_string).collect();
        scan.problem(
            entry(),
            format!(
                "left out, the index would refuse it: {}",
                misfits.join("; ")
            ),
        );
        return None;
    }
    Some(Document {
        id: document::id(category, row),
        index: category.index(),
        body: rendered.document.to_string().into_bytes(),
        checksum,
    })
}

#[cfg(test)]
mod tests;
