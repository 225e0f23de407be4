//! Smaller worlds: fewer agents, shards, modules and documents, less time, defaults for what was drawn.

use super::Shrinker;
use crate::choices::{Choices, Tape};
use crate::faults::{Fault, Rate};
use crate::finding::Kind;
use crate::options::{Options, SETTINGS, Setting};

/// Sizes of the world and the least of each.
const SIZES: [(&str, u64); 12] = [
    ("agents", 1),
    ("hostiles", 0),
    ("shards", 1),
    ("modules", 1),
    ("indices_per_module", 1),
    ("documents_max", 1),
    ("delta_items_max", 1),
    ("link_ms", 1),
    ("indexer_ms", 1),
    ("store_ms", 0),
    ("sloppy", 0),
    ("relays", 0),
];

/// Times after which something happens by itself: the longer, the less happens.
const INTERVALS: [(&str, u64); 4] = [
    ("lease_ms", 3_600_000),
    ("bound_ahead_ms", 3_600_000),
    ("refresh_every_ms", 600_000),
    ("gc_deletes_ms", 3_600_000),
];

/// Short timeouts, in their order, and long pauses between attempts, for a world that does not come to rest.
const TIMEOUTS: [(&str, u64); 6] = [
    ("late_write_bound_ms", 10_000),
    ("delivery_deadline_ms", 20_000),
    ("paused_index_deadline_ms", 20_000),
    ("lease_ms", 15_000),
    ("idle_timeout_ms", 10_000),
    ("retry_after_ms", 10_000),
];

/// Phases, which are cut where the failure is, and not set to a default.
const PHASES: [&str; 3] = ["warm_up_ms", "chaos_ms", "converge_ms"];

impl Shrinker<'_> {
    /// Ends the chaos where the failure is, and begins it at once.
    pub(super) fn cut_time(&mut self) {
        self.doing = "time";
        let extent = self.outcome.extent;
        let until_healed_ms = extent.healed_after_ms.unwrap_or(extent.simulated_ms);
        let mut candidate = self.best.clone();
        let warm_up_ms = candidate.options.warm_up_ms;
        candidate.options.chaos_ms = (until_healed_ms + 1)
            .saturating_sub(warm_up_ms)
            .clamp(1, candidate.options.chaos_ms.max(1));
        if candidate.options != self.best.options {
            self.try_case(&candidate, true);
        }
        if extent.healed_after_ms.is_some() {
            self.lower_setting("chaos_ms", 1);
        }
        for share in [0, 2, 4] {
            let mut candidate = self.best.clone();
            let warm_up_ms = candidate.options.warm_up_ms;
            candidate.options.warm_up_ms = warm_up_ms.checked_div(share).unwrap_or(0);
            candidate.options.chaos_ms += warm_up_ms - candidate.options.warm_up_ms;
            if candidate.options.warm_up_ms < warm_up_ms && self.try_case(&candidate, true) {
                break;
            }
        }
    }

    /// Everything that makes the world smaller or plainer.
    pub(super) fn simplify_options(&mut self) {
        self.doing = "options";
        self.keep_one_agent();
        self.keep_one_hostile();
        self.keep_one_module();
        for (name, least) in SIZES {
            self.lower_setting(name, least);
        }
        if self.finding.kind == Kind::Liveness {
            // The less has to be waited until it is certain.
            for (name, value) in TIMEOUTS {
                self.try_setting(name, value);
            }
        } else {
            for (name, value) in INTERVALS {
                self.try_setting(name, value);
            }
        }
        self.take_defaults();
        // What did not happen is off; this changes nothing of the run.
        let mut candidate = self.best.clone();
        for fault in Fault::ALL {
            let label = fault.label();
            let choices = &self.best.choices;
            if !choices
                .list
                .iter()
                .any(|choice| choices.name_of(choice) == label)
            {
                candidate.options.rates.set(*fault, Rate::Off);
            }
        }
        if candidate.options != self.best.options {
            self.try_case(&candidate, true);
        }
    }

    /// A world that does not come to rest within ten times its longest timeout does not do so within one either: so
    /// much is enough to read. Whether a sound run of it does is seen when its file is renewed.
    pub(super) fn state_bound(&mut self) {
        self.doing = "the bound of convergence";
        let is_drawn = self.best.options.converge_ms == 0;
        if self.finding.kind != Kind::Liveness || !is_drawn {
            return;
        }
        let mut candidate = self.best.clone();
        candidate.options.converge_ms = candidate.options.longest_timeout_ms();
        let tape = Tape::replaying(&candidate.choices);
        self.run_tape(&candidate, &tape, true);
    }

    fn try_setting(&mut self, name: &str, value: u64) -> bool {
        let Ok(setting) = Setting::named(name) else {
            return false;
        };
        let mut candidate = self.best.clone();
        if setting.of(&candidate.options) == value
            || setting.set(&mut candidate.options, value).is_err()
        {
            return false;
        }
        self.try_struck_earlier(&candidate, true)
    }

    /// The least value, or one on the way to it.
    fn lower_setting(&mut self, name: &str, least: u64) {
        let Ok(setting) = Setting::named(name) else {
            return;
        };
        let mut distance = setting.of(&self.best.options).saturating_sub(least);
        while distance > 0 && !self.is_over {
            let value = setting.of(&self.best.options);
            if value < least + distance || !self.try_setting(name, value - distance) {
                distance /= 2;
            }
        }
    }

    /// Limits and times as in the calm world: all of them at once, or one by one.
    fn take_defaults(&mut self) {
        let calm = Options::calm(self.best.options.seed);
        let is_kept = |setting: &Setting| {
            let name = setting.name;
            PHASES.contains(&name)
                || name == "change_every_ms"
                || name == "fulls_per_mille"
                || SIZES
                    .iter()
                    .chain(&INTERVALS)
                    .any(|(known, _)| *known == name)
        };
        let others: Vec<&Setting> = SETTINGS
            .iter()
            .filter(|setting| !is_kept(setting))
            .collect();
        let mut candidate = self.best.clone();
        for setting in &others {
            // The value of a setting fits itself.
            let _ = setting.set(&mut candidate.options, setting.of(&calm));
        }
        if candidate.options == self.best.options || self.try_case(&candidate, true) {
            return;
        }
        for setting in others {
            self.try_setting(setting.name, setting.of(&calm));
        }
    }

    /// One of several agents alone, under the first one's number; hostile peers follow it.
    fn keep_one_agent(&mut self) {
        let (first, count) = self.agents();
        for agent in first..first + count {
            if self.best.options.agents < 2 {
                return;
            }
            let mut candidate = self.best.clone();
            candidate.options.agents = 1;
            candidate.choices = renamed(&candidate.choices, &|parts| match parts {
                [kind, of, module] => {
                    (*of == agent.to_string()).then(|| format!("{kind}/{first}/{module}"))
                }
                [kind, peer] => {
                    let peer: u64 = peer.parse().ok()?;
                    Some(format!("{kind}/{}", (peer + 1).checked_sub(count)?))
                }
                _ => Some(parts.join("/")),
            });
            self.try_case(&candidate, true);
        }
    }

    /// One of several hostile peers alone, under the first one's number.
    fn keep_one_hostile(&mut self) {
        let (first_agent, agents) = self.agents();
        let first = first_agent + agents;
        for peer in first..first + u64::from(self.best.options.hostiles) {
            if self.best.options.hostiles < 2 {
                return;
            }
            let mut candidate = self.best.clone();
            candidate.options.hostiles = 1;
            candidate.choices = renamed(&candidate.choices, &|parts| match parts {
                [kind, of] => (*of == peer.to_string()).then(|| format!("{kind}/{first}")),
                _ => Some(parts.join("/")),
            });
            self.try_case(&candidate, true);
        }
    }

    /// The first agent's number, and how many there are.
    fn agents(&self) -> (u64, u64) {
        let options = &self.best.options;
        (u64::from(options.first_agent), u64::from(options.agents))
    }

    /// One of several modules alone, as the first one.
    fn keep_one_module(&mut self) {
        for kept in 0..self.best.options.config.catalogue.modules().len() {
            if self.best.options.config.catalogue.modules().len() < 2 {
                return;
            }
            let mut candidate = self.best.clone();
            let Ok(modules) = Setting::named("modules") else {
                return;
            };
            if modules.set(&mut candidate.options, 1).is_err() {
                return;
            }
            candidate.choices = renamed(&candidate.choices, &|parts| match parts {
                [kind, agent, module] => {
                    (*module == kept.to_string()).then(|| format!("{kind}/{agent}/0"))
                }
                _ => Some(parts.join("/")),
            });
            self.try_case(&candidate, true);
        }
    }
}

/// The choices with the concerns of modules, such as `work/2/0`, and of hostile peers, such as `hostile-peer/3`,
/// under other names, or gone.
fn renamed(choices: &Choices, rename: &dyn Fn(&[&str]) -> Option<String>) -> Choices {
    let mut kept = Choices::default();
    for choice in &choices.list {
        let parts: Vec<&str> = choices.name_of(choice).split('/').collect();
        if let Some(name) = rename(&parts) {
            let concern = kept.concern(&name);
            kept.list
                .push(crate::choices::Choice { concern, ..*choice });
        }
    }
    kept
}
