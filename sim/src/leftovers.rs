//! What must not be left when the world is at rest: memory, store keys, quota, connections.

use crate::world::World;

impl World {
    /// Judges what the process still holds; the world is at rest.
    pub(crate) fn judge_leftovers(&mut self) {
        if self.is_restless() {
            return;
        }
        let Some(process) = &self.process else {
            return;
        };
        let open = self.network.ids().into_iter().filter(|id| {
            let found = self.network.get(*id);
            found.is_some_and(|found| found.at_manager)
        });
        let connections = open.count();
        let config = &self.options.config;
        let peers = usize::from(self.options.agents) + usize::from(self.options.hostiles);
        let lanes_max = peers * config.catalogue.modules().len();
        let mut kept = 0;
        let mut wrong = None;
        for (number, shard) in process.shards.iter().enumerate() {
            let figures = shard.machine.figures();
            kept += figures.connections;
            let is_empty = figures.sessions == 0
                && figures.delivering == 0
                && figures.items == 0
                && figures.bytes == 0
                && figures.bulks_in_flight == 0
                && figures.lanes <= lanes_max
                && figures.verdicts_kept <= lanes_max * config.verdicts_per_lane;
            if !is_empty {
                wrong = Some(format!("shard {number}: {figures:?}"));
            }
        }
        if kept > connections {
            wrong = Some(format!("{kept} connections remembered, {connections} open"));
        }
        if !process.tables.is_empty() || !process.listings.is_empty() {
            let (tables, listings) = (process.tables.len(), process.listings.len());
            wrong = Some(format!("{tables} tables and {listings} listings"));
        }
        if let Some(seen) = wrong {
            let expected =
                "no session, item, byte, request, table, listing or closed connection at rest";
            self.oracles.fail("O-13 leak", expected, seen);
        }
    }
}
