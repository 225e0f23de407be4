//! What every agent brings, round after round, and what that leaves in the Indexer.
//!
//! An agent has one *lane* for each module that speaks for it: one for generated documents, as many as there
//! are modules for captured sessions. Lanes go through their rounds independently of each other.

use std::collections::BTreeMap;

use inventory_sync_core::document::Run;
use inventory_sync_core::id::SessionId;
use inventory_sync_core::wire::{AgentInfo, Mode, Operation};
use serde_json::json;

use super::captured::{self, CapturedError, CapturedItem, CapturedLane, CapturedSession};
use super::content::{Generator, INDEX, MODULE};
use super::options::Options;
use super::packing::{self, Generated, Packed};
use super::rounds::{Book, Shape};

/// What every agent brings.
#[derive(Debug)]
pub(super) struct Plan {
    /// The first agent's number.
    pub(super) first_agent: u64,
    /// How many agents.
    pub(super) agents: u32,
    /// How many times an agent goes through what it brings.
    pub(super) rounds: u32,
    frame_bytes: usize,
    /// Agents that are to cost little say less of themselves.
    is_terse: bool,
    brings: Brings,
}

#[derive(Debug)]
enum Brings {
    Generated {
        generator: Generator,
        shape: Shape,
    },
    Captured {
        lanes: Vec<CapturedLane>,
        /// Instead of a lane's first session's own mode.
        first: Option<Mode>,
        /// Instead of the others' own.
        later: Option<Mode>,
    },
}

/// A round of a lane, as its Start says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) mode: Mode,
    pub(super) indices: Vec<String>,
    pub(super) size: u32,
}

/// One lane of one agent, as of one round.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    pub(super) agent: u64,
    /// Which of the plan's lanes.
    pub(super) number: u16,
    /// The round under way.
    pub(super) round: u32,
    book: Book,
}

impl Lane {
    pub(super) fn new(agent: u64, number: u16) -> Self {
        Self {
            agent,
            number,
            round: 0,
            book: Book::default(),
        }
    }
}

impl Plan {
    /// Reads what is to be read.
    ///
    /// # Errors
    /// A captured session that is none.
    pub(super) fn new(options: &Options) -> Result<Self, CapturedError> {
        let frame_bytes = usize::try_from(options.frame_bytes).unwrap_or(usize::MAX);
        let brings = if options.session.is_empty() {
            let document_bytes = usize::try_from(options.document_bytes).unwrap_or(usize::MAX);
            let (first, later) = options.modes();
            Brings::Generated {
                generator: Generator::new(options.seed, document_bytes),
                shape: Shape {
                    seed: options.seed,
                    documents: options.documents,
                    first,
                    later,
                    changed_percent: options.changed_percent,
                    deleted_percent: options.deleted_percent,
                },
            }
        } else {
            Brings::Captured {
                lanes: captured::load(&options.session, frame_bytes)?,
                first: options.mode.map(Mode::from),
                later: options.later.map(Mode::from),
            }
        };
        Ok(Self {
            first_agent: options.first_agent,
            agents: options.agents,
            rounds: options.rounds,
            frame_bytes,
            is_terse: options.idle,
            brings,
        })
    }

    /// All that the rounds depend on, but for how many agents and rounds there are: with more of them the
    /// earlier ones stay the same.
    pub(super) fn fingerprint(&self) -> String {
        match &self.brings {
            Brings::Generated { generator, shape } => json!({
                "generated": format!("{generator:?} {shape:?}"),
            }),
            Brings::Captured {
                lanes,
                first,
                later,
            } => {
                let sessions: Vec<String> = lanes
                    .iter()
                    .flat_map(|lane| lane.sessions.iter().map(|session| (&lane.module, session)))
                    .map(|(module, session)| {
                        format!("{module} {} {}", session.items.len(), digest(session))
                    })
                    .collect();
                json!({"captured": sessions, "modes": format!("{first:?} {later:?}")})
            }
        }
        .to_string()
    }

    /// Lanes of every agent.
    pub(super) fn lanes(&self) -> u16 {
        match &self.brings {
            Brings::Generated { .. } => 1,
            Brings::Captured { lanes, .. } => u16::try_from(lanes.len()).unwrap_or(u16::MAX),
        }
    }

    /// The module of a lane.
    pub(super) fn module(&self, lane: u16) -> &str {
        match &self.brings {
            Brings::Generated { .. } => MODULE,
            Brings::Captured { lanes, .. } => lanes
                .get(usize::from(lane))
                .map_or("", |lane| lane.module.as_str()),
        }
    }

    /// The indices that a lane writes.
    pub(super) fn indices(&self, lane: u16) -> Vec<String> {
        match &self.brings {
            Brings::Generated { .. } => vec![INDEX.to_owned()],
            Brings::Captured { lanes, .. } => {
                let sessions = lanes.get(usize::from(lane)).into_iter();
                let mut all: Vec<String> = sessions
                    .flat_map(|lane| &lane.sessions)
                    .flat_map(|session| {
                        let items = session.items.iter().map(|item| &item.index);
                        session.indices.iter().chain(items)
                    })
                    .cloned()
                    .collect();
                all.sort();
                all.dedup();
                all
            }
        }
    }

    /// Sessions that a lane goes through.
    pub(super) fn rounds_of(&self, lane: u16) -> u32 {
        match &self.brings {
            Brings::Generated { .. } => self.rounds,
            Brings::Captured { lanes, .. } => {
                let sessions = lanes
                    .get(usize::from(lane))
                    .map_or(0, |lane| lane.sessions.len());
                u32::try_from(sessions)
                    .unwrap_or(u32::MAX)
                    .saturating_mul(self.rounds)
            }
        }
    }

    /// What an agent says of itself.
    pub(super) fn info(&self, agent: u64, lane: u16) -> AgentInfo {
        let name = format!("replay-{agent:03}");
        if self.is_terse {
            return AgentInfo {
                name,
                ..AgentInfo::default()
            };
        }
        match &self.brings {
            Brings::Generated { .. } => AgentInfo {
                hostname: name.clone(),
                name,
                version: "v5.0.0".to_owned(),
                architecture: "x86_64".to_owned(),
                os_name: "Ubuntu".to_owned(),
                os_platform: "ubuntu".to_owned(),
                os_type: "linux".to_owned(),
                os_version: "24.04.1 LTS (Noble Numbat)".to_owned(),
                groups: vec!["default".to_owned()],
            },
            Brings::Captured { lanes, .. } => lanes
                .get(usize::from(lane))
                .map(|lane| lane.info.clone())
                .unwrap_or_default(),
        }
    }

    /// Goes on to a round.
    pub(super) fn begin(&self, lane: &mut Lane, round: u32) -> Announced {
        lane.round = round;
        match &self.brings {
            Brings::Generated { shape, .. } => {
                lane.book.advance(shape, lane.agent, round);
                Announced {
                    mode: shape.mode(round),
                    indices: vec![INDEX.to_owned()],
                    size: lane.book.size(shape),
                }
            }
            Brings::Captured { .. } => match self.captured(lane.number, round) {
                Some((mode, session)) => Announced {
                    mode,
                    indices: session.indices.clone(),
                    size: u32::try_from(session.items.len()).unwrap_or(u32::MAX),
                },
                None => Announced {
                    mode: Mode::Delta,
                    indices: Vec::new(),
                    size: 0,
                },
            },
        }
    }

    fn captured(&self, lane: u16, round: u32) -> Option<(Mode, &CapturedSession)> {
        let Brings::Captured {
            lanes,
            first,
            later,
        } = &self.brings
        else {
            return None;
        };
        let sessions = &lanes.get(usize::from(lane))?.sessions;
        let at = usize::try_from(round).ok()?.checked_rem(sessions.len())?;
        let session = sessions.get(at)?;
        let chosen = if round == 0 { *first } else { *later };
        Some((chosen.unwrap_or(session.mode), session))
    }

    /// Frames for the beginning of a run of the round under way, near `bytes_max` but one at least. `None`
    /// when one of its rows does not fit into any.
    pub(super) fn pack(
        &self,
        lane: &Lane,
        session: SessionId,
        run: Run,
        bytes_max: u64,
        scratch: &mut Vec<u8>,
    ) -> Option<Packed> {
        match &self.brings {
            Brings::Generated { generator, shape } => Generated {
                generator,
                shape,
                book: &lane.book,
                agent: lane.agent,
            }
            .pack(session, run, self.frame_bytes, bytes_max, scratch),
            Brings::Captured { .. } => {
                let (_, captured) = self.captured(lane.number, lane.round)?;
                packing::captured(captured, session, run, self.frame_bytes, bytes_max)
            }
        }
    }

    /// Tells every document that so many acknowledged rounds of a lane leave: index, id, body.
    pub(super) fn expect(
        &self,
        agent: u64,
        number: u16,
        acknowledged: u32,
        tell: &mut dyn FnMut(&str, &str, &[u8]),
    ) {
        let Some(last) = acknowledged.checked_sub(1) else {
            return;
        };
        match &self.brings {
            Brings::Generated { generator, shape } => {
                let mut book = Book::default();
                book.advance(shape, agent, last);
                let mut body = Vec::new();
                for slot in 0..shape.documents {
                    let document = book.document(slot);
                    generator.body(agent, document, &mut body);
                    let id = generator.id(agent, slot, document.born);
                    tell(INDEX, &id, &body);
                }
            }
            Brings::Captured { .. } => {
                let mut left: BTreeMap<(&str, &str), &CapturedItem> = BTreeMap::new();
                for round in 0..acknowledged {
                    let Some((mode, session)) = self.captured(number, round) else {
                        continue;
                    };
                    if mode == Mode::Full {
                        left.retain(|(index, _), _| {
                            !session.indices.iter().any(|named| named == index)
                        });
                    }
                    for item in &session.items {
                        let key = (item.index.as_str(), item.id.as_str());
                        match item.operation {
                            Operation::Upsert => left.insert(key, item),
                            Operation::Delete => left.remove(&key),
                        };
                    }
                }
                for ((index, id), item) in left {
                    tell(index, id, item.data.as_deref().unwrap_or_default());
                }
            }
        }
    }

    /// About how many documents an agent has, to divide agents into groups.
    pub(super) fn documents_of_an_agent(&self) -> usize {
        let count = match &self.brings {
            Brings::Generated { shape, .. } => {
                usize::try_from(shape.documents).unwrap_or(usize::MAX)
            }
            Brings::Captured { lanes, .. } => lanes
                .iter()
                .flat_map(|lane| &lane.sessions)
                .map(|session| session.items.len())
                .sum(),
        };
        count.max(1)
    }

    /// About how large a document is.
    pub(super) fn document_bytes(&self) -> usize {
        match &self.brings {
            Brings::Generated { generator, .. } => generator.document_bytes(),
            Brings::Captured { lanes, .. } => {
                let items = lanes
                    .iter()
                    .flat_map(|lane| &lane.sessions)
                    .flat_map(|session| &session.items);
                items
                    .filter_map(|item| item.data.as_ref().map(Vec::len))
                    .max()
                    .unwrap_or(1)
            }
        }
    }
}

/// What tells two captured sessions apart.
fn digest(session: &CapturedSession) -> String {
    use sha1::Digest as _;

    let mut digest = sha1::Sha1::new();
    digest.update(format!("{:?} {:?}", session.mode, session.indices));
    for item in &session.items {
        digest.update(format!("{:?} {} {}", item.operation, item.index, item.id));
        digest.update(item.data.as_deref().unwrap_or_default());
    }
    digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn plan(arguments: &[&str]) -> Plan {
        let mut all = vec!["replay", "--to", "unix:a"];
        all.extend(arguments);
        Plan::new(&Line::try_parse_from(all).unwrap().options).unwrap()
    }

    fn left(plan: &Plan, acknowledged: u32) -> Vec<(String, String)> {
        let mut left = Vec::new();
        plan.expect(7, 0, acknowledged, &mut |_, id, body| {
            left.push((id.to_owned(), String::from_utf8_lossy(body).into_owned()));
        });
        left
    }

    #[test]
    fn captured_rounds_leave_what_their_operations_say() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, mode: &str, items: &str| {
            let path = folder.path().join(name);
            let text = format!(
                r#"{{"metadata": {{"module": "fim", "mode": "{mode}", "indices": ["i"]}}, "items": [{items}]}}"#
            );
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let upsert = |seq: u32, id: &str, value: u32| {
            format!(
                r#"{{"seq": {seq}, "operation": "Upsert", "id": "{id}", "index": "i", "data": {{"x": {value}}}}}"#
            )
        };
        let delete = r#"{"seq": 1, "operation": "Delete", "id": "a", "index": "i"}"#;
        let first = write(
            "1",
            "ModuleDelta",
            &[upsert(0, "a", 1), upsert(1, "b", 1)].join(","),
        );
        let second = write(
            "2",
            "ModuleDelta",
            &[upsert(0, "c", 2), delete.to_owned()].join(","),
        );
        let third = write("3", "ModuleFull", &upsert(0, "b", 3));
        let arguments = [
            "--session",
            &first,
            "--session",
            &second,
            "--session",
            &third,
        ];
        let plan = plan(&arguments);
        assert_eq!((plan.lanes(), plan.rounds_of(0)), (1, 3));
        let pair = |id: &str, value: u32| (id.to_owned(), format!("{{\"x\":{value}}}"));
        assert_eq!(left(&plan, 0), []);
        assert_eq!(left(&plan, 1), [pair("a", 1), pair("b", 1)]);
        assert_eq!(left(&plan, 2), [pair("b", 1), pair("c", 2)]);
        assert_eq!(left(&plan, 3), [pair("b", 3)]);
    }

    #[test]
    fn more_agents_and_rounds_are_the_same_plan_and_other_documents_are_not() {
        let few = plan(&["--agents", "2", "--rounds", "3"]);
        let many = plan(&["--agents", "9", "--rounds", "30"]);
        assert_eq!(few.fingerprint(), many.fingerprint());
        assert_eq!(left(&few, 2), left(&many, 2));
        for other in [["--seed", "2"], ["--documents", "99"], ["--later", "full"]] {
            assert_ne!(plan(&other).fingerprint(), few.fingerprint());
        }
    }
}
