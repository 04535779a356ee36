//! The column families: which kind of record lives in which key space of the one store-wide engine.
//! Their order is their tag in an encoded write batch, so it is part of the on-disk format.

/// A column family: an independent ordered key space; one write batch spans them atomically.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Cf {
    /// Large transactional values at (user key, start timestamp).
    Default = 0,
    /// Locks of transactions under way, at the user key.
    Lock = 1,
    /// Commit and rollback records at (user key, commit timestamp).
    Write = 2,
    /// Non-transactional keys, as the client gave them.
    Raw = 3,
    /// What replication itself keeps: region state, applied index, raft log, store identity.
    Raft = 4,
}

impl Cf {
    /// Every column family, in tag order.
    pub const ALL: [Cf; 5] = [Cf::Default, Cf::Lock, Cf::Write, Cf::Raw, Cf::Raft];

    /// The column families that hold a region's user data (all but [`Cf::Raft`]).
    pub const DATA: [Cf; 4] = [Cf::Default, Cf::Lock, Cf::Write, Cf::Raw];

    /// The name under which the engine knows it.
    pub const fn name(self) -> &'static str {
        match self {
            Cf::Default => "default",
            Cf::Lock => "lock",
            Cf::Write => "write",
            Cf::Raw => "raw",
            Cf::Raft => "raft",
        }
    }

    /// The column family with this tag, or `None` if no version of the format has such a tag.
    pub const fn from_tag(tag: u8) -> Option<Cf> {
        match tag {
            0 => Some(Cf::Default),
            1 => Some(Cf::Lock),
            2 => Some(Cf::Write),
            3 => Some(Cf::Raw),
            4 => Some(Cf::Raft),
            _ => None,
        }
    }
}
