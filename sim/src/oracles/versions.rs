//! Versions: below the durable bound, one to a session, growing from dispatch to dispatch of an agent,
//! whatever restarts in between (`docs/protocol.md` section 5).

use std::collections::BTreeMap;

use inventory_sync_core::id::{AgentId, ModuleId, SessionId, VERSION_STEP, Version};
use inventory_sync_core::time::Tick;

use super::Oracles;

/// What was granted.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// The last grant of each lane that was sent, and whose it was.
    last: BTreeMap<(AgentId, ModuleId), (Version, SessionId)>,
    /// The session that a version of an agent belongs to.
    owners: BTreeMap<(AgentId, Version), SessionId>,
    /// The highest version of each agent that former processes sent.
    former: BTreeMap<AgentId, Version>,
}

/// A floor that an agent states counts up to so far ahead of the clock (`docs/protocol.md` section 5).
const FLOOR_AHEAD_MAX_MS: u64 = 24 * 3_600_000;

/// How far versions may go, as it is durable at this moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DurableBounds {
    /// In the store's `meta`.
    pub(crate) meta: Option<Version>,
    /// In the writer document of the Indexer.
    pub(crate) writer: Option<Version>,
    /// The agent's own, above the others.
    pub(crate) agent: Option<Version>,
    /// Up to when the last acknowledged renewal of the lease holds.
    pub(crate) lease_until: Tick,
}

impl Versions {
    /// The process is gone: the next one grants above all that was sent.
    pub(super) fn process_gone(&mut self) {
        for (agent, version) in self.owners.keys() {
            let highest = self.former.entry(*agent).or_default();
            *highest = (*highest).max(*version);
        }
    }

    /// The grant of that agent that lies too close to this one, if there is one.
    fn too_close(&self, agent: AgentId, version: Version) -> Option<(Version, SessionId)> {
        let low = Version(version.0.saturating_sub(VERSION_STEP - 1));
        let high = Version(version.0.saturating_add(VERSION_STEP - 1));
        self.owners
            .range((agent, low)..=(agent, high))
            .next()
            .map(|((_, near), owner)| (*near, *owner))
    }

    pub(super) fn owner(&self, agent: AgentId, version: Version) -> Option<SessionId> {
        self.owners.get(&(agent, version)).copied()
    }
}

impl Oracles {
    /// The floor that an agent states, as far as its shard must heed it: its clock runs on from the last
    /// reading of the wall clock, and never goes back.
    pub(super) fn counted_floor(&self, shard: u16, stated: Version) -> Version {
        self.shard_clock_ms(shard).map_or(Version(0), |unix_ms| {
            stated.min(Version::from_unix_ms(unix_ms + FLOOR_AHEAD_MAX_MS))
        })
    }

    /// A part of a session is about to be sent under a version.
    pub(crate) fn sent_under(
        &mut self,
        session: SessionId,
        agent: AgentId,
        version: Version,
        bounds: DurableBounds,
    ) {
        if self.now >= bounds.lease_until {
            self.fail(
                "O-4 lease",
                format!(
                    "nothing is sent without a lease, which ended at {}",
                    bounds.lease_until
                ),
                format!("session {session} of agent {agent} is sent at {}", self.now),
            );
        }
        let common = bounds
            .meta
            .zip(bounds.writer)
            .map(|(meta, writer)| meta.min(writer));
        let bound = common.max(bounds.agent);
        if bound.is_none_or(|bound| version >= bound) {
            self.fail(
                "O-4 bound",
                format!("a version below the durable bound {bound:?} ({bounds:?})"),
                format!("session {session} of agent {agent} is sent under {version}"),
            );
        }
        let Some(known) = self.sessions.get_mut(&session) else {
            self.fail(
                "I-5 identity",
                "only an open session is delivered",
                format!("session {session} is sent"),
            );
            return;
        };
        if let Some(granted) = known.grant {
            if granted != version {
                self.fail(
                    "O-4 grant",
                    format!("all operations of session {session} under its grant {granted}"),
                    format!("a part under {version}"),
                );
            }
            return;
        }
        known.grant = Some(version);
        let floor = known.birth.floor;
        let module = known
            .offer
            .as_ref()
            .map_or(ModuleId(0), |offer| offer.module);
        if version <= floor {
            self.fail(
                "O-4 floor",
                format!("a grant for session {session} above {floor}, which its Start stated"),
                format!("{version}"),
            );
        }
        if let Some((near, owner)) = self.versions.too_close(agent, version) {
            let seen = format!("{version} for session {session}, {near} is session {owner}'s");
            self.fail(
                "O-4 step",
                format!("grants of agent {agent} lie {VERSION_STEP} apart"),
                seen,
            );
        }
        let last = self
            .versions
            .last
            .insert((agent, module), (version, session));
        if let Some((before, owner)) = last
            && version <= before
        {
            let expected = format!("a grant for agent {agent} above {before} of session {owner}");
            self.fail(
                "I-12 order",
                expected,
                format!("{version} for session {session}"),
            );
        }
        // A hostile peer's floor may lie above the common bound, and a successor does not know it.
        if let Some(former) = self.versions.former.get(&agent).copied()
            && version <= former
            && !self.is_hostile(agent)
        {
            let expected =
                format!("a grant for agent {agent} above {former}, which a former process sent");
            self.fail(
                "I-12 restart",
                expected,
                format!("{version} for session {session}"),
            );
        }
        self.versions.owners.insert((agent, version), session);
    }
}
