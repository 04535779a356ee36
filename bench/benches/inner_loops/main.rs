//! The inner loops of a put and of a get, one by one under criterion, each with the allocations it makes.
//! All in one program of this crate, so that the crates that own the loops build and test without criterion.
//!
//! ```text
//!   cargo bench -p nokv-bench                    everything
//!   cargo bench -p nokv-bench -- prewrite        what has this in its name
//! ```
//!
//! * `codecs.rs`: keys, records, write batches, log entries, messages between nodes.
//! * `transactions.rs`: get, scan, prewrite and commit, in memory and on RocksDB.
//! * `reads.rs`: a get as a region's leader serves it.
//! * `replication.rs`: appending to the raft log, applying entries.

#![allow(clippy::unwrap_used, reason = "what fails here is a defect of the bench, which has nothing else to do")]

mod codecs;
mod reads;
mod replication;
mod transactions;

use std::alloc::System;
use std::time::Duration;

use criterion::Criterion;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Calls over which allocations are averaged; RocksDB's own, made in C++, are not among them.
const COUNTED_CALLS: usize = 1_000;

/// Times `call` and prints what it allocates. Nothing is done for a name that the command line does not ask for.
fn measure<T>(criterion: &mut Criterion, name: &str, mut call: impl FnMut() -> T) {
    let mut counted = false;
    criterion.bench_function(name, |bencher| {
        if !std::mem::replace(&mut counted, true) {
            let region = Region::new(ALLOCATOR);
            for _ in 0..COUNTED_CALLS {
                std::hint::black_box(call());
            }
            let change = region.change();
            let each = |count: usize| count as f64 / COUNTED_CALLS as f64;
            let (allocations, bytes) = (change.allocations + change.reallocations, change.bytes_allocated);
            println!("{name}: {:.1} allocations of {:.0} bytes in all, each call", each(allocations), each(bytes));
        }
        bencher.iter(&mut call);
    });
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    codecs::run(&mut criterion);
    transactions::run(&mut criterion);
    reads::run(&mut criterion);
    replication::run(&mut criterion);
    criterion.final_summary();
}
