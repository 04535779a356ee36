//! One region becomes several, at keys that somebody names.
//! What is left of the first range stays the region's own; its leader leads the new ones, too.

use bytes::Bytes;
use nokv_engine::Engine;
use nokv_proto::metapb::{Region, RegionEpoch};
use nokv_raftstore::{NewRegion, PeerId, RegionExt, RegionId, SplitRequest};

use super::{AdminError, RegionAdmin};

/// Regions that one request may make: each is a record in one log entry, and campaigns at once.
const NEW_REGIONS_MAX: usize = 256;

/// Where to cut, and how to call what begins there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SplitAt {
    /// The first key, encoded as region bounds are.
    pub start_key: Bytes,
    /// The new region's id, never used before; 0 = draw it, and its peers'.
    pub region_id: u64,
    /// Its peers' ids, never used before, in the order of the region's peers.
    pub peer_ids: Vec<u64>,
}

impl<E: Engine> RegionAdmin<E> {
    /// Cuts a region. Returns what it has become, from left to right, once this store has done it.
    ///
    /// # Errors
    /// [`AdminError`]; a key that is not strictly inside, or not above the one before, is
    /// [`nokv_raftstore::RegionError::KeyNotInRegion`].
    pub async fn split(
        &self,
        region_id: RegionId,
        epoch: Option<RegionEpoch>,
        cuts: Vec<SplitAt>,
    ) -> Result<Vec<Region>, AdminError> {
        if cuts.is_empty() || cuts.len() > NEW_REGIONS_MAX {
            let reason = format!("{} keys to cut at; a request has 1 to {NEW_REGIONS_MAX}", cuts.len());
            return Err(AdminError::Refused(reason));
        }
        let region = self.led(region_id, epoch, |ours, theirs| ours.version == theirs.version)?;
        // Before ids are drawn for nothing.
        for cut in &cuts {
            region.check_key(&cut.start_key)?;
        }
        let new = self.named(&region, cuts).await?;
        let ids: Vec<RegionId> = std::iter::once(region_id).chain(new.iter().map(|new| new.id)).collect();
        let epoch = region.epoch();
        self.raftstore.split(SplitRequest { region_id, epoch, new }).await?;
        let mut regions = Vec::with_capacity(ids.len());
        for id in ids {
            regions.extend(self.shown(id, |region| region.epoch().version > epoch.version).await);
        }
        Ok(regions)
    }

    /// The new regions with all their ids.
    async fn named(&self, region: &Region, cuts: Vec<SplitAt>) -> Result<Vec<NewRegion>, AdminError> {
        let nameless = cuts.iter().filter(|cut| cut.region_id == 0).count();
        let mut drawn = self.draw_ids(nameless * (1 + region.peers.len())).await?;
        let mut named = Vec::with_capacity(cuts.len());
        for cut in cuts {
            let (id, peer_ids) = if cut.region_id == 0 {
                let id = drawn.next().unwrap_or_default();
                (id, drawn.by_ref().take(region.peers.len()).collect())
            } else {
                self.check_given(region, &cut)?;
                (cut.region_id, cut.peer_ids)
            };
            let peer_ids = peer_ids.into_iter().map(PeerId).collect();
            named.push(NewRegion { id: RegionId(id), start_key: cut.start_key, peer_ids });
        }
        Ok(named)
    }

    fn check_given(&self, region: &Region, cut: &SplitAt) -> Result<(), AdminError> {
        let id = cut.region_id;
        if self.raftstore.region(RegionId(id)).is_some() {
            return Err(AdminError::Refused(format!("region id {id} is taken; give one that was never used")));
        }
        if cut.peer_ids.len() != region.peers.len() || cut.peer_ids.contains(&0) {
            let (given, wanted) = (cut.peer_ids.len(), region.peers.len());
            let reason = format!(
                "region {} has {wanted} peers, so a new one needs as many peer ids, none of them 0; \
                                  {given} were given",
                region.id
            );
            return Err(AdminError::Refused(reason));
        }
        Ok(())
    }
}
