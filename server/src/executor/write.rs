//! The one path of every command that writes: budget, latches, view, decision, proposal, answer.
//! A command brings its keys and its decision; that the order is kept is this file's business alone.

use nokv_engine::{Engine, ReadView};
use nokv_percolator::{
    BatchRollback, CheckSecondaryLocks, CheckTxnStatus, CheckTxnStatusReply, Cleanup, Commit, Key, LatchGuard, Outcome,
    Prewrite, PrewriteReply, Reply, ResolveLock, SecondaryLocks, Timestamp, TxnHeartBeat,
};
use nokv_raftstore::{Proposal, RegionError, RequestContext};

use super::budget::Charge;
use super::safe_point::check_at_least;
use super::{ExecuteError, Executor};

/// A command that reads keys and may write them.
pub trait WriteCommand: Send + Sync {
    /// What the client is told.
    type Reply: Send;

    /// The keys that it reads and writes, all of one region.
    fn keys(&self) -> impl Iterator<Item = &Key> + Send;

    /// About the memory that it takes, in bytes.
    fn bytes(&self) -> usize {
        self.keys().map(|key| key.as_encoded().len()).sum()
    }

    /// Decides. Below `safe_point`, what the decision rests on may be gone; it was looked up after the view was taken.
    ///
    /// # Errors
    /// See [`nokv_percolator::Error`].
    fn decide<V: ReadView>(&self, view: &V, safe_point: Timestamp) -> nokv_percolator::Result<Outcome<Self::Reply>>;
}

impl<E: Engine> Executor<E> {
    /// Runs a command. Its effects, if any, are replicated and applied when this resolves.
    ///
    /// Dropping the future gives the answer up, not the command: once proposed, it goes on and holds its latches.
    ///
    /// # Errors
    /// See [`ExecuteError`]; [`RegionError::StaleCommand`] = it may or may not take effect, every other = it does not.
    pub async fn write<C: WriteCommand>(
        &self,
        context: &RequestContext,
        command: &C,
    ) -> Result<C::Reply, ExecuteError> {
        let keys = || command.keys().map(Key::as_encoded);
        self.admit(context, keys())?;
        let charge = self.budget.charge(command.bytes())?;
        let latches = self.latch(keys()).await?;
        let (reply, proposal) = {
            let view = self.view(context, keys()).await?;
            view.load().write(keys);
            let Outcome { batch, reply } = self.checked(command.decide(&view.view, self.safe_point()))?;
            if batch.is_empty() {
                return Ok(reply);
            }
            let latches = (!nokv_engine::is_planted("release latches before the write is applied")).then_some(latches);
            let held: Box<(Option<LatchGuard>, Charge)> = Box::new((latches, charge));
            let proposal = Proposal { region_id: context.region_id, term: view.term, epoch: view.epoch(), batch, held };
            // The view ends here: it must not keep old data on disk while the write is on its way.
            (reply, proposal)
        };
        self.replicate(proposal).await?;
        Ok(reply)
    }

    pub(super) async fn latch(&self, keys: impl Iterator<Item = &[u8]>) -> Result<LatchGuard, RegionError> {
        let acquire = self.latches.acquire(keys);
        tokio::time::timeout(self.options.latch_wait_max, acquire).await.map_err(|_| RegionError::ServerIsBusy {
            reason: "other commands on the same keys have been under way for too long".to_owned(),
            backoff_ms: 100,
        })
    }

    /// Proposes, and waits until the write is applied or its fate is out of this store's hands.
    pub(super) async fn replicate(&self, proposal: Proposal) -> Result<(), RegionError> {
        let applied = self.raftstore.propose(proposal);
        tokio::time::timeout(self.options.write_wait_max, applied).await.unwrap_or(Err(RegionError::StaleCommand))
    }

    pub(super) fn charge(&self, bytes: usize) -> Result<Charge, RegionError> {
        self.budget.charge(bytes)
    }
}

impl WriteCommand for Prewrite {
    type Reply = PrewriteReply;

    fn keys(&self) -> impl Iterator<Item = &Key> + Send {
        Prewrite::keys(self)
    }

    fn bytes(&self) -> usize {
        let mutation = |m: &nokv_percolator::Mutation| {
            m.key.as_encoded().len() + self.primary.len() + m.op.value().map_or(0, bytes::Bytes::len)
        };
        self.mutations.iter().map(mutation).sum()
    }

    fn decide<V: ReadView>(&self, view: &V, safe_point: Timestamp) -> nokv_percolator::Result<Outcome<PrewriteReply>> {
        match check_at_least(self.start_ts, safe_point) {
            Ok(()) => self.execute(view),
            Err(_) => self.refuse_below(view, safe_point).map(Outcome::unchanged),
        }
    }
}

impl WriteCommand for CheckTxnStatus {
    type Reply = Reply<CheckTxnStatusReply>;

    fn keys(&self) -> impl Iterator<Item = &Key> + Send {
        std::iter::once(&self.primary)
    }

    /// Whoever has met a lock may conclude from nothing at the primary that the transaction will not be committed: as
    /// long as a lock of it stands, its commit is not collected. The transaction itself, which asks at its own start,
    /// may not, once that is below the safe point.
    fn decide<V: ReadView>(&self, view: &V, safe_point: Timestamp) -> nokv_percolator::Result<Outcome<Self::Reply>> {
        if self.caller_start_ts != self.lock_ts || check_at_least(self.lock_ts, safe_point).is_ok() {
            return self.execute(view);
        }
        self.execute_below(view)
    }
}

macro_rules! write_command {
    ($command:ty, $reply:ty, $self:ident => $keys:expr) => {
        impl WriteCommand for $command {
            type Reply = $reply;

            fn keys(&$self) -> impl Iterator<Item = &Key> + Send {
                $keys
            }

            fn decide<V: ReadView>(&self, view: &V, _: Timestamp) -> nokv_percolator::Result<Outcome<$reply>> {
                self.execute(view)
            }
        }
    };
}

write_command!(Commit, Reply<()>, self => self.keys.iter());
write_command!(BatchRollback, Reply<()>, self => self.keys.iter());
write_command!(ResolveLock, Reply<()>, self => self.keys.iter());
write_command!(CheckSecondaryLocks, SecondaryLocks, self => self.keys.iter());
write_command!(TxnHeartBeat, Reply<u64>, self => std::iter::once(&self.primary));
write_command!(Cleanup, Reply<()>, self => std::iter::once(&self.key));
