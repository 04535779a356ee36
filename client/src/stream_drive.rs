//! Keeps one stream to a store open as long as somebody wants it: connects when something is queued, hands out what
//! comes back, and after a failure pauses before it tries again.

use std::sync::Arc;
use std::time::Duration;

use nokv_proto::tikvpb::tikv_client::TikvClient;
use tonic::Code;
use tonic::transport::Endpoint;

use crate::grpc::innermost;
use crate::rpc::RpcError;
use crate::stream_link::{Link, Lost};

/// How long a store that knows no streams is asked by unary calls before it is tried again: it may be a newer one then.
const UNSERVED_PAUSE: Duration = Duration::from_secs(60);
/// A reply's frame may be so much larger than its largest answer.
const FRAME_ROOM_BYTES: usize = 2 << 20;

/// How a stream is made.
#[derive(Clone, Debug)]
pub(crate) struct Driver {
    pub(crate) endpoint: Endpoint,
    /// The largest answer in bytes.
    pub(crate) answer_bytes_max: usize,
    /// The largest frame that is sent, in bytes.
    pub(crate) frame_bytes_max: usize,
    /// The pause after a failure; it doubles with each further one …
    pub(crate) pause_min: Duration,
    /// … up to this.
    pub(crate) pause_max: Duration,
}

/// How a stream ended.
enum End {
    /// It could not be opened. Nothing was sent.
    Unreachable(String),
    /// The store does not know the call.
    Unserved,
    /// It was open, or may have been; `answered` = something came back over it.
    Lost { reason: String, answered: bool },
}

impl Driver {
    /// Never ends by itself.
    pub(crate) async fn run(self, link: Arc<Link>) {
        let mut failures = 0;
        loop {
            link.wanted().await;
            let (why, pause) = match self.one_stream(&link).await {
                End::Unreachable(reason) => (Lost::Failed(RpcError::Unreachable(reason)), self.pause(failures)),
                End::Unserved => (Lost::Unserved, UNSERVED_PAUSE),
                End::Lost { reason, answered } => {
                    link.lose(&reason);
                    if answered {
                        failures = 0;
                        continue;
                    }
                    (Lost::Failed(RpcError::Unreachable(reason)), self.pause(failures))
                }
            };
            failures += 1;
            link.refuse(&why);
            tokio::time::sleep(pause).await;
            link.admit();
        }
    }

    fn pause(&self, failures: u32) -> Duration {
        self.pause_min.saturating_mul(1 << failures.min(16)).min(self.pause_max)
    }

    async fn one_stream(&self, link: &Arc<Link>) -> End {
        let channel = match self.endpoint.connect().await {
            Ok(channel) => channel,
            Err(error) => return End::Unreachable(innermost(&error)),
        };
        let mut client = TikvClient::new(channel)
            .max_decoding_message_size(self.answer_bytes_max + FRAME_ROOM_BYTES)
            .max_encoding_message_size(self.frame_bytes_max + FRAME_ROOM_BYTES);
        let mut answered = false;
        let mut answers = match client.batch_commands(link.begin()).await {
            Ok(answers) => answers.into_inner(),
            Err(status) if status.code() == Code::Unimplemented => return End::Unserved,
            Err(status) => return End::Lost { reason: innermost(&status), answered },
        };
        link.taken();
        loop {
            let handed = match answers.message().await {
                Ok(Some(frame)) => link.answer(frame),
                Ok(None) => Err("the store has closed the stream".to_owned()),
                Err(status) => Err(innermost(&status)),
            };
            match handed {
                Ok(()) => answered = true,
                Err(reason) => return End::Lost { reason, answered },
            }
        }
    }
}
