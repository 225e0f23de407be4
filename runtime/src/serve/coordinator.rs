//! The coordinator's task: its machine, and the questions it asks.

use std::collections::BTreeMap;

use inventory_sync_core::answer::Collector;
use inventory_sync_core::coordinator::{
    Command, Coordinator, Event, ListingReport, ListingTarget, ShardId,
};
use inventory_sync_core::document::Listing;
use inventory_sync_core::id::{RequestId, SessionId};
use inventory_sync_core::manager::{self, ListingOutcome};
use inventory_sync_core::time::Tick;
use tokio::sync::mpsc;

use super::clock::{MonotonicClock, unix_ms};
use super::facts::Recovered;
use super::questions::Asker;
use super::shard::Message as ToShard;
use super::status::{CoordinatorView, Shared};
use super::{Ended, ServeError, observe};

/// How often the wall clock is told.
const WALL_CLOCK_INTERVAL: std::time::Duration = std::time::Duration::from_secs(1);

/// Messages taken from the queue at once: the status is shown once for all of them.
const MESSAGES_AT_ONCE: usize = 256;

/// What the coordinator's task is sent.
pub(super) enum Message {
    /// An event for the machine.
    Event(Event),
    /// A shard's wish for a listing, with what gathers its documents.
    ListingWanted {
        event: Event,
        collector: Collector,
        shard: ShardId,
        session: SessionId,
    },
    /// A listing is done; the documents go to the shards before the machine hears of it.
    Listed {
        request: RequestId,
        targets: Vec<ListingTarget>,
        outcome: Result<Vec<Listing>, ListingReport>,
    },
}

impl Message {
    pub(super) const fn shutdown() -> Self {
        Self::Event(Event::Shutdown)
    }
}

/// The coordinator's task.
pub(super) struct Driver {
    pub(super) machine: Coordinator,
    pub(super) clock: MonotonicClock,
    pub(super) shards: Vec<mpsc::Sender<ToShard>>,
    pub(super) queue: mpsc::UnboundedReceiver<Message>,
    pub(super) own: mpsc::UnboundedSender<Message>,
    pub(super) asker: Asker,
    pub(super) shared: std::sync::Arc<Shared>,
    pub(super) recovered: Recovered,
}

type Collectors = BTreeMap<(ShardId, SessionId), Collector>;

impl Driver {
    /// Runs until the stop is recorded, or this process may not write any more.
    pub(super) async fn run(&mut self) -> Result<Ended, ServeError> {
        let mut collectors = Collectors::new();
        let mut wall_clock = tokio::time::interval(WALL_CLOCK_INTERVAL);
        let Recovered { bound, clean_stop } = self.recovered;
        let first = Event::Recovered { bound, clean_stop };
        if let Some(ended) = self.feed(first, &mut collectors).await {
            return ended;
        }
        self.publish();
        let mut messages = Vec::with_capacity(MESSAGES_AT_ONCE);
        loop {
            let deadline = self
                .machine
                .next_deadline()
                .map_or(Tick::NEVER, |(at, _)| at);
            let own = tokio::select! {
                // We hold a sender ourselves: it cannot be closed.
                _ = self.queue.recv_many(&mut messages, MESSAGES_AT_ONCE) => None,
                () = tokio::time::sleep_until(self.clock.instant(deadline)) => Some(Event::Tick),
                _ = wall_clock.tick() => Some(Event::WallClock { unix_ms: unix_ms() }),
            };
            if let Some(event) = own
                && let Some(ended) = self.feed(event, &mut collectors).await
            {
                return ended;
            }
            for message in messages.drain(..) {
                let event = self.unpack(message, &mut collectors).await;
                if let Some(ended) = self.feed(event, &mut collectors).await {
                    return ended;
                }
            }
            self.publish();
        }
    }

    /// Shows what those who ask for the status see.
    fn publish(&self) {
        self.shared.set_coordinator(CoordinatorView {
            health: self.machine.health(),
            lease_until: self.machine.lease_until(),
            bound: self.machine.bound(),
            indices: self.machine.index_states(),
        });
    }

    async fn unpack(&self, message: Message, collectors: &mut Collectors) -> Event {
        match message {
            Message::Event(event) => {
                if let Event::ListingCancelled { shard, session } = &event {
                    collectors.remove(&(*shard, *session));
                }
                event
            }
            Message::ListingWanted {
                event,
                collector,
                shard,
                session,
            } => {
                collectors.insert((shard, session), collector);
                event
            }
            Message::Listed {
                request,
                targets,
                outcome,
            } => {
                let report = match outcome {
                    Err(report) => report,
                    Ok(listings) => {
                        let mut outcomes = Vec::with_capacity(targets.len());
                        for (target, listing) in targets.iter().zip(listings) {
                            outcomes.push(ListingOutcome::Complete {
                                highest: listing.highest(),
                                documents: u64::try_from(listing.len()).unwrap_or(u64::MAX),
                            });
                            let session = target.session;
                            self.to_shard(target.shard, || ToShard::Listing {
                                session,
                                listing: listing.clone(),
                            })
                            .await;
                        }
                        ListingReport::Complete { targets: outcomes }
                    }
                };
                Event::Listed { request, report }
            }
        }
    }

    async fn to_shard(&self, shard: ShardId, message: impl FnOnce() -> ToShard) {
        if let Some(queue) = self.shards.get(usize::from(shard.0)) {
            // A shard that is gone has stopped.
            let _ = queue.send(message()).await;
        }
    }

    /// Hands an event to the machine and carries out what it asks for. `Some`: the process ends.
    async fn feed(
        &mut self,
        event: Event,
        collectors: &mut Collectors,
    ) -> Option<Result<Ended, ServeError>> {
        let mut commands = Vec::new();
        self.machine.handle(self.clock.now(), event, &mut commands);
        let mut ended = None;
        for command in commands {
            match command {
                Command::Tell { shard, event } => {
                    // Whoever is told the outcome asks with a new one, if it asks again.
                    if let (Some(shard), manager::Event::Listed { session, .. }) = (shard, &*event)
                    {
                        collectors.remove(&(shard, *session));
                    }
                    self.tell(shard, &event).await;
                }
                Command::Observe(observation) => {
                    observe::coordinator(&self.shared, self.asker.scheme.catalogue(), &observation)
                }
                Command::Abort { reason } => ended = Some(Err(ServeError::Abort(reason))),
                Command::Stopped { clean } => {
                    ended = Some(Ok(if clean { Ended::Clean } else { Ended::Unclean }));
                }
                Command::List {
                    request,
                    indices,
                    targets,
                } => {
                    let mut taken = Vec::with_capacity(targets.len());
                    for target in &targets {
                        let place = (target.shard, target.session);
                        // Kept: a listing that an index was in the way of is made again for the others.
                        // One that was cancelled meanwhile gathers nothing, and nobody waits for it.
                        taken.push(collectors.get(&place).cloned().unwrap_or_else(|| {
                            Collector::new(&self.asker.scheme.id_prefix(target.agent), b"{}")
                        }));
                    }
                    self.asker
                        .list(request, indices, targets, taken, self.own.clone());
                }
                question => self.asker.ask(question, self.own.clone()),
            }
        }
        ended
    }

    async fn tell(&self, shard: Option<ShardId>, event: &manager::Event<std::convert::Infallible>) {
        for (place, queue) in self.shards.iter().enumerate() {
            if shard.is_none_or(|shard| usize::from(shard.0) == place) {
                let event = manager::widen(event.clone());
                // A shard that is gone has stopped.
                let _ = queue.send(ToShard::Event(event)).await;
            }
        }
    }
}
