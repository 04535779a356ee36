//! What goes wrong with placement, on its own nodes and network, while data is worked on: its leader is killed, cut
//! off, held up beyond its lease or told to go, and its machines' clocks are set back and forth.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{about, begins, disks, kills, network, partitions, pauses, promises, transfers};
use crate::random::Random;
use crate::scenario::Scenario;
use crate::world::{Slot, World};

/// Lets things go wrong with `placement` as `scenario` has it for everything.
pub(super) fn begin(tasks: &mut JoinSet<()>, placement: &Arc<World>, scenario: &Scenario) {
    let mut random = Random::new(placement.options.seed, "what goes wrong with placement");
    tasks.spawn(set_clocks(placement.clone(), random.fork()));
    if scenario.unreliable {
        network::set_out(placement, &mut random);
        tasks.spawn(network::change(placement.clone(), random.fork()));
        tasks.spawn(network::clog(placement.clone(), random.fork()));
    }
    if scenario.partitions {
        tasks.spawn(partitions::come_and_go(placement.clone(), 0, random.fork()));
    }
    if scenario.crashes {
        tasks.spawn(kills::strike(placement.clone(), random.fork()));
    }
    if scenario.crashes && scenario.partitions {
        tasks.spawn(promises::tempt(placement.clone(), random.fork()));
    }
    if scenario.disks {
        disks::set_out(placement, &mut random);
        tasks.spawn(disks::fail(placement.clone(), random.fork()));
    }
    if scenario.pauses {
        tasks.spawn(pauses::come_and_go(placement.clone(), random.fork()));
    }
    if scenario.transfers {
        tasks.spawn(transfers::order(placement.clone(), random.fork()));
    }
}

/// Sets the wall clock of one machine or another, for ever.
async fn set_clocks(placement: Arc<World>, mut random: Random) {
    let pace_ms = random.between(1_000, 10_000);
    placement.slots().into_iter().for_each(|slot| set_clock(&placement, slot, &mut random));
    loop {
        about(pace_ms, &mut random).await;
        let slots = placement.slots();
        let Some(slot) = random.pick(&slots) else { continue };
        set_clock(&placement, slot, &mut random);
    }
}

fn set_clock(placement: &World, slot: &Slot, random: &mut Random) {
    let off_ms = i64::try_from(random.between(0, 20_000)).unwrap_or(0) - 10_000;
    begins(placement, format_args!("the wall clock of store {} is {off_ms} ms off", slot.store));
    slot.clock.set_wall_off(off_ms);
}
