//! A stored document.

use crate::model::fields::Fields;
use crate::model::json;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

/// The bytes of a source, as sent.
pub type Source = Arc<[u8]>;

/// A stored document; a clone shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Document {
    /// Its version.
    pub version: u64,
    /// The number of the operation that stored it, in its index.
    pub seq_no: u64,
    /// The primary term under which it was stored.
    pub primary_term: u64,
    body: Arc<Body>,
}

/// The bytes, and their flattened form once somebody searched for it.
#[derive(Debug)]
struct Body {
    source: Source,
    fields: OnceLock<Fields>,
}

impl PartialEq for Body {
    fn eq(&self, other: &Body) -> bool {
        self.source == other.source
    }
}

impl Eq for Body {}

impl Hash for Body {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
    }
}

impl Document {
    pub(crate) fn new(version: u64, seq_no: u64, primary_term: u64, source: Source) -> Document {
        Document {
            version,
            seq_no,
            primary_term,
            body: Arc::new(Body {
                source,
                fields: OnceLock::new(),
            }),
        }
    }

    /// The bytes, as sent.
    pub fn source(&self) -> &Source {
        &self.body.source
    }

    /// The scalars of the source by path; read at the first call and kept. A source that is not JSON has none.
    pub fn fields(&self) -> &Fields {
        self.body.fields.get_or_init(|| {
            json::parse(&self.body.source)
                .map(|source| Fields::of(&source))
                .unwrap_or_default()
        })
    }
}
