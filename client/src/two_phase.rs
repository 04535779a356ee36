//! The commit of one set of mutations. In two phases: prewrite everywhere, draw the commit timestamp, commit the
//! primary, and with that it is decided; the rest follows in the background. Where the stores choose the timestamp
//! themselves (see `own_timestamp`), the prewrites decide.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use nokv_percolator::Timestamp;

use crate::budget::Budget;
use crate::client::Client;
use crate::error::{Error, InvalidInput, Result};
use crate::mutation::{Mutation, PlacedKey, PlacedMutation, Write};

/// Where the commit timestamp comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitTs {
    /// From the stores, if they can; else from the oracle, once every prewrite has succeeded.
    Drawn {
        /// Drawn when the commit began, if it was.
        floor: Option<Timestamp>,
    },
    /// From the caller.
    Given(Timestamp),
}

/// A transaction on its way to the stores.
#[derive(Clone, Debug)]
pub(crate) struct TwoPhase {
    pub(crate) start_ts: Timestamp,
    pub(crate) commit_ts: CommitTs,
    pub(crate) ttl_ms: u64,
    pub(crate) primary: PlacedKey,
    /// Each key once, by key; the primary is among them.
    pub(crate) mutations: Vec<PlacedMutation>,
}

impl Client {
    /// Commits `mutations` at `start_ts`, with the commit timestamp drawn from the oracle after every prewrite
    /// succeeded. Returns it. Of several mutations of one key the last counts; `primary` must be one of the keys.
    ///
    /// # Errors
    /// [`Error::Aborted`] and [`Error::Unavailable`]: certainly not committed; [`Error::Undetermined`]: read to find
    /// out; [`Error::InvalidInput`].
    pub async fn two_phase_commit(
        &self,
        primary: impl AsRef<[u8]>,
        mutations: Vec<Mutation>,
        start_ts: Timestamp,
    ) -> Result<Timestamp> {
        let budget = self.budget("commit");
        self.commit_mutations(primary.as_ref(), mutations, start_ts, None, Duration::ZERO, budget).await
    }

    /// Commits `mutations` with timestamps of the caller's, and locks that live for `ttl_ms` milliseconds from the
    /// physical part of `start_ts`.
    ///
    /// The caller answers for `commit_ts`: one that was drawn before the prewrites succeeded can make the writes
    /// appear within snapshots that were read before. Use [`Client::two_phase_commit`] where there is a choice.
    ///
    /// # Errors
    /// As [`Client::two_phase_commit`].
    pub async fn mutate(
        &self,
        primary: impl AsRef<[u8]>,
        mutations: Vec<Mutation>,
        start_ts: Timestamp,
        commit_ts: Timestamp,
        ttl_ms: u64,
    ) -> Result<()> {
        if start_ts.is_zero() || commit_ts <= start_ts {
            return Err(InvalidInput::Timestamps { start_ts, commit_ts }.into());
        }
        let (primary, mutations, _) = self.prepare(primary.as_ref(), mutations)?;
        let commit_ts = CommitTs::Given(commit_ts);
        let transaction = TwoPhase { start_ts, commit_ts, ttl_ms, primary, mutations };
        self.run(transaction, self.budget("commit")).await.map(drop)
    }

    /// As [`Client::two_phase_commit`], for a transaction that began `elapsed` ago. `floor` is a timestamp of its own
    /// that was drawn when the commit began, if it was.
    pub(crate) async fn commit_mutations(
        &self,
        primary: &[u8],
        mutations: Vec<Mutation>,
        start_ts: Timestamp,
        floor: Option<Timestamp>,
        elapsed: Duration,
        budget: Budget,
    ) -> Result<Timestamp> {
        if start_ts.is_zero() {
            return Err(InvalidInput::Timestamps { start_ts, commit_ts: start_ts }.into());
        }
        let (primary, mutations, bytes) = self.prepare(primary, mutations)?;
        let ttl_ms = self.inner.options.lock_ttl_ms(bytes, elapsed);
        let commit_ts = CommitTs::Drawn { floor };
        self.run(TwoPhase { start_ts, commit_ts, ttl_ms, primary, mutations }, budget).await
    }

    /// Checks the bounds, sorts, and keeps the last mutation of each key.
    fn prepare(&self, primary: &[u8], mutations: Vec<Mutation>) -> Result<(PlacedKey, Vec<PlacedMutation>, usize)> {
        let mut by_key = BTreeMap::new();
        for mutation in mutations {
            match &mutation.write {
                Write::Put(value) => self.check_pair(&mutation.key, value)?,
                Write::Delete | Write::Lock => self.check_key(&mutation.key)?,
            }
            by_key.insert(mutation.key.clone(), mutation);
        }
        let options = &self.inner.options;
        let bytes = by_key.values().map(Mutation::bytes).sum();
        let (keys_max, bytes_max) = (options.transaction_keys_max, options.transaction_bytes_max);
        if by_key.is_empty() {
            return Err(InvalidInput::NoMutations.into());
        }
        if by_key.len() > keys_max || bytes > bytes_max {
            let keys = by_key.len();
            return Err(InvalidInput::TransactionTooLarge { keys, bytes, keys_max, bytes_max }.into());
        }
        let Some((primary, _)) = by_key.get_key_value(primary) else {
            return Err(InvalidInput::PrimaryNotMutated { primary: Bytes::copy_from_slice(primary) }.into());
        };
        let primary = primary.clone().into();
        Ok((primary, by_key.into_values().map(PlacedMutation::from).collect(), bytes))
    }

    /// Runs the protocol in a task of its own: should the caller stop waiting, it still ends properly instead of
    /// leaving locks about.
    async fn run(&self, transaction: TwoPhase, budget: Budget) -> Result<Timestamp> {
        let start_ts = transaction.start_ts;
        let client = self.clone();
        let task = self.inner.background.detach(async move { client.run_here(transaction, budget).await });
        match task.await {
            Ok(outcome) => outcome,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(cancelled) => Err(Error::Undetermined {
                    operation: "commit",
                    start_ts: Some(start_ts),
                    last: cancelled.to_string(),
                }),
            },
        }
    }

    async fn run_here(&self, mut transaction: TwoPhase, mut budget: Budget) -> Result<Timestamp> {
        if nokv_percolator::is_planted("commit timestamp before prewrite") {
            transaction.commit_ts = CommitTs::Given(self.draw(&mut budget).await?);
        }
        let own = self.own_timestamp(&transaction, &mut budget).await?;
        let mut touched = self.prewrite(&transaction, own.as_ref(), &budget).await;
        if let Err(error) = touched.outcome {
            if touched.could_decide {
                return self.settle(&transaction, touched.keys, error, &mut budget).await;
            }
            self.clean_up(&transaction, touched.keys).await;
            return Err(error);
        }
        if let Some(commit_ts) = touched.decided {
            self.commit_secondaries(&transaction, commit_ts, touched.keys).await;
            return Ok(commit_ts);
        }
        if touched.could_decide {
            self.inner.own_timestamp_pause.begin();
        }
        match self.commit_primary(&transaction, &mut budget).await {
            Ok(primary) => {
                touched.keys.retain(|key| !primary.keys.contains(key));
                self.commit_secondaries(&transaction, primary.commit_ts, touched.keys).await;
                Ok(primary.commit_ts)
            }
            // Whether it committed is unknown: what is locked is left to whoever finds out from the primary.
            Err(error @ Error::Undetermined { .. }) => Err(error),
            Err(error) => {
                self.clean_up(&transaction, touched.keys).await;
                Err(error)
            }
        }
    }
}
