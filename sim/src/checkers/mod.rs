//! Judges of histories: pure functions from what clients saw to a verdict, each with tests on histories into which the
//! anomaly that it is for was planted.
//!
//! A moment is a number that rises with every event of the run; an operation lies between the moments of its call and
//! its return. An operation whose outcome is unknown has no return.

pub mod append;
pub mod bank;
pub mod raw;
pub mod register;
pub mod sequential;

/// A moment of a run: events are numbered in the order in which they happened.
pub type Moment = u64;
