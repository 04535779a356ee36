//! A whole cluster in one thread from one seed.
pub mod checkers;
pub mod random;
pub mod trace;
