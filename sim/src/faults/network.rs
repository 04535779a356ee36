//! Links lose, delay, repeat and reorder messages, each link in its own way and changing; some clog for a while.
//! Raft must bear all of this: it may cost time, never a wrong answer.

use std::sync::Arc;
use std::time::Duration;

use nokv_transport::StoreId;
use nokv_transport::memory::LinkFaults;

use super::{about, begins};
use crate::random::Random;
use crate::world::World;

/// How all links are at first, those of clients included.
pub(super) fn set_out(world: &Arc<World>, random: &mut Random) {
    world.network.set_faults_everywhere(draw(random));
    let mut weather = world.weather.lock();
    weather.client_links = draw(random);
    weather.late_permille = random.below(30);
    weather.hold_up_permille = random.below(40);
}

/// Changes one link after the other, for ever.
pub(super) async fn change(world: Arc<World>, mut random: Random) {
    let pace_ms = random.between(200, 4_000);
    loop {
        about(pace_ms, &mut random).await;
        let faults = draw(&mut random);
        if random.chance(150) {
            begins(&world, format_args!("clients' links {faults:?}"));
            world.weather.lock().client_links = faults;
            continue;
        }
        let Some((from, to)) = link(&world, &mut random) else { continue };
        begins(&world, format_args!("link {from} to {to} {faults:?}"));
        world.network.set_faults(from, to, faults);
    }
}

/// Clogs links one by one, and lets each go after a while: the held messages come in a random order.
pub(super) async fn clog(world: Arc<World>, mut random: Random) {
    let pace_ms = random.between(500, 8_000);
    loop {
        about(pace_ms, &mut random).await;
        let Some((from, to)) = link(&world, &mut random) else { continue };
        begins(&world, format_args!("link {from} to {to} clogs"));
        world.network.clog(from, to);
        let (world, lasts) = (world.clone(), random.millis(50, 5_000));
        tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            world.note(format_args!("link {from} to {to} is free"));
            world.move_network();
            world.network.unclog(from, to);
            world.network_was_used();
        });
    }
}

fn link(world: &World, random: &mut Random) -> Option<(StoreId, StoreId)> {
    let mut stores: Vec<StoreId> = world.slots().iter().map(|slot| slot.store).collect();
    random.shuffle(&mut stores);
    match stores.as_slice() {
        [from, to, ..] => Some((*from, *to)),
        _ => None,
    }
}

fn draw(random: &mut Random) -> LinkFaults {
    let permille = |most: u64, random: &mut Random| {
        let bad = random.chance(500);
        u16::try_from(if bad { random.below(most) } else { 0 }).unwrap_or(0)
    };
    let slow = random.chance(200);
    let longest_us = if slow { random.between(5_000, 300_000) } else { random.between(300, 10_000) };
    LinkFaults {
        drop_permille: permille(250, random),
        duplicate_permille: permille(150, random),
        reorder_permille: permille(300, random),
        delay_min: Duration::from_micros(200),
        delay_max: Duration::from_micros(longest_us),
        reorder_by_max: random.millis(1, 1_500),
    }
}
