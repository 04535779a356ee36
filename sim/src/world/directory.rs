//! What a client hears of where regions are: what some node says, the newest word or, at times, an older one. Stands in
//! for whoever will know the map; a store corrects a client that was told old news.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use nokv_client::{DirectoryError, Located, RegionDirectory};
use nokv_raftstore::{RegionExt as _, Role};
use parking_lot::Mutex;

use super::World;
use crate::random::Random;

/// One client's map.
pub struct NodesDirectory {
    world: Arc<World>,
    random: Mutex<Random>,
}

impl NodesDirectory {
    /// What the nodes of `world` say.
    pub fn new(world: &Arc<World>) -> Arc<Self> {
        Arc::new(NodesDirectory { world: world.clone(), random: Mutex::new(world.random()) })
    }

    fn locate(&self, key: &[u8]) -> Option<Located> {
        let mut told: Vec<Located> = Vec::new();
        for node in self.world.nodes() {
            for (_, gate) in node.gates() {
                let state = gate.state();
                if !state.region.peers.is_empty() && state.region.range().contains(key) {
                    let leader = if state.role == Role::Leader { Some(state.peer) } else { state.leader };
                    told.push(Located { region: state.region.as_ref().clone(), leader });
                }
            }
        }
        let mut random = self.random.lock();
        if random.chance(self.world.weather.lock().old_maps_permille) {
            return random.pick(&told).cloned();
        }
        let newest = |located: &Located| (located.region.epoch().version, located.region.epoch().conf_ver);
        told.into_iter().max_by_key(|located| (newest(located), located.leader.is_some()))
    }
}

impl RegionDirectory for NodesDirectory {
    fn region<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Located>, DirectoryError>> {
        Box::pin(std::future::ready(Ok(self.locate(key))))
    }

    fn address(&self, store_id: u64) -> BoxFuture<'_, Result<Option<String>, DirectoryError>> {
        Box::pin(std::future::ready(Ok(Some(format!("store-{store_id}")))))
    }
}
