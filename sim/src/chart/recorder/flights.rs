//! Messages under way: they leave, and arrive, or never do.

use inventory_sync_core::time::Tick;

use super::{Recorder, counted};
use crate::chart::labels::Line;
use crate::chart::recording::{LifelineKind, Message, Passage};
use crate::trace::{Link, Node};

/// A message on its way: its place, and what tells it from others on the same link.
#[derive(Debug)]
pub(super) struct Flight {
    message: usize,
    due: Option<Tick>,
    digest: u64,
}

/// What a sender knows of a message.
#[derive(Debug)]
pub(in crate::chart) struct Parcel {
    pub(in crate::chart) link: Link,
    pub(in crate::chart) from: Node,
    pub(in crate::chart) to: Node,
    /// When it is going to arrive, if that is decided.
    pub(in crate::chart) due: Option<Tick>,
    /// Of its bytes; 0 where the link has an order of its own.
    pub(in crate::chart) digest: u64,
    pub(in crate::chart) line: Line,
    pub(in crate::chart) remark: String,
    pub(in crate::chart) lost: bool,
    pub(in crate::chart) inside: bool,
}

impl Recorder {
    /// A message leaves.
    pub(in crate::chart) fn sent(&mut self, step: u64, now: Tick, parcel: Parcel) {
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
    pub(in crate::chart) fn vanished(&mut self, now: Tick, link: Link) {
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
    pub(in crate::chart) fn arrived(&mut self, step: u64, now: Tick, link: Link, digest: u64) {
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
}
