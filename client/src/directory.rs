//! The seam to whoever knows which regions there are: a topology, the stores, or placement.
//! The client asks it only for what its own region cache does not know, and learns the rest from region errors.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use nokv_proto::metapb;

use crate::topology::Topology;

/// A region and, if known, the peer that leads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// The region; its bounds are memcomparable-encoded.
    pub region: metapb::Region,
    /// A hint: the client finds out if it is wrong.
    pub leader: Option<metapb::Peer>,
}

/// Knows regions and stores. Answers may be old: a store corrects the client when it is asked.
pub trait RegionDirectory: Send + Sync + 'static {
    /// The region that holds `key` (encoded as region bounds are), or `None` if none is known.
    fn region<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Located>, DirectoryError>>;

    /// The address of a store, or `None` if it is not known.
    fn address(&self, store_id: u64) -> BoxFuture<'_, Result<Option<String>, DirectoryError>>;
}

/// The directory cannot be asked at the moment. The client asks again under the operation's deadline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("region directory: {0}")]
pub struct DirectoryError(pub String);

/// A directory that never changes.
#[derive(Clone, Debug)]
pub struct StaticDirectory {
    topology: Arc<Topology>,
}

impl StaticDirectory {
    /// Serves `topology`.
    pub fn new(topology: Topology) -> Self {
        StaticDirectory { topology: Arc::new(topology) }
    }
}

impl RegionDirectory for StaticDirectory {
    fn region<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Located>, DirectoryError>> {
        Box::pin(std::future::ready(Ok(self.topology.region(key).cloned())))
    }

    fn address(&self, store_id: u64) -> BoxFuture<'_, Result<Option<String>, DirectoryError>> {
        Box::pin(std::future::ready(Ok(self.topology.stores.get(&store_id).cloned())))
    }
}
