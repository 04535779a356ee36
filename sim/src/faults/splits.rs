//! Regions are split, at keys of the workloads, into two or three; the orders of a few are made for an epoch of before.
//! Nothing may be lost, shown twice, or served by an owner of before.

use std::sync::Arc;

use nokv_percolator::Key;
use nokv_proto::metapb::Region;
use nokv_raftstore::{NewRegion, RegionExt as _, SplitRequest};
use nokv_transport::{PeerId, RegionId};

use super::{about, begins};
use crate::random::Random;
use crate::workloads::LETTERS;
use crate::world::World;

/// Orders splits until there are enough regions.
pub(super) async fn order(world: Arc<World>, mut random: Random) {
    let pace_ms = random.between(300, 5_000);
    let regions_max = random.index(8) + 3;
    loop {
        about(pace_ms, &mut random).await;
        let regions = world.atlas.current();
        if regions.len() >= regions_max {
            continue;
        }
        let Some((node, state)) = random.pick(&regions).and_then(|region| world.leader_of(region.region_id())) else {
            continue;
        };
        let keys = keys_within(&state.region, &mut random);
        if keys.is_empty() {
            continue;
        }
        let new = keys.into_iter().map(|start_key| NewRegion {
            id: RegionId(world.next_id()),
            start_key: start_key.into(),
            peer_ids: state.region.peers.iter().map(|_| PeerId(world.next_id())).collect(),
        });
        let mut epoch = state.region.epoch();
        if random.chance(50) {
            epoch.version = epoch.version.saturating_sub(1);
        }
        let request = SplitRequest { region_id: state.region.region_id(), epoch, new: new.collect() };
        let ids: Vec<u64> = request.new.iter().map(|new| new.id.0).collect();
        begins(&world, format_args!("store {} is to split region {} into {ids:?}", node.store, request.region_id));
        let world = world.clone();
        tokio::spawn(async move { world.order_split(&node, request).await });
    }
}

/// One key or two strictly within the region, in order: where workloads have keys, or between them.
pub(super) fn keys_within(region: &Region, random: &mut Random) -> Vec<Vec<u8>> {
    let count = 1 + usize::from(random.chance(200));
    let mut keys: Vec<Vec<u8>> = Vec::new();
    for _ in 0..20 {
        let (Some(letter), Some(kind)) = (random.pick(&LETTERS), random.pick(&["a", "l", "r", "s", "w", "zz"])) else {
            break;
        };
        let key = format!("{letter}{kind}{:02}", random.below(100) % 7);
        let key = Key::encode(key.as_bytes()).into_encoded().to_vec();
        if region.range().contains(&key) && key.as_slice() > region.start_key.as_ref() && !keys.contains(&key) {
            keys.push(key);
        }
        if keys.len() == count {
            break;
        }
    }
    keys.sort();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_strictly_within_and_in_order() {
        let mut random = Random::new(1, "keys");
        let key = |text: &str| Key::encode(text.as_bytes()).into_encoded();
        let region = Region { start_key: key("h"), end_key: key("p"), ..Region::default() };
        let found: Vec<_> = (0..50).flat_map(|_| keys_within(&region, &mut random)).collect();
        assert!(found.len() > 40);
        assert!(found.iter().all(|found| *found > key("h").to_vec() && *found < key("p").to_vec()));
    }
}
