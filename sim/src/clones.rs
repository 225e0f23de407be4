//! A second machine with an agent's identity: a disk image that was copied, say. Both are right by themselves;
//! their documents share their ids, so that what the Indexer holds is a mixture while both are there.

use crate::outbox::Outbox;
use crate::world::{Occurrence, World};
use inventory_sync_core::id::ModuleId;

impl World {
    /// A clone of an agent comes to life, with content of its own.
    pub(crate) fn clone_appears(&mut self, of: usize) {
        let id = self.agents[of].id;
        let known = self
            .agents
            .iter()
            .position(|node| node.is_clone && node.id == id);
        let clone = match known {
            Some(clone) if self.agents[clone].alive => return,
            Some(clone) => clone,
            None => {
                let mut node = self.make_agent(id, "clone-");
                node.is_clone = true;
                self.oracles.cloned(id);
                node.alive = false;
                self.agents.push(node);
                self.agents.len() - 1
            }
        };
        for (module, lane) in (0_u16..).zip(&mut self.agents[clone].lanes) {
            lane.outbox = Outbox::new(id, &self.options, ModuleId(module));
        }
        self.agents[clone].is_retired = false;
        self.start_agent(clone);
        self.begin_work_of(clone);
    }

    /// The clone of an agent is gone for good. What it left behind only a Full removes.
    pub(crate) fn clone_goes(&mut self, of: usize) {
        let id = self.agents[of].id;
        let clones: Vec<usize> = (0..self.agents.len())
            .filter(|agent| {
                let node = &self.agents[*agent];
                node.is_clone && !node.is_retired && node.id == id
            })
            .collect();
        if clones.is_empty() {
            return;
        }
        for clone in clones {
            self.retire(clone);
        }
        for lane in &mut self.agents[of].lanes {
            lane.outbox.owe_full();
        }
        let life = self.agents[of].life;
        for module in 0..self.agents[of].lanes.len() {
            let due = Occurrence::SyncDue {
                agent: of,
                life,
                module,
            };
            self.schedule.after(0, due);
        }
    }

    fn retire(&mut self, clone: usize) {
        let node = &mut self.agents[clone];
        node.is_retired = true;
        node.alive = false;
        node.connecting = false;
        if let Some(connection) = node.connection.take() {
            self.hang_up(connection);
        }
    }
}
