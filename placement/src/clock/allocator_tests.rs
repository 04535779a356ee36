//! The allocator against a naive model: intervals handed out must grow, whatever crashes and however clocks move.
//!
//! The "disk" is a number that survives; a crash may fall before, between or after a write and its report.

use proptest::prelude::*;

use super::*;

fn at(wall_ms: u64, steady_ms: u64) -> ClockReading {
    ClockReading { wall_ms, steady_ms }
}

/// An allocator whose bound lies far ahead, with both clocks at the same place.
fn ready(now_ms: u64) -> Allocator {
    let mut allocator = Allocator::starting_at(0, at(now_ms, 0));
    allocator.bound_is_durable(now_ms + 1_000_000);
    allocator
}

fn granted(decision: Result<Decision, AllocateError>) -> u64 {
    match decision {
        Ok(Decision::Granted { first }) => first,
        other => panic!("expected timestamps, got {other:?}"),
    }
}

#[test]
fn timestamps_carry_the_clock() {
    let mut allocator = ready(1_000);
    assert_eq!(granted(allocator.allocate(at(1_000, 0), 3)), 1_000 << 18);
    assert_eq!(granted(allocator.allocate(at(1_000, 0), 1)), (1_000 << 18) + 3);
    assert_eq!(granted(allocator.allocate(at(1_007, 7), 1)), 1_007 << 18);
}

#[test]
fn nothing_is_handed_out_before_a_bound_is_durable() {
    let mut allocator = Allocator::starting_at(0, at(1_000, 0));
    let needed = Ok(Decision::BoundNeeded { bound_ms: 4_000 });
    assert_eq!(allocator.allocate(at(1_000, 0), 1), needed);
    assert_eq!(allocator.allocate(at(1_000, 0), 1), needed);
    allocator.bound_is_durable(4_000);
    assert_eq!(granted(allocator.allocate(at(1_000, 0), 1)), 1_000 << 18);
    assert_eq!(granted(allocator.allocate(at(3_999, 2_999), 1)), 3_999 << 18);
    assert_eq!(allocator.allocate(at(4_000, 3_000), 1), Ok(Decision::BoundNeeded { bound_ms: 7_000 }));
}

#[test]
fn the_next_bound_is_wanted_half_a_window_early() {
    let mut allocator = Allocator::starting_at(0, at(1_000, 0));
    allocator.bound_is_durable(4_000);
    allocator.allocate(at(1_000, 0), 1).unwrap();
    assert_eq!(allocator.bound_soon_needed(), None);
    allocator.allocate(at(2_500, 1_500), 1).unwrap();
    assert_eq!(allocator.bound_soon_needed(), Some(5_500));
}

#[test]
fn a_batch_lies_in_one_millisecond() {
    let mut allocator = ready(1_000);
    for n in 0..4 {
        assert_eq!(granted(allocator.allocate(at(1_000, 0), BATCH_MAX - 1)), (1_000 << 18) + n * 65_535);
    }
    // Four are left of this millisecond: one fits, then five do not.
    assert_eq!(granted(allocator.allocate(at(1_000, 0), 1)), (1_001 << 18) - 4);
    assert_eq!(granted(allocator.allocate(at(1_000, 0), 5)), 1_001 << 18);
    assert_eq!(allocator.allocate(at(1_000, 0), 0), Err(AllocateError::BatchSize { count: 0 }));
    assert_eq!(allocator.allocate(at(1_000, 0), 65_537), Err(AllocateError::BatchSize { count: 65_537 }));
}

#[test]
fn demand_pushes_time_ahead_by_a_bounded_amount() {
    let mut allocator = ready(1_000);
    let mut batches = 0;
    let refused = loop {
        match allocator.allocate(at(1_000, 0), BATCH_MAX) {
            Ok(_) => batches += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(batches, 51 * 4, "this millisecond and fifty ahead of it");
    assert_eq!(refused, AllocateError::TooFast { wait_ms: 1 });
    assert_eq!(granted(allocator.allocate(at(1_001, 1), 1)), 1_051 << 18);
}

#[test]
fn a_clock_far_behind_the_record_is_told_and_does_not_stop_anything() {
    let mut allocator = Allocator::starting_at(1_000_000, at(5, 0));
    assert_eq!(allocator.allocate(at(5, 0), 1), Ok(Decision::BoundNeeded { bound_ms: 1_003_000 }));
    assert_eq!(allocator.take_news(), Some(ClockEvent::Behind { by_ms: 999_995 }));
    assert_eq!(allocator.take_news(), None);
    allocator.bound_is_durable(1_003_000);
    assert_eq!(granted(allocator.allocate(at(5, 0), 1)), 1_000_000 << 18);
    assert_eq!(granted(allocator.allocate(at(805, 800), 1)), 1_000_700 << 18);
}

#[test]
fn the_end_of_time_is_an_error() {
    let mut allocator = Allocator::starting_at(u64::MAX, at(5, 0));
    assert_eq!(allocator.allocate(at(5, 0), 1), Err(AllocateError::NoneLeft));
}

#[test]
fn the_timestamp_zero_is_never_handed_out() {
    let mut allocator = Allocator::starting_at(0, at(0, 0));
    allocator.bound_is_durable(3_000);
    assert_eq!(granted(allocator.allocate(at(0, 0), 1)), 1 << 18);
}

#[derive(Clone, Debug)]
enum Step {
    /// Ask for a batch after the clocks have moved.
    Ask { count: u32, wall_ms: i64, steady_ms: u64 },
    /// The wall clock is set.
    SetWall(u64),
    /// Write the next bound early, as a background task would.
    WriteEarly,
    /// The bound asked for reaches the disk, the process dies before it learns of it.
    DieAfterWrite,
    /// The process dies.
    Die,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let count = prop_oneof![1..=3u32, Just(BATCH_MAX), 1..=BATCH_MAX];
    let moved = prop_oneof![0..5i64, -5..5_000i64, -10_000_000..10_000_000i64];
    let step = prop_oneof![
        12 => (count, moved, 0..2_000u64)
            .prop_map(|(count, wall_ms, steady_ms)| Step::Ask { count, wall_ms, steady_ms }),
        1 => prop_oneof![Just(0), Just(u64::MAX), any::<u64>(), 0..4_000_000_000_000u64].prop_map(Step::SetWall),
        2 => Just(Step::WriteEarly),
        1 => Just(Step::DieAfterWrite),
        1 => Just(Step::Die),
    ];
    prop::collection::vec(step, 1..200)
}

/// The world around an allocator: clocks, a disk, and everything handed out so far.
struct World {
    now: ClockReading,
    disk_bound_ms: u64,
    allocator: Allocator,
    /// Everything below has been handed out or skipped.
    taken: u64,
    grants: usize,
}

impl World {
    fn ask(&mut self, count: u32) -> Result<(), TestCaseError> {
        for _ in 0..2 {
            match self.allocator.allocate(self.now, count) {
                Ok(Decision::Granted { first }) => {
                    let last = first + u64::from(count) - 1;
                    prop_assert!(first >= self.taken, "{} was handed out already", first);
                    prop_assert!(last >> 18 < self.disk_bound_ms, "not covered by the disk");
                    prop_assert_eq!(first >> 18, last >> 18, "over a millisecond's edge");
                    self.taken = last + 1;
                    self.grants += 1;
                    return Ok(());
                }
                Ok(Decision::BoundNeeded { bound_ms }) => self.write(bound_ms),
                Err(AllocateError::TooFast { wait_ms }) => {
                    prop_assert!((1..=1_000).contains(&wait_ms), "waits {} ms", wait_ms);
                    return Ok(());
                }
                Err(other) => return Err(TestCaseError::fail(other.to_string())),
            }
        }
        Err(TestCaseError::fail("a durable bound did not help"))
    }

    fn write(&mut self, bound_ms: u64) {
        self.disk_bound_ms = bound_ms;
        self.allocator.bound_is_durable(bound_ms);
    }

    fn restart(&mut self) {
        self.now.steady_ms = 0;
        self.allocator = Allocator::starting_at(self.disk_bound_ms, self.now);
    }
}

proptest! {
    #[test]
    fn never_back_never_twice(steps in steps(), wall_ms in 0..4_000_000_000_000u64) {
        let now = at(wall_ms, 0);
        let mut world = World { now, disk_bound_ms: 0, allocator: Allocator::starting_at(0, now), taken: 0, grants: 0 };
        world.ask(1)?;
        for step in steps {
            match step {
                Step::Ask { count, wall_ms, steady_ms } => {
                    world.now.wall_ms = world.now.wall_ms.saturating_add_signed(wall_ms);
                    world.now.steady_ms += steady_ms;
                    world.ask(count)?;
                }
                Step::SetWall(wall_ms) => world.now.wall_ms = wall_ms,
                Step::WriteEarly => {
                    if let Some(bound_ms) = world.allocator.bound_soon_needed() {
                        world.write(bound_ms);
                    }
                }
                Step::DieAfterWrite => {
                    if let Ok(Decision::BoundNeeded { bound_ms }) = world.allocator.allocate(world.now, 1) {
                        world.disk_bound_ms = bound_ms;
                    }
                    world.restart();
                }
                Step::Die => world.restart(),
            }
        }
        prop_assert!(world.grants > 0, "nothing was ever handed out");
    }
}

/// A simulated day and a half of leaders that die, on machines whose clocks are set back and forward by an hour.
#[test]
fn clocks_set_back_by_an_hour_repeat_nothing_and_stop_nothing() {
    const HOUR_MS: i64 = 3_600_000;
    let mut random = fastrand::Rng::with_seed(7);
    let mut offsets_ms = [0i64; 3];
    // What survives everything: placement's record.
    let mut durable_ms = 0;
    let (mut time_ms, mut last, mut count, mut leaders) = (1_790_000_000_000u64, 0, 0u64, 0);
    while count < 5_000_000 {
        let machine = random.usize(..3);
        leaders += 1;
        let reading = |time_ms: u64, offset_ms: i64| at(time_ms.saturating_add_signed(offset_ms), time_ms);
        let mut allocator = Allocator::starting_at(durable_ms, reading(time_ms, offsets_ms[machine]));
        for _ in 0..random.usize(1..200) {
            time_ms += random.u64(..400);
            if random.usize(..40) == 0 {
                offsets_ms[random.usize(..3)] = HOUR_MS * random.i64(-1..=1);
            }
            let (asked_ms, batch) = (time_ms, random.u32(1..1_000));
            let first = loop {
                match allocator.allocate(reading(time_ms, offsets_ms[machine]), batch) {
                    Ok(Decision::Granted { first }) => break first,
                    Ok(Decision::BoundNeeded { bound_ms }) => {
                        durable_ms = durable_ms.max(bound_ms);
                        allocator.bound_is_durable(durable_ms);
                    }
                    Err(AllocateError::TooFast { wait_ms }) => time_ms += wait_ms.max(1),
                    Err(other) => panic!("{other}"),
                }
            };
            assert!(time_ms - asked_ms < 2_000, "nobody waits for a clock to come back");
            assert!(first > last, "{first} after {last}");
            last = first + u64::from(batch) - 1;
            count += u64::from(batch);
        }
    }
    assert!(leaders > 50, "{leaders} leaders for {count} timestamps");
}
