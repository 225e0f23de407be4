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

use std::collections::{BTreeMap, VecDeque};

use inventory_sync_core::config::Catalogue;
use inventory_sync_core::id::{NO_SESSION, SessionId};
use inventory_sync_core::time::Tick;

use super::labels::{Describe, Line, Says, seconds};
use super::recording::{
    Class, Gap, GapKind, Lifeline, LifelineKind, Message, Moment, Passage, Phase, Recording,
    Session, Verdict,
};
use crate::faults::Fault;
use crate::options::Options;
use crate::run::Ending;
use crate::trace::{Link, Node, Struck};

/// Names for what the machines know by number.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(super) catalogue: Catalogue,
    now: Tick,
    sessions: BTreeMap<SessionId, usize>,
}

impl Names {
    /// How long it is from now to a tick: a reader has no clock of the machines.
    pub(super) fn until(&self, at: Tick) -> String {
        seconds(at.since(self.now))
    }

    /// The name of a module.
    pub(super) fn module(&self, place: usize) -> &str {
        let module = self.catalogue.modules().get(place);
        module.map_or("an unknown module", |module| module.name.as_str())
    }

    /// The place of a session that was opened.
    pub(super) fn place(&self, session: SessionId) -> Option<usize> {
        self.sessions.get(&session).copied()
    }

    /// The name of a session.
    pub(super) fn session(&self, session: SessionId) -> String {
        match self.place(session) {
            Some(place) => format!("S{}", place + 1),
            None if session == NO_SESSION => "no session".to_owned(),
            None => "an unknown session".to_owned(),
        }
    }
}

/// A message on its way: its place, and what tells it from others on the same link.
#[derive(Debug)]
struct Flight {
    message: usize,
    due: Option<Tick>,
    digest: u64,
}

/// What a sender knows of a message.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) link: Link,
    pub(super) from: Node,
    pub(super) to: Node,
    /// When it is going to arrive, if that is decided.
    pub(super) due: Option<Tick>,
    /// Of its bytes; 0 where the link has an order of its own.
    pub(super) digest: u64,
    pub(super) line: Line,
    pub(super) remark: String,
    pub(super) lost: bool,
    pub(super) inside: bool,
}

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
    trouble: BTreeMap<&'static str, Tick>,
}

#[derive(Debug, Default)]
struct Starts {
    about: String,
    moments: Vec<usize>,
    messages: Vec<usize>,
}

impl Recorder {
    /// A recorder of a world that has just been made.
    pub(crate) fn new(options: &Options, now: Tick) -> Self {
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
        };
        recorder.place(Node::World);
        for agent in 1..=options.agents {
            recorder.place(Node::Agent(u64::from(agent)));
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
    pub(super) fn names(&self) -> &Names {
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
            let own = self.struck.take();
            let class = if own.iter().any(|fault| fault.label() == line.label) {
                Class::Fault
            } else {
                line.class
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

    /// A message leaves.
    pub(super) fn sent(&mut self, step: u64, now: Tick, parcel: Parcel) {
        (self.step, self.now) = (step, now);
        let (from, to) = (self.place(parcel.from), self.place(parcel.to));
        let struck = self.struck.take();
        let departure = self
            .last
            .filter(|last| self.recording.moments[*last].lifeline == from)
            .filter(|last| self.recording.moments[*last].arriving.is_none());
        let left = match departure {
            Some(last) => last,
            None => self.push(from, parcel.line.clone(), String::new()),
        };
        let line = parcel.line;
        let session = line
            .session
            .and_then(|session| self.names.place(session))
            .or(self.recording.moments[left].session);
        let agent = [to, from]
            .into_iter()
            .find_map(|place| self.recording.lifelines[place].agent)
            .or(self.recording.moments[left].agent);
        let faults = counted(&struck).map(|(label, _)| label).collect();
        self.recording.messages.push(Message {
            from,
            to,
            left,
            arrived: None,
            passage: if parcel.lost {
                Passage::Lost
            } else {
                Passage::UnderWay
            },
            label: line.label,
            remark: parcel.remark,
            faults,
            inside: parcel.inside,
            session,
            agent,
        });
        let message = self.recording.messages.len() - 1;
        self.tie(&line.says, None, Some(message));
        if !parcel.lost {
            self.flights
                .entry(parcel.link)
                .or_default()
                .push_back(Flight {
                    message,
                    due: parcel.due,
                    digest: parcel.digest,
                });
        }
    }

    /// What was to arrive by now on a link never will: there is no link any more.
    pub(super) fn vanished(&mut self, now: Tick, link: Link) {
        let Some(flights) = self.flights.get_mut(&link) else {
            return;
        };
        let gone = |flight: &Flight| flight.due.is_some_and(|due| due <= now);
        for flight in flights.iter().filter(|flight| gone(flight)) {
            let message = &mut self.recording.messages[flight.message];
            message.passage = Passage::Lost;
            message.remark = "lost with its connection".to_owned();
        }
        flights.retain(|flight| !gone(flight));
    }

    /// A message arrives: the one of the link that was due now with these bytes, or else the oldest.
    pub(super) fn arrived(&mut self, step: u64, now: Tick, link: Link, digest: u64) {
        (self.step, self.now) = (step, now);
        self.settle();
        let Some(flights) = self.flights.get_mut(&link) else {
            return;
        };
        let exact = flights
            .iter()
            .position(|flight| flight.due == Some(now) && flight.digest == digest);
        let due = || flights.iter().position(|flight| flight.due == Some(now));
        let same = || flights.iter().position(|flight| flight.digest == digest);
        let found = exact.or_else(due).or_else(same).unwrap_or(0);
        let Some(flight) = flights.remove(found) else {
            return;
        };
        if flights.is_empty() {
            self.flights.remove(&link);
        }
        let message = &self.recording.messages[flight.message];
        let (to, session, agent) = (message.to, message.session, message.agent);
        let class = self.recording.moments[message.left].class;
        let line = Line::new(class, message.label.clone());
        let moment = self.push(to, line, String::new());
        self.recording.moments[moment].session = session;
        self.recording.moments[moment].agent = agent;
        self.recording.moments[moment].arriving = Some(flight.message);
        let message = &mut self.recording.messages[flight.message];
        message.arrived = Some(moment);
        message.passage = Passage::Arrived;
        if self.recording.lifelines[to].kind != LifelineKind::Indexer {
            self.waiting = Some((moment, flight.message));
        }
    }

    /// What has just arrived is not read yet.
    pub(crate) fn held(&mut self) {
        if let Some((_, message)) = self.waiting.take() {
            self.recording.messages[message].passage = Passage::Unread;
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

    /// A phase begins.
    pub(crate) fn phase(&mut self, now: Tick, name: &'static str) {
        let from_ms = now.0;
        self.recording.phases.push(Phase { name, from_ms });
    }

    /// A node's process is gone.
    pub(crate) fn down(&mut self, now: Tick, node: Node) {
        let place = self.place(node);
        self.down.entry(place).or_insert(now);
    }

    /// A node's process is there again.
    pub(crate) fn up(&mut self, now: Tick, node: Node) {
        let place = self.place(node);
        if let Some(from) = self.down.remove(&place) {
            self.gap(place, GapKind::Down, "down", from, now);
        }
    }

    /// Who has spoken last in this step.
    pub(super) fn speaker(&self) -> Option<Node> {
        let place = self.recording.moments[self.last?].lifeline;
        self.places
            .iter()
            .find(|(_, found)| **found == place)
            .map(|(node, _)| *node)
    }

    /// The nodes of the manager's process.
    pub(super) fn manager(&self) -> Vec<Node> {
        let inside = |node: &&Node| matches!(node, Node::Shard(_) | Node::Coordinator);
        self.places.keys().filter(inside).copied().collect()
    }

    /// A fault begins to last.
    pub(crate) fn fault_lasts(&mut self, now: Tick, fault: Fault) {
        self.trouble.entry(fault.label()).or_insert(now);
    }

    /// A lasting fault is over.
    pub(crate) fn fault_over(&mut self, now: Tick, fault: Fault) {
        if let Some(from) = self.trouble.remove(fault.label()) {
            self.trouble_gap(fault.label(), from, now);
        }
    }

    /// All that still troubles somebody is repaired.
    fn trouble_gap(&mut self, label: &'static str, from: Tick, to: Tick) {
        // Only what troubles the Indexer lasts; the others strike once.
        if label.starts_with("indexer-") || label.starts_with("index-") || label == "refresh-paused"
        {
            let place = self.place(Node::Indexer);
            self.gap(place, GapKind::Trouble, label, from, to);
        }
    }

    fn gap(&mut self, lifeline: usize, kind: GapKind, label: &'static str, from: Tick, to: Tick) {
        self.recording.gaps.push(Gap {
            lifeline,
            kind,
            label,
            from_ms: from.0,
            to_ms: to.0,
        });
    }

    /// Everything is healed.
    pub(crate) fn healed(&mut self, now: Tick) {
        for (label, from) in std::mem::take(&mut self.trouble) {
            self.trouble_gap(label, from, now);
        }
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
        let mut recording = self.recording;
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

fn verdict(ending: &Ending, steps: u64, now: Tick) -> Verdict {
    let failed = |headline: String, expected: &str, seen: &str, at: Tick| Verdict {
        sound: false,
        headline,
        expected: expected.to_owned(),
        seen: seen.to_owned(),
        at_ms: at.0,
        step: steps,
    };
    match ending {
        Ending::Sound => Verdict {
            sound: true,
            headline: "sound".to_owned(),
            at_ms: now.0,
            step: steps,
            ..Verdict::default()
        },
        Ending::Unsafe(violation) => failed(
            format!("{} is violated", violation.oracle),
            &violation.expected,
            &violation.seen,
            violation.now,
        ),
        Ending::Stuck { reason } => failed(
            "the world does not come to rest".to_owned(),
            "rest after healing",
            reason,
            now,
        ),
        Ending::SimulatorFault(reason) => failed(
            "the simulator contradicts itself".to_owned(),
            "",
            reason,
            now,
        ),
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
