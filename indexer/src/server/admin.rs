//! The stand-in's own routes.

use super::World;
use super::faults::Faults;
use super::stats::Stats;
use crate::model::json::Json;

/// Replaces the faults; those before are healed.
pub fn set_faults(world: &mut World, text: &[u8]) -> Result<(), String> {
    let faults = Faults::parse(text)?;
    heal(world);
    world.engine.indexer().set_foreign_red(faults.red());
    world.faults = faults;
    keep_shards_missing(world);
    Ok(())
}

fn heal(world: &mut World) {
    world.engine.indexer().set_foreign_red(false);
    let missing: Vec<String> = world
        .faults
        .missing_shards()
        .into_iter()
        .map(str::to_owned)
        .collect();
    for name in missing {
        world
            .engine
            .indexer()
            .change_index(&name, |index| index.shard_missing = false);
    }
    world.faults = Faults::default();
}

/// Takes away the shards that a fault says are missing, of indices created since as well.
pub fn keep_shards_missing(world: &mut World) {
    for name in world.faults.missing_shards() {
        let indexer = world.engine.indexer();
        if indexer
            .get_index(name)
            .is_some_and(|index| !index.shard_missing)
        {
            indexer.change_index(name, |index| index.shard_missing = true);
        }
    }
}

/// Answers a request under `/_inventory/`.
pub fn answer(world: &mut World, method: &str, path: &str, body: &[u8]) -> (u16, Json) {
    let done = || Json::object([("acknowledged", Json::Bool(true))]);
    match (method, path) {
        ("GET", "/_inventory/faults") => (200, world.faults.json()),
        ("PUT", "/_inventory/faults") => match set_faults(world, body) {
            Ok(()) => (200, done()),
            Err(fault) => (400, Json::object([("error", Json::String(fault))])),
        },
        ("DELETE", "/_inventory/faults") => {
            heal(world);
            (200, done())
        }
        ("GET", "/_inventory/stats") => {
            let documents = world.engine.documents();
            (200, world.stats.json(documents, world.engine.sink_json()))
        }
        ("DELETE", "/_inventory/stats") => {
            world.stats = Stats::default();
            (200, done())
        }
        _ => {
            let known = "GET, PUT, DELETE /_inventory/faults; GET, DELETE /_inventory/stats";
            (
                404,
                Json::object([(
                    "error",
                    Json::text(format!("no route [{method} {path}]; there are {known}")),
                )]),
            )
        }
    }
}
