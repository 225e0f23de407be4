//! What agents do by themselves, and the faults that come over the world from time to time.

use inventory_sync_core::agent::Event;

use crate::faults::Fault;
use crate::outbox::Wish;
use crate::world::{EPOCH_MS, Occurrence, World};

/// How far the manager's clock is wrong at most.
const CLOCK_STEP_MS: u64 = 2 * 60 * 60 * 1_000;

/// Faults that come from time to time.
const RECURRING: [Fault; 9] = [
    Fault::AgentCrash,
    Fault::ManagerCrash,
    Fault::ManagerRestart,
    Fault::ClockStep,
    Fault::IndexerRestart,
    Fault::IndexerRed,
    Fault::IndexerUnreachable,
    Fault::IndexBlocked,
    Fault::RefreshPaused,
];

impl World {
    /// Agents begin to work.
    pub(crate) fn begin_work(&mut self) {
        if self.options.change_every_ms == 0 {
            return;
        }
        for agent in 0..self.agents.len() {
            for module in 0..self.agents[agent].lanes.len() {
                let churn = &mut self.agents[agent].lanes[module].churn;
                if let Some(after_ms) = churn.sometime(1, self.options.change_every_ms) {
                    self.schedule
                        .after(after_ms, Occurrence::Churn { agent, module });
                }
            }
        }
    }

    /// Things begin to go wrong.
    pub(crate) fn begin_chaos(&mut self) {
        self.note("chaos");
        self.trace.phase(self.schedule.now(), "chaos");
        self.faults.set_frozen(false);
        for fault in RECURRING {
            if let Some(after_ms) = self.faults.next_ms(fault) {
                self.schedule.after(after_ms, Occurrence::FaultDue(fault));
            }
        }
    }

    /// A module's content changes, whether its agent runs or not.
    pub(crate) fn churn(&mut self, agent: usize, module: usize) {
        if !self.working {
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
        let bad = self
            .faults
            .strikes(Fault::BadItem)
            .then(|| self.faults.stream(Fault::BadItem).bits());
        let node = &mut self.agents[agent];
        let life = node.life;
        let lane = &mut node.lanes[module];
        if let Some(job) = lane.outbox.job(wish, &mut lane.work, bad) {
            self.tell_agent(agent, life, module, Event::Sync { job: Box::new(job) });
        }
    }

    /// A recurring fault is due: it happens, and is planned again.
    pub(crate) fn fault_due(&mut self, fault: Fault) {
        if !self.faults.falls_due(fault) {
            return;
        }
        self.note(fault.label());
        let lasts_ms = match self.faults.stream(fault).below(4) {
            0 => self.faults.stream(fault).between(1, 500),
            1 | 2 => self.faults.stream(fault).between(500, 10_000),
            _ => self.faults.stream(fault).between(10_000, 60_000),
        };
        match fault {
            Fault::AgentCrash => {
                let agent = self.faults.stream(fault).below(self.agents.len() as u64);
                self.crash_agent(usize::try_from(agent).unwrap_or(0), lasts_ms);
            }
            Fault::ManagerCrash => {
                self.end_process("the manager crashes");
                self.schedule.after(lasts_ms, Occurrence::StartManager);
            }
            Fault::ManagerRestart => self.stop_process(),
            Fault::ClockStep => {
                let stream = self.faults.stream(fault);
                let wrong_ms = stream.between(0, CLOCK_STEP_MS);
                self.wall_base_ms = if stream.chance(500_000) {
                    EPOCH_MS - wrong_ms
                } else {
                    EPOCH_MS + wrong_ms
                };
            }
            Fault::IndexerRestart => {
                let now_ms = self.unix_ms();
                self.indexer.model.restart(true, now_ms);
            }
            Fault::IndexerRed => self.indexer.set_red(true),
            Fault::IndexerUnreachable => self.indexer.reachable = false,
            Fault::IndexBlocked => {
                let indices = self.options.config.catalogue.indices();
                let place = usize::try_from(self.faults.stream(fault).below(indices.len() as u64))
                    .unwrap_or(0);
                let name = indices[place].name.clone();
                self.indexer.set_blocked(Some(&name), true);
            }
            Fault::RefreshPaused => self.indexer.refresh_paused = true,
            _ => {}
        }
        self.trace.fault_lasts(self.schedule.now(), fault);
        self.schedule.after(lasts_ms, Occurrence::FaultEnds(fault));
        if let Some(after_ms) = self.faults.next_ms(fault) {
            self.schedule
                .after(lasts_ms + after_ms, Occurrence::FaultDue(fault));
        }
    }

    /// A lasting fault is over.
    pub(crate) fn fault_ends(&mut self, fault: Fault) {
        self.trace.fault_over(self.schedule.now(), fault);
        match fault {
            Fault::IndexerRed => self.indexer.set_red(false),
            Fault::IndexerUnreachable => self.indexer.reachable = true,
            Fault::IndexBlocked => self.indexer.set_blocked(None, false),
            Fault::RefreshPaused => self.indexer.refresh_paused = false,
            _ => {}
        }
    }
}
