//! One writer: the document, the lease and the bound (`docs/protocol.md` sections 5 and 8).

use super::{
    Ask, Command, Coordinator, CountOutcome, IndexOutcome, Observation, Out, Record, Stopping,
    Timer, WriteOutcome, WriterCondition, WriterDocument, WriterOutcome,
};
use crate::id::Version;
use crate::manager::{self, Health, Rule, Unready};
use crate::time::Tick;

/// The step that is taken, or will be when its timer is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Step {
    /// Nothing yet: the store, the clock or the Indexer is missing.
    #[default]
    Wait,
    /// Create the writer index.
    Index,
    /// Read the writer document.
    Read,
    /// Neither bound nor document: are there documents?
    Count,
    /// Make a bound durable in `meta`.
    Record { bound: Version },
    /// Write the document.
    Write {
        bound: Version,
        /// The lease is counted from here.
        asked_at: Tick,
    },
}

/// What is known of the writer document.
#[derive(Debug, Clone, Default)]
pub(super) struct Writer {
    recovered: Option<Recovered>,
    step: Step,
    attempts: u32,
    /// As last read or written by us.
    place: Option<(u64, u64)>,
    /// Another writer's document: its `_seq_no`, and since when it has not changed.
    foreign: Option<(u64, Tick)>,
    /// This process has written it.
    holds: bool,
    /// No document of this cluster, no bound, no writer: nothing can be late.
    is_virgin: bool,
    /// A document of someone else, or documents without any bound: wait so long before the first write.
    quiet_until: Tick,
    pub(super) lease_until: Tick,
    pub(super) bound: Version,
}

#[derive(Debug, Clone, Copy)]
struct Recovered {
    bound: Option<Version>,
    clean_stop: bool,
}

impl Writer {
    /// Whether this process has ever held the lease. Whether it does now, `lease_until` says.
    pub(super) const fn is_writing(&self) -> bool {
        self.holds
    }

    pub(super) const fn unready(&self) -> Unready {
        match self.step {
            Step::Wait | Step::Index => Unready::Starting,
            Step::Read | Step::Count | Step::Record { .. } | Step::Write { .. } => Unready::NoLease,
        }
    }

    /// A process that never could write has nothing unanswered, but it has not shown a clean end either
    /// unless the one before it had.
    pub(super) fn may_stop_clean(&self) -> bool {
        self.holds || self.recovered.is_some_and(|recovered| recovered.clean_stop)
    }
}

impl Coordinator {
    pub(super) fn on_recovered(&mut self, bound: Option<Version>, clean_stop: bool, out: &mut Out) {
        if self.writer.recovered.is_some() {
            return;
        }
        self.writer.recovered = Some(Recovered { bound, clean_stop });
        if let Some(bound) = bound {
            self.raise_clock(bound);
        }
        let shards = u64::from(self.config.shards.max(1));
        let (items, bytes) = (
            self.config.items_max / shards,
            self.config.bytes_max / shards,
        );
        self.tell(None, manager::Event::QuotaSlice { items, bytes }, out);
        self.begin(out);
    }

    fn raise_clock(&mut self, bound: Version) {
        if self.rules.holds(Rule::ClockStartsAtBound) {
            self.clock.raise(self.now, bound);
        }
    }

    /// Begins once the store was read and the clock is known.
    pub(super) fn begin(&mut self, out: &mut Out) {
        if self.writer.recovered.is_some() && self.clock.is_fed() {
            self.ask_health(out);
        }
    }

    /// The Indexer is ready: begin, if nothing was begun.
    pub(super) fn writer_begin(&mut self, out: &mut Out) {
        if self.writer.step == Step::Wait && !self.writer.holds {
            self.writer.step = Step::Index;
            self.writer_step(out);
        }
    }

    /// Takes the step that is due. At most one is out at a time.
    pub(super) fn writer_step(&mut self, out: &mut Out) {
        if self.asks.values().any(|ask| matches!(ask, Ask::Writer(_)))
            || matches!(self.stopping, Stopping::Recording | Stopping::Said)
        {
            return;
        }
        if self.now < self.writer.quiet_until {
            return self.arm(Timer::Writer, self.writer.quiet_until);
        }
        match self.writer.step {
            // A renewal begins with its bound.
            Step::Wait if self.writer.holds => self.next_bound(out),
            Step::Wait => {}
            Step::Index => {
                let request = self.ask(Ask::Writer(Step::Index));
                out.push(Command::CreateWriterIndex { request });
            }
            Step::Read => {
                let request = self.ask(Ask::Writer(Step::Read));
                out.push(Command::ReadWriter { request });
            }
            Step::Count => {
                let request = self.ask(Ask::Writer(Step::Count));
                out.push(Command::CountDocuments { request });
            }
            step @ Step::Record { bound } => {
                let request = self.ask(Ask::Writer(step));
                out.push(Command::Record {
                    request,
                    what: Record::Bound(bound),
                });
            }
            Step::Write { bound, .. } => self.write(bound, out),
        }
    }

    /// First `meta`, then the document: whatever is sent lies below both.
    fn next_bound(&mut self, out: &mut Out) {
        let ahead_ms = self.config.bound_ahead_ms;
        let bound = Version::from_unix_ms(self.clock.unix_ms(self.now).saturating_add(ahead_ms));
        let bound = bound.max(self.writer.bound);
        self.take_step(Step::Record { bound }, out);
    }

    fn write(&mut self, bound: Version, out: &mut Out) {
        let condition = match self.writer.place {
            Some((seq_no, primary_term)) => WriterCondition::Unchanged {
                seq_no,
                primary_term,
            },
            None => WriterCondition::Absent,
        };
        let document = WriterDocument {
            writer: self.config.writer.clone(),
            nonce: self.config.nonce,
            bound,
        };
        let step = Step::Write {
            bound,
            asked_at: self.now,
        };
        self.writer.step = step;
        let request = self.ask(Ask::Writer(step));
        out.push(Command::WriteWriter {
            request,
            condition,
            document,
        });
    }

    fn take_step(&mut self, step: Step, out: &mut Out) {
        self.writer.step = step;
        self.writer.attempts = 0;
        self.writer_step(out);
    }

    /// The same step again, later.
    fn retry_step(&mut self, step: Step) {
        self.writer.step = step;
        let attempts = self.writer.attempts;
        self.writer.attempts = attempts.saturating_add(1);
        let delay_ms = self.backoff_ms(attempts).min(self.config.renew_ms);
        self.arm(Timer::Writer, self.now + delay_ms);
    }

    pub(super) fn on_writer_index(&mut self, step: Step, outcome: &IndexOutcome, out: &mut Out) {
        match outcome {
            IndexOutcome::Exists => self.take_step(Step::Read, out),
            IndexOutcome::Refused(_) | IndexOutcome::Unknown => self.retry_step(step),
        }
    }

    pub(super) fn on_writer_read(&mut self, outcome: WriterOutcome, out: &mut Out) {
        match outcome {
            WriterOutcome::Unknown => self.retry_step(Step::Read),
            WriterOutcome::Malformed(detail) => {
                let reason = format!(
                    "the writer document cannot be understood ({detail}): repair or delete it"
                );
                out.push(Command::Abort { reason });
            }
            WriterOutcome::Absent => {
                self.writer.place = None;
                let known = self.writer.recovered.and_then(|recovered| recovered.bound);
                if known.is_none() && !self.writer.holds {
                    self.take_step(Step::Count, out);
                } else {
                    self.next_bound(out);
                }
            }
            WriterOutcome::Found {
                document,
                seq_no,
                primary_term,
            } => {
                self.judge_writer(document, (seq_no, primary_term), out);
            }
        }
    }

    fn judge_writer(&mut self, document: WriterDocument, place: (u64, u64), out: &mut Out) {
        let is_ours = document.writer == self.config.writer;
        if is_ours && document.nonce != self.config.nonce && self.writer.holds {
            let reason = format!(
                "another process writes as {:?}: the store was copied; stop one of the two",
                document.writer
            );
            return out.push(Command::Abort { reason });
        }
        if !is_ours && self.writer.holds {
            let reason = format!(
                "writer {:?} has taken over: only one may write",
                document.writer
            );
            return out.push(Command::Abort { reason });
        }
        if !is_ours && !self.is_abandoned(&document, place.0, out) {
            return;
        }
        self.raise_clock(document.bound);
        self.writer.place = Some(place);
        self.next_bound(out);
    }

    /// Another id counts as live while its document changes within the lease of our clock.
    fn is_abandoned(&mut self, document: &WriterDocument, seq_no: u64, out: &mut Out) -> bool {
        let writer = &document.writer;
        match self.writer.foreign {
            None => {
                out.push(Command::Observe(Observation::ForeignWriter {
                    writer: writer.clone(),
                }));
                self.writer.foreign = Some((seq_no, self.now));
            }
            Some((seen, _)) if seen != seq_no => {
                let reason = format!(
                    "writer {writer:?} is alive on this Indexer: only one manager may write; stop it \
                     first, or give this one another cluster name"
                );
                out.push(Command::Abort { reason });
                return false;
            }
            Some((_, since)) if self.now.since(since) >= self.config.lease_ms => return true,
            Some(_) => {}
        }
        self.writer.step = Step::Read;
        self.arm(Timer::Writer, self.now + (self.config.lease_ms / 3).max(1));
        false
    }

    pub(super) fn on_counted(&mut self, outcome: CountOutcome, out: &mut Out) {
        match outcome {
            CountOutcome::Unknown => self.retry_step(Step::Count),
            CountOutcome::Documents(0) => {
                self.writer.is_virgin = true;
                self.next_bound(out);
            }
            CountOutcome::Documents(_) => {
                // The bound is lost: whatever was sent under it must have landed or died first.
                if self.rules.holds(Rule::BoundBeforeSend) {
                    self.writer.quiet_until = self.now + self.config.late_write_bound_ms;
                }
                self.next_bound(out);
            }
        }
    }

    pub(super) fn on_bound_recorded(&mut self, step: Step, durable: bool, out: &mut Out) {
        match step {
            Step::Record { bound } if durable => {
                self.take_step(
                    Step::Write {
                        bound,
                        asked_at: self.now,
                    },
                    out,
                );
            }
            _ => self.retry_step(step),
        }
    }

    pub(super) fn on_writer_written(&mut self, step: Step, outcome: WriteOutcome, out: &mut Out) {
        let Step::Write { bound, asked_at } = step else {
            return;
        };
        match outcome {
            WriteOutcome::Written {
                seq_no,
                primary_term,
            } => {
                self.writer.place = Some((seq_no, primary_term));
                self.renewed(bound, asked_at, out);
            }
            // Perhaps our own earlier attempt: the document tells.
            WriteOutcome::Conflict | WriteOutcome::Unknown => self.retry_step(Step::Read),
            WriteOutcome::Refused => self.retry_step(Step::Write { bound, asked_at }),
        }
    }

    fn renewed(&mut self, bound: Version, asked_at: Tick, out: &mut Out) {
        let is_first = !self.writer.holds;
        self.writer.holds = true;
        self.writer.foreign = None;
        self.writer.step = Step::Wait;
        self.writer.attempts = 0;
        self.writer.bound = self.writer.bound.max(bound);
        self.writer.lease_until = asked_at + self.config.lease_ms;
        if is_first {
            self.first_lease(out);
        }
        let (until, bound) = (self.writer.lease_until, self.writer.bound);
        self.tell(None, manager::Event::BoundRaised { bound }, out);
        self.tell(None, manager::Event::LeaseUntil { until }, out);
        out.push(Command::Observe(Observation::Lease { until }));
        out.push(Command::Observe(Observation::Bound(bound)));
        self.arm(Timer::Writer, self.now + self.config.renew_ms);
        self.tell_health(out);
    }

    /// What the shards must know before the first version is granted.
    fn first_lease(&mut self, out: &mut Out) {
        let clean = self
            .writer
            .recovered
            .is_some_and(|recovered| recovered.clean_stop && recovered.bound.is_some());
        if !clean && !self.writer.is_virgin {
            let until = self.now + self.config.late_write_bound_ms;
            self.tell(None, manager::Event::TaintAll { until }, out);
        }
        let floor = Version(self.clock.version(self.now).0.saturating_sub(1));
        self.tell(None, manager::Event::ClockFloor { floor }, out);
        self.check_indices(out);
    }

    pub(super) fn on_bound_wanted(&mut self, beyond: Version, out: &mut Out) {
        let is_renewing = self.writer.step != Step::Wait;
        if self.writer.holds && beyond >= self.writer.bound && !is_renewing {
            if self.answered == Health::Ready {
                self.next_bound(out);
            } else {
                self.arm(Timer::Writer, self.now + self.config.retry_base_ms);
            }
        }
    }
}
