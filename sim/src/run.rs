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
use crate::world::{BEGIN, World};

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

/// How far a run came, to its end or to a panic of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// Steps taken; the last one may have been cut short.
    pub steps: u64,
    /// Events that the machines were told.
    pub events: u64,
    /// Of them, those that come again and again while nothing happens: deadlines, the wall clock, the rounds of the
    /// operator, the Indexer as healthy as before, the lease renewed.
    pub routine: u64,
    /// Of them, those of the manager's first start: what its coordinator and, by it, its shards were told until
    /// the coordinator first waited for nothing. None of them is routine.
    pub starting: u64,
    /// Simulated time.
    pub simulated_ms: u64,
    /// After how much of it the world was healed, if it came to that.
    pub healed_after_ms: Option<u64>,
    /// The hash of everything that happened.
    pub trace_hash: u64,
}

impl Extent {
    fn of(world: &World) -> Self {
        Self {
            steps: world.trace.steps(),
            events: world.trace.events(),
            routine: world.tally.routine,
            starting: world.tally.starting,
            simulated_ms: world.now().since(BEGIN),
            healed_after_ms: world.healed_at.map(|at| at.since(BEGIN)),
            trace_hash: world.trace.hash(),
        }
    }

    /// Events without routine: how much of a run there is to read.
    #[must_use]
    pub const fn told(&self) -> u64 {
        self.events.saturating_sub(self.routine)
    }
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
    /// Simulated time.
    pub simulated_ms: u64,
    /// From healing to rest; 0 if it did not come to that.
    pub converged_ms: u64,
    /// What that is measured by: [`Options::longest_timeout_ms`].
    pub longest_timeout_ms: u64,
    /// Of the time to come to rest, what is no waiting: the sessions that the agents owed at healing, one after the
    /// other, at the slowest.
    pub backlog_ms: u64,
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
    Stage::default().run(options, conduct)
}

/// Where a world runs. It outlives a panic in that world, and with it what is known of the run until there.
#[derive(Default)]
pub(crate) struct Stage {
    world: Option<World>,
    film: Film,
}

impl Stage {
    /// Runs a world to its end, or to a panic.
    pub(crate) fn run(&mut self, options: &Options, conduct: Conduct) -> Report {
        let draws = Draws::of(options.seed, conduct.tape.clone());
        let world = World::new(options.clone(), draws, conduct.keep_text);
        run_world(self.world.insert(world), conduct, &self.film)
    }

    /// How far the world came.
    pub(crate) fn extent(&self) -> Extent {
        self.world.as_ref().map(Extent::of).unwrap_or_default()
    }

    /// The recording of a run that ended with a panic, if one was wanted.
    pub(crate) fn cut(mut self, panic: &str) -> Option<Recording> {
        // The recorder leaves its film when it goes, and it goes with the world.
        self.world = None;
        self.film.cut(panic)
    }
}

fn run_world(world: &mut World, conduct: Conduct, film: &Film) -> Report {
    let options = world.options.clone();
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
    let mut ending = until(world, BEGIN + options.warm_up_ms);
    if ending.is_none() {
        world.begin_chaos();
        ending = until(world, BEGIN + (options.warm_up_ms + options.chaos_ms));
    }
    let ending = ending.unwrap_or_else(|| converge(world));
    let recording = world.trace.recorded(world.now(), &ending);
    Report {
        recording,
        steps: world.trace.steps(),
        events: world.trace.events(),
        simulated_ms: world.now().since(BEGIN),
        converged_ms: world.healed_at.map_or(0, |healed_at| {
            world.rested_at.max(healed_at).since(healed_at)
        }),
        longest_timeout_ms: options.longest_timeout_ms(),
        backlog_ms: world.backlog_ms,
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
        trace: world.trace.take_text(),
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
    let end = world.now() + world.converge_bound_ms();
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

impl Report {
    /// How long it took from healing to rest, in hundredths of the longest timeout.
    #[must_use]
    pub fn converged_percent(&self) -> u64 {
        self.converged_ms.saturating_mul(100) / self.longest_timeout_ms.max(1)
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
            "simulated   {} s, at rest {} s after healing: {}.{:02} times the longest timeout of {} s",
            self.simulated_ms / 1_000,
            self.converged_ms / 1_000,
            self.converged_percent() / 100,
            self.converged_percent() % 100,
            self.longest_timeout_ms / 1_000
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
