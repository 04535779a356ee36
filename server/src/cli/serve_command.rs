//! `nokv serve`: flags to options, logging, signals, and the runtime that serves.
//! Everything about the node itself is in `node/`.

use slog::info;
use tokio::runtime::{Builder, Runtime};

use super::exit::{Answer, Failure};
use super::signals::stop_signal;
use crate::node::{self, NodeError, ServeArgs};

pub(super) fn run(args: &ServeArgs) -> Result<Answer, Failure> {
    let options = args.options()?;
    let (logger, log_guard) = args.log().start();
    let runtime = runtime(args.rpc_threads());
    let runtime = runtime.map_err(|error| Failure::error(format!("cannot start threads: {error}")))?;
    let served = runtime.block_on(async {
        let signal = stop_signal().map_err(|error| Failure::error(format!("cannot listen for signals: {error}")))?;
        let stopping = logger.clone();
        let stop = async move {
            let name = signal.await;
            info!(stopping, "stopping"; "signal" => name);
        };
        node::serve(options, logger, stop).await.map_err(Failure::from)
    });
    drop(runtime);
    drop(log_guard);
    served.map(|()| Answer::ok(String::new()))
}

/// One thread needs no scheduler for many, which runs a connection as soon as one answer is ready: on one thread all
/// answers that are ready leave together.
fn runtime(threads: usize) -> std::io::Result<Runtime> {
    match threads {
        1 => Builder::new_current_thread().enable_all().build(),
        _ => Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Flags(text) => Failure::usage(text),
            error => Failure::error(error.to_string()),
        }
    }
}
