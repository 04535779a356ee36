//! The clock that timestamps are made of. Pure: what the machine's clocks show is an argument, and what must be durable
//! first is returned as data, so that a file and a replicated record serve alike.
//!
//! * `allocator.rs`: who gets which timestamps, always below a bound that is durable.
//! * `steady_clock.rs`: a clock that does not fall back, from one that may.

mod allocator;
mod steady_clock;

pub use allocator::{AllocateError, Allocator, BATCH_MAX, Decision, LOGICAL_BITS};
pub use steady_clock::{ClockEvent, ClockReading, WALL_MS_MAX};
