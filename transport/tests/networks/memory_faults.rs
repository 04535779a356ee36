//! The faults of the in-memory network: each does what it says, and a seed decides all of it.
//! Rates are tested at their ends (never, always) and by comparing seeds, never by hoping for a share.

use std::sync::Arc;
use std::time::Duration;

use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::memory::{Delivery, Happening, LinkFaults, MemoryEndpoint, MemoryNetwork, MemoryOptions};
use nokv_transport::{ImageSink, Inbox, Network, SendRefused, StoreId};

use crate::contract::{ONE, THREE, TWO};
use crate::recorder::{Bell, Recorder, message};

const COUNT: u64 = 200;

struct Stores {
    network: MemoryNetwork,
    endpoints: Vec<Arc<MemoryEndpoint>>,
    recorders: Vec<Arc<Recorder>>,
}

impl Stores {
    fn new(options: MemoryOptions) -> Stores {
        let network = MemoryNetwork::new(options);
        let mut stores = Stores { network, endpoints: Vec::new(), recorders: Vec::new() };
        for store in [ONE, TWO, THREE] {
            let recorder = Recorder::new(&Arc::new(Bell::default()));
            stores.endpoints.push(stores.network.endpoint(store));
            let inbox: Arc<Recorder> = Arc::clone(&recorder);
            stores.network.attach(store, inbox);
            stores.recorders.push(recorder);
        }
        stores
    }

    fn with(faults: LinkFaults) -> Stores {
        Stores::new(MemoryOptions { seed: 1, faults, ..MemoryOptions::default() })
    }

    fn send(&self, from: StoreId, to: StoreId, number: u64) -> Result<(), SendRefused> {
        self.endpoints[from.0 as usize - 1].send(to, message(from, to, number))
    }

    fn send_all(&self, from: StoreId, to: StoreId) {
        for number in 0..COUNT {
            self.send(from, to, number).unwrap();
        }
    }

    fn numbers(&self, store: StoreId) -> Vec<u64> {
        self.recorders[store.0 as usize - 1].numbers()
    }

    fn reports(&self, to: StoreId, about: StoreId) -> usize {
        self.recorders[to.0 as usize - 1].unreachable_reports(about)
    }

    /// Runs until nothing is left to happen; what happened, and when.
    fn run(&self) -> Vec<(Duration, Happening)> {
        let mut trace = Vec::new();
        while let Some(at) = self.network.next_event() {
            trace.extend(self.network.deliver_one(at).map(|happening| (at, happening)));
        }
        trace
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

fn all() -> Vec<u64> {
    (0..COUNT).collect()
}

/// Everything at once, on all links.
fn wild() -> LinkFaults {
    LinkFaults {
        drop_permille: 100,
        duplicate_permille: 100,
        reorder_permille: 300,
        delay_min: millis(1),
        delay_max: millis(30),
        reorder_by_max: millis(50),
    }
}

#[test]
fn a_seed_decides_everything() {
    let run = |seed| {
        let stores = Stores::new(MemoryOptions { seed, faults: wild(), ..MemoryOptions::default() });
        stores.network.clog(ONE, THREE);
        stores.send_all(ONE, TWO);
        stores.send_all(TWO, ONE);
        stores.send_all(ONE, THREE);
        let mut trace = stores.run();
        stores.network.unclog(ONE, THREE);
        trace.extend(stores.run());
        (trace, [ONE, TWO, THREE].map(|store| stores.numbers(store)))
    };
    assert_eq!(run(42), run(42));
    assert_ne!(run(42), run(43));
}

#[test]
fn what_happens_on_one_link_does_not_change_another() {
    let at_two = |other_link_too: bool| {
        let stores = Stores::with(wild());
        for number in 0..COUNT {
            stores.send(ONE, TWO, number).unwrap();
            if other_link_too {
                stores.send(ONE, THREE, number).unwrap();
            }
        }
        stores.run();
        stores.numbers(TWO)
    };
    assert_eq!(at_two(false), at_two(true));
}

#[test]
fn delays_are_within_their_range_and_keep_the_order() {
    let stores = Stores::with(LinkFaults::delay(millis(5), millis(20)));
    stores.send_all(ONE, TWO);
    let trace = stores.run();
    assert_eq!(stores.numbers(TWO), all());
    assert!(trace.iter().all(|(at, _)| (millis(5)..=millis(20)).contains(at)));
    assert!(trace.first().map(|(at, _)| *at) < trace.last().map(|(at, _)| *at), "all took the same time");
}

#[test]
fn nothing_is_delivered_before_its_time() {
    let stores = Stores::with(LinkFaults::delay(millis(10), millis(10)));
    stores.send(ONE, TWO, 1).unwrap();
    assert_eq!(stores.network.next_event(), Some(millis(10)));
    assert_eq!(stores.network.deliver_due(millis(9)), 0);
    assert_eq!(stores.network.deliver_due(millis(10)), 1);
    assert_eq!(stores.numbers(TWO), [1]);
    stores.send(ONE, TWO, 2).unwrap();
    assert_eq!(stores.network.next_event(), Some(millis(20)), "sent at the time of the last step");
}

#[test]
fn drops_and_duplicates_follow_their_rates() {
    let lossy = Stores::with(LinkFaults { drop_permille: 1000, ..LinkFaults::default() });
    lossy.send_all(ONE, TWO);
    assert_eq!(lossy.run(), []);
    assert_eq!(lossy.network.queued(ONE, TWO), 0);

    let twice = Stores::with(LinkFaults { duplicate_permille: 1000, ..LinkFaults::default() });
    twice.send_all(ONE, TWO);
    twice.run();
    let expected: Vec<u64> = all().into_iter().flat_map(|number| [number, number]).collect();
    assert_eq!(sorted(twice.numbers(TWO)), expected);
}

#[test]
fn reordered_messages_overtake_each_other_and_all_arrive() {
    let stores =
        Stores::with(LinkFaults { reorder_permille: 500, reorder_by_max: millis(50), ..LinkFaults::default() });
    stores.send_all(ONE, TWO);
    stores.run();
    let numbers = stores.numbers(TWO);
    assert_ne!(numbers, all());
    assert_eq!(sorted(numbers), all());
}

#[test]
fn a_cut_is_one_way_and_loses_what_is_under_way() {
    let stores = Stores::with(LinkFaults::delay(millis(10), millis(10)));
    stores.send(ONE, TWO, 1).unwrap();
    stores.network.cut(ONE, TWO);
    stores.send(ONE, TWO, 2).unwrap();
    stores.send(TWO, ONE, 3).unwrap();
    stores.send(ONE, THREE, 4).unwrap();
    stores.run();
    assert_eq!([stores.numbers(ONE), stores.numbers(TWO), stores.numbers(THREE)], [vec![3], vec![], vec![4]]);
    assert!(stores.reports(ONE, TWO) > 0);
    assert_eq!(stores.reports(TWO, ONE), 0);
    stores.network.mend(ONE, TWO);
    stores.send(ONE, TWO, 5).unwrap();
    stores.run();
    assert_eq!(stores.numbers(TWO), [5]);
}

#[test]
fn losses_are_reported_once_for_each_attempt() {
    let interval = millis(50);
    let stores = Stores::new(MemoryOptions { attempt_interval: interval, ..MemoryOptions::default() });
    stores.network.cut(ONE, TWO);
    stores.send_all(ONE, TWO);
    stores.network.deliver_due(millis(49));
    assert_eq!(stores.reports(ONE, TWO), 0);
    stores.network.deliver_due(interval);
    assert_eq!(stores.reports(ONE, TWO), 1);
    stores.send_all(ONE, TWO);
    stores.network.deliver_due(interval * 2);
    assert_eq!(stores.reports(ONE, TWO), 2);
}

#[test]
fn a_clog_holds_everything_and_lets_it_go_in_another_order() {
    let stores = Stores::with(LinkFaults { reorder_by_max: millis(50), ..LinkFaults::delay(millis(1), millis(2)) });
    stores.send(ONE, TWO, 0).unwrap();
    stores.network.clog(ONE, TWO);
    for number in 1..COUNT {
        stores.send(ONE, TWO, number).unwrap();
    }
    let held = stores.run();
    assert_eq!(
        held.iter().map(|(_, happening)| *happening).collect::<Vec<_>>(),
        [Happening::Held { from: ONE, to: TWO }]
    );
    assert_eq!(stores.numbers(TWO), [0; 0]);
    assert_eq!(stores.network.queued(ONE, TWO), COUNT as usize);
    stores.network.unclog(ONE, TWO);
    stores.run();
    let numbers = stores.numbers(TWO);
    assert_ne!(numbers, all());
    assert_eq!(sorted(numbers), all());
    assert_eq!(stores.network.queued(ONE, TWO), 0);
}

#[test]
fn a_crash_takes_what_is_under_way_and_the_old_endpoint_with_it() {
    let stores = Stores::with(LinkFaults::delay(millis(10), millis(10)));
    stores.network.clog(THREE, TWO);
    stores.send(ONE, TWO, 1).unwrap();
    stores.send(TWO, ONE, 2).unwrap();
    stores.send(THREE, TWO, 3).unwrap();
    stores.send(ONE, THREE, 4).unwrap();
    stores.network.crash(TWO);
    assert_eq!([stores.network.queued(ONE, TWO), stores.network.queued(THREE, TWO)], [0, 0]);
    assert_eq!(stores.send(TWO, ONE, 5), Err(SendRefused::Disconnected));
    stores.send(ONE, TWO, 6).unwrap();
    stores.network.unclog(THREE, TWO);
    stores.run();
    assert_eq!([stores.numbers(ONE), stores.numbers(TWO), stores.numbers(THREE)], [vec![], vec![], vec![4]]);
    assert!(stores.reports(ONE, TWO) > 0, "the last one was sent to a store that is down");

    let again = stores.network.endpoint(TWO);
    let inbox: Arc<Recorder> = Arc::clone(&stores.recorders[1]);
    stores.network.attach(TWO, inbox);
    again.send(ONE, message(TWO, ONE, 7)).unwrap();
    assert_eq!(stores.send(TWO, ONE, 8), Err(SendRefused::Disconnected), "the endpoint of the life before");
    stores.send(ONE, TWO, 9).unwrap();
    stores.run();
    assert_eq!([stores.numbers(ONE), stores.numbers(TWO)], [vec![7], vec![9]]);
}

#[test]
fn healing_ends_all_faults() {
    let stores = Stores::with(wild());
    stores.network.cut(ONE, TWO);
    stores.network.clog(ONE, THREE);
    stores.network.heal();
    stores.send_all(ONE, TWO);
    stores.send_all(ONE, THREE);
    stores.send_all(TWO, THREE);
    let trace = stores.run();
    assert_eq!(stores.numbers(TWO), all());
    assert_eq!(stores.numbers(THREE).len(), 2 * COUNT as usize);
    assert!(trace.iter().all(|(at, _)| *at == Duration::ZERO));
}

/// Answers each message to the store it came from, within the call.
#[derive(Debug)]
struct Echo {
    endpoint: Arc<MemoryEndpoint>,
    store: StoreId,
}

impl Inbox for Echo {
    fn raft_message(&self, message: RaftMessage) {
        let to = StoreId(message.from_peer.as_ref().unwrap().store_id);
        let answer = RaftMessage { from_peer: message.to_peer, to_peer: message.from_peer, ..message };
        assert_eq!(answer.from_peer.as_ref().unwrap().store_id, self.store.0);
        self.endpoint.send(to, answer).unwrap();
    }

    fn unreachable(&self, store: StoreId) {
        panic!("{store} is up");
    }

    fn image(&self, _: RaftMessage) -> Result<Box<dyn ImageSink>, String> {
        Err("an echo keeps nothing".to_owned())
    }
}

fn with_echo(options: MemoryOptions) -> Stores {
    let stores = Stores::new(options);
    let endpoint = Arc::clone(&stores.endpoints[1]);
    stores.network.attach(TWO, Arc::new(Echo { endpoint, store: TWO }));
    stores
}

#[test]
fn answers_sent_while_delivering_wait_for_the_next_step() {
    let stores = with_echo(MemoryOptions::default());
    stores.send(ONE, TWO, 1).unwrap();
    assert_eq!(stores.network.deliver_due(Duration::ZERO), 1);
    assert_eq!(stores.numbers(ONE), [0; 0]);
    assert_eq!(stores.network.deliver_due(Duration::ZERO), 1);
    assert_eq!(stores.numbers(ONE), [1]);
}

#[test]
fn instant_delivery_needs_no_steps_and_keeps_order_and_clogs() {
    let stores = with_echo(MemoryOptions { delivery: Delivery::Instant, ..MemoryOptions::default() });
    stores.send_all(ONE, TWO);
    assert_eq!(stores.numbers(ONE), all(), "there and back within send");
    stores.network.clog(ONE, THREE);
    stores.send_all(ONE, THREE);
    assert_eq!(stores.numbers(THREE), [0; 0]);
    stores.network.unclog(ONE, THREE);
    assert_eq!(sorted(stores.numbers(THREE)), all());
}

#[test]
fn instant_delivery_keeps_each_threads_order() {
    let network = MemoryNetwork::instant();
    let recorder = Recorder::new(&Arc::new(Bell::default()));
    let inbox: Arc<Recorder> = Arc::clone(&recorder);
    network.attach(THREE, inbox);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let endpoint = network.endpoint(ONE);
            scope.spawn(move || {
                for number in 0..COUNT {
                    endpoint.send(THREE, message(ONE, THREE, thread * COUNT + number)).unwrap();
                }
            });
        }
    });
    let numbers = recorder.numbers();
    for thread in 0..4 {
        let of_thread: Vec<u64> = numbers.iter().copied().filter(|number| number / COUNT == thread).collect();
        assert_eq!(of_thread, (thread * COUNT..(thread + 1) * COUNT).collect::<Vec<_>>());
    }
}

#[test]
fn an_instant_network_reports_a_store_that_is_down_at_once() {
    let network = MemoryNetwork::instant();
    let recorder = Recorder::new(&Arc::new(Bell::default()));
    let inbox: Arc<Recorder> = Arc::clone(&recorder);
    network.attach(ONE, inbox);
    let _known_but_down = network.endpoint(TWO);
    network.endpoint(ONE).send(TWO, message(ONE, TWO, 1)).unwrap();
    assert_eq!(recorder.unreachable_reports(TWO), 1);
}
