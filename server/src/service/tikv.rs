//! The service `tikvpb.Tikv`: TiKV's calls as far as the cores have them, alone or many on one stream. What each call
//! does is shared with `tinykvpb.TinyKv`; see `tikv_calls` for which there are.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_channel::mpsc;
use futures_util::stream::{Stream, StreamExt as _};
use nokv_engine::Engine;
use nokv_proto::coprocessor;
use nokv_proto::kvrpcpb::*;
use nokv_proto::raft_serverpb::{Done, RaftMessage, SnapshotChunk};
use nokv_proto::tikvpb::batch_commands_request::request::Cmd;
use nokv_proto::tikvpb::tikv_server::Tikv;
use nokv_proto::tikvpb::{BatchCommandsRequest, BatchCommandsResponse, BatchRaftMessage};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tonic::{Request, Response, Status, Streaming};

use super::calls::Calls;
use super::tikv_calls::tikv_calls;
use super::tikv_dispatch::{Answered, Dispatch};
use super::tikv_stream::{StreamBounds, StreamWork};
use super::{MESSAGE_BYTES_MAX, delete_range, gc, raw, read_index, split_region, txn_read, txn_write};
use crate::admin::RegionAdmin;
use crate::executor::Executor;
use crate::settler::check_leader;

/// The bounds of every stream.
const BOUNDS: StreamBounds = StreamBounds {
    frame_requests_max: 16_384,
    under_way_max: 1_024,
    unsent_bytes_max: 4 << 20,
    frame_bytes_max: 1 << 20,
    answer_bytes_max: MESSAGE_BYTES_MAX,
    turn_requests_max: 128,
};

/// Answers TiKV's clients.
pub struct TikvService<E: Engine> {
    dispatch: Arc<Dispatch<E>>,
    admin: RegionAdmin<E>,
    /// True once this node is about to stop.
    stopping: watch::Receiver<bool>,
}

impl<E: Engine> TikvService<E> {
    /// The service on an executor and the regions of `admin`. Streams end when `stopping` turns true, once what they
    /// have read is answered.
    pub fn new(
        executor: Executor<E>,
        admin: RegionAdmin<E>,
        calls: Arc<Calls>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self { dispatch: Arc::new(Dispatch { executor, calls }), admin, stopping }
    }

    /// Serves one stream on a task of its own: what its requests hold must not depend on whether the client takes its
    /// answers.
    fn serve(&self, incoming: Streaming<BatchCommandsRequest>) -> Answers {
        let dispatch = self.dispatch.clone();
        let start = move |id, request| {
            let answered = dispatch.clone().run(request);
            async move { (id, answered.await) }
        };
        // One frame may wait while another is under way to the client.
        let (sender, frames) = mpsc::channel(1);
        let work = StreamWork::new(incoming, start, BOUNDS);
        let task = tokio::spawn(drive(work, sender, self.stopping.clone())).abort_handle();
        Answers { frames, task }
    }
}

impl<E: Engine> fmt::Debug for TikvService<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TikvService").field("dispatch", &self.dispatch).finish_non_exhaustive()
    }
}

type Frame = Result<BatchCommandsResponse, Status>;

/// Does a stream's work until there is no more, or nobody to take it.
async fn drive<I, S, F>(mut work: StreamWork<I, S, F>, mut frames: mpsc::Sender<Frame>, mut stop: watch::Receiver<bool>)
where
    I: Stream<Item = Result<BatchCommandsRequest, Status>> + Unpin,
    S: FnMut(u64, Option<Cmd>) -> F,
    F: Future<Output = (u64, Answered)>,
{
    // An error means that the node is gone, which is a reason to stop as well.
    let mut stopped = pin!(async move { drop(stop.wait_for(|stop| *stop).await) });
    let mut stopping = false;
    poll_fn(|cx| {
        if !stopping && stopped.as_mut().poll(cx).is_ready() {
            stopping = true;
            work.stop_reading();
        }
        work.advance(cx);
        while work.has_frame() {
            if ready!(frames.poll_ready(cx)).is_err() {
                return Poll::Ready(());
            }
            if let Some(frame) = work.take_frame()
                && frames.start_send(frame).is_err()
            {
                return Poll::Ready(());
            }
        }
        if work.is_over() {
            return Poll::Ready(());
        }
        if work.can_begin() {
            // Answers that left have made room.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}

/// The answers of one stream. Dropping it ends the stream's task, and with it every answer that nobody will read;
/// what was proposed goes on.
#[derive(Debug)]
pub struct Answers {
    frames: mpsc::Receiver<Frame>,
    task: AbortHandle,
}

impl Stream for Answers {
    type Item = Frame;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        self.frames.poll_next_unpin(cx)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Replied<T> = Result<Response<T>, Status>;

fn unserved<T>(call: &str) -> Replied<T> {
    Err(Status::unimplemented(format!("{call} is not served")))
}

macro_rules! service {
    (
        hot { $($hot:ident $hot_method:ident($hot_request:ident) -> $hot_response:ident: $hot_serve:path;)* }
        served { $($name:ident $method:ident($request:ident) -> $response:ident: $serve:path;)* }
        batched { $($unserved:ident),* }
        refused { $($refused:ident($asked:ident) -> $told:ident;)* }
    ) => {
        #[tonic::async_trait]
        impl<E: Engine> Tikv for TikvService<E> {
            type BatchCommandsStream = Answers;
            type CoprocessorStreamStream = tokio_stream::Empty<Result<coprocessor::Response, Status>>;

            $(async fn $hot_method(&self, request: Request<$hot_request>) -> Replied<$hot_response> {
                let Dispatch { executor, calls } = self.dispatch.as_ref();
                calls.$hot_method.measure($hot_serve(executor, request.into_inner())).await.map(Response::new)
            })*

            $(async fn $method(&self, request: Request<$request>) -> Replied<$response> {
                let Dispatch { executor, calls } = self.dispatch.as_ref();
                calls.$method.measure($serve(executor, request.into_inner())).await.map(Response::new)
            })*

            async fn batch_commands(
                &self,
                request: Request<Streaming<BatchCommandsRequest>>,
            ) -> Replied<Self::BatchCommandsStream> {
                Ok(Response::new(self.serve(request.into_inner())))
            }

            $(async fn $refused(&self, _: Request<$asked>) -> Replied<$told> {
                unserved(stringify!($refused))
            })*

            async fn split_region(&self, request: Request<SplitRegionRequest>) -> Replied<SplitRegionResponse> {
                split_region::split_region(&self.admin, request.into_inner()).await.map(Response::new)
            }

            async fn unsafe_destroy_range(
                &self,
                request: Request<UnsafeDestroyRangeRequest>,
            ) -> Replied<UnsafeDestroyRangeResponse> {
                let Dispatch { executor, calls } = self.dispatch.as_ref();
                let destroyed = delete_range::unsafe_destroy_range(executor, request.into_inner());
                calls.unsafe_destroy_range.measure(destroyed).await.map(Response::new)
            }

            async fn read_index(&self, request: Request<ReadIndexRequest>) -> Replied<ReadIndexResponse> {
                let Dispatch { executor, .. } = self.dispatch.as_ref();
                read_index::read_index(executor, request.into_inner()).await.map(Response::new)
            }

            async fn check_leader(&self, request: Request<CheckLeaderRequest>) -> Replied<CheckLeaderResponse> {
                Ok(Response::new(check_leader(&self.dispatch.executor, request.get_ref())))
            }

            async fn coprocessor(&self, _: Request<coprocessor::Request>) -> Replied<coprocessor::Response> {
                unserved("Coprocessor")
            }

            async fn coprocessor_stream(
                &self,
                _: Request<coprocessor::Request>,
            ) -> Replied<Self::CoprocessorStreamStream> {
                unserved("CoprocessorStream")
            }

            async fn raft(&self, _: Request<Streaming<RaftMessage>>) -> Replied<Done> {
                unserved("Raft of TiKV's stores")
            }

            async fn batch_raft(&self, _: Request<Streaming<BatchRaftMessage>>) -> Replied<Done> {
                unserved("BatchRaft of TiKV's stores")
            }

            async fn snapshot(&self, _: Request<Streaming<SnapshotChunk>>) -> Replied<Done> {
                unserved("Snapshot of TiKV's stores")
            }
        }
    };
}

tikv_calls!(service);
