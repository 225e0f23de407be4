//! One run from its first moment to its verdict.

use std::collections::BTreeMap;
use std::fmt;

use inventory_sync_core::id::IndexId;
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire::{Reason, Status};

use crate::agent_node::AgentNode;
use crate::chart::{Film, Recording};
use crate::choices::{Draws, Tape};
use crate::coverage::Coverage;
use crate::faults::Fault;
use crate::options::Options;
use crate::oracles::{Counts, Economy, Violation};
use crate::pending::Pending;
use crate::script::Action;
use crate::world::World;

/// More steps than any sound run takes: beyond it something turns in circles.
const STEPS_MAX: u64 = 20_000_000;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All oracles agree, and the world came to rest.
    Sound,
    /// An oracle found something wrong.
    Unsafe(Violation),
    /// The world did not come to rest in time after it was healed.
    Stuck {
        /// What it still waited for.
        reason: Pending,
    },
    /// The simulator contradicts itself.
    SimulatorFault(String),
    /// It was stopped where it was told to.
    Stopped,
}

/// What is known of a run when it is over.
#[derive(Debug, Clone)]
pub struct Report {
    /// How it ended.
    pub ending: Ending,
    /// Steps taken.
    pub steps: u64,
    /// Events that the machines were told.
    pub events: u64,
    /// Of them, those that the clock alone told: deadlines and the wall clock.
    pub heartbeats: u64,
    /// Simulated time.
    pub simulated_ms: u64,
    /// From healing to rest.
    pub converged_ms: u64,
    /// Agents and hostile peers that were left broken.
    pub broken: usize,
    /// What the world waits for at the end: the broken, if anything.
    pub left: Option<Pending>,
    /// The hash of everything that happened.
    pub trace_hash: u64,
    /// What was judged.
    pub counts: Counts,
    /// What it cost, and what is there at the end.
    pub economy: Economy,
    /// Verdicts by status and reason.
    pub verdicts: BTreeMap<(Status, Reason), u64>,
    /// Faults that happened.
    pub faults: Vec<(Fault, u64)>,
    /// What the machines were told in which state, and what they asked.
    pub coverage: Coverage,
    /// Lives of the manager's process.
    pub manager_lives: u32,
    /// The readable trace, if it was wanted.
    pub trace: Option<String>,
    /// The recording, if it was wanted.
    pub recording: Option<Recording>,
}

/// How to run, beside the options.
#[derive(Debug, Clone, Default)]
pub struct Conduct {
    /// Whether to keep the readable trace.
    pub keep_text: bool,
    /// Whether to record the run, so that it can be drawn. Changes nothing in the run.
    pub record: bool,
    /// The environment's choices, each so many milliseconds after the start.
    pub script: Vec<(u64, Action)>,
    /// What records the environment's draws, or replays them; without it they follow from the seed alone.
    pub tape: Option<Tape>,
    /// Whether the machines check their own invariants after every event, instead of at every sixteenth step.
    pub thorough: bool,
    /// Where to stop before the end.
    pub stop: Option<Stop>,
}

/// A place in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// After so many steps.
    AtStep(u64),
    /// After so many milliseconds of simulated time.
    AfterMs(u64),
}

/// Runs a world to its end.
#[must_use]
pub fn run(options: &Options, conduct: Conduct) -> Report {
    run_filmed(options, conduct, &Film::default())
}

/// Runs a world to its end, or to a panic: then what was recorded until there stays on the film.
pub(crate) fn run_filmed(options: &Options, conduct: Conduct, film: &Film) -> Report {
    let mut world = World::new(
        options.clone(),
        Draws::of(options.seed, conduct.tape),
        conduct.keep_text,
    );
    if conduct.thorough {
        world.check_every = 1;
    }
    match conduct.stop {
        None => {}
        Some(Stop::AtStep(step)) => world.stop.0 = step,
        Some(Stop::AfterMs(after_ms)) => world.stop.1 = world.now() + after_ms,
    }
    if conduct.record {
        world.record(film);
    }
    world.follow(conduct.script);
    world.begin_work();
    let begin = world.now();
    let mut ending = until(&mut world, begin + options.warm_up_ms);
    if ending.is_none() {
        world.begin_chaos();
        ending = until(&mut world, begin + (options.warm_up_ms + options.chaos_ms));
    }
    let healed_at = world.now();
    let ending = ending.unwrap_or_else(|| converge(&mut world));
    let recording = world.trace.recorded(world.now(), &ending);
    Report {
        recording,
        steps: world.trace.steps(),
        events: world.trace.events(),
        heartbeats: world.heartbeats,
        simulated_ms: world.now().since(begin),
        converged_ms: world.rested_at.max(healed_at).since(healed_at),
        broken: world.broken.len(),
        left: world.all_pending().into_iter().next(),
        trace_hash: world.trace.hash(),
        counts: world.oracles.counts(),
        economy: world.oracles.economy(u64::from(world.options.first_agent)),
        verdicts: std::mem::take(&mut world.verdicts),
        faults: world
            .faults
            .fired()
            .filter(|(_, count)| *count > 0)
            .collect(),
        coverage: std::mem::take(&mut world.coverage),
        manager_lives: world.lives,
        trace: world.trace.into_text(),
        ending,
    }
}

/// Steps up to a tick, or to the first violation.
fn until(world: &mut World, end: Tick) -> Option<Ending> {
    while let Some(next) = world.schedule.next().filter(|next| *next < end) {
        if world.trace.steps() >= world.stop.0 || next > world.stop.1 {
            return Some(Ending::Stopped);
        }
        world.step();
        if let Some(violation) = world.oracles.violation() {
            return Some(Ending::Unsafe(violation.clone()));
        }
        if world.trace.steps() > STEPS_MAX {
            let reason = Pending::Steps {
                steps: STEPS_MAX,
                last: world.pending().map(Box::new),
            };
            return Some(Ending::Stuck { reason });
        }
    }
    None
}

/// How long the world is watched once it is at rest: nothing new may begin.
const QUIET_MS: u64 = 30_000;

/// Heals what is to heal and waits for rest; then sees that it lasts, and judges what is left.
fn converge(world: &mut World) -> Ending {
    world.heal();
    let end = world.now() + world.options.converge_ms;
    // Looking whether the world is at rest costs more than a step: once a simulated second is enough.
    loop {
        let next = world.now() + 1_000;
        if let Some(ending) = until(world, next) {
            return ending;
        }
        match world.pending() {
            None => break,
            Some(reason) if next >= end => return Ending::Stuck { reason },
            Some(_) => {}
        }
        if world.now() < next && world.schedule.next().is_none() {
            return Ending::SimulatorFault("nothing is going to happen any more".to_owned());
        }
        world.schedule.wait_until(next);
    }
    world.rested_at = world.now();
    if let Some(ending) = stay_quiet(world) {
        return ending;
    }
    judge_rest(world)
}

/// Nothing but heartbeats happens any more, unless the broken keep the world busy.
fn stay_quiet(world: &mut World) -> Option<Ending> {
    if world.is_restless() {
        return None;
    }
    let before = (world.oracles.counts().sessions, world.indexer.requests_made);
    let end = world.now() + QUIET_MS;
    if let Some(ending) = until(world, end) {
        return Some(ending);
    }
    let reason = Pending::Restless {
        sessions: world.oracles.counts().sessions - before.0,
        requests: world.indexer.requests_made - before.1,
    };
    let is_quiet = reason
        == Pending::Restless {
            sessions: 0,
            requests: 0,
        };
    match world.pending() {
        Some(reason) => Some(Ending::Stuck { reason }),
        None if is_quiet => None,
        None => Some(Ending::Stuck { reason }),
    }
}

fn judge_rest(world: &mut World) -> Ending {
    world.judge_leftovers();
    let entries = if world.is_restless() {
        0
    } else {
        world.store.len()
    };
    let (broken, healing) = (world.broken.clone(), !world.is_restless());
    world
        .oracles
        .at_rest(entries, |agent| healing || !broken.contains(&agent));
    let mut wanted = BTreeMap::new();
    let judged = |node: &&AgentNode| !node.is_clone && !broken.contains(&node.id);
    for node in world.agents.iter().filter(judged) {
        for lane in &node.lanes {
            wanted.extend(
                lane.outbox
                    .wanted
                    .iter()
                    .map(|(key, content)| (*key, *content)),
            );
        }
    }
    world
        .oracles
        .converged(&wanted, |agent| !broken.contains(&agent));
    let config = &world.options.config;
    for (number, index) in (0_u16..).zip(config.catalogue.indices()) {
        let Some(stored) = world.indexer.model.get_index(&index.name) else {
            continue;
        };
        let documents = stored
            .documents()
            .map(|(id, document)| (&**id, document.version, &document.source()[..]));
        if let Err(reason) = world
            .oracles
            .mirrors(IndexId(number), &config.cluster, documents)
        {
            return Ending::SimulatorFault(reason);
        }
    }
    match world.oracles.violation() {
        Some(violation) => Ending::Unsafe(violation.clone()),
        None => Ending::Sound,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            sessions,
            ok,
            partial,
            failed,
            applied,
            late,
            acknowledged,
        } = self.counts;
        writeln!(
            f,
            "steps       {}, events of machines {}",
            self.steps, self.events
        )?;
        writeln!(
            f,
            "simulated   {} s, at rest {} s after healing",
            self.simulated_ms / 1_000,
            self.converged_ms / 1_000
        )?;
        writeln!(
            f,
            "sessions    {sessions}: {ok} ok, {partial} in part, {failed} failed; the manager lived {} times",
            self.manager_lives
        )?;
        if let Some(left) = &self.left {
            writeln!(f, "left        {left}; {} peers stayed broken", self.broken)?;
        }
        writeln!(
            f,
            "operations  {applied} applied, {late} of them unheard or late; {acknowledged} acknowledged and looked up"
        )?;
        for ((status, reason), count) in &self.verdicts {
            writeln!(f, "verdict     {count:>6}  {status}/{reason}")?;
        }
        for (fault, count) in &self.faults {
            writeln!(f, "fault       {count:>6}  {}", fault.label())?;
        }
        write!(f, "trace hash  {:016x}", self.trace_hash)
    }
}
