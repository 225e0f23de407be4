//! What options must hold for the design to promise that the world survives: no run begins outside it, so
//! that a failure is one of the code and not of the world.

use super::Options;
use crate::faults::{Fault, Often, Rate};

/// A setting's name, its value, the least it may be, and why.
type Least = (&'static str, u64, u64, &'static str);

/// From here on numbers of documents mean items that cannot be stored.
const DOCUMENTS_END: u32 = 1_000_000;

impl Options {
    /// Checks that the design promises to survive what these options make of the world.
    ///
    /// # Errors
    /// A sentence that names the setting, its value and what it must be.
    pub fn validate(&self) -> Result<(), String> {
        self.config.validate()?;
        for (name, value, least, why) in self
            .least_of_world()
            .into_iter()
            .chain(self.least_of_manager())
        {
            if value < least {
                return Err(format!(
                    "{name} is {value}, it must be at least {least}: {why}"
                ));
            }
        }
        if self.documents_max >= DOCUMENTS_END {
            return Err(format!(
                "documents_max must be below {DOCUMENTS_END}: from there on are items that cannot be stored"
            ));
        }
        Fault::ALL
            .iter()
            .try_for_each(|fault| self.validate_rate(*fault))
    }

    fn least_of_world(&self) -> Vec<Least> {
        // No limit is the largest one.
        let any_if_none = |most: u64| if most == 0 { u64::MAX } else { most };
        let catalogue = &self.config.catalogue;
        let (modules, indices) = (catalogue.modules().len(), catalogue.indices().len());
        vec![
            ("agents", self.agents.into(), 1, "it is a fleet"),
            ("shards", self.shards.into(), 1, "the manager has one"),
            ("modules", modules as u64, 1, "agents have one"),
            ("indices_per_module", indices as u64, 1, "modules have one"),
            (
                "documents_max",
                self.documents_max.into(),
                1,
                "agents hold one",
            ),
            (
                "delta_items_max",
                self.delta_items_max.into(),
                1,
                "a Delta says something",
            ),
            (
                "frame_bytes_max",
                self.frame_bytes_max,
                4_096,
                "the largest document fits",
            ),
            (
                "takes_bytes_max",
                any_if_none(self.takes_bytes_max),
                6_000,
                "the largest document fits",
            ),
            (
                "spares_bytes_max",
                any_if_none(self.spares_bytes_max),
                6_000,
                "the largest document fits",
            ),
            ("link_ms", self.link_ms, 1, "nothing is instant"),
            ("indexer_ms", self.indexer_ms, 1, "nothing is instant"),
            ("refresh_every_ms", self.refresh_every_ms, 1, "time passes"),
            (
                "listing_targets_max",
                self.listing_targets_max as u64,
                1,
                "a listing is for somebody",
            ),
            (
                "lease_ms",
                self.lease_ms,
                15 * self.indexer_ms,
                "it is renewed in time, 15 times indexer_ms",
            ),
        ]
    }

    fn least_of_manager(&self) -> Vec<Least> {
        let config = &self.config;
        let open_bytes = if self.relays { 8 << 20 } else { 1 };
        vec![
            (
                "request_deadline_ms",
                config.request_deadline_ms,
                4 * self.indexer_ms,
                "a healthy Indexer answers in time, 4 times indexer_ms",
            ),
            (
                "idle_timeout_ms",
                config.idle_timeout_ms,
                10 * self.link_ms,
                "a healthy agent answers in time, 10 times link_ms",
            ),
            (
                "sessions_max",
                config.sessions_max as u64,
                self.sessions_of_all(),
                "those that stay broken keep nobody out, two for each module of all peers",
            ),
            (
                "items_per_session_max",
                config.items_per_session_max,
                self.session_items(),
                "every session of the workload fits",
            ),
            (
                "items_per_agent_max",
                config.items_per_agent_max,
                config.items_per_session_max,
                "a session fits",
            ),
            (
                "items_max",
                config.items_max,
                config.items_per_agent_max,
                "an agent fits",
            ),
            (
                "bytes_per_session_max",
                config.bytes_per_session_max,
                1 << 20,
                "every session of the workload fits",
            ),
            (
                "bytes_per_agent_max",
                config.bytes_per_agent_max,
                config.bytes_per_session_max,
                "a session fits",
            ),
            (
                "bytes_max",
                config.bytes_max,
                config.bytes_per_agent_max,
                "an agent fits",
            ),
            (
                "bulk_bytes_max",
                config.bulk_bytes_max,
                6_000,
                "the largest document fits",
            ),
            (
                "open_bytes_per_connection_max",
                config.open_bytes_per_connection_max,
                open_bytes,
                "a relay's agent is refused beyond it and sends no slower next time",
            ),
            (
                "retry_max_ms",
                config.retry_max_ms,
                config.retry_base_ms,
                "that is retry_base_ms",
            ),
        ]
    }

    fn validate_rate(&self, fault: Fault) -> Result<(), String> {
        let unit = match (fault.often(), self.rates.of(fault)) {
            (_, Rate::Off)
            | (Often::Chance(_), Rate::PerMillion(1..=1_000_000))
            | (Often::Every(_), Rate::EveryMs(1..)) => return Ok(()),
            (Often::Chance(_), _) => "1 to 1000000 in a million",
            (Often::Every(_), _) => "every so many milliseconds",
        };
        let (label, rate) = (fault.label(), self.rates.of(fault));
        Err(format!(
            "fault {label} cannot have the rate {rate:?}: it happens {unit}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_design_does_not_survive_is_refused() {
        let mut options = Options::calm(1);
        options.config.items_per_session_max = 1;
        let refusal = options.validate().unwrap_err();
        let expected = "items_per_session_max is 1, it must be at least 160";
        assert!(refusal.starts_with(expected), "{refusal}");

        let mut options = Options::calm(1);
        options.rates.set(Fault::FrameLost, Rate::EveryMs(5));
        let refusal = options.validate().unwrap_err();
        assert!(
            refusal.contains("fault frame-lost cannot have the rate"),
            "{refusal}"
        );
    }
}
