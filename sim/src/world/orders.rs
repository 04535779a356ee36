//! An operator's orders to the nodes that lead: split this, merge those, change these members. What a node answers is
//! held against what the regions' logs say: an acknowledged order was carried out, a refused one never is.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nokv_proto::metapb::{PeerRole, Region};
use nokv_raftstore::gate::GateState;
use nokv_raftstore::{MemberChange, MembersRequest, MergeRequest, RegionError, RegionExt as _, Role, SplitRequest};
use nokv_transport::{PeerId, RegionId, StoreId};
use tokio::sync::oneshot;

use super::{Node, Standing, World, merge_of};

/// How long an operator waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl World {
    /// An id that no region and no peer ever had.
    pub fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// A node that takes itself for the leader of `region`, in the highest term, and what its gate shows.
    pub fn leader_of(&self, region: RegionId) -> Option<(Arc<Node>, Arc<GateState>)> {
        let shown = self.nodes().into_iter().filter_map(|node| {
            let state = node.gate(region)?.state().clone();
            (state.role == Role::Leader).then_some((node, state))
        });
        shown.max_by_key(|(_, state)| state.term)
    }

    /// Orders a split; returns when it is answered, or after a while.
    pub async fn order_split(self: &Arc<Self>, node: &Arc<Node>, request: SplitRequest) {
        let (handle, ordered) = (node.handle.clone(), request.clone());
        let Some(outcome) = self.ordered(node, async move { handle.split(ordered).await }).await else { return };
        self.note(format_args!("split of region {}: {outcome:?}", request.region_id));
        match outcome {
            Ok(()) => {
                let missing = request.new.iter().find(|new| self.atlas.region(new.id).is_none());
                let missing = missing.map_or(Ok(()), |new| Err(format!("region {} did not come", new.id)));
                self.expect("acknowledged orders are carried out", missing);
            }
            Err(RegionError::StaleCommand) => {}
            Err(_) => request.new.iter().for_each(|new| self.refused(new.id.0)),
        }
    }

    /// Orders a change of members; returns when it is answered, or after a while.
    pub async fn order_members(self: &Arc<Self>, node: &Arc<Node>, request: MembersRequest) {
        let (handle, ordered) = (node.handle.clone(), request.clone());
        let Some(outcome) = self.ordered(node, async move { handle.change_members(ordered).await }).await else {
            return;
        };
        self.note(format_args!("members of region {}: {outcome:?}", request.region_id));
        match outcome {
            Ok(()) => {
                let now = self.atlas.region(request.region_id).map_or(0, |region| region.epoch().conf_ver);
                let done = now > request.epoch.conf_ver;
                let held = if done { Ok(()) } else { Err(format!("{request:?} was acknowledged and is not so")) };
                self.expect("acknowledged orders are carried out", held);
            }
            Err(RegionError::StaleCommand) => {}
            Err(_) => {
                for change in &request.changes {
                    // A peer that is to be promoted was there before.
                    let new = match change {
                        MemberChange::AddLearner { peer, .. } => Some(*peer),
                        MemberChange::AddVoter { peer, .. } => Some(*peer).filter(|peer| !self.atlas.knows_peer(*peer)),
                        MemberChange::Demote(_) | MemberChange::Remove(_) => None,
                    };
                    new.into_iter().for_each(|peer| self.refused(peer.0));
                }
            }
        }
    }

    /// Orders a merge; returns when it is answered, or after a while. One of which nobody was told may come about long
    /// after: while there may be such, a refusal of another that is like it says nothing.
    pub async fn order_merge(self: &Arc<Self>, node: &Arc<Node>, request: MergeRequest) {
        let (handle, source) = (node.handle.clone(), request.source);
        let merge = merge_of(source, request.source_epoch, request.target, request.target_epoch);
        *self.merges_open.lock().entry(merge).or_default() += 1;
        self.atlas.ask_merge(merge);
        let outcome = self.ordered(node, async move { handle.merge(request).await }).await;
        self.note(format_args!("merge {merge:?}: {outcome:?}"));
        match outcome {
            Some(Ok(())) => {
                let missing = self.atlas.merged_into(source).is_none();
                let held = if missing { Err(format!("region {source} is not merged")) } else { Ok(()) };
                self.expect("acknowledged orders are carried out", held);
            }
            None | Some(Err(RegionError::StaleCommand)) => {}
            Some(Err(_)) => {
                let mut open = self.merges_open.lock();
                let others = open.entry(merge).or_default();
                *others -= 1;
                if *others == 0 {
                    self.expect("refused orders are not carried out", self.atlas.refuse_merge(merge));
                }
            }
        }
    }

    fn refused(&self, id: u64) {
        self.expect("refused orders are not carried out", self.atlas.refuse(id));
    }

    async fn ordered(
        self: &Arc<Self>,
        node: &Arc<Node>,
        order: impl Future<Output = Result<(), RegionError>> + Send + 'static,
    ) -> Option<Result<(), RegionError>> {
        let (answer, told) = oneshot::channel();
        node.spawn(self, async move {
            // An operator that has lost patience is not told.
            let _ = answer.send(order.await);
        });
        tokio::time::timeout(PATIENCE, told).await.ok()?.ok()
    }

    /// Peers of `region` on machines that are gone for good.
    pub fn lost_peers(&self, region: &Region) -> Vec<PeerId> {
        let is_lost = |store: u64| self.standing(StoreId(store)) == Some(Standing::Lost);
        region.peers.iter().filter(|peer| is_lost(peer.store_id)).map(|peer| PeerId(peer.id)).collect()
    }

    /// Orders the next step by which regions get rid of peers on machines that are gone, one region after the other.
    pub async fn remove_lost_peers(self: &Arc<Self>) {
        for region in self.atlas.current() {
            let Some((node, state)) = self.leader_of(region.region_id()) else { continue };
            let is_removable = |peer: &&PeerId| {
                let role = state.region.peer(**peer).map(|peer| peer.role());
                matches!(role, Some(PeerRole::Voter | PeerRole::Learner))
            };
            let Some(peer) = self.lost_peers(&state.region).iter().find(is_removable).copied() else { continue };
            let request = MembersRequest {
                region_id: region.region_id(),
                epoch: state.region.epoch(),
                changes: vec![MemberChange::Remove(peer)],
                forced: false,
            };
            self.order_members(&node, request).await;
        }
    }
}
