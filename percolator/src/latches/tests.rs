//! Latches under a small executor of our own: exclusion, order, cancellation,
//! and no wake-up lost.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use super::*;

/// A waker that only remembers that it was called.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// One future, polled by hand.
struct Hand<F> {
    future: Pin<Box<F>>,
    flag: Arc<Flag>,
}

impl<F: Future> Hand<F> {
    fn new(future: F) -> Self {
        Self { future: Box::pin(future), flag: Arc::default() }
    }

    fn poll(&mut self) -> Poll<F::Output> {
        self.flag.0.store(false, Ordering::SeqCst);
        self.future.as_mut().poll(&mut Context::from_waker(&Waker::from(self.flag.clone())))
    }

    fn woken(&self) -> bool {
        self.flag.0.load(Ordering::SeqCst)
    }
}

fn ready<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("still waits"),
    }
}

/// A table of 256 slots and three keys in different ones, ascending.
fn table() -> (Latches, [Vec<u8>; 3]) {
    let latches = Latches::new(256);
    let mut keys: Vec<Vec<u8>> = (b'a'..=b'z').map(|byte| vec![byte]).collect();
    keys.sort_by_key(|key| latches.table.slot_of(key));
    keys.dedup_by_key(|key| latches.table.slot_of(key));
    (latches, [keys[0].clone(), keys[1].clone(), keys[2].clone()])
}

fn acquire(latches: &Latches, keys: &[&Vec<u8>]) -> Hand<Acquire> {
    Hand::new(latches.acquire(keys.iter().map(|key| key.as_slice())))
}

fn assert_at_rest(latches: &Latches) {
    for slot in &latches.table.slots {
        assert!(slot.lock().is_at_rest());
    }
}

#[test]
fn same_key_waits_and_another_does_not() {
    let (latches, [a, b, _]) = table();
    let guard = ready(acquire(&latches, &[&a]).poll());
    let mut second = acquire(&latches, &[&a]);
    assert!(second.poll().is_pending());
    drop(ready(acquire(&latches, &[&b]).poll()));
    assert!(!second.woken());
    drop(guard);
    assert!(second.woken());
    drop(ready(second.poll()));
    assert_at_rest(&latches);
}

#[test]
fn one_command_may_name_a_key_twice_or_none() {
    let (latches, [a, b, _]) = table();
    drop(ready(acquire(&latches, &[&a, &b, &a]).poll()));
    drop(ready(acquire(&latches, &[]).poll()));
    drop(ready(Hand::new(Latches::new(0).acquire([a.as_slice(), b.as_slice()])).poll()));
    assert_at_rest(&latches);
}

#[test]
fn first_come_first_served() {
    let (latches, [a, _, _]) = table();
    let guard = ready(acquire(&latches, &[&a]).poll());
    let mut waiting: VecDeque<_> = (0..5).map(|_| acquire(&latches, &[&a])).collect();
    for waiter in &mut waiting {
        assert!(waiter.poll().is_pending());
    }
    let mut holds = guard;
    while let Some(mut first) = waiting.pop_front() {
        drop(holds);
        // A newcomer between the hand-over and the first's next turn does not overtake it.
        let mut newcomer = acquire(&latches, &[&a]);
        assert!(newcomer.poll().is_pending());
        assert!(first.woken() && waiting.iter().all(|waiter| !waiter.woken()));
        holds = ready(first.poll());
    }
    drop(holds);
    assert_at_rest(&latches);
}

#[test]
fn slots_are_taken_in_order_whatever_the_keys_order() {
    let (latches, [a, b, c]) = table();
    let holds_b = ready(acquire(&latches, &[&b]).poll());
    let mut all = acquire(&latches, &[&c, &b, &a]);
    assert!(all.poll().is_pending());
    assert!(acquire(&latches, &[&a]).poll().is_pending(), "the lower slot is held while it waits");
    drop(ready(acquire(&latches, &[&c]).poll()));
    drop(holds_b);
    drop(ready(all.poll()));
    assert_at_rest(&latches);
}

#[test]
fn a_waiter_that_gives_up_leaves_everything() {
    let (latches, [a, b, _]) = table();
    let holds_b = ready(acquire(&latches, &[&b]).poll());
    let mut gives_up = acquire(&latches, &[&a, &b]);
    assert!(gives_up.poll().is_pending());
    let (mut waits_a, mut waits_b) = (acquire(&latches, &[&a]), acquire(&latches, &[&b]));
    assert!(waits_a.poll().is_pending() && waits_b.poll().is_pending());
    drop(gives_up);
    assert!(waits_a.woken(), "what it held goes on to the next");
    drop(ready(waits_a.poll()));
    assert!(!waits_b.woken());
    drop(holds_b);
    drop(ready(waits_b.poll()));
    assert_at_rest(&latches);
}

#[test]
fn a_waiter_dropped_after_the_hand_over_hands_on() {
    let (latches, [a, _, _]) = table();
    let guard = ready(acquire(&latches, &[&a]).poll());
    let (mut woken, mut behind) = (acquire(&latches, &[&a]), acquire(&latches, &[&a]));
    assert!(woken.poll().is_pending() && behind.poll().is_pending());
    drop(guard);
    assert!(woken.woken() && !behind.woken());
    drop(woken);
    assert!(behind.woken());
    drop(ready(behind.poll()));
    assert_at_rest(&latches);
}

#[test]
fn a_waiter_that_moves_to_another_task_is_woken_there() {
    let (latches, [a, _, _]) = table();
    let guard = ready(acquire(&latches, &[&a]).poll());
    let mut waiter = acquire(&latches, &[&a]);
    assert!(waiter.poll().is_pending());
    let old_task = std::mem::take(&mut waiter.flag);
    assert!(waiter.poll().is_pending());
    drop(guard);
    assert!(waiter.woken() && !old_task.0.load(Ordering::SeqCst));
    drop(ready(waiter.poll()));
}

#[test]
fn an_acquire_never_polled_holds_nothing() {
    let (latches, [a, _, _]) = table();
    let idle = acquire(&latches, &[&a]);
    drop(ready(acquire(&latches, &[&a]).poll()));
    drop(idle);
    assert_at_rest(&latches);
}

#[test]
fn the_guard_can_go_anywhere() {
    fn check<T: Send + 'static>() {}
    check::<LatchGuard>();
    check::<Acquire>();
}

#[test]
fn hashing_is_the_same_in_every_process() {
    let table = Latches::new(1 << 20).table;
    assert_eq!(table.slot_of(b""), (0xcbf2_9ce4_8422_2325u64 ^ 0xcbf2_9ce4) as usize & 0xf_ffff);
    // FNV-1a's published value of "a" is af63dc4c8601ec8c.
    assert_eq!(table.slot_of(b"a"), (0xaf63_dc4c_8601_ec8cu64 ^ 0xaf63_dc4c) as usize & 0xf_ffff);
}

/// A task of the tiny executor: woken tasks queue up for their next turn.
struct Task {
    index: usize,
    queue: Arc<Mutex<VecDeque<usize>>>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.queue.lock().unwrap().push_back(self.index);
    }
}

/// Gives the others a turn.
async fn give_way() {
    let mut given = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A sequence of numbers that looks random and is always the same.
fn sequence(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

#[test]
fn many_tasks_on_one_thread_exclude_each_other_and_all_finish() {
    const TASKS: usize = 400;
    let latches = Latches::new(16);
    let inside: Arc<Vec<AtomicUsize>> = Arc::new((0..16).map(|_| AtomicUsize::new(0)).collect());
    let queue = Arc::new(Mutex::new((0..TASKS).collect::<VecDeque<usize>>()));
    let mut next = sequence(7);
    let waits: Vec<Arc<AtomicBool>> = (0..TASKS).map(|_| Arc::default()).collect();
    let mut tasks: Vec<Option<Pin<Box<dyn Future<Output = ()>>>>> = waits
        .iter()
        .map(|waits| {
            let keys: Vec<[u8; 1]> = (0..1 + next(5)).map(|_| [next(40) as u8]).collect();
            let task = visit_three_times(latches.clone(), inside.clone(), waits.clone(), keys, next(4));
            Some(Box::pin(task) as Pin<Box<dyn Future<Output = ()>>>)
        })
        .collect();
    let (mut finished, mut dropped) = (0, 0);
    loop {
        let Some(index) = queue.lock().unwrap().pop_front() else { break };
        let Some(task) = tasks[index].as_mut() else { continue };
        let waker = Waker::from(Arc::new(Task { index, queue: queue.clone() }));
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            tasks[index] = None;
            finished += 1;
        } else if waits[index].load(Ordering::SeqCst) && next(10) == 0 {
            tasks[index] = None;
            dropped += 1;
        }
    }
    assert_eq!(finished + dropped, TASKS, "every task ended: no wake-up was lost");
    assert!(finished > TASKS / 2 && dropped > TASKS / 20, "{finished} finished, {dropped} gave up");
    assert_at_rest(&latches);
}

/// Takes the latches of `keys` three times, and stays for some turns, alone. `waits` says when it may be dropped.
async fn visit_three_times(
    latches: Latches,
    inside: Arc<Vec<AtomicUsize>>,
    waits: Arc<AtomicBool>,
    keys: Vec<[u8; 1]>,
    turns: u64,
) {
    let mut slots: Vec<usize> = keys.iter().map(|key| latches.table.slot_of(key)).collect();
    slots.sort_unstable();
    slots.dedup();
    for _ in 0..3 {
        waits.store(true, Ordering::SeqCst);
        let guard = latches.acquire(keys.iter().map(|key| key.as_slice())).await;
        waits.store(false, Ordering::SeqCst);
        for slot in &slots {
            assert_eq!(inside[*slot].fetch_add(1, Ordering::SeqCst), 0, "two inside slot {slot}");
        }
        for _ in 0..turns {
            give_way().await;
        }
        for slot in &slots {
            inside[*slot].fetch_sub(1, Ordering::SeqCst);
        }
        drop(guard);
        give_way().await;
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        std::thread::park();
    }
}

#[test]
fn threads_exclude_each_other_and_cancel_at_any_moment() {
    let latches = Latches::new(8);
    let counts: Vec<AtomicUsize> = (0..8).map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (latches, counts) = (&latches, &counts);
            scope.spawn(move || {
                let mut next = sequence(thread);
                for _ in 0..2000 {
                    let keys = [[next(30) as u8], [next(30) as u8]];
                    let acquire = || latches.acquire(keys.iter().map(|key| key.as_slice()));
                    if next(4) == 0 {
                        let mut given_up = Hand::new(acquire());
                        drop(given_up.poll());
                        drop(given_up);
                    }
                    let guard = block_on(acquire());
                    let slot = latches.table.slot_of(&keys[0]);
                    // Not atomic on purpose: a second one inside would lose an addition.
                    let count = counts[slot].load(Ordering::Relaxed);
                    std::thread::yield_now();
                    counts[slot].store(count + 1, Ordering::Relaxed);
                    drop(guard);
                }
            });
        }
    });
    assert_eq!(counts.iter().map(|count| count.load(Ordering::Relaxed)).sum::<usize>(), 4 * 2000);
    assert_at_rest(&latches);
}
