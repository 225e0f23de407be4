//! Sessions of real endpoints end in the Indexer byte for byte.

use std::path::Path;

use inventory_sync_core::wire::{
    AgentInfo, BatchBuilder, End, Mode, NotAdded, Operation, Start, Status, encode_data, encode_end,
};
use inventory_tests::World;
use inventory_tests::agent::item;
use inventory_tests::connection::Connection;
use inventory_tests::document::Document;
use serde::Deserialize;
use serde_json::value::RawValue;

/// As much of a frame as an endpoint fills.
const BATCH_BYTES: usize = 60 << 10;

#[derive(Deserialize)]
struct Capture<'a> {
    metadata: Metadata,
    #[serde(borrow)]
    items: Vec<CapturedItem<'a>>,
}

#[derive(Deserialize)]
struct Metadata {
    agentid: String,
    module: String,
    mode: String,
    indices: Vec<String>,
    #[serde(default)]
    agentname: String,
    #[serde(default)]
    agentversion: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    osname: String,
    #[serde(default)]
    osplatform: String,
    #[serde(default)]
    ostype: String,
    #[serde(default)]
    osversion: String,
    #[serde(default)]
    groups: Vec<String>,
}

#[derive(Deserialize)]
struct CapturedItem<'a> {
    seq: u64,
    operation: String,
    id: String,
    index: String,
    /// The raw slice of the file.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl Metadata {
    fn info(&self) -> AgentInfo {
        AgentInfo {
            name: self.agentname.clone(),
            version: self.agentversion.clone(),
            architecture: self.architecture.clone(),
            hostname: self.hostname.clone(),
            os_name: self.osname.clone(),
            os_platform: self.osplatform.clone(),
            os_type: self.ostype.clone(),
            os_version: self.osversion.clone(),
            groups: self.groups.clone(),
        }
    }
}

#[tokio::test]
async fn captured_sessions_end_in_the_indexer_byte_for_byte() {
    let Some(folder) = std::env::var_os("INVENTORY_TEST_SESSIONS") else {
        println!("skipped: INVENTORY_TEST_SESSIONS names no folder with captured sessions");
        return;
    };
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("INVENTORY_TEST_SESSIONS is a folder")
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no session in {}", folder.display());
    for file in files {
        // A cluster each: what one session leaves is not what the next one finds.
        let world = World::new("captured");
        let _daemon = world.setup().start_ready().await;
        replay(&world, &file).await;
    }
}

async fn replay(world: &World, file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let capture: Capture<'_> = serde_json::from_str(&text).unwrap();
    let metadata = &capture.metadata;
    assert_eq!(metadata.mode, "ModuleDelta", "{}", file.display());
    let agent: u64 = metadata.agentid.parse().unwrap();
    let info = metadata.info();
    let documents: Vec<(u64, Document)> = capture
        .items
        .iter()
        .map(|captured| {
            let operation = match captured.operation.as_str() {
                "Upsert" => Operation::Upsert,
                "Delete" => Operation::Delete,
                other => panic!("operation {other:?} in {}", file.display()),
            };
            let data = captured.data.map_or("", RawValue::get);
            let document = Document::upsert(&captured.index, &captured.id, data);
            (
                captured.seq,
                Document {
                    operation,
                    ..document
                },
            )
        })
        .collect();
    let size = documents.iter().map(|(seq, _)| seq + 1).max().unwrap();
    let mut connection = Connection::open(&world.endpoint(agent)).await.unwrap();
    let start = Start {
        mode: Some(Mode::Delta),
        size,
        module: metadata.module.clone(),
        agent_id: agent,
        protocol_version: 1,
        indices: metadata.indices.clone(),
        agent: Some(info.clone()),
        ..Start::default()
    };
    let session = connection.open_session(&start).await;
    // In the order of arrival, as batches; what is too large for one goes alone.
    let mut batch = BatchBuilder::new(session, BATCH_BYTES);
    for (seq, document) in &documents {
        let item = item(*seq, document);
        match batch.push(&item) {
            Ok(()) => {}
            Err(NotAdded::Full) => {
                let full = std::mem::replace(&mut batch, BatchBuilder::new(session, BATCH_BYTES));
                connection.send(&full.finish()).await;
                batch.push(&item).expect("it fits into an empty one");
            }
            Err(NotAdded::TooLarge) => connection.send(&encode_data(session, &item)).await,
        }
    }
    connection.send(&batch.finish()).await;
    connection.send(&encode_end(&End { session })).await;
    assert_eq!(connection.end_ack().await.status, Status::Processing);
    let verdict = connection.end_ack().await;
    assert_eq!(
        verdict.status,
        Status::Ok,
        "{}: {verdict:?}",
        file.display()
    );

    let indices: Vec<&str> = metadata.indices.iter().map(String::as_str).collect();
    let wanted: Vec<Document> = documents
        .into_iter()
        .map(|(_, document)| document)
        .filter(|document| document.operation == Operation::Upsert)
        .collect();
    world.check_with(&indices, agent, &info, &wanted).await;
    println!("{}: {} documents", file.display(), wanted.len());
}
