//! Cleaning up after a transaction that did not commit: removes its locks and leaves marks, so that a prewrite which
//! is still on its way finds the door closed.

use std::collections::BTreeSet;

use bytes::Bytes;
use nokv_proto::kvrpcpb;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::key_error;
use crate::mutation::PlacedKey;
use crate::spread::{Batch, OnError, Step};
use crate::two_phase::TwoPhase;

impl Client {
    /// Rolls back `keys` of a transaction that will never be committed, behind the caller's back.
    ///
    /// Only as good as the stores can be reached: what stays is resolved by others once its time to live is over.
    pub(crate) async fn clean_up(&self, transaction: &TwoPhase, keys: BTreeSet<Bytes>) {
        if keys.is_empty() {
            return;
        }
        let client = self.clone();
        let start_ts = transaction.start_ts;
        let keys: Vec<PlacedKey> = keys.into_iter().map(PlacedKey::from).collect();
        let work = async move {
            let budget = client.budget("clean-up");
            let send = |batch| client.rollback_batch(start_ts.0, batch);
            client.spread(keys, &budget, OnError::GoOn, send).await
        };
        self.inner.background.run(work).await;
    }

    async fn rollback_batch(&self, start_version: u64, batch: Batch<PlacedKey>) -> Result<Step<PlacedKey>> {
        let Batch { route, items, mut budget } = batch;
        let request = kvrpcpb::BatchRollbackRequest {
            start_version,
            keys: items.iter().map(|key| key.user.clone()).collect(),
            ..Default::default()
        };
        let Some(answer) = self.attempt(&route, request, &mut budget).await? else {
            return Ok(Step::Again(items, budget));
        };
        match answer.error {
            None => Ok(Step::Done),
            Some(error) => Err(Error::Aborted { start_ts: start_version.into(), reason: key_error::reason(*error) }),
        }
    }
}
