//! The recorder: it is told what happens as it happens, and ties the ends of messages together.
//!
//! ```text
//!  note(shard, '>', Reply)     a moment: the message leaves
//!  sent(link, …)               a message from there, under way on its link
//!      …
//!  arrived(link)               a moment at the other end, waiting for the machine's own words
//!  note(agent, '<', Received)  the machine's words fill it in; nobody speaks up in that step: unheard
//! ```
//!
//! It only listens: nothing here is asked by the world, so that a recorded run is the run itself.

mod film;
mod flights;
mod gaps;
mod names;
mod verdict;

use std::collections::{BTreeMap, VecDeque};

use inventory_sync_core::id::SessionId;
use inventory_sync_core::time::Tick;

use super::labels::{Describe, Line, Says};
use super::recording::{
    Class, GapKind, Lifeline, LifelineKind, Moment, Passage, Recording, Session,
};
use crate::faults::Fault;
use crate::options::Options;
use crate::run::Ending;
use crate::trace::{Link, Node, Struck};
pub(crate) use film::Film;
use flights::Flight;
pub(super) use flights::Parcel;
pub(crate) use names::Names;
use verdict::verdict;

/// Keeps what happens.
#[derive(Debug)]
pub(crate) struct Recorder {
    names: Names,
    struck: Struck,
    recording: Recording,
    places: BTreeMap<Node, usize>,
    flights: BTreeMap<Link, VecDeque<Flight>>,
    /// The step that is under way, and when.
    step: u64,
    now: Tick,
    /// The last moment of this step, where faults and messages belong.
    last: Option<usize>,
    /// A message that has arrived in this step and of which its receiver has not spoken yet.
    waiting: Option<(usize, usize)>,
    /// Moments and messages of Starts, by agent and nonce, whose session is not known yet.
    starts: BTreeMap<(u64, u64), Starts>,
    down: BTreeMap<usize, Tick>,
    trouble: BTreeMap<Fault, Tick>,
    /// Where the recording goes if the run never ends.
    film: Film,
}

#[derive(Debug, Default)]
struct Starts {
    about: String,
    moments: Vec<usize>,
    messages: Vec<usize>,
}

impl Recorder {
    /// A recorder of a world that has just been made.
    pub(crate) fn new(options: &Options, now: Tick, film: Film) -> Self {
        let mut recorder = Self {
            names: Names {
                catalogue: options.config.catalogue.clone(),
                now,
                sessions: BTreeMap::new(),
            },
            struck: Struck::kept(),
            recording: Recording {
                title: format!("seed {}", options.seed),
                seed: options.seed,
                begin_ms: now.0,
                ..Recording::default()
            },
            places: BTreeMap::new(),
            flights: BTreeMap::new(),
            step: 0,
            now,
            last: None,
            waiting: None,
            starts: BTreeMap::new(),
            down: BTreeMap::new(),
            trouble: BTreeMap::new(),
            film,
        };
        recorder.place(Node::World);
        for agent in 0..options.agents {
            let id = u64::from(options.first_agent) + u64::from(agent);
            recorder.place(Node::Agent(id));
        }
        for shard in 0..options.shards {
            recorder.place(Node::Shard(shard));
        }
        recorder.place(Node::Coordinator);
        recorder.place(Node::Indexer);
        recorder.phase(now, "warm-up");
        recorder
    }

    /// Where those who throw faults note what struck.
    pub(crate) fn struck(&self) -> Struck {
        self.struck.clone()
    }

    /// What messages are called.
    pub(in crate::chart) fn names(&self) -> &Names {
        &self.names
    }

    fn place(&mut self, node: Node) -> usize {
        let lifelines = &mut self.recording.lifelines;
        *self.places.entry(node).or_insert_with(|| {
            let (kind, agent) = match node {
                Node::World => (LifelineKind::World, None),
                Node::Agent(number) => (LifelineKind::Agent, Some(number)),
                Node::Shard(_) => (LifelineKind::Shard, None),
                Node::Coordinator => (LifelineKind::Coordinator, None),
                Node::Indexer => (LifelineKind::Indexer, None),
            };
            lifelines.push(Lifeline {
                name: node.to_string(),
                kind,
                agent,
            });
            lifelines.len() - 1
        })
    }

    fn push(&mut self, lifeline: usize, line: Line, detail: String) -> usize {
        let session = line.session.and_then(|session| self.names.place(session));
        let of_session = session.map(|place| self.recording.sessions[place].agent);
        let agent = self.recording.lifelines[lifeline].agent;
        self.recording.moments.push(Moment {
            step: self.step,
            at_ms: self.now.0,
            lifeline,
            class: line.class,
            label: line.label,
            detail,
            session,
            agent: agent.or(line.agent).or(of_session),
            module: line.module,
            arriving: None,
        });
        let place = self.recording.moments.len() - 1;
        self.last = Some(place);
        place
    }

    /// Something happened at a node.
    pub(crate) fn note(
        &mut self,
        step: u64,
        now: Tick,
        node: Node,
        way: char,
        what: &dyn Describe,
    ) {
        (self.step, self.now, self.names.now) = (step, now, now);
        let line = what.describe(&self.names);
        let Some(line) = line else { return };
        let place = self.place(node);
        if let Says::Opens { session, agent } = line.says {
            self.open(session, agent);
        }
        if node == Node::World {
            // The world says itself what strikes from outside.
            let (own, others): (Vec<_>, Vec<_>) = self
                .struck
                .take()
                .into_iter()
                .partition(|fault| fault.label() == line.label);
            for fault in others {
                self.struck.note(fault, true);
            }
            self.flush_struck();
            let class = if own.is_empty() {
                line.class
            } else {
                Class::Fault
            };
            self.push(place, Line { class, ..line }, String::new());
            return;
        }
        self.flush_struck();
        let detail = what.detail();
        let is_answer = way == '<';
        match self.waiting {
            Some((moment, _)) if is_answer && self.recording.moments[moment].lifeline == place => {
                self.waiting = None;
                let line_session = line.session.and_then(|session| self.names.place(session));
                let arrival = &mut self.recording.moments[moment];
                arrival.detail = detail;
                arrival.session = arrival.session.or(line_session);
                arrival.module = line.module;
                self.last = Some(moment);
                self.tie(&line.says, Some(moment), None);
            }
            _ => {
                let says = line.says.clone();
                // A frame that was left unread until now.
                let line = match line.class {
                    Class::Message if is_answer => Line {
                        class: Class::News,
                        label: format!("reads {}", line.label),
                        ..line
                    },
                    _ => line,
                };
                self.push(place, line, detail);
                let moment = self.last;
                self.tie(&says, moment, None);
            }
        }
    }

    fn open(&mut self, session: SessionId, agent: u64) {
        if self.names.place(session).is_none() {
            self.recording.sessions.push(Session {
                id: session,
                agent,
                about: String::new(),
            });
            self.names
                .sessions
                .insert(session, self.recording.sessions.len() - 1);
        }
    }

    /// Starts become a session's when their answer names it.
    fn tie(&mut self, says: &Says, moment: Option<usize>, message: Option<usize>) {
        match says {
            Says::Start {
                agent,
                nonce,
                about,
            } => {
                let starts = self.starts.entry((*agent, *nonce)).or_default();
                starts.about.clone_from(about);
                starts.moments.extend(moment);
                starts.messages.extend(message);
            }
            Says::Opened {
                agent,
                nonce,
                session,
            } => {
                let Some(place) = self.names.place(*session) else {
                    return;
                };
                if let Some(starts) = self.starts.remove(&(*agent, *nonce)) {
                    if self.recording.sessions[place].about.is_empty() {
                        self.recording.sessions[place].about = starts.about;
                    }
                    for moment in starts.moments {
                        self.recording.moments[moment].session = Some(place);
                    }
                    for message in starts.messages {
                        self.recording.messages[message].session = Some(place);
                    }
                }
            }
            Says::Opens { .. } | Says::Nothing => {}
        }
    }

    /// Faults that struck and belong to no message stand where they struck.
    fn flush_struck(&mut self) {
        let struck = self.struck.take();
        let place = match self.last {
            Some(moment) => self.recording.moments[moment].lifeline,
            None => 0,
        };
        let session = self
            .last
            .and_then(|moment| self.recording.moments[moment].session);
        let about = self
            .last
            .and_then(|moment| self.recording.moments[moment].agent);
        for (label, count) in counted(&struck) {
            let text = match count {
                1 => label.to_owned(),
                _ => format!("{label} × {count}"),
            };
            let moment = self.push(place, Line::new(Class::Fault, text), String::new());
            self.recording.moments[moment].session = session;
            self.recording.moments[moment].agent = about;
        }
    }

    /// A step is over: who has not spoken up by now does not listen.
    pub(crate) fn settle(&mut self) {
        self.flush_struck();
        if let Some((_, message)) = self.waiting.take() {
            self.recording.messages[message].passage = Passage::Unheard;
        }
        self.last = None;
    }

    /// Who has spoken last in this step.
    pub(in crate::chart) fn speaker(&self) -> Option<Node> {
        let place = self.recording.moments[self.last?].lifeline;
        self.places
            .iter()
            .find(|(_, found)| **found == place)
            .map(|(node, _)| *node)
    }

    /// The run is over.
    pub(crate) fn finish(
        mut self,
        steps: u64,
        now: Tick,
        trace_hash: u64,
        ending: &Ending,
    ) -> Recording {
        self.settle();
        self.healed(now);
        for (place, from) in std::mem::take(&mut self.down) {
            self.gap(place, GapKind::Down, "down", from, now);
        }
        let mut recording = std::mem::take(&mut self.recording);
        recording
            .gaps
            .sort_by_key(|gap| (gap.from_ms, gap.lifeline));
        recording.steps = steps;
        recording.end_ms = now.0;
        recording.trace_hash = trace_hash;
        recording.verdict = verdict(ending, steps, now);
        recording
    }
}

impl Drop for Recorder {
    /// A recorder that was not finished goes down with its run, which has panicked.
    fn drop(&mut self) {
        if self.recording.moments.is_empty() {
            return;
        }
        let mut recording = std::mem::take(&mut self.recording);
        recording.steps = self.step;
        recording.end_ms = self.now.0;
        self.film.keep(recording);
    }
}

/// Labels with how often each stands in a list, in the order of their first.
fn counted(faults: &[Fault]) -> impl Iterator<Item = (&'static str, usize)> {
    let mut counts: Vec<(&'static str, usize)> = Vec::new();
    for label in faults.iter().map(|fault| fault.label()) {
        match counts.iter_mut().find(|(known, _)| *known == label) {
            Some((_, count)) => *count += 1,
            None => counts.push((label, 1)),
        }
    }
    counts.into_iter()
}
