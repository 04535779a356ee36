//! The cluster begins: it gets an id, then its first store and region.
//! Both happen once; whoever comes second is told so and joins instead.

use nokv_engine::WriteBatch;
use nokv_proto::metapb::{Peer, Region, RegionEpoch, Store};
use nokv_raftstore::{RegionExt as _, StoreId};

use super::records::{ClusterRecord, Records};
use super::{Refusal, Reply, Settings, State};
use crate::regions::Report;

impl State {
    pub(super) fn found(&mut self, cluster_id: u64, batch: &mut WriteBatch) -> Result<Reply, Refusal> {
        match (self.cluster.id, cluster_id) {
            (_, 0) => Err(Refusal::Wrong("a cluster's id is not 0")),
            (0, id) => {
                self.cluster = ClusterRecord { id, bootstrapped: false };
                self.settings = Settings::initial();
                let mut records = Records(batch);
                records.cluster(&self.cluster);
                records.id_bound(self.ids.bound());
                records.settings(&self.settings);
                Ok(Reply::Done)
            }
            (ours, theirs) if ours == theirs => Ok(Reply::Done),
            (ours, theirs) => Err(Refusal::OtherCluster { ours, theirs }),
        }
    }

    pub(super) fn bootstrap(
        &mut self,
        store: Store,
        region: Option<Region>,
        batch: &mut WriteBatch,
    ) -> Result<Reply, Refusal> {
        if self.cluster.bootstrapped {
            return Err(Refusal::AlreadyBootstrapped);
        }
        if let Some(region) = &region {
            check_first(region, StoreId(store.id))?;
        }
        // A copy, so that a refusal half-way leaves nothing behind.
        let mut after = self.clone();
        let mut writes = WriteBatch::new();
        let id = store.id;
        after.cluster.bootstrapped = true;
        after.put_store(store, 0, &mut writes)?;
        let region = match region {
            Some(region) => region,
            None => after.whole_region(id, &mut writes)?,
        };
        for taken in region.peers.iter().flat_map(|peer| [peer.id, peer.store_id]).chain([region.id]) {
            after.reserve_id(taken, &mut writes)?;
        }
        let first = region.region_id();
        after.report(Report { region: region.into(), ..Report::default() }, 0, &mut writes)?;
        Records(&mut writes).cluster(&after.cluster);
        batch.append(&writes);
        *self = after;
        Ok(Reply::FirstRegion(first))
    }

    /// The region that holds every key, with one peer.
    fn whole_region(&mut self, store_id: u64, batch: &mut WriteBatch) -> Result<Region, Refusal> {
        self.reserve_id(store_id, batch)?;
        let first = self.take_ids(2, batch)?;
        Ok(Region {
            id: first,
            region_epoch: Some(RegionEpoch { conf_ver: 1, version: 1 }),
            peers: vec![Peer { id: first + 1, store_id, ..Peer::default() }],
            ..Region::default()
        })
    }
}

fn check_first(region: &Region, store: StoreId) -> Result<(), Refusal> {
    if region.id == 0 || region.peers.iter().any(|peer| peer.id == 0 || peer.store_id == 0) {
        return Err(Refusal::Wrong("the first region and its peers need ids that are not 0"));
    }
    if !region.start_key.is_empty() || !region.end_key.is_empty() {
        return Err(Refusal::Wrong("the first region has to hold every key"));
    }
    if region.peer_on(store).is_none() {
        return Err(Refusal::Wrong("the first region has to have a peer on the first store"));
    }
    let epoch = region.epoch();
    if epoch.version == 0 || epoch.conf_ver == 0 {
        return Err(Refusal::Wrong("the first region needs an epoch of which no number is 0"));
    }
    Ok(())
}
