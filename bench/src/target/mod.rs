//! What can be measured: anything that answers our operations.
//! A target is named on the command line as `kind:where`; a new kind is a file here and one line in [`connect`].

mod etcd;
mod nokv;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use nokv_client::Transport;

use crate::error::{BenchError, Result};
use crate::workload::{Operation, Workload};

/// What becomes of an operation: how often it had to be begun again after a conflict, or the error's text. Texts are
/// counted, so they name kinds of errors, not keys and times.
pub type Outcome = std::result::Result<u32, String>;

/// A system under load.
pub trait Target: Send + Sync {
    /// Why this workload means nothing here, if so.
    fn refuses(&self, _workload: Workload) -> Option<String> {
        None
    }

    /// Does one operation.
    fn run(&self, operation: Operation) -> BoxFuture<'_, Outcome>;

    /// Stores many keys at once, before the run; `raw` = as non-transactional ones.
    fn load(&self, pairs: Vec<(Bytes, Bytes)>, raw: bool) -> BoxFuture<'_, std::result::Result<(), String>>;

    /// Everything is stored; what follows is measured with this workload.
    fn loaded(&mut self, _workload: Workload) -> BoxFuture<'_, std::result::Result<(), String>> {
        async { Ok(()) }.boxed()
    }
}

/// Connects to the target that `name` means, with so many connections to each server.
///
/// # Errors
/// If the name means nothing, or its configuration cannot be read.
pub fn connect(name: &str, connections: usize) -> Result<Box<dyn Target>> {
    match name.split_once(':') {
        Some(("nokv", config)) => Ok(Box::new(nokv::Nokv::connect(config, connections, Transport::Stream)?)),
        Some(("nokv-unary", config)) => Ok(Box::new(nokv::Nokv::connect(config, connections, Transport::Unary)?)),
        Some(("etcd", addresses)) => Ok(Box::new(etcd::Etcd::connect(addresses, connections)?)),
        _ => Err(BenchError::Setting(format!(
            "target {name:?} is neither nokv:CONFIG.json, nokv:HOST:PORT, the same with nokv-unary:, nor \
             etcd:HOST:PORT,HOST:PORT"
        ))),
    }
}
