//! Nodes die: at any moment, between any two steps, one, several or all at once; they come back at once or much later,
//! with all, some or none of what they had written and not synced.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{about, begins};
use crate::random::Random;
use crate::world::{Loss, World};

/// Kills, for ever.
pub(super) async fn strike(world: Arc<World>, mut random: Random) {
    let pace_ms = random.between(300, 6_000);
    let longest_ms = random.between(10, 6_000);
    loop {
        about(pace_ms, &mut random).await;
        let mut nodes = world.nodes();
        random.shuffle(&mut nodes);
        let count = if random.chance(60) { nodes.len() } else { 1 + usize::from(random.chance(100)) };
        for node in nodes.iter().take(count) {
            if random.chance(500) {
                let steps = random.between(1, 60);
                begins(&world, format_args!("store {} has {steps} steps to live", node.store));
                node.steps_to_live.store(steps, Ordering::Relaxed);
                continue;
            }
            let loss = match random.below(4) {
                0 => Loss::Nothing,
                1 => Loss::Everything,
                _ => Loss::AllBut(random.below(1_001)),
            };
            // Back at once is worst: what others were promised is still in force, and may have been forgotten.
            let downtime = if random.chance(500) { random.millis(0, 50) } else { random.millis(0, longest_ms) };
            begins(&world, format_args!("store {} dies: {loss:?}, for {downtime:?}", node.store));
            world.kill(node.store, loss, Some(downtime));
        }
    }
}
