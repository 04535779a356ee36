//! A whole cluster in one thread from one seed.
pub mod checkers;
pub mod cli;
pub mod faults;
pub mod invariants;
pub mod random;
pub mod run;
pub mod scenario;
pub mod trace;
pub mod workloads;
pub mod world;
