//! Reads from replicas that do not lead: the leader says how far one has to have applied, and a view of the replica's
//! own engine is good once it has.
//!
//! Why that is right: the leader's view holds every write that was acknowledged before it was taken, and its applied
//! index stands in the same batch as the data. A replica that has applied as much holds as much. What its region is, it
//! reads from the same view, so that a split between the two never gives it keys that are another's by now.

use std::sync::Arc;

use nokv_engine::Engine;
use nokv_proto::metapb::Region;

use crate::gate::{RequestContext, Role};
use crate::handle::{Raftstore, RegionView};
use crate::message::StoreMessage;
use crate::records::{ApplyRecord, Liveness, RegionRecord};
use crate::{RegionError, RegionExt};

impl<E: Engine> Raftstore<E> {
    /// How far a replica has to have applied to hold every write acknowledged before this call. For the leader.
    ///
    /// # Errors
    /// As [`Raftstore::view`].
    pub async fn read_index(&self, context: &RequestContext) -> Result<u64, RegionError> {
        self.announce(&self.view(context).await?)
    }

    /// The last entry whose effects are in a view of the leader, for a replica that is to show as much. Followers are
    /// told that it is committed, if one may not know: else they learn it with the leader's next message, which in a
    /// quiet region is a heart-beat away.
    ///
    /// # Errors
    /// [`RegionError::ServerIsBusy`] if its record cannot be read.
    pub fn announce(&self, view: &RegionView<E::View>) -> Result<u64, RegionError> {
        let (index, region) = (Self::applied_index(view)?, view.region.region_id());
        if self.gates().get(region).is_ok_and(|gate| gate.told() < index) {
            // If it is refused, the next heart-beat tells.
            let _ = self.mailbox(region).offer(StoreMessage::TellCommits(region));
        }
        Ok(index)
    }

    /// The last entry whose effects are in a view.
    ///
    /// # Errors
    /// [`RegionError::ServerIsBusy`] if its record cannot be read.
    pub fn applied_index(view: &RegionView<E::View>) -> Result<u64, RegionError> {
        let record = ApplyRecord::load(&view.view, view.region.region_id());
        record.map(|record| record.applied_index).map_err(|error| busy(&error.to_string()))
    }

    /// The leader of a region as far as this replica knows; `None` if it is this one. For finding whom to ask.
    ///
    /// # Errors
    /// [`RegionError::StoreNotMatch`], [`RegionError::RegionNotFound`]; [`RegionError::NotLeader`] if none is known.
    pub fn leader_elsewhere(&self, context: &RequestContext) -> Result<Option<nokv_proto::metapb::Peer>, RegionError> {
        let state = self.gates().replica(context)?.state().clone();
        match (state.role, state.leader) {
            (Role::Leader, _) => Ok(None),
            (_, Some(leader)) => Ok(Some(leader)),
            (_, None) => Err(RegionError::NotLeader { region: context.region_id, leader: None }),
        }
    }

    /// A view of this replica, whoever leads, or `None` while it has not applied the entry at `read_index`.
    ///
    /// # Errors
    /// [`RegionError::StoreNotMatch`], [`RegionError::RegionNotFound`], [`RegionError::EpochNotMatch`];
    /// [`RegionError::ServerIsBusy`] while its data is being replaced.
    pub fn replica_view(
        &self,
        context: &RequestContext,
        read_index: u64,
    ) -> Result<Option<RegionView<E::View>>, RegionError> {
        let gate = self.gates().replica(context)?;
        let view = self.engine().view();
        let region = context.region_id;
        let record = RegionRecord::load(&view, region).map_err(|_| RegionError::RegionNotFound { region })?;
        if record.liveness != Liveness::Normal {
            return Err(busy(&format!("the replica of region {region} is being replaced")));
        }
        let applied = ApplyRecord::load(&view, region).map_err(|_| RegionError::RegionNotFound { region })?;
        if applied.applied_index < read_index {
            return Ok(None);
        }
        if context.epoch.is_some_and(|epoch| epoch.version != record.region.epoch().version) {
            return Err(RegionError::EpochNotMatch { current: vec![record.region] });
        }
        let term = gate.state().term;
        let region: Arc<Region> = Arc::new(record.region);
        Ok(Some(RegionView { region, term, view, gate }))
    }
}

fn busy(reason: &str) -> RegionError {
    RegionError::ServerIsBusy { reason: reason.to_owned(), backoff_ms: 50 }
}
