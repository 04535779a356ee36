//! The command line of `nokv bench`: what to run against what, how hard, for how long, and where the figures go.
//! Every flag has a default that makes sense on a laptop.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::keys::Distribution;
use crate::limits::Part;
use crate::workload::Workload;

/// Measures a cluster, beside a peer and beside what the machine can do.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    #[command(subcommand)]
    pub(crate) what: What,
    /// Threads that run all clients (default: half of the cores). On one, requests that are ready leave together; the
    /// servers need the rest of the machine.
    #[arg(long, global = true, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum What {
    /// Run a workload against a target, or against two in turns.
    Run(RunArgs),
    /// Measure what this machine can do at all: RPC, disk, RocksDB, raft in memory.
    Limits(LimitsArgs),
}

impl BenchArgs {
    /// Threads of the runtime that the benchmark is to run on.
    pub fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or((cores / 2).max(1), usize::from)
    }

    /// Whether errors are to be printed as JSON.
    pub fn json(&self) -> bool {
        match &self.what {
            What::Run(args) => args.json,
            What::Limits(args) => args.json,
        }
    }
}

/// One workload against one or two targets.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// What is measured: `nokv:CONFIG.json` (with the timestamp server that the config names) or `nokv:HOST:PORT` (a
    /// node that hosts placement), `nokv-unary:CONFIG.json` (the same, each request by a
    /// call of its own, where the client would send many on a stream) or
    /// `etcd:HOST:PORT,HOST:PORT…`.
    #[arg(long, value_name = "TARGET")]
    pub target: String,
    /// A second target, run in turns with the first; the ratio is printed.
    #[arg(long, value_name = "TARGET")]
    pub vs: Option<String>,
    /// The operation.
    #[arg(long, value_enum, default_value = "raw-put")]
    pub workload: Workload,
    /// The operation on the second target, if it is another one (a transaction against etcd's put, say).
    #[arg(long, value_enum)]
    pub vs_workload: Option<Workload>,
    /// Clients that each have one operation under way; several numbers separated by commas are measured one after the
    /// other and show how latency grows with load.
    #[arg(long, default_value = "64", value_delimiter = ',')]
    pub clients: Vec<u64>,
    /// Connections to each server.
    #[arg(long, default_value_t = 2)]
    pub connections: usize,
    /// Number of keys.
    #[arg(long, default_value_t = 100_000)]
    pub keys: u64,
    /// Size of a key in bytes; the number is padded with zeros.
    #[arg(long, default_value_t = 16)]
    pub key_bytes: usize,
    /// Size of a value in bytes.
    #[arg(long, default_value_t = 256)]
    pub value_bytes: usize,
    /// Which keys are hit.
    #[arg(long, value_enum, default_value = "uniform")]
    pub distribution: Distribution,
    /// Keys of a transaction with several, and rows of a scan.
    #[arg(long, default_value_t = 8)]
    pub rows: usize,
    /// Operations a second in all; the default is as many as there can be. At a fixed rate latency is counted from
    /// when an operation should have begun, so that a stall is not left out.
    #[arg(long, value_name = "PER_SECOND")]
    pub rate: Option<u64>,
    /// Seconds measured in each turn.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Seconds run before measuring.
    #[arg(long, default_value_t = 2)]
    pub warmup_seconds: u64,
    /// Turns; with two targets each turn measures both.
    #[arg(long, default_value_t = 1)]
    pub turns: usize,
    /// Do not write the keys first.
    #[arg(long)]
    pub no_load: bool,
    /// Process ids of the first target's servers, for their CPU time and bytes written; separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub pids: Vec<u32>,
    /// The same for the second target's.
    #[arg(long, value_delimiter = ',')]
    pub vs_pids: Vec<u32>,
    /// Seed of keys and values.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Also write a page with pictures.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// What the machine can do.
#[derive(Args, Clone, Debug)]
pub struct LimitsArgs {
    /// A directory on the disk to be measured; a folder is made in it and removed again.
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
    /// Clients of the bare RPC.
    #[arg(long, default_value_t = 64)]
    pub clients: usize,
    /// Size of a value in bytes.
    #[arg(long, default_value_t = 256)]
    pub value_bytes: usize,
    /// Keys in RocksDB before it is measured.
    #[arg(long, default_value_t = 100_000)]
    pub keys: u64,
    /// Only these parts; separated by commas.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Part>,
    /// Seconds for each figure.
    #[arg(long, default_value_t = 3)]
    pub seconds: u64,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}
