//! Any events in any order: no panic, no broken invariant, no bound or lease out of turn (the desk checks
//! each command), and in an honest world every question of a shard is answered exactly once.

use super::desk::{Desk, request_of};
use super::{config, document};
use crate::coordinator::{
    Config, CountOutcome, Event, HealthOutcome, IndexOutcome, ListingReport, RefreshOutcome,
    ShardId, TemplateOutcome, WriteOutcome, WriterOutcome,
};
use crate::id::{AgentId, IndexId, RequestId, SessionId, Version};
use crate::manager::{IndexTrouble, ListingOutcome, Tally, Unready};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    /// Answers a question that is out as an honest world would.
    Answer(usize),
    /// Answers it otherwise; the number picks how.
    Lie(usize, u8),
    /// An answer of any kind to any number.
    Stray(u64, u8),
    WallClock(u64),
    Listing {
        shard: u16,
        session: u64,
        agent: u64,
        indices: Vec<u16>,
    },
    Cancel {
        shard: u16,
        session: u64,
    },
    Refusals {
        session: u64,
        agent: u64,
        tallies: Vec<(u16, u64, u64)>,
    },
    Stored {
        agent: u64,
        index: u16,
        stored: u64,
    },
    Trouble {
        index: u16,
        kind: u8,
    },
    BoundWanted(u64),
    Resume(u16),
    ShardStopped(u16, bool),
    Shutdown,
    /// Someone writes the writer document: ours with another nonce, or another id.
    Foreign {
        same_id: bool,
        ahead_ms: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let tallies = prop::collection::vec((0u16..4, 0u64..60, 0u64..60), 0..3);
    let step = prop_oneof![
        8 => (0u64..12_000).prop_map(Step::Pass),
        24 => (0usize..6).prop_map(Step::Answer),
        6 => (0usize..6, any::<u8>()).prop_map(|(place, how)| Step::Lie(place, how)),
        4 => (0u64..40, any::<u8>()).prop_map(|(request, how)| Step::Stray(request, how)),
        2 => (0u64..100_000_000).prop_map(Step::WallClock),
        8 => (0u16..2, 0u64..5, 0u64..3, prop::collection::vec(0u16..3, 1..3)).prop_map(
            |(shard, session, agent, indices)| Step::Listing { shard, session, agent, indices }
        ),
        3 => (0u16..2, 0u64..5).prop_map(|(shard, session)| Step::Cancel { shard, session }),
        3 => (0u64..5, 0u64..3, tallies).prop_map(
            |(session, agent, tallies)| Step::Refusals { session, agent, tallies }
        ),
        2 => (0u64..3, 0u16..4, 0u64..9).prop_map(
            |(agent, index, stored)| Step::Stored { agent, index, stored }
        ),
        3 => (0u16..4, 0u8..3).prop_map(|(index, kind)| Step::Trouble { index, kind }),
        2 => (0u64..5_000_000).prop_map(Step::BoundWanted),
        1 => (0u16..4).prop_map(Step::Resume),
        1 => (0u16..4, any::<bool>()).prop_map(|(shard, clean)| Step::ShardStopped(shard, clean)),
        1 => prop::bool::weighted(0.2).prop_map(|stops| if stops { Step::Shutdown } else { Step::Pass(1) }),
        1 => (any::<bool>(), 0u64..200_000).prop_map(
            |(same_id, ahead_ms)| Step::Foreign { same_id, ahead_ms }
        ),
    ];
    prop::collection::vec(step, 1..150)
}

fn indices(pick: u8) -> Vec<IndexId> {
    (0..3)
        .filter(|index| pick >> index & 1 == 1)
        .map(IndexId)
        .collect()
}

fn health(pick: u8) -> HealthOutcome {
    match pick % 6 {
        0 => HealthOutcome::Ready,
        1 => HealthOutcome::Unready(Unready::Unauthorized),
        2 => HealthOutcome::Unready(Unready::Red),
        3 => HealthOutcome::Unready(Unready::Starting),
        4 => HealthOutcome::Unready(Unready::NoLease),
        _ => HealthOutcome::Unready(Unready::Unreachable),
    }
}

fn created(pick: u8) -> IndexOutcome {
    match pick % 3 {
        0 => IndexOutcome::Exists,
        1 => IndexOutcome::Refused("no".to_owned()),
        _ => IndexOutcome::Unknown,
    }
}

fn template(pick: u8) -> TemplateOutcome {
    match pick % 4 {
        0 => TemplateOutcome::IndexFits,
        1 => TemplateOutcome::TemplateFits,
        2 => TemplateOutcome::Different("no".to_owned()),
        _ => TemplateOutcome::Unknown,
    }
}

fn report(pick: u8) -> ListingReport {
    match pick % 3 {
        0 => ListingReport::Failed,
        1 => ListingReport::Paused {
            indices: indices(pick / 3),
        },
        _ => ListingReport::Complete {
            targets: vec![ListingOutcome::Failed; usize::from(pick % 4)],
        },
    }
}

/// An answer to that question which the world did not mean. Never one that says of a write or a record that
/// it was done: that would be a world against which nothing can be upheld.
fn lie(like: &Event, pick: u8) -> Event {
    let mut event = like.clone();
    match &mut event {
        Event::Health { outcome, .. } => *outcome = health(pick),
        Event::IndexCreated { outcome, .. } => *outcome = created(pick),
        Event::WriterRead { outcome, .. } => *outcome = WriterOutcome::Unknown,
        Event::WriterWritten { outcome, .. } => {
            *outcome = match pick % 3 {
                0 => WriteOutcome::Conflict,
                1 => WriteOutcome::Refused,
                _ => WriteOutcome::Unknown,
            };
        }
        Event::TemplateChecked { outcome, .. } => *outcome = template(pick),
        Event::Counted { outcome, .. } => {
            *outcome = match pick % 2 {
                0 => CountOutcome::Unknown,
                _ => CountOutcome::Documents(u64::from(pick)),
            };
        }
        Event::Refreshed { outcome, .. } => {
            *outcome = match pick % 2 {
                0 => RefreshOutcome::Failed,
                _ => RefreshOutcome::Paused {
                    indices: indices(pick / 2),
                },
            };
        }
        Event::Listed { report: told, .. } => *told = report(pick),
        Event::Recorded { durable, .. } => *durable = false,
        _ => {}
    }
    event
}

fn stray(request: RequestId, pick: u8) -> Event {
    match pick % 9 {
        0 => Event::Health {
            request,
            outcome: health(pick / 9),
        },
        1 => Event::IndexCreated {
            request,
            outcome: created(pick / 9),
        },
        2 => Event::WriterRead {
            request,
            outcome: WriterOutcome::Absent,
        },
        3 => Event::WriterWritten {
            request,
            outcome: WriteOutcome::Written {
                seq_no: 1,
                primary_term: 1,
            },
        },
        4 => Event::TemplateChecked {
            request,
            outcome: template(pick / 9),
        },
        5 => Event::Counted {
            request,
            outcome: CountOutcome::Documents(0),
        },
        6 => Event::Refreshed {
            request,
            outcome: RefreshOutcome::Done,
        },
        7 => Event::Listed {
            request,
            report: report(pick / 9),
        },
        _ => Event::Recorded {
            request,
            durable: true,
        },
    }
}

/// How many judgements were told since the last [`Desk::forget`].
fn judged(desk: &Desk) -> usize {
    let told = desk.told();
    let is_judgement =
        |line: &&str| line.contains(": held ") || line.ends_with("the documents are to blame");
    told.lines().filter(is_judgement).count()
}

impl Step {
    fn take(self, desk: &mut Desk) {
        match self {
            Self::Pass(duration_ms) => desk.run(duration_ms),
            Self::Answer(place) if place < desk.open.len() => {
                let command = desk.open.remove(place).unwrap();
                let event = desk.world.answer(&command).unwrap();
                desk.say(event);
            }
            Self::Lie(place, pick) if place < desk.open.len() => {
                let command = desk.open.remove(place).unwrap();
                let event = desk.world.answer(&command).unwrap();
                desk.say(lie(&event, pick));
            }
            Self::Answer(_) | Self::Lie(..) => desk.say(Event::Tick),
            Self::Stray(request, pick) => {
                let request = RequestId(request);
                // To a question that is out only an answer of another kind is a stray one.
                let open = desk
                    .open
                    .iter()
                    .find(|open| request_of(open) == Some(request))
                    .cloned();
                let event = stray(request, pick);
                let like = open.and_then(|open| desk.world.answer(&open));
                let is_meant = like.is_some_and(|like| {
                    std::mem::discriminant(&like) == std::mem::discriminant(&event)
                });
                if !is_meant {
                    desk.say(event);
                }
            }
            Self::WallClock(unix_ms) => desk.say(Event::WallClock { unix_ms }),
            Self::Listing {
                shard,
                session,
                agent,
                indices,
            } => {
                if !desk.wanted.contains(&(ShardId(shard), SessionId(session))) {
                    desk.say(super::wanted(shard, session, agent, &indices));
                }
            }
            Self::Cancel { shard, session } => desk.say(super::cancelled(shard, session)),
            Self::Refusals {
                session,
                agent,
                tallies,
            } => {
                desk.forget();
                let tally = |(index, stored, refused)| Tally {
                    index: IndexId(index),
                    stored,
                    refused,
                };
                desk.say(Event::Refusals {
                    shard: ShardId(0),
                    session: SessionId(session),
                    agent: AgentId(agent),
                    tallies: tallies.into_iter().map(tally).collect(),
                });
                assert_eq!(judged(desk), 1, "a question is judged at once, and once");
            }
            Self::Stored {
                agent,
                index,
                stored,
            } => desk.say(super::stored(agent, index, stored)),
            Self::Trouble { index, kind } => desk.say(Event::IndexTrouble {
                index: IndexId(index),
                trouble: match kind {
                    0 => IndexTrouble::Blocked,
                    1 => IndexTrouble::Missing,
                    _ => IndexTrouble::Forbidden,
                },
            }),
            Self::BoundWanted(unix_ms) => desk.say(Event::BoundWanted {
                beyond: Version::from_unix_ms(unix_ms),
            }),
            Self::Resume(index) => desk.say(Event::ResumeIndex {
                index: IndexId(index),
            }),
            Self::ShardStopped(shard, clean) => desk.say(super::stopped(shard, clean)),
            Self::Shutdown => desk.say(Event::Shutdown),
            Self::Foreign { same_id, ahead_ms } => {
                let writer = if same_id { super::WRITER } else { "beta" };
                let now_ms = super::START_UNIX_MS + desk.now.0;
                desk.world.put(document(writer, 99, now_ms + ahead_ms));
            }
        }
    }
}

/// The world answers everything from here on; every question of a shard finds its answer.
fn settle(desk: &mut Desk) {
    desk.is_diligent = true;
    while !desk.open.is_empty() {
        desk.answer();
    }
    desk.run(120_000);
    assert!(desk.wanted.is_empty(), "{:?} wait for ever", desk.wanted);
    let is_ending = desk.is_aborted || desk.is_stopped;
    assert!(
        is_ending || desk.coordinator.lease_until() > desk.now,
        "it comes to a lease"
    );
    let pending = desk.coordinator.pending();
    assert!(is_ending || pending.is_none(), "{pending:?}");
}

proptest! {
    #[test]
    fn any_events_in_any_order(
        recovered in prop::option::of(0u64..2_000_000),
        clean_stop in any::<bool>(),
        linger_ms in prop::sample::select(vec![0u64, 20]),
        steps in steps(),
    ) {
        let mut desk = Desk::new(Config { listing_linger_ms: linger_ms, ..config() });
        desk.is_diligent = false;
        desk.start(match recovered {
            Some(bound_ms) => super::recovered(bound_ms, clean_stop),
            None => super::FRESH,
        });
        for step in steps {
            step.take(&mut desk);
        }
        settle(&mut desk);
    }
}
