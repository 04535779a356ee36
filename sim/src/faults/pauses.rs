//! Nodes stand still, as under SIGSTOP or on a machine that was suspended, for less or much longer than an election
//! takes; their clocks go on.

use std::sync::Arc;

use super::{about, begins};
use crate::random::Random;
use crate::world::World;

/// Pauses nodes, for ever.
pub(super) async fn come_and_go(world: Arc<World>, mut random: Random) {
    let (pace_ms, longest_ms) = (random.between(300, 6_000), random.between(50, 4_000));
    loop {
        about(pace_ms, &mut random).await;
        let nodes = world.nodes();
        let Some(node) = random.pick(&nodes).cloned() else { continue };
        let lasts = random.millis(1, longest_ms);
        begins(&world, format_args!("store {} pauses for {lasts:?}", node.store));
        node.process.pause();
        let world = world.clone();
        tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            world.note(format_args!("store {} goes on", node.store));
            node.process.go_on();
        });
    }
}
