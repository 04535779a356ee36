//! The bounds and times of the gRPC network, all set on purpose.
//! Receiver and sender read the same numbers, so every node of a cluster should run with the same ones.

use std::time::Duration;

/// Bounds and times of the gRPC network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcOptions {
    /// The most messages that wait for one store.
    pub queue_messages_max: usize,
    /// The most encoded bytes that wait for one store. One message is always taken, whatever its size.
    pub queue_bytes_max: usize,
    /// The largest raft message, encoded. Larger ones are refused when sent and when received.
    pub message_bytes_max: usize,
    /// The most encoded bytes that are put into one frame of the stream (a larger message has a frame of its own).
    pub batch_bytes_max: usize,
    /// How long a connection may take to come up, name lookup included.
    pub connect_timeout: Duration,
    /// A connection on which nothing was heard for this long is asked whether it lives …
    pub keepalive_interval: Duration,
    /// … and given up if it does not answer within this.
    pub keepalive_timeout: Duration,
    /// A stream that takes nothing for this long while messages wait is given up. It has to be long enough for the
    /// largest message on the slowest line: 16 MiB in 5 s is 27 Mbit/s.
    pub stall_timeout: Duration,
    /// The pause after a failed attempt; it doubles with each further one …
    pub backoff_min: Duration,
    /// … up to this. Each pause is shortened at random by up to a half, so that stores do not dial in step.
    pub backoff_max: Duration,
    /// The most images that are sent at the same time; a further one fails at once, and raft asks for it again.
    pub images_sending_max: usize,
    /// How fast each image is sent, in bytes a second. 0 = as fast as the receiver takes it.
    pub image_bytes_per_s_max: u64,
    /// An image of which nothing moves for this long has failed.
    pub image_stall_timeout: Duration,
    /// An image that is not there after this has failed.
    pub image_timeout: Duration,
}

impl Default for GrpcOptions {
    fn default() -> GrpcOptions {
        GrpcOptions {
            queue_messages_max: 32_768,
            queue_bytes_max: 32 << 20,
            message_bytes_max: 16 << 20,
            batch_bytes_max: 1 << 20,
            connect_timeout: Duration::from_secs(2),
            keepalive_interval: Duration::from_secs(2),
            keepalive_timeout: Duration::from_secs(3),
            stall_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
            images_sending_max: 4,
            image_bytes_per_s_max: 100 << 20,
            image_stall_timeout: Duration::from_secs(30),
            image_timeout: Duration::from_secs(600),
        }
    }
}

impl GrpcOptions {
    /// The largest frame that a sender with these options makes: what a receiver must be willing to decode.
    #[must_use]
    pub fn frame_bytes_max(&self) -> usize {
        // A message in a frame is preceded by its tag and its length.
        self.batch_bytes_max.max(self.message_bytes_max + 16)
    }
}
