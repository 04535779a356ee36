//! Whole ranges go at once: one range deletion for each column family, replicated like any other write, so that
//! replicas stay equal. No latches, no locks, no versions: whoever calls knows that nobody uses the range any more.

use bytes::Bytes;
use nokv_engine::{Cf, Cursor as _, Engine, KeyRange, ReadView, WriteBatch};
use nokv_percolator::Error as MvccError;
use nokv_proto::metapb::Region;
use nokv_raftstore::{Proposal, RegionExt as _, RequestContext, Role};

use super::read::cut;
use super::{ExecuteError, Executor};

/// Which keys of a range go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeKind {
    /// Transactional ones: values, locks and records of every version.
    Transactional,
    /// Plain ones.
    Raw,
}

impl RangeKind {
    fn families(self) -> &'static [Cf] {
        match self {
            RangeKind::Transactional => &[Cf::Lock, Cf::Write, Cf::Default],
            RangeKind::Raw => &[Cf::Raw],
        }
    }
}

/// A range that nobody uses any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoomedRange {
    /// First key; empty = from the region's start.
    pub lower: Bytes,
    /// First key behind; empty = up to the region's end.
    pub upper: Bytes,
    /// What goes.
    pub kind: RangeKind,
}

impl<E: Engine> Executor<E> {
    /// Removes a range, cut to the region. What is written into it meanwhile may stay or go.
    ///
    /// # Errors
    /// See [`ExecuteError`]; [`nokv_raftstore::RegionError::StaleCommand`] = it may or may not take effect.
    pub async fn delete_range(&self, context: &RequestContext, range: &DoomedRange) -> Result<(), ExecuteError> {
        let first = (!range.lower.is_empty()).then_some(range.lower.as_ref());
        self.admit(context, first)?;
        let proposal = {
            let view = self.view(context, first).await?;
            let batch = self.checked(doom(&view.view, &view.region, range))?;
            if batch.is_empty() {
                return Ok(());
            }
            let held = Box::new(self.charge(batch.encoded_bytes())?);
            Proposal { region_id: context.region_id, term: view.term, epoch: view.epoch(), batch, held }
        };
        Ok(self.replicate(proposal).await?)
    }

    /// Removes a range from every region that this store leads. Asked of every store, it is gone everywhere.
    ///
    /// # Errors
    /// The first that a region meets; the others have been asked. See [`ExecuteError`].
    pub async fn destroy_range(&self, range: &DoomedRange) -> Result<(), ExecuteError> {
        let mut outcome = Ok(());
        for status in self.raftstore.regions() {
            let region = &status.state.region;
            let (lower, upper) = cut(&range.lower, &range.upper, region);
            let is_touched = upper.is_empty() || lower < upper;
            if status.state.role != Role::Leader || !is_touched {
                continue;
            }
            let context = RequestContext {
                region_id: region.region_id(),
                epoch: region.region_epoch,
                ..RequestContext::default()
            };
            let doomed = DoomedRange { lower, upper, kind: range.kind };
            outcome = outcome.and(self.delete_range(&context, &doomed).await);
        }
        outcome
    }
}

/// The deletions of those column families that hold something of the range. Their ends are those of the region or,
/// where that has none, just behind the last key, since a range deletion has to end somewhere.
fn doom<V: ReadView>(view: &V, region: &Region, range: &DoomedRange) -> nokv_percolator::Result<WriteBatch> {
    let (lower, upper) = cut(&range.lower, &range.upper, region);
    let mut batch = WriteBatch::new();
    if !upper.is_empty() && lower >= upper {
        return Ok(batch);
    }
    for cf in range.kind.families() {
        let mut cursor = view.cursor(*cf, KeyRange::new(&lower, &upper)).map_err(MvccError::from)?;
        cursor.seek_to_last().map_err(MvccError::from)?;
        let Some(last) = cursor.key() else { continue };
        if upper.is_empty() {
            batch.delete_range(*cf, &lower, &[last, &[0]].concat());
        } else {
            batch.delete_range(*cf, &lower, &upper);
        }
    }
    Ok(batch)
}
