//! The service `nokvpb.Admin`: each call is checked for what it must carry and handed to [`RegionAdmin`].
//! Regions are shown as this store has them; whoever wants the whole picture asks all stores.

use nokv_engine::Engine;
use nokv_proto::metapb::Region;
use nokv_proto::nokvpb::admin_server::Admin;
use nokv_proto::nokvpb::member_change::Kind;
use nokv_proto::nokvpb::peer_progress::State;
use nokv_proto::nokvpb::{
    self, ChangeMembersRequest, ChangeResponse, MeetRequest, MeetResponse, RaftRole, RegionAtRequest, RegionAtResponse,
    RegionOnStore, RegionsRequest, RegionsResponse, SplitRequest, TransferLeaderRequest,
};
use nokv_raftstore::{
    Feeding, MemberChange, MergeRequest, PeerId, PeerProgress, RegionError, RegionExt, RegionId, RegionStatus, Role,
    StoreId,
};
use tonic::{Request, Response, Status};

use crate::admin::{AdminError, Meeting, RegionAdmin, SplitAt};

/// Regions in one answer.
const REGIONS_MAX: usize = 2_048;

/// Answers operators and their tools.
#[derive(Debug)]
pub struct AdminService<E: Engine> {
    admin: RegionAdmin<E>,
    meeting: Meeting<E>,
}

impl<E: Engine> AdminService<E> {
    /// The service on the regions of `admin`.
    pub fn new(admin: RegionAdmin<E>, meeting: Meeting<E>) -> Self {
        Self { admin, meeting }
    }

    /// One region, with what only its leader knows.
    async fn one(&self, region_id: u64) -> Vec<RegionOnStore> {
        let Some(status) = self.admin.raftstore().region(RegionId(region_id)) else { return Vec::new() };
        let mut region = region(&status);
        if status.state.role == Role::Leader
            && let Ok(known) = self.admin.raftstore().progress(RegionId(region_id)).await
        {
            region.progress = known.into_iter().map(progress).collect();
        }
        vec![region]
    }
}

type Answered<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl<E: Engine> Admin for AdminService<E> {
    async fn regions(&self, request: Request<RegionsRequest>) -> Answered<RegionsResponse> {
        let RegionsRequest { region_id, after_region_id } = request.into_inner();
        let raftstore = self.admin.raftstore();
        let store_id = raftstore.store_id().0;
        if region_id != 0 {
            let regions = self.one(region_id).await;
            return Ok(Response::new(RegionsResponse { store_id, regions, more: false }));
        }
        let all = raftstore.regions();
        let mut behind = all.iter().filter(|status| status.state.region.id > after_region_id);
        let regions = behind.by_ref().take(REGIONS_MAX).map(region).collect();
        Ok(Response::new(RegionsResponse { store_id, regions, more: behind.next().is_some() }))
    }

    async fn region_at(&self, request: Request<RegionAtRequest>) -> Answered<RegionAtResponse> {
        let found = self.admin.raftstore().region_at(&request.into_inner().key);
        let found = found.map(|status| RegionAtResponse {
            region: Some(Region::clone(&status.state.region)),
            leader: status.state.leader,
            leads: status.state.role == Role::Leader,
        });
        Ok(Response::new(found.unwrap_or_default()))
    }

    async fn split(&self, request: Request<SplitRequest>) -> Answered<ChangeResponse> {
        let request = request.into_inner();
        let region_id = region_id(request.region_id)?;
        let cut = |new: nokvpb::NewRegion| SplitAt {
            start_key: new.start_key,
            region_id: new.region_id,
            peer_ids: new.peer_ids,
        };
        let cuts = request.regions.into_iter().map(cut).collect();
        changed(self.admin.split(region_id, request.region_epoch, cuts).await)
    }

    async fn change_members(&self, request: Request<ChangeMembersRequest>) -> Answered<ChangeResponse> {
        let request = request.into_inner();
        let region_id = region_id(request.region_id)?;
        let changes = request.changes.iter().map(member_change).collect::<Result<_, _>>()?;
        let region = self.admin.change_members(region_id, request.region_epoch, changes, request.forced).await;
        changed(region.map(|region| vec![region]))
    }

    async fn transfer_leader(&self, request: Request<TransferLeaderRequest>) -> Answered<ChangeResponse> {
        let request = request.into_inner();
        let to = (request.store_id != 0).then_some(StoreId(request.store_id));
        let begun = self.admin.transfer_leader(region_id(request.region_id)?, to).await;
        changed(begun.map(|()| Vec::new()))
    }

    async fn merge(&self, request: Request<nokvpb::MergeRequest>) -> Answered<ChangeResponse> {
        let request = request.into_inner();
        let (Some(source_epoch), Some(target_epoch)) = (request.source_epoch, request.target_epoch) else {
            return Err(Status::invalid_argument("the request needs source_epoch and target_epoch"));
        };
        let (source, target) = (region_id(request.source_region_id)?, region_id(request.target_region_id)?);
        changed(self.admin.merge(MergeRequest { source, source_epoch, target, target_epoch }).await)
    }

    async fn meet(&self, request: Request<MeetRequest>) -> Answered<MeetResponse> {
        let request = request.into_inner();
        if request.store_id == 0 {
            return Err(Status::invalid_argument("the request has no store_id"));
        }
        let answer = self.meeting.answer(&request);
        answer.map(Response::new).map_err(|error| Status::unavailable(format!("this node cannot serve: {error}")))
    }
}

fn region_id(id: u64) -> Result<RegionId, Status> {
    if id == 0 { Err(Status::invalid_argument("the request has no region_id")) } else { Ok(RegionId(id)) }
}

fn member_change(change: &nokvpb::MemberChange) -> Result<MemberChange, Status> {
    let (store, peer) = (StoreId(change.store_id), PeerId(change.peer_id));
    let needs_store = matches!(change.kind(), Kind::AddLearner | Kind::AddVoter);
    if needs_store && store.0 == 0 {
        return Err(Status::invalid_argument("a change that adds a peer has no store_id"));
    }
    match Kind::try_from(change.kind) {
        Ok(Kind::AddLearner) => Ok(MemberChange::AddLearner { store, peer }),
        Ok(Kind::AddVoter) => Ok(MemberChange::AddVoter { store, peer }),
        Ok(Kind::Demote) => Ok(MemberChange::Demote(peer)),
        Ok(Kind::Remove) => Ok(MemberChange::Remove(peer)),
        Err(_) => Err(Status::invalid_argument(format!("{} is no kind of change of a member", change.kind))),
    }
}

fn changed(result: Result<Vec<Region>, AdminError>) -> Answered<ChangeResponse> {
    Ok(Response::new(match result {
        Ok(regions) => ChangeResponse { regions, ..Default::default() },
        Err(AdminError::Refused(refused)) => ChangeResponse { refused, ..Default::default() },
        Err(AdminError::Region(error @ (RegionError::MembersRefused { .. } | RegionError::MergeRefused { .. }))) => {
            ChangeResponse { refused: error.to_string(), ..Default::default() }
        }
        Err(AdminError::Region(error)) => {
            ChangeResponse { region_error: Some(Box::new(error.into())), ..Default::default() }
        }
    }))
}

fn region(status: &RegionStatus) -> RegionOnStore {
    let state = &status.state;
    let role = match state.role {
        Role::Leader => RaftRole::Leader,
        Role::Follower => RaftRole::Follower,
        Role::Candidate => RaftRole::Candidate,
    };
    // What the region says of the peer is newer than what the peer was made with.
    let peer = state.region.peer(PeerId(state.peer.id)).copied().unwrap_or(state.peer);
    RegionOnStore {
        region: Some(Region::clone(&state.region)),
        peer: Some(peer),
        leader: state.leader,
        role: role.into(),
        term: state.term,
        applied_index: status.applied_index,
        committed_index: status.committed_index,
        last_index: status.last_index,
        lease_ms: status.lease_ms,
        approximate_bytes: status.size.map(|size| size.bytes),
        approximate_records: status.size.map(|size| size.records),
        ..Default::default()
    }
}

fn progress(known: PeerProgress) -> nokvpb::PeerProgress {
    let state = match known.feeding {
        Feeding::Probing => State::Probe,
        Feeding::FromLog => State::Replicate,
        Feeding::ByImage => State::Image,
    };
    nokvpb::PeerProgress {
        peer: Some(known.peer),
        matched_index: known.matched_index,
        state: state.into(),
        active: known.active,
    }
}
