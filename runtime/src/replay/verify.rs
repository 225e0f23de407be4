//! Compares what the Indexer holds with what the acknowledged rounds leave.
//!
//! ```text
//!  plan, acknowledged rounds ─▶ expected: index, id ─▶ fingerprint ─┐
//!                                                                   ├─▶ missing, unexpected, different
//!  Indexer, page by page ─────▶ stored:   index, id ─▶ fingerprint ─┘
//! ```
//!
//! Invariants: only the documents of one group of agents are in memory, and of these ids and fingerprints;
//! agents of whose last round nothing is known are left out, and counted.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use inventory_sync_core::config::{Catalogue, CatalogueError};
use inventory_sync_core::document::payload_sha1;
use inventory_sync_core::id::{AgentId, IndexId};
use serde::Deserialize;
use serde::Serialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use sha1::{Digest as _, Sha1};

use super::driver::LaneEnd;
use super::listing::{Hit, Lister, ListingError};
use super::options::Depth;
use super::plan::Plan;
use crate::config::Config;
use crate::indexer::{Connector, ConnectorError};

/// Agents that are asked for at once.
const AGENTS_MAX: usize = 64;

/// About how many documents are in memory at once.
const DOCUMENTS_MAX: usize = 200_000;

/// A page takes as long as it takes, within reason: nobody waits for it but us.
const PATIENCE: Duration = Duration::from_secs(60);

/// Documents that are named.
const EXAMPLES_MAX: usize = 10;

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The Indexer did not answer.
    #[error("the Indexer cannot be asked: {0}")]
    Listing(#[from] ListingError),
    /// There is no way to the Indexer.
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    /// The configured modules contradict each other.
    #[error("{0}")]
    Catalogue(CatalogueError),
    /// An index is written that is not configured.
    #[error("the index {index} is not one of the configured modules' indices")]
    Index {
        /// Its name.
        index: String,
    },
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Findings {
    /// How closely was looked.
    pub(super) mode: &'static str,
    /// Documents that should be there.
    pub(super) documents: u64,
    /// Of these, those that are not.
    pub(super) missing: u64,
    /// Documents that should not be there.
    pub(super) unexpected: u64,
    /// Documents with another checksum, or another content.
    pub(super) different: u64,
    /// Agents left out, for of their last round nothing is known.
    pub(super) agents_left_out: u64,
    /// The first of them all, in sentences.
    pub(super) examples: Vec<String>,
}

impl Findings {
    /// Whether everything is as it should be.
    pub(super) const fn is_right(&self) -> bool {
        self.missing == 0 && self.unexpected == 0 && self.different == 0
    }

    fn name(&mut self, what: &str, index: &str, id: &str) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(format!("{what}: {id} in {index}"));
        }
    }
}

/// What two documents are compared by; equal documents have equal ones.
type Fingerprint = Option<[u8; 20]>;

/// What is expected of a group, and what of it was not found yet.
struct Comparison {
    depth: Depth,
    expected: HashMap<(String, String), Fingerprint>,
    findings: Findings,
}

impl Comparison {
    fn fingerprint(&self, document: &str) -> Fingerprint {
        match self.depth {
            Depth::None => None,
            Depth::Ids => payload_sha1(document.as_bytes()),
            Depth::Documents => content(document),
        }
    }

    fn expect(&mut self, index: &str, id: String, body: &[u8]) {
        self.findings.documents += 1;
        let fingerprint = self.fingerprint(std::str::from_utf8(body).unwrap_or_default());
        self.expected.insert((index.to_owned(), id), fingerprint);
    }

    fn stored(&mut self, hit: &Hit<'_>) {
        let key = (hit.index.to_owned(), hit.id.to_owned());
        match self.expected.remove(&key) {
            None => {
                self.findings.unexpected += 1;
                self.findings.name("unexpected", hit.index, hit.id);
            }
            Some(expected) if expected != self.fingerprint(hit.source) => {
                self.findings.different += 1;
                self.findings.name("different", hit.index, hit.id);
            }
            Some(_) => {}
        }
    }

    /// What is left was not found.
    fn close(&mut self) {
        let mut left: Vec<_> = self.expected.drain().map(|(key, _)| key).collect();
        left.sort_unstable();
        self.findings.missing += left.len() as u64;
        for (index, id) in left {
            self.findings.name("missing", &index, &id);
        }
    }
}

/// A digest of a document without `wazuh`: of the bytes of each value, whatever the order at its top. `None`
/// for what is no document.
fn content(document: &str) -> Fingerprint {
    let mut fields = serde_json::from_str::<Fields<'_>>(document).ok()?.0;
    fields.retain(|(key, _)| key != "wazuh");
    fields.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    let mut digest = Sha1::new();
    for (key, value) in fields {
        digest.update((key.len() as u64).to_le_bytes());
        digest.update(key);
        digest.update((value.get().len() as u64).to_le_bytes());
        digest.update(value.get());
    }
    Some(digest.finalize().into())
}

/// The fields at the top of a document, as they stand there.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Top;

        impl<'de> Visitor<'de> for Top {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Top)
    }
}

/// Compares every lane. `progress` is told how many agents are done.
///
/// # Errors
/// The Indexer cannot be asked; what was compared until then does not count.
pub(super) async fn verify(
    config: &Config,
    plan: &Plan,
    depth: Depth,
    ends: &[LaneEnd],
    progress: &dyn Fn(usize),
) -> Result<Findings, VerifyError> {
    let modules = config.modules.iter();
    let catalogue = Catalogue::new(modules.map(|(name, own)| (name.clone(), own.clone())))
        .map_err(VerifyError::Catalogue)?;
    let connector = Connector::new(&config.indexer)?;
    let cluster = config.writer.cluster_name.as_str();
    let lister = Lister {
        connector: &connector,
        deadline: config.indexer.request_deadline.max(PATIENCE),
        catalogue: &catalogue,
        cluster,
    };
    let mut comparison = Comparison {
        depth,
        expected: HashMap::new(),
        findings: Findings {
            mode: depth.name(),
            ..Findings::default()
        },
    };
    let group = (DOCUMENTS_MAX / plan.documents_of_an_agent()).clamp(1, AGENTS_MAX);
    let mut done = 0;
    for number in 0..plan.lanes() {
        let indices = numbers(&catalogue, plan.indices(number))?;
        lister.refresh(&indices).await?;
        let of_lane = ends.iter().filter(|end| end.lane == number);
        let (known, unknown): (Vec<&LaneEnd>, Vec<&LaneEnd>) =
            of_lane.partition(|end| !end.is_between);
        comparison.findings.agents_left_out += unknown.len() as u64;
        for group in known.chunks(group) {
            let mut agents = Vec::with_capacity(group.len());
            for end in group {
                agents.push(AgentId(end.agent));
                plan.expect(
                    end.agent,
                    number,
                    end.acknowledged,
                    &mut |index, id, body| {
                        let id = format!("{cluster}_{:03}_{id}", end.agent);
                        comparison.expect(index, id, body);
                    },
                );
            }
            let is_whole = depth == Depth::Documents;
            let bytes = plan.document_bytes();
            let mut tell = |hit: Hit<'_>| comparison.stored(&hit);
            lister
                .list(&indices, &agents, is_whole, bytes, &mut tell)
                .await?;
            comparison.close();
            done += group.len();
            progress(done);
        }
    }
    Ok(comparison.findings)
}

fn numbers(catalogue: &Catalogue, names: Vec<String>) -> Result<Vec<IndexId>, VerifyError> {
    names
        .into_iter()
        .map(|index| catalogue.index(&index).ok_or(VerifyError::Index { index }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: &str = r#"{"a":{"x":1},"wazuh":{"agent":{}},"checksum":{"hash":{"sha1":"0123456789abcdef0123456789abcdef01234567"}}}"#;
    const SENT: &str =
        r#"{"checksum":{"hash":{"sha1":"0123456789abcdef0123456789abcdef01234567"}},"a":{"x":1}}"#;

    fn findings(depth: Depth, expected: &[(&str, &str)], stored: &[(&str, &str)]) -> Findings {
        let mut comparison = Comparison {
            depth,
            expected: HashMap::new(),
            findings: Findings::default(),
        };
        for (id, body) in expected {
            comparison.expect("i", (*id).to_owned(), body.as_bytes());
        }
        for (id, source) in stored {
            comparison.stored(&Hit {
                index: "i",
                id,
                source,
            });
        }
        comparison.close();
        comparison.findings
    }

    #[test]
    fn what_is_equal_is_right() {
        for depth in [Depth::Ids, Depth::Documents] {
            let found = findings(
                depth,
                &[("1", SENT), ("2", SENT)],
                &[("2", STORED), ("1", STORED)],
            );
            assert!(found.is_right() && found.documents == 2, "{found:?}");
        }
    }

    #[test]
    fn missing_unexpected_and_different_ones_are_named() {
        let other_digits = STORED.replace("0123", "3210");
        let other_content = STORED.replace("\"x\":1", "\"x\":1.0");
        let found = findings(
            Depth::Ids,
            &[("1", SENT), ("2", SENT), ("3", SENT)],
            &[
                ("1", &other_digits),
                ("2", &other_content),
                ("4", STORED),
                ("2", STORED),
            ],
        );
        assert_eq!(
            (found.missing, found.unexpected, found.different),
            (1, 2, 1)
        );
        assert!(!found.is_right());
        assert_eq!(
            found.examples,
            [
                "different: 1 in i",
                "unexpected: 4 in i",
                "unexpected: 2 in i",
                "missing: 3 in i"
            ]
        );
        let found = findings(Depth::Documents, &[("2", SENT)], &[("2", &other_content)]);
        assert_eq!(found.different, 1);
    }

    #[test]
    fn many_are_counted_and_the_first_ten_named() {
        let ids: Vec<String> = (0..100).map(|id| format!("{id:03}")).collect();
        let expected: Vec<_> = ids.iter().map(|id| (id.as_str(), SENT)).collect();
        let found = findings(Depth::Ids, &expected, &[]);
        assert_eq!((found.missing, found.examples.len()), (100, 10));
        assert_eq!(found.examples[9], "missing: 009 in i");
    }
}
