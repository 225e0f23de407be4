//! Telling the machines, doing what they ask, and checking it.

use std::collections::VecDeque;

use inventory_sync_core::agent::{self, Acknowledgement, Answer, Message, Outcome};
use inventory_sync_core::document::{DiffSummary, Failures, Part, PlanSummary, Run, Runs};
use inventory_sync_core::id::{IndexId, Peer, SessionId};
use inventory_sync_core::manager::{Command, Event, Observation, Reply, Timer};
use inventory_sync_core::wire::{EndAck, Mode, Reason, Status};

use super::Sometimes;
use super::scenario::Row;
use super::world::{Frame, Staged, Up, World, load, planned};

impl World {
    /// Tells the manager all that it is to be told at once.
    pub(super) fn deliver_mail(&mut self) {
        while let Some(event) = self.mail.pop_front() {
            let mut out = Vec::new();
            let started = match &event {
                Event::Start { start, .. } => Some(start.nonce),
                _ => None,
            };
            self.manager_told = true;
            self.manager.handle(self.now, event, &mut out);
            self.manager.check_invariants();
            let next = self.manager.next_deadline();
            if matches!(next, Some((_, Timer::TaintEnd(_)))) {
                self.seen.push(Sometimes::TaintWaitedFor);
            }
            for command in out {
                self.obey_manager(command, started);
            }
        }
    }

    fn obey_manager(&mut self, command: Command<Frame>, started: Option<u64>) {
        match command {
            Command::Reply { peer, message } => self.reply(peer, message),
            Command::Open { session, agent, .. } => {
                let agent = usize::try_from(agent.0).unwrap_or(0).wrapping_sub(1);
                let job = started.and_then(|nonce| self.sides[agent].starts.get(&nonce));
                let Some(job) = job.copied() else {
                    return self
                        .violated(format!("session {session} without a Start of its agent"));
                };
                let is_new = started.is_some_and(|nonce| self.opened.insert((agent, nonce)));
                if !is_new {
                    self.violated(format!("agent {agent} gets two sessions for one Start"));
                }
                let staged = Staged {
                    agent,
                    job,
                    rows: Default::default(),
                    operations: Default::default(),
                    refused: Default::default(),
                };
                self.sessions.insert(session, staged);
            }
            Command::Stage {
                stage,
                session,
                fresh,
                ..
            } => {
                self.check_stage(session, &fresh);
                let fresh = fresh.into_iter().collect();
                self.writes.push_back((stage, session, fresh));
            }
            Command::Discard { session } => {
                self.sessions.remove(&session);
            }
            Command::Plan { session, .. } => self.plan(session),
            Command::Listing { session, .. } => self.listings.push_back(session),
            Command::ListingCancelled { session } => {
                self.listings.retain(|other| *other != session);
            }
            Command::Diff { session, .. } => self.diff(session),
            Command::Bulk { bulk, parts, .. } => {
                parts.iter().for_each(|part| self.check_part(part));
                self.bulks.push((bulk, parts));
            }
            Command::Record { record, .. } => self.mail.push_back(Event::Recorded { record }),
            Command::Refusals { session, .. } => {
                let held = Vec::new();
                self.mail.push_back(Event::RefusalsJudged { session, held });
            }
            Command::Observe(observation) => self.observe(&observation),
            Command::BoundWanted { .. } | Command::IndexTrouble { .. } | Command::Stored { .. } => {
            }
            Command::Pause { .. }
            | Command::Resume { .. }
            | Command::Close { .. }
            | Command::Stopped { .. } => self.violated(format!("{command:?}, for no reason")),
        }
    }

    /// A row is stored once.
    fn check_stage(&mut self, session: SessionId, fresh: &[Run]) {
        let mut known = Runs::new();
        if let Some(staged) = self.sessions.get(&session) {
            known.extend(&staged.rows);
        }
        for (_, _, rows) in self.writes.iter().filter(|write| write.1 == session) {
            known.extend(rows);
        }
        let is_new = |run: &Run| known.missing_in(*run).count() == run.count();
        if !fresh.iter().all(is_new) {
            self.violated(format!("a row of session {session} is stored twice"));
        }
    }

    fn plan(&mut self, session: SessionId) {
        let Some(staged) = self.sessions.get(&session) else {
            return self.violated(format!("a plan of session {session}, which is gone"));
        };
        let sync = self.sync_of(staged.agent, staged.job);
        if staged.rows.count() != sync.rows.len() as u64 {
            self.violated(format!("session {session} is planned without all its rows"));
        }
        let operations = planned(sync);
        let chunk = load(&operations);
        let count = u64::from(chunk.upserts) + u64::from(chunk.deletes);
        let plan = PlanSummary {
            chunks: vec![chunk],
            operations: vec![(IndexId(0), count)],
            failures: Failures::default(),
        };
        if let Some(staged) = self.sessions.get_mut(&session) {
            staged.operations = operations;
        }
        let plan = Some(Box::new(plan));
        self.mail.push_back(Event::Planned { session, plan });
    }

    fn diff(&mut self, session: SessionId) {
        let Some(staged) = self.sessions.get(&session) else {
            return self.violated(format!("a diff of session {session}, which is gone"));
        };
        let chunk = load(&staged.operations);
        let removals = u32::try_from(staged.operations[2].len()).unwrap_or(u32::MAX);
        let diff = DiffSummary {
            chunks: vec![chunk],
            removals,
            removal_bytes: u64::from(removals) * 100,
            operations: vec![(IndexId(0), u64::from(chunk.upserts) + u64::from(removals))],
            unchanged: 0,
        };
        let diff = Some(Box::new(diff));
        self.mail.push_back(Event::Diffed { session, diff });
    }

    /// A request holds operations of its sessions' own agents.
    fn check_part(&mut self, part: &Part) {
        let owner = self.sessions.get(&part.session).map(|staged| staged.agent);
        if owner.map(|agent| agent as u64 + 1) != Some(part.agent.0) {
            self.violated(format!(
                "documents of agent {} for another's session",
                part.agent
            ));
        }
        if self.operations(part).len() as u64 != part.ordinals.count() {
            self.violated(format!(
                "session {} sends what was not planned",
                part.session
            ));
        }
    }

    fn observe(&mut self, observation: &Observation) {
        self.seen.extend(match observation {
            Observation::Duplicates { .. } => Some(Sometimes::DuplicateSequences),
            Observation::Tainted { .. } => Some(Sometimes::Tainted),
            Observation::Retried { .. } => Some(Sometimes::RequestRepeated),
            Observation::UnknownSession { .. } => Some(Sometimes::SessionUnknown),
            Observation::SessionEnded { reason, .. } => Some(Sometimes::Verdict(*reason)),
            _ => None,
        });
    }

    fn reply(&mut self, peer: Peer, message: Reply) {
        match &message {
            Reply::EndAck(ack) => self.check_end_ack(ack),
            Reply::ReqRet(_) => self.seen.push(Sometimes::GapsAskedFor),
            Reply::StartAck(_) | Reply::Hello(_) => {}
        }
        let agent = usize::try_from(peer.agent.0).unwrap_or(0).wrapping_sub(1);
        let side = &mut self.sides[agent];
        if side.connection == Some(peer.connection) {
            side.down.push_back(Answer::from(message));
        }
    }

    /// One verdict for a session, and Ok only when the Indexer holds what it brought.
    fn check_end_ack(&mut self, ack: &EndAck) {
        let session = SessionId(ack.session);
        if ack.status == Status::Processing {
            return self.seen.push(Sometimes::ProcessingTold);
        }
        if ack.reason == Reason::SessionNotFound {
            let verdict = self.verdicts.get(&session);
            if verdict.is_some_and(|(life, _)| *life == self.life) {
                self.violated(format!("the verdict of session {session} is forgotten"));
            }
            return;
        }
        if let Some((_, verdict)) = self.verdicts.get(&session) {
            self.seen.push(Sometimes::VerdictRepeated);
            if verdict != ack {
                let first = verdict.reason;
                self.violated(format!(
                    "two verdicts of session {session}: {first} and {}",
                    ack.reason
                ));
            }
            return;
        }
        self.verdicts.insert(session, (self.life, ack.clone()));
        if ack.reason == Reason::VersionConflict && !self.is_foreign {
            self.violated(format!(
                "a conflict in session {session}, and nobody else writes"
            ));
        }
        let is_partial = ack.reason == Reason::PartiallyRejected;
        if ack.status != Status::Ok && !is_partial {
            return;
        }
        let Some(staged) = self.sessions.get(&session).cloned() else {
            return self.violated(format!("session {session} is discarded before its verdict"));
        };
        if is_partial == staged.refused.is_empty() {
            let count = staged.refused.len();
            self.violated(format!(
                "{count} refusals, and the verdict is {}",
                ack.reason
            ));
        }
        let sync = self.sync_of(staged.agent, staged.job);
        for Row { document, content } in sync.rows {
            let is_refused = staged.refused.contains(document);
            let held = self.indexer.content((staged.agent, *document));
            if !is_refused && held != *content {
                self.violated(format!(
                    "{} for session {session}, and document {document} is {held:?}, not {content:?}",
                    ack.status
                ));
            }
        }
        if sync.mode == Mode::Full {
            let is_in_set = |document: &u8| sync.rows.iter().any(|row| row.document == *document);
            let (documents, _) = self.indexer.of(staged.agent);
            if let Some(document) = documents.keys().find(|document| !is_in_set(document)) {
                self.violated(format!(
                    "Ok for a Full, and document {document} is still there"
                ));
            }
        }
    }

    /// Tells an agent something, and does what it asks.
    pub(super) fn tell_agent(&mut self, agent: usize, event: agent::Event<Frame>) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let mut out = Vec::new();
            let side = &mut self.sides[agent];
            side.told = true;
            side.machine.handle(self.now, event, &mut out);
            side.machine.check_invariants();
            for command in out {
                self.obey_agent(agent, command, &mut events);
            }
        }
    }

    fn obey_agent(
        &mut self,
        agent: usize,
        command: agent::Command<Frame>,
        events: &mut VecDeque<agent::Event<Frame>>,
    ) {
        match command {
            agent::Command::Send {
                connection,
                message,
            } => {
                let side = &mut self.sides[agent];
                if side.connection != Some(connection) {
                    return;
                }
                let job = side.job;
                side.up.push_back(match message {
                    Message::Start(start) => {
                        side.starts.insert(start.nonce, job);
                        Up::Start(start)
                    }
                    Message::Data(frame) => Up::Data(frame),
                    Message::End(end) => Up::End(SessionId(end.session)),
                    Message::Hello(_) => return,
                });
            }
            agent::Command::Load {
                load, session, run, ..
            } => {
                let payload = (session, run);
                let frames = vec![agent::Frame { run, payload }];
                events.push_back(agent::Event::Loaded { load, frames });
            }
            agent::Command::Commit {
                job,
                acknowledgement,
            } => {
                self.check_commit(agent, &acknowledgement);
                events.push_back(agent::Event::Committed { job });
            }
            agent::Command::RollBack { .. } => self.seen.push(Sometimes::RolledBack),
            agent::Command::Finished { outcome, .. } => {
                match outcome {
                    Outcome::Acknowledged => {}
                    Outcome::PartiallyAcknowledged { .. } => {
                        self.seen.push(Sometimes::PartlyAcknowledged);
                    }
                    other => self.violated(format!("a job of agent {agent} ends: {other:?}")),
                }
                self.sides[agent].job += 1;
                if let Some(event) = self.next_job(agent) {
                    events.push_back(event);
                }
            }
            agent::Command::Reconnect { .. } => self.connect(agent),
            agent::Command::Observe(observation) => {
                self.seen.extend(match observation {
                    agent::Observation::Started { repeated, .. } if repeated > 0 => {
                        Some(Sometimes::StartRepeated)
                    }
                    agent::Observation::Opened { resumed: true, .. } => {
                        Some(Sometimes::SessionResumed)
                    }
                    _ => None,
                });
            }
            agent::Command::Remember { .. }
            | agent::Command::Resync { .. }
            | agent::Command::Stopped => {}
        }
    }

    /// An agent forgets what a manager's verdict lets it forget, and nothing else.
    fn check_commit(&mut self, agent: usize, acknowledgement: &Acknowledgement) {
        let session = acknowledgement.session;
        let verdict = self.verdicts.get(&session);
        let is_meant = verdict.is_some_and(|(_, ack)| {
            ack.status == Status::Ok || ack.reason == Reason::PartiallyRejected
        });
        if !is_meant {
            self.violated(format!(
                "rows are forgotten by session {session}, which was not Ok"
            ));
        }
        let job = self.sides[agent].job;
        let rows = self.sync_of(agent, job).rows;
        for failed in acknowledgement.quarantined() {
            if let Some(row) = rows.get(failed.seq as usize) {
                self.sides[agent].quarantined.insert(row.document);
            }
        }
    }

    /// After each step: a document that every set has is never absent.
    pub(super) fn check_always(&mut self) {
        for agent in 0..self.sides.len() {
            for (document, _) in self.scenario.held {
                let is_kept = self.scenario.agents[agent].iter().all(|sync| {
                    let row = sync.rows.iter().find(|row| row.document == *document);
                    match row {
                        Some(row) => row.content.is_some(),
                        None => sync.mode != Mode::Full,
                    }
                });
                if is_kept && self.indexer.content((agent, *document)).is_none() {
                    self.violated(format!("document {document} of agent {agent} has vanished"));
                }
            }
        }
    }

    /// When nothing can happen any more: everything has converged.
    pub(super) fn check_end(&mut self) {
        if !self.is_done() {
            let manager = self.manager.pending().unwrap_or("nothing");
            let agents: Vec<String> = self
                .sides
                .iter()
                .map(|side| format!("{:?}", side.machine.pending()))
                .collect();
            return self.violated(format!(
                "nothing can happen, and yet the manager waits: {manager}; the agents: {}",
                agents.join(", ")
            ));
        }
        let figures = self.manager.figures();
        if (figures.sessions, figures.items, figures.bytes) != (0, 0, 0)
            || !self.sessions.is_empty()
        {
            self.violated(format!("something is kept for nobody: {figures:?}"));
        }
        for agent in 0..self.sides.len() {
            let mut expected = std::collections::BTreeMap::new();
            if !self.scenario.agents[agent].is_empty() || !self.scenario.held.is_empty() {
                expected.extend(self.scenario.held.iter().copied());
            }
            for sync in self.scenario.agents[agent] {
                if sync.mode == Mode::Full {
                    expected.clear();
                }
                for row in sync.rows {
                    match row.content {
                        Some(content) => expected.insert(row.document, content),
                        None => expected.remove(&row.document),
                    };
                }
            }
            let (mut held, _) = self.indexer.of(agent);
            for document in &self.sides[agent].quarantined {
                held.remove(document);
                expected.remove(document);
            }
            if held != expected {
                self.violated(format!(
                    "at the end agent {agent} has {held:?} in the Indexer, and should have {expected:?}"
                ));
            }
        }
    }
}
