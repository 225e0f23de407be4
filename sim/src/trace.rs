//! The running hash of everything that happened, and its readable form.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use inventory_sync_core::id::{ConnectionId, RequestId};
use inventory_sync_core::time::Tick;

use crate::chart::{Describe, Recorder, Recording};
use crate::faults::Fault;
use crate::network::Way;
use crate::run::Ending;

/// A hasher that gives the same value on every platform and in every build: `std`'s may change with its
/// version, and `usize` differs in width.
#[derive(Debug, Clone, Copy)]
pub struct Fold {
    state: u64,
}

impl Default for Fold {
    fn default() -> Self {
        Self {
            state: 0x243f_6a88_85a3_08d3,
        }
    }
}

impl Fold {
    fn word(&mut self, word: u64) {
        // A folded multiplication: both halves of the product count, so that no bit is lost at an end.
        let wide = u128::from(self.state ^ word) * 0x9e37_79b9_7f4a_7c15_u128;
        let bytes = wide.to_le_bytes();
        let mut low = [0; 8];
        let mut high = [0; 8];
        low.copy_from_slice(&bytes[..8]);
        high.copy_from_slice(&bytes[8..]);
        self.state = u64::from_le_bytes(low) ^ u64::from_le_bytes(high).rotate_left(23);
    }
}

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.state
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.word(u64::from_le_bytes(word) ^ ((rest.len() as u64) << 56));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.word(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.word(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.word(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.word(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.word(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        // The discriminant of an enum: never negative here, the same on every width.
        self.word(value.unsigned_abs() as u64);
    }
}

/// The hash of one value, the same everywhere.
pub fn fold_of(value: &(impl Hash + ?Sized)) -> u64 {
    let mut fold = Fold::default();
    value.hash(&mut fold);
    fold.finish()
}

/// Where something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// The world itself: faults, phases, the workload.
    World,
    /// A shard of the manager.
    Shard(u16),
    /// The coordinator of the manager.
    Coordinator,
    /// An agent.
    Agent(u64),
    /// The Indexer.
    Indexer,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::World => f.pad("world"),
            Self::Shard(number) => f.pad(&format!("shard {number}")),
            Self::Coordinator => f.pad("coordinator"),
            Self::Agent(number) => f.pad(&format!("agent {number}")),
            Self::Indexer => f.pad("Indexer"),
        }
    }
}

/// Longest line of the readable trace, in characters: what is longer is cut, the hash sees all of it.
const LINE_MAX: usize = 240;

/// Which of the messages under way is meant: what leaves and what arrives name the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Link {
    /// Frames of a connection in one direction.
    Frames(ConnectionId, Way),
    /// A bulk request, by its number.
    Bulk(u64),
    /// The answer to it.
    BulkAnswer(u64),
    /// A request of the coordinator of that life.
    Control(u32, RequestId),
    /// The answer to it.
    ControlAnswer(u32, RequestId),
    /// Letters of the coordinator of that life to a shard.
    ShardMail(u32, u16),
    /// Letters of the shards of that life to the coordinator.
    CoordinatorMail(u32),
}

/// What has struck since the last look, shared by those who throw and the one who records. Empty, and
/// free, unless a recording is wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Struck(Option<Rc<RefCell<Vec<Fault>>>>);

impl Struck {
    /// One that keeps what it is told.
    pub(crate) fn kept() -> Self {
        Self(Some(Rc::default()))
    }

    /// A fault had its opportunity.
    pub(crate) fn note(&self, fault: Fault, strikes: bool) {
        if let (true, Some(list)) = (strikes, &self.0) {
            list.borrow_mut().push(fault);
        }
    }

    /// What has struck since the last look.
    pub(crate) fn take(&self) -> Vec<Fault> {
        self.0.as_ref().map(|list| list.take()).unwrap_or_default()
    }
}

/// What happened so far: always as a hash, as text and as a recording when wanted.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    fold: Fold,
    steps: u64,
    events: u64,
    text: Option<String>,
    recorder: Option<Box<Recorder>>,
}

impl Trace {
    /// A trace that keeps its text if wanted.
    pub(crate) fn new(text: bool) -> Self {
        Self {
            text: text.then(String::new),
            ..Self::default()
        }
    }

    /// Records from now on.
    pub(crate) fn record(&mut self, recorder: Recorder) {
        self.recorder = Some(Box::new(recorder));
    }

    /// The recorder, while a recording is wanted.
    pub(crate) fn recorder(&mut self) -> Option<&mut Recorder> {
        self.recorder.as_deref_mut()
    }

    /// A step of the world begins; steps number what a failure points at.
    pub(crate) fn step(&mut self) -> u64 {
        self.steps += 1;
        self.steps
    }

    /// Steps so far.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// Events that machines were told so far.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// The hash so far.
    pub(crate) fn hash(&self) -> u64 {
        self.fold.finish()
    }

    /// Something happened: `way` is `<` for what a node was told, `>` for what it asked, `*` for the rest.
    pub(crate) fn note(&mut self, now: Tick, node: Node, way: char, what: &(impl Hash + Describe)) {
        self.events += u64::from(way == '<');
        now.hash(&mut self.fold);
        node.hash(&mut self.fold);
        u32::from(way).hash(&mut self.fold);
        what.hash(&mut self.fold);
        if let Some(text) = &mut self.text {
            let mut line = format!("{:>7} {:>9} {node:<11} {way} {what:?}", self.steps, now.0);
            if line.chars().count() > LINE_MAX {
                line = line.chars().take(LINE_MAX).collect();
                line.push('…');
            }
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{line}");
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.note(self.steps, now, node, way, what);
        }
    }

    /// The recording, if one was wanted, ended here.
    pub(crate) fn recorded(&mut self, now: Tick, ending: &Ending) -> Option<Recording> {
        let recorder = self.recorder.take()?;
        Some(recorder.finish(self.steps, now, self.fold.finish(), ending))
    }

    /// The text, if it was wanted.
    pub(crate) fn take_text(&mut self) -> Option<String> {
        self.text.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fold_is_fixed_and_sees_every_byte() {
        // A change of this number is a change of every recorded trace hash.
        assert_eq!(fold_of(&(1_u8, 2_u64, "text")), 17_400_343_524_111_400_516);
        let base = b"the quick brown fox".to_vec();
        for place in 0..base.len() {
            let mut other = base.clone();
            other[place] ^= 1;
            assert_ne!(fold_of(&base), fold_of(&other));
        }
        assert_ne!(fold_of(&[0_u8; 3]), fold_of(&[0_u8; 4]));
    }
}
