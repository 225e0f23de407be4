//! What the manager machine costs per frame and per session: `cargo run --release -p
//! inventory-sync-core --example machine_cost`. One thread, the best of several rounds. Documents cost
//! nothing here: what happens per document is measured by `document_cost`.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it measures time, outside the machines"
)]

use std::time::Instant;

use inventory_sync_core::answer::{BulkOutcome, PartOutcome};
use inventory_sync_core::config::{Catalogue, CatalogueError, Config};
use inventory_sync_core::document::{ChunkLoad, FrameSummary, PlanSummary, Run, Runs};
use inventory_sync_core::id::{AgentId, ConnectionId, IndexId, Peer, SessionId, StageId, Version};
use inventory_sync_core::manager::{
    Command, ConnectionKind, Event, Health, IndexState, Manager, Reply,
};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire::{Mode, Start, Status};

/// Documents of 540 bytes in a frame of 64 KiB.
const ITEMS_PER_FRAME: u32 = 120;
const FRAMES_PER_COMMIT: u32 = 16;
const ROUNDS: u32 = 7;

type Shard = Manager<()>;

struct Bench {
    shard: Shard,
    out: Vec<Command<()>>,
    now: u64,
}

impl Bench {
    fn new() -> Result<Self, CatalogueError> {
        let index = "wazuh-states-inventory-packages".to_owned();
        let catalogue = Catalogue::new([("syscollector".to_owned(), [index])])?;
        let mut config = Config::new(catalogue);
        config.linger_ms = 0;
        let mut bench = Self {
            shard: Manager::new(config, [7; 32]),
            out: Vec::new(),
            now: 0,
        };
        let unix_ms = 1_790_000_000_000;
        bench.say(Event::WallClock { unix_ms });
        bench.say(Event::BoundRaised {
            bound: Version::from_unix_ms(unix_ms + 3_600_000),
        });
        bench.say(Event::LeaseUntil { until: Tick::NEVER });
        bench.say(Event::Health {
            health: Health::Ready,
        });
        bench.say(Event::IndexChanged {
            index: IndexId(0),
            state: IndexState::Open,
        });
        Ok(bench)
    }

    fn say(&mut self, event: Event<()>) {
        self.out.clear();
        self.shard.handle(Tick(self.now), event, &mut self.out);
    }

    fn open(&mut self, peer: Peer, size: u32) -> Option<SessionId> {
        let connection = peer.connection;
        self.say(Event::Opened {
            connection,
            kind: ConnectionKind::Agent,
        });
        let start = Start {
            mode: Some(Mode::Delta),
            size: u64::from(size),
            module: "syscollector".to_owned(),
            agent_id: peer.agent.0,
            protocol_version: 1,
            nonce: 1,
            ..Start::default()
        };
        self.say(Event::Start {
            peer,
            start: Box::new(start),
            digest: [1; 16],
        });
        self.out.iter().find_map(|command| match command {
            Command::Reply {
                message: Reply::StartAck(ack),
                ..
            } if ack.status == Status::Ok => Some(SessionId(ack.session)),
            _ => None,
        })
    }

    /// One session of so many frames, to its verdict. Nanoseconds for its frames and for the rest.
    fn session(&mut self, agent: u64, frames: u32, items: u32) -> Option<(u128, u128)> {
        let peer = Peer {
            connection: ConnectionId(agent),
            agent: AgentId(agent),
        };
        let whole = Instant::now();
        let session = self.open(peer, frames * items)?;
        let staged = Instant::now();
        for frame in 0..frames {
            let run = Run::new(frame * items, (frame + 1) * items - 1);
            let frame_summary = FrameSummary {
                session,
                sequences: Runs::from_iter([run]),
                beyond: None,
                unknown_operation: None,
                foreign_element: false,
                bytes: 540 * u64::from(items),
            };
            self.say(Event::Items {
                peer,
                frame: frame_summary,
                payload: (),
            });
            if frame % FRAMES_PER_COMMIT == FRAMES_PER_COMMIT - 1 || frame == frames - 1 {
                // Every write asked for so far: the ids grow by one.
                self.say(Event::Staged {
                    upto: StageId(u64::MAX),
                });
            }
        }
        let staged = staged.elapsed().as_nanos();
        self.say(Event::End { peer, session });
        let load = ChunkLoad {
            upserts: items,
            upsert_bytes: 800 * u64::from(items),
            ..ChunkLoad::default()
        };
        let plan = PlanSummary {
            chunks: vec![load; frames as usize],
            operations: vec![(IndexId(0), u64::from(frames * items))],
            ..PlanSummary::default()
        };
        self.say(Event::Planned {
            session,
            plan: Some(Box::new(plan)),
        });
        while let Some((bulk, counts)) = self.out.iter().find_map(|command| match command {
            Command::Bulk { bulk, parts, .. } => Some((
                *bulk,
                parts
                    .iter()
                    .map(|part| part.ordinals.count())
                    .collect::<Vec<_>>(),
            )),
            _ => None,
        }) {
            let parts = counts.into_iter().map(|count| PartOutcome {
                stored: vec![(IndexId(0), count)],
                ..PartOutcome::default()
            });
            let outcome = BulkOutcome::Answered {
                parts: parts.collect(),
            };
            self.say(Event::BulkDone { bulk, outcome });
        }
        let is_ok = self.out.iter().any(|command| {
            matches!(command, Command::Reply { message: Reply::EndAck(ack), .. }
                if ack.status == Status::Ok)
        });
        let whole = whole.elapsed().as_nanos();
        self.say(Event::Closed {
            connection: peer.connection,
        });
        self.now += 1;
        is_ok.then(|| (staged, whole - staged))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut per_frame, mut per_session, mut small) = (u128::MAX, u128::MAX, u128::MAX);
    for _ in 0..ROUNDS {
        let mut bench = Bench::new()?;
        let (mut frames, mut rest) = (0, 0);
        for agent in 1..=20 {
            let (staged, other) = bench
                .session(agent, 1_000, ITEMS_PER_FRAME)
                .ok_or("a session did not end Ok")?;
            frames += staged;
            rest += other;
        }
        per_frame = per_frame.min(frames / 20_000);
        per_session = per_session.min(rest / 20);
        let mut bench = Bench::new()?;
        let whole = Instant::now();
        for agent in 1..=20_000 {
            bench
                .session(agent, 1, 1)
                .ok_or("a session did not end Ok")?;
        }
        small = small.min(whole.elapsed().as_nanos() / 20_000);
    }
    println!("frame of {ITEMS_PER_FRAME} documents, staged        {per_frame:>8} ns");
    println!("session of 1000 frames, all but its frames {per_session:>8} ns");
    println!("session of one document, from Start to Ok  {small:>8} ns");
    Ok(())
}
