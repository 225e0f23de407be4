//! One writer: the document, the lease and the bound (`docs/protocol.md` sections 5 and 8).

use super::{
    Ask, Command, Coordinator, CountOutcome, IndexOutcome, Observation, Out, Record, Stopping,
    Timer, WriteOutcome, WriterCondition, WriterDocument, WriterOutcome,
};
use crate::bug::{Bug, if_planted, is_planted};
use crate::id::Version;
use crate::manager::{self, Health, Unready};
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
    /// Someone else has written the document since our last clean stop: their requests may be late.
    succeeds_another: bool,
    /// A step of a start or a renewal has failed, and none has succeeded since.
    is_failing: bool,
    /// The end of the taint that the shards were told of.
    taint_until: Tick,
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

    /// Whether this process may write now: an attempt to extend the bound that fails forbids it too.
    pub(super) fn may_write(&self, now: Tick) -> bool {
        self.holds && !self.is_failing && now < self.lease_until
    }

    pub(super) const fn unready(&self) -> Unready {
        match self.step {
            _ if self.holds => Unready::NoLease,
            Step::Wait | Step::Index => Unready::Starting,
            Step::Read | Step::Count | Step::Record { .. } | Step::Write { .. } => Unready::NoLease,
        }
    }

    /// What an earlier writer left unanswered must have ended too, or the next start would take the lanes
    /// for untainted. A process that never could write has shown a clean end only if the one before it had.
    pub(super) fn may_stop_clean(&self, now: Tick) -> bool {
        if self.holds {
            return now >= self.taint_until;
        }
        let was_clean = self.recovered.is_some_and(|recovered| recovered.clean_stop);
        was_clean && !self.succeeds_another
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
        if !is_planted(Bug::ClockBelowBound) {
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
        if self.is_barred() {
            // The bound would be an old one by then.
            if let Step::Write { bound, .. } = self.writer.step {
                self.writer.step = Step::Record { bound };
            }
            return self.arm(Timer::Writer, self.now + self.config.retry_max_ms);
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
            Step::Record { .. } => self.record(out),
            Step::Write { bound, .. } => self.write(bound, out),
        }
    }

    /// First `meta`, then the document: whatever is sent lies below both.
    fn next_bound(&mut self, out: &mut Out) {
        let bound = self.writer.bound;
        self.take_step(Step::Record { bound }, out);
    }

    /// The bound is reckoned here, at the moment of asking: a quiet time or failed attempts may lie between
    /// the step's choice and this, and it must be ahead of the clock all the same.
    fn record(&mut self, out: &mut Out) {
        let ahead_ms = self.config.bound_ahead_ms;
        let bound = Version::from_unix_ms(self.clock.unix_ms(self.now).saturating_add(ahead_ms));
        let bound = bound.max(self.writer.bound);
        let step = Step::Record { bound };
        self.writer.step = step;
        let request = self.ask(Ask::Writer(step));
        out.push(Command::Record {
            request,
            what: Record::Bound(bound),
        });
    }

    fn write(&mut self, bound: Version, out: &mut Out) {
        if is_planted(Bug::BoundToldEarly) {
            self.tell(None, manager::Event::BoundRaised { bound }, out);
        }
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
        self.writer_step(out);
    }

    /// A step has failed: this one is taken later. The attempts count until the document is written.
    fn retry_step(&mut self, step: Step, out: &mut Out) {
        self.writer.step = step;
        self.writer.is_failing = true;
        // What the store could not do says nothing of the Indexer; a refused password does.
        if !matches!(step, Step::Record { .. }) && !self.is_barred() {
            self.ask_health(out);
        }
        let attempts = self.writer.attempts;
        self.writer.attempts = attempts.saturating_add(1);
        let delay_ms = self.backoff_ms(attempts).min(self.config.renew_ms);
        self.arm(Timer::Writer, self.now + delay_ms);
    }

    pub(super) fn on_writer_index(&mut self, step: Step, outcome: &IndexOutcome, out: &mut Out) {
        match outcome {
            IndexOutcome::Exists => self.take_step(Step::Read, out),
            IndexOutcome::Refused(_) | IndexOutcome::Unknown => self.retry_step(step, out),
        }
    }

    pub(super) fn on_writer_read(&mut self, outcome: WriterOutcome, out: &mut Out) {
        match outcome {
            // The index may be gone.
            WriterOutcome::Unknown => self.retry_step(Step::Index, out),
            WriterOutcome::Malformed(detail) => {
                let reason = format!(
                    "the writer document cannot be understood ({detail}): repair or delete it"
                );
                self.abort(reason, out);
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
            return self.abort(reason, out);
        }
        if !is_ours && self.writer.holds {
            let reason = format!(
                "writer {:?} has taken over: only one may write",
                document.writer
            );
            return self.abort(reason, out);
        }
        let is_own = is_ours && document.nonce == self.config.nonce;
        if !is_own {
            self.writer.is_virgin = false;
            let known = self.writer.recovered.and_then(|recovered| recovered.bound);
            // A copy of this store may have run under our id: its bound lies above the one we stopped with.
            self.writer.succeeds_another |= !is_ours || known < Some(document.bound);
        }
        if !is_ours && !self.is_abandoned(&document, place.0, out) {
            return;
        }
        // Below a bound of our own nothing was granted but by this clock: raising it each time an answer
        // is lost would send it into the future.
        if !is_own {
            self.raise_clock(document.bound);
        }
        self.writer.place = Some(place);
        self.next_bound(out);
    }

    /// The process ends; until it has, no shard sends any more.
    fn abort(&mut self, reason: String, out: &mut Out) {
        self.stopping = Stopping::Said;
        if self.writer.holds {
            let until = self.now;
            self.writer.lease_until = until;
            self.tell(None, manager::Event::LeaseUntil { until }, out);
        }
        out.push(Command::Abort { reason });
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
                self.abort(reason, out);
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
            CountOutcome::Unknown => self.retry_step(Step::Count, out),
            CountOutcome::Documents(0) => {
                self.writer.is_virgin = true;
                self.next_bound(out);
            }
            CountOutcome::Documents(_) => {
                // The bound is lost: whatever was sent under it must have landed or died first.
                // A second count does not begin the wait anew.
                let is_first = self.writer.quiet_until == Tick(0);
                if is_first && !is_planted(Bug::BoundIgnored) {
                    self.writer.quiet_until = self.now + self.config.late_write_bound_ms;
                }
                self.next_bound(out);
            }
        }
    }

    pub(super) fn on_bound_recorded(&mut self, step: Step, durable: bool, out: &mut Out) {
        match step {
            Step::Record { bound } if durable || is_planted(Bug::BoundNotDurable) => {
                self.take_step(
                    Step::Write {
                        bound,
                        asked_at: self.now,
                    },
                    out,
                );
            }
            _ => self.retry_step(step, out),
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
            WriteOutcome::Unknown if is_planted(Bug::LeaseByLostAnswer) => {
                self.renewed(bound, asked_at, out);
            }
            // Perhaps our own earlier attempt: the document tells.
            WriteOutcome::Conflict => self.retry_step(Step::Read, out),
            // Perhaps the index is gone.
            WriteOutcome::Unknown | WriteOutcome::Refused => self.retry_step(Step::Index, out),
        }
    }

    fn renewed(&mut self, bound: Version, asked_at: Tick, out: &mut Out) {
        let is_first = !self.writer.holds;
        let asked_at = if_planted(Bug::LeaseFromAnswer, self.now, asked_at);
        self.writer.holds = true;
        self.writer.foreign = None;
        self.writer.step = Step::Wait;
        self.writer.attempts = 0;
        self.writer.is_failing = false;
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
        self.arm(Timer::Writer, asked_at + self.config.renew_ms);
        self.tell_health(out);
    }

    /// What the shards must know before the first version is granted.
    fn first_lease(&mut self, out: &mut Out) {
        let clean = self
            .writer
            .recovered
            .is_some_and(|recovered| recovered.clean_stop && recovered.bound.is_some());
        if (!clean || self.writer.succeeds_another) && !self.writer.is_virgin {
            let until = self.now + self.config.late_write_bound_ms;
            self.writer.taint_until = until;
            self.tell(None, manager::Event::TaintAll { until }, out);
        }
        let floor = Version(self.clock.version(self.now).0.saturating_sub(1));
        self.tell(None, manager::Event::ClockFloor { floor }, out);
        self.check_indices(out);
    }

    pub(super) fn on_bound_wanted(&mut self, beyond: Version, out: &mut Out) {
        if !self.writer.holds || beyond < self.writer.bound {
            return;
        }
        // A shard may have heard of a step of the wall clock before us.
        self.clock.raise(self.now, beyond);
        if self.writer.step != Step::Wait {
            return;
        }
        if self.answered == Health::Ready {
            self.next_bound(out);
        } else {
            self.arm_by(Timer::Writer, self.now + self.config.retry_base_ms);
        }
    }
}
