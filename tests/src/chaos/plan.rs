//! What is killed, when, and what troubles the Indexer meanwhile: a pure function of the seed and the leg.

use std::fmt;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// Where sessions are when the daemon dies (`docs/protocol.md` section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// A session is open, nothing of it has come.
    Start,
    /// Frames are staged, more are to come.
    Data,
    /// The End was judged a moment ago: complete, or gaps are asked for.
    End,
    /// The Indexer is asked what it has, for a Full.
    Listing,
    /// A bulk request is out.
    Bulk,
    /// A verdict was given a moment ago.
    Verdict,
}

impl Phase {
    /// All, in the order of a session.
    pub const ALL: [Self; 6] = [
        Self::Start,
        Self::Data,
        Self::End,
        Self::Listing,
        Self::Bulk,
        Self::Verdict,
    ];

    /// How often it may be waited for before the strike: what is frequent is let pass more often.
    const fn passes_max(self) -> u64 {
        match self {
            Self::Data => 16,
            Self::Start | Self::End | Self::Bulk => 6,
            Self::Verdict => 5,
            Self::Listing => 2,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Start => "Start",
            Self::Data => "data",
            Self::End => "End",
            Self::Listing => "listing",
            Self::Bulk => "bulk in flight",
            Self::Verdict => "verdict",
        })
    }
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The daemon alone.
    Daemon,
    /// A load client alone, by its place.
    Client(usize),
    /// The daemon, and a load client right behind it.
    Both(usize),
    /// The Indexer itself, which must keep what it acknowledged.
    Server,
}

impl Target {
    /// Whether the daemon dies of it.
    #[must_use]
    pub const fn is_daemon(self) -> bool {
        matches!(self, Self::Daemon | Self::Both(_))
    }
}

/// What happens to the Indexer while the strike is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// It stands still for so many milliseconds.
    Pause(u64),
    /// Some bulk requests are applied, their answers lost.
    DropAnswers,
    /// Some bulk requests are applied so many milliseconds after their connection was closed.
    ApplyLate(u64),
    /// Some operations are refused for load.
    RefuseItems,
    /// Bulk requests are refused for load.
    RefuseRequests,
    /// Answers to bulk requests end in their middle.
    TruncateAnswers,
    /// Bulk requests find a closed connection.
    Down,
}

/// How long faults last.
pub const TROUBLE_TIME: Duration = Duration::from_millis(400);

/// About what a daemon needs to be ready.
const STARTUP_MS: u64 = 250;

/// One kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strike {
    /// Who.
    pub target: Target,
    /// When this is under way…
    pub phase: Phase,
    /// …for the so-many-th time since the daemon started or the last strike, from 1…
    pub nth: u64,
    /// …and so much later.
    pub delay_us: u64,
    /// What else goes wrong meanwhile.
    pub trouble: Option<Trouble>,
    /// The next daemon is killed, too, so many milliseconds after its process began.
    pub again_after_ms: Option<u64>,
}

impl fmt::Display for Strike {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            target,
            phase,
            nth,
            delay_us,
            trouble,
            again_after_ms,
        } = self;
        write!(out, "{target:?} at {phase} #{nth} +{delay_us} µs")?;
        if let Some(trouble) = trouble {
            write!(out, ", {trouble:?}")?;
        }
        if let Some(ms) = again_after_ms {
            write!(out, ", and the next one after {ms} ms")?;
        }
        Ok(())
    }
}

/// A generator of a part of the campaign.
#[must_use]
pub fn generator(seed: u64, leg: u64, part: &str) -> ChaCha8Rng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&leg.to_le_bytes());
    for (place, byte) in part.bytes().take(16).enumerate() {
        bytes[16 + place] = byte;
    }
    ChaCha8Rng::from_seed(bytes)
}

/// A number from `least` to `most`, both included.
pub fn draw(rng: &mut ChaCha8Rng, least: u64, most: u64) -> u64 {
    // The bias of a remainder is of no interest at these sizes.
    least + rng.next_u64() % (most - least + 1)
}

/// What a leg may do.
#[derive(Clone, Copy, Debug)]
pub struct Means {
    /// Load clients there are.
    pub clients: usize,
    /// Whether the Indexer is the stand-in, which can be troubled.
    pub has_faults: bool,
    /// Kills of the Indexer itself.
    pub server_kills: u64,
}

/// The strikes of a leg with so many kills of the daemon. Every six kills of the daemon in a row aim at all six
/// phases.
#[must_use]
pub fn strikes(seed: u64, leg: u64, daemon_kills: u64, means: Means) -> Vec<Strike> {
    let mut rng = generator(seed, leg, "strikes");
    let mut strikes = Vec::new();
    let mut phases = Vec::new();
    for number in 0..daemon_kills {
        if phases.is_empty() {
            phases = Phase::ALL.to_vec();
            shuffle(&mut rng, &mut phases);
        }
        if means.clients > 0 && draw(&mut rng, 1, 8) == 1 {
            let client = usize::try_from(rng.next_u64() % means.clients as u64).unwrap_or(0);
            let phase = Phase::ALL[usize::try_from(rng.next_u64() % 6).unwrap_or(0)];
            strikes.push(strike(&mut rng, Target::Client(client), phase, means));
        }
        // Spread evenly among the daemon's.
        if (number + 1) * means.server_kills / daemon_kills
            > number * means.server_kills / daemon_kills
        {
            let phase = [Phase::Bulk, Phase::Bulk, Phase::Listing, Phase::Data]
                [usize::try_from(rng.next_u64() % 4).unwrap_or(0)];
            strikes.push(strike(&mut rng, Target::Server, phase, means));
        }
        let target = if means.clients > 0 && draw(&mut rng, 1, 8) == 1 {
            Target::Both(usize::try_from(rng.next_u64() % means.clients as u64).unwrap_or(0))
        } else {
            Target::Daemon
        };
        let phase = phases.pop().unwrap_or(Phase::Bulk);
        strikes.push(strike(&mut rng, target, phase, means));
    }
    strikes
}

fn strike(rng: &mut ChaCha8Rng, target: Target, phase: Phase, means: Means) -> Strike {
    let nth = draw(rng, 1, phase.passes_max());
    let delay_us = draw(rng, 0, 2_000);
    let trouble = (draw(rng, 1, 4) == 1).then(|| trouble(rng));
    let again = (draw(rng, 1, 6) == 1).then(|| draw(rng, 0, STARTUP_MS));
    Strike {
        target,
        phase,
        nth,
        delay_us,
        trouble: trouble.filter(|_| means.has_faults),
        again_after_ms: again.filter(|_| target.is_daemon()),
    }
}

fn trouble(rng: &mut ChaCha8Rng) -> Trouble {
    match draw(rng, 0, 7) {
        0 | 1 => Trouble::Pause(draw(rng, 20, 300)),
        2 => Trouble::DropAnswers,
        3 => Trouble::ApplyLate(draw(rng, 20, 300)),
        4 => Trouble::RefuseItems,
        5 => Trouble::RefuseRequests,
        6 => Trouble::TruncateAnswers,
        _ => Trouble::Down,
    }
}

fn shuffle<T>(rng: &mut ChaCha8Rng, values: &mut [T]) {
    for place in (1..values.len()).rev() {
        let other = usize::try_from(rng.next_u64() % (place as u64 + 1)).unwrap_or(place);
        values.swap(place, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEANS: Means = Means {
        clients: 3,
        has_faults: true,
        server_kills: 0,
    };

    #[test]
    fn a_leg_is_a_function_of_the_seed() {
        assert_eq!(strikes(7, 3, 25, MEANS), strikes(7, 3, 25, MEANS));
        assert_ne!(strikes(7, 3, 25, MEANS), strikes(7, 4, 25, MEANS));
        assert_ne!(strikes(7, 3, 25, MEANS), strikes(8, 3, 25, MEANS));
    }

    #[test]
    fn six_kills_aim_at_all_phases() {
        for seed in 0..50 {
            let strikes = strikes(seed, 0, 24, MEANS);
            let daemon: Vec<Phase> = strikes
                .iter()
                .filter(|strike| strike.target.is_daemon())
                .map(|strike| strike.phase)
                .collect();
            assert_eq!(daemon.len(), 24);
            for six in daemon.chunks(6) {
                let mut six = six.to_vec();
                six.sort();
                assert_eq!(six, Phase::ALL);
            }
        }
    }

    #[test]
    fn everything_that_can_go_wrong_does_so_sometimes() {
        let all: Vec<Strike> = (0..40).flat_map(|leg| strikes(1, leg, 25, MEANS)).collect();
        let count = |is: fn(&Strike) -> bool| all.iter().filter(|strike| is(strike)).count();
        assert!(count(|strike| matches!(strike.target, Target::Client(_))) > 60);
        assert!(count(|strike| matches!(strike.target, Target::Both(_))) > 60);
        for is in [
            (|strike| matches!(strike.trouble, Some(Trouble::Pause(_)))) as fn(&Strike) -> bool,
            |strike| strike.trouble == Some(Trouble::DropAnswers),
            |strike| matches!(strike.trouble, Some(Trouble::ApplyLate(_))),
            |strike| strike.trouble == Some(Trouble::RefuseItems),
            |strike| strike.trouble == Some(Trouble::RefuseRequests),
            |strike| strike.trouble == Some(Trouble::TruncateAnswers),
            |strike| strike.trouble == Some(Trouble::Down),
        ] {
            assert!(count(is) > 10);
        }
    }

    #[test]
    fn the_servers_kills_are_counted_and_the_real_one_is_not_troubled() {
        let means = Means {
            has_faults: false,
            server_kills: 5,
            ..MEANS
        };
        let strikes = strikes(1, 0, 25, means);
        let server = strikes
            .iter()
            .filter(|strike| strike.target == Target::Server);
        assert_eq!(server.count(), 5);
        assert!(strikes.iter().all(|strike| strike.trouble.is_none()));
    }
}
