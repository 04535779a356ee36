//! What can be asked of the state, and what is answered.
//! A command carries all it depends on; the time at which it is decided is the caller's, beside it.

use bytes::Bytes;
use nokv_proto::metapb::{Region, Store};
use nokv_raftstore::{RegionId, StoreId};

use super::{ServiceSafePoint, Settings};
use crate::regions::{Report, TakenIn};

/// A change of the state.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The first of all: the cluster gets its id, which no other cluster has. Again with the same id it does nothing.
    Found {
        /// Drawn at random, not 0.
        cluster_id: u64,
    },
    /// The cluster gets its first store and region. Without a region, one is made that holds every key.
    Bootstrap {
        /// The store.
        store: Store,
        /// The region, with all its first peers.
        region: Option<Region>,
    },
    /// A store says who and where it is: the first time it is registered, later what changed is taken over.
    PutStore {
        /// The store; its state is not taken over.
        store: Store,
        /// A number that its directory keeps; 0 = it has none.
        directory: u64,
    },
    /// A store is to leave: its peers are moved away, then it is buried.
    RemoveStore(StoreId),
    /// A store that was to leave is to stay.
    KeepStore(StoreId),
    /// A store that was to leave holds nothing any more, and is never to come back.
    BuryStore(StoreId),
    /// Takes ids that nobody else gets.
    AllocateIds {
        /// How many, 1 to [`super::IDS_MAX`].
        count: u32,
    },
    /// Timestamps up to this may be handed out when this command's batch is applied.
    RaiseTimestampBound {
        /// Milliseconds.
        bound_ms: u64,
    },
    /// A region's leader tells.
    Report(Box<Report>),
    /// How scheduling is to work.
    PutSettings(Settings),
    /// The safe point may come up to here, if nobody holds it back.
    AdvanceSafePoint {
        /// A timestamp.
        target: u64,
    },
    /// Somebody reads at this timestamp and later, and is to be waited for.
    HoldSafePoint {
        /// Who, 1 to 128 characters.
        holder: String,
        /// The lowest timestamp at which it reads.
        safe_point: u64,
        /// For how long, in seconds; 0 or less = it holds nothing any more, `i64::MAX` = for ever.
        ttl_s: i64,
    },
    /// The whole keyspace as of a timestamp stays readable under a name.
    CreateSnapshot {
        /// 1 to 128 characters.
        name: String,
        /// A timestamp that has been handed out.
        timestamp: u64,
    },
    /// Nobody needs that snapshot any more.
    DropSnapshot {
        /// Its name.
        name: String,
    },
    /// A client keeps something here.
    PutValue {
        /// Its key.
        key: Bytes,
        /// What is kept; empty is a value too.
        value: Bytes,
    },
}

/// What a command achieved. It holds once the batch beside it is applied.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// It is so.
    Done,
    /// The region with which the cluster begins.
    FirstRegion(RegionId),
    /// `first`, `first + 1`, … are the caller's.
    Ids {
        /// The lowest.
        first: u64,
        /// How many.
        count: u32,
    },
    /// A report was taken in.
    TakenIn(TakenIn),
    /// The safe point now; not below what it was, whatever was asked.
    SafePoint(u64),
    /// Who holds the safe point back the most, after this command. If its safe point is above the one asked for, the
    /// caller's was refused.
    Holder(ServiceSafePoint),
}
