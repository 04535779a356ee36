//! Single writes, each a transaction of its own. They rest on nothing that was read, so they may simply be begun
//! again when they are aborted.

use std::time::Duration;

use bytes::Bytes;
use nokv_percolator::Timestamp;

use crate::budget::Wait;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::mutation::Mutation;

impl Client {
    /// Sets `key` to `value` in a transaction of its own, begun again if others are in its way. Returns its commit
    /// timestamp.
    ///
    /// # Errors
    /// [`Error::Undetermined`]; [`Error::Aborted`] or [`Error::Unavailable`] at the deadline; [`Error::InvalidInput`].
    pub async fn put(&self, key: impl AsRef<[u8]>, value: impl Into<Bytes>) -> Result<Timestamp> {
        self.write("put", Mutation::put(key, value)).await
    }

    /// Removes `key` in a transaction of its own. Whether it was there makes no difference.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub async fn delete(&self, key: impl AsRef<[u8]>) -> Result<Timestamp> {
        self.write("delete", Mutation::delete(key)).await
    }

    async fn write(&self, operation: &'static str, mutation: Mutation) -> Result<Timestamp> {
        self.check_key(&mutation.key)?;
        let mut budget = self.budget(operation);
        let key = mutation.key.clone();
        loop {
            let start_ts = self.draw(&mut budget).await?;
            let mutations = vec![mutation.clone()];
            let outcome = self.commit_mutations(&key, mutations, start_ts, Duration::ZERO, budget.clone()).await;
            match outcome {
                Err(aborted @ Error::Aborted { .. }) => {
                    if budget.back_off(Wait::Lock, Duration::ZERO).await.is_err() {
                        return Err(aborted);
                    }
                }
                outcome => return outcome,
            }
        }
    }
}
