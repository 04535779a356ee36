//! The runtime of a command that is about speed: for one thread, or for many.
//! One thread needs no scheduler for many, which runs a connection as soon as one message for it is ready: on one
//! thread all messages that are ready leave together.

use tokio::runtime::{Builder, Runtime};

use super::exit::Failure;

/// A runtime of so many threads; on one, everything runs on the thread that waits for it.
pub(super) fn runtime(threads: usize) -> Result<Runtime, Failure> {
    let runtime = match threads {
        1 => Builder::new_current_thread().enable_all().build(),
        _ => Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    };
    runtime.map_err(|error| Failure::error(format!("cannot start threads: {error}")))
}
