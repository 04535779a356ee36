//! Is this request for this peer, and are its keys this region's? Asked before anything is waited for, and once more of
//! the view; region errors come in the order of the wire's page:
//! store, region, leader, epoch, keys, term, and only then whatever waiting brings.

use nokv_engine::Engine;
use nokv_proto::metapb::Region;
use nokv_raftstore::{Led, Raftstore, RegionError, RegionExt, RegionView, RequestContext};

use super::{ExecuteError, Executor};

impl<E: Engine> Executor<E> {
    /// Checks all that `context` claims, and `keys` in between where they belong in the order.
    pub(super) fn admit<'k>(
        &self,
        context: &RequestContext,
        keys: impl IntoIterator<Item = &'k [u8]>,
    ) -> Result<Led, RegionError> {
        self.admit_if(context, |region| keys.into_iter().try_for_each(|key| region.check_key(key)))
    }

    /// As [`Executor::admit`], with any check of the keys.
    pub(super) fn admit_if(
        &self,
        context: &RequestContext,
        check_keys: impl FnOnce(&Region) -> Result<(), RegionError>,
    ) -> Result<Led, RegionError> {
        let led = enter_in_any_term(&self.raftstore, context)?;
        check_keys(&led.region)?;
        if context.term != 0 && context.term != led.term {
            return Err(RegionError::StaleCommand);
        }
        Ok(led)
    }

    /// A read view in which `keys` are this region's.
    pub(super) async fn view<'k>(
        &self,
        context: &RequestContext,
        keys: impl IntoIterator<Item = &'k [u8]>,
    ) -> Result<RegionView<E::View>, ExecuteError> {
        let view = self.raftstore.view(context).await?;
        // The region may have been split since it was admitted.
        keys.into_iter().try_for_each(|key| view.check_key(key))?;
        Ok(view)
    }
}

/// The term is checked last, so it is left out here.
fn enter_in_any_term<E: Engine>(raftstore: &Raftstore<E>, context: &RequestContext) -> Result<Led, RegionError> {
    if context.term == 0 {
        return raftstore.enter(context);
    }
    raftstore.enter(&RequestContext { term: 0, ..context.clone() })
}
