//! Clients die in the middle of what they do, leaving locks and requests under way; others take their places. Or they
//! stand still for so long that others end their transactions, and go on where they were.
//! What they leave must be cleaned up by those who come upon it.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{about, begins};
use crate::random::Random;
use crate::workloads::{Actor, Workloads};

/// Kills clients, for ever.
pub(super) async fn die(workloads: Arc<Workloads>, actors: Arc<Mutex<Vec<Actor>>>, mut random: Random) {
    let pace_ms = random.between(500, 10_000);
    // Numbers of clients that come later are above all that began.
    let mut next = 1_000;
    loop {
        about(pace_ms, &mut random).await;
        let mut actors = actors.lock();
        let count = actors.len();
        if count == 0 {
            continue;
        }
        let dying = actors.swap_remove(random.index(count));
        begins(&workloads.world, format_args!("client {} dies", dying.number));
        dying.die();
        next += 1;
        actors.push(Actor::begin(&workloads, next, random.fork()));
    }
}

/// Has clients stand still now and then, for ever.
pub(super) async fn stand_still(workloads: Arc<Workloads>, actors: Arc<Mutex<Vec<Actor>>>) {
    let mut random = Random::new(workloads.world.options.seed, "clients that stand still");
    let pace_ms = random.between(300, 4_000);
    loop {
        about(pace_ms, &mut random).await;
        let actors = actors.lock();
        let Some(actor) = random.pick(&actors) else { continue };
        let lasts = random.millis(500, 6_000);
        begins(&workloads.world, format_args!("client {} stands still for {lasts:?}", actor.number));
        actor.stand_still(lasts);
    }
}
