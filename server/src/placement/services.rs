//! `pdpb.PD` and TinyKV's `schedulerpb.Scheduler`: one table of calls, which both serve from the same functions.
//! What is in neither part of the table is answered "unimplemented", with the call's name.

use nokv_proto::pdpb::pd_server::Pd;
use nokv_proto::pdpb::*;
use nokv_proto::schedulerpb::scheduler_server::Scheduler;
use tonic::{Request, Response, Status, Streaming};

use super::Placement;
use super::heartbeats::Answers;

/// The header by which a store tells the number that its directory keeps.
pub(crate) const DIRECTORY_HEADER: &str = "nokv-directory";

/// Placement under PD's name.
#[derive(Clone, Debug)]
pub struct PdService(Placement);

/// Placement under TinyKV's name.
#[derive(Clone, Debug)]
pub struct SchedulerService(Placement);

impl PdService {
    /// Serves this placement.
    pub fn new(placement: Placement) -> Self {
        Self(placement)
    }
}

impl SchedulerService {
    /// Serves this placement.
    pub fn new(placement: Placement) -> Self {
        Self(placement)
    }
}

type Answered<T> = Result<Response<T>, Status>;

fn directory<T>(request: &Request<T>) -> u64 {
    let text = request.metadata().get(DIRECTORY_HEADER).and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// One of the two services: the calls that both have, and what is its own.
macro_rules! service {
    ($trait:ident for $service:ident { $($call:ident($question:ty) -> $answer:ty;)* } $($own:tt)*) => {
        #[tonic::async_trait]
        impl $trait for $service {
            type TsoStream = Answers<TsoResponse>;
            type RegionHeartbeatStream = Answers<RegionHeartbeatResponse>;

            async fn tso(&self, request: Request<Streaming<TsoRequest>>) -> Answered<Self::TsoStream> {
                Ok(Response::new(self.0.clone().tso_stream(request.into_inner())))
            }

            async fn region_heartbeat(
                &self,
                request: Request<Streaming<RegionHeartbeatRequest>>,
            ) -> Answered<Self::RegionHeartbeatStream> {
                Ok(Response::new(self.0.clone().region_heartbeats(request.into_inner())))
            }

            async fn put_store(&self, request: Request<PutStoreRequest>) -> Answered<PutStoreResponse> {
                let directory = directory(&request);
                self.0.put_store(request.into_inner(), directory).await.map(Response::new)
            }

            $(async fn $call(&self, request: Request<$question>) -> Answered<$answer> {
                self.0.$call(request.into_inner()).await.map(Response::new)
            })*

            $($own)*
        }
    };
}

/// Hands the calls to both services: those of both, and those of PD alone, served and not.
macro_rules! serve {
    (
        both { $($both:tt)* }
        pd { $($pd_call:ident($pd_question:ty) -> $pd_answer:ty;)* }
        absent { $($absent:ident($absent_question:ty) -> $absent_answer:ty;)* }
    ) => {
        service! { Scheduler for SchedulerService { $($both)* } }
        service! { Pd for PdService { $($both)* }
            type QueryRegionStream = Answers<QueryRegionResponse>;
            type WatchGlobalConfigStream = Answers<WatchGlobalConfigResponse>;
            type WatchGCSafePointV2Stream = Answers<WatchGcSafePointV2Response>;

            async fn query_region(
                &self,
                request: Request<Streaming<QueryRegionRequest>>,
            ) -> Answered<Self::QueryRegionStream> {
                Ok(Response::new(self.0.clone().query_regions(request.into_inner())))
            }

            async fn watch_global_config(
                &self,
                _: Request<WatchGlobalConfigRequest>,
            ) -> Answered<Self::WatchGlobalConfigStream> {
                Err(Status::unimplemented("watch_global_config is not served"))
            }

            async fn watch_gc_safe_point_v2(
                &self,
                _: Request<WatchGcSafePointV2Request>,
            ) -> Answered<Self::WatchGCSafePointV2Stream> {
                Err(Status::unimplemented("watch_gc_safe_point_v2 is not served"))
            }

            async fn report_buckets(
                &self,
                _: Request<Streaming<ReportBucketsRequest>>,
            ) -> Answered<ReportBucketsResponse> {
                Err(Status::unimplemented("report_buckets is not served"))
            }

            $(async fn $pd_call(&self, request: Request<$pd_question>) -> Answered<$pd_answer> {
                self.0.$pd_call(request.into_inner()).await.map(Response::new)
            })*
            $(async fn $absent(&self, _: Request<$absent_question>) -> Answered<$absent_answer> {
                Err(Status::unimplemented(concat!(stringify!($absent), " is not served")))
            })*
        }
    };
}

serve! {
    both {
        get_members(GetMembersRequest) -> GetMembersResponse;
        bootstrap(BootstrapRequest) -> BootstrapResponse;
        is_bootstrapped(IsBootstrappedRequest) -> IsBootstrappedResponse;
        alloc_id(AllocIdRequest) -> AllocIdResponse;
        get_store(GetStoreRequest) -> GetStoreResponse;
        get_all_stores(GetAllStoresRequest) -> GetAllStoresResponse;
        store_heartbeat(StoreHeartbeatRequest) -> StoreHeartbeatResponse;
        get_region(GetRegionRequest) -> GetRegionResponse;
        get_prev_region(GetRegionRequest) -> GetRegionResponse;
        get_region_by_id(GetRegionByIdRequest) -> GetRegionResponse;
        scan_regions(ScanRegionsRequest) -> ScanRegionsResponse;
        ask_split(AskSplitRequest) -> AskSplitResponse;
        get_cluster_config(GetClusterConfigRequest) -> GetClusterConfigResponse;
        put_cluster_config(PutClusterConfigRequest) -> PutClusterConfigResponse;
        get_gc_safe_point(GetGcSafePointRequest) -> GetGcSafePointResponse;
        update_gc_safe_point(UpdateGcSafePointRequest) -> UpdateGcSafePointResponse;
        get_operator(GetOperatorRequest) -> GetOperatorResponse;
        scatter_region(ScatterRegionRequest) -> ScatterRegionResponse;
    }
    pd {
        get_cluster_info(GetClusterInfoRequest) -> GetClusterInfoResponse;
        get_min_ts(GetMinTsRequest) -> GetMinTsResponse;
        batch_scan_regions(BatchScanRegionsRequest) -> BatchScanRegionsResponse;
        ask_batch_split(AskBatchSplitRequest) -> AskBatchSplitResponse;
        report_split(ReportSplitRequest) -> ReportSplitResponse;
        report_batch_split(ReportBatchSplitRequest) -> ReportBatchSplitResponse;
        split_regions(SplitRegionsRequest) -> SplitRegionsResponse;
        split_and_scatter_regions(SplitAndScatterRegionsRequest) -> SplitAndScatterRegionsResponse;
        update_service_gc_safe_point(UpdateServiceGcSafePointRequest) -> UpdateServiceGcSafePointResponse;
    }
    absent {
        set_external_timestamp(SetExternalTimestampRequest) -> SetExternalTimestampResponse;
        get_external_timestamp(GetExternalTimestampRequest) -> GetExternalTimestampResponse;
        is_snapshot_recovering(IsSnapshotRecoveringRequest) -> IsSnapshotRecoveringResponse;
        store_global_config(StoreGlobalConfigRequest) -> StoreGlobalConfigResponse;
        load_global_config(LoadGlobalConfigRequest) -> LoadGlobalConfigResponse;
        report_min_resolved_ts(ReportMinResolvedTsRequest) -> ReportMinResolvedTsResponse;
        get_gc_safe_point_v2(GetGcSafePointV2Request) -> GetGcSafePointV2Response;
        update_gc_safe_point_v2(UpdateGcSafePointV2Request) -> UpdateGcSafePointV2Response;
        update_service_safe_point_v2(UpdateServiceSafePointV2Request) -> UpdateServiceSafePointV2Response;
        get_all_gc_safe_point_v2(GetAllGcSafePointV2Request) -> GetAllGcSafePointV2Response;
        advance_gc_safe_point(AdvanceGcSafePointRequest) -> AdvanceGcSafePointResponse;
        advance_txn_safe_point(AdvanceTxnSafePointRequest) -> AdvanceTxnSafePointResponse;
        set_gc_barrier(SetGcBarrierRequest) -> SetGcBarrierResponse;
        delete_gc_barrier(DeleteGcBarrierRequest) -> DeleteGcBarrierResponse;
        set_global_gc_barrier(SetGlobalGcBarrierRequest) -> SetGlobalGcBarrierResponse;
        delete_global_gc_barrier(DeleteGlobalGcBarrierRequest) -> DeleteGlobalGcBarrierResponse;
        get_gc_state(GetGcStateRequest) -> GetGcStateResponse;
        get_all_keyspaces_gc_states(GetAllKeyspacesGcStatesRequest) -> GetAllKeyspacesGcStatesResponse;
    }
}
