//! The state of each index: ready, paused, held (`docs/protocol.md` sections 4, 7 and 8).

use std::collections::{BTreeSet, VecDeque};

use super::{
    Ask, Command, Coordinator, IndexOutcome, Observation, Out, ShardId, TemplateOutcome, Timer,
};
use crate::bug::{Bug, is_planted};
use crate::id::{AgentId, IndexId, SessionId};
use crate::manager::{self, IndexState, IndexTrouble, Tally};
use crate::time::Tick;

/// Reports that are remembered of one index; the oldest go first.
const REPORTS_MAX: usize = 4_096;

/// All indices.
#[derive(Debug, Clone)]
pub(super) struct IndexBook {
    books: Vec<Book>,
}

/// What is known of one index.
#[derive(Debug, Clone)]
struct Book {
    state: IndexState,
    detail: String,
    /// Pauses since the last stored operation.
    pauses: u32,
    checks: u32,
    /// Stored and refused operations within the window.
    reports: VecDeque<Report>,
}

#[derive(Debug, Clone, Copy)]
struct Report {
    at: Tick,
    agent: AgentId,
    stored: u64,
    refused: u64,
}

impl IndexBook {
    pub(super) fn new(count: usize) -> Self {
        let book = Book {
            state: IndexState::NotReady,
            detail: "not checked yet".to_owned(),
            pauses: 0,
            checks: 0,
            reports: VecDeque::new(),
        };
        Self {
            books: vec![book; count],
        }
    }

    fn get(&mut self, index: IndexId) -> Option<&mut Book> {
        self.books.get_mut(usize::from(index.0))
    }

    pub(super) fn states(&self) -> Vec<(IndexState, String)> {
        self.books
            .iter()
            .map(|book| (book.state, book.detail.clone()))
            .collect()
    }

    pub(super) fn has_pending(&self) -> bool {
        self.books
            .iter()
            .any(|book| book.state == IndexState::NotReady)
    }
}

impl Coordinator {
    /// Looks at every index that is not ready.
    pub(super) fn check_indices(&mut self, out: &mut Out) {
        if !self.writer.is_writing() {
            return;
        }
        if self.is_barred() {
            return self.arm_by(Timer::Indices, self.now + self.config.retry_max_ms);
        }
        for place in 0..self.indices.books.len() {
            let index = IndexId(u16::try_from(place).unwrap_or(u16::MAX));
            if self.indices.books[place].state == IndexState::NotReady {
                self.check(index, out);
            }
        }
    }

    fn check(&mut self, index: IndexId, out: &mut Out) {
        let is_asked = self
            .asks
            .values()
            .any(|ask| matches!(ask, Ask::Template(of) | Ask::CreateIndex(of) if *of == index));
        if !is_asked {
            let request = self.ask(Ask::Template(index));
            out.push(Command::CheckTemplate { request, index });
        }
    }

    pub(super) fn on_template(&mut self, index: IndexId, outcome: TemplateOutcome, out: &mut Out) {
        match self.indices.get(index).map(|book| &book.state) {
            Some(IndexState::NotReady) => {}
            // A listing cannot tell a closed index from one that is gone: that one is created again.
            Some(IndexState::Paused { .. }) if outcome == TemplateOutcome::TemplateFits => {}
            // The state has changed since: an operator resumes what is held, a stored operation the rest.
            _ => return,
        }
        match outcome {
            TemplateOutcome::IndexFits => self.set(index, IndexState::Open, String::new(), out),
            TemplateOutcome::TemplateFits => self.create(index, out),
            TemplateOutcome::Different(_) if self.config.write_unchecked => self.create(index, out),
            TemplateOutcome::Different(detail) => self.not_ready(index, detail, out),
            TemplateOutcome::Unknown => self.not_ready(index, "no answer yet".to_owned(), out),
        }
    }

    fn create(&mut self, index: IndexId, out: &mut Out) {
        let request = self.ask(Ask::CreateIndex(index));
        out.push(Command::CreateIndex { request, index });
    }

    pub(super) fn on_index_created(
        &mut self,
        index: IndexId,
        outcome: IndexOutcome,
        out: &mut Out,
    ) {
        if self
            .indices
            .get(index)
            .is_none_or(|book| book.state == IndexState::Held)
        {
            return;
        }
        match outcome {
            IndexOutcome::Exists => self.set(index, IndexState::Open, String::new(), out),
            IndexOutcome::Refused(detail) => self.not_ready(index, detail, out),
            IndexOutcome::Unknown => self.not_ready(index, "no answer yet".to_owned(), out),
        }
    }

    fn not_ready(&mut self, index: IndexId, detail: String, out: &mut Out) {
        let mut checks = 0;
        if let Some(book) = self.indices.get(index) {
            checks = book.checks;
            book.checks = checks.saturating_add(1);
        }
        let delay_ms = self.backoff_ms(checks);
        self.arm_by(Timer::Indices, self.now + delay_ms);
        self.set(index, IndexState::NotReady, detail, out);
    }

    /// Changes a state and tells the shards, once.
    fn set(&mut self, index: IndexId, state: IndexState, detail: String, out: &mut Out) {
        let Some(book) = self.indices.get(index) else {
            return;
        };
        if state == IndexState::Open {
            book.checks = 0;
        }
        if book.state == state && book.detail == detail {
            return;
        }
        let changes = book.state != state;
        book.state = state;
        book.detail.clone_from(&detail);
        out.push(Command::Observe(Observation::Index {
            index,
            state,
            detail,
        }));
        if changes {
            self.tell(None, manager::Event::IndexChanged { index, state }, out);
        }
    }

    pub(super) fn on_trouble(&mut self, index: IndexId, trouble: IndexTrouble, out: &mut Out) {
        let now = self.now;
        let Some(book) = self.indices.get(index) else {
            return;
        };
        let is_known = match book.state {
            IndexState::Open => false,
            IndexState::Paused { until } => now < until,
            IndexState::NotReady | IndexState::Held => true,
        };
        if is_known {
            return;
        }
        let detail = match trouble {
            IndexTrouble::Missing => {
                let detail = "it does not exist any more".to_owned();
                return self.not_ready(index, detail, out);
            }
            IndexTrouble::Blocked => "blocked or closed: lift the block or open it",
            IndexTrouble::Forbidden => "the Indexer's user may not write to it",
        };
        let pauses = book.pauses;
        book.pauses = pauses.saturating_add(1);
        let pause_ms = self.backoff_ms(pauses.saturating_add(2));
        let until = now + pause_ms;
        self.set(index, IndexState::Paused { until }, detail.to_owned(), out);
        if !self.is_barred() {
            self.check(index, out);
        }
    }

    pub(super) fn on_stored(&mut self, agent: AgentId, tallies: &[Tally], out: &mut Out) {
        for tally in tallies {
            self.report(agent, *tally, out);
        }
    }

    fn report(&mut self, agent: AgentId, tally: Tally, out: &mut Out) {
        let (at, window_ms) = (self.now, self.config.fault_window_ms);
        if let Some(book) = self.indices.get(tally.index) {
            while book
                .reports
                .front()
                .is_some_and(|old| at.since(old.at) > window_ms)
                || book.reports.len() >= REPORTS_MAX
            {
                book.reports.pop_front();
            }
            let Tally {
                stored, refused, ..
            } = tally;
            book.reports.push_back(Report {
                at,
                agent,
                stored,
                refused,
            });
        }
        if tally.stored > 0 {
            self.unpause(tally.index, out);
        }
    }

    /// It takes operations again.
    fn unpause(&mut self, index: IndexId, out: &mut Out) {
        let Some(book) = self.indices.get(index) else {
            return;
        };
        book.pauses = 0;
        if matches!(book.state, IndexState::Paused { .. }) {
            self.set(index, IndexState::Open, String::new(), out);
        }
    }

    /// Are the documents to blame, or the index? At least so many, more than half, from several agents.
    pub(super) fn on_refusals(
        &mut self,
        shard: ShardId,
        session: SessionId,
        agent: AgentId,
        tallies: &[Tally],
        out: &mut Out,
    ) {
        let mut held = Vec::new();
        for tally in tallies {
            self.report(agent, *tally, out);
            if tally.refused > 0 && self.is_at_fault(tally.index) {
                held.push(tally.index);
            }
        }
        for index in &held {
            let detail = "most documents of several agents are refused: repair its template or \
                          mapping, then resume it";
            self.set(*index, IndexState::Held, detail.to_owned(), out);
        }
        let event = manager::Event::RefusalsJudged { session, held };
        self.tell(Some(shard), event, out);
    }

    fn is_at_fault(&mut self, index: IndexId) -> bool {
        let (refusals_min, agents_min) =
            (self.config.fault_refusals_min, self.config.fault_agents_min);
        let Some(book) = self.indices.get(index) else {
            return false;
        };
        if book.state == IndexState::Held {
            return true;
        }
        let (mut stored, mut refused) = (0_u64, 0_u64);
        let (mut active, mut refusing) = (BTreeSet::new(), BTreeSet::new());
        for report in &book.reports {
            stored = stored.saturating_add(report.stored);
            refused = refused.saturating_add(report.refused);
            active.insert(report.agent);
            if report.refused > 0 {
                refusing.insert(report.agent);
            }
        }
        refused >= refusals_min
            && refused > stored
            && refusing.len() >= agents_min.min(active.len())
    }

    pub(super) fn on_resume(&mut self, index: IndexId, out: &mut Out) {
        let Some(book) = self.indices.get(index) else {
            return;
        };
        if book.state == IndexState::Held && !is_planted(Bug::HeldIndexNeverResumes) {
            book.reports.clear();
            self.set(index, IndexState::Open, String::new(), out);
        }
    }
}
