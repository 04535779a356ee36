//! The network falls apart: in halves, around one node, in rings and bridges, one way only, in no shape at all; and
//! clients are cut off from stores.

use std::collections::BTreeSet;
use std::sync::Arc;

use nokv_transport::StoreId;

use super::{about, begins};
use crate::random::Random;
use crate::world::World;

/// A shape of what is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One store hears nobody and is heard by nobody.
    One,
    /// Two groups that cannot talk.
    Halves,
    /// Two groups that cannot talk, but for one store that can talk to all.
    Bridge,
    /// Each store talks to its two neighbours only.
    Ring,
    /// One store is heard and hears nothing.
    Deaf,
    /// One store hears and is not heard.
    Mute,
    /// Some directed links, whichever.
    Scattered,
}

const SHAPES: [Shape; 7] =
    [Shape::One, Shape::Halves, Shape::Bridge, Shape::Ring, Shape::Deaf, Shape::Mute, Shape::Scattered];

/// Cuts and mends, for ever.
pub(super) async fn come_and_go(world: Arc<World>, clients: u64, mut random: Random) {
    let (pace_ms, lasts_ms) = (random.between(300, 5_000), random.between(200, 5_000));
    loop {
        about(pace_ms, &mut random).await;
        let mut stores: Vec<StoreId> = world.slots().iter().map(|slot| slot.store).collect();
        random.shuffle(&mut stores);
        let Some(shape) = random.pick(&SHAPES).copied() else { return };
        let cuts = cuts(shape, &stores, &mut random);
        let client_cuts = client_cuts(clients, &stores, &mut random);
        begins(&world, format_args!("{shape:?}: cut {cuts:?}, clients {client_cuts:?}"));
        cuts.iter().for_each(|(from, to)| world.network.cut(*from, *to));
        world.weather.lock().client_cuts = client_cuts;
        about(lasts_ms, &mut random).await;
        world.note(format_args!("the network is whole"));
        cuts.iter().for_each(|(from, to)| world.network.mend(*from, *to));
        world.weather.lock().client_cuts.clear();
        world.network_was_used();
    }
}

/// The directed links that a shape cuts; `stores` are in a random order.
fn cuts(shape: Shape, stores: &[StoreId], random: &mut Random) -> BTreeSet<(StoreId, StoreId)> {
    let count = stores.len();
    let half = count / 2;
    let is_cut = |a: usize, b: usize, random: &mut Random| match shape {
        Shape::One => a == 0 || b == 0,
        Shape::Halves => (a < half) != (b < half),
        Shape::Bridge => a != count - 1 && b != count - 1 && (a < half) != (b < half),
        Shape::Ring => (a + 1) % count != b && (b + 1) % count != a,
        Shape::Deaf => b == 0,
        Shape::Mute => a == 0,
        Shape::Scattered => random.chance(350),
    };
    let mut cuts = BTreeSet::new();
    for (a, from) in stores.iter().enumerate() {
        for (b, to) in stores.iter().enumerate() {
            if a != b && is_cut(a, b, random) {
                cuts.insert((*from, *to));
            }
        }
    }
    cuts
}

fn client_cuts(clients: u64, stores: &[StoreId], random: &mut Random) -> BTreeSet<(u64, u64)> {
    let mut cuts = BTreeSet::new();
    for client in 1..=clients {
        for store in stores {
            if random.chance(150) {
                cuts.insert((client, store.0));
            }
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_what_they_are_called() {
        let stores: Vec<StoreId> = (1..=5).map(StoreId).collect();
        let mut random = Random::new(1, "shapes");
        let mut cut = |shape| cuts(shape, &stores, &mut random);
        let (one, halves, bridge) = (cut(Shape::One), cut(Shape::Halves), cut(Shape::Bridge));
        assert_eq!(one.len(), 8);
        assert_eq!(halves.len(), 12);
        assert_eq!(bridge.len(), 8);
        assert!(bridge.iter().all(|(from, to)| from.0 != 5 && to.0 != 5));
        assert_eq!(cut(Shape::Ring).len(), 10);
        assert!(cut(Shape::Deaf).iter().all(|(_, to)| to.0 == 1));
        assert!(cut(Shape::Mute).iter().all(|(from, _)| from.0 == 1));
        assert!(cut(Shape::Scattered).iter().all(|(from, to)| from != to));
    }
}
