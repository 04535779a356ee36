//! Disks are slow, stall, fill up, and fail a write or a sync: the node then stops by itself, and comes back once its
//! disk is mended.

use std::sync::Arc;

use nokv_engine::FaultPlan;

use super::{about, begins};
use crate::random::Random;
use crate::world::{DiskSpeed, World};

/// How fast each disk is at first.
pub(super) fn set_out(world: &Arc<World>, random: &mut Random) {
    for slot in world.slots() {
        slot.disk.set_speed(draw(random));
    }
}

/// Makes disks slow or fail, for ever.
pub(super) async fn fail(world: Arc<World>, mut random: Random) {
    let pace_ms = random.between(500, 8_000);
    loop {
        about(pace_ms, &mut random).await;
        let Some(slot) = random.pick(&world.slots()).copied() else { return };
        if random.chance(500) {
            let speed = draw(&mut random);
            begins(&world, format_args!("disk of store {}: {speed:?}", slot.store));
            slot.disk.set_speed(speed);
            continue;
        }
        let plan = match random.below(3) {
            0 => FaultPlan { fail_write: Some(random.between(1, 50)), ..FaultPlan::default() },
            1 => FaultPlan { fail_sync: Some(random.between(1, 50)), ..FaultPlan::default() },
            _ => {
                let bytes_max = Some(slot.engine().live_bytes() + random.between(0, 20_000));
                FaultPlan { bytes_max, ..FaultPlan::default() }
            }
        };
        begins(&world, format_args!("disk of store {}: {plan:?}", slot.store));
        slot.set_faults(plan, Some(&mut random));
    }
}

fn draw(random: &mut Random) -> DiskSpeed {
    let slow = random.chance(200);
    DiskSpeed {
        write_us_max: if random.chance(150) { random.between(10_000, 200_000) } else { random.between(0, 3_000) },
        sync_us_max: if slow { random.between(20_000, 200_000) } else { random.between(500, 10_000) },
        stall_permille: if random.chance(300) { random.below(20) } else { 0 },
        stall_ms_max: random.between(10, 1_500),
    }
}
