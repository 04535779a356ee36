//! Sending an image: a task, a connection and a stream of its own, so that nothing else waits behind it. A chunk is
//! read only when the one before it is on its way, and no faster than the rate allows.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use nokv_proto::nokvpb::ImageChunk;
use nokv_proto::nokvpb::raft_transport_client::RaftTransportClient;
use nokv_proto::raft_serverpb::RaftMessage;
use slog::{debug, info, warn};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Code, Status};

use super::connect::{connect, whole_story};
use super::network::GrpcNetwork;
use crate::{ImageSource, OutgoingImage, StoreId};

/// Chunks that are read and not yet taken by the connection.
const CHUNKS_AHEAD: usize = 2;

impl GrpcNetwork {
    pub(super) fn begin_image(self: Arc<Self>, to: StoreId, message: RaftMessage, image: OutgoingImage) {
        let Ok(permit) = Arc::clone(&self.image_permits).try_acquire_owned() else {
            self.counters.images_failed.increment();
            return image.report.tell(Err("too many images are under way already".to_owned()));
        };
        let runtime = self.runtime.clone();
        runtime.spawn(async move {
            let OutgoingImage { source, report } = image;
            let region = message.region_id;
            let mut stopping = self.stopping.subscribe();
            let sent = tokio::select! {
                sent = timeout(self.options.image_timeout, self.send_whole_image(to, message, source)) =>
                    sent.unwrap_or_else(|_| Err(format!("not done within {:?}", self.options.image_timeout))),
                _ = stopping.wait_for(|stopping| *stopping) => Err("this node is stopping".to_owned()),
            };
            drop(permit);
            match &sent {
                Ok(()) => {
                    self.counters.images_sent.increment();
                    info!(self.logger, "sent an image"; "to" => to.0, "region" => region);
                }
                Err(why) => {
                    self.counters.images_failed.increment();
                    warn!(self.logger, "an image did not get through"; "to" => to.0, "region" => region, "why" => why);
                }
            }
            report.tell(sent);
        });
    }

    async fn send_whole_image(
        &self,
        to: StoreId,
        message: RaftMessage,
        source: Box<dyn ImageSource>,
    ) -> Result<(), String> {
        let address = self.book.get(to).ok_or("no address is known for the store")?;
        let channel = connect(&address, &self.options).await?;
        debug!(self.logger, "sending an image"; "to" => to.0, "region" => message.region_id);
        let (chunks, waiting) = mpsc::channel(CHUNKS_AHEAD);
        let mut client = RaftTransportClient::new(channel);
        let chunks_taken =
            stream::unfold(waiting, |mut waiting| async { waiting.recv().await.map(|next| (next, waiting)) });
        let mut answer = pin!(client.image(chunks_taken));
        let answered = tokio::select! {
            answered = &mut answer => answered,
            pumped = self.pump(message, source, chunks) => {
                // An image that breaks off has no last chunk, by which the receiver knows that it is not whole.
                pumped?;
                answer.await
            }
        };
        answered.map(drop).map_err(|status| describe(&status))
    }

    /// Reads the chunks and passes them on. Ends without an error when nobody takes them any more.
    async fn pump(
        &self,
        message: RaftMessage,
        mut source: Box<dyn ImageSource>,
        chunks: mpsc::Sender<ImageChunk>,
    ) -> Result<(), String> {
        let first = ImageChunk { message: Some(message), ..ImageChunk::default() };
        let mut next = Some(first);
        let mut not_before = Instant::now();
        while let Some(chunk) = next {
            let bytes = chunk.data.len();
            match timeout(self.options.image_stall_timeout, chunks.send(chunk)).await {
                Ok(Ok(())) => self.counters.image_sent_bytes.add(bytes),
                Ok(Err(_)) => return Ok(()),
                Err(_) => return Err(format!("the store took nothing for {:?}", self.options.image_stall_timeout)),
            }
            not_before = not_before.max(Instant::now()) + self.time_for(bytes);
            sleep_until(not_before).await;
            let read = tokio::task::spawn_blocking(move || {
                let chunk = source.next_chunk();
                (source, chunk)
            });
            let (back, chunk) = read.await.map_err(|error| error.to_string())?;
            source = back;
            next = chunk?.map(|data| ImageChunk { message: None, data });
        }
        Ok(())
    }

    fn time_for(&self, bytes: usize) -> Duration {
        match self.options.image_bytes_per_s_max {
            0 => Duration::ZERO,
            rate => Duration::from_secs_f64(bytes as f64 / rate as f64),
        }
    }
}

fn describe(status: &Status) -> String {
    match status.code() {
        Code::FailedPrecondition | Code::ResourceExhausted | Code::InvalidArgument => status.message().to_owned(),
        _ => format!("{:?}: {}", status.code(), whole_story(status)),
    }
}
