//! Processes that stand still for a while and go on, as under a debugger, a garbage collection or a hypervisor:
//! what would reach them waits, their timers are late, and then everything comes at once.

use inventory_sync_core::time::Tick;

use crate::network::Way;
use crate::world::{BEGIN, Occurrence, World};

impl World {
    /// Until when something stands still that is to do so for that long: the healing ends it, and what waited comes at
    /// once.
    pub(crate) fn standstill(&self, lasts_ms: u64) -> Tick {
        let until = self.now() + lasts_ms;
        if self.healed {
            return until;
        }
        let heals = BEGIN + (self.options.warm_up_ms + self.options.chaos_ms);
        until.min(heals)
    }

    /// If what happens now would reach a process that stands still: when that one goes on.
    pub(crate) fn held_up(&mut self, occurrence: &Occurrence) -> Option<Tick> {
        let now = self.now();
        let until = self
            .manager_standstill(occurrence)
            .max(self.agent_standstill(occurrence));
        if until <= now {
            return None;
        }
        self.keep_alarm(occurrence, until);
        Some(until)
    }

    fn manager_standstill(&self, occurrence: &Occurrence) -> Tick {
        match occurrence {
            Occurrence::Frame { way: Way::Up, .. }
            | Occurrence::StrayFrame { way: Way::Up, .. }
            | Occurrence::ReadOn(_)
            | Occurrence::BrokenAtManager(_)
            | Occurrence::ShardTick { .. }
            | Occurrence::ShardTold { .. }
            | Occurrence::ShardMail { .. }
            | Occurrence::CoordinatorTick { .. }
            | Occurrence::CoordinatorTold { .. }
            | Occurrence::CoordinatorMail { .. }
            | Occurrence::WallClock { .. }
            | Occurrence::RequestAnswered(..)
            | Occurrence::RequestGivenUp(_)
            | Occurrence::ConnectDone { .. }
            | Occurrence::HostileTurn(_) => self.manager_paused_until,
            Occurrence::Flush { .. }
            | Occurrence::TaskDone { .. }
            | Occurrence::MetaSynced { .. } => {
                self.manager_paused_until.max(self.store_stalled_until)
            }
            _ => Tick(0),
        }
    }

    fn agent_standstill(&self, occurrence: &Occurrence) -> Tick {
        let paused = |agent: usize| {
            self.agents
                .get(agent)
                .map_or(Tick(0), |node| node.paused_until)
        };
        match occurrence {
            Occurrence::AgentTick { agent, .. }
            | Occurrence::AgentTold { agent, .. }
            | Occurrence::RowsReadAnew { agent, .. }
            | Occurrence::ConnectDone { agent, .. }
            | Occurrence::SyncDue { agent, .. } => paused(*agent),
            Occurrence::Frame {
                connection,
                way: Way::Down,
            }
            | Occurrence::StrayFrame {
                connection,
                way: Way::Down,
                ..
            }
            | Occurrence::BrokenAtAgent(connection) => {
                self.agent_on(*connection).map_or(Tick(0), paused)
            }
            _ => Tick(0),
        }
    }

    /// A tick counts only at the moment it was planned for: it is planned anew.
    fn keep_alarm(&mut self, occurrence: &Occurrence, until: Tick) {
        let now = self.now();
        let armed = match occurrence {
            Occurrence::ShardTick { life, shard } => self
                .process
                .as_mut()
                .filter(|process| process.life == *life)
                .and_then(|process| process.shards.get_mut(usize::from(*shard)))
                .map(|shard| &mut shard.armed),
            Occurrence::CoordinatorTick { life } => self
                .process
                .as_mut()
                .filter(|process| process.life == *life)
                .map(|process| &mut process.coordinator_armed),
            Occurrence::AgentTick {
                agent,
                life,
                module,
            } => self
                .agents
                .get_mut(*agent)
                .filter(|node| node.life == *life)
                .and_then(|node| node.lanes.get_mut(*module))
                .map(|lane| &mut lane.armed),
            _ => None,
        };
        if let Some(armed) = armed
            && *armed == Some(now)
        {
            *armed = Some(until);
        }
    }
}
