//! The map and the clock: who is in the cluster, which region holds a key, what time it is, and what should move.
//! Pure: time and randomness are arguments, and what is to be written or ordered is returned as data.
//!
//! ```text
//!   clients, stores, region leaders
//!        │ requests, heartbeats                        timestamps: clock/, below a bound that the state keeps
//!        ▼
//!   state/ ── Command ──▶ decide ──▶ Reply + write batch ──▶ placement's own region on raftstore ──▶ engines
//!     │                                                              │
//!     └── regions/ (the map) ◀── load ◀──────────────────────────────┘ a new leader reads what it needs
//!             │
//!             └──▶ schedule/ ──▶ orders, each the answer to the heartbeat of a region's leader
//! ```
//!
//! * `clock/`: timestamps that never go back or repeat. `regions/`: the map. `state/`: all that must not be forgotten.
//! * `schedule/`: what should move, why, and step by step.
//!
//! Placement's region is one like any other, in an engine of its own on each of its nodes: it holds every key of that
//! engine, so that its records meet nobody's keys, and images, membership and log cuts work as they are. Effects are
//! replicated and not commands: only the leader decides, under the term in which it read the state.
//!
//! Invariants: what is refused changes nothing; what is answered has been applied by a quorum's log; of two
//! descriptions of a range the one with the newer epoch stands.
//!
//! Deliberately absent: the network, threads, and what the machine's clock shows (`nokv-server`).

pub mod clock;
pub mod regions;
pub mod schedule;
pub mod state;
