//! What a user asks to happen to a key.
//! (What the engine is asked to do is a `WriteBatch`.)

use bytes::Bytes;

use crate::Key;

/// One key's part of a prewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// The key.
    pub key: Key,
    /// What is to happen to it.
    pub op: MutationOp,
    /// What the client believes about the key's present state.
    pub assertion: Assertion,
}

/// What is to happen to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MutationOp {
    /// Set its value, whatever is there.
    Put(Bytes),
    /// Remove it, if it is there.
    Delete,
    /// Keep others from writing it, and change nothing.
    Lock,
    /// Set its value; refused if it exists.
    Insert(Bytes),
    /// Only check that it does not exist; leaves no lock.
    CheckNotExists,
}

impl MutationOp {
    /// The value to set, if any.
    pub fn value(&self) -> Option<&Bytes> {
        match self {
            MutationOp::Put(value) | MutationOp::Insert(value) => Some(value),
            MutationOp::Delete | MutationOp::Lock | MutationOp::CheckNotExists => None,
        }
    }

    /// Whether the key must not exist.
    pub fn wants_absence(&self) -> bool {
        matches!(self, MutationOp::Insert(_) | MutationOp::CheckNotExists)
    }
}

/// A client's belief about a key's state at prewrite; refused if it does not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assertion {
    /// None.
    #[default]
    None,
    /// The key has a value.
    Exist,
    /// The key has no value.
    NotExist,
}

/// How hard assertions are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AssertionLevel {
    /// Not at all.
    #[default]
    Off,
    /// Where it costs no further read.
    Fast,
    /// Always.
    Strict,
}
