//! Plain keys: no versions, no locks, no latches. A write needs no view, only to know under which term and epoch it is
//! proposed; that the last of two concurrent writes wins is all that is promised.

use std::iter::once;

use bytes::Bytes;
use nokv_engine::{Cf, Cursor as _, Engine, KeyRange, ReadView, WriteBatch};
use nokv_percolator::{Error as MvccError, Timestamp};
use nokv_raftstore::{Proposal, RegionExt, RequestContext};

use super::read::cut;
use super::{ExecuteError, Executor};

/// A plain key and its value.
pub type RawPair = (Bytes, Bytes);

/// Plain keys of one region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawRange {
    /// First key.
    pub lower: Bytes,
    /// First key behind; empty = up to the region's end.
    pub upper: Bytes,
    /// How many pairs at most.
    pub limit: usize,
}

impl<E: Engine> Executor<E> {
    /// The value of a plain key.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn raw_get(&self, context: &RequestContext, key: &[u8]) -> Result<Option<Bytes>, ExecuteError> {
        let view = match self.follower_view(context, Timestamp::ZERO, |region| region.check_key(key)).await? {
            Some(view) => view,
            None => {
                self.admit(context, [key])?;
                self.view(context, [key]).await?
            }
        };
        let found = self.checked(view.view.get(Cf::Raw, key).map_err(MvccError::from))?;
        view.load().read(found.as_ref().map_or(0, Bytes::len), || once(key));
        Ok(found)
    }

    /// The pairs of a range in order, cut to the region.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn raw_scan(&self, context: &RequestContext, range: &RawRange) -> Result<Vec<RawPair>, ExecuteError> {
        let first = [range.lower.as_ref()];
        let view = match self.follower_view(context, Timestamp::ZERO, |region| region.check_key(&range.lower)).await? {
            Some(view) => view,
            None => {
                self.admit(context, first)?;
                self.view(context, first).await?
            }
        };
        let (mut lower, upper) = cut(&range.lower, &range.upper, &view.region);
        let mut pairs = Vec::new();
        let mut bytes = 0;
        while pairs.len() < range.limit {
            let step = RawRange { lower, upper: upper.clone(), limit: range.limit - pairs.len() };
            let (part, resume_at) = self.checked(raw_step(&view.view, &step, self.options.scan_step_bytes))?;
            bytes += part.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
            if bytes > self.options.scan_bytes_max {
                return Err(ExecuteError::AnswerTooLarge { bytes_max: self.options.scan_bytes_max });
            }
            pairs.extend(part);
            let Some(resume_at) = resume_at else { break };
            lower = resume_at;
            tokio::task::yield_now().await;
        }
        let set_out = pairs.first().map_or(&view.region.start_key, |(key, _)| key);
        view.load().scanned(pairs.len(), bytes, set_out);
        Ok(pairs)
    }

    /// Sets a plain key.
    ///
    /// # Errors
    /// See [`ExecuteError`]; [`nokv_raftstore::RegionError::StaleCommand`] = it may or may not take effect.
    pub async fn raw_put(&self, context: &RequestContext, key: &[u8], value: &[u8]) -> Result<(), ExecuteError> {
        let mut batch = WriteBatch::new();
        batch.put(Cf::Raw, key, value);
        self.raw_write(context, key, batch).await
    }

    /// Removes a plain key, if it is there.
    ///
    /// # Errors
    /// As [`Executor::raw_put`].
    pub async fn raw_delete(&self, context: &RequestContext, key: &[u8]) -> Result<(), ExecuteError> {
        let mut batch = WriteBatch::new();
        batch.delete(Cf::Raw, key);
        self.raw_write(context, key, batch).await
    }

    async fn raw_write(&self, context: &RequestContext, key: &[u8], batch: WriteBatch) -> Result<(), ExecuteError> {
        let admitted = self.admit(context, [key])?;
        let charge = self.charge(batch.encoded_bytes())?;
        admitted.load().write(|| once(key));
        let (term, epoch) = (admitted.term, admitted.region.epoch());
        let proposal = Proposal { region_id: context.region_id, term, epoch, batch, held: Box::new(charge) };
        Ok(self.replicate(proposal).await?)
    }
}

/// A part of a scan, and where to go on if `bytes_max` ended it.
fn raw_step<V: ReadView>(
    view: &V,
    range: &RawRange,
    bytes_max: usize,
) -> nokv_percolator::Result<(Vec<RawPair>, Option<Bytes>)> {
    let mut pairs = Vec::new();
    if range.limit == 0 || (!range.upper.is_empty() && range.lower >= range.upper) {
        return Ok((pairs, None));
    }
    let mut cursor = view.cursor(Cf::Raw, KeyRange::new(&range.lower, &range.upper))?;
    cursor.seek_to_first()?;
    let mut bytes = 0;
    while let (Some(key), Some(value)) = (cursor.key(), cursor.value()) {
        if pairs.len() == range.limit {
            break;
        }
        if bytes >= bytes_max {
            return Ok((pairs, Some(Bytes::copy_from_slice(key))));
        }
        bytes += key.len() + value.len();
        pairs.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
        cursor.next()?;
    }
    Ok((pairs, None))
}
