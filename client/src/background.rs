//! What goes on after an answer: commits of secondaries, clean-ups. Counted and bounded, so that it can be waited for
//! and never piles up.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::error::Result;

/// The background tasks of one client.
#[derive(Debug)]
pub(crate) struct Background {
    running: watch::Sender<usize>,
    slots: Arc<Semaphore>,
    failures: Arc<AtomicU64>,
}

/// Counts one task, also if it panics or its runtime goes away.
struct Running(watch::Sender<usize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

impl Background {
    pub(crate) fn new(tasks_max: usize) -> Self {
        Background {
            running: watch::Sender::new(0),
            slots: Arc::new(Semaphore::new(tasks_max)),
            failures: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Runs `work` in a task of its own, so that it ends properly even if whoever waits for it goes away.
    pub(crate) fn detach<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        let running = self.count();
        tokio::spawn(async move {
            let _running = running;
            work.await
        })
    }

    /// Runs `work` behind the caller's back if a slot is free, else before returning. A failure is only counted.
    pub(crate) async fn run(&self, work: impl Future<Output = Result<()>> + Send + 'static) {
        let failures = self.failures.clone();
        let counted = async move {
            if work.await.is_err() {
                failures.fetch_add(1, Ordering::Relaxed);
            }
        };
        match self.slots.clone().try_acquire_owned() {
            Ok(slot) => {
                let running = self.count();
                tokio::spawn(async move {
                    let (_running, _slot) = (running, slot);
                    counted.await;
                });
            }
            Err(_) => counted.await,
        }
    }

    /// Resolves when no task is running.
    pub(crate) async fn drained(&self) {
        let mut running = self.running.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = running.wait_for(|running| *running == 0).await;
    }

    /// Background work that failed so far.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn count(&self) -> Running {
        self.running.send_modify(|running| *running += 1);
        Running(self.running.clone())
    }
}
