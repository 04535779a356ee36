//! `nokv serve`: flags to options, logging, signals, and the runtime that serves.
//! Everything about the node itself is in `node/`.

use slog::info;

use super::exit::{Answer, Failure};
use super::runtime::runtime;
use super::signals::stop_signal;
use crate::node::{self, NodeError, ServeArgs};

pub(super) fn run(args: &ServeArgs) -> Result<Answer, Failure> {
    let options = args.options()?;
    let (logger, log_guard) = args.log().start();
    let runtime = runtime(args.rpc_threads())?;
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

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Flags(text) => Failure::usage(text),
            error => Failure::error(error.to_string()),
        }
    }
}
