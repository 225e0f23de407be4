//! The carrier's connection: made, lost, cut on purpose, and what comes by it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use inventory_sync_core::agent::{Answer, Event};
use inventory_sync_core::id::ConnectionId;
use inventory_sync_core::wire;
use inventory_sync_core::wire::framing::Frame;

use super::{Carrier, at, index};
use crate::replay::driver::Wish;
use crate::replay::harm::Blow;
use crate::replay::link::{ConnectError, Link, Stream};

impl Carrier {
    /// The machine wants another connection than that one.
    pub(super) fn reconnect(&mut self, place: u32, instead_of: Option<ConnectionId>) {
        let Some(driver) = self.drivers.get_mut(at(place)) else {
            return;
        };
        if self.link.is_some() {
            let is_bound = driver.bound == self.link_number;
            if is_bound && instead_of.is_none_or(|old| old < driver.connection()) {
                // It is about to be told of this one.
                return;
            }
            // A relay's connection on which others are answered is not dead.
            let is_alive =
                self.shared.is_relay() && self.heard.elapsed() < self.shared.answer_timeout();
            if !is_bound || is_alive {
                let event = driver.bind(self.link_number);
                self.events.push_back((place, event));
                return;
            }
            self.lose("it was silent");
        }
        if self.dialling.is_none() {
            self.dial();
        }
    }

    pub(super) fn dial(&mut self) {
        let peer = match &self.peer {
            Some(peer) => peer.clone(),
            None => match self.shared.peer(self.crew.first) {
                Ok(peer) => self.peer.insert(peer).clone(),
                Err(what) => {
                    return self.give_up(&what);
                }
            },
        };
        let shared = Arc::clone(&self.shared);
        self.dialling = Some(Box::pin(async move {
            // Never closed. With too many handshakes at once each takes too long.
            let _turn = shared.handshakes.acquire().await;
            peer.connect().await
        }));
    }

    pub(super) fn dialled(&mut self, made: Result<Box<dyn Stream>, ConnectError>) {
        match made {
            Ok(stream) => {
                self.link_number += 1;
                self.count_made();
                self.heard = Instant::now();
                self.link = Some(Link::new(stream, self.shared.framing()));
                for (place, driver) in self.drivers.iter_mut().enumerate() {
                    if !driver.is_over() {
                        let event = driver.bind(self.link_number);
                        self.events.push_back((index(place), event));
                    }
                }
            }
            Err(error) => {
                self.trouble(&error.what);
                if error.is_permanent {
                    return self.give_up(&error.what);
                }
                for (place, driver) in self.drivers.iter().enumerate() {
                    if !driver.is_over() {
                        self.events.push_back((index(place), Event::ConnectFailed));
                    }
                }
            }
        }
    }

    /// There is one connection more.
    fn count_made(&self) {
        let statistics = &self.shared.statistics;
        statistics.connections.fetch_add(1, Ordering::Relaxed);
        if self.link_number > 1 {
            statistics.counted().sessions.reconnects += 1;
        }
    }

    /// There will be one connection less, if there is one.
    pub(super) fn count_lost(&self) {
        if self.link.is_some() {
            let connections = &self.shared.statistics.connections;
            connections.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn trouble(&self, what: &str) {
        let mut counted = self.shared.statistics.counted();
        *counted
            .connection_troubles
            .entry(what.to_owned())
            .or_default() += 1;
    }

    /// Nothing will come of this connection.
    fn give_up(&mut self, what: &str) {
        for driver in &mut self.drivers {
            if !driver.is_over() {
                driver.fail(&self.shared, what);
            }
        }
        self.open = 0;
    }

    /// The link is of no more use.
    fn lose(&mut self, what: &str) {
        self.count_lost();
        if self.blow.is_none() {
            self.trouble(what);
        }
        self.link = None;
        self.marks.clear();
        self.hungry.clear();
        self.blow = None;
        for (place, driver) in self.drivers.iter_mut().enumerate() {
            if driver.bound == self.link_number {
                let event = driver.unbind();
                self.events.push_back((index(place), event));
            }
        }
    }

    /// The link has come to the end that was set for it.
    pub(super) fn fall(&mut self) {
        let Some((blow, place)) = self.blow else {
            return;
        };
        self.lose("");
        if blow == Blow::Crash {
            self.crash(place);
        }
    }

    /// An agent crashes, with all its lanes.
    pub(super) fn crash(&mut self, place: u32) {
        self.shared.statistics.counted().sessions.crashes += 1;
        let first = at(place) / self.lanes * self.lanes;
        let lanes = first..first + self.lanes;
        // What was on its way to its machines is lost with them.
        self.events
            .retain(|(place, _)| !lanes.contains(&at(*place)));
        self.wishes
            .retain(|(place, wish)| !lanes.contains(&at(*place)) || matches!(wish, Wish::Mark(_)));
        for place in lanes {
            let Some(driver) = self.drivers.get_mut(place) else {
                continue;
            };
            let again = driver.crash(&self.shared);
            if self.link.is_some() && !driver.is_over() {
                let event = driver.bind(self.link_number);
                self.events.push_back((index(place), event));
            }
            if let Some(event) = again {
                self.events.push_back((index(place), event));
            }
            self.arm(index(place));
        }
    }

    /// Bytes have come or gone, or the link has ended.
    pub(super) fn moved(&mut self, moved: Result<(), String>) {
        if let Err(what) = moved {
            self.receive();
            return self.lose(&what);
        }
        let Some(link) = &mut self.link else {
            return;
        };
        let flushed = link.flushed();
        if link.take_heard() {
            self.heard = Instant::now();
        }
        let is_at_end = link.is_at_end();
        let has_left = |(byte, _): &(u64, u32)| *byte <= flushed;
        if self.marks.front().is_some_and(has_left) {
            let now = Instant::now();
            while let Some((_, place)) = self.marks.front().copied().filter(has_left) {
                self.marks.pop_front();
                if let Some(driver) = self.drivers.get_mut(at(place)) {
                    driver.end_has_left(now);
                }
            }
        }
        self.receive();
        if is_at_end {
            self.fall();
        }
        if self.shared.is_idle
            && let Some(link) = &mut self.link
        {
            link.shrink();
        }
    }

    /// Hands the messages that arrived to their lanes.
    fn receive(&mut self) {
        while let Some(frame) = self.link.as_mut().and_then(Link::next) {
            self.receive_one(&frame);
        }
    }

    fn receive_one(&mut self, frame: &Frame) {
        let agent = match frame.agent_id {
            Some(agent) => self.crew.place(agent),
            None => Some(0),
        };
        let answer = wire::decode(&frame.message)
            .ok()
            .and_then(Answer::from_message);
        let (Some(agent), Some(answer)) = (agent, answer) else {
            let mut counted = self.shared.statistics.counted();
            return counted.complain(|| "the daemon sends what is no answer to us".to_owned());
        };
        for place in agent * self.lanes..(agent + 1) * self.lanes {
            let Some(driver) = self.drivers.get(place) else {
                return;
            };
            // The last one takes what concerns nobody: the machine counts it.
            let is_last = place + 1 == (agent + 1) * self.lanes;
            if driver.bound == self.link_number && (is_last || driver.concerns(&answer)) {
                let connection = driver.connection();
                let event = Event::Received { connection, answer };
                return self.events.push_back((index(place), event));
            }
        }
    }
}
