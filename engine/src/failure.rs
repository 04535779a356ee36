//! The memory of the first failed write.
//! Once writing has failed, nothing more is written: what is on disk is then unknown, and only a restart finds out.

use std::sync::OnceLock;

use crate::{Error, Result};

/// Set once, by the first failed write or sync or by closing; read before each write.
#[derive(Debug, Default)]
pub struct Failure {
    first: OnceLock<Error>,
}

impl Failure {
    /// Fails with the first failure, if there was one.
    pub fn check(&self) -> Result<()> {
        self.first.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Remembers `error` unless another came first, and returns the one that did.
    pub fn remember(&self, error: Error) -> Error {
        self.first.get_or_init(|| error).clone()
    }
}
