//! The calls about regions: where a key is, what lies in a range, ids for a split, what is under way.
//! They are answered from the leader's memory, which its regions' leaders keep new.

use nokv_engine::Engine;
use nokv_placement::regions::ScanBounds;
use nokv_placement::schedule::Kind;
use nokv_placement::state::{Command, Reply};
use nokv_proto::pdpb::*;
use nokv_raftstore::{RegionExt as _, RegionId};
use tonic::Status;

use super::wire::{header, refused, region, region_answer};
use super::{Placement, PlacementError};

/// New regions of one split.
const SPLITS_MAX: u32 = 1_024;

impl<E: Engine> Placement<E> {
    pub(super) async fn get_region(&self, request: GetRegionRequest) -> Result<GetRegionResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        Ok(self.look(|led| region_answer(cluster_id, led.state.regions().holding(&request.region_key)))?)
    }

    pub(super) async fn get_prev_region(&self, request: GetRegionRequest) -> Result<GetRegionResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        Ok(self.look(|led| region_answer(cluster_id, led.state.regions().before(&request.region_key)))?)
    }

    pub(super) async fn get_region_by_id(&self, request: GetRegionByIdRequest) -> Result<GetRegionResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        Ok(self.look(|led| region_answer(cluster_id, led.state.regions().get(RegionId(request.region_id))))?)
    }

    /// One question of a stream: many keys and ids at once. An answer has as many entries as there were keys.
    pub(super) fn query_region(&self, request: &QueryRegionRequest) -> Result<QueryRegionResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        Ok(self.look(|led| {
            let map = led.state.regions();
            let mut answer = QueryRegionResponse { header: Some(header(cluster_id)), ..QueryRegionResponse::default() };
            let mut found = |info: Option<&nokv_placement::regions::RegionInfo>| {
                let Some(info) = info else { return 0 };
                answer.regions_by_id.entry(info.id().0).or_insert_with(|| info.to_response());
                info.id().0
            };
            let by_key: Vec<u64> = request.keys.iter().map(|key| found(map.holding(key))).collect();
            let by_prev: Vec<u64> = request.prev_keys.iter().map(|key| found(map.before(key))).collect();
            request.ids.iter().for_each(|id| {
                found(map.get(RegionId(*id)));
            });
            (answer.key_id_map, answer.prev_key_id_map) = (by_key, by_prev);
            answer
        })?)
    }

    pub(super) async fn scan_regions(&self, request: ScanRegionsRequest) -> Result<ScanRegionsResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        let limit = usize::try_from(request.limit).unwrap_or(0);
        let bounds = ScanBounds { start: request.start_key, end: request.end_key, limit };
        let regions: Vec<Region> =
            self.look(|led| led.state.regions().scan(&bounds).into_iter().map(region).collect())?;
        Ok(ScanRegionsResponse {
            header: Some(header(cluster_id)),
            region_metas: regions.iter().filter_map(|it| it.region.clone()).collect(),
            leaders: regions.iter().map(|it| it.leader.unwrap_or_default()).collect(),
            regions,
        })
    }

    pub(super) async fn batch_scan_regions(
        &self,
        request: BatchScanRegionsRequest,
    ) -> Result<BatchScanRegionsResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        let limit = usize::try_from(request.limit).ok().filter(|limit| *limit != 0).unwrap_or(usize::MAX);
        let mut regions: Vec<Region> = Vec::new();
        for range in request.ranges {
            let bounds = ScanBounds { start: range.start_key, end: range.end_key, limit: 0 };
            let found: Vec<Region> =
                self.look(|led| led.state.regions().scan(&bounds).into_iter().map(region).collect())?;
            if request.contain_all_key_range && !covers(&bounds, &found) {
                let text = "regions with gaps between them: some are not known at the moment";
                let header = Some(refused(cluster_id, ErrorType::RegionsNotContainAllKeyRange, text));
                return Ok(BatchScanRegionsResponse { header, regions: Vec::new() });
            }
            for found in found {
                // Ranges that share a region have it once.
                if regions.len() < limit && regions.last().is_none_or(|last| last.region != found.region) {
                    regions.push(found);
                }
            }
        }
        Ok(BatchScanRegionsResponse { header: Some(header(cluster_id)), regions })
    }

    pub(super) async fn ask_split(&self, request: AskSplitRequest) -> Result<AskSplitResponse, Status> {
        let asked = AskBatchSplitRequest { header: request.header, region: request.region, split_count: 1, reason: 0 };
        let AskBatchSplitResponse { header, ids } = self.ask_batch_split(asked).await?;
        let SplitId { new_region_id, new_peer_ids } = ids.into_iter().next().unwrap_or_default();
        Ok(AskSplitResponse { header, new_region_id, new_peer_ids })
    }

    pub(super) async fn ask_batch_split(&self, request: AskBatchSplitRequest) -> Result<AskBatchSplitResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        let asked = request.region.unwrap_or_default();
        let known = self.look(|led| led.state.regions().get(asked.region_id()).map(|info| info.region.epoch()))?;
        if known.is_some_and(|known| known.version > asked.epoch().version) {
            let header = Some(refused(cluster_id, ErrorType::Unknown, "the region was split or merged already"));
            return Ok(AskBatchSplitResponse { header, ids: Vec::new() });
        }
        if asked.peers.is_empty() || request.split_count == 0 || request.split_count > SPLITS_MAX {
            return Err(Status::invalid_argument("a split has 1 to 1024 new regions, and the region has peers"));
        }
        let each = u32::try_from(asked.peers.len()).unwrap_or(u32::MAX).saturating_add(1);
        let count = each.saturating_mul(request.split_count);
        let reply = self.decide(Command::AllocateIds { count }).await?;
        let Reply::Ids { first, .. } = reply else {
            return Err(Status::internal("ids were asked for, and something else was answered"));
        };
        let split = |at: u32| {
            let new_region_id = first + u64::from(at * each);
            SplitId { new_region_id, new_peer_ids: (new_region_id + 1..new_region_id + u64::from(each)).collect() }
        };
        let ids = (0..request.split_count).map(split).collect();
        Ok(AskBatchSplitResponse { header: Some(header(cluster_id)), ids })
    }

    pub(super) async fn get_operator(&self, request: GetOperatorRequest) -> Result<GetOperatorResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        let region = RegionId(request.region_id);
        let found = self.look(|led| {
            let running = led.scheduler.operator(region).map(|it| (it.clone(), OperatorStatus::Running));
            let ended = || {
                use nokv_placement::schedule::Outcome;
                let ended = led.scheduler.ended().rev().find(|ended| ended.operator.region == region)?;
                let status = match ended.outcome {
                    Outcome::Done => OperatorStatus::Success,
                    Outcome::TimedOut => OperatorStatus::Timeout,
                    Outcome::Cancelled => OperatorStatus::Cancel,
                };
                Some((ended.operator.clone(), status))
            };
            running.or_else(ended)
        })?;
        let Some((operator, status)) = found else {
            let header = Some(refused(cluster_id, ErrorType::EntryNotFound, "nothing is under way with that region"));
            return Ok(GetOperatorResponse { header, ..GetOperatorResponse::default() });
        };
        Ok(GetOperatorResponse {
            header: Some(header(cluster_id)),
            region_id: region.0,
            // Clients that wait until a region is spread look for this very word.
            desc: if operator.kind == Kind::Scatter { "scatter-region".into() } else { operator.reason.into() },
            status: status.into(),
            kind: operator.kind.to_string().into(),
        })
    }

    /// What was split is taken in as if each part had reported, without a leader's figures.
    pub(super) async fn report_split(&self, request: ReportSplitRequest) -> Result<ReportSplitResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        self.take_in(request.left.into_iter().chain(request.right)).await?;
        Ok(ReportSplitResponse { header: Some(header(cluster_id)) })
    }

    pub(super) async fn report_batch_split(
        &self,
        request: ReportBatchSplitRequest,
    ) -> Result<ReportBatchSplitResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        self.take_in(request.regions.into_iter()).await?;
        Ok(ReportBatchSplitResponse { header: Some(header(cluster_id)) })
    }

    async fn take_in(&self, regions: impl Iterator<Item = nokv_proto::metapb::Region>) -> Result<(), Status> {
        for region in regions {
            let report = nokv_placement::regions::Report { region: region.into(), ..Default::default() };
            match self.decide(Command::Report(Box::new(report))).await {
                // What is old is known better already.
                Ok(_) | Err(PlacementError::Refused(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Whether the regions hold every key of the range.
fn covers(bounds: &ScanBounds, regions: &[Region]) -> bool {
    let ranges: Vec<_> = regions.iter().filter_map(|it| it.region.as_ref()).collect();
    let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else { return false };
    let joined = ranges.windows(2).all(|pair| matches!(pair, [left, right] if left.end_key == right.start_key));
    let to_the_end = last.end_key.is_empty() || (!bounds.end.is_empty() && last.end_key >= bounds.end);
    joined && first.start_key <= bounds.start && to_the_end
}
