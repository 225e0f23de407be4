//! Scripted runs: a list of the environment's choices, for scenarios that have a name.

use inventory_sync_core::id::IndexId;

use crate::content::{Content, DocKey};
use crate::indexer_node::Fate;
use crate::outbox::Wish;
use crate::world::{Occurrence, World};

/// A choice of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// An agent's document becomes this.
    Put {
        /// The agent, from 0.
        agent: usize,
        /// The index, from 0; its module follows from it.
        index: u16,
        /// The document.
        document: u32,
        /// Its content.
        content: u64,
    },
    /// An agent's document is removed.
    Remove {
        /// The agent, from 0.
        agent: usize,
        /// The index, from 0.
        index: u16,
        /// The document.
        document: u32,
    },
    /// An agent's module sends what is pending.
    Delta {
        /// The agent, from 0.
        agent: usize,
        /// The module, from 0.
        module: usize,
    },
    /// An agent's module sends everything in an index.
    Full {
        /// The agent, from 0.
        agent: usize,
        /// The index, from 0.
        index: u16,
    },
    /// What becomes of the next bulk requests, in order.
    Fates(Vec<Fate>),
    /// The manager's process dies and is started again after so many milliseconds.
    CrashManager(u64),
    /// An agent's process dies and is started again after so many milliseconds.
    CrashAgent(usize, u64),
    /// The Indexer restarts after a flush and loses its tombstones.
    LoseTombstones,
    /// Something else stores this in an agent's document, under a version so many milliseconds ahead.
    ForeignWrite {
        /// The agent, from 0.
        agent: usize,
        /// The index, from 0.
        index: u16,
        /// The document.
        document: u32,
        /// Its content.
        content: u64,
        /// How far ahead of the time its version is.
        ahead_ms: u64,
    },
    /// `meta` and the writer document are lost while the manager is down.
    LoseBounds,
}

impl World {
    /// Plans the steps of a script, each at its tick from now.
    pub(crate) fn follow(&mut self, script: Vec<(u64, Action)>) {
        for (after_ms, action) in script {
            self.schedule.after(after_ms, Occurrence::Scripted(action));
        }
    }

    fn module_of(&self, index: u16) -> usize {
        let indices = self.options.config.catalogue.indices();
        indices
            .get(usize::from(index))
            .map_or(0, |index| usize::from(index.module.0))
    }

    /// Does a step of a script.
    pub(crate) fn act(&mut self, action: Action) {
        match action {
            Action::Put {
                agent,
                index,
                document,
                content,
            } => {
                let module = self.module_of(index);
                self.agents[agent].lanes[module].outbox.put(
                    IndexId(index),
                    document,
                    Content(content),
                );
            }
            Action::Remove {
                agent,
                index,
                document,
            } => {
                let module = self.module_of(index);
                self.agents[agent].lanes[module]
                    .outbox
                    .remove(IndexId(index), document);
            }
            Action::Delta { agent, module } => self.begin_sync(agent, module, Wish::Delta),
            Action::Full { agent, index } => {
                let module = self.module_of(index);
                self.begin_sync(agent, module, Wish::Full(vec![IndexId(index)]));
            }
            Action::Fates(fates) => self.indexer.scripted.extend(fates),
            Action::CrashManager(down_ms) => {
                self.end_process("the manager crashes");
                self.schedule.after(down_ms, Occurrence::StartManager);
            }
            Action::CrashAgent(agent, down_ms) => self.crash_agent(agent, down_ms),
            Action::LoseTombstones => {
                let now_ms = self.unix_ms();
                self.indexer.model.lose_tombstones(now_ms);
            }
            Action::ForeignWrite {
                agent,
                index,
                document,
                content,
                ahead_ms,
            } => {
                let key = DocKey::new(self.agents[agent].id, IndexId(index), document);
                let version_ms = self.unix_ms() + ahead_ms;
                self.foreign_write(key, Content(content), version_ms);
            }
            Action::LoseBounds => {
                self.store.meta.bound = None;
                self.indexer
                    .model
                    .delete_index(crate::indexer_node::WRITER_INDEX);
            }
        }
    }
}
