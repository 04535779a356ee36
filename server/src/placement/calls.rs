//! The calls about the cluster, its stores, ids and safe points. Each looks at the state, or has a command decided.
//! A request that names another cluster is refused before anything else.

use bytes::Bytes;
use nokv_engine::Engine;
use nokv_placement::state::{Command, Refusal, Reply, StoreRecord};
use nokv_proto::metapb::{Cluster, Store, StoreState};
use nokv_proto::pdpb::*;
use nokv_raftstore::StoreId;
use tonic::Status;

use super::wire::{header, refusal, refused};
use super::{Placement, PlacementError};

/// What a request's header says, if there is one.
pub(super) fn claimed(header: Option<&RequestHeader>) -> u64 {
    header.map_or(0, |header| header.cluster_id)
}

impl<E: Engine> Placement<E> {
    /// Refuses a request of another cluster. Requests that name none are from clients that do not know it yet.
    pub(super) fn check_cluster(&self, header: Option<&RequestHeader>) -> Result<u64, Status> {
        let (ours, theirs) = (self.cluster_id(), claimed(header));
        if ours == 0 {
            return Err(Status::unavailable("the cluster has not begun yet; not leader of placement"));
        }
        if theirs != 0 && theirs != ours {
            return Err(Status::failed_precondition(Refusal::OtherCluster { ours, theirs }.to_string()));
        }
        Ok(ours)
    }

    /// Decides a command for a call that is answered by nothing but a header.
    async fn answered_header(
        &self,
        claims: Option<&RequestHeader>,
        command: Command,
    ) -> Result<ResponseHeader, Status> {
        let cluster_id = self.check_cluster(claims)?;
        Ok(self.answer(cluster_id, command).await?.err().unwrap_or_else(|| header(cluster_id)))
    }

    /// Decides a command for a call whose refusals stand in the header.
    pub(super) async fn answer(
        &self,
        cluster_id: u64,
        command: Command,
    ) -> Result<Result<Reply, ResponseHeader>, Status> {
        match self.decide(command).await {
            Ok(reply) => Ok(Ok(reply)),
            Err(PlacementError::Refused(why)) => Ok(Err(refusal(cluster_id, &why))),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn get_members(&self, _: GetMembersRequest) -> Result<GetMembersResponse, Status> {
        let cluster_id = self.cluster_id();
        let (members, leader) = self.members();
        if members.is_empty()
            && let Some(told) = self.inner.link.told()
        {
            // This node is no member: what its reporter was told. It asks nobody, or two such might ask in circles.
            return Ok(told);
        }
        if cluster_id == 0 || leader.is_none() {
            return Err(Status::unavailable("placement has no leader at the moment"));
        }
        let member = |store: &StoreId| {
            let address = self.address(*store)?;
            let url = format!("http://{address}");
            let name = format!("store-{store}");
            let (peer_urls, client_urls) = (vec![url.clone()], vec![url]);
            Some(Member { name, member_id: store.0, peer_urls, client_urls, ..Member::default() })
        };
        let leader = leader.as_ref().and_then(member);
        Ok(GetMembersResponse {
            header: Some(header(cluster_id)),
            members: members.iter().filter_map(member).collect(),
            etcd_leader: leader.clone(),
            leader,
            ..GetMembersResponse::default()
        })
    }

    pub(super) async fn get_cluster_info(&self, _: GetClusterInfoRequest) -> Result<GetClusterInfoResponse, Status> {
        let cluster_id = self.check_cluster(None)?;
        Ok(GetClusterInfoResponse {
            header: Some(header(cluster_id)),
            service_modes: vec![ServiceMode::PdSvcMode.into()],
            tso_urls: Vec::new(),
        })
    }

    pub(super) async fn get_min_ts(&self, request: GetMinTsRequest) -> Result<GetMinTsResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        let first = self.timestamps(1).await?;
        Ok(GetMinTsResponse { header: Some(header(cluster_id)), timestamp: Some(last_of(first, 1)) })
    }

    pub(super) async fn bootstrap(&self, request: BootstrapRequest) -> Result<BootstrapResponse, Status> {
        let command = Command::Bootstrap { store: request.store.unwrap_or_default(), region: request.region };
        let header = Some(self.answered_header(request.header.as_ref(), command).await?);
        Ok(BootstrapResponse { header, ..BootstrapResponse::default() })
    }

    pub(super) async fn is_bootstrapped(
        &self,
        request: IsBootstrappedRequest,
    ) -> Result<IsBootstrappedResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        let bootstrapped = self.look(|led| led.state.is_bootstrapped())?;
        Ok(IsBootstrappedResponse { header: Some(header(cluster_id)), bootstrapped })
    }

    pub(super) async fn alloc_id(&self, request: AllocIdRequest) -> Result<AllocIdResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        let count = request.count.max(1);
        Ok(match self.answer(cluster_id, Command::AllocateIds { count }).await? {
            Ok(Reply::Ids { first, count }) => AllocIdResponse {
                header: Some(header(cluster_id)),
                // As PD has it: the last of the batch.
                id: first + u64::from(count) - 1,
                count,
            },
            Ok(_) => return Err(Status::internal("ids were asked for, and something else was answered")),
            Err(refused) => AllocIdResponse { header: Some(refused), ..AllocIdResponse::default() },
        })
    }

    pub(super) async fn get_store(&self, request: GetStoreRequest) -> Result<GetStoreResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        let id = StoreId(request.store_id);
        let found = self.look(|led| {
            let record = led.state.store(id)?;
            let last = led.scheduler.last_word(id, self.now_ms());
            Some((self.described(record, last.map(|(_, silent_ms)| silent_ms)), last.map(|(report, _)| report)))
        })?;
        let Some((store, report)) = found else {
            let why = Refusal::StoreNotFound(id);
            return Ok(GetStoreResponse { header: Some(refusal(cluster_id, &why)), ..GetStoreResponse::default() });
        };
        let stats = report.map(|report| StoreStats {
            store_id: id.0,
            capacity: report.capacity_bytes,
            available: report.available_bytes,
            region_count: u32::try_from(report.peers).unwrap_or(u32::MAX),
            ..StoreStats::default()
        });
        Ok(GetStoreResponse { header: Some(header(cluster_id)), store: Some(store), stats })
    }

    /// A store with when it was heard of last, in nanoseconds since 1970.
    fn described(&self, record: &StoreRecord, silent_ms: Option<u64>) -> Store {
        let heard_ms = silent_ms.map_or(0, |silent_ms| self.now_ms().saturating_sub(silent_ms));
        Store { last_heartbeat: i64::try_from(heard_ms).unwrap_or(0).saturating_mul(1_000_000), ..record.store.clone() }
    }

    pub(super) async fn get_all_stores(&self, request: GetAllStoresRequest) -> Result<GetAllStoresResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        let stores = self.look(|led| {
            let wanted =
                |record: &&StoreRecord| !request.exclude_tombstone_stores || record.state() != StoreState::Tombstone;
            let silent_ms = |id| led.scheduler.last_word(id, self.now_ms()).map(|(_, silent_ms)| silent_ms);
            let described = |record: &StoreRecord| self.described(record, silent_ms(record.id()));
            led.state.stores().filter(wanted).map(described).collect()
        })?;
        Ok(GetAllStoresResponse { header: Some(header(cluster_id)), stores })
    }

    /// `directory` is the number that the store's directory keeps; 0 = it has none.
    pub(super) async fn put_store(&self, request: PutStoreRequest, directory: u64) -> Result<PutStoreResponse, Status> {
        let command = Command::PutStore { store: request.store.unwrap_or_default(), directory };
        let header = Some(self.answered_header(request.header.as_ref(), command).await?);
        Ok(PutStoreResponse { header, ..PutStoreResponse::default() })
    }

    pub(super) async fn get_cluster_config(
        &self,
        request: GetClusterConfigRequest,
    ) -> Result<GetClusterConfigResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        let max_peer_count = self.look(|led| led.state.settings().replicas)?;
        let cluster = Some(Cluster { id: cluster_id, max_peer_count });
        Ok(GetClusterConfigResponse { header: Some(header(cluster_id)), cluster })
    }

    pub(super) async fn put_cluster_config(
        &self,
        request: PutClusterConfigRequest,
    ) -> Result<PutClusterConfigResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        let cluster = request.cluster.unwrap_or_default();
        if cluster.id != 0 && cluster.id != cluster_id {
            let why = Refusal::OtherCluster { ours: cluster_id, theirs: cluster.id };
            return Ok(PutClusterConfigResponse {
                header: Some(refused(cluster_id, ErrorType::InvalidValue, why.to_string())),
            });
        }
        let mut settings = self.look(|led| led.state.settings().clone())?;
        settings.replicas = cluster.max_peer_count;
        let header = Some(self.answered_header(request.header.as_ref(), Command::PutSettings(settings)).await?);
        Ok(PutClusterConfigResponse { header })
    }

    pub(super) async fn get_gc_safe_point(
        &self,
        request: GetGcSafePointRequest,
    ) -> Result<GetGcSafePointResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        let safe_point = self.look(|led| led.state.safe_point())?;
        Ok(GetGcSafePointResponse { header: Some(header(cluster_id)), safe_point })
    }

    pub(super) async fn update_gc_safe_point(
        &self,
        request: UpdateGcSafePointRequest,
    ) -> Result<UpdateGcSafePointResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        let reply = self.decide(Command::AdvanceSafePoint { target: request.safe_point }).await?;
        let Reply::SafePoint(new_safe_point) = reply else {
            return Err(Status::internal("the safe point was asked for, and something else was answered"));
        };
        Ok(UpdateGcSafePointResponse { header: Some(header(cluster_id)), new_safe_point })
    }

    pub(super) async fn update_service_gc_safe_point(
        &self,
        request: UpdateServiceGcSafePointRequest,
    ) -> Result<UpdateServiceGcSafePointResponse, Status> {
        let cluster_id = self.check_cluster(request.header.as_ref())?;
        let holder = String::from_utf8_lossy(&request.service_id).into_owned();
        let command = Command::HoldSafePoint { holder, safe_point: request.safe_point, ttl_s: request.ttl };
        Ok(match self.answer(cluster_id, command).await? {
            Ok(Reply::Holder(least)) => UpdateServiceGcSafePointResponse {
                header: Some(header(cluster_id)),
                service_id: Bytes::from(least.holder),
                ttl: least.ttl_s,
                min_safe_point: least.safe_point,
            },
            Ok(_) => return Err(Status::internal("a holder was asked for, and something else was answered")),
            Err(refused) => UpdateServiceGcSafePointResponse { header: Some(refused), ..Default::default() },
        })
    }
}

/// A batch of timestamps as the wire has it: the largest of them.
pub(super) fn last_of(first: u64, count: u32) -> Timestamp {
    let last = first + u64::from(count.max(1)) - 1;
    let (physical, logical) = (last >> nokv_placement::clock::LOGICAL_BITS, last & LOGICAL_MASK);
    Timestamp {
        physical: i64::try_from(physical).unwrap_or(i64::MAX),
        logical: i64::try_from(logical).unwrap_or(i64::MAX),
        suffix_bits: 0,
    }
}

const LOGICAL_MASK: u64 = (1 << nokv_placement::clock::LOGICAL_BITS) - 1;
