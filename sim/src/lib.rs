//! A whole cluster in one thread from one seed: the production raftstore, percolator, executor, service, timestamp
//! allocator and client, on the in-memory engine and network, on virtual time, while everything that can go wrong does.
//!
//! ```text
//!                         one u64 seed ──► every draw of every part ──► trace (hash always, text on demand)
//!
//!   workloads ──► nokv-client ──► ClientLink: delay, loss, repetition, death ─► TinyKvService ─► Executor ─► Raftstore
//!       │                └─────► OracleLink ──► SimOracle: nokv-server's allocator, crashes, jumping clock     │
//!       ▼                                                                                                     │
//!   histories ──► checkers           each node, in a Process that is paused or killed at any await point:     ▼
//!                                      raft task:  take in ─ collect ─ send first ─ write, sync ─ send last ── mailbox
//!   invariants ◄── what nodes do,                          │ dies, waits or is slow between any two of these │
//!                  send and keep       apply task: batch ─ write ─ tell waiters ─ report
//!                                      MemoryEngine: crash(keep), failing writes and syncs, full ── MemoryNetwork
//! ```
//!
//! A run has two phases. First it works under faults, each kind as often as the seed says: nothing wrong may ever be
//! seen. Then all faults end, and within a bounded virtual time every region must have a leader, every client its
//! answers, every replica the same bytes, and no lock may be left.
//!
//! ```text
//!   cargo run -p nokv-sim -- --seeds 0..1000 --jobs 2      many seeds, all scenarios in turn
//!   cargo run -p nokv-sim -- --seed 7 --trace              one seed and what happened in it
//!   cargo run -p nokv-sim -- --speed                       three quiet nodes against real time
//!   cargo run -p nokv-sim --features planted-bugs -- --mutations      does it find what it is for?
//! ```
//!
//! | file | what |
//! | --- | --- |
//! | [`run`] | one run: up, under faults, left alone, judged |
//! | [`scenario`] | the scenarios, as a table |
//! | [`world`] | `node`, `raft_task`, `apply_task` in a `process`, on a `slot`; `clock`, `disk`, `power` |
//! | | between them: `link`, `store_link`, `oracle`, `directory`, `network_task`; `orders`; `atlas`: the regions |
//! | | to placement: `placement_way`, `reporting` |
//! | [`faults`] | one file a kind of fault |
//! | [`workloads`] | registers, bank, lists, inserts, raw keys, long reads; clients that use and leave them |
//! | [`checkers`] | who judges their histories; pure, each tested with planted anomalies |
//! | [`invariants`] | what must hold at every moment, seen from outside; one file a rule |
//! | [`mutations`] | mistakes planted in the code under test, and how soon they are found |
//! | [`placed`] | placement, in a world of its own: its settings, and the two reckoned up as one |
//! | [`random`], [`trace`], [`cli`] | the seed's streams; what is written down; the command line |
//!
//! Invariants: no thread, clock or random source but the seed's within a run (tokio's current-thread runtime with
//! paused time; `select!` only `biased`; ordered maps); the same seed gives the same trace, byte for byte, in every
//! process; a checker or rule that cannot fail is a defect, so each is shown an anomaly by a test.
//!
//! What stands in for production code, and must be kept like it: `world/raft_task.rs` for `RaftLoop::run`,
//! `world/apply_task.rs` for `run_apply_loop`, `world/link.rs` and `world/store_link.rs` for gRPC, `world/oracle.rs`
//! for the oracle's HTTP service, `world/directory.rs` for whoever knows the map, `world/reporting.rs` and
//! `world/placement_way.rs` for placement's streams.
//!
//! Absent, until the code under test has it: reads that fail on demand (the in-memory engine has none). Absent
//! on purpose: RocksDB and sockets (real processes are hurt elsewhere); timers finer than tokio's millisecond; a store
//! that comes back wiped under its old id (it would deny what it acknowledged, and is refused).

pub mod checkers;
pub mod cli;
pub mod faults;
pub mod invariants;
pub mod mutations;
pub mod placed;
pub mod random;
pub mod run;
pub mod scenario;
pub mod trace;
pub mod workloads;
pub mod world;
