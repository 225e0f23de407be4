//! Whether the Indexer takes requests: asked, told apart, and told to the shards (`docs/protocol.md`
//! section 8).

use super::{Ask, Command, Coordinator, HealthOutcome, Observation, Out, Timer};
use crate::bug::{Bug, is_planted};
use crate::id::RequestId;
use crate::manager::{self, Health, Unready};

impl Coordinator {
    pub(super) fn ask_health(&mut self, out: &mut Out) {
        if !self.asks.values().any(|ask| *ask == Ask::Health) {
            let request = self.ask(Ask::Health);
            out.push(Command::Health { request });
        }
    }

    pub(super) fn on_health(&mut self, request: RequestId, outcome: HealthOutcome, out: &mut Out) {
        if self
            .answered_ask(request, |ask| *ask == Ask::Health)
            .is_none()
        {
            return;
        }
        let health = match outcome {
            HealthOutcome::Ready => Health::Ready,
            HealthOutcome::Unready(why) => Health::Unready(why),
        };
        if health != self.answered {
            out.push(Command::Observe(Observation::Health(health)));
        }
        let was_ready = self.answered == Health::Ready;
        self.answered = health;
        let delay_ms = match outcome {
            HealthOutcome::Ready => {
                self.health_attempts = 0;
                self.config.health_interval_ms
            }
            // Accounts are locked after a few wrong attempts: ask rarely.
            HealthOutcome::Unready(Unready::Unauthorized) => {
                self.config.retry_max_ms.max(self.config.health_interval_ms)
            }
            HealthOutcome::Unready(_) => {
                self.health_attempts = self.health_attempts.saturating_add(1);
                self.backoff_ms(self.health_attempts - 1)
                    .min(self.config.health_interval_ms)
            }
        };
        if health == Health::Ready || !is_planted(Bug::HealthAskedOnce) {
            self.arm(Timer::Health, self.now + delay_ms);
        }
        if health == Health::Ready {
            self.writer_begin(out);
            if !was_ready {
                self.resume(out);
            }
        }
        self.tell_health(out);
    }

    /// The Indexer is back: what failed meanwhile need not wait for the end of its backoff.
    fn resume(&mut self, out: &mut Out) {
        if !self.writer.may_write(self.now) {
            self.writer_step(out);
        }
        self.check_indices(out);
    }

    /// Whether the Indexer refuses our credentials. Then nothing but health is asked, and that rarely.
    pub(super) fn is_barred(&self) -> bool {
        self.answered == Health::Unready(Unready::Unauthorized)
            && !is_planted(Bug::CredentialsHammered)
    }

    /// Shards hear Ready only once everything a start needs is done.
    pub(super) fn tell_health(&mut self, out: &mut Out) {
        let health = match self.answered {
            Health::Ready if !self.may_write() => Health::Unready(self.writer.unready()),
            health => health,
        };
        if self.told != Some(health) {
            self.told = Some(health);
            self.tell(None, manager::Event::Health { health }, out);
        }
    }

    fn may_write(&self) -> bool {
        let ignores_lease = is_planted(Bug::LeaseIgnored);
        self.writer.may_write(self.now) || (ignores_lease && self.writer.is_writing())
    }
}
