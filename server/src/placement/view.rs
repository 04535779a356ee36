//! `nokvpb.Placement`: the cluster as its leader sees it, for people and tools, and what they may have it do.
//! What is refused is an answer with a reason; who does not lead is an error, and the caller looks for the leader.

use nokv_placement::regions::RegionInfo;
use nokv_placement::schedule::{Condition, Ended, Operator};
use nokv_placement::state::{Command, HolderRecord, StoreRecord};
use nokv_proto::nokvpb::placement_server::Placement as PlacementCalls;
use nokv_proto::nokvpb::{
    ChangeSnapshotRequest, ChangeStoreRequest, Holder, OperatorCount, OperatorView, PlacementChangeResponse, Snapshot,
    StoreView, ViewRequest, ViewResponse,
};
use nokv_proto::pdpb::RequestHeader;
use nokv_raftstore::StoreId;
use tonic::{Request, Response, Status};

use super::led::Led;
use super::{Placement, PlacementError};

/// Placement under our own name.
#[derive(Clone, Debug)]
pub struct ViewService(Placement);

impl ViewService {
    /// Serves this placement.
    pub fn new(placement: Placement) -> Self {
        Self(placement)
    }
}

fn header(cluster_id: u64) -> RequestHeader {
    RequestHeader { cluster_id, ..RequestHeader::default() }
}

#[tonic::async_trait]
impl PlacementCalls for ViewService {
    async fn view(&self, request: Request<ViewRequest>) -> Result<Response<ViewResponse>, Status> {
        let request = request.into_inner();
        let cluster_id = self.0.check_cluster(Some(&header(request.cluster_id)))?;
        let ended_max = usize::try_from(request.ended_max).unwrap_or(usize::MAX);
        let (members, leader) = self.0.members();
        let now_ms = self.0.now_ms();
        let mut view = self.0.look(|led| view(led, now_ms, ended_max))?;
        view.cluster_id = cluster_id;
        view.leader_store_id = leader.map_or(0, |leader| leader.0);
        view.member_store_ids = members.into_iter().map(|member| member.0).collect();
        Ok(Response::new(view))
    }

    async fn change_store(
        &self,
        request: Request<ChangeStoreRequest>,
    ) -> Result<Response<PlacementChangeResponse>, Status> {
        let ChangeStoreRequest { cluster_id, store_id, keep } = request.into_inner();
        let store = StoreId(store_id);
        self.change(cluster_id, if keep { Command::KeepStore(store) } else { Command::RemoveStore(store) }).await
    }

    async fn change_snapshot(
        &self,
        request: Request<ChangeSnapshotRequest>,
    ) -> Result<Response<PlacementChangeResponse>, Status> {
        let ChangeSnapshotRequest { cluster_id, name, timestamp } = request.into_inner();
        let command = match timestamp {
            0 => Command::DropSnapshot { name },
            timestamp => Command::CreateSnapshot { name, timestamp },
        };
        self.change(cluster_id, command).await
    }
}

impl ViewService {
    async fn change(&self, cluster_id: u64, command: Command) -> Result<Response<PlacementChangeResponse>, Status> {
        self.0.check_cluster(Some(&header(cluster_id)))?;
        let refused = match self.0.decide(command).await {
            Ok(_) => String::new(),
            Err(PlacementError::Refused(why)) => why.to_string(),
            Err(error) => return Err(error.into()),
        };
        Ok(Response::new(PlacementChangeResponse { refused }))
    }
}

fn view(led: &mut Led, now_ms: u64, ended_max: usize) -> ViewResponse {
    let state = &led.state;
    let stores: Vec<StoreView> = state.stores().map(|record| store(led, record, now_ms)).collect();
    let wanted = usize::try_from(state.settings().replicas).unwrap_or(usize::MAX).min(state.stores_up().count());
    let regions = state.regions();
    let without_leader = regions.iter().filter(|info| info.leader.is_none()).count() as u64;
    let lacking = regions.iter().filter(|info| info.voters().count() < wanted).count() as u64;
    let holder = |(name, record): (&String, &HolderRecord)| Holder {
        name: name.clone(),
        safe_point: record.safe_point,
        ttl_s: seconds_left(record.until_ms, now_ms),
    };
    let mut view = ViewResponse {
        regions: regions.len() as u64,
        regions_without_leader: without_leader,
        regions_lacking_replicas: lacking,
        operators: led.scheduler.operators().map(|it| operator(it, now_ms)).collect(),
        ended: led.scheduler.ended().rev().take(ended_max).map(|it| ended(it, now_ms)).collect(),
        counts: counts(led),
        safe_point: state.safe_point(),
        holders: state.holders().iter().filter(|(_, record)| record.until_ms > now_ms).map(holder).collect(),
        snapshots: state
            .snapshots()
            .iter()
            .map(|(name, record)| Snapshot { name: name.clone(), timestamp: record.timestamp })
            .collect(),
        stores,
        ..ViewResponse::default()
    };
    view.problems = problems(&view, gap(regions.iter()));
    view
}

fn seconds_left(until_ms: u64, now_ms: u64) -> i64 {
    if until_ms == u64::MAX {
        return i64::MAX;
    }
    i64::try_from(until_ms.saturating_sub(now_ms) / 1_000).unwrap_or(i64::MAX)
}

fn counts(led: &Led) -> Vec<OperatorCount> {
    let count = |((kind, outcome), count): (&(_, _), &u64)| {
        let (kind, outcome): (&nokv_placement::schedule::Kind, &nokv_placement::schedule::Outcome) = (kind, outcome);
        OperatorCount { kind: kind.to_string(), outcome: outcome.to_string(), count: *count }
    };
    led.scheduler.counts().iter().map(count).collect()
}

fn store(led: &Led, record: &StoreRecord, now_ms: u64) -> StoreView {
    let id = record.id();
    let last = led.scheduler.last_word(id, now_ms);
    let sums = led.state.regions().on_store(id);
    let (drain_left, drain_from) = led.state.drain_progress(id).unwrap_or_default();
    let condition = match led.scheduler.condition(&led.state, id, now_ms) {
        Condition::Well if last.is_none() => "not heard of yet",
        Condition::Well => "well",
        Condition::Silent => "silent",
        Condition::Down => "down",
        Condition::Leaving => "leaving",
        Condition::Gone => "gone",
    };
    StoreView {
        store: Some(record.store.clone()),
        condition: condition.to_owned(),
        silent_ms: led.scheduler.silent_ms(id, now_ms),
        capacity_bytes: last.map_or(0, |(report, _)| report.capacity_bytes),
        available_bytes: last.map_or(0, |(report, _)| report.available_bytes),
        peers: sums.peers() as u64,
        leaders: sums.leaders.len() as u64,
        bytes: sums.load_bytes,
        pending_peers: sums.pending as u64,
        drain_left,
        drain_from,
        write_bytes: sums.write_bytes,
        cost: sums.cost,
        read_bytes: sums.read_bytes,
        lookups: sums.lookups,
    }
}

fn operator(operator: &Operator, now_ms: u64) -> OperatorView {
    OperatorView {
        region_id: operator.region.0,
        kind: operator.kind.to_string(),
        reason: operator.reason.clone(),
        steps: operator.steps.iter().map(ToString::to_string).collect(),
        at: u32::try_from(operator.at).unwrap_or(u32::MAX),
        age_ms: now_ms.saturating_sub(operator.began_ms),
        left_ms: operator.until_ms.saturating_sub(now_ms),
        ..OperatorView::default()
    }
}

fn ended(ended: &Ended, now_ms: u64) -> OperatorView {
    OperatorView {
        left_ms: 0,
        outcome: ended.outcome.to_string(),
        why: ended.why.to_owned(),
        ..operator(&ended.operator, now_ms)
    }
}

/// Whether there are keys that no known region holds.
fn gap<'a>(regions: impl Iterator<Item = &'a RegionInfo>) -> bool {
    let mut bounds: Vec<_> = regions.map(RegionInfo::bounds).collect();
    bounds.sort_unstable();
    let joined = bounds.windows(2).all(|pair| matches!(pair, [left, right] if left.1 == right.0));
    let ends = bounds.first().zip(bounds.last()).is_some_and(|(first, last)| first.0.is_empty() && last.1.is_empty());
    !joined || !ends
}

fn problems(view: &ViewResponse, gap: bool) -> Vec<String> {
    let mut problems = Vec::new();
    for store in &view.stores {
        let id = store.store.as_ref().map_or(0, |store| store.id);
        if matches!(store.condition.as_str(), "silent" | "down") {
            problems.push(format!("store {id} is {}: not heard of for {} s", store.condition, store.silent_ms / 1_000));
        }
        if store.capacity_bytes > 0 && store.available_bytes < store.capacity_bytes / 20 {
            problems.push(format!("store {id}: its disk is almost full"));
        }
    }
    if view.regions_without_leader > 0 {
        problems.push(format!("{} regions have no leader that was heard of", view.regions_without_leader));
    }
    if view.regions_lacking_replicas > 0 {
        problems.push(format!("{} regions have too few replicas", view.regions_lacking_replicas));
    }
    if gap {
        problems.push("there are keys of which no region has been heard".to_owned());
    }
    problems
}
