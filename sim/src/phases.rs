//! The end of a run: healing, and what the world still waits for.

use inventory_sync_core::coordinator;

use crate::trace::Node;
use crate::world::{Occurrence, World};

impl World {
    /// What the world still waits for; nothing when it is at rest.
    pub(crate) fn pending(&self) -> Option<String> {
        let Some(process) = &self.process else {
            return Some("the manager is down".to_owned());
        };
        for node in &self.agents {
            if !node.alive {
                return Some(format!("agent {} is down", node.id));
            }
            for (module, lane) in node.lanes.iter().enumerate() {
                if !lane.outbox.is_clear() {
                    let machine = lane.machine.pending().map(|pending| format!("{pending}"));
                    let owed = lane.outbox.pending.len();
                    return Some(format!(
                        "agent {} module {module} owes {owed} documents: {}",
                        node.id,
                        machine.unwrap_or_else(|| "no job".to_owned())
                    ));
                }
            }
        }
        if self.indexer.is_busy() {
            return Some("a request is on its way to the Indexer".to_owned());
        }
        for (number, shard) in process.shards.iter().enumerate() {
            if let Some(reason) = shard.machine.pending() {
                return Some(format!("shard {number}: {reason}"));
            }
        }
        process
            .coordinator
            .pending()
            .map(|reason| format!("coordinator: {reason}"))
    }

    /// Everything is repaired, nothing goes wrong any more, agents change nothing.
    pub(crate) fn heal(&mut self) {
        self.trace
            .note(self.schedule.now(), Node::World, '*', &"healed");
        self.trace.phase(self.schedule.now(), "healed");
        self.faults.set_frozen(true);
        self.working = false;
        self.healed = true;
        self.indexer.reachable = true;
        self.indexer.refresh_paused = false;
        self.indexer.scripted.clear();
        self.indexer.set_red(false);
        self.indexer.set_blocked(None, false);
        let resumed: Vec<_> = (0_u16..)
            .zip(self.options.config.catalogue.indices())
            .map(|(index, _)| index)
            .collect();
        if let Some(life) = self.process.as_ref().map(|process| process.life) {
            for index in resumed {
                let index = inventory_sync_core::id::IndexId(index);
                self.tell_coordinator(life, coordinator::Event::ResumeIndex { index });
            }
        }
        for agent in 0..self.agents.len() {
            let life = self.agents[agent].life;
            for module in 0..self.agents[agent].lanes.len() {
                self.agents[agent].lanes[module].outbox.heal();
                self.schedule.after(
                    0,
                    Occurrence::SyncDue {
                        agent,
                        life,
                        module,
                    },
                );
            }
        }
    }
}
