//! A store tells placement of itself and of the regions that it leads, and does what it is told to do with them.
//! Stands in for the production `Reporter`, whose heartbeat it uses; orders are carried out by production code.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nokv_engine::MemoryEngine;
use nokv_placement::state::Command;
use nokv_proto::metapb::Store;
use nokv_proto::pdpb::{RegionHeartbeatResponse, RequestHeader, StoreHeartbeatRequest, StoreStats};
use nokv_raftstore::{MergeRequest, RegionExt as _, RegionId, Role};
use nokv_server::admin::RegionAdmin;
use nokv_server::placement::{PlacementError, beat, carry_out};

use super::{Node, PlacementWay, World};

/// How often regions are told of.
const LOOK: Duration = Duration::from_millis(250);
/// In how many of these turns the store tells of itself.
const STORE_EVERY: u32 = 3;
/// How large each disk is said to be, in bytes.
const DISK_BYTES: u64 = 1 << 40;

/// See the file's head.
pub(super) struct Reporting {
    pub(super) world: Arc<World>,
    pub(super) node: Arc<Node>,
    pub(super) way: Arc<PlacementWay>,
}

impl Reporting {
    /// Runs until the node dies.
    pub(super) async fn run(self) {
        let mut turn = 0_u32;
        let mut known = false;
        loop {
            tokio::time::sleep(LOOK).await;
            if !known {
                known = self.register().await;
                continue;
            }
            if turn.is_multiple_of(STORE_EVERY) {
                known = self.tell_of_store().await;
            }
            turn = turn.wrapping_add(1);
            self.tell_of_regions().await;
        }
    }

    async fn register(&self) -> bool {
        let id = self.node.store.0;
        let store = Store {
            id,
            address: format!("store-{id}:1"),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Store::default()
        };
        let asked = self
            .way
            .ask(move |placement| async move { placement.decide(Command::PutStore { store, directory: 0 }).await });
        asked.await.is_some()
    }

    async fn tell_of_store(&self) -> bool {
        let stats = StoreStats {
            store_id: self.node.store.0,
            capacity: DISK_BYTES,
            available: DISK_BYTES,
            region_count: u32::try_from(self.node.handle.regions().len()).unwrap_or(u32::MAX),
            ..StoreStats::default()
        };
        let request = StoreHeartbeatRequest { stats: Some(stats), ..StoreHeartbeatRequest::default() };
        let asked = self.way.ask(move |placement| async move {
            placement.store_heartbeat(request).await.map_err(|_| PlacementError::NotLeader)
        });
        // A leader that does not know the store says so; one that is not reached says nothing.
        asked.await.is_none_or(|answer| answer.header.is_none_or(|header| header.error.is_none()))
    }

    async fn tell_of_regions(&self) {
        for status in self.node.handle.regions() {
            if status.state.role != Role::Leader {
                continue;
            }
            let request = beat(&self.node.handle, &RequestHeader::default(), &status).await;
            let asked = self.way.ask(move |placement| async move {
                placement.region_beat(request).await.map_err(|_| PlacementError::NotLeader)
            });
            if let Some(Some(order)) = asked.await {
                let (world, node) = (self.world.clone(), self.node.clone());
                self.node.spawn(&self.world, async move { carry(world, node, order).await });
            }
        }
    }
}

async fn carry(world: Arc<World>, node: Arc<Node>, order: RegionHeartbeatResponse) {
    let region = order.region_id;
    if let Some(target) = order.merge.as_ref().and_then(|merge| merge.target.as_ref()) {
        let request = MergeRequest {
            source: RegionId(region),
            source_epoch: order.region_epoch.unwrap_or_default(),
            target: target.region_id(),
            target_epoch: target.epoch(),
        };
        return world.order_merge(&node, request).await;
    }
    let admin: RegionAdmin<MemoryEngine> = RegionAdmin::new(node.handle.clone(), None);
    world.note(format_args!("placement tells store {}: {}", node.store, told(&order)));
    let done = carry_out(&admin, order).await.map_err(|error| error.to_string());
    world.counts.orders.fetch_add(u64::from(done.is_ok()), Ordering::Relaxed);
    world.note(format_args!("region {region} as placement wants it: {done:?}"));
}

/// An order in words.
fn told(order: &RegionHeartbeatResponse) -> String {
    let region = order.region_id;
    if let Some(change) = &order.change_peer {
        let peer = change.peer.unwrap_or_default();
        return format!("{:?} of peer {} on {} of region {region}", change.change_type(), peer.id, peer.store_id);
    }
    match order.transfer_leader.as_ref().and_then(|transfer| transfer.peer) {
        Some(peer) => format!("region {region} is to be led by store {}", peer.store_id),
        None => format!("something with region {region}"),
    }
}
