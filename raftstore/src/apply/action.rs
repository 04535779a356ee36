//! What an apply loop does to the engine besides writing batches: images are made and taken in, data is cleared. Each
//! comes after everything that was applied before it, and is something that a start can do again.

use nokv_engine::{Engine, KeyRange, LogBatch, LogOp, RaftLog, WriteBatch};
use nokv_proto::metapb::Region;
use nokv_transport::RegionId;
use raft::eraftpb::HardState;

use super::{Applied, ApplyRound, Change};
use crate::image::Image;
use crate::message::StoreMessage;
use crate::records::{ApplyRecord, Arrival, Liveness, RegionRecord, delete_applied, encode_hard_state};
use crate::teller::Teller;
use crate::{RegionExt, RegionSize, StoreError};

/// An act upon the engine.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make an image of the region as it is now.
    MakeImage(RegionId),
    /// Take an image in; the record says so already.
    TakeIn(Region, Arrival),
    /// An import is not needed.
    Discard(String),
    /// Clear the data of a removed replica; the record says so already.
    Clear(RegionRecord),
}

impl ApplyRound {
    /// Writes the batch (without a sync: the log can replay it), tells the fates, acts, and returns what the raft loop
    /// is to be told.
    ///
    /// # Errors
    /// If the disk fails or holds what it must not: nobody who waits is told anything then.
    pub fn carry_out<E: Engine>(self, engine: &E, teller: &dyn Teller) -> Result<Vec<StoreMessage>, StoreError> {
        if !self.batch.is_empty() {
            engine.write(&self.batch, false)?;
        }
        self.written(engine, teller)
    }

    /// As [`ApplyRound::carry_out`], unless the engine would have to be waited for: then the round comes back as it
    /// was.
    ///
    /// # Errors
    /// As [`ApplyRound::carry_out`].
    pub fn try_carry_out<E: Engine>(
        self,
        engine: &E,
        teller: &dyn Teller,
    ) -> Result<Result<Vec<StoreMessage>, ApplyRound>, StoreError> {
        if self.action.is_some() || !engine.try_write(&self.batch)? {
            return Ok(Err(self));
        }
        self.written(engine, teller).map(Ok)
    }

    /// The batch is written.
    fn written<E: Engine>(self, engine: &E, teller: &dyn Teller) -> Result<Vec<StoreMessage>, StoreError> {
        if !self.fates.is_empty() {
            teller.tell(self.fates);
        }
        let mut reports = self.reports;
        if !self.applied.is_empty() {
            reports.push(StoreMessage::Applied(self.applied));
        }
        if let Some(action) = self.action {
            reports.extend(action.carry_out(engine)?);
        }
        Ok(reports)
    }
}

impl Action {
    fn carry_out<E: Engine>(self, engine: &E) -> Result<Option<StoreMessage>, StoreError> {
        Ok(match self {
            Action::MakeImage(region) => {
                Some(StoreMessage::ImageMade { region, image: Some(Image::make(engine, region)?) })
            }
            Action::TakeIn(region, arrival) => {
                take_in(engine, &region, &arrival)?;
                let (index, term) = (arrival.apply.applied_index, arrival.apply.applied_term);
                let region_id = region.region_id();
                let applied = Applied {
                    region_id,
                    index,
                    term,
                    bytes: 0,
                    written_index: index,
                    changes: vec![Change::Image],
                    written: RegionSize::default(),
                };
                Some(StoreMessage::Applied(vec![applied]))
            }
            Action::Discard(import) => {
                engine.discard_import(&import)?;
                None
            }
            Action::Clear(record) => {
                clear(engine, &record)?;
                Some(StoreMessage::Cleared(record.region.region_id()))
            }
        })
    }
}

/// Takes an import in and makes the replica a normal one. Synced, since the import is gone afterwards.
fn take_in<E: Engine>(engine: &E, region: &Region, arrival: &Arrival) -> Result<(), StoreError> {
    let clear: Vec<_> = arrival.clear.iter().map(|(start, end)| KeyRange::new(start, end)).collect();
    engine.ingest(&arrival.import, &clear)?;
    let mut batch = WriteBatch::new();
    RegionRecord { liveness: Liveness::Normal, region: region.clone() }.put(&mut batch);
    arrival.apply.put(region.region_id(), &mut batch);
    engine.write(&batch, true)?;
    Ok(engine.discard_import(&arrival.import)?)
}

/// Clears a removed replica's data and leaves its tombstone.
fn clear<E: Engine>(engine: &E, record: &RegionRecord) -> Result<(), StoreError> {
    engine.clear_range(record.region.range())?;
    let mut batch = WriteBatch::new();
    RegionRecord { liveness: Liveness::Tombstone, region: record.region.clone() }.put(&mut batch);
    Ok(engine.write(&batch, false)?)
}

/// Does what a replica's record says was still to be done when the store stopped. Returns the record as it is then.
///
/// # Errors
/// If the disk fails.
pub(crate) fn resume<E: Engine>(
    engine: &E,
    log: &dyn RaftLog,
    record: RegionRecord,
) -> Result<RegionRecord, StoreError> {
    let region = record.region.clone();
    match &record.liveness {
        Liveness::Normal | Liveness::Merging(_) | Liveness::Tombstone => Ok(record),
        Liveness::Merged(_) => {
            // Its data is another's; what is left of its log goes.
            if log.bounds(region.id)?.is_some() || log.state(region.id)?.is_some() {
                log.write(&LogBatch { ops: vec![remove_log(log, &region)?], ..LogBatch::default() }, false)?;
            }
            Ok(record)
        }
        Liveness::Applying(arrival) => {
            begin_log_anew(log, &region, arrival.apply)?;
            take_in(engine, &region, arrival)?;
            Ok(RegionRecord { liveness: Liveness::Normal, region })
        }
        Liveness::Leaving => {
            let mut batch = WriteBatch::new();
            delete_applied(region.region_id(), &mut batch);
            engine.write(&batch, false)?;
            log.write(&LogBatch { ops: vec![remove_log(log, &region)?], ..LogBatch::default() }, false)?;
            clear(engine, &record)?;
            Ok(RegionRecord { liveness: Liveness::Tombstone, region })
        }
    }
}

fn remove_log(log: &dyn RaftLog, region: &Region) -> Result<LogOp, StoreError> {
    let (first, last) = log.bounds(region.id)?.unwrap_or_default();
    Ok(LogOp::Remove { group: region.id, first, last })
}

/// A log in an engine of its own is written after the record that announces an image: then the crash may have left the
/// old log, which the image overrules. Its hard state stays: nothing was promised since.
fn begin_log_anew(log: &dyn RaftLog, region: &Region, apply: ApplyRecord) -> Result<(), StoreError> {
    let is_old = match log.bounds(region.id)? {
        Some((first, _)) => first <= apply.applied_index,
        None => log.state(region.id)?.is_none(),
    };
    if !is_old {
        return Ok(());
    }
    let first_state = HardState { term: apply.applied_term, commit: apply.applied_index, ..HardState::default() };
    let state = log.state(region.id)?.unwrap_or_else(|| encode_hard_state(&first_state));
    let ops = vec![remove_log(log, region)?, LogOp::State { group: region.id, state }];
    Ok(log.write(&LogBatch { ops, ..LogBatch::default() }, true)?)
}
