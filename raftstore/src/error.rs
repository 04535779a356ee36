//! Two kinds of failure: a [`RegionError`] answers one request and tells the client what to do; a [`StoreError`]
//! stops this node loudly, because going on could lose what was promised.

use bytes::Bytes;
use nokv_engine::Error as EngineError;
use nokv_proto::{errorpb, metapb};
use nokv_transport::{RegionId, StoreId};

/// Why a region did not serve a request. In the order in which they are checked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RegionError {
    /// Sent to the wrong store. Refresh the store's address.
    #[error("request is for store {request_store}, this is store {actual_store}")]
    StoreNotMatch {
        /// The store that the request names.
        request_store: StoreId,
        /// This store.
        actual_store: StoreId,
    },
    /// This store has no such region. Refresh the region.
    #[error("region {region} is not on this store")]
    RegionNotFound {
        /// The region asked for.
        region: RegionId,
    },
    /// Another peer leads, or none does. Ask the leader if it is named, else wait a moment and ask any peer.
    #[error("peer does not lead region {region}")]
    NotLeader {
        /// The region.
        region: RegionId,
        /// Its leader as far as this peer knows.
        leader: Option<metapb::Peer>,
    },
    /// The region was split, merged or got other members. Refresh it from `current` and ask again.
    #[error("the region's epoch is another one")]
    EpochNotMatch {
        /// The regions that now cover the range, as this store knows them.
        current: Vec<metapb::Region>,
    },
    /// A key lies outside of the region. Look up the key's region.
    #[error("key is not in region {region}")]
    KeyNotInRegion {
        /// The key, encoded as region bounds are.
        key: Bytes,
        /// The region asked.
        region: RegionId,
        /// Its first key.
        start_key: Bytes,
        /// Its end.
        end_key: Bytes,
    },
    /// The leader changed while the request was under way: it may or may not have taken effect. Ask again; a command
    /// that is not idempotent must first find out.
    #[error("the leader changed while the request was under way; whether it took effect is unknown")]
    StaleCommand,
    /// The members cannot be changed as asked. Do what the reason says; the same request again helps only if it says
    /// so.
    #[error("the members of region {region} were not changed: {reason}")]
    MembersRefused {
        /// The region.
        region: RegionId,
        /// Why, for a person.
        reason: String,
    },
    /// The region is frozen, to be merged into `into`. Wait a moment and ask again: it is then another region's, or
    /// serves again.
    #[error("region {region} is being merged into region {into}")]
    Merging {
        /// The region.
        region: RegionId,
        /// The region that is to take it over.
        into: RegionId,
    },
    /// The regions were not merged. Do what the reason says; the same request again helps only if it says so.
    #[error("region {region} was not merged: {reason}")]
    MergeRefused {
        /// The region that was to end.
        region: RegionId,
        /// Why, for a person.
        reason: String,
    },
    /// A bound was reached. Wait `backoff_ms` and try again.
    #[error("server is busy: {reason}; try again in {backoff_ms} ms")]
    ServerIsBusy {
        /// Which bound.
        reason: String,
        /// How long to wait.
        backoff_ms: u64,
    },
    /// The write is larger than a log entry may be. Split it.
    #[error("a write of {entry_bytes} bytes is larger than the {entry_bytes_max} that region {region} takes; split it")]
    RaftEntryTooLarge {
        /// The region.
        region: RegionId,
        /// Size of the write.
        entry_bytes: u64,
        /// The bound.
        entry_bytes_max: u64,
    },
}

impl RegionError {
    /// The answer when this node is going down, or has lost the thread that owned the region.
    pub(crate) fn stopping() -> Self {
        RegionError::ServerIsBusy { reason: "this node is stopping".to_owned(), backoff_ms: 100 }
    }
}

impl From<RegionError> for errorpb::Error {
    fn from(error: RegionError) -> Self {
        let mut out = errorpb::Error { message: error.to_string(), ..Default::default() };
        match error {
            RegionError::StoreNotMatch { request_store, actual_store } => {
                out.store_not_match =
                    Some(errorpb::StoreNotMatch { request_store_id: request_store.0, actual_store_id: actual_store.0 });
            }
            RegionError::RegionNotFound { region } => {
                out.region_not_found = Some(errorpb::RegionNotFound { region_id: region.0 });
            }
            RegionError::NotLeader { region, leader } => {
                out.not_leader = Some(errorpb::NotLeader { region_id: region.0, leader });
            }
            RegionError::EpochNotMatch { current } => {
                out.epoch_not_match = Some(errorpb::EpochNotMatch { current_regions: current });
            }
            RegionError::KeyNotInRegion { key, region, start_key, end_key } => {
                out.key_not_in_region = Some(errorpb::KeyNotInRegion { key, region_id: region.0, start_key, end_key });
            }
            RegionError::StaleCommand => out.stale_command = Some(errorpb::StaleCommand {}),
            RegionError::ServerIsBusy { reason, backoff_ms } => {
                out.server_is_busy = Some(errorpb::ServerIsBusy { reason, backoff_ms, ..Default::default() });
            }
            // kvproto has no place for it but the text.
            RegionError::MembersRefused { .. } | RegionError::MergeRefused { .. } => {}
            RegionError::Merging { region, .. } => {
                out.proposal_in_merging_mode = Some(errorpb::ProposalInMergingMode { region_id: region.0 });
            }
            RegionError::RaftEntryTooLarge { region, entry_bytes, .. } => {
                out.raft_entry_too_large =
                    Some(errorpb::RaftEntryTooLarge { region_id: region.0, entry_size: entry_bytes });
            }
        }
        out
    }
}

/// Why this store cannot go on. The node prints it and stops; nothing acknowledged is lost.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk failed or holds corrupt bytes.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Bytes of ours do not decode: corrupt, or written by a newer version.
    #[error("region {region}: {what} cannot be read; it is corrupt or was written by a newer version")]
    Unreadable {
        /// The region.
        region: RegionId,
        /// Which record.
        what: &'static str,
    },
    /// A leader believes that this store holds entries that it does not hold.
    #[error(
        "region {region}: the leader counts on log entry {expected} of this store, whose log ends at {actual}; this \
         store lost acknowledged data (was its directory replaced by an older one?): delete the directory and start \
         the store while the others run, and it comes back empty, to be given new peers"
    )]
    LogLost {
        /// The region.
        region: RegionId,
        /// The entry that the leader counts on.
        expected: u64,
        /// The last entry here.
        actual: u64,
    },
    /// raft refused to go on.
    #[error("region {region}: raft: {reason}")]
    Raft {
        /// The region.
        region: RegionId,
        /// raft's own words.
        reason: String,
    },
    /// A merge that is committed needs a source that this store cannot give.
    #[error("region {region}: its merge into region {into} is committed, but this store cannot follow: {reason}")]
    SourceLost {
        /// The source.
        region: RegionId,
        /// The target.
        into: RegionId,
        /// What is missing.
        reason: &'static str,
    },
    /// The directory belongs to another store, cluster or topology.
    #[error("{0}")]
    Mismatch(String),
}
