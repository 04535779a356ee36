//! What is done to regions on request: cut them, give them other members or another leader. Both `nokvpb.Admin` and
//! those calls of `tikvpb.Tikv` that change regions come here; whoever asks must have found the leader first.
//!
//! | file | what |
//! | --- | --- |
//! | `split.rs` | one region becomes several |
//! | `merge.rs` | two neighbours become one |
//! | `members.rs` | members come and go, leaders change |
//! | `meeting.rs` | which directory each store has |
//! | `error.rs` | why it was not done |
//!
//! Invariant: no id is used twice. What the caller leaves open is drawn ([`RegionIds`]); what the caller gives is
//! refused where this store knows better.

mod error;
mod meeting;
mod members;
mod merge;
mod split;

use std::time::Duration;

use nokv_engine::Engine;
use nokv_proto::metapb::{Region, RegionEpoch};
use nokv_raftstore::{Raftstore, RegionError, RegionExt, RequestContext};
use nokv_transport::RegionId;
use tokio::time::{Instant, sleep};

pub use self::error::AdminError;
pub use self::meeting::Meeting;
pub use self::split::SplitAt;
use crate::region_ids::RegionIds;

/// How long it may take until request threads see what was applied.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked.
const SHOWN_POLL: Duration = Duration::from_millis(1);

/// Changes regions that this store leads. Cheap to clone.
pub struct RegionAdmin<E: Engine> {
    raftstore: Raftstore<E>,
    ids: Option<RegionIds>,
}

impl<E: Engine> RegionAdmin<E> {
    /// Over these regions; without `ids`, callers have to give all ids themselves.
    pub fn new(raftstore: Raftstore<E>, ids: Option<RegionIds>) -> Self {
        Self { raftstore, ids }
    }

    /// The regions.
    pub fn raftstore(&self) -> &Raftstore<E> {
        &self.raftstore
    }

    /// Whether ids that the caller leaves open can be drawn.
    pub fn draws_ids(&self) -> bool {
        self.ids.is_some()
    }

    /// A region that this store leads, if its epoch is as the caller believes in all that `fits` looks at.
    fn led(
        &self,
        region_id: RegionId,
        epoch: Option<RegionEpoch>,
        fits: impl Fn(RegionEpoch, RegionEpoch) -> bool,
    ) -> Result<Region, RegionError> {
        let context = RequestContext { region_id, epoch, ..RequestContext::default() };
        let region = self.raftstore.enter(&context)?.region;
        match epoch {
            Some(epoch) if !fits(epoch, region.epoch()) => {
                Err(RegionError::EpochNotMatch { current: vec![Region::clone(&region)] })
            }
            _ => Ok(Region::clone(&region)),
        }
    }

    /// The region once this store shows it as `is_so` wants it: a change's waiter is told by apply, a moment before
    /// request threads see what came of it. If that takes long, the region as it is.
    async fn shown(&self, region: RegionId, is_so: impl Fn(&Region) -> bool) -> Option<Region> {
        let deadline = Instant::now() + SHOWN_WITHIN;
        loop {
            let found = self.raftstore.region(region).map(|status| status.state.region.clone());
            if found.as_deref().is_some_and(&is_so) || Instant::now() >= deadline {
                return found.map(|region| Region::clone(&region));
            }
            sleep(SHOWN_POLL).await;
        }
    }

    async fn draw_ids(&self, count: usize) -> Result<std::vec::IntoIter<u64>, AdminError> {
        if count == 0 {
            return Ok(Vec::new().into_iter());
        }
        let Some(ids) = &self.ids else {
            let reason = "this node knows no timestamp server to draw new ids from; give the ids".to_owned();
            return Err(AdminError::Refused(reason));
        };
        let drawn = ids.draw(count).await.map_err(|error| AdminError::Refused(error.to_string()))?;
        Ok(drawn.into_iter())
    }
}

impl<E: Engine> Clone for RegionAdmin<E> {
    fn clone(&self) -> Self {
        Self { raftstore: self.raftstore.clone(), ids: self.ids.clone() }
    }
}

impl<E: Engine> std::fmt::Debug for RegionAdmin<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegionAdmin").field("store", &self.raftstore.store_id()).field("ids", &self.ids).finish()
    }
}
