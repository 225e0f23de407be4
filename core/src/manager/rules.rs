//! The rules of delivery that can be taken out one at a time, to prove that the simulator notices.
//!
//! Only a build with `--cfg inventory_bug_bank` can take one out. In every other build a rule is a
//! constant `true` that the compiler folds away.

/// A rule of `docs/protocol.md` section 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Deletes wait for the end of their lane's taint.
    TaintGatesDeletes,
    /// A listing waits for the end of its lane's taint.
    TaintGatesListings,
    /// Every lane is tainted after anything but a clean stop.
    TaintAfterUncleanStart,
    /// Every attempt that is given up taints, whatever a later one decides.
    EveryGivenUpAttemptTaints,
    /// Of several operations of a session on one document only the last is sent.
    OneOperationPerDocument,
    /// A conflict is not stored: it ends its session.
    ConflictIsNotStored,
    /// No version at or above the durable bound is sent.
    BoundBeforeSend,
    /// The clock starts at or above the recovered bound.
    ClockStartsAtBound,
    /// Without a lease nothing is sent.
    LeaseBeforeSend,
}

/// Which rules hold: all of them, but in a bug bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rules {
    #[cfg(inventory_bug_bank)]
    broken: Option<Rule>,
}

impl Rules {
    /// Every rule but one.
    #[cfg(inventory_bug_bank)]
    #[must_use]
    pub const fn without(rule: Rule) -> Self {
        Self { broken: Some(rule) }
    }

    /// Whether a rule holds.
    #[cfg(inventory_bug_bank)]
    #[must_use]
    pub fn holds(&self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }

    /// Whether a rule holds.
    #[cfg(not(inventory_bug_bank))]
    #[must_use]
    pub const fn holds(&self, _rule: Rule) -> bool {
        true
    }
}
