//! Scripted runs: a list of the environment's choices, for scenarios that have a name.

use inventory_sync_core::id::{AgentId, ConnectionId, IndexId};

use crate::content::{Content, DocKey};
use crate::faults::Fault;
use crate::indexer_node::Fate;
use crate::network::Way;
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
    /// Frames of an agent's connection are lost: the first ones in that direction, after some that are not.
    LoseFrames {
        /// The agent, from 0.
        agent: usize,
        /// Whether those to the manager are meant, or those from it.
        to_manager: bool,
        /// So many arrive first.
        after: u32,
        /// So many are lost then.
        count: u32,
    },
    /// The manager is asked to stop, and is started again when it has stopped.
    RestartManager,
    /// The Indexer cannot be reached for so many milliseconds.
    IndexerUnreachable(u64),
    /// An index is blocked for so many milliseconds.
    BlockIndex {
        /// The index, from 0.
        index: u16,
        /// For how long.
        lasts_ms: u64,
    },
    /// The next operation on a document of this number is refused for its own sake.
    RefuseItem(u32),
}

/// Frames that a script lets go missing.
#[derive(Debug)]
pub(crate) struct Loss {
    agent: AgentId,
    way: Way,
    after: u32,
    count: u32,
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
            Action::LoseFrames {
                agent,
                to_manager,
                after,
                count,
            } => self.losses.push(Loss {
                agent: self.agents[agent].id,
                way: if to_manager { Way::Up } else { Way::Down },
                after,
                count,
            }),
            Action::RestartManager => self.stop_process(),
            Action::IndexerUnreachable(lasts_ms) => {
                self.indexer.reachable = false;
                self.lasts(Fault::IndexerUnreachable, lasts_ms);
            }
            Action::BlockIndex { index, lasts_ms } => {
                let catalogue = &self.options.config.catalogue;
                let name = catalogue.index_name(IndexId(index)).to_owned();
                self.indexer.set_blocked(Some(&name), true);
                self.lasts(Fault::IndexBlocked, lasts_ms);
            }
            Action::RefuseItem(document) => self.indexer.refusing = Some(document),
        }
    }

    fn lasts(&mut self, fault: Fault, lasts_ms: u64) {
        self.note(fault.label());
        self.trace.fault_lasts(self.now(), fault);
        let ends = Occurrence::FaultEnds { fault, agent: 0 };
        self.schedule.after(lasts_ms, ends);
    }

    /// Whether a script lets the next frame in this direction go missing.
    pub(crate) fn is_lost(&mut self, connection: ConnectionId, way: Way) -> bool {
        if self.losses.is_empty() {
            return false;
        }
        let Some(agent) = self.network.get(connection).map(|found| found.agent) else {
            return false;
        };
        let mut meant = self
            .losses
            .iter_mut()
            .filter(|loss| loss.agent == agent && loss.way == way && loss.count > 0);
        let Some(loss) = meant.next() else {
            return false;
        };
        if loss.after > 0 {
            loss.after -= 1;
            return false;
        }
        loss.count -= 1;
        true
    }
}
