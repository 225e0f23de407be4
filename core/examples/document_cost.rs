//! What a document costs on its way through the pure functions: `cargo run --release -p
//! inventory-sync-core --example document_cost [DOCUMENTS [ROUNDS]]`. One thread, the best of several rounds.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it measures time, outside the machines"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use inventory_sync_core::answer::{self, Sent};
use inventory_sync_core::config::{Catalogue, Config};
use inventory_sync_core::document::{
    Chunks, Class, Items, Part, Run, Runs, Scheme, SessionTable, check_payload, plan, render, scan,
};
use inventory_sync_core::id::{AgentId, SessionId, Version};
use inventory_sync_core::wire::{self, AgentInfo, BatchBuilder, Item, Operation};

const INDEX: &str = "wazuh-states-inventory-packages";
const FRAME_BYTES: usize = 64 << 10;
const SESSION: SessionId = SessionId(7);
const AGENT: AgentId = AgentId(1);

/// Frames in memory, by key.
struct Frames(Vec<(u32, Vec<u8>)>);

impl<'f> Chunks for &'f Frames {
    type Bytes = &'f [u8];

    fn chunk(&self, _: SessionId, key: u32) -> Option<&'f [u8]> {
        let place = self.0.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        self.0.get(place).map(|(_, frame)| frame.as_slice())
    }
}

fn document(seq: u32) -> String {
    format!(
        r#"{{"checksum":{{"hash":{{"sha1":"{seq:040x}"}}}},"package":{{"architecture":"amd64","category":"libs","description":"a shared library of modest size, with \"quotes\" in its description and some more words","installed":"2026-01-02T03:04:05.000Z","multiarch":"same","name":"libexample-{seq}","path":"/var/lib/dpkg/status","priority":"optional","size":{seq},"source":"example","type":"deb","vendor":"Example Maintainers <maintainers@example.org>","version":"1:2.3.4-5ubuntu{seq}"}},"state":{{"document_version":1,"modified_at":"2026-01-02T03:04:05.000Z"}}}}"#
    )
}

fn frames(documents: u32) -> Frames {
    let mut frames = Vec::new();
    let (mut seq, mut key) = (0, 0);
    let mut batch = BatchBuilder::new(SESSION.0, FRAME_BYTES);
    while seq < documents {
        let payload = document(seq);
        let id = format!("{seq:08x}{:032x}", u128::from(seq) * 0x9E37_79B9_7F4A_7C15);
        let item = Item {
            seq: u64::from(seq),
            operation: Operation::Upsert,
            id: &id,
            index: INDEX,
            data: Some(payload.as_bytes()),
            version: 1,
        };
        if batch.push(&item).is_ok() {
            seq += 1;
        } else {
            frames.push((key, batch.finish()));
            key = seq;
            batch = BatchBuilder::new(SESSION.0, FRAME_BYTES);
        }
    }
    frames.push((key, batch.finish()));
    Frames(frames)
}

/// Measures rounds over so many documents.
struct Rounds {
    documents: u32,
    rounds: u32,
}

impl Rounds {
    /// The best time of a round, in nanoseconds a document.
    fn measure(&self, name: &str, mut round: impl FnMut()) {
        let mut best_ns = u128::MAX;
        for _ in 0..self.rounds {
            let begun = Instant::now();
            round();
            best_ns = best_ns.min(begun.elapsed().as_nanos());
        }
        println!("{name:<34} {:>6} ns", best_ns / u128::from(self.documents));
    }
}

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|number| number.parse().ok());
    let documents: u32 = numbers.next().unwrap_or(20_000).max(1);
    let rounds = Rounds {
        documents,
        rounds: numbers.next().unwrap_or(20).max(1),
    };
    let catalogue =
        Catalogue::new([("syscollector".to_owned(), [INDEX.to_owned()])]).unwrap_or_default();
    let config = Config::new(catalogue);
    let scheme = Arc::new(Scheme::new(&config, 42));
    let info = AgentInfo {
        name: "example-host".to_owned(),
        version: "5.0.0".to_owned(),
        architecture: "x86_64".to_owned(),
        hostname: "example-host".to_owned(),
        os_name: "Ubuntu".to_owned(),
        os_platform: "ubuntu".to_owned(),
        os_type: "linux".to_owned(),
        os_version: "24.04".to_owned(),
        groups: vec!["default".to_owned()],
    };
    let frames = frames(documents);
    let payloads: Vec<String> = (0..documents).map(document).collect();
    println!(
        "{documents} documents of {} bytes in {} frames",
        payloads.last().map_or(0, String::len),
        frames.0.len()
    );

    rounds.measure("payload check", || {
        for payload in &payloads {
            let _ = black_box(check_payload(payload.as_bytes()));
        }
    });
    rounds.measure("payload check by serde_json", || {
        for payload in &payloads {
            let _ = black_box(serde_json::from_slice::<serde::de::IgnoredAny>(
                payload.as_bytes(),
            ));
        }
    });
    rounds.measure("decode", || {
        for (_, frame) in &frames.0 {
            let _ = black_box(wire::decode(frame));
        }
    });
    rounds.measure("decode and scan", || {
        for (_, frame) in &frames.0 {
            black_box(scanned(&scheme, frame));
        }
    });

    let mut staged = SessionTable::new(scheme.clone(), SESSION, AGENT, &info);
    for (key, frame) in &frames.0 {
        if let Some((summary, table)) = scanned(&scheme, frame) {
            staged.stage(*key, summary.sequences.as_slice(), &table);
        }
    }
    let allowed: Vec<_> = config.catalogue.index(INDEX).into_iter().collect();
    rounds.measure("plan", || {
        let mut table = staged.clone();
        black_box(plan(&mut table, &&frames, &allowed, false, 1000));
    });

    let mut table = staged;
    let _ = plan(&mut table, &&frames, &allowed, false, 1000);
    let part = Part {
        session: SESSION,
        agent: AGENT,
        version: Version::from_unix_ms(1_800_000_000_000),
        class: Class::Upsert,
        ordinals: Runs::from_iter([Run::new(0, documents - 1)]),
    };
    let mut body = Vec::with_capacity(64 << 20);
    rounds.measure("render, decoding included", || {
        body.clear();
        black_box(render(&part, &table, &&frames, &mut body));
    });
    println!(
        "{:<34} {:>6} bytes",
        "bulk body",
        body.len() / documents as usize
    );

    let items = vec![r#"{"index":{"status":200}}"#; documents as usize].join(",");
    let stored = format!(r#"{{"took":9,"errors":false,"items":[{items}]}}"#);
    let parsed = stored.replace("\"errors\":false", "\"errors\":true");
    let sent = [Sent {
        part: &part,
        table: Some(&table),
    }];
    rounds.measure("answer, all stored", || {
        black_box(answer::bulk(&sent, 200, stored.as_bytes(), 1000));
    });
    rounds.measure("answer, parsed", || {
        black_box(answer::bulk(&sent, 200, parsed.as_bytes(), 1000));
    });
}

fn scanned(
    scheme: &Scheme,
    frame: &[u8],
) -> Option<(
    inventory_sync_core::document::FrameSummary,
    inventory_sync_core::document::FrameTable,
)> {
    let message = wire::decode(frame).ok()?;
    let items = Items::of(&message)?;
    Some(scan(scheme, AGENT, &items, frame.len() as u64))
}
