//! Regions that grow too large are split by themselves, by the store that leads them.
//!
//! ```text
//!   every few seconds, for each region that is led here:
//!     what is believed of its size (a sum that apply keeps)  ── unknown? ──► the engine's estimate
//!       └─ too large ─► a walk over a view, on a thread where waiting hurts nobody: keys, and the true size
//!            └─ keys ─► ids are drawn ─► a split like any other
//! ```
//!
//! * `bounds.rs`: which part of a record's key may become a region's bound.
//! * `by_load.rs`: where to cut a region that is too busy, by a sample of what it is asked for.
//!
//! Invariant: a region is walked over once for each eighth of its bound that it grows, not more often.

mod bounds;
mod by_load;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use nokv_engine::Engine;
use nokv_proto::metapb::{Region, RegionEpoch};
use nokv_raftstore::{
    Cuts, RegionError, RegionExt, RegionLoad, RegionSize, RegionStatus, Role, SizeLimits, StoreError, find_cuts,
};
use nokv_transport::RegionId;
use slog::{Logger, info, warn};
use tokio::sync::watch;

use self::bounds::bound_of;
use self::by_load::{Verdict, halve};
use crate::admin::{AdminError, RegionAdmin, SplitAt};

/// When regions are split, and how often it is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoSplitOptions {
    /// How large regions may be; `None` = none is split by itself.
    pub limits: Option<SizeLimits>,
    /// How often it is looked.
    pub interval: Duration,
}

impl Default for AutoSplitOptions {
    fn default() -> Self {
        Self { limits: Some(SizeLimits::default()), interval: Duration::from_secs(5) }
    }
}

/// Whether regions are split by themselves, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoSplitState {
    /// They are.
    On,
    /// It is switched off.
    Off,
    /// There is nobody to draw ids of new regions from.
    NoIds,
}

impl AutoSplitState {
    /// As status pages show it.
    pub fn as_str(self) -> &'static str {
        match self {
            AutoSplitState::On => "on",
            AutoSplitState::Off => "off",
            AutoSplitState::NoIds => "off: no timestamp server is configured to draw ids of new regions from",
        }
    }
}

/// What was found when a region was walked over.
#[derive(Clone, Copy, Debug)]
struct Walked {
    version: u64,
    size: RegionSize,
}

/// Splits what is too large.
#[derive(Debug)]
pub struct AutoSplit<E: Engine> {
    admin: RegionAdmin<E>,
    options: AutoSplitOptions,
    walked: BTreeMap<RegionId, Walked>,
    log: Logger,
}

impl<E: Engine> AutoSplit<E> {
    /// Over the regions of `admin`.
    pub fn new(admin: RegionAdmin<E>, options: AutoSplitOptions, log: Logger) -> Self {
        Self { admin, options, walked: BTreeMap::new(), log }
    }

    /// Whether it does anything.
    pub fn state(&self) -> AutoSplitState {
        match self.options.limits {
            None => AutoSplitState::Off,
            Some(_) if !self.admin.draws_ids() => AutoSplitState::NoIds,
            Some(_) => AutoSplitState::On,
        }
    }

    /// Looks until the node stops.
    pub async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        if self.state() != AutoSplitState::On {
            info!(self.log, "regions are not split by themselves"; "automatic splits" => self.state().as_str());
        }
        loop {
            let stopped = async {
                // An error means that the node is gone.
                let _ = stopping.wait_for(|stop| *stop).await;
            };
            tokio::select! {
                () = tokio::time::sleep(self.options.interval) => {}
                () = stopped => return,
            }
            self.look().await;
        }
    }

    /// Looks at every region that is led here, once.
    pub(crate) async fn look(&mut self) {
        let regions = self.admin.raftstore().regions();
        let led =
            regions.into_iter().filter(|status| status.state.role == Role::Leader && status.merging_into.is_none());
        let led: Vec<_> = led.collect();
        self.walked.retain(|region, _| led.iter().any(|status| status.state.region.region_id() == *region));
        for status in led {
            if let Err(error) = self.look_at(&status).await {
                // Whatever it is of the disk's, those who write will meet it, and the node ends.
                warn!(self.log, "a region's size is not known"; "region" => status.state.region.id, "error" => %error);
            }
        }
    }

    async fn look_at(&mut self, status: &RegionStatus) -> Result<(), StoreError> {
        let region = Region::clone(&status.state.region);
        let size = match status.size {
            Some(size) => size,
            None => self.estimate(&region).await?,
        };
        let Some(limits) = self.options.limits.filter(|limits| limits.exceeded_by(size)) else { return Ok(()) };
        let version = region.epoch().version;
        let grown = |walked: &Walked| {
            size.bytes >= walked.size.bytes + limits.max.bytes / 8
                || size.records >= walked.size.records + limits.max.records / 8
        };
        let known = self.walked.get(&region.region_id()).filter(|walked| walked.version == version);
        if known.is_some_and(|walked| !grown(walked)) {
            return Ok(());
        }
        if self.state() != AutoSplitState::On {
            self.walked.insert(region.region_id(), Walked { version, size });
            warn!(self.log, "a region is too large, and is not split by itself"; "region" => region.id,
                "bytes" => size.bytes, "automatic splits" => self.state().as_str());
            return Ok(());
        }
        let cuts = self.walk(&region, limits).await?;
        self.walked.insert(region.region_id(), Walked { version, size: cuts.walked });
        if cuts.keys.len() < limits.cuts_max {
            self.admin.raftstore().correct_size(region.region_id(), region.epoch(), cuts.walked);
        }
        if !cuts.keys.is_empty() {
            self.split(&region, cuts).await;
        }
        Ok(())
    }

    async fn estimate(&self, region: &Region) -> Result<RegionSize, StoreError> {
        let (engine, of) = (self.admin.raftstore().engine().clone(), region.clone());
        let estimate = blocking(move || Ok(engine.estimate(of.range())?)).await?;
        let size = RegionSize { bytes: estimate.bytes, records: estimate.records };
        self.admin.raftstore().correct_size(region.region_id(), region.epoch(), size);
        Ok(size)
    }

    async fn walk(&self, region: &Region, limits: SizeLimits) -> Result<Cuts, StoreError> {
        let (view, region) = (self.admin.raftstore().engine().view(), region.clone());
        blocking(move || find_cuts(&view, &region, &limits, bound_of)).await
    }

    async fn split(&self, region: &Region, cuts: Cuts) {
        let bytes = cuts.walked.bytes;
        let cuts: Vec<_> = cuts.keys.into_iter().map(|start_key| SplitAt { start_key, ..SplitAt::default() }).collect();
        let count = cuts.len();
        match self.admin.split(region.region_id(), Some(region.epoch()), cuts).await {
            Ok(_) => info!(self.log, "a region was too large, and is split"; "region" => region.id,
                "bytes" => bytes, "new regions" => count),
            // It is tried again when the region has grown, or has another epoch.
            Err(error) => warn!(self.log, "a region is too large, and is not split"; "region" => region.id,
                "bytes" => bytes, "error" => %error),
        }
    }
}

/// Cuts a region in two for placement, when it is too busy for any store: where its load halves, or where its data does
/// if nobody knows anything of its load.
///
/// # Errors
/// [`AdminError`]; also if no key would halve it: the text says why.
pub async fn split_in_half<E: Engine>(
    admin: &RegionAdmin<E>,
    region_id: RegionId,
    epoch: RegionEpoch,
) -> Result<(), AdminError> {
    let gone = || AdminError::Region(RegionError::RegionNotFound { region: region_id });
    let region = Region::clone(&admin.raftstore().region(region_id).ok_or_else(gone)?.state.region);
    if region.epoch().version != epoch.version {
        return Err(AdminError::Region(RegionError::EpochNotMatch { current: vec![region] }));
    }
    let sample = admin.raftstore().with_load(region_id, RegionLoad::sample).unwrap_or_default();
    let start_key = match halve(&sample, &region) {
        Verdict::CutAt(start_key) => start_key,
        Verdict::InVain(why) => return Err(AdminError::Refused(format!("region {region_id} is not split: {why}"))),
        Verdict::Unknown => middle_of_data(admin, &region).await?,
    };
    admin.split(region_id, Some(epoch), vec![SplitAt { start_key, ..SplitAt::default() }]).await.map(drop)
}

async fn middle_of_data<E: Engine>(admin: &RegionAdmin<E>, region: &Region) -> Result<Bytes, AdminError> {
    let disk = |error: StoreError| AdminError::Refused(error.to_string());
    let (view, of) = (admin.raftstore().engine().view(), region.clone());
    let halves = blocking(move || {
        // The first walk tells the size, the second where half of it is.
        let all = RegionSize { bytes: u64::MAX, records: u64::MAX };
        let whole = find_cuts(&view, &of, &SizeLimits { max: all, target: all, cuts_max: 1 }, bound_of)?.walked;
        let half = RegionSize { bytes: (whole.bytes / 2).max(1), records: u64::MAX };
        find_cuts(&view, &of, &SizeLimits { max: half, target: half, cuts_max: 1 }, bound_of)
    });
    let none = || AdminError::Refused(format!("region {} has no key at which it could be cut in half", region.id));
    halves.await.map_err(disk)?.keys.into_iter().next().ok_or_else(none)
}

/// Runs what may read much on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(StoreError::Mismatch(format!("the walk did not end: {error}"))),
    }
}
