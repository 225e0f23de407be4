//! What agents do by themselves: their content changes, and they synchronise.

use inventory_sync_core::agent::Event;

use crate::faults::Fault;
use crate::options::Healing;
use crate::outbox::Wish;
use crate::world::{Occurrence, World};

impl World {
    /// Agents begin to work.
    pub(crate) fn begin_work(&mut self) {
        for agent in 0..self.agents.len() {
            self.begin_work_of(agent);
        }
    }

    /// An agent begins to work.
    pub(crate) fn begin_work_of(&mut self, agent: usize) {
        if self.options.change_every_ms == 0 {
            return;
        }
        for module in 0..self.agents[agent].lanes.len() {
            let churn = &mut self.agents[agent].lanes[module].churn;
            if let Some(after_ms) = churn.sometime(1, self.options.change_every_ms) {
                self.schedule
                    .after(after_ms, Occurrence::Churn { agent, module });
            }
        }
    }

    /// Whether an agent's content changes: until the world is healed, and afterwards where nothing heals.
    pub(crate) fn works(&self, agent: usize) -> bool {
        let node = &self.agents[agent];
        let is_there = !node.is_clone || node.alive;
        is_there
            && (self.working
                || (self.options.healing == Healing::Nothing && self.broken.contains(&node.id)))
    }

    /// A module's content changes, whether its agent runs or not.
    pub(crate) fn churn(&mut self, agent: usize, module: usize) {
        if !self.works(agent) {
            return;
        }
        let node = &mut self.agents[agent];
        let life = node.life;
        let lane = &mut node.lanes[module];
        for _ in 0..lane.churn.between(1, 4) {
            lane.outbox.churn(&mut lane.churn);
        }
        lane.churn.episode();
        if let Some(after_ms) = lane.churn.sometime(1, 2 * self.options.change_every_ms) {
            self.schedule
                .after(after_ms, Occurrence::Churn { agent, module });
        }
        self.schedule.after(
            0,
            Occurrence::SyncDue {
                agent,
                life,
                module,
            },
        );
    }

    /// A module synchronises if there is something to say.
    pub(crate) fn sync_due(&mut self, agent: usize, life: u32, module: usize) {
        if self.options.change_every_ms == 0 && !self.healed {
            return;
        }
        let node = &self.agents[agent];
        if !node.alive || node.life != life || node.lanes[module].outbox.is_busy() {
            return;
        }
        let node = &mut self.agents[agent];
        if self.healed {
            // A verdict from before may have set something aside.
            node.lanes[module].outbox.heal();
        }
        let lane = &mut node.lanes[module];
        lane.work.episode();
        if lane.outbox.owes_full() && (self.healed || lane.work.chance(500_000)) {
            let wish = Wish::Full(lane.outbox.all_indices());
            return self.begin_sync(agent, module, wish);
        }
        let full = !self.healed && lane.work.chance(self.options.fulls_per_mille * 1_000);
        let wish = if full {
            let indices = self.options.config.catalogue.modules()[module]
                .indices
                .clone();
            let first = usize::try_from(lane.work.below(indices.len() as u64)).unwrap_or(0);
            let all = lane.work.chance(500_000);
            Wish::Full(if all {
                indices
            } else {
                vec![lane.outbox.index(first)]
            })
        } else {
            Wish::Delta
        };
        self.begin_sync(agent, module, wish);
    }

    /// A module begins a job.
    pub(crate) fn begin_sync(&mut self, agent: usize, module: usize, wish: Wish) {
        let id = self.agents[agent].id;
        let bad = self
            .faults
            .strikes_agent(Fault::BadItem, id)
            .then(|| self.faults.stream(Fault::BadItem).bits());
        let node = &mut self.agents[agent];
        let life = node.life;
        let lane = &mut node.lanes[module];
        if let Some(job) = lane.outbox.job(wish, &mut lane.work, bad) {
            self.tell_agent(agent, life, module, Event::Sync { job: Box::new(job) });
        }
    }
}
