//! The timestamp oracle dies and comes back, and its wall clock jumps, forward and back.
//! No timestamp may come twice or go back for that.

use std::sync::Arc;

use super::{about, begins};
use crate::random::Random;
use crate::world::World;

/// Fails, for ever.
pub(super) async fn fail(world: Arc<World>, mut random: Random) {
    let pace_ms = random.between(2_000, 20_000);
    loop {
        about(pace_ms, &mut random).await;
        if random.chance(500) {
            begins(&world, format_args!("the oracle's clock jumps"));
            world.oracle.jump(5_000);
            continue;
        }
        begins(&world, format_args!("the oracle dies"));
        world.oracle.kill();
        about(500, &mut random).await;
        world.note(format_args!("the oracle is back"));
        world.oracle.start();
    }
}
