//! Two neighbours become one.
//! The rules are replication's; here it is waited until request threads see what came of it.

use nokv_engine::Engine;
use nokv_proto::metapb::Region;
use nokv_raftstore::{MergeRequest, RegionExt};

use super::{AdminError, RegionAdmin};

impl<E: Engine> RegionAdmin<E> {
    /// Has a region end in its neighbour, which goes on with both ranges. Returns that, once this store has done it.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn merge(&self, request: MergeRequest) -> Result<Vec<Region>, AdminError> {
        let (target, before) = (request.target, request.target_epoch.version);
        self.led(request.source, Some(request.source_epoch), |ours, theirs| ours == theirs)?;
        self.raftstore.merge(request).await?;
        let merged = self.shown(target, |region| region.epoch().version > before).await;
        Ok(merged.into_iter().collect())
    }
}
