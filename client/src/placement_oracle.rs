//! Timestamps from a cluster's placement: a stream to whoever leads it, and to the next one when that changes.
//! A leader that fails is given up at once; the others say who took over.

use std::time::Duration;

use futures_util::future::BoxFuture;
use nokv_percolator::Timestamp;
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;

use crate::grpc::innermost;
use crate::oracle::{OracleError, TimestampOracle};
use crate::oracle_queue::{OracleQueue, Way};
use crate::placement_link::{PlacementLeader, PlacementLink};
use crate::tso_stream::{TsoStream, first_of};

/// How long a request is tried with one leader after another.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one leader is waited for.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// The pause before the next try.
const PAUSE: Duration = Duration::from_millis(25);

/// A client of placement's clock. Callers that come while a request is under way share the next one.
#[derive(Debug)]
pub struct PlacementOracle {
    queue: OracleQueue<LeaderWay>,
}

impl PlacementOracle {
    /// Asks whoever `link` finds.
    pub fn new(link: PlacementLink) -> Self {
        Self { queue: OracleQueue::new(LeaderWay { link, open: None }) }
    }
}

impl TimestampOracle for PlacementOracle {
    fn timestamps(&self, count: u32) -> BoxFuture<'_, Result<Timestamp, OracleError>> {
        Box::pin(self.queue.timestamps(count))
    }
}

/// Requests over one stream to the leader. A clone opens its own.
#[derive(Debug)]
struct LeaderWay {
    link: PlacementLink,
    open: Option<(PlacementLeader, TsoStream)>,
}

impl Clone for LeaderWay {
    fn clone(&self) -> Self {
        LeaderWay { link: self.link.clone(), open: None }
    }
}

impl Way for LeaderWay {
    async fn reserve(&mut self, count: u32) -> Result<Timestamp, OracleError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let failed = match self.once(count).await {
                Ok(first) => return first,
                Err(status) => status,
            };
            if Instant::now() + PAUSE >= deadline {
                return Err(OracleError::Unavailable(format!("placement: {}", innermost(&failed))));
            }
            sleep(PAUSE).await;
        }
    }
}

impl LeaderWay {
    /// The inner error is placement's last word; the outer one may be another leader's to answer.
    async fn once(&mut self, count: u32) -> Result<Result<Timestamp, OracleError>, Status> {
        let late = |_| Status::deadline_exceeded("no timestamp in time");
        let (leader, mut stream) = match self.open.take() {
            Some(open) => open,
            None => {
                let leader = self.link.leader().await?;
                let opened = timeout(ANSWER_MAX, TsoStream::open(leader.channel())).await;
                match opened.map_err(late).and_then(|opened| opened) {
                    Ok(stream) => (leader, stream),
                    Err(status) => {
                        self.link.lost(&leader);
                        return Err(status);
                    }
                }
            }
        };
        let asked = timeout(ANSWER_MAX, stream.ask(leader.cluster_id, count)).await;
        match asked.map_err(late).and_then(|answer| answer) {
            Ok(answer) => {
                self.open = Some((leader, stream));
                Ok(first_of(&answer, count))
            }
            Err(status) => {
                self.link.lost(&leader);
                Err(status)
            }
        }
    }
}
