//! One open stream of `pdpb.PD/Tso`: a request goes out, its answer comes back, one at a time.
//! Whoever holds it decides when to open another.

use futures_util::stream::unfold;
use nokv_percolator::Timestamp;
use nokv_proto::pdpb::pd_client::PdClient;
use nokv_proto::pdpb::{RequestHeader, TsoRequest, TsoResponse};
use tokio::sync::mpsc;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::oracle::OracleError;

/// See the file's head. After an error it is of no use any more.
#[derive(Debug)]
pub(crate) struct TsoStream {
    requests: mpsc::Sender<TsoRequest>,
    answers: Streaming<TsoResponse>,
}

impl TsoStream {
    /// Opens one over a connection.
    ///
    /// # Errors
    /// The server's, or the connection's.
    pub(crate) async fn open(channel: Channel) -> Result<Self, Status> {
        // One request is under way at a time.
        let (requests, queued) = mpsc::channel(1);
        let queued = unfold(queued, async |mut queued| queued.recv().await.map(|request| (request, queued)));
        let answers = PdClient::new(channel).tso(queued).await?.into_inner();
        Ok(TsoStream { requests, answers })
    }

    /// Asks for `count` timestamps of cluster `cluster_id`; 0 = whichever it is.
    ///
    /// # Errors
    /// The stream has ended, or ends with the server's reason.
    pub(crate) async fn ask(&mut self, cluster_id: u64, count: u32) -> Result<TsoResponse, Status> {
        let header = Some(RequestHeader { cluster_id, ..Default::default() });
        let request = TsoRequest { header, count, ..Default::default() };
        self.requests.send(request).await.map_err(|_| Status::unavailable("the stream has ended"))?;
        self.answers.message().await?.ok_or_else(|| Status::unavailable("it has closed the stream"))
    }
}

/// The first timestamp of an answer, which names the last.
pub(crate) fn first_of(answer: &TsoResponse, count: u32) -> Result<Timestamp, OracleError> {
    if let Some(error) = answer.header.as_ref().and_then(|header| header.error.as_ref()) {
        return Err(OracleError::Unavailable(error.message.clone()));
    }
    if answer.count != count {
        return Err(OracleError::Protocol(format!("asked for {count} timestamps, got {}", answer.count)));
    }
    let broken = || OracleError::Protocol(format!("it gave no timestamp that can be: {answer:?}"));
    let last = answer.timestamp.as_ref().ok_or_else(broken)?;
    let (physical, logical) = (u64::try_from(last.physical), u64::try_from(last.logical));
    let (Ok(physical), Ok(logical)) = (physical, logical) else { return Err(broken()) };
    let first = (physical << Timestamp::LOGICAL_BITS).saturating_add(logical).checked_sub(u64::from(count) - 1);
    first.map(Timestamp).ok_or_else(broken)
}
