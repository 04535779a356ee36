//! Why a command was refused. Nothing has changed then.
//! The text is for people; the variant says what the caller does.

use nokv_raftstore::StoreId;

use crate::regions::StaleReport;

/// See the file's head.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The cluster has no id yet. Its first leader founds it; ask again.
    #[error("the cluster has not been founded yet")]
    NotFounded,
    /// The cluster has another id: two clusters' nodes have met. Give up; somebody has to look at the addresses.
    #[error("this is cluster {ours}, and the request is for cluster {theirs}")]
    OtherCluster {
        /// The id here.
        ours: u64,
        /// The id of the request.
        theirs: u64,
    },
    /// The cluster has no store yet. Bootstrap it.
    #[error("the cluster has no store yet: it must be bootstrapped first")]
    NotBootstrapped,
    /// The cluster has its first store already. Register as another one.
    #[error("the cluster was bootstrapped already")]
    AlreadyBootstrapped,
    /// Nobody has heard of that store. Register it.
    #[error("there is no store {0}")]
    StoreNotFound(StoreId),
    /// The store left for good. Start with an empty directory and a new id.
    #[error("store {0} has left the cluster for good; start with an empty directory, under a new id")]
    StoreTombstone(StoreId),
    /// Another directory has that id. Use that directory, or another id.
    #[error(
        "store {0} is another directory's: a directory that was emptied or copied gets a new id, since what it once \
         acknowledged would be denied"
    )]
    OtherDirectory(StoreId),
    /// Another store is at that address. Use another, or remove that store first.
    #[error("store {store} is at {address} already")]
    AddressTaken {
        /// The store there.
        store: StoreId,
        /// The address.
        address: String,
    },
    /// The program is too old or too new for this cluster.
    #[error("version {version} does not go with this cluster, whose stores have version {ours}.*")]
    Version {
        /// The store's.
        version: String,
        /// The major version here.
        ours: u64,
    },
    /// Too few stores would remain for the replicas that regions have. Add a store first.
    #[error(
        "without store {store} there would be {remaining} stores, and there are regions with {replicas} replicas: add \
         a store first"
    )]
    TooFewStores {
        /// The store that is to leave.
        store: StoreId,
        /// The stores that would remain.
        remaining: usize,
        /// The most replicas of a region on that store.
        replicas: usize,
    },
    /// The store still holds peers. Wait until they have been moved.
    #[error("store {store} still holds {peers} peers")]
    NotEmpty {
        /// The store.
        store: StoreId,
        /// How many.
        peers: usize,
    },
    /// The store is not leaving. Remove it first.
    #[error("store {0} is not leaving the cluster")]
    NotLeaving(StoreId),
    /// Something newer is known of that region. Drop the report.
    #[error(transparent)]
    Stale(#[from] StaleReport),
    /// What this timestamp reads may be gone already. Take a newer one.
    #[error("timestamp {asked} is below the safe point {safe_point}: what it would read may be gone")]
    BelowSafePoint {
        /// What was asked for.
        asked: u64,
        /// The safe point.
        safe_point: u64,
    },
    /// There is a snapshot of that name. Choose another, or drop that one.
    #[error("there is a snapshot {0:?} already")]
    SnapshotExists(String),
    /// There is no snapshot of that name.
    #[error("there is no snapshot {0:?}")]
    SnapshotNotFound(String),
    /// The bound on what is kept here is reached. Drop something first.
    #[error("there are {count} {what} already, and no more fit")]
    Full {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// The command makes no sense. Correct it.
    #[error("{0}")]
    Wrong(&'static str),
}
