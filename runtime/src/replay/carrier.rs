//! One task, one connection: over TLS of one agent, on the Unix socket of a relay's many.
//!
//! ```text
//!  link ── frames ──▶ events ──▶ drivers (machines) ──▶ frames ──▶ link
//!  timers ─────────────▲             │
//!  places ─────────────┘             └─▶ wishes: rows, a connection, a blow
//! ```
//!
//! Invariants: the task waits for everything at once and never for one lane; rows are packed only while the
//! link has room; a timer fires at its lane's deadline or before, and then looks again.

mod connection;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inventory_sync_core::agent::Event;
use inventory_sync_core::time::Tick;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::Shared;
use super::driver::{Driver, LaneEnd, Reach, Stage, Wish};
use super::harm::Blow;
use super::link::{ConnectError, Link, Peer, Stream};
use super::packing::Payload;
use super::plan::Lane;
use super::state::Memory;

type Dialling = Pin<Box<dyn Future<Output = Result<Box<dyn Stream>, ConnectError>> + Send>>;
type Entering = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

/// The agents of one connection: every `step`-th from the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crew {
    pub(super) first: u64,
    pub(super) step: u64,
    pub(super) count: u32,
}

impl Crew {
    /// The place of an agent among them.
    fn place(&self, agent: u64) -> Option<usize> {
        let offset = agent.checked_sub(self.first)?;
        let place = offset
            .checked_div(self.step)
            .filter(|_| offset % self.step == 0)?;
        usize::try_from(place)
            .ok()
            .filter(|place| u32::try_from(*place).is_ok_and(|place| place < self.count))
    }
}

/// One connection and all that it carries.
pub(super) struct Carrier {
    shared: Arc<Shared>,
    crew: Crew,
    /// Lanes of an agent stand together.
    drivers: Vec<Driver>,
    lanes: usize,
    /// Lanes that are not over.
    open: usize,
    peer: Option<Peer>,
    link: Option<Link>,
    /// The number of the link, or of the last one.
    link_number: u64,
    heard: Instant,
    dialling: Option<Dialling>,
    entering: Option<Entering>,
    queued: VecDeque<u32>,
    timers: BinaryHeap<Reverse<(Tick, u32)>>,
    events: VecDeque<(u32, Event<Payload>)>,
    wishes: VecDeque<(u32, Wish)>,
    hungry: VecDeque<u32>,
    /// Ends that are on their way out: up to which byte, and whose.
    marks: VecDeque<(u64, u32)>,
    /// What the end that was set for the link means.
    blow: Option<(Blow, u32)>,
    scratch: Vec<u8>,
}

impl Carrier {
    pub(super) fn new(shared: Arc<Shared>, crew: Crew, memory: &Memory) -> Self {
        let lanes = shared.plan.lanes();
        let agents = usize::try_from(crew.count).unwrap_or(0);
        let mut drivers = Vec::with_capacity(agents * usize::from(lanes));
        for place in 0..u64::from(crew.count) {
            let agent = crew.first + place * crew.step;
            for number in 0..lanes {
                let module = shared.plan.module(number);
                let kept = memory.get(&(agent, module.to_owned()));
                let lane = Lane::new(agent, number);
                drivers.push(Driver::new(
                    &shared,
                    lane,
                    kept.copied().unwrap_or_default(),
                ));
            }
        }
        let open = drivers.iter().filter(|driver| !driver.is_over()).count();
        Self {
            shared,
            crew,
            drivers,
            lanes: usize::from(lanes.max(1)),
            open,
            peer: None,
            link: None,
            link_number: 0,
            heard: Instant::now(),
            dialling: None,
            entering: None,
            queued: VecDeque::new(),
            timers: BinaryHeap::new(),
            events: VecDeque::new(),
            wishes: VecDeque::new(),
            hungry: VecDeque::new(),
            marks: VecDeque::new(),
            blow: None,
            scratch: Vec::new(),
        }
    }

    /// Connects, waits for all others to have tried that, and carries every lane to its end, or until it is
    /// stopped.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Vec<LaneEnd> {
        if self.open > 0 {
            self.dial();
        }
        let is_stopped = tokio::select! {
            () = self.prepare() => false,
            _ = stop.wait_for(|stop| *stop) => true,
        };
        if !is_stopped {
            self.start();
            self.carry(stop).await;
        }
        self.count_lost();
        if let Some(link) = self.link.take().filter(|_| self.open == 0) {
            link.close().await;
        }
        self.drivers.iter().map(Driver::end).collect()
    }

    async fn prepare(&mut self) {
        if let Some(dialling) = &mut self.dialling {
            let made = dialling.await;
            self.dialling = None;
            self.dialled(made);
        }
        self.shared.ready.wait().await;
    }

    fn start(&mut self) {
        for place in 0..self.drivers.len() {
            let now_us = self.shared.now_us();
            if let Stage::Resting(at) = &mut self.drivers[place].stage {
                *at = self.shared.reserve(now_us);
            }
            self.arm(index(place));
        }
    }

    async fn carry(&mut self, mut stop: watch::Receiver<bool>) {
        let sleep = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(sleep);
        let mut asleep_until = None;
        loop {
            self.settle();
            if self.open == 0 {
                return;
            }
            let wake = self.timers.peek().map(|Reverse((at, _))| *at);
            if let Some(at) = wake.filter(|_| wake != asleep_until) {
                let at = self.shared.started + Duration::from_millis(at.0);
                sleep.as_mut().reset(tokio::time::Instant::from_std(at));
            }
            asleep_until = wake;
            let (link, dialling, entering) =
                (&mut self.link, &mut self.dialling, &mut self.entering);
            tokio::select! {
                moved = poll_fn(|context| match link.as_mut() {
                    Some(link) => link.poll(context),
                    None => std::task::Poll::Pending,
                }) => self.moved(moved),
                made = either(dialling) => {
                    self.dialling = None;
                    self.dialled(made);
                }
                permit = either(entering) => {
                    self.entering = None;
                    self.entered(permit);
                }
                () = &mut sleep, if wake.is_some() => {
                    asleep_until = None;
                    self.ring();
                }
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Hands events over and grants wishes until there is nothing but waiting.
    fn settle(&mut self) {
        loop {
            if let Some((place, event)) = self.events.pop_front() {
                self.tell(place, event);
            } else if let Some((place, wish)) = self.wishes.pop_front() {
                self.grant(place, wish);
            } else if !self.feed_one() {
                return;
            }
        }
    }

    fn tell(&mut self, place: u32, event: Event<Payload>) {
        self.with(place, |driver, reach| driver.handle(event, reach));
    }

    fn with(&mut self, place: u32, act: impl FnOnce(&mut Driver, &mut Reach<'_>)) {
        let Some(driver) = self.drivers.get_mut(at(place)) else {
            return;
        };
        let was_over = driver.is_over();
        let mut reach = Reach {
            shared: &self.shared,
            link: self.link.as_mut(),
            events: &mut self.events,
            wishes: &mut self.wishes,
            scratch: &mut self.scratch,
            place,
        };
        act(driver, &mut reach);
        if !was_over && driver.is_over() {
            self.open -= 1;
        }
        self.arm(place);
    }

    /// Packs rows for the first lane that wants some, if the link has room. A lane that wants more comes
    /// first again: sessions end sooner one after the other than all at once.
    fn feed_one(&mut self) -> bool {
        let has_room = |link: &Link| link.waiting() < self.shared.room_bytes;
        if self.link.as_ref().is_some_and(|link| !has_room(link)) {
            return false;
        }
        let Some(place) = self.hungry.pop_front() else {
            return false;
        };
        self.with(place, Driver::feed);
        true
    }

    fn grant(&mut self, place: u32, wish: Wish) {
        match wish {
            Wish::Reconnect(instead_of) => self.reconnect(place, instead_of),
            Wish::Load => {
                if self.drivers[at(place)].wants_rows() {
                    self.hungry.push_front(place);
                }
            }
            Wish::Mark(byte) => self.marks.push_back((byte, place)),
            Wish::Blow(Blow::Crash, _) if self.shared.is_relay() => self.crash(place),
            Wish::Blow(blow, byte) => {
                if let Some(link) = self.link.as_mut().filter(|_| self.blow.is_none()) {
                    self.blow = Some((blow, place));
                    link.end_at(byte);
                    // It may have come there already.
                    if link.is_at_end() {
                        self.fall();
                    }
                }
            }
        }
    }

    /// Serves the deadlines that have come.
    fn ring(&mut self) {
        let now = self.shared.now();
        while let Some(Reverse((due, place))) = self.timers.peek().copied() {
            if due > now {
                return;
            }
            self.timers.pop();
            let Some(driver) = self.drivers.get_mut(at(place)) else {
                continue;
            };
            if driver.armed != Some(due) {
                continue;
            }
            driver.armed = None;
            match driver.stage {
                Stage::Resting(until) if until <= now => self.enter(place),
                _ => {}
            }
            self.tell(place, Event::Tick);
        }
    }

    /// A lane's next round begins, or queues for a place.
    fn enter(&mut self, place: u32) {
        match self.shared.pace.enter() {
            Ok(permit) => self.begin(place, permit),
            Err(places) => {
                self.drivers[at(place)].stage = Stage::Queued;
                self.queued.push_back(place);
                if self.entering.is_none() {
                    self.wait_for(places);
                }
            }
        }
    }

    fn entered(&mut self, permit: Option<OwnedSemaphorePermit>) {
        if let Some(place) = self.queued.pop_front() {
            self.begin(place, permit);
        }
        while let Some(place) = self.queued.pop_front() {
            match self.shared.pace.enter() {
                Ok(permit) => self.begin(place, permit),
                Err(places) => {
                    self.queued.push_front(place);
                    return self.wait_for(places);
                }
            }
        }
    }

    fn wait_for(&mut self, places: Arc<Semaphore>) {
        self.entering = Some(Box::pin(async move { places.acquire_owned().await.ok() }));
    }

    fn begin(&mut self, place: u32, permit: Option<OwnedSemaphorePermit>) {
        let Some(driver) = self.drivers.get_mut(at(place)) else {
            return;
        };
        match driver.begin(&self.shared, permit) {
            Some(event) => self.events.push_back((place, event)),
            None => self.open -= 1,
        }
    }

    /// Makes sure that the timers know a lane's deadline. An earlier entry is good enough: it looks again.
    fn arm(&mut self, place: u32) {
        let Some(driver) = self.drivers.get_mut(at(place)) else {
            return;
        };
        let Some(deadline) = driver.deadline() else {
            return;
        };
        if driver.armed.is_none_or(|armed| deadline < armed) {
            driver.armed = Some(deadline);
            self.timers.push(Reverse((deadline, place)));
        }
    }
}

/// Waits for what is there; for ever where nothing is.
async fn either<F: Future + Unpin>(future: &mut Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

fn index(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

fn at(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_has_its_place_in_one_crew() {
        let crew = Crew {
            first: 11,
            step: 3,
            count: 2,
        };
        let places: Vec<_> = (9..21).map(|agent| crew.place(agent)).collect();
        let mut wanted = vec![None; 12];
        (wanted[2], wanted[5]) = (Some(0), Some(1));
        assert_eq!(places, wanted);
    }
}
