//! Single writes, each a transaction of its own. They rest on nothing that was read, so they may simply be begun
//! again when they are aborted.

use std::time::Duration;

use bytes::Bytes;
use nokv_percolator::Timestamp;

use crate::budget::{Budget, Wait};
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

    /// Applies all `mutations` in one transaction that begins and commits now. Of several of one key the last counts.
    /// Returns its commit timestamp.
    ///
    /// # Errors
    /// [`Error::Aborted`] if others are in its way, which was not tried again; else as [`Client::put`].
    pub async fn write_together(&self, mutations: Vec<Mutation>) -> Result<Timestamp> {
        let mut budget = self.budget("write");
        let primary = mutations.first().map(|mutation| mutation.key.clone()).unwrap_or_default();
        self.write_once(&primary, mutations, &mut budget).await
    }

    async fn write(&self, operation: &'static str, mutation: Mutation) -> Result<Timestamp> {
        self.check_key(&mutation.key)?;
        let mut budget = self.budget(operation);
        let key = mutation.key.clone();
        loop {
            match self.write_once(&key, vec![mutation.clone()], &mut budget).await {
                Err(aborted @ Error::Aborted { .. }) => {
                    if budget.back_off(Wait::Lock, Duration::ZERO).await.is_err() {
                        return Err(aborted);
                    }
                }
                outcome => return outcome,
            }
        }
    }

    /// Its start and the floor of its commit are drawn at once: nothing happens in between.
    async fn write_once(&self, primary: &[u8], mutations: Vec<Mutation>, budget: &mut Budget) -> Result<Timestamp> {
        let may_choose = self.may_choose();
        let start_ts = self.draw_some(if may_choose { 2 } else { 1 }, budget).await?;
        let floor = may_choose.then(|| start_ts.next());
        self.commit_mutations(primary, mutations, start_ts, floor, Duration::ZERO, budget.clone()).await
    }
}
