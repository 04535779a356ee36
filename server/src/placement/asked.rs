//! Regions that somebody wants cut at certain keys, or spread over the stores: `SplitRegions`, `ScatterRegion` and both
//! in one. What is wanted becomes operators like any other; their leaders are told with their next heartbeats.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use nokv_placement::schedule::Unwilling;
use nokv_proto::pdpb::*;
use nokv_raftstore::RegionId;
use tokio::time::Instant;
use tonic::Status;

use super::led::Led;
use super::wire::{header, refused};
use super::{Placement, PlacementError};

/// Keys, or regions, of one request.
const ASKED_MAX: usize = 4_096;
/// Keys at which one region is cut at a time.
const CUTS_MAX: usize = 128;
/// How long is waited until regions are cut: every leader tells of a region that did not change each twenty seconds.
const CUT_MAX: Duration = Duration::from_secs(25);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(100);

impl Placement {
    pub(super) async fn scatter_region(&self, request: ScatterRegionRequest) -> Result<ScatterRegionResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        #[expect(deprecated, reason = "older clients ask so")]
        let one = request.region_id;
        let ids = if request.regions_id.is_empty() { vec![one] } else { request.regions_id };
        check_count(ids.len())?;
        let failed = self.scatter(&ids, &request.group)?;
        let percentage = share(ids.len() - failed.len(), ids.len());
        let why = failed.first().map(|(id, why)| format!("region {id}: {why}"));
        let header = match why {
            // Of several, those that failed are named.
            Some(why) if ids.len() == 1 => {
                let kind = match failed.first() {
                    Some((_, Unwilling::NoRegion)) => ErrorType::RegionNotFound,
                    _ => ErrorType::Unknown,
                };
                refused(cluster_id, kind, why)
            }
            _ => header(cluster_id),
        };
        let failed_regions_id = failed.into_iter().map(|(id, _)| id).collect();
        Ok(ScatterRegionResponse { header: Some(header), finished_percentage: percentage, failed_regions_id })
    }

    pub(super) async fn split_regions(&self, request: SplitRegionsRequest) -> Result<SplitRegionsResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        let (finished_percentage, regions_id) = self.split_at(request.split_keys).await?;
        Ok(SplitRegionsResponse { header: Some(header(cluster_id)), finished_percentage, regions_id })
    }

    pub(super) async fn split_and_scatter_regions(
        &self,
        request: SplitAndScatterRegionsRequest,
    ) -> Result<SplitAndScatterRegionsResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        let (split_finished_percentage, regions_id) = self.split_at(request.split_keys).await?;
        let failed = self.scatter(&regions_id, &request.group)?;
        Ok(SplitAndScatterRegionsResponse {
            header: Some(header(cluster_id)),
            split_finished_percentage,
            scatter_finished_percentage: share(regions_id.len() - failed.len(), regions_id.len()),
            regions_id,
        })
    }

    /// Has regions spread; those with which that cannot be done now, and why.
    fn scatter(&self, ids: &[u64], group: &str) -> Result<Vec<(u64, Unwilling)>, PlacementError> {
        let now_ms = self.now_ms();
        self.look(|led| {
            let Led { scheduler, state, peer_ids, .. } = led;
            let next_id = state.next_id();
            let mut spread =
                |id: u64| scheduler.scatter(state, RegionId(id), group, now_ms, &mut || peer_ids.take(next_id));
            ids.iter().filter_map(|id| spread(*id).err().map(|why| (*id, why))).collect()
        })
    }

    /// Has regions cut at these keys, and waits until it is done or its time is over: for how many in a hundred it is,
    /// and the regions that begin there.
    async fn split_at(&self, keys: Vec<Bytes>) -> Result<(u64, Vec<u64>), Status> {
        check_count(keys.len())?;
        let keys: BTreeSet<Bytes> = keys.into_iter().filter(|key| !key.is_empty()).collect();
        let deadline = Instant::now() + CUT_MAX;
        loop {
            let now_ms = self.now_ms();
            let begun = self.look(|led| cut(led, &keys, now_ms))?;
            if begun.len() >= keys.len() || Instant::now() >= deadline {
                return Ok((share(begun.len(), keys.len()), begun));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Begins what can be begun now. The regions that begin at one of the keys already.
fn cut(led: &mut Led, keys: &BTreeSet<Bytes>, now_ms: u64) -> Vec<u64> {
    let mut begun = Vec::new();
    let mut wanted: BTreeMap<RegionId, Vec<Bytes>> = BTreeMap::new();
    for key in keys {
        let Some(info) = led.state.regions().holding(key) else { continue };
        if info.bounds().0 == key {
            begun.push(info.id().0);
        } else {
            wanted.entry(info.id()).or_default().push(key.clone());
        }
    }
    for (region, mut cuts) in wanted {
        cuts.truncate(CUTS_MAX);
        // What cannot be done now is tried again at the next look.
        let _ = led.scheduler.cut(&led.state, region, cuts, now_ms);
    }
    begun
}

fn check_count(count: usize) -> Result<(), Status> {
    if count == 0 || count > ASKED_MAX {
        return Err(Status::invalid_argument(format!("{count} were named; a request names 1 to {ASKED_MAX}")));
    }
    Ok(())
}

/// In hundredths, rounded down.
fn share(done: usize, all: usize) -> u64 {
    u64::try_from(done * 100 / all.max(1)).unwrap_or(100)
}
