//! Tries to make a quorum forget what it promised a leader: one follower is cut off from the leader, so that it
//! campaigns, and the others restart at once, again and again. Whoever grants it a vote too early ends the leader's
//! lease behind its back. Chance alone brings these together too seldom.

use std::sync::Arc;

use nokv_transport::StoreId;

use super::{about, begins};
use crate::random::Random;
use crate::world::{Loss, World};

/// Tempts voters, for ever.
pub(super) async fn tempt(world: Arc<World>, mut random: Random) {
    let pace_ms = random.between(1_000, 8_000);
    loop {
        about(pace_ms, &mut random).await;
        let nodes = world.nodes();
        let leaders: Vec<StoreId> =
            nodes.iter().filter(|node| !node.handle.led_regions().is_empty()).map(|node| node.store).collect();
        let Some(leader) = random.pick(&leaders).copied() else { continue };
        let mut followers: Vec<StoreId> = nodes.iter().map(|node| node.store).filter(|it| *it != leader).collect();
        random.shuffle(&mut followers);
        let Some((rebel, voters)) = followers.split_first() else { continue };
        begins(&world, format_args!("store {rebel} is cut off from leader {leader}, {voters:?} will restart"));
        world.network.cut(leader, *rebel);
        world.network.cut(*rebel, leader);
        // Long enough for the rebel to be about to lose patience.
        tokio::time::sleep(random.millis(500, 1_000)).await;
        for _ in 0..random.between(2, 12) {
            for voter in voters {
                world.kill(*voter, Loss::AllBut(random.below(1_001)), Some(random.millis(0, 20)));
            }
            tokio::time::sleep(random.millis(30, 250)).await;
        }
        about(1_000, &mut random).await;
        world.network.mend(leader, *rebel);
        world.network.mend(*rebel, leader);
    }
}
