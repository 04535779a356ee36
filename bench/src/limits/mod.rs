//! What this machine can do at all, part by part, so that a cluster's figures have something above them: the bare RPC,
//! the disk, RocksDB alone, Raft alone. Each part runs by itself; load and the disk's own rate are told beside them.
//!
//! ```text
//!   parts ──▶ Clock: warm-up, then `seconds` of it ──▶ Limit (per second, CPU, load) ──▶ told: table or JSON
//! ```
//!
//! * `clock.rs`: how a part is measured. `told.rs`: table and JSON.
//! * `echo.rs`, `echo_service.rs`: the bare RPC, unary and streamed.
//! * `disk.rs`: fdatasync. `rocks.rs`: RocksDB. `raft_memory.rs`: three raft groups' members in one thread.

mod clock;
mod disk;
mod echo;
mod echo_service;
mod raft_memory;
mod rocks;
mod told;

use std::time::Duration;

use clap::ValueEnum;

use crate::args::LimitsArgs;
use crate::error::{BenchError, Result};
use clock::Clock;
pub use clock::Limit;

/// A part of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// tonic: unary calls that echo.
    Unary,
    /// tonic: streams of frames that echo.
    Stream,
    /// fdatasync of a file that grows.
    Disk,
    /// RocksDB as the engine opens it.
    Rocks,
    /// raft-rs, three members in one thread, in memory.
    Raft,
}

/// Measures the parts asked for and returns the text that tells the figures.
///
/// # Errors
/// If the directory cannot be written, or a server for echoes cannot be started.
pub async fn run(args: LimitsArgs) -> Result<String> {
    if args.clients == 0 || args.seconds == 0 {
        return Err(BenchError::Setting("clients and seconds must be at least 1".to_owned()));
    }
    let mut limits = Vec::new();
    let mut clock = Clock::new(Duration::from_secs(args.seconds), &mut limits);
    for part in Part::value_variants() {
        if !args.only.is_empty() && !args.only.contains(part) {
            continue;
        }
        match part {
            Part::Unary => echo::unary(&args, &mut clock).await?,
            Part::Stream => echo::stream(&args, &mut clock).await?,
            // These block; nothing else runs here meanwhile.
            Part::Disk => disk::run(&args, &mut clock)?,
            Part::Rocks => rocks::run(&args, &mut clock)?,
            Part::Raft => raft_memory::run(&args, &mut clock)?,
        }
    }
    Ok(told::tell(&args, &limits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        limits: LimitsArgs,
    }

    /// Each part once, with one second each only where time is what is measured.
    #[tokio::test]
    async fn every_part_gives_figures() {
        let dir = tempfile::tempdir().unwrap();
        let mut args = Line::parse_from(["limits", "--clients", "2", "--json", "--keys", "500"]).limits;
        args.dir = dir.path().to_owned();
        let mut limits = Vec::new();
        let mut clock = Clock::new(Duration::from_millis(5), &mut limits);
        echo::unary(&args, &mut clock).await.unwrap();
        echo::stream(&args, &mut clock).await.unwrap();
        disk::run(&args, &mut clock).unwrap();
        rocks::run(&args, &mut clock).unwrap();
        raft_memory::run(&args, &mut clock).unwrap();
        assert!(limits.iter().all(|limit| limit.per_second > 0.0), "{limits:?}");
        let told: serde_json::Value = serde_json::from_str(&told::tell(&args, &limits)).unwrap();
        assert_eq!(told["limits"].as_array().unwrap().len(), limits.len());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "everything is removed again");
    }
}
