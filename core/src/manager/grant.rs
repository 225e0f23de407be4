//! Versions: grants, floors and the durable bound (`docs/protocol.md` section 5).

use super::{AgentFloor, Command, Manager, Out, Record};
use crate::bug::{Bug, if_planted, is_planted};
use crate::id::{AgentId, RecordId, VERSION_CEILING, VERSION_STEP, Version};

/// An agent's own bound is made durable so far ahead of what is needed.
const BOUND_AHEAD_MS: u64 = 60_000;

impl<P> Manager<P> {
    /// The highest version given to an agent, or known from its own word.
    pub(super) fn highest_given(&self, agent: AgentId) -> Version {
        self.agents
            .get(&agent)
            .map_or(Version(0), |agent| agent.granted)
    }

    /// One version for one session: greater than any given before for that agent, and than its floor.
    /// `None` while it would not lie below a durable bound; what is missing has been asked for.
    pub(super) fn grant(&mut self, id: AgentId, out: &mut Out<P>) -> Option<Version> {
        if !self.clock.is_fed() || self.bound == Version(0) {
            return None;
        }
        let common = self.clock.version(self.now);
        let agent = self.agents.entry(id).or_default();
        let after = |version: Version| {
            // Whole steps, so that a run which bumps versions by one never reaches a grant.
            Version(
                (version.0 / VERSION_STEP).saturating_add(u64::from(version.0 > 0)) * VERSION_STEP,
            )
        };
        let version = common.max(after(agent.granted)).max(after(agent.floor));
        assert!(
            agent.granted == Version(0) || version.0 >= agent.granted.0 + VERSION_STEP,
            "grants of one agent lie a step apart"
        );
        let version = if_planted(Bug::VersionRepeated, common, version);
        if version < self.bound.max(agent.bound) || is_planted(Bug::BoundIgnored) {
            agent.granted = version;
            return Some(version);
        }
        if version > common {
            self.record_floor(id, version, out);
        } else {
            out.push(Command::BoundWanted { beyond: version });
        }
        None
    }

    /// A floor above the bound becomes that agent's bound: durable first, and ahead of need.
    fn record_floor(&mut self, id: AgentId, version: Version, out: &mut Out<P>) {
        let agent = self.agents.entry(id).or_default();
        if agent.recording {
            return;
        }
        agent.recording = true;
        self.next_record += 1;
        let record = RecordId(self.next_record);
        let floor = AgentFloor {
            agent: id,
            floor: agent.floor,
            bound: Version(version.0.saturating_add(BOUND_AHEAD_MS * VERSION_STEP)),
        };
        self.records.insert(record, floor);
        out.push(Command::Record {
            record,
            what: Record::Floor(floor),
        });
    }

    pub(super) fn on_recorded(&mut self, record: RecordId, durable: bool, out: &mut Out<P>) {
        let Some(floor) = self.records.remove(&record) else {
            return;
        };
        let agent = self.agents.entry(floor.agent).or_default();
        agent.recording = false;
        if durable {
            agent.bound = agent.bound.max(floor.bound);
            self.advance_all(out);
        }
    }

    /// Floors that were durable when the process started: everything below their bound may have been
    /// sent, so the next grant lies above it.
    pub(super) fn on_floors(&mut self, floors: &[AgentFloor]) {
        for durable in floors {
            let agent = self.agents.entry(durable.agent).or_default();
            agent.floor = agent.floor.max(durable.floor).max(durable.bound);
            agent.bound = agent.bound.max(durable.bound);
        }
    }

    /// Learns of a version that the Indexer holds.
    pub(super) fn raise_floor(&mut self, id: AgentId, version: Version) {
        if version <= VERSION_CEILING && !is_planted(Bug::FloorIgnored) {
            let agent = self.agents.entry(id).or_default();
            agent.floor = agent.floor.max(version);
        }
    }
}
