//! One operation on many keys: cut into batches by region and size, sent side by side, and cut anew wherever the
//! regions turn out to be others than believed.

use std::future::Future;

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::budget::Budget;
use crate::client::Client;
use crate::error::Result;
use crate::region_cache::contains;
use crate::router::Route;

/// Something that belongs to the region of its key.
pub(crate) trait Placed {
    /// The key as region bounds are encoded.
    fn encoded(&self) -> &[u8];
    /// Bytes that it adds to a request.
    fn bytes(&self) -> usize;
}

/// Items of one region, for one request.
#[derive(Debug)]
pub(crate) struct Batch<T> {
    pub(crate) route: Route,
    pub(crate) items: Vec<T>,
    pub(crate) budget: Budget,
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Step<T> {
    /// Answered.
    Done,
    /// To be routed and sent again.
    Again(Vec<T>, Budget),
}

/// What an error of one batch means for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnError {
    /// They are given up; requests under way may still be executed.
    Stop,
    /// They go on; the first error is returned at the end.
    GoOn,
}

impl Client {
    /// Runs `send` on every batch of `items`, several at once, until each is done.
    ///
    /// # Errors
    /// The first error of any batch.
    pub(crate) async fn spread<T, F, S>(&self, items: Vec<T>, budget: &Budget, on_error: OnError, send: F) -> Result<()>
    where
        T: Placed,
        F: Fn(Batch<T>) -> S,
        S: Future<Output = Result<Step<T>>>,
    {
        let mut waiting = Vec::new();
        let mut outcome = Ok(());
        self.cut(items, budget, &mut waiting).await?;
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < self.inner.options.concurrency.max(1) {
                let Some(batch) = waiting.pop() else { break };
                under_way.push(send(batch));
            }
            let Some(step) = under_way.next().await else { return outcome };
            let cut = match step {
                Ok(Step::Done) => Ok(()),
                Ok(Step::Again(items, budget)) => self.cut(items, &budget, &mut waiting).await,
                Err(error) => Err(error),
            };
            if let Err(error) = cut {
                if on_error == OnError::Stop {
                    return Err(error);
                }
                outcome = outcome.and(Err(error));
            }
        }
    }

    /// Cuts `items` into batches that each fit one region and one request. The last in order comes first, to be popped.
    async fn cut<T: Placed>(&self, mut items: Vec<T>, budget: &Budget, batches: &mut Vec<Batch<T>>) -> Result<()> {
        let options = &self.inner.options;
        items.sort_by(|a, b| a.encoded().cmp(b.encoded()));
        let mut items = items.into_iter().peekable();
        let mut cut = Vec::new();
        while let Some(first) = items.next() {
            let mut budget = budget.clone();
            let route = self.inner.router.locate(first.encoded(), &mut budget).await?;
            let mut bytes = first.bytes();
            let mut batch = vec![first];
            while let Some(next) = items.next_if(|next| {
                batch.len() < options.batch_keys_max
                    && bytes + next.bytes() <= options.batch_bytes_max
                    && contains(&route.region, next.encoded())
            }) {
                bytes += next.bytes();
                batch.push(next);
            }
            cut.push(Batch { route, items: batch, budget });
        }
        batches.extend(cut.into_iter().rev());
        Ok(())
    }
}
