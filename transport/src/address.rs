//! Who is meant: the ids of stores, regions and peers, each its own type so that none is passed for another.
//! All three are never 0 in use: protobuf cannot tell 0 from absent.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A store: one data directory, served by one node. Never 0.
    StoreId
}
id! {
    /// A region: a range of the keyspace, replicated by one raft group. Never 0.
    RegionId
}
id! {
    /// A peer: one region's replica on one store. Never 0 and never used twice, not even after removal.
    PeerId
}
