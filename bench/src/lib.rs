//! Measures a cluster beside a peer, and both beside what the machine can do. Not in the server's hot path: a client.
//!
//! ```text
//!   run:    load ─► (turn: target A warm-up, measure ─► target B warm-up, measure) × turns ─► medians, ratio
//!                         │ clients: draw an operation, await it, record      │ processes: CPU, bytes written
//!   limits: echo over tonic │ RocksDB, synced and not │ fdatasync │ raft-rs in memory
//!   report: table │ JSON │ one HTML page with pictures
//! ```
//!
//! | file | what |
//! | --- | --- |
//! | `args` | the command line |
//! | `workload`, `keys` | what is done, and to which keys |
//! | `target/` | who is measured: `nokv` (or any TinyKv server), `etcd` |
//! | `drive` | load and clients, closed loop or at a fixed rate |
//! | `recorder`, `process` | what happened, and what it cost |
//! | `turns` | one or two targets in turns; medians |
//! | `limits/` | what the machine can do |
//! | `report/` | how it is told: `figures`, `table`, `html` with `chart` |
//! | `error` | what keeps a run from being made |
//!
//! Invariants: two targets are never loaded at once; an operation that fails is counted and never timed; at a fixed
//! rate latency counts from when an operation was due.
//!
//! Absent on purpose: starting servers (scripts do), judging figures (people do).

mod args;
mod drive;
mod error;
mod keys;
mod limits;
mod process;
mod recorder;
mod report;
mod target;
mod turns;
mod workload;

pub use args::BenchArgs;
pub use error::{BenchError, Result};

/// Runs what the command line asks for and returns the figures as text to be printed. Needs a tokio runtime of
/// [`BenchArgs::threads`] threads with everything enabled.
///
/// # Errors
/// If it cannot be run; failed operations are figures, not errors.
pub async fn bench(args: BenchArgs) -> Result<String> {
    match args.what {
        args::What::Run(args) => turns::run(args).await,
        args::What::Limits(args) => limits::run(args).await,
    }
}
