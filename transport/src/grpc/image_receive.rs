//! Taking an image in: chunk after chunk to the sink, which may wait for the disk, and no next one before it is done;
//! the sender meanwhile has no more under way than the stream's window.

use futures_util::StreamExt;
use nokv_proto::nokvpb::ImageChunk;
use nokv_proto::raft_serverpb::Done;
use slog::{info, warn};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::receive::RaftTransportService;

impl RaftTransportService {
    pub(super) async fn receive_image(&self, stream: Streaming<ImageChunk>) -> Result<Done, Status> {
        let mut stopping = self.network.stopping.subscribe();
        let received = tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => Err(Status::unavailable("this node is stopping")),
            received = self.take_in(stream) => received,
        };
        match &received {
            Ok(_) => self.network.counters.images_received.increment(),
            Err(status) => {
                self.network.counters.images_refused.increment();
                warn!(self.network.logger, "did not take an image in"; "why" => status.message());
            }
        }
        received
    }

    async fn take_in(&self, mut stream: Streaming<ImageChunk>) -> Result<Done, Status> {
        let first = self.next(&mut stream).await?.and_then(|chunk| chunk.message);
        let message = first.ok_or_else(|| Status::invalid_argument("an image begins with the message about it"))?;
        let (from, region) = (self.check(&message)?, message.region_id);
        let inbox = self.inbox.clone();
        let mut sink = blocking(move || inbox.image(message)).await?;
        while let Some(chunk) = self.next(&mut stream).await? {
            sink = blocking(move || sink.chunk(chunk.data).map(|()| sink)).await?;
        }
        blocking(move || sink.finish()).await?;
        info!(self.network.logger, "received an image"; "from" => from.0, "region" => region);
        Ok(Done {})
    }

    async fn next(&self, stream: &mut Streaming<ImageChunk>) -> Result<Option<ImageChunk>, Status> {
        let patience = self.network.options.image_stall_timeout;
        match timeout(patience, stream.next()).await {
            Ok(item) => item.transpose(),
            Err(_) => Err(Status::deadline_exceeded(format!("no chunk of the image came for {patience:?}"))),
        }
    }
}

/// Runs what may wait for the disk where that harms nobody. Its text goes to the sender.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, Status> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(Status::failed_precondition),
        Err(error) => Err(Status::internal(error.to_string())),
    }
}
