//! The few calls of etcd and of keyspaces without which some clients of PD do not start: who the members are, a small
//! value that they keep, and the one keyspace that there is.

use nokv_placement::state::Command;
use nokv_proto::etcdserverpb::cluster_server::Cluster;
use nokv_proto::etcdserverpb::kv_server::Kv;
use nokv_proto::etcdserverpb::*;
use nokv_proto::keyspacepb::keyspace_server::Keyspace;
use nokv_proto::keyspacepb::*;
use nokv_proto::mvccpb::KeyValue;
use nokv_proto::pdpb::{ErrorType, GetMembersRequest};
use tonic::{Request, Response, Status};

use super::heartbeats::Answers;
use super::wire::{header, refused};
use super::{Placement, PlacementError};

/// The keyspace that a client gets which asks for none by name.
const DEFAULT_KEYSPACE: &str = "DEFAULT";

/// Placement as clients of etcd and of keyspaces see it.
#[derive(Clone, Debug)]
pub struct EtcdService(Placement);

impl EtcdService {
    /// Serves this placement.
    pub fn new(placement: Placement) -> Self {
        Self(placement)
    }

    fn etcd_header(&self) -> Option<ResponseHeader> {
        let (_, leader) = self.0.members();
        Some(ResponseHeader {
            cluster_id: self.0.cluster_id(),
            member_id: leader.map_or(0, |leader| leader.0),
            revision: 1,
            raft_term: 1,
        })
    }

    fn default_keyspace(&self, wanted: bool, what: &str) -> Result<Response<LoadKeyspaceResponse>, Status> {
        let cluster_id = self.0.check_cluster(None)?;
        let answer = if wanted {
            let name = DEFAULT_KEYSPACE.to_owned();
            let keyspace =
                KeyspaceMeta { id: Some(0), name, state: KeyspaceState::Enabled.into(), ..KeyspaceMeta::default() };
            LoadKeyspaceResponse { header: Some(header(cluster_id)), keyspace: Some(keyspace) }
        } else {
            let text = format!("there is no keyspace {what}: there is {DEFAULT_KEYSPACE} alone");
            LoadKeyspaceResponse { header: Some(refused(cluster_id, ErrorType::EntryNotFound, text)), keyspace: None }
        };
        Ok(Response::new(answer))
    }
}

#[tonic::async_trait]
impl Cluster for EtcdService {
    async fn member_list(&self, _: Request<MemberListRequest>) -> Result<Response<MemberListResponse>, Status> {
        let told = self.0.get_members(GetMembersRequest::default()).await?;
        let member = |member: nokv_proto::pdpb::Member| Member {
            id: member.member_id,
            name: member.name,
            peer_urls: member.peer_urls,
            client_urls: member.client_urls,
            is_learner: false,
        };
        let members = told.members.into_iter().map(member).collect();
        Ok(Response::new(MemberListResponse { header: self.etcd_header(), members }))
    }
}

#[tonic::async_trait]
impl Kv for EtcdService {
    async fn range(&self, request: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        let RangeRequest { key, range_end, .. } = request.into_inner();
        if !range_end.is_empty() {
            return Err(Status::unimplemented("one key at a time is kept here, not ranges of them"));
        }
        let found = self.0.look(|led| led.state.value(&key).cloned())?;
        let kvs: Vec<_> =
            found.into_iter().map(|value| KeyValue { key: key.clone(), value, ..Default::default() }).collect();
        let count = i64::try_from(kvs.len()).unwrap_or(i64::MAX);
        Ok(Response::new(RangeResponse { header: self.etcd_header(), kvs, more: false, count }))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let PutRequest { key, value, .. } = request.into_inner();
        self.0.decide(Command::PutValue { key, value }).await.map_err(|error: PlacementError| Status::from(error))?;
        Ok(Response::new(PutResponse { header: self.etcd_header(), prev_kv: None }))
    }

    async fn delete_range(&self, _: Request<DeleteRangeRequest>) -> Result<Response<DeleteRangeResponse>, Status> {
        Err(Status::unimplemented("delete_range is not served"))
    }

    async fn txn(&self, _: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        Err(Status::unimplemented("txn is not served"))
    }
}

#[tonic::async_trait]
impl Keyspace for EtcdService {
    type WatchKeyspacesStream = Answers<WatchKeyspacesResponse>;

    async fn load_keyspace(
        &self,
        request: Request<LoadKeyspaceRequest>,
    ) -> Result<Response<LoadKeyspaceResponse>, Status> {
        let name = request.into_inner().name;
        self.default_keyspace(name == DEFAULT_KEYSPACE, &name)
    }

    async fn load_keyspace_by_id(
        &self,
        request: Request<LoadKeyspaceByIdRequest>,
    ) -> Result<Response<LoadKeyspaceResponse>, Status> {
        let id = request.into_inner().id.unwrap_or(0);
        self.default_keyspace(id == 0, &id.to_string())
    }

    async fn lookup_keyspace(
        &self,
        _: Request<LookupKeyspaceRequest>,
    ) -> Result<Response<LookupKeyspaceResponse>, Status> {
        Err(Status::unimplemented("lookup_keyspace is not served"))
    }

    async fn watch_keyspaces(
        &self,
        _: Request<WatchKeyspacesRequest>,
    ) -> Result<Response<Self::WatchKeyspacesStream>, Status> {
        Err(Status::unimplemented("watch_keyspaces is not served"))
    }

    async fn update_keyspace_state(
        &self,
        _: Request<UpdateKeyspaceStateRequest>,
    ) -> Result<Response<UpdateKeyspaceStateResponse>, Status> {
        Err(Status::unimplemented("update_keyspace_state is not served"))
    }

    async fn get_all_keyspaces(
        &self,
        _: Request<GetAllKeyspacesRequest>,
    ) -> Result<Response<GetAllKeyspacesResponse>, Status> {
        Err(Status::unimplemented("get_all_keyspaces is not served"))
    }
}
