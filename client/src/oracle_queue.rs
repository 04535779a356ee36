//! Many callers, one request at a time: whoever comes while a request to the oracle is under way shares the next one.
//!
//! ```text
//! callers ──▶ queue ──▶ worker: takes all who wait ──▶ one request ──▶ hands out the range in order
//!                          ▲───────────────────────────────────────────────┘ (who came meanwhile is next)
//! ```

use std::future::Future;

use nokv_percolator::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::oracle::OracleError;

/// Timestamps asked for at once.
const BATCH_MAX: u32 = 10_000;
/// Callers that may wait at once; beyond it the next is refused.
const WAITERS_MAX: usize = 10_000;

/// How one request reaches the oracle.
pub(crate) trait Way: Clone + Send + 'static {
    /// Reserves `count` timestamps that follow one another, and returns the first. One try, within its own time.
    fn reserve(&mut self, count: u32) -> impl Future<Output = Result<Timestamp, OracleError>> + Send;
}

/// The callers of one oracle.
#[derive(Debug)]
pub(crate) struct OracleQueue<W> {
    way: W,
    /// The queue of the worker, which is started when first needed: only then is there a runtime for sure.
    queue: Mutex<Option<mpsc::Sender<Waiter>>>,
}

#[derive(Debug)]
struct Waiter {
    count: u32,
    answer: oneshot::Sender<Result<Timestamp, OracleError>>,
}

impl<W: Way> OracleQueue<W> {
    pub(crate) fn new(way: W) -> Self {
        OracleQueue { way, queue: Mutex::new(None) }
    }

    /// The way, to be changed before the first timestamp is drawn.
    pub(crate) fn way_mut(&mut self) -> &mut W {
        &mut self.way
    }

    pub(crate) async fn timestamps(&self, count: u32) -> Result<Timestamp, OracleError> {
        if count == 0 || count > BATCH_MAX {
            return Err(OracleError::Protocol(format!("{count} timestamps at once; 1 to {BATCH_MAX} can be had")));
        }
        let (answer, answered) = oneshot::channel();
        let full = |_| OracleError::Unavailable("too many callers are waiting".to_owned());
        self.queue().try_send(Waiter { count, answer }).map_err(full)?;
        answered.await.map_err(|_| OracleError::Unavailable("its runtime has ended".to_owned()))?
    }

    fn queue(&self) -> mpsc::Sender<Waiter> {
        let mut queue = self.queue.lock();
        match queue.as_ref() {
            // A closed queue: the runtime of its worker is gone.
            Some(queue) if !queue.is_closed() => queue.clone(),
            _ => {
                let (sender, receiver) = mpsc::channel(WAITERS_MAX);
                tokio::spawn(Worker { way: self.way.clone(), last: Timestamp::ZERO }.run(receiver));
                queue.insert(sender).clone()
            }
        }
    }
}

/// The one task that speaks to the oracle.
struct Worker<W> {
    way: W,
    /// The largest timestamp seen: the next must be above it.
    last: Timestamp,
}

impl<W: Way> Worker<W> {
    async fn run(mut self, mut queue: mpsc::Receiver<Waiter>) {
        let mut held = None;
        let mut waiters = Vec::new();
        loop {
            let first = match held.take() {
                Some(waiter) => waiter,
                None => match queue.recv().await {
                    Some(waiter) => waiter,
                    None => return,
                },
            };
            let mut count = first.count;
            waiters.push(first);
            while let Ok(waiter) = queue.try_recv() {
                if waiter.answer.is_closed() {
                    continue;
                }
                if count + waiter.count > BATCH_MAX {
                    held = Some(waiter);
                    break;
                }
                count += waiter.count;
                waiters.push(waiter);
            }
            let answer = self.way.reserve(count).await.and_then(|first| self.check(first, count));
            hand_out(&mut waiters, answer);
        }
    }

    fn check(&mut self, first: Timestamp, count: u32) -> Result<Timestamp, OracleError> {
        let Some(next) = first.0.checked_add(u64::from(count)).filter(|_| first > self.last) else {
            return Err(OracleError::Protocol(format!("it went back, from {} to {first}", self.last)));
        };
        self.last = Timestamp(next - 1);
        Ok(first)
    }
}

fn hand_out(waiters: &mut Vec<Waiter>, answer: Result<Timestamp, OracleError>) {
    let mut next = answer;
    for waiter in waiters.drain(..) {
        let mine = next.clone();
        next = next.map(|first| Timestamp(first.0 + u64::from(waiter.count)));
        // Who no longer waits has given up; its timestamps are lost, which is what timestamps are for.
        let _ = waiter.answer.send(mine);
    }
}
