//! Leaders are told to hand over, to whomever.
//! The lease must end before the new leader begins, however the order travels.

use std::sync::Arc;

use super::{about, begins};
use crate::random::Random;
use crate::world::World;

/// Orders transfers, for ever.
pub(super) async fn order(world: Arc<World>, mut random: Random) {
    let pace_ms = random.between(100, 3_000);
    loop {
        about(pace_ms, &mut random).await;
        let nodes = world.nodes();
        let Some(node) = random.pick(&nodes).cloned() else { continue };
        let led = node.handle.led_regions();
        let Some(region) = random.pick(&led).copied() else { continue };
        let to = random.pick(&world.slots()).map(|slot| slot.store).filter(|_| random.chance(700));
        begins(&world, format_args!("store {} is to give region {region} to {to:?}", node.store));
        let handle = node.handle.clone();
        node.spawn(&world, async move {
            // Refusals are fine: it may have lost the region meanwhile, or be told to keep it.
            let _ = handle.transfer_leader(region, to).await;
        });
    }
}
