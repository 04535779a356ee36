//! Judges of histories: pure functions from what clients saw to a verdict, each with tests on histories into which the
//! anomaly that it is for was planted.
//!
//! A moment is a number that rises with every event of the run; an operation lies between the moments of its call and
//! its return. An operation whose outcome is unknown has no return.
//!
//! | file | what |
//! | --- | --- |
//! | `register.rs` | are single keys linearizable |
//! | `bank.rs` | do transfers keep the sum |
//! | `append.rs` | are lists as one order of snapshot transactions makes them |
//! | `sequential.rs` | do inserts appear in their order |
//! | `raw.rs` | do raw keys stay as they were acknowledged |
//! | `snapshot.rs` | does a snapshot stay as it was |

pub mod append;
pub mod bank;
pub mod raw;
pub mod register;
pub mod sequential;
pub mod snapshot;

/// A moment of a run: events are numbered in the order in which they happened.
pub type Moment = u64;
