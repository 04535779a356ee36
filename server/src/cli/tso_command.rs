//! `nokv tso`: flags to options, logging, signals, and the runtime that serves.
//!
//! The address comes from `--listen`, else from the topology file's `tso.listen_addr`.

use std::path::PathBuf;

use clap::Args;
use slog::info;

use super::exit::{Answer, Failure};
use super::signals::stop_signal;
use crate::config::Topology;
use crate::logging::LogArgs;
use crate::tso::{self, TsoOptions};

/// Worker threads: one request costs microseconds, and the disk has threads of its own.
const WORKER_THREADS: usize = 2;

/// Serves unique, growing timestamps: GET /tso?batch=N answers {"timestamp":first,"count":N}, N from 1 to 65536.
/// Prints "ready: tso listening on http://HOST:PORT" on standard output once it serves.
#[derive(Clone, Debug, Args)]
pub(super) struct TsoArgs {
    /// HOST:PORT to listen on; port 0 takes a free one [default: tso.listen_addr of the topology file]
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "config")]
    listen: Option<String>,
    /// The topology file whose tso.listen_addr is used where --listen is not given
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory that keeps the bound of timestamps; created if missing, used by one process at a time
    #[arg(long, value_name = "DIR")]
    workdir: PathBuf,
    /// After the record in the directory was damaged: go on above this time, in milliseconds since 1970. It must be
    /// later than every timestamp ever handed out
    #[arg(long, value_name = "MS")]
    recover_bound_ms: Option<u64>,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) fn run(args: TsoArgs) -> Result<Answer, Failure> {
    let listen = listen_address(&args)?;
    let TsoArgs { workdir, recover_bound_ms, log, .. } = args;
    let (logger, log_guard) = log.start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKER_THREADS).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::error(format!("cannot start threads: {error}")))?;
    let served = runtime.block_on(async {
        let signal = stop_signal().map_err(|error| Failure::error(format!("cannot listen for signals: {error}")))?;
        let stopping = logger.clone();
        let stop = async move {
            let name = signal.await;
            info!(stopping, "stopping"; "signal" => name);
        };
        let options = TsoOptions { listen, workdir, recover_bound_ms };
        tso::serve(options, logger, stop).await.map_err(Failure::from)
    });
    drop(runtime);
    drop(log_guard);
    served.map(|()| Answer::ok(String::new()))
}

fn listen_address(args: &TsoArgs) -> Result<String, Failure> {
    let from_file = match &args.config {
        Some(path) => Topology::load(path)?.tso.map(|tso| tso.listen_addr),
        None => None,
    };
    args.listen.clone().or(from_file).ok_or_else(|| {
        Failure::usage("the topology file has no tso section; add \"tso\": {\"listen_addr\": …} or give --listen")
    })
}
