//! What every network owes to replication, whatever it is made of.
//! Each case runs on each rig; a rig lets its network go on in `tick`, and gives up by itself if nothing comes of it.

use std::sync::Arc;

use nokv_transport::{Network, SendRefused, StoreId};

use crate::recorder::{Recorder, message, sized_message};

pub const ONE: StoreId = StoreId(1);
pub const TWO: StoreId = StoreId(2);
pub const THREE: StoreId = StoreId(3);
pub const FOUR: StoreId = StoreId(4);

/// The bound that every rig gives its queues.
pub const QUEUE_MESSAGES_MAX: usize = 1000;

/// Stores on one kind of network.
pub trait Rig {
    /// A rig without stores.
    fn new() -> Self;

    /// Brings `store` up, again where it was before, with an inbox that knows nothing yet.
    fn start(&mut self, store: StoreId);

    /// Takes `store` down as a kill would.
    fn kill(&mut self, store: StoreId);

    /// Makes `store` a place that takes messages and never answers or moves them on.
    fn black_hole(&mut self, store: StoreId);

    /// What `store` sends through.
    fn network(&self, store: StoreId) -> Arc<dyn Network>;

    /// What `store` was told since it was started.
    fn inbox(&self, store: StoreId) -> Arc<Recorder>;

    /// How many messages wait on the way from `from` to `to`.
    fn queued(&self, from: StoreId, to: StoreId) -> usize;

    /// Lets a little time pass, or something happen. Panics when this has gone on for far too long.
    fn tick(&mut self);

    fn wait_until(&mut self, condition: impl Fn() -> bool) {
        while !condition() {
            self.tick();
        }
    }
}

pub fn messages_arrive_in_order<R: Rig>() {
    let mut rig = R::new();
    rig.start(ONE);
    rig.start(TWO);
    let count = QUEUE_MESSAGES_MAX as u64;
    let (one, two) = (rig.network(ONE), rig.network(TWO));
    for number in 0..count {
        assert_eq!(one.send(TWO, sized_message(ONE, TWO, number, 8 + number as usize)), Ok(()));
        assert_eq!(two.send(ONE, message(TWO, ONE, count + number)), Ok(()));
    }
    let (at_one, at_two) = (rig.inbox(ONE), rig.inbox(TWO));
    rig.wait_until(|| at_one.count() + at_two.count() >= 2 * count as usize);
    assert_eq!(at_two.numbers(), (0..count).collect::<Vec<_>>());
    assert_eq!(at_one.numbers(), (count..2 * count).collect::<Vec<_>>());
    assert_eq!(at_one.unreachable_reports(TWO), 0);
}

pub fn a_store_that_nobody_knows_is_refused<R: Rig>() {
    let mut rig = R::new();
    rig.start(ONE);
    assert_eq!(rig.network(ONE).send(FOUR, message(ONE, FOUR, 1)), Err(SendRefused::UnknownStore));
    rig.start(FOUR);
    assert_eq!(rig.network(ONE).send(FOUR, message(ONE, FOUR, 2)), Ok(()), "known once it is there");
    let at_four = rig.inbox(FOUR);
    rig.wait_until(|| at_four.count() > 0);
    assert_eq!(at_four.numbers(), [2]);
}

pub fn a_full_queue_refuses_and_does_not_grow<R: Rig>() {
    let mut rig = R::new();
    rig.start(ONE);
    rig.black_hole(TWO);
    let one = rig.network(ONE);
    let mut refused = 0;
    while refused < 3 * QUEUE_MESSAGES_MAX {
        match one.send(TWO, sized_message(ONE, TWO, 0, 4096)) {
            Ok(()) => {}
            Err(SendRefused::QueueFull) => refused += 1,
            Err(SendRefused::Disconnected) => rig.tick(),
            Err(other) => panic!("refused for the wrong reason: {other}"),
        }
        let queued = rig.queued(ONE, TWO);
        assert!(queued <= QUEUE_MESSAGES_MAX, "{queued} messages wait");
    }
}

pub fn dead_stores_cost_the_others_nothing<R: Rig>() {
    let mut rig = R::new();
    for store in [ONE, TWO, FOUR] {
        rig.start(store);
    }
    rig.black_hole(THREE);
    rig.kill(FOUR);
    let one = rig.network(ONE);
    let count = QUEUE_MESSAGES_MAX as u64;
    for number in 0..count {
        // Refused or not, neither may have an effect on the third.
        let _black_hole = one.send(THREE, sized_message(ONE, THREE, number, 8192));
        let _killed = one.send(FOUR, sized_message(ONE, FOUR, number, 8192));
        assert_eq!(one.send(TWO, message(ONE, TWO, number)), Ok(()));
    }
    let (at_one, at_two) = (rig.inbox(ONE), rig.inbox(TWO));
    rig.wait_until(|| at_two.count() >= count as usize);
    assert_eq!(at_two.numbers(), (0..count).collect::<Vec<_>>());
    assert_eq!(at_one.unreachable_reports(TWO), 0);
}

pub fn losses_are_reported_and_a_store_that_comes_back_is_found<R: Rig>() {
    let mut rig = R::new();
    rig.start(ONE);
    rig.start(TWO);
    let (one, at_one, at_two) = (rig.network(ONE), rig.inbox(ONE), rig.inbox(TWO));
    one.send(TWO, message(ONE, TWO, 1)).unwrap();
    rig.wait_until(|| at_two.count() == 1);

    rig.kill(TWO);
    while at_one.unreachable_reports(TWO) < 2 {
        let _lost_or_refused = one.send(TWO, message(ONE, TWO, 2));
        rig.tick();
    }

    rig.start(TWO);
    let at_two = rig.inbox(TWO);
    while at_two.count() == 0 {
        let _lost_until_found = one.send(TWO, message(ONE, TWO, 3));
        rig.tick();
    }
    assert!(at_two.numbers().contains(&3));
    let reports = at_one.unreachable_reports(TWO);
    let before = at_two.count();
    one.send(TWO, message(ONE, TWO, 4)).unwrap();
    rig.wait_until(|| at_two.numbers().contains(&4));
    assert!(at_two.count() > before);
    assert_eq!(at_one.unreachable_reports(TWO), reports, "reported although it is up");
}

/// All cases, on one rig.
macro_rules! contract {
    ($rig:ty) => {
        contract!(
            $rig,
            messages_arrive_in_order,
            a_store_that_nobody_knows_is_refused,
            a_full_queue_refuses_and_does_not_grow,
            dead_stores_cost_the_others_nothing,
            losses_are_reported_and_a_store_that_comes_back_is_found
        );
        $crate::images::contract!($rig);
    };
    ($rig:ty, $($case:ident),+) => {
        $(
            #[test]
            fn $case() {
                $crate::contract::$case::<$rig>();
            }
        )+
    };
}
pub(crate) use contract;
